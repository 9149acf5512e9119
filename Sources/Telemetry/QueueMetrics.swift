// SPDX-License-Identifier: Apache-2.0

/// Queues of the shards that this node leads. Counts are of what happened while it led.
package struct QueueMetrics: Sendable {
    package let published: Counter
    package let duplicates: Counter
    package let rejected: Counter
    package let delivered: Counter
    package let acked: Counter
    package let nacked: Counter
    package let returned: Counter
    package let leasesExpired: Counter
    package let deadLettered: Counter
    package let redriven: Counter
    package let expired: Counter
    package let purged: Counter
    package let dropped: Counter
    package let queues: Gauge
    package let messages: Gauge
    package let consumers: Gauge
    package let waiters: Gauge
    /// Blocks of bodies that were read from disk.
    package let blockReads: Counter
    package let segmentBytes: Gauge

    package init(_ registry: MetricsRegistry) {
        func count(_ name: String, _ help: String) -> Counter {
            registry.counter("syncline_queue_\(name)_total", help: help)
        }
        published = count("published_messages", "Messages stored by confirmed publishes.")
        duplicates = count("duplicate_messages", "Messages of publishes that had been stored before.")
        rejected = count("rejected_messages", "Messages refused because their queue was full.")
        delivered = count("deliveries", "Messages handed to consumers, redeliveries included.")
        acked = count("acked_messages", "Messages acknowledged.")
        nacked = count("nacked_deliveries", "Deliveries that their consumer gave up as failed.")
        returned = count("returned_deliveries", "Deliveries given back unread, or lost with their consumer.")
        leasesExpired = count("expired_leases", "Deliveries whose lease ran out.")
        deadLettered = count("dead_letters", "Messages that became dead letters.")
        redriven = count("redriven_messages", "Dead letters moved back to a queue.")
        expired = count("expired_messages", "Messages whose lifetime ran out.")
        purged = count("purged_messages", "Messages purged, cancelled or deleted with their queue.")
        dropped = count("dropped_messages", "Messages dropped to make room.")
        queues = registry.gauge("syncline_queues", help: "Queue lines of the shards led here.")
        messages = registry.gauge("syncline_queue_messages", help: "Messages in all states of the shards led here.")
        consumers = registry.gauge("syncline_queue_consumers", help: "Consumer sessions of the shards led here.")
        waiters = registry.gauge("syncline_queue_waiting_receives", help: "Receives that wait in shards led here.")
        blockReads = count("body_block_reads", "Blocks of message bodies read from disk.")
        segmentBytes = registry.gauge(
            "syncline_queue_body_bytes",
            help: "Size of the segments that hold message bodies on this node, in bytes."
        )
    }
}
