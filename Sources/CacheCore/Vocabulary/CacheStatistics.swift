// SPDX-License-Identifier: Apache-2.0

/// Counts of one node since it started, and what it holds now. Counters end in no unit, gauges say theirs.
package struct CacheStatistics: Sendable, Equatable {
    // What clients met.
    package var hits: UInt64 = 0
    package var misses: UInt64 = 0
    package var writes: UInt64 = 0
    /// Writes carried out in this node's own line (modes local and volatile).
    package var ownedWrites: UInt64 = 0
    package var staleReads: UInt64 = 0

    // What it holds.
    package var lines: [UInt64] = Array(repeating: 0, count: LineState.allCases.count)
    package var bytes: UInt64 = 0
    package var limitBytes: UInt64 = 0
    package var dirtyLines: UInt64 = 0
    package var dirtyBytes: UInt64 = 0
    /// Age of the oldest line that is not written back, in milliseconds.
    package var dirtyAge: UInt64 = 0
    package var evictions: UInt64 = 0
    package var expirations: UInt64 = 0

    // The protocol. `transitions[from * 4 + to]`, by `LineState.rawValue`.
    package var transitions: [UInt64] = Array(repeating: 0, count: 16)
    package var invalidationsSent: UInt64 = 0
    package var invalidationsReceived: UInt64 = 0
    package var invalidationsAcknowledged: UInt64 = 0
    /// Acknowledgements that an expired lease stood in for.
    package var invalidationsExpired: UInt64 = 0
    package var recalls: UInt64 = 0
    package var fills: UInt64 = 0
    package var writeBacks: UInt64 = 0
    package var writeBackFailures: UInt64 = 0
    package var staleMessages: UInt64 = 0
    package var synchronisations: UInt64 = 0
    package var leaseLosses: UInt64 = 0
    /// Milliseconds; zero: none.
    package var leaseRemaining: UInt64 = 0

    /// With Redis as memory: of the shards that this node leads.
    package struct Memory: Sendable, Equatable {
        package var writes: UInt64 = 0
        package var writeFailures: UInt64 = 0
        package var fetches: UInt64 = 0
        package var fetchFailures: UInt64 = 0
        /// Keys whose latest value or removal Redis has not confirmed, the bytes of them, and the milliseconds that the
        /// oldest has waited here.
        package var dirtyKeys: UInt64 = 0
        package var dirtyBytes: UInt64 = 0
        package var dirtyAge: UInt64 = 0
        /// Keys that Redis has refused several times in succession.
        package var quarantinedKeys: UInt64 = 0

        package init() {}
    }

    package var memory = Memory()

    /// Of the node's own journal (mode `local`).
    package struct Journal: Sendable, Equatable {
        package var records: UInt64 = 0
        package var syncs: UInt64 = 0
        package var writtenBytes: UInt64 = 0
        /// Keys whose journalled value the log may lack.
        package var keys: UInt64 = 0
        /// Of its files.
        package var bytes: UInt64 = 0
        /// Of an earlier life: what the log has taken, or had already, and what somebody had written over.
        package var restored: UInt64 = 0
        package var superseded: UInt64 = 0

        package init() {}
    }

    package var journal = Journal()

    package init() {}
}
