// SPDX-License-Identifier: Apache-2.0

/// A queue's depth, its totals since it was declared, and its settings; all lanes added up.
public struct QueueStats: Sendable, Hashable, Codable {
    public var name: String
    /// Messages that wait for a consumer.
    public var ready = 0
    /// Messages that consumers have.
    public var inFlight = 0
    public var delayed = 0
    /// Dead letters that are kept in this queue.
    public var dead = 0
    /// Of messages ready, in flight and delayed: bodies, headers and keys.
    public var bytes = 0
    /// Since the publish of the oldest ready message; nil when none is ready.
    public var oldestReadyMilliseconds: Int?
    /// Since the delivery of the message that has been in flight for longest.
    public var oldestInFlightMilliseconds: Int?
    public var publishedTotal = 0
    public var ackedTotal = 0
    public var deliveredTotal = 0
    public var expiredTotal = 0
    public var purgedTotal = 0
    /// To make room for newer ones.
    public var droppedTotal = 0
    public var deadLetteredTotal = 0
    public var redrivenTotal = 0
    /// From, and to, a dead-letter queue or by redrive.
    public var movedInTotal = 0
    public var movedOutTotal = 0
    /// Publishes of messages that had been stored before.
    public var duplicatesTotal = 0
    /// Messages refused because the queue was full.
    public var rejectedTotal = 0
    public var nackedTotal = 0
    public var returnedTotal = 0
    public var leasesExpiredTotal = 0
    /// Receives that wait now.
    public var waiters = 0
    /// Tenants that have messages in it.
    public var tenants = 0
    public var isPublishPaused = false
    public var isConsumePaused = false
    /// What a redrive under way has still to move.
    public var redriveLeft = 0
    /// From publish to ack, of the messages acked: half of them took at most this long. nil when none has been acked.
    public var dwellP50Milliseconds: Double?
    /// As ``dwellP50Milliseconds``, for 99 of 100.
    public var dwellP99Milliseconds: Double?
    public var lanes = 1
    public var leaseMilliseconds: Int?
    public var maxAttempts: Int?
    public var deadLetter: String?
    public var maxLength: Int?
    public var maxBytes: Int?
    public var overflow: String?
    public var ttlMilliseconds: Int?
    public var dedupMilliseconds: Int?

    public init(name: String) { self.name = name }

    enum CodingKeys: String, CodingKey {
        case name, ready, delayed, dead, bytes, waiters, tenants, lanes, overflow
        case inFlight = "in_flight"
        case oldestReadyMilliseconds = "oldest_ready_ms"
        case oldestInFlightMilliseconds = "oldest_in_flight_ms"
        case publishedTotal = "published_total"
        case ackedTotal = "acked_total"
        case deliveredTotal = "delivered_total"
        case expiredTotal = "expired_total"
        case purgedTotal = "purged_total"
        case droppedTotal = "dropped_total"
        case deadLetteredTotal = "dead_lettered_total"
        case redrivenTotal = "redriven_total"
        case movedInTotal = "moved_in_total"
        case movedOutTotal = "moved_out_total"
        case duplicatesTotal = "duplicates_total"
        case rejectedTotal = "rejected_total"
        case nackedTotal = "nacked_total"
        case returnedTotal = "returned_total"
        case leasesExpiredTotal = "leases_expired_total"
        case isPublishPaused = "publish_paused"
        case isConsumePaused = "consume_paused"
        case redriveLeft = "redrive_left"
        case dwellP50Milliseconds = "dwell_p50_ms"
        case dwellP99Milliseconds = "dwell_p99_ms"
        case leaseMilliseconds = "lease_ms"
        case maxAttempts = "max_attempts"
        case deadLetter = "dead_letter"
        case maxLength = "max_length"
        case maxBytes = "max_bytes"
        case ttlMilliseconds = "ttl_ms"
        case dedupMilliseconds = "dedup_ms"
    }
}

/// A message that was only looked at: nothing about it has changed.
public struct PeekedMessage: Sendable, Hashable {
    public let id: String
    public let state: MessageState
    /// nil when the message went while it was looked up.
    public let body: [UInt8]?
    public let headers: [QueueHeader]
    public let key: String?
    public let tenant: String?
    public let priority: Int
    /// Body, headers and key.
    public let bytes: Int
    /// Cluster time of the publish in milliseconds: a clock of the queue's own, not the time of day.
    public let publishedMilliseconds: Int64
    /// Failed attempts so far.
    public let failures: Int
    /// Times it came back without that counting as an attempt.
    public let returns: Int
    public let deliveries: Int
    /// Cluster time in milliseconds: when a delayed message becomes ready, or a lease runs out.
    public let dueMilliseconds: Int64?
    /// Cluster time in milliseconds at which it expires.
    public let expiresMilliseconds: Int64?
    /// The consumer that has it in flight.
    public let consumer: String?
    public let deadLetter: DeadLetter?

    /// The body, when it is UTF-8.
    public var text: String? { body.flatMap { String(validating: $0, as: UTF8.self) } }
}
