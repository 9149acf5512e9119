// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore

/// What a request of a queue client was for.
enum QueueErrand {
    case publish(line: Int)
    case receive(line: Int, consumer: Int?)
    case settle(line: Int)
    case open(consumer: Int)
    case renew(consumer: Int)
    case resume(consumer: Int)
    case close(consumer: Int)
    /// Messages that cannot be received in time are looked at and cancelled when everything comes to rest.
    case clear(line: Int)
    case other(line: Int)

    var consumer: Int? {
        switch self {
        case .open(let consumer), .renew(let consumer), .resume(let consumer), .close(let consumer): consumer
        case .receive(_, let consumer): consumer
        case .publish, .settle, .clear, .other: nil
        }
    }

    var isRenewal: Bool { if case .renew = self { true } else { false } }
}

/// What a client of queues knows: the messages in its hands, its consumers, and what it may publish next.
struct QueueAgent {
    /// A delivery that it has not settled, as far as it knows.
    struct Held {
        let line: Int
        let receipt: Receipt
        let consumer: Int?
        /// Until then, on its own clock, nobody else may get the message: counted from when the receive was sent, with
        /// a margin for two clocks that are off by ten per cent each.
        var believedUntil: Instant
        /// False once it has asked for something that ends the delivery, or may have.
        var isRelied: Bool
        var isBusy = false
    }

    struct Consumer {
        enum Phase {
            case opening, live, closing, ended
        }

        let open: OpenConsumer
        let shard: Int
        var phase = Phase.opening
        var believedUntil = Instant.zero
        var nextRenewal = Instant.distantFuture
        var isRenewing = false
        var isAbandoned = false
        /// Its node was lost: what was on its way may be lost too.
        var mustResume = false
        var isResuming = false
        /// A resume got no answer and may be carried out at any time: nothing that the consumer has is sure any more.
        var isInDoubt = false
        /// No resume has been under way since.
        var cleanSince = WorldTime.zero
    }

    var held: [Held] = []
    var consumers: [Consumer] = []
    /// Positions of consumers that have not ended.
    var active: [Int] = []
    /// By line.
    var isDeclared: [Bool]
    var lanes: [UInt64]
    var sequences: [UInt64]
    /// Receipts that were settled, and messages that were published, a few of each.
    var spent: [(line: Int, receipt: Receipt)] = []
    var known: [(line: Int, id: MessageID)] = []
    var bodies: UInt64 = 0
    let producer: Name

    init(client: Int, lines: LineTable) {
        isDeclared = Array(repeating: false, count: lines.lines.count)
        lanes = lines.lines.map(\.settings.lanes)
        sequences = Array(repeating: 0, count: lines.lines.count)
        producer = Name("producer-\(client)")
    }

    mutating func remember(spent line: Int, _ receipt: Receipt) {
        if spent.count >= 16 { spent.removeFirst() }
        spent.append((line, receipt))
    }

    mutating func remember(known line: Int, _ id: MessageID) {
        if known.count >= 16 { known.removeFirst() }
        known.append((line, id))
    }
}
