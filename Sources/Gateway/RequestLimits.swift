// SPDX-License-Identifier: Apache-2.0

/// The bounds on what one request may carry; the same in every front end.
package enum RequestLimits {
    /// Bytes of a lock's, session's or namespace's name.
    package static let nameBytes = 512
    /// Bytes of a label, an owner or a reason.
    package static let textBytes = 512
    /// Bytes of an election candidate's value.
    package static let valueBytes = 4_096
    /// Milliseconds a session may live without renewal.
    package static let ttl: ClosedRange<Int64> = 1_000 ... 3_600_000
    package static let lockDelay: ClosedRange<Int64> = 0 ... 60_000
    /// Milliseconds (7 days); `FOREVER` is for more.
    package static let wait: ClosedRange<Int64> = 0 ... 604_800_000
    package static let priority: ClosedRange<Int64> = -1_000_000 ... 1_000_000
    package static let sequence: ClosedRange<Int64> = 1 ... .max
    package static let permits: ClosedRange<Int64> = 1 ... 1_000_000
    package static let token: ClosedRange<Int64> = 0 ... .max
    package static let cursor: ClosedRange<Int64> = 0 ... .max
    package static let count: ClosedRange<Int64> = 1 ... 1_000
    package static let defaultCount = 100
    /// Locks of one all-or-nothing acquire.
    package static let locks = 64
    /// Names one connection may watch.
    package static let watches = 1_024
    package static let defaultTTL: UInt64 = 10_000
}
