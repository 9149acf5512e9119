// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import Testing

@Suite("Queue timekeeper")
struct QueueTimekeeperTests {
    private static func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    /// A leader whose clock shows the stamp.
    private struct Leader {
        var keeper = QueueTimekeeper()
        var world = QueueWorld()

        init() { keeper.lead(world.state, term: world.term, now: at(world.stamp)) }

        mutating func apply(_ command: QueueCommand) {
            let effects = world.apply(command)
            keeper.observe(effects.timers, now: at(world.stamp))
        }

        mutating func due(after milliseconds: UInt64 = 0) -> [QueueCommand] {
            world.stamp += milliseconds
            var commands: [QueueCommand] = []
            keeper.due(at(world.stamp), stamp: world.stamp, into: &commands)
            return commands
        }

        var next: UInt64? {
            keeper.nextDeadline(now: at(world.stamp), stamp: world.stamp).map {
                $0.nanoseconds / 1_000_000 - world.stamp
            }
        }
    }

    @Test("a tick is proposed when something is due, once until it is seen applied")
    func tick() {
        var leader = Leader()
        #expect(leader.next == nil)
        leader.apply(
            .publish(
                Publish(
                    queue: "q",
                    messages: [
                        PublishMessage(body: [1], schedule: .after(milliseconds: 1_000))
                    ]
                )
            )
        )
        #expect(leader.next == 1_000)
        #expect(leader.due(after: 999).isEmpty)
        #expect(leader.due(after: 1) == [.tick(term: Term(1))])
        #expect(leader.due(after: 500).isEmpty)
        // The proposal got lost.
        #expect(leader.due(after: 500) == [.tick(term: Term(1))])
        leader.apply(.tick(term: Term(1)))
        #expect(leader.due(after: 10_000).isEmpty)
        #expect(leader.world.view("q")?.depth.ready == 1)
        #expect(leader.next == nil)
    }

    @Test("while something is pending, cluster time is noted in the log every five seconds")
    func stamps() {
        var leader = Leader()
        leader.apply(
            .publish(
                Publish(
                    queue: "q",
                    messages: [
                        PublishMessage(body: [1], schedule: .after(milliseconds: 60_000))
                    ]
                )
            )
        )
        #expect(leader.next == 5_000)
        #expect(leader.due(after: 4_999).isEmpty)
        #expect(leader.due(after: 1) == [.tick(term: Term(1))])
        leader.apply(.tick(term: Term(1)))
        #expect(leader.next == 5_000)
    }

    @Test("a tick that left work is followed by the next at once")
    func moreWork() {
        var limits = QueueLimits()
        limits.workPerCommand = 2
        var leader = Leader()
        leader.world = QueueWorld(limits: limits)
        leader.apply(
            .publish(
                Publish(
                    queue: "q",
                    messages: Array(
                        repeating: PublishMessage(body: [1], schedule: .after(milliseconds: 5)),
                        count: 5
                    )
                )
            )
        )
        var ticks = 0
        while let command = leader.due(after: ticks == 0 ? 5 : 0).first {
            leader.apply(command)
            ticks += 1
        }
        #expect(ticks == 3)
        #expect(leader.world.view("q")?.depth.ready == 5)
    }

    @Test("a consumer is expired when its TTL runs out unrenewed, in the leader's term")
    func consumers() {
        var leader = Leader()
        leader.apply(.openConsumer(OpenConsumer(id: "c", ttlMilliseconds: 5_000)))
        let opened = LogIndex(leader.world.index)
        #expect(leader.due(after: 4_000).isEmpty)
        #expect(leader.keeper.renew("c", now: Self.at(leader.world.stamp)) == 5_000)
        #expect(leader.due(after: 4_999).isEmpty)
        #expect(leader.keeper.remaining("c", now: Self.at(leader.world.stamp)) == .milliseconds(1))
        #expect(leader.due(after: 1) == [.expireConsumer("c", opened: opened, term: Term(1))])
        #expect(leader.keeper.isExpiring("c"))
        #expect(leader.keeper.renew("c", now: Self.at(leader.world.stamp)) == nil)
        leader.apply(.expireConsumer("c", opened: opened, term: Term(1)))
        #expect(leader.keeper.remaining("c", now: Self.at(leader.world.stamp)) == nil)
        #expect(leader.due(after: 60_000).isEmpty)
    }

    @Test("an expiry proposed before the consumer came back misses it, and so does one of a deposed leader")
    func missedExpiry() {
        var leader = Leader()
        leader.apply(.openConsumer(OpenConsumer(id: "c", ttlMilliseconds: 5_000)))
        let commands = leader.due(after: 5_000)
        leader.apply(.resumeConsumer("c", []))
        #expect(leader.keeper.renew("c", now: Self.at(leader.world.stamp)) == 5_000)
        for command in commands { leader.apply(command) }
        #expect(leader.world.state.consumerCount == 1)
        let late = leader.due(after: 5_000)
        #expect(late.count == 1)
        leader.world.term = Term(2)
        for command in late { leader.apply(command) }
        #expect(leader.world.state.consumerCount == 1)
    }

    @Test("a new leader gives consumers their whole TTL and leases a grace")
    func newLeader() {
        var leader = Leader()
        leader.apply(.openConsumer(OpenConsumer(id: "c", ttlMilliseconds: 5_000)))
        leader.apply(.publish(Publish(queue: "q", messages: [PublishMessage(body: [1])])))
        leader.apply(.receive(Receive(queue: "q", consumer: "c", leaseMilliseconds: 1_000)))
        leader.keeper.stopLeading()
        #expect(leader.due(after: 4_900).isEmpty)
        leader.world.term = Term(2)
        leader.keeper.lead(leader.world.state, term: Term(2), now: Self.at(leader.world.stamp))
        #expect(leader.keeper.remaining("c", now: Self.at(leader.world.stamp)) == .milliseconds(5_000))
        #expect(leader.due() == [.tick(term: Term(2))])
        leader.apply(.tick(term: Term(2)))
        #expect(leader.world.view("q")?.depth.inFlight == 1)
        #expect(leader.due(after: 4_999).isEmpty)
        #expect(leader.due(after: 1).contains(.tick(term: Term(2))))
        leader.apply(.tick(term: Term(2)))
        #expect(leader.world.view("q")?.depth.ready == 1)
    }
}
