// SPDX-License-Identifier: Apache-2.0

/// Waiting times between attempts to connect: doubling from `min` to `max`, each drawn from its upper half so that
/// those who lost the same peer at the same moment do not try in step.
package struct Backoff: Sendable {
    private let min: Interval
    private let max: Interval
    private var attempts: UInt64 = 0

    package init(min: Interval, max: Interval) {
        self.min = min
        self.max = max
    }

    package mutating func reset() { attempts = 0 }

    /// The wait before the next attempt.
    package mutating func next(_ random: inout SeededRandom) -> Interval {
        let full = Swift.min(min * (1 << Swift.min(attempts, 20)), max)
        attempts += 1
        return random.interval(from: full / 2, to: full + Interval(nanoseconds: 1))
    }

    /// After a refusal that only an operator can mend: the next wait is the longest at once.
    package mutating func exhaust() { attempts = 20 }
}
