// SPDX-License-Identifier: Apache-2.0
package import Primitives
package import QueueCore
package import Replica

/// What a front end may ask of a queue, as its users see it: a whole queue, whatever number of lanes it has.
/// `QueueService` carries it out.
package enum QueueOperation: Sendable {
    /// Creates the queue and its lanes, or answers that it exists as asked. With `DEADLETTER` that queue too.
    case declare(Name, QueueSettings)
    /// Changes what `change` names and leaves the rest.
    case update(Name, QueueSettingsChange)
    case delete(Name)
    /// Stored whole or not at all where all messages fall into one lane; several lanes are each stored whole or not.
    indirect case publish(Publish)
    /// `waitMilliseconds` is for all lanes together.
    case receive(Receive)
    case settle(Settle)
    case peek(Name, MessageState, limit: Int)
    /// One message in any state, by id.
    case message(Name, QueueMessageID)
    case cancel(Name, QueueMessageID)
    case purge(Name)
    case pause(Name, QueueSide)
    case resume(Name, QueueSide)
    case redrive(Redrive)
    case cancelRedrive(Name)
    case stats(Name)
    case list(prefix: String, after: Name, limit: Int)
    /// Opened at every lane's shard; the id is the caller's.
    case openConsumer(Name, OpenConsumer)
    case renewConsumer(Name, Name)
    case closeConsumer(Name, Name)
    /// The consumer still has these receipts; its other deliveries return at once.
    case resumeConsumer(Name, Name, [Receipt])
    case consumer(Name, Name)
}

/// Settings of a queue that a request names; nil for those it does not.
package struct QueueSettingsChange: Sendable, Equatable {
    package var lanes: UInt64?
    package var leaseMilliseconds: UInt64?
    package var maxAttempts: UInt64?
    package var deadLetter: Name?
    package var maxLength: UInt64?
    package var maxBytes: UInt64?
    package var overflow: Overflow?
    package var ttlMilliseconds: UInt64?
    package var dedupMilliseconds: UInt64?

    package init() {}

    package func applied(to settings: QueueSettings) -> QueueSettings {
        var result = settings
        if let lanes { result.lanes = lanes }
        if let leaseMilliseconds { result.leaseMilliseconds = leaseMilliseconds }
        if let maxAttempts { result.maxAttempts = maxAttempts }
        if let deadLetter { result.deadLetter = deadLetter }
        if let maxLength { result.maxLength = maxLength }
        if let maxBytes { result.maxBytes = maxBytes }
        if let overflow { result.overflow = overflow }
        if let ttlMilliseconds { result.ttlMilliseconds = ttlMilliseconds }
        if let dedupMilliseconds { result.dedupMilliseconds = dedupMilliseconds }
        return result
    }
}

/// What became of a `QueueOperation`.
package enum QueueResult: Sendable {
    case declared(created: Bool)
    case updated(QueueSettings)
    case deleted(messages: UInt64)
    /// One for each message, in their order.
    case published([PublishedMessage])
    case received([ReceivedMessage])
    /// One for each receipt, in their order.
    case settled([SettleOutcome])
    case messages([PeekedMessage])
    case message(PeekedMessage?)
    case cancelled(CancelOutcome)
    case purged(messages: UInt64)
    case pausedOrResumed
    case redrive(moved: UInt64, left: UInt64)
    /// All lanes added up; nil when there is no such queue.
    indirect case stats(QueueView?)
    /// Queues in the order of their names, lanes added up; `next` is empty at the end.
    case list([QueueView], next: Name)
    case consumerOpened(Name, ttlMilliseconds: UInt64)
    case consumerRenewed(ttlMilliseconds: UInt64)
    case consumerClosed(returned: UInt64)
    case consumerResumed([SettleOutcome], returned: UInt64)
    indirect case consumer(ConsumerView?)
    /// Refused, busy or without an answer: `RefusalText(response)` puts it into words.
    indirect case failed(Response)
}

/// A message's id as users of its queue see it. Each lane has a log of its own, so its number tells messages of equal
/// log positions apart: `1205-0` in the first lane, `1205-0-3` in lane 3.
package struct QueueMessageID: Hashable, Sendable, CustomStringConvertible {
    package var lane: UInt16
    package var id: MessageID

    package init(lane: UInt16, id: MessageID) {
        self.lane = lane
        self.id = id
    }

    /// Reads `description`; nil for anything else.
    package init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard let id = MessageID(parts.prefix(2).joined(separator: "-")) else { return nil }
        let lane = parts.count == 3 ? UInt16(parts[2]) : 0
        guard let lane, Int(lane) < QueueLimits.lanes else { return nil }
        self.init(lane: lane, id: id)
        guard description == text else { return nil }
    }

    package var description: String { lane == 0 ? id.description : "\(id)-\(lane)" }
}

/// A message that a publish stored, or had stored before.
package struct PublishedMessage: Equatable, Sendable {
    package var id: QueueMessageID
    package var isDuplicate: Bool

    init(_ published: Published, lane: Int) {
        id = QueueMessageID(lane: UInt16(clamping: lane), id: published.id)
        isDuplicate = published.isDuplicate
    }
}

/// A delivery with its body.
package struct ReceivedMessage: Sendable, Equatable {
    package var delivery: Delivery
    package var content: PublishMessage

    package init(delivery: Delivery, content: PublishMessage) {
        self.delivery = delivery
        self.content = content
    }

    package var id: QueueMessageID { QueueMessageID(lane: delivery.receipt.lane, id: delivery.id) }
}

/// A message that was only looked at.
package struct PeekedMessage: Sendable, Equatable {
    package var view: MessageView
    package var lane: Int
    /// Nil when it went while it was looked up.
    package var content: PublishMessage?

    package init(view: MessageView, lane: Int, content: PublishMessage?) {
        self.view = view
        self.lane = lane
        self.content = content
    }

    package var id: QueueMessageID { QueueMessageID(lane: UInt16(clamping: lane), id: view.id) }
}
