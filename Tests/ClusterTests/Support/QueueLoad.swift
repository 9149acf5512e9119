// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization

/// Producers and consumers at work on a few queues through all nodes, until they are stopped.
///
/// Queue 0 is plain, queue 1 has ordering keys, the others have lanes. Every publish carries a dedup id and is repeated
/// until it is confirmed; every receive may be lost with its node, and its messages come back when their lease ends.
final class QueueLoad: Sendable {
    static let queues = ["load-plain", "load-keyed", "load-lanes"]
    private static let leaseMilliseconds = 1_500

    let referee = QueueReferee()
    private let isProducing = Atomic(true)
    private let isConsuming = Atomic(true)
    private let producers: Atomic<Int>
    private let consumers: Atomic<Int>
    private let endpoints: [(host: String, port: Int)]

    init(_ nodes: [TestNode], producers: Int = 4, consumers: Int = 4) throws {
        endpoints = nodes.map { ($0.host, $0.clientPort) }
        self.producers = Atomic(producers)
        self.consumers = Atomic(consumers)
        for (number, queue) in Self.queues.enumerated() {
            let lanes = number == 2 ? "4" : "1"
            let declare = [
                "QUEUE.DECLARE", queue, "LANES", lanes, "LEASE", "\(Self.leaseMilliseconds)", "MAXATTEMPTS", "0",
                "DEDUP", "600000",
            ]
            try eventually("\(queue) is declared") {
                let connection = try nodes[0].connect()
                let reply = try connection.command(declare)
                if let text = reply.errorText { throw TestFailure(text) }
                return true
            }
        }
        for number in 0..<producers {
            Thread.detachNewThread { [self] in
                produce(number)
                self.producers.subtract(1, ordering: .sequentiallyConsistent)
            }
        }
        for number in 0..<consumers {
            Thread.detachNewThread { [self] in
                consume(number)
                self.consumers.subtract(1, ordering: .sequentiallyConsistent)
            }
        }
    }

    /// Waits for that many confirmed publishes and acks more than there are now.
    func progress(by count: Int, within limit: Duration = .seconds(20)) throws {
        let goal = (referee.confirmedCount + count, referee.ackedCount + count)
        try eventually("the load confirms and acks \(count) more", within: limit) {
            referee.confirmedCount >= goal.0 && referee.ackedCount >= goal.1
        }
    }

    /// Ends the producers, lets the consumers take what is left, and throws if anything is missing or was seen wrong.
    func finish(within limit: Duration = .seconds(40)) throws {
        isProducing.store(false, ordering: .sequentiallyConsistent)
        try eventually("the producers end", within: limit) { producers.load(ordering: .sequentiallyConsistent) == 0 }
        try eventually("everything confirmed is delivered and acked", within: limit) {
            let missing = referee.missing
            guard missing.isEmpty else {
                throw TestFailure("\(missing.count) are missing, such as \(missing[0]); \(condition())")
            }
            return true
        }
        isConsuming.store(false, ordering: .sequentiallyConsistent)
        try eventually("the consumers end", within: limit) { consumers.load(ordering: .sequentiallyConsistent) == 0 }
        let violations = referee.violations
        guard violations.isEmpty else { throw Violation(violations.prefix(10).joined(separator: "\n")) }
    }

    /// What the queues say of themselves, for whoever looks into a failure.
    private func condition() -> String {
        guard let connection = connect(0) else { return "no node answers" }
        return Self.queues.map { queue in
            let stats = try? connection.command("QUEUE.STATS", queue)
            let depths = ["ready", "in_flight", "delayed", "dead"].map { "\($0) \(stats?.field($0)?.text ?? "?")" }
            return "\(queue): \(depths.joined(separator: ", "))"
        }.joined(separator: "; ")
    }

    /// Stops everything where it stands, as when the power fails.
    func abandon(within limit: Duration = .seconds(20)) throws {
        isProducing.store(false, ordering: .sequentiallyConsistent)
        isConsuming.store(false, ordering: .sequentiallyConsistent)
        try eventually("the load's clients end", within: limit) {
            producers.load(ordering: .sequentiallyConsistent) + consumers.load(ordering: .sequentiallyConsistent) == 0
        }
    }

    // MARK: Clients

    private func connect(_ turn: Int) -> RESPConnection? {
        let endpoint = endpoints[turn % endpoints.count]
        if let connection = try? RESPConnection(host: endpoint.host, port: endpoint.port, within: .seconds(1)) {
            return connection
        }
        poll(nil, 0, 5)
        return nil
    }

    private func produce(_ number: Int) {
        var turn = number
        var count = 0
        var connection: RESPConnection?
        while isProducing.load(ordering: .sequentiallyConsistent) {
            // No faster than the consumers, so that what is left at the end is soon taken.
            guard referee.confirmedCount - referee.ackedCount < 2_000 else {
                poll(nil, 0, 5)
                continue
            }
            count += 1
            let queue = Self.queues[count % Self.queues.count]
            // The key's own producer numbers its messages, and sends the next when one is confirmed.
            let key = queue == "load-keyed" ? "key-\(number)-\(count / 3 % 16)" : ""
            let body = "\(queue)|\(number)|\(count)|\(key)|"
            referee.isSent(body)
            var words = ["QUEUE.PUBLISH", queue, body, "ID", "\(number)-\(count)"]
            if !key.isEmpty { words += ["KEY", key] }
            while isProducing.load(ordering: .sequentiallyConsistent) {
                if connection == nil {
                    turn += 1
                    connection = connect(turn)
                }
                guard let reply = try? connection?.command(words, within: .seconds(8)) else {
                    connection = nil
                    continue
                }
                guard reply.errorText == nil else {
                    poll(nil, 0, 5)
                    continue
                }
                referee.confirmed(body)
                break
            }
        }
    }

    private func consume(_ number: Int) {
        var turn = number
        var connection: RESPConnection?
        var round = number
        while isConsuming.load(ordering: .sequentiallyConsistent) {
            round += 1
            let queue = Self.queues[round % Self.queues.count]
            if connection == nil {
                turn += 1
                connection = connect(turn)
            }
            let sent = referee.now()
            let receive = ["QUEUE.RECEIVE", queue, "COUNT", "16", "WAIT", "10"]
            guard let reply = try? connection?.command(receive, within: .seconds(8)) else {
                connection = nil
                continue
            }
            for message in reply.elements ?? [] where reply.errorText == nil {
                guard let connection, settle(message, of: queue, sent: sent, connection) else { break }
            }
        }
    }

    /// An ack whose answer got lost may have been carried out: asked again, it then says that the message is gone.
    private func askAgain(_ queue: String, _ receipt: String, _ body: String, key: String, place: Int) {
        for turn in 0..<1_000 {
            guard let reply = try? connect(turn)?.command("QUEUE.ACK", queue, receipt, within: .seconds(8)),
                reply.errorText == nil || reply.errorCode == "STALE"
            else { continue }
            if reply.integer != nil { referee.acked(body, key: key, place: place) }
            return
        }
    }

    /// False when the connection broke.
    private func settle(_ message: RESPReply, of queue: String, sent: Int, _ connection: RESPConnection) -> Bool {
        guard let body = message.field("body")?.text, let receipt = message.field("receipt")?.text else {
            referee.report("a delivery without body or receipt: \(message)")
            return true
        }
        let parts = body.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 5, parts[0] == queue, let place = Int(parts[2]) else {
            referee.report("a strange body: \(body)")
            return true
        }
        let cause = message.field("cause")?.text ?? "none"
        let attempt = Int(message.field("attempts")?.integer ?? 0)
        referee.delivered(body, cause: cause, attempt: attempt, sent: sent, key: parts[3], place: place)
        // Now and then one is given up, or forgotten until its lease ends; its key waits for it.
        switch Int.random(in: 0..<(parts[3].isEmpty ? 40 : 400)) {
        case 0:
            return (try? connection.command("QUEUE.NACK", queue, receipt, "REASON", "try again", within: .seconds(8)))
                != nil
        case 1: return true
        default: break
        }
        if let reply = try? connection.command("QUEUE.ACK", queue, receipt, within: .seconds(8)) {
            if reply.integer == 1 { referee.acked(body, key: parts[3], place: place) }
            return true
        }
        askAgain(queue, receipt, body, key: parts[3], place: place)
        return false
    }
}
