// SPDX-License-Identifier: Apache-2.0
import Foundation
import LockCore
import Primitives
import Testing

/// The lock state and the model side by side: every command goes to both, and they must agree on the answer, on who
/// holds and who waits in which order, on every deadlock and on nothing that is none.
struct LockDuel {
    enum Move: Equatable {
        case open(String)
        case acquire(String, [AcquireItem], waits: Bool)
        case permits(String, String, UInt64, waits: Bool)
        case convert(String, String, LockMode, waits: Bool)
        case release(String, String)
        case give(String, String, UInt64)
        case close(String)
        case expire(String)
        case endDelay(String)
        case breakLock(String)
        case cancel(UInt64)
    }

    static let semaphoreLimit: UInt64 = 3

    var world = LockWorld()
    var model = LockModel()
    var names: [String]
    /// Sessions whose locks are delayed after expiry.
    var delaying: [String] = []
    /// Highest token granted per name and mode.
    private var tokens: [String: UInt64] = [:]
    private(set) var deadlocks = 0

    init(names: [String]) { self.names = names }

    /// The name without its namespace.
    static func short(_ name: String) -> String {
        name.firstIndex(of: "/").map { String(name[name.index(after: $0)...]) } ?? name
    }

    static func isSemaphore(_ name: String) -> Bool { "pq".contains(short(name)) }

    /// Nil when both agree.
    mutating func play(_ move: Move) -> String? {
        let effects = world.apply(command(move))
        let answer = effects.responses.first { $0.request == LockWorld.request(world.index) }?.response
        if let fault = answeredOnce(effects) { return fault }

        let verdict = verdict(move)
        var stuck = model.deadlocked()
        for event in effects.events {
            guard case .deadlock(_, let cycle, let victim) = event else { continue }
            deadlocks += 1
            // The second upgrader is refused at once, and shared upgraders give way to an update holder: the model has
            // done that by rule.
            guard model.requests.contains(where: { $0.number == victim.number }) else { continue }
            for edge in cycle where !stuck.contains(edge.session.name.text) {
                return "\(edge.session) is in a reported cycle and not deadlocked"
            }
            model.requests.removeAll { $0.number == victim.number }
            stuck = model.deadlocked()
        }
        if !stuck.isEmpty { return "undetected deadlock of \(stuck)" }
        let granted = model.settle()
        for number in granted
        where !effects.responses.contains(where: { $0.request.number == number && $0.response.isGrant }) {
            return "r\(number) should have been granted"
        }
        if let fault = compareAnswer(answer, verdict, effects) { return "\(move): \(fault)" }
        return (compareState() ?? compareTokens(effects)).map { "\(move): \($0)" }
    }

    private func answeredOnce(_ effects: LockEffects) -> String? {
        var seen: [UInt64] = []
        for answer in effects.responses {
            if seen.contains(answer.request.number) { return "r\(answer.request.number) was answered twice" }
            seen.append(answer.request.number)
        }
        return nil
    }

    private func compareAnswer(_ answer: LockResponse?, _ verdict: LockModel.Verdict?, _ effects: LockEffects)
        -> String?
    {
        guard let verdict else { return nil }
        switch (verdict, answer) {
        case (.granted, .granted?), (.granted, .converted?), (.notAcquired, .notAcquired?), (.refused, .refused?):
            return nil
        case (.released(let left), .released(let real)?) where left == real: return nil
        case (.waits, nil), (.waits, .refused(.deadlock)?): return nil
        // A victim's place in front may have been what it waited for.
        case (.waits, .granted?), (.waits, .converted?): return nil
        default: return "expected \(verdict), got \(String(describing: answer))"
        }
    }

    private func compareState() -> String? {
        for name in names {
            let view = world.view(Self.short(name), namespace: Name(LockModel.namespace(name)))
            let real = (view?.holders ?? []).map { "\($0.session) \($0.mode) \($0.count)" }.sorted()
            let expected = model.holds.filter { $0.name == name }.map { "\($0.session) \($0.mode) \($0.count)" }
                .sorted()
            if real != expected { return "\(name) is held by \(real), not \(expected)" }
            let line = (view?.waiters ?? []).map { $0.request.number }
            let expectedLine = model.line(name).map(\.number)
            if line != expectedLine { return "the line of \(name) is \(line), not \(expectedLine)" }
            if (view?.isDelayed ?? false) != model.delayed.contains(name) { return "\(name): delay differs" }
        }
        return nil
    }

    /// Of two conflicting grants of one lock the later has the higher token.
    private mutating func compareTokens(_ effects: LockEffects) -> String? {
        for event in effects.events {
            guard case .granted(let namespace, let short, _, let mode, let token) = event, token == world.index else {
                continue
            }
            let name = "\(namespace)/\(short)"
            for other in LockMode.allCases where !mode.isCompatible(with: other) {
                let last = tokens["\(name) \(other)"] ?? 0
                if token <= last { return "token \(token) of \(name) is not above \(last)" }
            }
        }
        for event in effects.events {
            guard case .granted(let namespace, let short, _, let mode, let token) = event else { continue }
            let name = "\(namespace)/\(short)"
            tokens["\(name) \(mode)"] = max(token, tokens["\(name) \(mode)"] ?? 0)
        }
        return nil
    }
}

extension LockDuel {
    private func command(_ move: Move) -> LockCommand {
        switch move {
        case .open(let session):
            return .openSession(
                OpenSession(
                    id: SessionID(session),
                    ttlMilliseconds: 10_000,
                    owner: model.owners.first { $0.session == session }?.owner ?? "",
                    lockDelayMilliseconds: delaying.contains(session) ? 1_000 : 0
                )
            )
        case .acquire(let session, let items, let waits):
            let short = items.map { AcquireItem(name: Name(Self.short($0.name.text)), mode: $0.mode) }
            return .acquire(Acquire(session: SessionID(session), items: short, wait: waits ? .forever : .none))
        case .permits(let session, let name, let permits, let waits):
            return .acquire(
                Acquire(
                    session: SessionID(session),
                    kind: .semaphore,
                    items: [AcquireItem(name: Name(Self.short(name)), mode: .shared)],
                    wait: waits ? .milliseconds(5_000) : .none,
                    permits: permits,
                    limit: Self.semaphoreLimit
                )
            )
        case .convert(let session, let name, let mode, let waits):
            return .convert(
                Convert(
                    session: SessionID(session),
                    name: Name(Self.short(name)),
                    mode: mode,
                    wait: waits ? .forever : .none
                )
            )
        case .release(let session, let name):
            return .release(Release(session: SessionID(session), name: Name(Self.short(name))))
        case .give(let session, let name, let permits):
            return .release(
                Release(session: SessionID(session), kind: .semaphore, name: Name(Self.short(name)), permits: permits)
            )
        case .close(let session): return .closeSession(SessionID(session))
        case .expire(let session): return .expireSession(SessionID(session), term: world.term)
        case .endDelay(let name):
            return .endLockDelay(
                namespace: Name(LockModel.namespace(name)),
                name: Name(Self.short(name)),
                term: world.term
            )
        case .breakLock(let name):
            return .breakLock(namespace: Name(LockModel.namespace(name)), name: Name(Self.short(name)), reason: "test")
        case .cancel(let number): return .cancel(LockWorld.request(number))
        }
    }

    private mutating func verdict(_ move: Move) -> LockModel.Verdict? {
        let number = world.index
        switch move {
        case .open(let session):
            if !model.sessions.contains(session) { model.sessions.append(session) }
        case .acquire(let session, let items, let waits):
            return model.acquire(.init(number: number, session: session, items: items), waits: waits)
        case .permits(let session, let name, let permits, let waits):
            let item = AcquireItem(name: Name(name), mode: .shared)
            return model.acquire(
                .init(number: number, session: session, items: [item], permits: permits),
                limit: Self.semaphoreLimit,
                waits: waits
            )
        case .convert(let session, let name, let mode, let waits):
            let item = AcquireItem(name: Name(name), mode: mode)
            return model.convert(
                .init(number: number, session: session, items: [item], isConversion: true),
                waits: waits
            )
        case .release(let session, let name): return model.release(session, name)
        case .give(let session, let name, let permits): return model.release(session, name, permits: permits)
        case .close(let session): model.end(session)
        case .expire(let session):
            let locks = model.holds.filter { $0.session == session && !Self.isSemaphore($0.name) }.map(\.name)
            if delaying.contains(session) { model.delayed += locks.filter { !model.delayed.contains($0) } }
            model.end(session)
        case .endDelay(let name): model.delayed.removeAll { $0 == name }
        case .breakLock(let name): model.breakLock(name)
        case .cancel(let number): model.requests.removeAll { $0.number == number }
        }
        return nil
    }
}

extension LockResponse {
    var isGrant: Bool {
        switch self {
        case .granted, .converted: true
        default: false
        }
    }
}

@Suite("Lock state against a model")
struct LockDifferentialTests {
    /// `SYNCLINE_SEEDS` in the environment runs more.
    static let seeds = Int(ProcessInfo.processInfo.environment["SYNCLINE_SEEDS"] ?? "") ?? 24

    @Test("random histories agree with the model", arguments: 0..<seeds)
    func random(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed) &* 7_919 &+ 1)
        let locks = ["a", "b", "c"]
        let sessions = ["s1", "s2", "s3", "s4", "s5"]
        var duel = LockDuel(names: locks + ["p", "q"])
        duel.delaying = ["s5"]
        duel.world.checksSnapshots = seed % 4 == 0
        for session in sessions { #expect(duel.play(.open(session)) == nil) }
        for step in 0..<300 {
            if seed % 4 == 0, step % 50 == 0 { duel.world.restart() }
            let move = Self.move(&random, sessions, locks, duel)
            if let fault = duel.play(move) {
                Issue.record("seed \(seed), step \(step): \(fault)")
                return
            }
        }
        if seed < 24 { #expect(duel.deadlocks > 0) }
    }

    @Test("owners of sessions in two namespaces are one agent", arguments: 0..<(seeds / 2))
    func owners(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed) &* 104_729 &+ 5)
        let locks = ["m/a", "m/b", "n/a", "n/b"]
        let sessions = ["m/s1", "m/s2", "m/s3", "n/s1", "n/s2", "n/s4"]
        var duel = LockDuel(names: locks + ["m/p", "m/q", "n/p", "n/q"])
        duel.world.checksSnapshots = false
        duel.model.owners = [
            ("m/s1", "w1"), ("n/s1", "w1"), ("m/s2", "w2"), ("n/s2", "w2"), ("m/s3", "w1"), ("n/s4", "w4"),
        ]
        for session in sessions { #expect(duel.play(.open(session)) == nil) }
        for step in 0..<300 {
            if let fault = duel.play(Self.move(&random, sessions, locks, duel)) {
                Issue.record("seed \(seed), step \(step): \(fault)")
                return
            }
        }
    }

    static func move(
        _ random: inout SeededRandom,
        _ sessions: [String],
        _ all: [String],
        _ duel: LockDuel
    ) -> LockDuel.Move {
        func pick<T>(_ from: [T], _ random: inout SeededRandom) -> T { from[Int(random.below(UInt64(from.count)))] }
        let session = pick(sessions, &random)
        let locks = all.filter { LockModel.namespace($0) == LockModel.namespace(session) }
        let prefix = session.contains("/") ? LockModel.namespace(session) + "/" : ""
        let lock = pick(locks, &random)
        let mode = pick(LockMode.allCases, &random)
        let waits = random.chance(5, in: 6)
        switch random.below(100) {
        case 0..<34: return .acquire(session, [AcquireItem(name: Name(lock), mode: mode)], waits: waits)
        case 34..<44:
            let second = pick(locks.filter { $0 != lock }, &random)
            let other = pick(LockMode.allCases, &random)
            let items = [AcquireItem(name: Name(lock), mode: mode), AcquireItem(name: Name(second), mode: other)]
            return .acquire(session, items, waits: waits)
        case 44..<54: return .permits(session, prefix + pick(["p", "q"], &random), 1 + random.below(3), waits: waits)
        case 54..<66: return .convert(session, lock, mode, waits: waits)
        case 66..<82:
            guard !duel.model.holds.isEmpty else { return .release(session, lock) }
            let hold = pick(duel.model.holds, &random)
            return LockDuel.isSemaphore(hold.name)
                ? .give(hold.session, hold.name, 1) : .release(hold.session, hold.name)
        case 82..<84: return .release(session, lock)
        case 84..<85: return .close(session)
        case 85..<87: return .expire(session)
        case 87..<93: return .open(session)
        case 93..<96: return .endDelay(lock)
        case 96..<97: return .breakLock(pick(locks + [prefix + "p"], &random))
        default:
            guard !duel.model.requests.isEmpty else { return .open(session) }
            return .cancel(pick(duel.model.requests, &random).number)
        }
    }
}
