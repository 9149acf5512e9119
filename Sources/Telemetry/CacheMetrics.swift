// SPDX-License-Identifier: Apache-2.0

/// The node's cache: its lines, and the homes of the shards that it leads.
package struct CacheMetrics: Sendable {
    package let hits: Counter
    package let misses: Counter
    package let writes: Counter
    package let ownedWrites: Counter
    package let staleReads: Counter
    package let evictions: Counter
    package let expirations: Counter
    package let fills: Counter
    package let writeBacks: Counter
    package let recalls: Counter
    package let invalidationsSent: Counter
    package let invalidationsReceived: Counter
    package let invalidationsAcknowledged: Counter
    package let invalidationsExpired: Counter
    package let staleMessages: Counter
    package let synchronisations: Counter
    package let leaseLosses: Counter
    /// `from * 4 + to`, in the order I, S, E, M.
    package let transitions: [Counter]
    /// In the order I, S, E, M; I is always zero.
    package let lines: [Gauge]
    package let bytes: Gauge
    package let limitBytes: Gauge
    package let dirtyLines: Gauge
    package let dirtyBytes: Gauge
    package let dirtyAge: Gauge
    /// From a miss to its answer.
    package let fillTime: Histogram
    /// From a write that goes to the home to its answer.
    package let writeTime: Histogram

    package let memory: MemoryMetrics
    package let journal: JournalMetrics

    package static let states = ["I", "S", "E", "M"]

    package init(_ registry: MetricsRegistry) {
        func count(_ name: String, _ help: String) -> Counter {
            registry.counter("syncline_cache_\(name)_total", help: help)
        }
        hits = count("hits", "Reads answered from this node's own lines.")
        misses = count("misses", "Reads that went to the home.")
        writes = count("writes", "Writes of this node's clients.")
        ownedWrites = count("owned_writes", "Writes carried out in this node's own lines, without the log.")
        staleReads = count("stale_reads", "Reads answered from an old copy, and marked so.")
        evictions = count("evictions", "Lines let go of to make room.")
        expirations = count("expirations", "Keys removed because their time had come.")
        fills = count("fills", "Lines brought by the answer to a miss.")
        writeBacks = count("write_backs", "Unlogged values that reached the log.")
        recalls = count("recalls", "Owners that were asked for their lines.")
        invalidationsSent = count("invalidations_sent", "Invalidations sent by homes on this node.")
        invalidationsReceived = count("invalidations_received", "Invalidations of this node's lines.")
        invalidationsAcknowledged = count("invalidations_acknowledged", "Acknowledgements that homes here received.")
        invalidationsExpired = count("invalidations_expired", "Acknowledgements that an ended lease stood in for.")
        staleMessages = count("stale_messages", "Messages of an earlier reign or life, or overtaken by another.")
        synchronisations = count("synchronisations", "New reigns of homes that this node took note of.")
        leaseLosses = count("lease_losses", "Times this node lost its lease, and with it all its lines.")
        transitions = Self.states.flatMap { from in
            Self.states.map { to in
                registry.counter(
                    "syncline_cache_transitions_total",
                    help: "Changes of lines between states.",
                    labels: [MetricLabel("from", from), MetricLabel("to", to)]
                )
            }
        }
        lines = Self.states.map { state in
            registry.gauge(
                "syncline_cache_lines",
                help: "Lines held, by state.",
                labels: [MetricLabel("state", state)]
            )
        }
        bytes = registry.gauge("syncline_cache_bytes", help: "Memory of the lines, what each costs included.")
        limitBytes = registry.gauge("syncline_cache_limit_bytes", help: "The bound of that memory.")
        dirtyLines = registry.gauge("syncline_cache_dirty_lines", help: "Lines with values that no log has yet.")
        dirtyBytes = registry.gauge("syncline_cache_dirty_bytes", help: "Memory of lines that wait for write-back.")
        dirtyAge = registry.gauge(
            "syncline_cache_dirty_age_seconds",
            help: "Age of the oldest value that no log has yet, in whole seconds."
        )
        fillTime = registry.histogram("syncline_cache_fill_seconds", help: "Time from a miss to its answer.")
        writeTime = registry.histogram("syncline_cache_write_seconds", help: "Time of a write by way of the home.")
        memory = MemoryMetrics(registry)
        journal = JournalMetrics(registry)
    }
}
