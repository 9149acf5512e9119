// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import RaftCore

/// Raft §5.3 and §5.4.2: replication, the consistency check, commitment; and the windows around them.
struct ReplicationTests {
    @Test(
        "A new leader appends a no-op and sends it to all, and persists it beside that (Raft §8, dissertation §10.2.1)"
    )
    func noopFirst() {
        var solo = Solo(recovered: RecoveredLog(term: 1, terms: [1]))
        let effects = solo.elect()
        let noop = Entry(term: Term(2), index: LogIndex(2), kind: .noop, payload: [])
        #expect(effects.persist == [.entries([noop])])
        #expect(effects.appends == Array(repeating: AppendRequest(2, previous: (1, 1), [noop]), count: 2))
        #expect(effects.roleChange == RoleChange(role: .leader, term: Term(2), leader: NodeID(1)))
        #expect(!solo.raft.isReadyLeader)
    }

    @Test("All proposals of a turn leave as one write and one append")
    func batches() {
        var solo = Solo()
        solo.lead()
        for value in 1...3 as ClosedRange<UInt8> { #expect(solo.propose([value], flush: false).sendNow.isEmpty) }
        let effects = solo.flush()
        guard case .entries(let written)? = effects.persist.first else { return #expect(Bool(false)) }
        #expect(effects.persist.count == 1 && written.map(\.payload) == [[1], [2], [3]])
        #expect(effects.appends.map(\.entries) == [written, written])
        #expect(solo.flush().sendNow.isEmpty)
    }

    @Test("The leader counts its own copy only once its disk has it")
    func ownDiskCounts() {
        var solo = Solo()
        solo.lead()
        _ = solo.propose()
        #expect(solo.raft.commitIndex == LogIndex(1))
        #expect(solo.acknowledge(2, 2).committed.isEmpty)
        #expect(solo.persist().committed.map(\.index) == [LogIndex(2)])
    }

    @Test("A majority of followers commits without the leader's disk")
    func followersSuffice() {
        var solo = Solo()
        solo.lead()
        _ = solo.propose()
        _ = solo.acknowledge(2, 2)
        #expect(solo.acknowledge(3, 2).committed.map(\.index) == [LogIndex(2)])
    }

    @Test("Only entries of the leader's own term are committed by counting replicas (Raft §5.4.2, figure 8)")
    func onlyOwnTermByCounting() {
        var solo = Solo(recovered: RecoveredLog(term: 2, terms: [1, 2]))
        _ = solo.elect()
        _ = solo.persist()
        #expect(solo.acknowledge(2, 2).committed.isEmpty)
        #expect(solo.acknowledge(3, 2).committed.isEmpty)
        #expect(solo.acknowledge(3, 3).committed.map(\.index.rawValue) == [1, 2, 3])
    }

    @Test("A follower acknowledges an append after its disk, and no more than that append matched")
    func acknowledgesAfterDisk() {
        var solo = Solo(recovered: RecoveredLog(term: 1, terms: [1, 1, 1]))
        let effects = solo.receive(2, .append(AppendRequest(2, previous: (1, 1), [Entry(1, 2)], commit: 3)))
        #expect(effects.sendNow.isEmpty)
        #expect(
            effects.sendAfterPersist.map(\.message)
                == [.appendReply(AppendReply(term: Term(2), accepted: true, index: LogIndex(2)))]
        )
        #expect(solo.raft.commitIndex == LogIndex(2), "commit = min(leader's commit, last entry of the append)")
        #expect(solo.raft.lastIndex == LogIndex(3), "what follows is not known to conflict and stays")
    }

    @Test(
        "A follower refuses an append whose previous entry it lacks and says where to look (Raft §5.3)",
        arguments: [(9, 5, 4, 4), (3, 5, 2, 2), (4, 3, 3, 3), (4, 1, 1, 1)] as [(UInt64, UInt64, UInt64, UInt64)]
    )
    func consistencyCheck(previous: UInt64, term: UInt64, hint: UInt64, hintTerm: UInt64) {
        var solo = Solo(recovered: RecoveredLog(term: 5, terms: [1, 2, 3, 4]))
        let effects = solo.receive(2, .append(AppendRequest(6, previous: (previous, term), commit: 1)))
        let refusal = AppendReply(
            term: Term(6),
            accepted: false,
            index: LogIndex(previous),
            hintIndex: LogIndex(hint),
            hintTerm: Term(hintTerm)
        )
        #expect(effects.messages(to: 2) == [.appendReply(refusal)])
        #expect(effects.committed.isEmpty)
    }

    @Test("If an existing entry conflicts with a new one, it and all that follow it are deleted (Raft figure 2)")
    func conflictsAreReplaced() {
        var solo = Solo(recovered: RecoveredLog(term: 3, terms: [1, 2, 2, 2]))
        let fresh = [Entry(2, 2), Entry(3, 3)]
        let effects = solo.receive(2, .append(AppendRequest(3, previous: (1, 1), fresh)))
        #expect(effects.persist == [.entries([Entry(3, 3)])])
        #expect(solo.raft.lastIndex == LogIndex(3))
        let repeated = solo.receive(2, .append(AppendRequest(3, previous: (1, 1), fresh)))
        #expect(repeated.persist.isEmpty && repeated.sendAfterPersist.count == 1)
        let overtaken = solo.receive(2, .append(AppendRequest(3, previous: (1, 1), [Entry(2, 2)])))
        #expect(overtaken.persist.isEmpty && solo.raft.lastIndex == LogIndex(3))
    }

    @Test("The leader finds the point of agreement by terms, not entry by entry (Raft §5.3)")
    func skipsByTerms() {
        var solo = Solo(
            recovered: RecoveredLog(term: 9, terms: Array(repeating: 1, count: 20) + Array(repeating: 9, count: 80))
        )
        _ = solo.elect()
        let refusal = AppendReply(
            term: Term(10),
            accepted: false,
            index: LogIndex(100),
            hintIndex: LogIndex(60),
            hintTerm: Term(4)
        )
        let effects = solo.receive(2, .appendReply(refusal))
        #expect(effects.appends.map(\.previousIndex) == [LogIndex(20)])
    }

    @Test("Logs of Raft figure 7 are all brought into line with the leader's")
    func figure7() {
        let logs: [[UInt64]] = [
            [1, 1, 1, 4, 4, 5, 5, 6, 6], [1, 1, 1, 4], [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
            [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7], [1, 1, 1, 4, 4, 4, 4], [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
        ]
        for log in logs {
            let cluster = TestCluster(start: false)
            cluster.node(1).disk.durable = RecoveredLog(term: 7, terms: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6])
            cluster.node(2).disk.durable = cluster.node(1).disk.durable
            cluster.node(3).disk.durable = RecoveredLog(term: 7, terms: log)
            for id in [1, 2] as [UInt64] { cluster.restart(cluster.node(id)) }
            #expect(cluster.run { cluster.readyLeader != nil })
            cluster.restart(cluster.node(3))
            #expect(cluster.run { cluster.converged })
            #expect(cluster.violations.isEmpty)
        }
    }

    @Test("A probing leader has one append in flight; an accepted one opens the window (dissertation §10.2.1)")
    func probeThenPipeline() {
        var solo = Solo { $0.maxInflightAppends = 2 }
        _ = solo.elect()
        #expect(solo.propose().appends.isEmpty)
        #expect(solo.acknowledge(2, 1).appends.map(\.entries.count) == [1])
        #expect(solo.propose().appends.map(\.previousIndex) == [LogIndex(2)])
        #expect(solo.propose().appends.isEmpty, "the window of two is full")
        #expect(solo.acknowledge(2, 2).appends.map(\.previousIndex) == [LogIndex(3)])
    }

    @Test("The window and the batch are bounded in bytes; one entry always fits")
    func byteLimits() {
        var solo = Solo {
            $0.maxBatchBytes = 100
            $0.maxInflightBytes = 150
        }
        solo.lead()
        for _ in 0..<6 { _ = solo.propose([UInt8](repeating: 0, count: 18), flush: false) }
        _ = solo.propose([UInt8](repeating: 0, count: 500), flush: false)
        let first = solo.flush().appends
        #expect(first.map(\.entries.count) == [2, 2, 2, 2], "two followers, two batches of two")
        #expect(solo.acknowledge(2, 5).appends.map(\.entries.count) == [2, 1])
    }

    @Test("A refusal, a lost append or a broken connection leads back to probing")
    func backToProbe() {
        var solo = Solo()
        solo.lead()
        _ = solo.propose()
        _ = solo.step(.peerDisconnected(NodeID(2)))
        #expect(solo.raft.progress.first?.state == .probe && solo.raft.progress.first?.connected == false)
        #expect(solo.propose().messages(to: 2).isEmpty)
        #expect(solo.step(.peerConnected(NodeID(2))).appends.map(\.entries.count) == [2])
        #expect(solo.acknowledge(2, 3).appends.isEmpty)
        _ = solo.propose()
        solo.advance(60)
        _ = solo.step(.tick)
        _ = solo.receive(2, .heartbeatReply(HeartbeatReply(term: Term(1), round: 1)))
        solo.advance(60)
        let nudge = solo.step(.tick).messages(to: 2).compactMap {
            if case .append(let append) = $0 { append } else { nil }
        }
        #expect(nudge.map(\.previousIndex) == [LogIndex(4)] && nudge.map(\.entries.count) == [0])
    }

    @Test("Proposals are refused as busy above the uncommitted limit, and at once by a follower")
    func busy() {
        var solo = Solo { $0.maxUncommittedBytes = 100 }
        #expect(solo.propose().proposal == .notLeader(hint: nil))
        solo.lead()
        #expect(solo.propose([UInt8](repeating: 0, count: 200)).proposal == .appended(LogIndex(2), Term(1)))
        #expect(solo.raft.uncommittedBytes == 232)
        #expect(solo.propose().proposal == .busy)
        _ = solo.persist()
        _ = solo.acknowledge(3, 2)
        #expect(solo.raft.uncommittedBytes == 0)
        #expect(solo.propose().proposal == .appended(LogIndex(3), Term(1)))
    }

    @Test("A heartbeat commits only what this leader's appends have matched")
    func heartbeatCommit() {
        var solo = Solo(recovered: RecoveredLog(term: 2, terms: [1, 1, 2]))
        _ = solo.receive(2, .append(AppendRequest(3, previous: (2, 1))))
        let beat = solo.receive(2, .heartbeat(Heartbeat(term: Term(3), commit: LogIndex(3), round: 1)))
        #expect(beat.committed.map(\.index.rawValue) == [1, 2])
    }

    @Test("Duplicate and reordered messages change nothing", arguments: 1...UInt64(5))
    func duplicatesAndReordering(seed: UInt64) {
        let cluster = TestCluster(seed: seed)
        cluster.faults.duplicate = 500
        cluster.faults.slowest = .milliseconds(30)
        #expect(cluster.run { cluster.readyLeader != nil })
        for _ in 0..<50 {
            if let leader = cluster.leader { cluster.propose(leader) }
            cluster.run(milliseconds: 5)
        }
        cluster.checkLogMatching()
        cluster.faults = TestCluster.Faults()
        #expect(cluster.run { cluster.converged })
        #expect(cluster.violations.isEmpty)
    }
}
