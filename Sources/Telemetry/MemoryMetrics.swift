// SPDX-License-Identifier: Apache-2.0

/// Redis as the cache's memory: what this node writes back and reads, for the shards that it leads.
package struct MemoryMetrics: Sendable {
    package let writes: Counter
    package let writeFailures: Counter
    package let fetches: Counter
    package let fetchFailures: Counter
    package let losses: Counter
    package let connected: Gauge
    package let dirtyKeys: Gauge
    package let dirtyBytes: Gauge
    package let dirtyAge: Gauge
    package let quarantined: Gauge
    package let writeTime: Histogram
    package let fetchTime: Histogram

    package init(_ registry: MetricsRegistry) {
        func count(_ name: String, _ help: String) -> Counter {
            registry.counter("syncline_cache_memory_\(name)_total", help: help)
        }
        func gauge(_ name: String, _ help: String) -> Gauge {
            registry.gauge("syncline_cache_memory_\(name)", help: help)
        }
        writes = count("writes", "Values and removals that Redis has confirmed.")
        writeFailures = count("write_failures", "Writes that Redis refused or did not answer; each is repeated.")
        fetches = count("fetches", "Reads of keys that only Redis may have.")
        fetchFailures = count("fetch_failures", "Reads that Redis refused or did not answer.")
        losses = count("losses", "Shards for which Redis was found emptied or restarted.")
        connected = gauge("connected", "1 while every shard has a Redis server that is connected.")
        dirtyKeys = gauge("dirty_keys", "Keys that wait to be written back to Redis.")
        dirtyBytes = gauge("dirty_bytes", "Bytes of the keys that wait to be written back to Redis.")
        dirtyAge = gauge("dirty_age_seconds", "Age of the oldest key that waits, in whole seconds.")
        quarantined = gauge("quarantined_keys", "Keys that Redis has refused several times in succession.")
        writeTime = registry.histogram(
            "syncline_cache_memory_write_seconds",
            help: "Time of a write to Redis, failures included."
        )
        fetchTime = registry.histogram(
            "syncline_cache_memory_fetch_seconds",
            help: "Time of a read from Redis, failures included."
        )
    }
}
