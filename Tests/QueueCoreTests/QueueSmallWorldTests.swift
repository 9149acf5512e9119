// SPDX-License-Identifier: Apache-2.0
import Foundation
import Primitives
import QueueCore
import Testing

/// Two consumers and three messages, two of them of one key: every history of a few moves, up to equal states. Checked
/// are the promises themselves, by an observer that knows only what clients see: commands, answers, deliveries.
@Suite("Queue small world")
struct QueueSmallWorldTests {
    /// States are visited nearest first; this many in a normal run. `SYNCLINE_EXHAUSTIVE=1` visits all within `depth`.
    static let limit = ProcessInfo.processInfo.environment["SYNCLINE_EXHAUSTIVE"] == "1" ? Int.max : 500
    static let depth = 9

    enum Move {
        case receive(String)
        case settle(Int, Settlement)
        case close(String)
        case open(String)
        case advance
        case leader
    }

    /// What a client remembers of one delivery.
    struct Held {
        var message: Int
        var receipt: Receipt
        var consumer: String
        /// Handed out last of all deliveries of its message, and not settled by nack or return, nor lost since.
        var isCurrent = true
    }

    struct Node {
        var world: QueueWorld
        var ids: [MessageID]
        var held: [Held] = []
        var acked: [Bool] = [false, false, false]
        var attempts: [UInt64] = [0, 0, 0]
        var fences: [UInt32] = [0, 0, 0]
        var steps = 0
    }

    private static func start() -> Node {
        var world = QueueWorld()
        world.checksSnapshots = false
        world.declare("q") {
            $0.leaseMilliseconds = 1_000
            $0.maxAttempts = 3
        }
        world.open("c1")
        world.open("c2", credit: 1)
        let keyed = world.publish("q", 2) { $0.key = "k" }
        let plain = world.publish("q", 1)
        return Node(world: world, ids: keyed + plain)
    }

    private static func moves(_ node: Node) -> [Move] {
        var moves: [Move] = [.receive("c1"), .receive("c2"), .close("c1"), .close("c2"), .advance, .leader]
        moves += [.open("c1"), .open("c2")]
        for place in node.held.indices {
            moves.append(.settle(place, .ack))
            guard node.held[place].isCurrent else { continue }
            moves.append(.settle(place, .nack(delayMilliseconds: 0, reason: "")))
            moves.append(.settle(place, .nack(delayMilliseconds: 500, reason: "")))
            moves.append(.settle(place, .giveBack(delayMilliseconds: 0)))
        }
        return moves
    }

    /// Nil when no promise is broken.
    private static func play(_ move: Move, _ node: inout Node) -> String? {
        node.steps += 1
        switch move {
        case .receive(let consumer):
            for delivery in node.world.receive("q", 1, { $0.consumer = Name(consumer) }) {
                if let fault = deliver(delivery, consumer, &node) { return fault }
            }
        case .settle(let place, let settlement):
            let held = node.held[place]
            let wasAcked = node.acked[held.message]
            let settle = Settle(queue: "q", receipts: [held.receipt], settlement: settlement)
            guard case .settled(let outcomes) = node.world.answer(.settle(settle)) else { return "no answer" }
            let isDone = outcomes == [.done]
            if isDone, wasAcked { return "a message was settled after its ack" }
            if isDone, !held.isCurrent { return "a receipt of an earlier delivery was taken" }
            if !isDone, held.isCurrent, !wasAcked { return "a good receipt was refused: \(outcomes)" }
            if wasAcked, outcomes != [.gone] { return "an acked message is \(outcomes)" }
            if isDone { node.held[place].isCurrent = false }
            if isDone, settlement == .ack { node.acked[held.message] = true }
        case .close(let consumer):
            node.world.answer(.closeConsumer(Name(consumer)))
            lose(&node) { $0.consumer == consumer }
        case .open(let consumer): node.world.open(consumer, credit: consumer == "c2" ? 1 : 100)
        case .advance:
            node.world.advance(1_000)
            let flying = node.world.peek("q", .inFlight).map(\.id)
            let ids = node.ids
            lose(&node) { !flying.contains(ids[$0.message]) }
        case .leader: node.world.term = node.world.term.next
        }
        return nil
    }

    private static func lose(_ node: inout Node, _ isLost: (Held) -> Bool) {
        for place in node.held.indices where isLost(node.held[place]) { node.held[place].isCurrent = false }
    }

    private static func deliver(_ delivery: Delivery, _ consumer: String, _ node: inout Node) -> String? {
        guard let message = node.ids.firstIndex(of: delivery.id) else { return "a phantom: \(delivery.id)" }
        if node.acked[message] { return "delivered after a confirmed ack" }
        if delivery.attempt < node.attempts[message] { return "attempts fell" }
        if delivery.receipt.delivery <= node.fences[message] { return "the fence did not rise" }
        if node.held.contains(where: { $0.message == message && $0.isCurrent }) { return "delivered twice at a time" }
        if message < 2, node.held.contains(where: { $0.message < 2 && $0.isCurrent }) {
            return "two of one key in flight"
        }
        let firstIsOver = node.acked[0] || node.world.peek("q", .dead).contains { $0.id == node.ids[0] }
        if message == 1, !firstIsOver { return "the second of a key came before the first was done" }
        if consumer == "c2", node.held.contains(where: { $0.consumer == "c2" && $0.isCurrent }) {
            return "above its credit"
        }
        if delivery.attempt > 1, delivery.cause == .none { return "a further delivery is not explained" }
        node.attempts[message] = delivery.attempt
        node.fences[message] = delivery.receipt.delivery
        node.held.append(Held(message: message, receipt: delivery.receipt, consumer: consumer))
        return nil
    }

    /// What matters of a state for what can follow; entries, stamps and fences are left out.
    private static func key(_ node: Node) -> String {
        let states = node.ids.map { id -> String in
            guard case .message(let view?) = node.world.state.query(.message("q", id), stamp: node.world.stamp) else {
                return "-"
            }
            let left = view.due.map { $0 - min($0, node.world.stamp) } ?? 0
            return "\(view.state.rawValue)/\(view.failures)/\(view.consumer)/\(left)"
        }
        let held = node.held.suffix(4).map { "\($0.message)\($0.consumer)\($0.isCurrent)" }
        return (states + held).joined(separator: " ")
            + " \(node.world.state.consumerCount) \(node.world.term.rawValue % 2)"
    }

    @Test("no history of a small world breaks a promise")
    func exhaustive() {
        var seen: Set<String> = []
        var queue = [Self.start()]
        var next = 0
        while next < queue.count, next < Self.limit {
            let here = queue[next]
            next += 1
            here.world.checkSnapshot()
            guard here.steps < Self.depth else { continue }
            for move in Self.moves(here) {
                var there = here
                if let fault = Self.play(move, &there) {
                    Issue.record("\(fault) by \(move) after \(Self.key(here))")
                    return
                }
                if seen.insert(Self.key(there)).inserted { queue.append(there) }
            }
        }
        #expect(next >= min(Self.limit, 500), "\(next) states")
    }
}
