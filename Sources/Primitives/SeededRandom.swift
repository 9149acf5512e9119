// SPDX-License-Identifier: Apache-2.0

/// SplitMix64 (Steele, Lea, Flood 2014): a small deterministic generator. Not for secrets.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    package private(set) var state: UInt64

    package init(seed: UInt64) { self.state = seed }

    package mutating func next() -> UInt64 {
        state = state &+ 0x9e37_79b9_7f4a_7c15
        return StableHash.mix(state)
    }

    /// A number in `0 ..< bound`; zero when `bound` is zero.
    package mutating func below(_ bound: UInt64) -> UInt64 {
        guard bound > 0 else { return 0 }
        return next().multipliedFullWidth(by: bound).high
    }

    /// An interval in `low ..< high`; `low` when the range is empty.
    package mutating func interval(from low: Interval, to high: Interval) -> Interval {
        guard high > low else { return low }
        return Interval(nanoseconds: low.nanoseconds + below(high.nanoseconds - low.nanoseconds))
    }

    /// True with probability `numerator / denominator`.
    package mutating func chance(_ numerator: UInt64, in denominator: UInt64) -> Bool { below(denominator) < numerator }
}
