// SPDX-License-Identifier: Apache-2.0
import Foundation
import Primitives
import QueueCore
import ScriptTesting
import Testing

@Suite("Queue scripts")
struct QueueScriptTests {
    static let scripts: [String] = {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Scripts").path
        return ((try? Script.all(in: folder)) ?? []).map(\.path)
    }()

    @Test("every script prints what it says", arguments: scripts)
    func script(path: String) throws {
        var interpreter = QueueInterpreter()
        let failures = try Script(path: path).run { interpreter.run($0) }
        #expect(failures.isEmpty, "\(failures.map(\.description).joined(separator: "\n\n"))")
    }

    @Test("there are scripts") func scriptsExist() { #expect(!Self.scripts.isEmpty) }
}

/// The commands of the queue scripts. Messages are named by their bodies' letters, receipts by message and delivery
/// (`a.2` is the second delivery of a). Entry n of the log is request `rn`.
struct QueueInterpreter {
    var world = QueueWorld()
    private var names: [(letter: String, id: MessageID)] = []
    private var receipts: [(label: String, receipt: Receipt)] = []

    init() {}

    mutating func run(_ command: Command) -> String {
        switch command.name {
        case "term":
            world.term = Term(UInt64(command[0]) ?? 0)
            return ""
        case "advance":
            let effects = world.advance(UInt64(command[0]) ?? 0)
            return describe(effects)
        case "restart":
            world.restart()
            return ""
        case "show": return show(command[0])
        case "peek":
            let states: [(String, MessageState)] = [
                ("ready", .ready), ("flight", .inFlight), ("delayed", .delayed), ("dead", .dead),
            ]
            let state = states.first { $0.0 == command[1] }?.1 ?? .ready
            return world.peek(command[0], state).map(describe).joined(separator: "\n")
        case "live":
            var ranges: [String] = []
            world.state.forEachLiveBody { range in
                ranges.append("\(range)")
                return true
            }
            return "live " + ranges.joined(separator: " ")
        default:
            guard let change = change(command) else { return "what is: \(command.text)" }
            return describe(world.apply(change))
        }
    }

    private mutating func change(_ command: Command) -> QueueCommand? {
        let queue = Name(command[0])
        let reason = command.option("reason") ?? ""
        let delay = Int64(command.option("delay") ?? "") ?? 0
        func settle(_ settlement: Settlement) -> QueueCommand {
            let wanted = command.arguments.dropFirst().map { label in
                receipts.first { $0.label == label }?.receipt
                    ?? Receipt(shard: ShardID(9), lane: 0, line: 0, message: .zero, delivery: 1)
            }
            return .settle(Settle(queue: queue, receipts: wanted, settlement: settlement))
        }
        switch command.name {
        case "declare": return .declare(queue, settings(command, QueueSettings()))
        case "update": return .update(queue, settings(command, world.view(command[0])?.settings ?? QueueSettings()))
        case "delete": return .delete(queue)
        case "publish": return .publish(publish(command))
        case "receive":
            return .receive(
                Receive(
                    queue: queue,
                    consumer: Name(command.option("consumer") ?? ""),
                    count: command.number("count") ?? 1,
                    maxBytes: command.number("bytes") ?? 0,
                    leaseMilliseconds: command.number("lease") ?? 0,
                    waitMilliseconds: command.number("wait") ?? 0
                )
            )
        case "ack": return settle(.ack)
        case "nack": return settle(.nack(delayMilliseconds: delay, reason: reason))
        case "return": return settle(.giveBack(delayMilliseconds: delay))
        case "reject": return settle(.reject(reason: reason))
        case "extend": return settle(.extend(leaseMilliseconds: command.number("lease") ?? 1_000))
        case "open":
            let credit = command.number("credit") ?? 100
            return .openConsumer(OpenConsumer(id: queue, ttlMilliseconds: 10_000, credit: credit))
        case "close": return .closeConsumer(queue)
        case "expire": return .expireConsumer(queue, term: Term(command.number("term") ?? world.term.rawValue))
        case "resume-consumer":
            return .resumeConsumer(
                queue,
                command.arguments.dropFirst().compactMap { label in receipts.first { $0.label == label }?.receipt }
            )
        case "cancel": return .cancelMessage(queue, names.first { $0.letter == command[1] }?.id ?? .zero)
        case "cancel-wait": return .cancelWait(QueueWorld.request(UInt64(command[0].dropFirst()) ?? 0))
        case "purge": return .purge(queue)
        case "pause": return .pause(queue, command[1] == "publish" ? .publish : .consume)
        case "resume": return .resume(queue, command[1] == "publish" ? .publish : .consume)
        case "redrive":
            return .redrive(
                Redrive(
                    queue: queue,
                    count: command.number("count") ?? 0,
                    rate: command.number("rate") ?? 0,
                    target: Name(command.option("to") ?? ""),
                    cause: command.option("cause").map { $0 == "rejected" ? .rejected : .attempts }
                )
            )
        case "cancel-redrive": return .cancelRedrive(queue)
        default: return nil
        }
    }

    private func settings(_ command: Command, _ from: QueueSettings) -> QueueSettings {
        var settings = from
        if let value = command.number("lanes") { settings.lanes = value }
        if let value = command.number("lease") { settings.leaseMilliseconds = value }
        if let value = command.number("attempts") { settings.maxAttempts = value }
        if let value = command.option("dead") { settings.deadLetter = Name(value) }
        if let value = command.number("length") { settings.maxLength = value }
        if let value = command.number("bytes") { settings.maxBytes = value }
        if let value = command.option("overflow") { settings.overflow = value == "drop" ? .dropOldest : .reject }
        if let value = command.number("ttl") { settings.ttlMilliseconds = value }
        if let value = command.number("dedup") { settings.dedupMilliseconds = value }
        return settings
    }

    /// `publish q a b c key=k`: one message for each letter, all with the same options.
    private mutating func publish(_ command: Command) -> Publish {
        var publish = Publish(queue: Name(command[0]), messages: [], declares: command.option("declare") != "no")
        for (ordinal, letter) in command.arguments.dropFirst().enumerated() {
            var message = QueueWorld.text(letter)
            message.key = Name(command.option("key") ?? "")
            message.tenant = Name(command.option("tenant") ?? "")
            message.priority = UInt8(command.number("priority") ?? 0)
            message.ttlMilliseconds = command.number("ttl") ?? 0
            message.dedup = Name(command.option("id") ?? "")
            if let delay = command.option("delay") { message.schedule = .after(milliseconds: Int64(delay) ?? 0) }
            if let stamp = command.number("at") { message.schedule = .at(stamp: stamp) }
            publish.messages.append(message)
            names.append((letter, MessageID(entry: LogIndex(world.index + 1), ordinal: ordinal)))
        }
        if let producer = command.option("producer") {
            publish.producer = ProducerSequence(producer: Name(producer), sequence: command.number("sequence") ?? 1)
        }
        if let lock = command.option("lock") {
            publish.guardedBy = LockGuard(
                namespace: "default",
                name: Name(lock),
                token: 5,
                isStale: command.option("stale") == "yes"
            )
        }
        return publish
    }
}

extension QueueInterpreter {
    private func letter(_ id: MessageID) -> String { names.first { $0.id == id }?.letter ?? "\(id)" }

    private mutating func describe(_ effects: QueueEffects) -> String {
        var lines: [String] = []
        for event in effects.events {
            switch event {
            case .deadLetter(let queue, let id, let cause, let reason):
                lines.append(
                    "event: \(letter(id)) died in \(queue): \(cause), \(reason.isEmpty ? "no reason" : reason)"
                )
            case .redriveEnded(let queue, let moved): lines.append("event: redrive of \(queue) ended, \(moved) moved")
            default: break
            }
        }
        let own = QueueWorld.request(world.index)
        for answer in effects.responses {
            let text = describe(answer.response)
            lines.append((answer.request == own ? "" : "r\(answer.request.number): ") + text)
        }
        let dead = effects.deadBodies.flatMap { range in
            (0..<range.count).map { MessageID(entry: range.first.entry, ordinal: range.first.ordinal + $0) }
        }
        if !dead.isEmpty { lines.append("bodies gone: " + dead.map(letter).joined(separator: " ")) }
        return lines.isEmpty ? "(nothing)" : lines.joined(separator: "\n")
    }

    private mutating func describe(_ response: QueueResponse) -> String {
        switch response {
        case .declared(let created): return created ? "declared" : "declared already"
        case .published(let published):
            return "published "
                + published.map { letter($0.id) + ($0.isDuplicate ? " again" : "") }.joined(separator: " ")
        case .received(let deliveries):
            if deliveries.isEmpty { return "nothing received" }
            return "received " + deliveries.map { describe($0) }.joined(separator: " ")
        case .settled(let outcomes): return outcomes.map { "\($0)" }.joined(separator: " ")
        case .consumerOpened: return "opened"
        case .consumerClosed(let returned): return "closed, \(returned) returned"
        case .consumerResumed(let outcomes, let returned):
            return "resumed [\(outcomes.map { "\($0)" }.joined(separator: " "))], \(returned) returned"
        case .messageCancelled(let outcome): return "\(outcome)"
        case .purged(let count): return "purged \(count)"
        case .deleted(let count): return "deleted with \(count)"
        case .pausedOrResumed: return "so be it"
        case .redrive(let moved, let left): return "redriven \(moved), \(left) left"
        case .waitCancelled(let found): return found ? "wait cancelled" : "no such wait"
        case .refused(.exists): return "refused exists"
        case .refused(let error): return "refused \(error)"
        default: return "\(response)"
        }
    }

    private mutating func describe(_ delivery: Delivery) -> String {
        let label = "\(letter(delivery.id)).\(delivery.receipt.delivery)"
        receipts.append((label, delivery.receipt))
        var notes: [String] = []
        if delivery.attempt > 1 { notes.append("attempt \(delivery.attempt)") }
        if delivery.cause != .none { notes.append("\(delivery.cause)") }
        if let dead = delivery.deadLetter { notes.append("died in \(dead.origin) after \(dead.attempts)") }
        return label + (notes.isEmpty ? "" : "(\(notes.joined(separator: ", ")))")
    }

    private func describe(_ view: MessageView) -> String {
        var text = letter(view.id)
        if view.key.byteCount > 0 { text += " key=\(view.key)" }
        if view.priority > 0 { text += " priority=\(view.priority)" }
        if view.failures + view.returns > 0 { text += " failures=\(view.failures) returns=\(view.returns)" }
        if let due = view.due { text += " in \(due - min(due, world.stamp))" }
        if let expires = view.expires { text += " expires in \(expires - min(expires, world.stamp))" }
        if view.consumer.byteCount > 0 { text += " at \(view.consumer)" }
        if let dead = view.deadLetter { text += " died in \(dead.origin): \(dead.cause) \(dead.reason)" }
        return text
    }

    private func show(_ name: String) -> String {
        guard let view = world.view(name) else { return "no queue" }
        let depth = view.depth
        var text = "ready \(depth.ready), in flight \(depth.inFlight), delayed \(depth.delayed), dead \(depth.dead)"
        text += ", bytes \(view.bytes), waiters \(view.waiters)"
        if let age = view.oldestReadyMilliseconds { text += ", oldest ready \(age) ms" }
        if let age = view.oldestInFlightMilliseconds { text += ", in flight \(age) ms" }
        return text
    }
}
