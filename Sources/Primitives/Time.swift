// SPDX-License-Identifier: Apache-2.0

/// A point on one machine's monotonic clock, in nanoseconds. Never compared across machines (DESIGN rule 5).
package struct Instant: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var nanoseconds: UInt64

    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    package static let zero = Instant(nanoseconds: 0)

    /// Later than every real instant.
    package static let distantFuture = Instant(nanoseconds: .max)

    package static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// Saturates at `distantFuture`.
    package static func + (left: Instant, right: Interval) -> Instant {
        let (sum, overflow) = left.nanoseconds.addingReportingOverflow(right.nanoseconds)
        return overflow ? .distantFuture : Instant(nanoseconds: sum)
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    package func since(_ earlier: Instant) -> Interval {
        Interval(nanoseconds: nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0)
    }

    package var description: String { "\(nanoseconds / 1_000_000)ms" }
}

/// A length of time, never negative, in nanoseconds.
package struct Interval: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var nanoseconds: UInt64

    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    package static let zero = Interval(nanoseconds: 0)

    package static func milliseconds(_ count: UInt64) -> Interval {
        let (value, overflow) = count.multipliedReportingOverflow(by: 1_000_000)
        return Interval(nanoseconds: overflow ? .max : value)
    }

    package static func microseconds(_ count: UInt64) -> Interval {
        let (value, overflow) = count.multipliedReportingOverflow(by: 1_000)
        return Interval(nanoseconds: overflow ? .max : value)
    }

    package var milliseconds: UInt64 { nanoseconds / 1_000_000 }

    package static func < (left: Interval, right: Interval) -> Bool { left.nanoseconds < right.nanoseconds }

    package static func + (left: Interval, right: Interval) -> Interval {
        let (sum, overflow) = left.nanoseconds.addingReportingOverflow(right.nanoseconds)
        return Interval(nanoseconds: overflow ? .max : sum)
    }

    /// Saturates at zero.
    package static func - (left: Interval, right: Interval) -> Interval {
        Interval(nanoseconds: left.nanoseconds > right.nanoseconds ? left.nanoseconds - right.nanoseconds : 0)
    }

    package static func * (left: Interval, right: UInt64) -> Interval {
        let (value, overflow) = left.nanoseconds.multipliedReportingOverflow(by: right)
        return Interval(nanoseconds: overflow ? .max : value)
    }

    package static func / (left: Interval, right: UInt64) -> Interval {
        Interval(nanoseconds: left.nanoseconds / right)
    }

    package var description: String { "\(nanoseconds / 1_000_000)ms" }
}
