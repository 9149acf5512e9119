// SPDX-License-Identifier: Apache-2.0
import LockCore

/// The bounds on what one request may carry; the same in every front end. None is wider than what the lock state
/// machine accepts, so that a refusal names the field before anything is sent.
package enum RequestLimits {
    /// Bytes of a lock's or session's name, a session's namespace included.
    package static let nameBytes = LockLimits.nameBytes
    package static let namespaceBytes = LockLimits.namespaceBytes
    package static let labelBytes = LockLimits.labelBytes
    package static let ownerBytes = LockLimits.ownerBytes
    package static let reasonBytes = LockLimits.reasonBytes
    /// Bytes of an election candidate's value.
    package static let valueBytes = LockLimits.valueBytes
    /// Milliseconds a session may live without renewal.
    package static let ttl = range(LockLimits.ttlMilliseconds.lowerBound, LockLimits.ttlMilliseconds.upperBound)
    package static let lockDelay = range(0, LockLimits.lockDelayMilliseconds)
    /// Milliseconds (7 days); `FOREVER` is for more.
    package static let wait = range(0, LockLimits.waitMilliseconds)
    package static let priority: ClosedRange<Int64> = -1_000_000...1_000_000
    package static let sequence: ClosedRange<Int64> = 1 ... .max
    package static let permits = range(1, LockLimits.semaphoreLimit)
    package static let token: ClosedRange<Int64> = 0 ... .max
    package static let cursor: ClosedRange<Int64> = 0 ... .max
    package static let count: ClosedRange<Int64> = 1...Int64(LockLimits.pageEntries)
    package static let defaultCount = 100
    /// Locks of one all-or-nothing acquire.
    package static let locks = LockLimits.items
    /// Names one connection may watch.
    package static let watches = 1_024
    package static let defaultTTL: UInt64 = 10_000

    private static func range(_ low: UInt64, _ high: UInt64) -> ClosedRange<Int64> {
        Int64(clamping: low)...Int64(clamping: high)
    }
}
