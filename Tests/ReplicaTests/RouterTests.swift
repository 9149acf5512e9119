// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import RaftCore
import Replica
import Testing

@Suite("Router")
struct RouterTests {
    let own = NodeID(1)
    let second = NodeID(2)
    let third = NodeID(3)
    let start = Instant.zero + .milliseconds(1_000)

    private func makeRouter(limit: Int = 100) -> Router {
        var configuration = RouterConfiguration(node: own, origin: 7, placement: [[own, second, third]])
        configuration.maxPendingPerShard = limit
        return Router(configuration: configuration)
    }

    private func release(_ name: String) -> Request {
        .command(.release(Release(session: SessionID("s"), name: Name(name))))
    }

    private func acquire(_ wait: Wait) -> Request {
        .command(
            .acquire(Acquire(session: SessionID("s"), items: [AcquireItem(name: "a", mode: .exclusive)], wait: wait))
        )
    }

    @Test("a request goes to the known leader and its answer to its caller, once")
    func answersOnce() {
        var router = makeRouter()
        var effects = RouterEffects()
        router.leaderChanged(.system, to: second, now: start, into: &effects)
        router.submit(release("a"), caller: CallerToken(9), timeout: nil, now: start, into: &effects)
        #expect(effects.send.count == 1)
        #expect(effects.send[0].to == second)
        let id = effects.send[0].request.id
        for _ in 0..<2 {
            router.receive(
                .answer(.lock(.released(left: 0))),
                shard: .system,
                id: id,
                from: second,
                now: start,
                into: &effects
            )
        }
        #expect(effects.completed.count == 1)
        #expect(effects.completed[0].caller == CallerToken(9))
        #expect(router.pendingCount == 0)
    }

    @Test("a refusal after an earlier try does not say that nothing was done: that try may be in the log")
    func busyAfterRetry() {
        var router = makeRouter()
        var effects = RouterEffects()
        router.leaderChanged(.system, to: second, now: start, into: &effects)
        router.submit(release("a"), caller: CallerToken(9), timeout: nil, now: start, into: &effects)
        let id = effects.send[0].request.id
        router.leaderChanged(.system, to: third, now: start, into: &effects)
        #expect(effects.send.map(\.to) == [second, third])
        let busy = RoutedReply.answer(.busy(reason: "full"))
        router.receive(busy, shard: .system, id: id, from: third, now: start, into: &effects)
        #expect(effects.completed.isEmpty, "it is asked again")
        router.tick(now: start + .milliseconds(6_000), into: &effects)
        #expect(effects.completed.map(\.response) == [.unavailable(.unknown, reason: "full")])

        router.submit(release("a"), caller: CallerToken(10), timeout: nil, now: start, into: &effects)
        let first = effects.send[effects.send.count - 1].request.id
        router.receive(busy, shard: .system, id: first, from: third, now: start, into: &effects)
        #expect(effects.completed.last?.response == .busy(reason: "full"), "the only try: nothing was done")
    }

    @Test("while no leader is known a request without an answer goes to the next replica, not to the same again")
    func asksTheNext() {
        var router = makeRouter()
        var effects = RouterEffects()
        router.submit(release("a"), caller: CallerToken(9), timeout: nil, now: start, into: &effects)
        var now = start
        for _ in 0..<300 where effects.send.count < 3 {
            now = now + .milliseconds(10)
            router.tick(now: now, into: &effects)
        }
        #expect(Array(effects.send.map(\.to).prefix(3)) == [own, second, third])
        #expect(router.leader(of: ShardID(9_999)) == nil, "a number that a peer made up")
    }

    @Test("requests of one shard keep their order while a leader is sought")
    func keepsOrder() {
        var router = makeRouter()
        var effects = RouterEffects()
        for number in 0..<5 {
            router.submit(
                release("\(number)"),
                caller: CallerToken(UInt64(number)),
                timeout: nil,
                now: start,
                into: &effects
            )
        }
        #expect(effects.send.isEmpty)
        router.leaderChanged(.system, to: third, now: start, into: &effects)
        #expect(effects.send.map(\.request.id.number) == [1, 2, 3, 4, 5])
        #expect(effects.send.allSatisfy { $0.to == third })
    }

    @Test("a new leader is asked again with the same id")
    func retriesWithTheSameID() {
        var router = makeRouter()
        var effects = RouterEffects()
        router.leaderChanged(.system, to: second, now: start, into: &effects)
        router.submit(release("a"), caller: CallerToken(1), timeout: nil, now: start, into: &effects)
        let id = effects.send[0].request.id
        effects.removeAll()
        router.peerDisconnected(second, now: start, into: &effects)
        #expect(effects.send.isEmpty)
        router.leaderChanged(.system, to: third, now: start + .milliseconds(30), into: &effects)
        #expect(effects.send.count == 1)
        #expect(effects.send[0].to == third)
        #expect(effects.send[0].request.id == id)
    }

    @Test("a hint is followed; what an old target says later is ignored")
    func followsHints() {
        var router = makeRouter()
        var effects = RouterEffects()
        router.leaderChanged(.system, to: own, now: start, into: &effects)
        router.submit(release("a"), caller: CallerToken(1), timeout: nil, now: start, into: &effects)
        let id = effects.send[0].request.id
        effects.removeAll()
        router.receive(.notLeader(hint: second), shard: .system, id: id, from: own, now: start, into: &effects)
        #expect(effects.send.map(\.to) == [second])
        effects.removeAll()
        router.receive(.notLeader(hint: third), shard: .system, id: id, from: own, now: start, into: &effects)
        #expect(effects.send.isEmpty)
        #expect(router.leader(of: .system) == second)
    }

    @Test("hints that go in a circle do not spin")
    func hintsDoNotSpin() {
        var router = makeRouter()
        var effects = RouterEffects()
        router.leaderChanged(.system, to: own, now: start, into: &effects)
        router.submit(release("a"), caller: CallerToken(1), timeout: nil, now: start, into: &effects)
        var sends = 0
        var target = own
        while let sent = effects.send.first {
            sends += 1
            #expect(sends < 10)
            target = sent.to
            let other = target == second ? third : second
            effects.removeAll()
            router.receive(
                .notLeader(hint: other),
                shard: .system,
                id: sent.request.id,
                from: target,
                now: start,
                into: &effects
            )
        }
        #expect(router.pendingCount == 1)
    }

    @Test("never sent or refused by all means not done; sent and unanswered means unknown (DESIGN §3 rule 2)")
    func outcomes() {
        var router = makeRouter()
        var effects = RouterEffects()
        router.submit(release("a"), caller: CallerToken(1), timeout: .milliseconds(10), now: start, into: &effects)
        router.tick(now: start + .milliseconds(11), into: &effects)
        #expect(effects.completed.map(\.response) == [.unavailable(.notDone, reason: "no leader is known")])

        effects.removeAll()
        router.leaderChanged(.system, to: second, now: start, into: &effects)
        router.submit(release("b"), caller: CallerToken(2), timeout: .milliseconds(10), now: start, into: &effects)
        router.peerDisconnected(second, now: start, into: &effects)
        router.tick(now: start + .milliseconds(11), into: &effects)
        guard case .unavailable(.unknown, _) = effects.completed.first?.response else {
            Issue.record("a request that was sent and not refused has an unknown outcome")
            return
        }
    }

    @Test("an unanswered read was certainly not done")
    func readsAreNotDone() {
        var router = makeRouter()
        var effects = RouterEffects()
        router.leaderChanged(.system, to: second, now: start, into: &effects)
        let query = Request.query(.object(namespace: .defaultNamespace, name: "a"), .readIndex)
        router.submit(
            query,
            to: .system,
            caller: CallerToken(1),
            timeout: .milliseconds(10),
            now: start,
            into: &effects
        )
        router.tick(now: start + .milliseconds(11), into: &effects)
        guard case .unavailable(.notDone, _) = effects.completed.first?.response else {
            Issue.record("a read changes nothing")
            return
        }
    }

    @Test("a wait without end still ends when no leader is known for the request timeout")
    func abandonedWait() {
        var router = makeRouter()
        var effects = RouterEffects()
        router.leaderChanged(.system, to: second, now: start, into: &effects)
        router.submit(acquire(.forever), caller: CallerToken(1), timeout: nil, now: start, into: &effects)
        router.tick(now: start + .milliseconds(60_000), into: &effects)
        #expect(effects.completed.isEmpty)
        router.peerDisconnected(second, now: start, into: &effects)
        router.tick(now: start + .milliseconds(61_000), into: &effects)
        router.tick(now: start + .milliseconds(66_100), into: &effects)
        #expect(effects.completed.count == 1)
    }

    @Test("a full shard refuses as busy and nothing is sent")
    func bounded() {
        var router = makeRouter(limit: 1)
        var effects = RouterEffects()
        router.leaderChanged(.system, to: second, now: start, into: &effects)
        router.submit(release("a"), caller: CallerToken(1), timeout: nil, now: start, into: &effects)
        router.submit(release("b"), caller: CallerToken(2), timeout: nil, now: start, into: &effects)
        #expect(effects.send.count == 1)
        guard case .busy = effects.completed.first?.response else {
            Issue.record("the second request exceeds the limit")
            return
        }
    }

    @Test("answers above the oldest open request are acknowledged one by one; a lost acknowledgement is sent again")
    func acknowledgements() {
        var router = makeRouter()
        var effects = RouterEffects()
        func answer(_ number: UInt64) {
            router.receive(
                .answer(.lock(.released(left: 0))),
                shard: .system,
                id: RequestID(origin: 7, number: number),
                from: second,
                now: start,
                into: &effects
            )
        }
        func submit(_ request: Request) -> RoutedRequest? {
            effects.removeAll()
            router.submit(request, to: .system, caller: CallerToken(1), timeout: nil, now: start, into: &effects)
            return effects.send.last?.request
        }
        router.leaderChanged(.system, to: second, now: start, into: &effects)
        _ = submit(acquire(.forever))
        _ = submit(acquire(.forever))
        #expect(submit(release("a"))?.acknowledgedBelow == 1)
        answer(3)
        answer(2)
        let carrier = submit(release("b"))
        #expect(carrier?.acknowledged == [3, 2])
        #expect(carrier?.acknowledgedBelow == 1)
        // The carrier is not answered: the next one does not repeat it, but after the leader's loss it is free again.
        #expect(submit(release("c"))?.acknowledged == [])
        router.peerDisconnected(second, now: start, into: &effects)
        effects.removeAll()
        router.leaderChanged(.system, to: third, now: start, into: &effects)
        #expect(effects.send.flatMap(\.request.acknowledged) == [3, 2])
        #expect(effects.send.map(\.request.id.number) == [1, 4, 5])
        answer(1)
        #expect(submit(release("d"))?.acknowledgedBelow == 4)
    }

    @Test("a wait whose first send was lost is not acknowledged by later answers")
    func lostWait() {
        var router = makeRouter()
        var effects = RouterEffects()
        router.leaderChanged(.system, to: second, now: start, into: &effects)
        router.submit(acquire(.forever), caller: CallerToken(1), timeout: nil, now: start, into: &effects)
        for number in UInt64(2)...9 {
            router.submit(release("a"), to: .system, caller: CallerToken(1), timeout: nil, now: start, into: &effects)
            #expect(effects.send.last?.request.acknowledgedBelow == 1)
            #expect(effects.send.last?.request.acknowledged.contains(1) == false)
            router.receive(
                .answer(.lock(.released(left: 0))),
                shard: .system,
                id: RequestID(origin: 7, number: number),
                from: second,
                now: start,
                into: &effects
            )
        }
    }
}
