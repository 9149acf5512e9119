// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Messages by state.
package struct QueueDepth: Sendable, Equatable {
    package var ready: UInt64 = 0
    package var inFlight: UInt64 = 0
    package var delayed: UInt64 = 0
    package var dead: UInt64 = 0

    package init() {}

    package var total: UInt64 { ready + inFlight + delayed + dead }

    /// What counts against the limit of length.
    package var undelivered: UInt64 { ready + inFlight + delayed }
}

/// Counts since the queue was declared, or the shard began. At any time
/// `depth.total == published + movedIn - movedOut - acked - expired - purged - dropped`.
package struct QueueTotals: Sendable, Equatable {
    /// Messages stored by confirmed publishes.
    package var published: UInt64 = 0
    /// Publishes of messages stored before.
    package var duplicates: UInt64 = 0
    /// Messages refused because the queue was full.
    package var rejected: UInt64 = 0
    package var acked: UInt64 = 0
    package var expired: UInt64 = 0
    /// Purged, cancelled, or deleted with their queue.
    package var purged: UInt64 = 0
    /// Dropped to make room.
    package var dropped: UInt64 = 0
    package var movedIn: UInt64 = 0
    package var movedOut: UInt64 = 0
    package var delivered: UInt64 = 0
    package var nacked: UInt64 = 0
    package var returned: UInt64 = 0
    package var leasesExpired: UInt64 = 0
    package var deadLettered: UInt64 = 0
    package var redriven: UInt64 = 0

    package init() {}

    /// What the counts say is there.
    package var balance: UInt64 { published &+ movedIn &- movedOut &- acked &- expired &- purged &- dropped }
}

package struct QueueView: Sendable, Equatable {
    package var name: Name
    package var settings: QueueSettings
    package var depth = QueueDepth()
    /// Of messages ready, in flight and delayed.
    package var bytes: UInt64 = 0
    package var totals = QueueTotals()
    package var isPublishPaused = false
    package var isConsumePaused = false
    package var waiters: UInt64 = 0
    package var tenants: UInt64 = 0
    /// Since its publish; nil when none is ready to be delivered.
    package var oldestReadyMilliseconds: UInt64?
    /// Since its delivery.
    package var oldestInFlightMilliseconds: UInt64?
    /// Messages acked, by time from publish to ack: bucket 0 is below 1 ms, bucket n is 2^(n-1) up to 2^n ms.
    package var dwell: [UInt64] = []
    /// Messages that a redrive under way has still to move.
    package var redriveLeft: UInt64 = 0

    package init(name: Name, settings: QueueSettings) {
        self.name = name
        self.settings = settings
    }
}

package struct MessageView: Sendable, Equatable {
    package var id: MessageID
    package var state: MessageState
    package var bytes: UInt64
    package var key: Name = ""
    package var tenant: Name = ""
    package var priority: UInt8 = 0
    /// Cluster time of the publish in milliseconds.
    package var published: UInt64
    /// Failed attempts, returns that did not count, and deliveries.
    package var failures: UInt64 = 0
    package var returns: UInt64 = 0
    package var deliveries: UInt64 = 0
    /// Cluster time: when a delayed one becomes ready, when a lease runs out; nil for others.
    package var due: UInt64?
    /// Cluster time at which it expires, if it does.
    package var expires: UInt64?
    /// Who has it in flight; empty for nobody, or for a receive without a consumer.
    package var consumer: Name = ""
    package var deadLetter: DeadLetter?

    package init(id: MessageID, state: MessageState, bytes: UInt64, published: UInt64) {
        self.id = id
        self.state = state
        self.bytes = bytes
        self.published = published
    }
}

package struct ConsumerView: Sendable, Equatable {
    package var id: Name
    package var label: String
    package var ttlMilliseconds: UInt64
    package var credit: UInt64
    package var inFlight: UInt64
    package var waiting: UInt64
    package var ageMilliseconds: UInt64
    /// Filled in by the leader from its memory; nil in replicated state.
    package var remainingMilliseconds: UInt64?

    package init(
        id: Name,
        label: String,
        ttlMilliseconds: UInt64,
        credit: UInt64,
        inFlight: UInt64,
        waiting: UInt64,
        ageMilliseconds: UInt64,
        remainingMilliseconds: UInt64? = nil
    ) {
        self.id = id
        self.label = label
        self.ttlMilliseconds = ttlMilliseconds
        self.credit = credit
        self.inFlight = inFlight
        self.waiting = waiting
        self.ageMilliseconds = ageMilliseconds
        self.remainingMilliseconds = remainingMilliseconds
    }
}
