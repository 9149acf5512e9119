// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import Testing

@Suite("Lock timekeeper")
struct LockTimekeeperTests {
    private static func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    private static func due(_ keeper: inout LockTimekeeper, _ milliseconds: UInt64) -> [LockCommand] {
        var commands: [LockCommand] = []
        keeper.due(at(milliseconds), into: &commands)
        return commands
    }

    private static let session = SessionID("s1")

    private static func leading() -> (LockTimekeeper, LockWorld) {
        var keeper = LockTimekeeper()
        var world = LockWorld()
        keeper.lead(world.state, term: Term(1), now: at(0))
        let effects = world.apply(
            .openSession(OpenSession(id: session, ttlMilliseconds: 5_000, lockDelayMilliseconds: 2_000))
        )
        keeper.observe(effects.timers, now: at(0))
        return (keeper, world)
    }

    @Test("waits that end long before their deadline do not pile up, and no deadline is lost by that")
    func trimming() {
        var (keeper, _) = Self.leading()
        for number in 1...100_000 as ClosedRange<UInt64> {
            let request = RequestID(origin: 3, number: number)
            keeper.observe([.waitBegan(request, milliseconds: 3_600_000)], now: Self.at(0))
            if number % 1_000 != 0 { keeper.observe([.waitEnded(request)], now: Self.at(0)) }
        }
        #expect(keeper.heapCount < 3_000)
        #expect(Self.due(&keeper, 5_000) == [.expireSession(Self.session, opened: LogIndex(1), term: Term(1))])
        let ended = Self.due(&keeper, 3_600_000).compactMap { command in
            if case .timeoutWait(let request, _) = command { request.number } else { nil }
        }
        #expect(ended == (1...100).map { $0 * 1_000 }, "in the order in which they began")
    }

    @Test("a session is expired when its TTL runs out unrenewed, in the leader's term")
    func expiry() {
        var (keeper, world) = Self.leading()
        #expect(Self.due(&keeper, 4_999).isEmpty)
        #expect(keeper.renew(Self.session, now: Self.at(4_000)) == 5_000)
        #expect(Self.due(&keeper, 8_999).isEmpty)
        #expect(keeper.remaining(Self.session, now: Self.at(8_000)) == .milliseconds(1_000))
        let commands = Self.due(&keeper, 9_000)
        #expect(commands == [.expireSession(Self.session, opened: LogIndex(1), term: Term(1))])
        let effects = world.apply(commands[0], isInternal: true)
        keeper.observe(effects.timers, now: Self.at(9_000))
        #expect(keeper.remaining(Self.session, now: Self.at(9_000)) == nil)
        #expect(Self.due(&keeper, 60_000).isEmpty)
    }

    @Test("a proposed expiry blocks renewals until it is resolved, and is proposed again when it got lost")
    func expiringBlocksRenewal() {
        var (keeper, _) = Self.leading()
        #expect(Self.due(&keeper, 5_000).count == 1)
        #expect(keeper.isExpiring(Self.session))
        #expect(keeper.renew(Self.session, now: Self.at(5_000)) == nil)
        #expect(keeper.remaining(Self.session, now: Self.at(5_000)) == .zero)
        #expect(Self.due(&keeper, 5_500).isEmpty)
        #expect(Self.due(&keeper, 6_000).count == 1)
        keeper.observe([.sessionEnded(Self.session)], now: Self.at(6_000))
        // Opened anew under the same id: a new lease, and the old command is not handed out again.
        keeper.observe([.sessionOpened(Self.session, opened: LogIndex(9), ttlMilliseconds: 5_000)], now: Self.at(6_500))
        #expect(keeper.renew(Self.session, now: Self.at(7_000)) == 5_000)
        #expect(Self.due(&keeper, 11_999).isEmpty)
        #expect(Self.due(&keeper, 12_000) == [.expireSession(Self.session, opened: LogIndex(9), term: Term(1))])
    }

    @Test("a new leader grants every session, timed wait and lock-delay the whole time again")
    func newLeader() {
        var (old, world) = Self.leading()
        world.open("s2")
        world.open("s3")
        world.acquire("s1", "a")
        world.acquire("s2", "b")
        world.acquire("s3", "b", wait: .milliseconds(3_000))
        let waiting = LockWorld.request(world.index)
        world.apply(.expireSession(Self.session, term: world.term))
        let began = LogIndex(world.index)

        old.stopLeading()
        #expect(!old.isLeading && old.nextDeadline == nil)
        #expect(old.renew(SessionID("s2"), now: Self.at(0)) == nil)

        var keeper = LockTimekeeper()
        keeper.lead(world.state, term: Term(7), now: Self.at(100_000))
        #expect(Self.due(&keeper, 101_999).isEmpty)
        #expect(
            Self.due(&keeper, 102_000)
                == [.endLockDelay(namespace: "default", name: "a", began: began, term: Term(7))]
        )
        keeper.observe([.lockDelayEnded(namespace: "default", name: "a")], now: Self.at(102_000))
        #expect(Self.due(&keeper, 103_000) == [.timeoutWait(waiting, term: Term(7))])
        keeper.observe([.waitEnded(waiting)], now: Self.at(103_000))
        #expect(Self.due(&keeper, 110_000).count == 2)
    }

    @Test("a time-out ends the wait, a wait that ended in time gets none")
    func waits() {
        var (keeper, world) = Self.leading()
        world.open("s2")
        world.acquire("s1", "a")
        let effects = world.apply(
            .acquire(
                Acquire(
                    session: SessionID("s2"),
                    items: [AcquireItem(name: "a", mode: .shared)],
                    wait: .milliseconds(1_000)
                )
            )
        )
        keeper.observe(effects.timers, now: Self.at(0))
        let commands = Self.due(&keeper, 1_000)
        #expect(commands == [.timeoutWait(LockWorld.request(world.index), term: Term(1))])
        let ended = world.apply(commands[0], isInternal: true)
        #expect(ended.responses.count == 1)
        keeper.observe(ended.timers, now: Self.at(1_000))
        #expect(Self.due(&keeper, 4_000).isEmpty)
    }

    @Test("renewing often keeps one heap entry")
    func renewals() {
        var (keeper, _) = Self.leading()
        for step in UInt64(1)...10_000 { _ = keeper.renew(Self.session, now: Self.at(step)) }
        #expect(keeper.nextDeadline == Self.at(5_000))
        #expect(Self.due(&keeper, 5_000).isEmpty)
        #expect(keeper.nextDeadline == Self.at(15_000))
    }
}
