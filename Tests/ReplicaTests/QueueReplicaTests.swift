// SPDX-License-Identifier: Apache-2.0
import PlacementCore
import Primitives
import QueueCore
import RaftCore
import Replica
import Testing

@Suite("A replica with queues")
struct QueueReplicaTests {
    private func publish(_ bodies: [[UInt8]], to queue: Name = "q") -> QueueCommand {
        .publish(Publish(queue: queue, messages: bodies.map { PublishMessage(body: $0) }))
    }

    private func body(_ content: StoredMessage?) throws -> [UInt8] { try #require(content).unpacked().body }

    @Test("what is published comes out with its body, any bytes of it")
    func bodies() throws {
        var solo = try SoloReplica()
        let bodies: [[UInt8]] = [[0, 255, 254], Array("text".utf8), [0]]
        guard case .published(let ids) = try solo.queue(publish(bodies)).response else {
            Issue.record("not published")
            return
        }
        #expect(ids.count == 3)
        let answer = try solo.queue(.receive(Receive(queue: "q", count: 10)))
        #expect(try answer.contents.map(body) == bodies)
    }

    @Test("a body that has left the log is asked for, and a settled one is not")
    func bodiesOnDisk() throws {
        var solo = try SoloReplica()
        _ = try solo.queue(publish([[1], [2], [3]]))
        let job = try #require(solo.step(.snapshotWanted).snapshotJob)
        var fresh: [UInt64: [UInt8]] = [:]
        job.forEachFreshBody { fresh[$0] = $1 }
        var live: [UInt64] = []
        job.forEachLiveBody(from: 0) { id in
            live.append(id)
            return true
        }
        #expect(fresh.count == 3 && live.count == 3 && live.allSatisfy { fresh[$0] != nil })
        let state = job.encode()
        let metadata = SnapshotMetadata(
            index: job.index,
            term: job.term,
            voters: job.voters,
            size: UInt64(state.count),
            checksum: 0
        )
        solo.step(.snapshotTaken(metadata))
        #expect(solo.replica.raft.firstIndex > job.index)

        _ = try solo.queue(publish([[4]]))
        let effects = solo.ask(.queue(.receive(Receive(queue: "q", count: 10))))
        #expect(effects.replies.isEmpty)
        let read = try #require(effects.bodyReads.first)
        #expect(read.missing.map(\.message) == live && read.missing.map(\.place) == [0, 1, 2])
        #expect(try body(read.answer.contents[3]) == [4])
        for missing in read.missing {
            let bytes = try #require(fresh[missing.message])
            #expect(try StoredMessage(bytes: bytes).unpacked().body == [UInt8(missing.place + 1)])
        }
        guard case .received(let deliveries) = read.answer.response else {
            Issue.record("nothing received")
            return
        }
        _ = try solo.queue(.settle(Settle(queue: "q", receipts: deliveries.map(\.receipt), settlement: .ack)))
        let next = try #require(solo.step(.snapshotWanted).snapshotJob)
        next.forEachLiveBody(from: 0) { _ in
            Issue.record("an acked message lives")
            return false
        }
        // Published and settled between two snapshots: its body goes nowhere.
        next.forEachFreshBody { _, _ in Issue.record("the body of an acked message is kept") }
    }

    @Test("an answer to a peek carries no more than its bound, but at least one message")
    func peekBound() throws {
        var solo = try SoloReplica {
            $0.limits.queues.bodyBytes = 12 << 20; $0.limits.queues.publishBytes = 32 << 20
        }
        let large = [UInt8](repeating: 7, count: 5 << 20)
        for _ in 0..<3 { _ = try solo.queue(publish([large])) }
        guard case .queue(let answer) = try solo.answer(.queueQuery(.peek("q", .ready, limit: 10), .readIndex)),
            case .messages(let views) = answer.response
        else {
            Issue.record("not peeked")
            return
        }
        #expect(views.count == 1 && answer.contents.count == 1)
    }

    @Test("one queue's publishers fill their share of what waits for the disk, and the shard serves the others")
    func crowding() throws {
        var solo = try SoloReplica { $0.maxUncommittedBytesPerQueue = 1_000 }
        let large = [UInt8](repeating: 7, count: 600)
        #expect(solo.askWithoutDisk(.queue(publish([large], to: "noisy"))).replies.isEmpty)
        #expect(solo.askWithoutDisk(.queue(publish([large], to: "noisy"))).replies.isEmpty)
        let refused = solo.askWithoutDisk(.queue(publish([large], to: "noisy"))).replies
        guard case .answer(.busy(let reason)) = try #require(refused.first).reply else {
            Issue.record("\(refused)")
            return
        }
        #expect(reason.contains("noisy"))
        #expect(solo.askWithoutDisk(.queue(publish([large], to: "quiet"))).replies.isEmpty)
        // Once these are durable there is room again.
        #expect(solo.pass(milliseconds: 10).replies.count == 3)
        guard case .published = try solo.queue(publish([large], to: "noisy")).response else {
            Issue.record("still refused")
            return
        }
    }

    @Test("a consumer lives as long as it is renewed; what it had in flight comes back when it is not")
    func consumers() throws {
        var solo = try SoloReplica()
        _ = try solo.queue(publish([[1]]))
        let open = OpenConsumer(id: "c", ttlMilliseconds: 1_000, credit: 10)
        _ = try solo.queue(.openConsumer(open))
        _ = try solo.queue(.receive(Receive(queue: "q", consumer: "c")))
        solo.pass(milliseconds: 900)
        guard case .queue(let renewed) = try solo.answer(.renewConsumer("c")) else {
            throw SoloReplica.UnexpectedReply()
        }
        #expect(renewed.response == .renewed(milliseconds: 1_000))
        solo.pass(milliseconds: 900)
        #expect(try solo.queue(.receive(Receive(queue: "q"))).response == .received([]))
        let ended = solo.pass(milliseconds: 200).queueEvents
        #expect(ended == [.consumerEnded("c", .expired, returned: 1)])
        let again = try solo.queue(.receive(Receive(queue: "q")))
        guard case .received(let deliveries) = again.response else { throw SoloReplica.UnexpectedReply() }
        #expect(deliveries.map(\.cause) == [.consumerExpired])
        guard case .queue(let late) = try solo.answer(.renewConsumer("c")) else {
            throw SoloReplica.UnexpectedReply()
        }
        #expect(late.response == .refused(.noConsumer("c")))
    }

    @Test("a lease runs out by itself, and a waiting receive gets the message")
    func leases() throws {
        var solo = try SoloReplica()
        _ = try solo.queue(publish([[1]]))
        _ = try solo.queue(.receive(Receive(queue: "q", leaseMilliseconds: 100)))
        let waiting = solo.ask(.queue(.receive(Receive(queue: "q", waitMilliseconds: 60_000))))
        #expect(waiting.replies.isEmpty)
        var replies: [ReplyEnvelope] = []
        for _ in 0..<100 where replies.isEmpty { replies = solo.pass(milliseconds: 10).replies }
        guard case .answer(.queue(let answer)) = try #require(replies.first).reply,
            case .received(let deliveries) = answer.response
        else { throw SoloReplica.UnexpectedReply() }
        #expect(deliveries.map(\.cause) == [.leaseExpired])
        #expect(try answer.contents.map(body) == [[1]])
    }

    @Test("a retry of a publish gets the first answer, and stores nothing again")
    func retry() throws {
        var solo = try SoloReplica()
        let id = RequestID(origin: 5, number: 1)
        let routed = RoutedRequest(shard: .system, id: id, acknowledgedBelow: 1, request: .queue(publish([[1]])))
        let first = solo.step(.request(from: SoloReplica.node, routed)).replies
        let second = solo.step(.request(from: SoloReplica.node, routed)).replies
        #expect(first.count == 1 && first == second)
        #expect(solo.replica.state.queues.messageCount == 1)
    }

    @Test("a receive that is answered again hands out nothing that others have had since")
    func repeatedReceive() throws {
        var solo = try SoloReplica()
        _ = try solo.queue(publish([[1], [2]]))
        let id = RequestID(origin: 5, number: 1)
        let receive = Request.queue(.receive(Receive(queue: "q", count: 2, leaseMilliseconds: 100)))
        let routed = RoutedRequest(shard: .system, id: id, acknowledgedBelow: 1, request: receive)
        let first = solo.step(.request(from: SoloReplica.node, routed)).replies
        guard case .answer(.queue(let lost)) = try #require(first.first).reply,
            case .received(let deliveries) = lost.response
        else { throw SoloReplica.UnexpectedReply() }
        #expect(try lost.contents.map(body) == [[1], [2]])
        _ = try solo.queue(.settle(Settle(queue: "q", receipts: [deliveries[0].receipt], settlement: .ack)))
        for _ in 0..<100 { solo.pass(milliseconds: 100) }
        _ = try solo.queue(.receive(Receive(queue: "q")))
        let again = solo.step(.request(from: SoloReplica.node, routed)).replies
        guard case .answer(.queue(let late)) = try #require(again.first).reply else {
            throw SoloReplica.UnexpectedReply()
        }
        #expect(late.contents == [nil, nil])
    }

    @Test("a replica that cannot read a message stops, and says that it leads no more")
    func damagedBodies() throws {
        var solo = try SoloReplica()
        _ = try solo.queue(publish([[1]]))
        solo.step(.bodiesDamaged("block 3"))
        #expect(solo.replica.halted?.contains("block 3") == true && !solo.replica.isReadyLeader)
        let reply = solo.ask(.queue(.receive(Receive(queue: "q")))).replies.first?.reply
        #expect(reply == .notLeader(hint: nil))
    }

    @Test("messages move only between queues that share their shard lane by lane")
    func deadLetterPlace() throws {
        var solo = try SoloReplica()
        var settings = QueueSettings()
        settings.deadLetter = "graves"
        guard case .refused(.invalid(let reason)) = try solo.queue(.declare("q", settings)).response else {
            throw SoloReplica.UnexpectedReply()
        }
        #expect(reason.contains("{q}.dead"))
        settings.deadLetter = "{q}.dead"
        #expect(try solo.queue(.declare("q", settings)).response == .declared(created: true))
        let redrive = try solo.queue(.redrive(Redrive(queue: "{q}.dead", target: "other"))).response
        guard case .refused(.invalid) = redrive else { throw SoloReplica.UnexpectedReply() }
    }

    @Test("most of what a snapshot held is gone: another one lets the bodies go, however small the log")
    func sweptSnapshot() throws {
        var solo = try SoloReplica()
        let batch = Array(repeating: [UInt8(1)], count: 4_000)
        for _ in 0..<30 { _ = try solo.queue(publish(batch)) }
        let job = try #require(solo.step(.snapshotWanted).snapshotJob)
        let metadata = SnapshotMetadata(
            index: job.index,
            term: job.term,
            voters: job.voters,
            size: UInt64(job.encode().count),
            checksum: 0
        )
        solo.step(.snapshotTaken(metadata))
        var found = solo.ask(.queue(.purge("q"))).snapshotJob
        for _ in 0..<1_000 where found == nil { found = solo.pass(milliseconds: 10).snapshotJob }
        #expect(found != nil)
    }

    @Test("the system shard's first leader stores the placement that the ring proposes, once and for all")
    func placement() throws {
        let table = try PlacementPlanner.initial(members: ["a", "b", "c"], shards: 4, replicas: 2)
        var solo = try SoloReplica { $0.proposedPlacement = table }
        solo.pass(milliseconds: 10)
        #expect(solo.replica.state.placement == table)
        let applied = solo.replica.state.applied
        solo.pass(milliseconds: 10)
        #expect(solo.replica.state.applied == applied)
        let job = try #require(solo.step(.snapshotWanted).snapshotJob)
        let restored = try ShardState(decoding: job.encode(), shard: .system, limits: ShardLimits())
        #expect(restored.placement == table)
    }
}
