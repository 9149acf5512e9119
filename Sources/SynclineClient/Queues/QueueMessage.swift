// SPDX-License-Identifier: Apache-2.0

/// Why a message had been in flight before and came again. New causes may come with new versions.
public struct RedeliveryCause: RawRepresentable, Sendable, Hashable, Codable, CustomStringConvertible {
    public let rawValue: String

    public init(rawValue: String) { self.rawValue = rawValue }

    public var description: String { rawValue }

    public static let nacked = RedeliveryCause(rawValue: "nacked")
    /// Given back unread.
    public static let returned = RedeliveryCause(rawValue: "returned")
    public static let leaseExpired = RedeliveryCause(rawValue: "lease_expired")
    public static let consumerClosed = RedeliveryCause(rawValue: "consumer_closed")
    /// Its consumer was not heard of for its time to live.
    public static let consumerExpired = RedeliveryCause(rawValue: "consumer_expired")
    /// Its consumer, cut off for a moment, went on without it.
    public static let notResumed = RedeliveryCause(rawValue: "not_resumed")
    /// It had been a dead letter.
    public static let redriven = RedeliveryCause(rawValue: "redriven")
}

/// A message on a lease, to be settled: acknowledged, refused, given back or rejected.
///
/// One that is let go unsettled is not given up at once: it comes again when its lease runs out, which counts as an
/// attempt, or when the sequence it came from has ended.
public struct QueueMessage: Sendable {
    /// The same at each delivery.
    public let id: String
    /// Stands for this delivery; good for ``Queue/ack(_:)-([String])`` in another process too.
    public let receipt: String
    /// As published.
    public let body: [UInt8]
    public let headers: [QueueHeader]
    public let key: String?
    /// Which attempt this is, from 1 on; messages that were given back do not count.
    public let attempt: Int
    public let priority: Int
    /// Cluster time of the publish in milliseconds: a clock of the queue's own, not the time of day.
    public let publishedMilliseconds: Int64
    /// As it was granted with this delivery.
    public let lease: Duration
    /// Why it came again; nil when nobody had it before.
    public let redeliveryCause: RedeliveryCause?
    /// Set when it comes from a dead-letter queue.
    public let deadLetter: DeadLetter?
    /// Where it came from.
    public let queue: Queue
    /// Its place in a sequence's window; nil when it was received by itself.
    let ticket: DeliveryTicket?

    init(_ delivery: Delivery, queue: Queue, ticket: DeliveryTicket?) {
        id = delivery.id
        receipt = delivery.receipt
        body = delivery.body
        headers = delivery.headers
        key = delivery.key
        attempt = delivery.attempt
        priority = delivery.priority
        publishedMilliseconds = delivery.publishedMilliseconds
        lease = delivery.lease
        redeliveryCause = delivery.cause
        deadLetter = delivery.deadLetter
        self.queue = queue
        self.ticket = ticket
    }

    /// The body, when it is UTF-8.
    public var text: String? { String(validating: body, as: UTF8.self) }

    /// The text of the first header of this name.
    public func header(_ name: String) -> String? { headers.first { $0.name == name }?.text }

    /// True once it is known that this delivery has ended without being settled here, so that the message may be with
    /// another consumer. For messages of a sequence; it may be late.
    public var isLost: Bool { ticket?.isLost ?? false }

    /// Done with: the message is no more once this returns. Acknowledgements of one sequence that come together are
    /// sent together.
    ///
    /// - Throws: ``SynclineError`` with ``SynclineError/Code/stale`` when the delivery had ended before: the message
    ///   comes, or has come, again.
    public func ack() async throws(SynclineError) {
        if let ticket { try await ticket.consumer.ack(receipt) } else { try await queue.ack([receipt]) }
    }

    /// Could not be dealt with: counts as an attempt, and comes again after the delay or becomes a dead letter.
    ///
    /// - Parameters:
    ///   - delay: at most 366 days.
    ///   - reason: at most 1024 bytes; kept with a dead letter.
    public func nack(delay: Duration = .zero, reason: String = "") async throws(SynclineError) {
        try await settled { () throws(SynclineError) in
            try await queue.nack([receipt], delay: delay, reason: reason)
        }
    }

    /// Back unread, which does not count as an attempt.
    public func giveBack(delay: Duration = .zero) async throws(SynclineError) {
        try await settled { () throws(SynclineError) in try await queue.giveBack([receipt], delay: delay) }
    }

    /// A dead letter at once.
    public func reject(reason: String = "") async throws(SynclineError) {
        try await settled { () throws(SynclineError) in try await queue.reject([receipt], reason: reason) }
    }

    /// Lets the lease run anew from now. A sequence does so by itself unless told otherwise.
    ///
    /// - Parameter lease: 1 ms to 12 hours.
    public func extend(lease: Duration) async throws(SynclineError) { try await queue.extend(receipt, lease: lease) }

    private func settled(_ body: () async throws(SynclineError) -> Int) async throws(SynclineError) {
        do throws(SynclineError) {
            _ = try await body()
            ticket?.consumer.settled(receipt)
        } catch {
            if error.code == .stale { ticket?.consumer.lost([receipt]) }
            throw error
        }
    }
}

/// Tells a sequence that a message of it is let go.
final class DeliveryTicket: Sendable {
    let consumer: QueueConsumer
    let receipt: String

    init(_ consumer: QueueConsumer, _ receipt: String) {
        self.consumer = consumer
        self.receipt = receipt
    }

    deinit { consumer.dropped(receipt) }

    var isLost: Bool { consumer.isLost(receipt) }
}
