// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import Testing

/// One test per sentence of DESIGN §5 that a script does not already show.
@Suite("Lock rules")
struct LockRuleTests {
    @Test("the compatibility table is symmetric and grows from shared to exclusive")
    func table() {
        for left in LockMode.allCases {
            for right in LockMode.allCases {
                #expect(left.isCompatible(with: right) == right.isCompatible(with: left))
                guard left.covers(right) else { continue }
                for other in LockMode.allCases where left.isCompatible(with: other) {
                    #expect(right.isCompatible(with: other))
                }
            }
        }
    }

    @Test("the token is the grant's log index, and rises even when the name was idle between")
    func tokens() throws {
        var world = LockWorld()
        world.open("s1")
        var last: UInt64 = 0
        for _ in 0..<5 {
            let token = try #require(world.acquire("s1", "a")?.token)
            #expect(token == world.index && token > last)
            last = token
            #expect(world.release("s1", "a") == .released(left: 0))
            #expect(world.state.objectCount == 0)
        }
    }

    @Test("a grant happens at apply and rechecks the session: the waits of an ended session are gone")
    func deadWaiter() {
        var world = LockWorld()
        for session in ["s1", "s2", "s3"] { world.open(session) }
        world.acquire("s1", "a")
        world.acquire("s2", "a", wait: .forever)
        world.acquire("s3", "a", wait: .forever)
        world.apply(.expireSession(SessionID("s2"), term: world.term))
        let effects = world.apply(.expireSession(SessionID("s1"), term: world.term))
        #expect(world.holders("a") == ["s3"])
        #expect(effects.responses.contains { $0.response.isGrant })
    }

    @Test("an expiry proposed by a leader of another term, or for an earlier opening, does nothing")
    func staleExpiry() {
        var world = LockWorld()
        world.open("s1")
        let first = LogIndex(world.index)
        world.acquire("s1", "a")
        world.apply(.expireSession(SessionID("s1"), opened: first, term: Term(0)))
        world.apply(.expireSession(SessionID("s1"), opened: first, term: Term(2)))
        #expect(world.holders("a") == ["s1"])
        world.apply(.closeSession(SessionID("s1")))
        world.open("s1")
        world.acquire("s1", "a")
        world.apply(.expireSession(SessionID("s1"), opened: first, term: world.term))
        #expect(world.holders("a") == ["s1"])
        world.apply(.expireSession(SessionID("s1"), term: world.term))
        #expect(world.view("a") == nil)
    }

    @Test("a later lock-delay of the same lock is not ended by an earlier one's command")
    func overlappingDelays() {
        var world = LockWorld()
        world.open("d1", delay: 1_000)
        world.open("d2", delay: 500)
        world.acquire("d1", "a", .shared)
        world.acquire("d2", "a", .shared)
        world.apply(.expireSession(SessionID("d1"), term: world.term))
        let first = LogIndex(world.index)
        let effects = world.apply(.expireSession(SessionID("d2"), term: world.term))
        // The longer delay stays in force and counts anew.
        #expect(
            effects.timers.contains(
                .lockDelayBegan(namespace: "default", name: "a", began: LogIndex(world.index), milliseconds: 1_000)
            )
        )
        let second = LogIndex(world.index)
        world.apply(.endLockDelay(namespace: "default", name: "a", began: first, term: world.term))
        #expect(world.view("a")?.isDelayed == true)
        world.apply(.endLockDelay(namespace: "default", name: "a", began: second, term: world.term))
        #expect(world.view("a") == nil)
    }

    @Test("quotas refuse with the reason")
    func quotas() {
        var limits = LockLimits()
        limits.sessionsPerNamespace = 2
        limits.locksPerNamespace = 3
        limits.waitersPerLock = 1
        limits.holdsPerSession = 2
        limits.waitsPerSession = 1
        limits.namespaces = 2
        var world = LockWorld(limits: limits)
        world.open("s1")
        world.open("s2")
        #expect(world.open("s3").isLimit)
        world.open("n/s1")
        #expect(world.open("m/s1").isLimit)
        world.acquire("s1", "a")
        world.acquire("s1", "b")
        #expect(world.acquire("s1", "c").isLimit)
        world.acquire("s2", "c")
        #expect(world.acquire("s2", "d").isLimit)
        #expect(world.acquire("s2", "a", wait: .forever) == nil)
        #expect(world.acquire("s2", "b", wait: .forever).isLimit)
        world.apply(.closeSession(SessionID("n/s1")))
        #expect(world.open("m/s1").isLimit == false)
        world.open("m/s2")
        world.acquire("m/s1", "a")
        // Namespaces are apart: the same name is another lock.
        #expect(world.holders("a") == ["s1"])
        #expect(world.view("a", namespace: "m")?.holders.map(\.session) == [SessionID("m/s1")])
    }

    @Test("commands that can never be carried out are refused")
    func validation() {
        let state = LockState()
        func open(_ id: String, ttl: UInt64 = 10_000, delay: UInt64 = 0, label: Int = 0) -> LockCommand {
            .openSession(
                OpenSession(
                    id: SessionID(id),
                    ttlMilliseconds: ttl,
                    label: String(repeating: "l", count: label),
                    lockDelayMilliseconds: delay
                )
            )
        }
        func acquire(
            _ names: [String],
            _ kind: ObjectKind = .lock,
            wait: Wait = .none,
            permits: UInt64 = 1,
            limit: UInt64 = 1,
            sequence: UInt64? = nil,
            value: Int = 0
        ) -> LockCommand {
            .acquire(
                Acquire(
                    session: SessionID("s"),
                    kind: kind,
                    items: names.map { AcquireItem(name: Name($0), mode: .shared) },
                    wait: wait,
                    permits: permits,
                    limit: limit,
                    value: Array(repeating: 0, count: value),
                    sequence: sequence
                )
            )
        }
        let long = String(repeating: "n", count: 513)
        let bad: [LockCommand] = [
            open(""), open(long), open("/s"), open("n/"), open(String(repeating: "n", count: 129) + "/s"),
            open("s", ttl: 999), open("s", ttl: 3_600_001), open("s", delay: 60_001), open("s", label: 257),
            acquire([]), acquire([""]), acquire([long]), acquire(["a", "b", "a"]), acquire((0..<129).map { "\($0)" }),
            acquire(["a", "b"], .election), acquire(["a"], wait: .milliseconds(604_800_001)),
            acquire(["a"], sequence: 0),
            acquire(["a"], .election, value: 4_097), acquire(["a"], .semaphore, limit: 0),
            acquire(["a"], .semaphore, permits: 0), acquire(["a"], .semaphore, permits: 2, limit: 1),
            acquire(["a"], .semaphore, limit: .max), .closeSession(SessionID("")),
            .release(Release(session: SessionID("s"), kind: .semaphore, name: "a", permits: 0)),
            .breakLock(namespace: "a/b", name: "a", reason: ""), .breakLock(namespace: "", name: "a", reason: ""),
            .breakLock(namespace: "n", name: "a", reason: String(repeating: "r", count: 1_025)),
        ]
        for command in bad {
            #expect(state.validate(command) != nil, "\(command)")
            var world = LockWorld()
            #expect(world.answer(command).isInvalid)
        }
        for command in [
            open("s"), open("n/s/t", ttl: 1_000, delay: 60_000, label: 256),
            acquire(["a", "b"], wait: .milliseconds(604_800_000)), acquire(["a"], .semaphore, permits: 3, limit: 3),
            acquire([String(repeating: "n", count: 512)], sequence: 1),
        ] { #expect(state.validate(command) == nil) }
    }

    @Test("a sequence number below the remembered results is stale, one within gets the first result")
    func sequences() {
        var world = LockWorld()
        world.open("s1")
        for sequence in UInt64(1)...100 { world.acquire("s1", "a", sequence: sequence) }
        #expect(world.view("a")?.holders.first?.count == 100)
        #expect(world.acquire("s1", "a", sequence: 36) == .refused(.staleSequence))
        #expect(world.acquire("s1", "a", sequence: 37) == .granted(tokens: [2], holds: 37))
        #expect(world.acquire("s1", "a", sequence: 100) == .granted(tokens: [2], holds: 100))
        #expect(world.view("a")?.holders.first?.count == 100)
    }

    @Test("a retry of a waiting request takes over its place, time limit and answer")
    func reattach() {
        var world = LockWorld()
        for session in ["s1", "s2", "s3"] { world.open(session) }
        world.acquire("s1", "a")
        world.acquire("s2", "a", wait: .milliseconds(700), sequence: 9)
        let first = LockWorld.request(world.index)
        world.acquire("s3", "a", wait: .forever)
        let effects = world.apply(
            .acquire(
                Acquire(
                    session: SessionID("s2"),
                    items: [AcquireItem(name: "a", mode: .exclusive)],
                    wait: .milliseconds(700),
                    sequence: 9
                )
            )
        )
        let second = LockWorld.request(world.index)
        #expect(effects.responses.map(\.request) == [first])
        #expect(effects.timers == [.waitEnded(first), .waitBegan(second, milliseconds: 700)])
        #expect(world.waiters("a") == ["s2", "s3"])
        let granted = world.apply(.release(Release(session: SessionID("s1"), name: "a")))
        #expect(granted.responses.contains { $0.request == second && $0.response.isGrant })
    }

    @Test("leader's own commands get no answer; each other command exactly one")
    func answers() {
        var world = LockWorld()
        world.open("s1")
        #expect(world.apply(.expireSession(SessionID("nobody"), term: Term(1)), isInternal: true).responses.isEmpty)
        #expect(world.apply(.cancel(LockWorld.request(77))).responses.count == 1)
        #expect(world.apply(.abortWait(LockWorld.request(77), cycle: [])).responses.count == 1)
    }

    @Test("listings page by slot with bounded work and skip other prefixes and namespaces")
    func listing() {
        var world = LockWorld()
        world.checksSnapshots = false
        world.open("s1")
        world.open("n/s1")
        for number in 0..<25 { world.acquire("s1", "a\(number)") }
        for number in 0..<5 { world.acquire("n/s1", "a\(number)") }
        world.acquire("s1", "b")
        var names: [Name] = []
        var cursor: UInt64 = 0
        var pages = 0
        repeat {
            let query = LockQuery.list(namespace: .defaultNamespace, prefix: "a", cursor: cursor, limit: 10)
            guard case .list(let views, let next) = world.state.query(query, stamp: 0) else { return }
            names += views.map(\.name)
            cursor = next
            pages += 1
        } while cursor != 0
        #expect(names == (0..<25).map { Name("a\($0)") } && pages >= 3)
        let far = LockQuery.list(namespace: .defaultNamespace, prefix: "", cursor: .max, limit: .max)
        #expect(world.state.query(far, stamp: 0) == .list([], cursor: 0))
        let sessions = LockQuery.sessions(namespace: "n", cursor: 0, limit: 0)
        guard case .sessions(let views, _) = world.state.query(sessions, stamp: 0) else { return }
        #expect(views.first?.heldCount == 5)
    }

    @Test("two states fed the same commands digest alike, and one command more tells")
    func digests() {
        var worlds = [LockWorld(), LockWorld()]
        for at in worlds.indices {
            worlds[at].open("s1")
            worlds[at].acquire("s1", "a")
        }
        #expect(worlds[0].state.digest == worlds[1].state.digest)
        worlds[0].restart()
        worlds[0].release("s1", "a")
        worlds[1].acquire("s1", "a")
        #expect(worlds[0].state.digest != worlds[1].state.digest)
    }

    @Test("a cycle of many sessions is reported whole, and one victim is enough")
    func longCycle() throws {
        var world = LockWorld()
        world.checksSnapshots = false
        let count = 40
        for number in 0..<count {
            world.open("s\(number)", label: "l\(number)")
            world.acquire("s\(number)", "k\(number)")
        }
        for number in 0..<(count - 1) {
            #expect(world.acquire("s\(number)", "k\(number + 1)", wait: .forever) == nil)
        }
        let answer = world.acquire("s\(count - 1)", "k0", wait: .forever)
        let cycle = try #require(answer?.cycle)
        #expect(Set(cycle.map(\.session)).count == count && cycle.count == count)
        #expect(world.state.waiterCount == count - 1)
    }
}

extension LockResponse? {
    var isLimit: Bool { if case .refused(.limit)? = self { true } else { false } }
    var isInvalid: Bool { if case .refused(.invalid)? = self { true } else { false } }
}
