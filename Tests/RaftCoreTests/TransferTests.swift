// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import RaftCore

/// Leadership transfer (dissertation §3.10).
struct TransferTests {
    @Test("The prior leader stops accepting requests, brings the target up to date, then sends TimeoutNow")
    func waitsForCatchUp() {
        var solo = Solo()
        solo.lead()
        _ = solo.propose()
        let begun = solo.step(.transferLeadership(to: NodeID(2)))
        #expect(begun.sendNow.isEmpty && solo.raft.isTransferring)
        #expect(solo.propose().proposal == .notLeader(hint: nil))
        #expect(solo.acknowledge(3, 2).messages(to: 2).isEmpty)
        #expect(solo.acknowledge(2, 2).messages(to: 2) == [.timeoutNow(term: Term(1))])
    }

    @Test("A transfer that does not complete within an election timeout is given up and requests are accepted again")
    func givesUp() {
        var solo = Solo()
        solo.lead()
        _ = solo.propose()
        _ = solo.step(.transferLeadership(to: NodeID(2)))
        solo.advance(300)
        _ = solo.step(.tick)
        #expect(!solo.raft.isTransferring)
        #expect(solo.propose().proposal == .appended(LogIndex(3), Term(1)))
    }

    @Test("The target starts an election at once, without PreVote, and its votes say that the leader wants it")
    func timeoutNow() {
        var solo = Solo()
        _ = solo.receive(2, .append(AppendRequest(1, previous: (0, 0))))
        #expect(solo.receive(3, .timeoutNow(term: Term(1))).messages(to: 3).isEmpty, "not from its leader")
        let effects = solo.receive(2, .timeoutNow(term: Term(1)))
        let request = VoteRequest(term: Term(2), lastIndex: .zero, lastTerm: .zero, transfer: true)
        #expect(effects.sendAfterPersist.map(\.message) == [.vote(request), .vote(request)])
        #expect(solo.receive(2, .timeoutNow(term: Term(1))).persist.isEmpty, "repeated: it has moved on")
    }

    @Test("Leadership moves within milliseconds and loses nothing", arguments: [false, true])
    func movesQuickly(leaseReads: Bool) {
        let cluster = TestCluster { $0.leaseReads = leaseReads }
        #expect(cluster.run { cluster.converged })
        let old = cluster.leader!
        let target = cluster.nodes.first { $0 !== old }!
        for _ in 0..<10 { cluster.propose(old) }
        let start = cluster.now
        cluster.step(old, .transferLeadership(to: target.id))
        #expect(cluster.run { target.raft!.isReadyLeader })
        #expect(cluster.now.since(start) < .milliseconds(20))
        #expect(cluster.run { cluster.converged })
        #expect(target.machine.index == LogIndex(12) && cluster.violations.isEmpty)
    }

    @Test("Without a target the most caught-up voter takes over; a dead target is given up")
    func chooses() {
        let cluster = TestCluster()
        #expect(cluster.run { cluster.converged })
        let old = cluster.leader!
        let dead = cluster.nodes.first { $0 !== old }!
        let alive = cluster.nodes.first { $0 !== old && $0 !== dead }!
        cluster.crash(dead)
        cluster.propose(old)
        cluster.step(old, .transferLeadership(to: dead.id))
        cluster.run(milliseconds: 400)
        #expect(cluster.leader === old && !old.raft!.isTransferring)
        cluster.step(old, .transferLeadership(to: nil))
        #expect(cluster.run(limit: 100) { alive.raft!.isReadyLeader })
    }

    @Test("A leader that declines hands over to a follower that does not, and nobody hands back to it")
    func declines() {
        let cluster = TestCluster()
        #expect(cluster.run { cluster.converged })
        let full = cluster.leader!
        let others = cluster.nodes.filter { $0 !== full }
        cluster.step(others[0], .declineLeadership(true))
        cluster.run(milliseconds: 200)
        cluster.step(full, .declineLeadership(true))
        #expect(cluster.run { others[1].raft!.isReadyLeader }, "the one that does not decline")
        cluster.step(others[1], .transferLeadership(to: full.id))
        cluster.run(milliseconds: 400)
        #expect(cluster.leader === others[1] && !others[1].raft!.isTransferring)
        cluster.step(full, .declineLeadership(false))
        cluster.run(milliseconds: 200)
        cluster.step(others[1], .transferLeadership(to: full.id))
        #expect(cluster.run { full.raft!.isReadyLeader }, "it has room again")
        #expect(cluster.violations.isEmpty)
    }

    @Test("When all decline the leader stays: a full cluster does not pass leadership round")
    func allDecline() {
        let cluster = TestCluster()
        #expect(cluster.run { cluster.converged })
        let old = cluster.leader!
        for node in cluster.nodes where node !== old { cluster.step(node, .declineLeadership(true)) }
        cluster.run(milliseconds: 200)
        cluster.step(old, .declineLeadership(true))
        cluster.run(milliseconds: 2_000)
        #expect(cluster.leader === old && old.raft!.term == Term(1))
    }
}
