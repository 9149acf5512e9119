// SPDX-License-Identifier: Apache-2.0
import Foundation
import LockCore
import Primitives
import ScriptTesting
import Testing

@Suite("Lock scripts")
struct LockScriptTests {
    static let scripts: [String] = {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Scripts").path
        return ((try? Script.all(in: folder)) ?? []).map(\.path)
    }()

    @Test("every script prints what it says", arguments: scripts)
    func script(path: String) throws {
        var interpreter = LockInterpreter()
        let failures = try Script(path: path).run { interpreter.run($0) }
        #expect(failures.isEmpty, "\(failures.map(\.description).joined(separator: "\n\n"))")
    }

    @Test("there are scripts") func scriptsExist() { #expect(!Self.scripts.isEmpty) }
}

/// The commands of the lock scripts. Entry n of the log is request `rn`; its grants have token n.
struct LockInterpreter {
    var world = LockWorld()
    var printsEvents = false

    mutating func run(_ command: Command) -> String {
        switch command.name {
        case "events":
            printsEvents = command[0] == "on"
            return ""
        case "term":
            world.term = Term(UInt64(command[0]) ?? 0)
            return ""
        case "advance":
            world.stamp += UInt64(command[0]) ?? 0
            return ""
        case "restart":
            world.restart()
            return ""
        case "show": return show(command[0], namespace: Name(command.option("namespace") ?? "default"))
        case "leader": return describe(query(.electionLeader(namespace: .defaultNamespace, name: Name(command[0]))))
        case "check":
            let token = UInt64(command[1]) ?? 0
            return describe(query(.check(namespace: .defaultNamespace, name: Name(command[0]), token: token)))
        case "session": return describe(query(.session(SessionID(command[0]))))
        case "list":
            let namespace = Name(command.option("namespace") ?? "default")
            return describe(query(.list(namespace: namespace, prefix: command[0], cursor: 0, limit: 100)))
        case "owner-waits":
            return world.state.ownerWaits().map { "\($0.waiter) waits for \($0.holder) with r\($0.request.number)" }
                .joined(separator: "\n")
        default:
            guard let change = change(command) else { return "what is: \(command.text)" }
            let effects = world.apply(change, isInternal: command.name == "timeout" || command.name == "expire")
            return describe(effects)
        }
    }

    private func query(_ query: LockQuery) -> LockResponse { world.state.query(query, stamp: world.stamp) }

    private func change(_ command: Command) -> LockCommand? {
        let session = SessionID(command[0])
        let name = Name(command[1])
        let term = Term(command.number("term") ?? world.term.rawValue)
        let request = LockWorld.request(UInt64(command[0].dropFirst()) ?? 0)
        switch command.name {
        case "open":
            return .openSession(
                OpenSession(
                    id: session,
                    ttlMilliseconds: command.number("ttl") ?? 10_000,
                    label: command.option("label") ?? "",
                    owner: command.option("owner") ?? "",
                    lockDelayMilliseconds: command.number("delay") ?? 0
                )
            )
        case "close": return .closeSession(session)
        case "expire": return .expireSession(session, term: term)
        case "acquire", "semaphore", "campaign": return .acquire(acquire(command))
        case "convert":
            return .convert(
                Convert(
                    session: session,
                    name: name,
                    mode: mode(command[2]),
                    wait: wait(command),
                    sequence: command.number("sequence")
                )
            )
        case "release", "resign", "give":
            let kind: ObjectKind =
                command.name == "resign" ? .election : command.name == "give" ? .semaphore : .lock
            return .release(
                Release(
                    session: session,
                    kind: kind,
                    name: name,
                    permits: command.number("permits") ?? 1,
                    sequence: command.number("sequence")
                )
            )
        case "break":
            return .breakLock(namespace: .defaultNamespace, name: Name(command[0]), reason: command[1])
        case "cancel": return .cancel(request)
        case "timeout": return .timeoutWait(request, term: term)
        case "end-delay":
            return .endLockDelay(namespace: .defaultNamespace, name: Name(command[0]), term: term)
        case "abort": return .abortWait(request, cycle: [])
        default: return nil
        }
    }

    /// `acquire s1 a x` or, for several, `acquire s1 a:x b:s`.
    private func acquire(_ command: Command) -> Acquire {
        var acquire = Acquire(
            session: SessionID(command[0]),
            items: [],
            wait: wait(command),
            priority: Int64(command.option("priority") ?? "") ?? 0,
            permits: command.number("permits") ?? 1,
            limit: command.number("limit") ?? 1,
            value: Array((command.option("value") ?? "").utf8),
            sequence: command.number("sequence")
        )
        switch command.name {
        case "semaphore": acquire.kind = .semaphore
        case "campaign": acquire.kind = .election
        default: break
        }
        if command[1].contains(":") {
            acquire.items = command.arguments.dropFirst().map { item in
                let parts = item.split(separator: ":").map(String.init)
                return AcquireItem(name: Name(parts[0]), mode: mode(parts[1]))
            }
        } else {
            acquire.items = [AcquireItem(name: Name(command[1]), mode: mode(command[2]))]
        }
        return acquire
    }

    private func mode(_ text: String) -> LockMode {
        switch text {
        case "s": .shared
        case "u": .update
        default: .exclusive
        }
    }

    private func wait(_ command: Command) -> Wait {
        guard let text = command.option("wait") else { return .none }
        return UInt64(text).map { .milliseconds($0) } ?? .forever
    }
}

extension LockInterpreter {
    private func describe(_ effects: LockEffects) -> String {
        var lines = printsEvents ? effects.events.map(describe) : []
        let own = LockWorld.request(world.index)
        lines += effects.responses.map { answer in
            (answer.request == own ? "" : "r\(answer.request.number): ") + describe(answer.response)
        }
        if lines.isEmpty { lines = ["(nothing)"] }
        return lines.joined(separator: "\n")
    }

    private func describe(_ response: LockResponse) -> String {
        switch response {
        case .sessionOpened(let session, let ttl): return "opened \(session) ttl=\(ttl)"
        case .sessionClosed(let count): return "closed, \(count) released"
        case .granted(let tokens, let holds):
            return "granted token=\(tokens.map(String.init).joined(separator: ",")) holds=\(holds)"
        case .notAcquired(let holders):
            return "not acquired; held by " + holders.map { "\($0.session):\(letter($0.mode))" }.joined(separator: " ")
        case .converted(let token): return "converted token=\(token)"
        case .released(let left): return "released, \(left) left"
        case .broken(let holders): return "broken, \(holders) holders"
        case .cancelled(let found): return found ? "cancelled" : "nothing to cancel"
        case .refused(.deadlock(let cycle)): return "deadlock " + describe(cycle)
        case .refused(let refusal): return "refused \(refusal)"
        case .session(let view?):
            return "held: \(view.held.map(\.text)) waiting: \(view.waiting.map(\.text)) owner: \(view.owner)"
        case .list(let views, _): return views.map(describe).joined(separator: "\n")
        case .check(let current): return current ? "current" : "stale"
        case .electionLeader(let session, let value, let token):
            return "\(session) says \(String(decoding: value, as: UTF8.self)) token=\(token)"
        case .noElectionLeader: return "no leader"
        default: return "\(response)"
        }
    }

    private func describe(_ cycle: [CycleEdge]) -> String {
        cycle.map { "\($0.session) wants \($0.name):\(letter($0.mode)) (r\($0.request.number))" }
            .joined(separator: " → ")
    }

    private func describe(_ event: LockEvent) -> String {
        switch event {
        case .granted(_, let name, let session, let mode, let token):
            return "event: \(name) to \(session) \(letter(mode)) token=\(token)"
        case .released(_, let name, let session): return "event: \(name) from \(session)"
        case .queued(_, let name, let session, let mode): return "event: \(session) queued for \(name) \(letter(mode))"
        case .broken(_, let name, let reason): return "event: \(name) broken: \(reason)"
        case .deadlock(_, let cycle, let victim): return "event: deadlock of \(cycle.count), victim r\(victim.number)"
        case .sessionOpened(let session): return "event: session \(session)"
        case .sessionEnded(let session, let end): return "event: session \(session) \(end)"
        }
    }

    private func show(_ name: String, namespace: Name) -> String {
        world.view(name, namespace: namespace).map(describe) ?? "idle"
    }

    private func describe(_ view: ObjectView) -> String {
        var text = "\(view.name)"
        if view.kind == .semaphore { text += " limit=\(view.limit)" }
        let holders = view.holders.map { holder in
            "\(holder.session):\(letter(holder.mode))" + (holder.count > 1 ? "×\(holder.count)" : "")
        }
        let waiters = view.waiters.map { "\($0.session):\(letter($0.mode))" + ($0.isConversion ? "!" : "") }
        text += " held [\(holders.joined(separator: " "))] line [\(waiters.joined(separator: " "))]"
        return view.isDelayed ? text + " delayed" : text
    }

    private func letter(_ mode: LockMode) -> String {
        switch mode {
        case .shared: "s"
        case .update: "u"
        case .exclusive: "x"
        }
    }
}
