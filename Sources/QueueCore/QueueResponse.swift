// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Why a message had been in flight before and came back.
package enum ReturnCause: UInt8, Sendable, CaseIterable {
    /// It had not been in flight.
    case none = 0
    case nacked = 1
    case givenBack = 2
    case leaseExpired = 3
    case consumerClosed = 4
    case consumerExpired = 5
    /// Its consumer resumed without it.
    case notResumed = 6
    case redriven = 7
}

/// Why a message became a dead letter.
package enum DeadCause: UInt8, Sendable, CaseIterable {
    /// Too many failed attempts.
    case attempts = 1
    /// A consumer rejected it.
    case rejected = 2
}

/// What stays known about a dead letter.
package struct DeadLetter: Sendable, Equatable {
    package var cause: DeadCause
    /// The reason given with the last nack or reject.
    package var reason: String
    /// The line it died in.
    package var origin: Name
    /// Failed attempts when it died.
    package var attempts: UInt64
    /// Cluster time of its death in milliseconds.
    package var died: UInt64

    package init(cause: DeadCause, reason: String, origin: Name, attempts: UInt64, died: UInt64) {
        self.cause = cause
        self.reason = reason
        self.origin = origin
        self.attempts = attempts
        self.died = died
    }
}

/// A message handed to a consumer, without its body: the log has that, under `id`.
package struct Delivery: Sendable, Equatable {
    package var id: MessageID
    package var receipt: Receipt
    /// Which attempt this is, from 1 on; returns do not count.
    package var attempt: UInt64
    package var key: Name
    package var priority: UInt8
    /// Cluster time of the publish in milliseconds.
    package var published: UInt64
    /// Body, headers and key.
    package var bytes: UInt64
    package var leaseMilliseconds: UInt64
    package var cause: ReturnCause
    /// Set when it comes from a dead-letter queue.
    package var deadLetter: DeadLetter?

    package init(
        id: MessageID,
        receipt: Receipt,
        attempt: UInt64,
        key: Name,
        priority: UInt8,
        published: UInt64,
        bytes: UInt64,
        leaseMilliseconds: UInt64,
        cause: ReturnCause,
        deadLetter: DeadLetter?
    ) {
        self.id = id
        self.receipt = receipt
        self.attempt = attempt
        self.key = key
        self.priority = priority
        self.published = published
        self.bytes = bytes
        self.leaseMilliseconds = leaseMilliseconds
        self.cause = cause
        self.deadLetter = deadLetter
    }
}

package struct Published: Sendable, Equatable {
    package var id: MessageID
    /// Stored by an earlier publish; `id` is that one's.
    package var isDuplicate: Bool

    package init(id: MessageID, isDuplicate: Bool = false) {
        self.id = id
        self.isDuplicate = isDuplicate
    }
}

/// What became of one receipt.
package enum SettleOutcome: UInt8, Sendable, CaseIterable {
    case done = 1
    /// The message is no more: acked before (an ack is idempotent), expired, purged or dropped.
    case gone = 2
    /// The message is there, but this delivery of it has ended.
    case stale = 3
    /// Of another queue or shard.
    case foreign = 4
    /// Names an entry that the log has not reached: no delivery ever had it.
    case forged = 5
}

package enum CancelOutcome: UInt8, Sendable, CaseIterable {
    case cancelled = 1
    case notFound = 2
    /// A consumer has it.
    case inFlight = 3
}

/// A domain refusal: a reply value, never a thrown error (DESIGN §3 rule 4). Nothing has changed.
package enum QueueError: Error, Sendable, Equatable {
    case noQueue(Name)
    /// Declared already with other settings: these.
    indirect case exists(QueueSettings)
    /// Lanes can only be raised; this is how many there are.
    case lanesLowered(from: UInt64)
    /// The queue has this many lanes, not those that the command was sent by.
    case lanes(UInt64)
    case emptyBody
    /// A body or a whole publish is above its limit in bytes.
    case tooLarge(limit: UInt64)
    /// A limit of length or bytes is reached, so nothing of the publish was stored.
    case full(Name)
    case paused(QueueSide)
    /// The lock token is out of date.
    case fenced
    case noConsumer(Name)
    /// Open already with other settings.
    case consumerExists(Name)
    /// As many messages are in flight to the consumer as its credit allows.
    case noCredit(Name)
    /// The producer's sequence number is below the window of remembered results.
    case staleSequence
    /// A redrive of this queue is under way.
    case redriving
    /// A quota or bound is reached; the text names it.
    case limit(String)
    case invalid(String)
    /// The receive was cancelled by its own client.
    case cancelled
    /// The consumer ended, or the queue was deleted, while the receive waited.
    case ended
}

package enum QueueResponse: Sendable, Equatable {
    case declared(created: Bool)
    case updated
    /// Messages that were in it.
    case deleted(messages: UInt64)
    /// One for each message of the publish, in its order.
    case published([Published])
    /// Empty when there was none in time.
    case received([Delivery])
    /// One for each receipt, in their order.
    case settled([SettleOutcome])
    case consumerOpened(Name, ttlMilliseconds: UInt64)
    case consumerClosed(returned: UInt64)
    /// One for each receipt shown; and how many other deliveries returned.
    case consumerResumed([SettleOutcome], returned: UInt64)
    case messageCancelled(CancelOutcome)
    case purged(messages: UInt64)
    case pausedOrResumed
    /// `left` are still to come.
    case redrive(moved: UInt64, left: UInt64)
    case waitCancelled(found: Bool)
    /// A leader's own command was carried out or found to be out of date.
    case noted
    case renewed(milliseconds: UInt64)
    indirect case queue(QueueView?)
    /// `next` is empty at the end, otherwise what to ask on with as `after`.
    case queues([QueueView], next: Name)
    case messages([MessageView])
    indirect case message(MessageView?)
    indirect case consumer(ConsumerView?)
    indirect case refused(QueueError)
}

/// What watchers are told; derived from the log, so the same on every replica.
package enum QueueEvent: Sendable, Equatable {
    case declared(Name)
    case deleted(Name, messages: UInt64)
    case purged(Name, messages: UInt64)
    case paused(Name, QueueSide)
    case resumed(Name, QueueSide)
    case deadLetter(Name, MessageID, DeadCause, reason: String)
    case redriveEnded(Name, moved: UInt64)
    case consumerOpened(Name)
    case consumerEnded(Name, ConsumerEnd, returned: UInt64)
}

/// Why a consumer is no more.
package enum ConsumerEnd: UInt8, Sendable {
    case closed = 1
    case expired = 2
}

/// What a leader keeps time for; on other replicas it is ignored.
package enum QueueTimer: Sendable, Equatable {
    case consumerOpened(Name, opened: LogIndex, ttlMilliseconds: UInt64)
    case consumerEnded(Name)
    /// The first stamp at which a tick has something to do has become this one; nil for none.
    case due(UInt64?)
    /// A tick was applied.
    case ticked
}

/// What applying one command brought about.
package struct QueueEffects: Sendable {
    /// Answers that became due: to this command, or to receives that had been waiting.
    package var responses: [(request: RequestID, response: QueueResponse)] = []
    package var events: [QueueEvent] = []
    package var timers: [QueueTimer] = []
    /// Bodies that nobody will ask for again: of messages that are no more, and of those in this entry that were not
    /// stored.
    package var deadBodies: [BodyRange] = []

    package init() {}

    package mutating func removeAll() {
        responses.removeAll(keepingCapacity: true)
        events.removeAll(keepingCapacity: true)
        timers.removeAll(keepingCapacity: true)
        deadBodies.removeAll(keepingCapacity: true)
    }
}

/// Where in the log a command stands.
package struct QueueContext: Sendable {
    /// The high part of the ids of the messages that this entry publishes.
    package var index: LogIndex
    package var term: Term
    /// The leader's stamp in milliseconds of cluster time: the only time apply sees. Never falls.
    package var stamp: UInt64
    package var request: RequestID

    package init(index: LogIndex, term: Term, stamp: UInt64, request: RequestID) {
        self.index = index
        self.term = term
        self.stamp = stamp
        self.request = request
    }
}
