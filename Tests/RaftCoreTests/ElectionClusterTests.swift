// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import RaftCore

/// Elections among whole groups: who wins, how soon, and who is left alone.
struct ElectionClusterTests {
    @Test("The partial-partition bridge A–B–C with A–C cut keeps its leader and its term")
    func bridge() {
        for seed in 1...UInt64(10) {
            let cluster = TestCluster(seed: seed)
            #expect(cluster.run { cluster.readyLeader != nil })
            let leader = cluster.readyLeader!
            let other = cluster.nodes.first { $0 !== leader }!
            let term = leader.raft!.term
            cluster.cutLink(leader.id.rawValue, other.id.rawValue)
            cluster.step(leader, .peerDisconnected(other.id))
            cluster.step(other, .peerDisconnected(leader.id))
            cluster.run(milliseconds: 3000)
            #expect(leader.raft!.role == .leader && leader.raft!.term == term)
            cluster.propose(leader)
            #expect(cluster.run { leader.machine.index == leader.raft!.lastIndex })
            cluster.heal()
            #expect(cluster.run { cluster.converged })
            #expect(leader.raft!.term == term)
        }
    }

    @Test("A paused leader that resumes answers no read and disturbs nobody")
    func pausedLeaderResumes() {
        let cluster = TestCluster()
        #expect(cluster.run { cluster.readyLeader != nil })
        let old = cluster.readyLeader!
        old.pausedUntil = cluster.now + .milliseconds(2000)
        #expect(cluster.run { cluster.leader !== old && cluster.leader?.raft?.isReadyLeader == true })
        let next = cluster.leader!
        cluster.propose(next)
        #expect(cluster.run { cluster.committed == next.raft!.lastIndex })
        cluster.run(milliseconds: old.pausedUntil.since(cluster.now).milliseconds)
        let read = cluster.read(old, .lease)
        cluster.run(milliseconds: 500)
        #expect(old.reads[read] == .lost(id: read))
        #expect(cluster.leader === next && cluster.violations.isEmpty)
        #expect(cluster.run { cluster.converged })
    }

    @Test("A leader cut off from the quorum steps down; the others elect one; its entries are overwritten")
    func isolatedLeader() {
        let cluster = TestCluster(size: 5)
        #expect(cluster.run { cluster.readyLeader != nil })
        let old = cluster.readyLeader!
        cluster.isolate(old.id.rawValue)
        for _ in 0..<3 { cluster.propose(old) }
        #expect(cluster.run { old.raft!.role == .follower && cluster.leader?.raft?.isReadyLeader == true })
        let next = cluster.leader!
        cluster.propose(next)
        cluster.run(milliseconds: 100)
        cluster.heal()
        #expect(cluster.run { cluster.converged })
        #expect(cluster.leader === next && cluster.violations.isEmpty)
    }

    @Test("A one-way partition of the leader costs it its leadership, not the group its service")
    func oneWayPartition() {
        for deaf in [true, false] {
            let cluster = TestCluster()
            #expect(cluster.run { cluster.readyLeader != nil })
            let old = cluster.readyLeader!
            for other in cluster.nodes where other !== old {
                cluster.cut.append(deaf ? (other.id, old.id) : (old.id, other.id))
            }
            #expect(cluster.run { cluster.leader !== old && cluster.leader?.raft?.isReadyLeader == true })
            #expect(cluster.run { old.raft!.role != .leader })
        }
    }

    @Test("When the leader's process is killed, reset connections bring a new leader within 200 ms")
    func earlyPreVote() {
        var slow = 0
        for seed in 1...UInt64(60) {
            let cluster = TestCluster(seed: seed)
            cluster.faults.slowestDisk = .milliseconds(3)
            #expect(cluster.run { cluster.converged })
            let old = cluster.leader!
            cluster.crash(old)
            let start = cluster.now
            cluster.resetConnections(of: old)
            #expect(cluster.run { cluster.readyLeader != nil })
            let took = cluster.now.since(start)
            #expect(took < .milliseconds(200), "seed \(seed) took \(took)")
            if took > .milliseconds(40) { slow += 1 }
        }
        #expect(slow <= 10)
    }

    @Test("With lease reads a reset connection does not break the promise not to vote")
    func leasePromiseOutlivesTheConnection() {
        var solo = Solo { $0.leaseReads = true }
        solo.advance(200)
        _ = solo.receive(2, .append(AppendRequest(1, previous: (0, 0))))
        let deadline = solo.raft.nextDeadline
        _ = solo.step(.peerDisconnected(NodeID(2)))
        #expect(solo.raft.nextDeadline == deadline)
        let request = VoteRequest(term: Term(2), lastIndex: .zero, lastTerm: .zero, transfer: false)
        #expect(solo.receive(3, .vote(request)).messages(to: 3).isEmpty)
    }

    @Test("With lease reads a restarted voter still keeps the promise it may have given before")
    func leasePromiseOutlivesTheProcess() {
        var solo = Solo { $0.leaseReads = true }
        let request = VoteRequest(term: Term(2), lastIndex: .zero, lastTerm: .zero, transfer: false)
        solo.advance(149)
        #expect(solo.receive(3, .vote(request)).messages(to: 3).isEmpty)
        #expect(solo.raft.nextDeadline >= Instant.zero + .milliseconds(150))
        solo.advance(1)
        #expect(
            solo.receive(3, .vote(request)).messages(to: 3) == [.voteReply(VoteReply(term: Term(2), granted: true))]
        )
    }

    @Test("A suspecting follower gives way to a rival's PreVote once, not for ever")
    func givesWayOnce() {
        var solo = Solo()
        _ = solo.receive(2, .append(AppendRequest(1, previous: (0, 0))))
        _ = solo.step(.peerDisconnected(NodeID(2)))
        #expect(solo.raft.nextDeadline < Instant.zero + .milliseconds(16))
        let request = VoteRequest(term: Term(2), lastIndex: .zero, lastTerm: .zero, transfer: false)
        #expect(
            solo.receive(3, .preVote(request)).messages(to: 3) == [
                .preVoteReply(VoteReply(term: Term(2), granted: true))
            ]
        )
        let deadline = solo.raft.nextDeadline
        #expect(deadline >= Instant.zero + .milliseconds(18) && deadline <= Instant.zero + .milliseconds(60))
        _ = solo.receive(3, .preVote(request))
        #expect(solo.raft.nextDeadline == deadline)
    }

    @Test("The preferred leader wins the first election, and gets leadership back after it was away")
    func preferredLeader() {
        let cluster = TestCluster(start: false) { $0.preferredLeader = NodeID(2) }
        for node in cluster.nodes { cluster.restart(node) }
        #expect(cluster.run { cluster.converged })
        #expect(cluster.leader!.id == NodeID(2))
        cluster.crash(cluster.node(2))
        #expect(cluster.run { cluster.leader?.raft?.isReadyLeader == true })
        cluster.restart(cluster.node(2))
        #expect(cluster.run { cluster.converged && cluster.leader!.id == NodeID(2) })
        #expect(cluster.violations.isEmpty)
    }

    @Test("Automatic transfers to a preferred leader that cannot keep it are far apart")
    func automaticTransferBacksOff() {
        var solo = Solo { $0.preferredLeader = NodeID(3) }
        var asked: [Instant] = []
        solo.lead()
        while solo.now < Instant.zero + .milliseconds(100_000) {
            solo.advance(50)
            let effects = solo.step(.tick)
            if effects.sendNow.contains(where: { $0.message == .timeoutNow(term: Term(1)) }) { asked.append(solo.now) }
            for beat in effects.beats.prefix(1) {
                for peer in [2, 3] as [UInt64] {
                    _ = solo.receive(peer, .heartbeatReply(HeartbeatReply(term: Term(1), round: beat.round)))
                }
            }
        }
        #expect(asked.first! >= Instant.zero + .milliseconds(900))
        let gaps = zip(asked, asked.dropFirst()).map { $1.since($0) }
        #expect(gaps.count == 3)
        #expect(gaps.allSatisfy { $0 >= .milliseconds(10_000) } && gaps == gaps.sorted())
    }
}
