// SPDX-License-Identifier: Apache-2.0
import CacheCore

/// The figures of a node's cache by the names that every front end gives them.
extension CacheStatistics {
    var figures: [(name: String, value: UInt64)] {
        [
            ("hits_total", hits), ("misses_total", misses), ("writes_total", writes),
            ("owned_writes_total", ownedWrites), ("stale_reads_total", staleReads), ("bytes", bytes),
            ("limit_bytes", limitBytes), ("dirty_lines", dirtyLines), ("dirty_bytes", dirtyBytes),
            ("dirty_age_ms", dirtyAge), ("evictions_total", evictions), ("expirations_total", expirations),
            ("invalidations_sent_total", invalidationsSent), ("invalidations_received_total", invalidationsReceived),
            ("invalidations_acknowledged_total", invalidationsAcknowledged),
            ("invalidations_expired_total", invalidationsExpired), ("recalls_total", recalls),
            ("fills_total", fills), ("write_backs_total", writeBacks),
            ("write_back_failures_total", writeBackFailures), ("stale_messages_total", staleMessages),
            ("synchronisations_total", synchronisations), ("lease_losses_total", leaseLosses),
            ("lease_remaining_ms", leaseRemaining), ("memory_writes_total", memory.writes),
            ("memory_write_failures_total", memory.writeFailures), ("memory_fetches_total", memory.fetches),
            ("memory_fetch_failures_total", memory.fetchFailures), ("memory_dirty_keys", memory.dirtyKeys),
            ("memory_dirty_bytes", memory.dirtyBytes), ("memory_dirty_age_ms", memory.dirtyAge),
            ("memory_quarantined_keys", memory.quarantinedKeys), ("journal_records_total", journal.records),
            ("journal_syncs_total", journal.syncs), ("journal_written_bytes_total", journal.writtenBytes),
            ("journal_keys", journal.keys), ("journal_bytes", journal.bytes),
            ("journal_restored_total", journal.restored), ("journal_superseded_total", journal.superseded),
        ]
    }

    /// Lines held, by the state's letter.
    var linesByState: [(name: String, value: UInt64)] {
        LineState.allCases.map { ($0.letter, lines[Int($0.rawValue)]) }
    }

    /// Changes of state that happened, such as `IS`: most of the sixteen never do.
    var moves: [(name: String, value: UInt64)] {
        let states = LineState.allCases
        return transitions.indices.filter { transitions[$0] > 0 }.map {
            (states[$0 / 4].letter + states[$0 % 4].letter, transitions[$0])
        }
    }
}
