// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// When a message may first be delivered.
package enum Schedule: Sendable, Equatable {
    case immediately
    /// After this many milliseconds of cluster time; negative is refused.
    case after(milliseconds: Int64)
    /// At this stamp of cluster time in milliseconds; at once when that has passed.
    case at(stamp: UInt64)
}

package struct MessageHeader: Sendable, Equatable {
    package var name: String
    package var value: [UInt8]

    package init(name: String, value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// A message as it is published. It stands whole in the log, and only there; the state keeps an index entry.
package struct PublishMessage: Sendable, Equatable {
    /// Any bytes, passed on unchanged.
    package var body: [UInt8]
    package var headers: [MessageHeader]
    /// Messages of one key are delivered one at a time and in order. Empty for none.
    package var key: Name
    /// Tenants share a queue fairly. Empty for the common one.
    package var tenant: Name
    /// 0 to 9; higher goes first.
    package var priority: UInt8
    package var schedule: Schedule
    /// Lifetime from the publish on; zero takes the queue's.
    package var ttlMilliseconds: UInt64
    /// Application id: a second message with it within the queue's window is not stored. Empty for none.
    package var dedup: Name

    package init(
        body: [UInt8],
        headers: [MessageHeader] = [],
        key: Name = "",
        tenant: Name = "",
        priority: UInt8 = 0,
        schedule: Schedule = .immediately,
        ttlMilliseconds: UInt64 = 0,
        dedup: Name = ""
    ) {
        self.body = body
        self.headers = headers
        self.key = key
        self.tenant = tenant
        self.priority = priority
        self.schedule = schedule
        self.ttlMilliseconds = ttlMilliseconds
        self.dedup = dedup
    }

    /// What counts against a queue's limit of bytes.
    package var storedBytes: Int {
        headers.reduce(body.count + key.byteCount) { $0 + $1.name.utf8.count + $1.value.count }
    }
}

/// A publish that counts only while its publisher holds a lock. The lock may live in another shard, so whoever
/// proposes the command has asked there; the verdict travels with it so that every replica gives the same answer.
package struct LockGuard: Sendable, Equatable {
    package var namespace: Name
    package var name: Name
    package var token: UInt64
    /// The token was found to be out of date.
    package var isStale: Bool

    package init(namespace: Name, name: Name, token: UInt64, isStale: Bool = false) {
        self.namespace = namespace
        self.name = name
        self.token = token
        self.isStale = isStale
    }
}

/// Names a publish across retries that are new requests: the publisher's own id and a number that rises by one with
/// each of its publishes to the queue.
package struct ProducerSequence: Sendable, Equatable {
    package var producer: Name
    /// From 1 on.
    package var sequence: UInt64

    package init(producer: Name, sequence: UInt64) {
        self.producer = producer
        self.sequence = sequence
    }
}

/// All messages are stored or none.
package struct Publish: Sendable, Equatable {
    package var queue: Name
    package var messages: [PublishMessage]
    package var producer: ProducerSequence?
    package var guardedBy: LockGuard?
    /// Declares an unknown queue with defaults.
    package var declares: Bool
    /// The number of lanes that the sender chose this line by; another number is refused. Zero is not checked.
    package var lanes: UInt64

    package init(
        queue: Name,
        messages: [PublishMessage],
        producer: ProducerSequence? = nil,
        guardedBy: LockGuard? = nil,
        declares: Bool = true,
        lanes: UInt64 = 0
    ) {
        self.queue = queue
        self.messages = messages
        self.producer = producer
        self.guardedBy = guardedBy
        self.declares = declares
        self.lanes = lanes
    }
}

package struct Receive: Sendable, Equatable {
    package var queue: Name
    /// The session that owns the deliveries; empty for none, then only the lease brings them back.
    package var consumer: Name
    /// 1 to `QueueLimits.receiveCount`.
    package var count: UInt64
    /// Stops before the message that would exceed it, but delivers at least one. Zero for no limit.
    package var maxBytes: UInt64
    /// Zero takes the queue's.
    package var leaseMilliseconds: UInt64
    /// How long to wait for the first message; zero answers at once.
    package var waitMilliseconds: UInt64
    /// The number of lanes that the sender knows of; another number is refused. Zero is not checked.
    package var lanes: UInt64

    package init(
        queue: Name,
        consumer: Name = "",
        count: UInt64 = 1,
        maxBytes: UInt64 = 0,
        leaseMilliseconds: UInt64 = 0,
        waitMilliseconds: UInt64 = 0,
        lanes: UInt64 = 0
    ) {
        self.queue = queue
        self.consumer = consumer
        self.count = count
        self.maxBytes = maxBytes
        self.leaseMilliseconds = leaseMilliseconds
        self.waitMilliseconds = waitMilliseconds
        self.lanes = lanes
    }
}

package enum Settlement: Sendable, Equatable {
    /// Done: the message is no more.
    case ack
    /// Failed: counts as an attempt; comes again after the delay, or becomes a dead letter. Holds its ordering key.
    case nack(delayMilliseconds: Int64, reason: String)
    /// Given back unread: does not count as an attempt. Holds its ordering key.
    case giveBack(delayMilliseconds: Int64)
    /// The lease runs anew from now.
    case extend(leaseMilliseconds: UInt64)
    /// Failed for good: a dead letter at once.
    case reject(reason: String)
}

package struct Settle: Sendable, Equatable {
    package var queue: Name
    package var receipts: [Receipt]
    package var settlement: Settlement

    package init(queue: Name, receipts: [Receipt], settlement: Settlement) {
        self.queue = queue
        self.receipts = receipts
        self.settlement = settlement
    }
}

package struct OpenConsumer: Sendable, Equatable {
    package var id: Name
    package var ttlMilliseconds: UInt64
    /// Messages that may be in flight to it, over all queues of the shard.
    package var credit: UInt64
    package var label: String

    package init(id: Name, ttlMilliseconds: UInt64, credit: UInt64 = 1_000, label: String = "") {
        self.id = id
        self.ttlMilliseconds = ttlMilliseconds
        self.credit = credit
        self.label = label
    }
}

package enum QueueSide: UInt8, Sendable, CaseIterable {
    case publish = 1
    case consume = 2
}

package struct Redrive: Sendable, Equatable {
    /// Where the dead letters are.
    package var queue: Name
    /// How many; zero for all that are there now.
    package var count: UInt64
    /// Messages per second; zero for as fast as the shard can.
    package var rate: UInt64
    /// Another line of the shard; empty for each one's origin.
    package var target: Name
    /// Only dead letters of this cause.
    package var cause: DeadCause?

    package init(queue: Name, count: UInt64 = 0, rate: UInt64 = 0, target: Name = "", cause: DeadCause? = nil) {
        self.queue = queue
        self.count = count
        self.rate = rate
        self.target = target
        self.cause = cause
    }
}

/// A change to the queue state, as it stands in the log. Applying one never traps, whatever its content.
///
/// Queues are addressed by line: `orders`, or `orders#3` for a lane (see `LaneMap`).
package enum QueueCommand: Sendable, Equatable {
    case declare(Name, QueueSettings)
    /// Changes the settings of a queue that exists. Messages keep the TTL they were published with.
    case update(Name, QueueSettings)
    case delete(Name)
    indirect case publish(Publish)
    case receive(Receive)
    case settle(Settle)
    case openConsumer(OpenConsumer)
    case closeConsumer(Name)
    /// The consumer still has these; the rest of its deliveries were lost on their way and return at once.
    case resumeConsumer(Name, [Receipt])
    case cancelMessage(Name, MessageID)
    /// Removes every message, in all states: a receipt that is settled later finds its message gone.
    case purge(Name)
    case pause(Name, QueueSide)
    case resume(Name, QueueSide)
    case redrive(Redrive)
    case cancelRedrive(Name)
    /// The client that waits for this request has gone: leave the waiting line.
    case cancelWait(RequestID)
    // Proposed by a leader about itself; `term` is its term, and the command does nothing in an entry of another term.
    /// Whatever the entry's stamp has made due is carried out, up to a bound; `QueueState.nextDue` tells of the rest.
    case tick(term: Term)
    /// `opened` is the log index of what the leader saw begin, zero for whichever it is.
    case expireConsumer(Name, opened: LogIndex = .zero, term: Term)
}

package enum MessageState: UInt8, Sendable, CaseIterable {
    /// Deliverable, or behind another message of its ordering key.
    case ready = 1
    case inFlight = 2
    case delayed = 3
    case dead = 4
}

/// A read of the queue state; answered after ReadIndex.
package enum QueueQuery: Sendable, Equatable {
    case queue(Name)
    /// Lines in the order of their names, after `after`.
    case queues(prefix: String, after: Name, limit: Int)
    /// The first messages in a state: ready ones by id, in flight by age of delivery, delayed by time due, dead by
    /// age of death.
    case peek(Name, MessageState, limit: Int)
    case message(Name, MessageID)
    case consumer(Name)
}

extension QueueCommand {
    /// The line that decides the shard. Consumers, waits and ticks belong to a shard and are addressed to it.
    package var line: Name? {
        switch self {
        case .declare(let line, _), .update(let line, _), .delete(let line), .cancelMessage(let line, _),
            .purge(let line), .pause(let line, _), .resume(let line, _), .cancelRedrive(let line):
            line
        case .publish(let publish): publish.queue
        case .receive(let receive): receive.queue
        case .settle(let settle): settle.queue
        case .redrive(let redrive): redrive.queue
        case .openConsumer, .closeConsumer, .resumeConsumer, .cancelWait, .tick, .expireConsumer: nil
        }
    }

    /// Whether the answer may be put off until there is a message.
    package var mayWait: Bool {
        if case .receive(let receive) = self { receive.waitMilliseconds > 0 } else { false }
    }

    /// Whether a full disk refuses it: what ends or gives back something is let through on the log's reserve.
    package var needsRoom: Bool {
        switch self {
        case .declare, .update, .publish, .receive, .openConsumer, .redrive: true
        case .delete, .settle, .closeConsumer, .resumeConsumer, .cancelMessage, .purge, .pause, .resume,
            .cancelRedrive, .cancelWait, .tick, .expireConsumer:
            false
        }
    }
}

extension QueueQuery {
    /// The line that decides the shard; nil for what every shard is asked.
    package var line: Name? {
        switch self {
        case .queue(let line), .peek(let line, _, _), .message(let line, _): line
        case .queues, .consumer: nil
        }
    }
}
