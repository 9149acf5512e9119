// SPDX-License-Identifier: Apache-2.0

/// What this node's cache keeps on its own disk alone until the log has it (mode `local`).
package struct JournalMetrics: Sendable {
    package let records: Counter
    package let writtenBytes: Counter
    package let restored: Counter
    package let superseded: Counter
    package let keys: Gauge
    package let bytes: Gauge
    package let syncTime: Histogram

    package init(_ registry: MetricsRegistry) {
        func count(_ name: String, _ help: String) -> Counter {
            registry.counter("syncline_cache_journal_\(name)_total", help: help)
        }
        records = count("records", "Writes of mode local that were put on this node's disk.")
        writtenBytes = count("written_bytes", "Bytes written to the journal.")
        restored = count("restored", "Values of an earlier life of this node that the log has taken or had already.")
        superseded = count("superseded", "Values of an earlier life of this node that had been written over.")
        keys = registry.gauge("syncline_cache_journal_keys", help: "Keys whose journalled value no log has yet.")
        bytes = registry.gauge("syncline_cache_journal_bytes", help: "Bytes of the journal's files.")
        syncTime = registry.histogram(
            "syncline_cache_journal_sync_seconds",
            help: "Time of a write to the journal, its sync included."
        )
    }
}
