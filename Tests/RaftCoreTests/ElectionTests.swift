// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import RaftCore

/// Raft §5.1, §5.2 and §5.4.1; dissertation §4.2.3 (stickiness), §6.2 (CheckQuorum) and §9.6 (PreVote).
struct ElectionTests {
    @Test("If a server receives a request with a stale term number, it rejects the request (Raft §5.1)")
    func staleTermIsRejected() {
        var solo = Solo(recovered: RecoveredLog(term: 5))
        let append = solo.receive(2, .append(AppendRequest(4, previous: (0, 0))))
        #expect(
            append.sendNow.map(\.message) == [.appendReply(AppendReply(term: Term(5), accepted: false, index: .zero))]
        )
        let vote = solo.receive(
            2,
            .vote(VoteRequest(term: Term(4), lastIndex: LogIndex(9), lastTerm: Term(4), transfer: false))
        )
        #expect(vote.sendNow.map(\.message) == [.voteReply(VoteReply(term: Term(5), granted: false))])
        #expect(solo.raft.term == Term(5) && solo.raft.role == .follower)
    }

    @Test("If a candidate or leader discovers that its term is out of date, it becomes a follower (Raft §5.1)")
    func higherTermDeposes() {
        var solo = Solo()
        solo.lead()
        let effects = solo.receive(2, .heartbeatReply(HeartbeatReply(term: Term(9), round: 1)))
        #expect(solo.raft.role == .follower && solo.raft.term == Term(9) && solo.raft.leader == nil)
        #expect(effects.persist.last == .hardState(HardState(term: Term(9), vote: nil)))
        #expect(effects.roleChange == RoleChange(role: .follower, term: Term(9), leader: nil))
    }

    @Test("A candidate persists its term and vote before its requests leave (Raft figure 2)")
    func candidatePersistsFirst() {
        var solo = Solo()
        _ = solo.timeout()
        let effects = solo.receive(2, .preVoteReply(VoteReply(term: Term(1), granted: true)))
        #expect(effects.persist == [.hardState(HardState(term: Term(1), vote: NodeID(1)))])
        #expect(effects.sendNow.isEmpty)
        let request = VoteRequest(term: Term(1), lastIndex: .zero, lastTerm: .zero, transfer: false)
        #expect(effects.sendAfterPersist.map(\.message) == [.vote(request), .vote(request)])
    }

    @Test("A vote is persisted before it is sent, and given to one candidate a term (Raft §5.2)")
    func votesOnce() {
        var solo = Solo()
        let request = VoteRequest(term: Term(3), lastIndex: .zero, lastTerm: .zero, transfer: false)
        let granted = solo.receive(2, .vote(request))
        #expect(granted.persist == [.hardState(HardState(term: Term(3), vote: NodeID(2)))])
        #expect(granted.sendNow.isEmpty)
        #expect(granted.sendAfterPersist.map(\.message) == [.voteReply(VoteReply(term: Term(3), granted: true))])
        let repeated = solo.receive(2, .vote(request))
        #expect(repeated.sendAfterPersist.map(\.message) == [.voteReply(VoteReply(term: Term(3), granted: true))])
        let other = solo.receive(3, .vote(request))
        #expect(other.sendAfterPersist.map(\.message) == [.voteReply(VoteReply(term: Term(3), granted: false))])
        #expect(other.persist.isEmpty)
    }

    @Test("A voter that restarts remembers its vote")
    func voteSurvives() {
        var solo = Solo(recovered: RecoveredLog(term: 3, vote: 2))
        let request = VoteRequest(term: Term(3), lastIndex: .zero, lastTerm: .zero, transfer: false)
        #expect(
            solo.receive(3, .vote(request)).messages(to: 3) == [.voteReply(VoteReply(term: Term(3), granted: false))]
        )
    }

    @Test(
        "The voter denies its vote if its own log is more up-to-date than that of the candidate (Raft §5.4.1)",
        arguments: [(1, 9, false), (2, 2, false), (2, 3, true), (2, 4, true), (3, 1, true)] as [(UInt64, UInt64, Bool)]
    )
    func upToDate(lastTerm: UInt64, lastIndex: UInt64, granted: Bool) {
        let recovered = RecoveredLog(term: 4, terms: [1, 2, 2])
        let request = VoteRequest(
            term: Term(5),
            lastIndex: LogIndex(lastIndex),
            lastTerm: Term(lastTerm),
            transfer: false
        )
        var voter = Solo(recovered: recovered)
        #expect(
            voter.receive(2, .vote(request)).messages(to: 2) == [.voteReply(VoteReply(term: Term(5), granted: granted))]
        )
        var asked = Solo(recovered: recovered)
        let answer = VoteReply(term: Term(granted ? 5 : 4), granted: granted)
        #expect(asked.receive(2, .preVote(request)).messages(to: 2) == [.preVoteReply(answer)])
        #expect(asked.raft.term == Term(4))
    }

    @Test("A follower receiving no communication over the election timeout asks first whether it could win (PreVote)")
    func preVoteComesFirst() {
        var solo = Solo(recovered: RecoveredLog(term: 4))
        #expect(solo.raft.nextDeadline >= Instant.zero + .milliseconds(150))
        #expect(solo.raft.nextDeadline < Instant.zero + .milliseconds(300))
        let effects = solo.timeout()
        #expect(solo.raft.role == .preCandidate && solo.raft.term == Term(4))
        #expect(effects.persist.isEmpty)
        let request = VoteRequest(term: Term(5), lastIndex: .zero, lastTerm: .zero, transfer: false)
        #expect(effects.sendNow.map(\.message) == [.preVote(request), .preVote(request)])
    }

    @Test("Election timeouts are drawn anew each time (Raft §5.2)")
    func timeoutsAreRandom() {
        var solo = Solo()
        var waits: [Interval] = []
        for _ in 0..<20 {
            _ = solo.timeout()
            waits.append(solo.raft.nextDeadline.since(solo.now))
        }
        #expect(waits.allSatisfy { $0 >= .milliseconds(150) && $0 < .milliseconds(300) })
        #expect(waits.sorted().first != waits.sorted().last)
    }

    @Test("A candidate that hears a leader of its term returns to follower state (Raft §5.2)")
    func candidateYields() {
        var solo = Solo()
        _ = solo.timeout()
        _ = solo.receive(2, .preVoteReply(VoteReply(term: Term(1), granted: true)))
        #expect(solo.raft.role == .candidate)
        _ = solo.receive(3, .append(AppendRequest(1, previous: (0, 0))))
        #expect(solo.raft.role == .follower && solo.raft.leader == NodeID(3))
    }

    @Test("A server that hears from a leader within the minimum timeout disregards vote requests (dissertation §4.2.3)")
    func stickiness() {
        var solo = Solo()
        _ = solo.receive(2, .append(AppendRequest(1, previous: (0, 0))))
        solo.advance(149)
        let request = VoteRequest(term: Term(2), lastIndex: .zero, lastTerm: .zero, transfer: false)
        #expect(solo.receive(3, .vote(request)).messages(to: 3).isEmpty)
        #expect(
            solo.receive(3, .preVote(request)).messages(to: 3) == [
                .preVoteReply(VoteReply(term: Term(1), granted: false))
            ]
        )
        #expect(solo.raft.term == Term(1))
        var asked = request
        asked.transfer = true
        var other = solo
        #expect(other.receive(3, .vote(asked)).messages(to: 3) == [.voteReply(VoteReply(term: Term(2), granted: true))])
        solo.advance(1)
        #expect(
            solo.receive(3, .preVote(request)).messages(to: 3) == [
                .preVoteReply(VoteReply(term: Term(2), granted: true))
            ]
        )
    }

    @Test("A leader that no quorum answers for an election timeout steps down and falls silent (CheckQuorum)")
    func checkQuorum() {
        var solo = Solo()
        solo.lead()
        let waiting = solo.step(.read(id: 1, .readIndex))
        #expect(waiting.reads.isEmpty)
        solo.advance(299)
        #expect(!solo.step(.tick).beats.isEmpty)
        solo.advance(2)
        let effects = solo.step(.tick)
        #expect(solo.raft.role == .follower && solo.raft.leader == nil && solo.raft.term == Term(1))
        #expect(effects.sendNow.isEmpty && effects.sendAfterPersist.isEmpty)
        #expect(effects.reads == [.lost(id: 1)])
        #expect(solo.propose().proposal == .notLeader(hint: nil))
    }

    @Test("A replica behind in term but ahead in log learns the term from a refused PreVote (tikv/raft-rs#84)")
    func preVoteRefusalCarriesTheTerm() {
        var solo = Solo(recovered: RecoveredLog(term: 1, terms: [1, 1]))
        _ = solo.timeout()
        _ = solo.receive(2, .preVoteReply(VoteReply(term: Term(6), granted: false)))
        #expect(solo.raft.role == .follower && solo.raft.term == Term(6))
        let next = solo.timeout()
        let request = VoteRequest(term: Term(7), lastIndex: LogIndex(2), lastTerm: Term(1), transfer: false)
        #expect(next.sendNow.first?.message == .preVote(request))
    }

    @Test("A replica ahead of its leader's term makes the leader step down instead of staying out (etcd#8501)")
    func higherTermReplicaIsNotLeftOut() {
        let cluster = TestCluster(start: false)
        cluster.node(3).disk.durable.hardState.term = Term(40)
        for id in 1...2 { cluster.restart(cluster.node(UInt64(id))) }
        #expect(cluster.run { cluster.readyLeader != nil })
        cluster.restart(cluster.node(3))
        #expect(cluster.run { cluster.converged })
        #expect(cluster.raft(3).term > Term(40))
        #expect(cluster.violations.isEmpty)
    }

    @Test("A single voter leads by itself and commits with its own disk")
    func singleVoter() {
        var solo = Solo(voters: [1])
        _ = solo.timeout()
        #expect(solo.raft.role == .leader && !solo.raft.isReadyLeader)
        #expect(solo.persist().committed.map(\.kind) == [.noop])
        #expect(solo.step(.read(id: 4, .readIndex)).reads == [.ready(id: 4, index: LogIndex(1))])
        let proposed = solo.propose([7])
        #expect(proposed.proposal == .appended(LogIndex(2), Term(1)) && proposed.committed.isEmpty)
        #expect(solo.persist().committed.map(\.payload) == [[7]])
    }

    @Test("Messages from strangers and with absurd numbers are ignored")
    func absurdMessages() {
        var solo = Solo(recovered: RecoveredLog(term: 1, terms: [1]))
        let huge = UInt64.max
        let messages: [RaftMessage] = [
            .heartbeat(Heartbeat(term: Term(huge), commit: LogIndex(huge), round: huge)),
            .heartbeat(Heartbeat(term: Term(1), commit: LogIndex(huge), round: huge)),
            .append(AppendRequest(1, previous: (huge, 1))),
            .append(AppendRequest(1, previous: (1, 1), [Entry(1, 5)])),
            .append(AppendRequest(1, previous: (1, 1), [Entry(9, 2)])),
            .append(AppendRequest(1, previous: (1, 1), [Entry(1, 2), Entry(0, 3)])),
            .vote(VoteRequest(term: Term(huge), lastIndex: LogIndex(huge), lastTerm: Term(huge), transfer: true)),
            .appendReply(AppendReply(term: Term(1), accepted: true, index: LogIndex(huge))),
            .preVoteReply(VoteReply(term: Term(huge), granted: true)), .timeoutNow(term: Term(huge)),
        ]
        for message in messages { #expect(solo.receive(2, message).messages(to: 2).isEmpty) }
        #expect(solo.raft.term == Term(1) && solo.raft.lastIndex == LogIndex(1))
        #expect(solo.receive(9, .heartbeat(Heartbeat(term: Term(2), commit: .zero, round: 1))).messages(to: 9).isEmpty)
        #expect(solo.raft.term == Term(1))
    }

    @Test("Answers with absurd numbers do not disturb a leader")
    func absurdReplies() {
        var solo = Solo()
        solo.lead()
        let huge = LogIndex(UInt64(1) << 61)
        for accepted in [true, false] {
            let reply = AppendReply(
                term: Term(1),
                accepted: accepted,
                index: huge,
                hintIndex: huge,
                hintTerm: Term(1 << 61)
            )
            _ = solo.receive(2, .appendReply(reply))
        }
        let refused = AppendReply(
            term: Term(1),
            accepted: false,
            index: .zero,
            hintIndex: huge,
            hintTerm: Term(1 << 61)
        )
        _ = solo.receive(2, .appendReply(refused))
        _ = solo.receive(2, .heartbeatReply(HeartbeatReply(term: Term(1), round: .max)))
        _ = solo.receive(
            2,
            .snapshotReply(SnapshotReply(term: Term(1), index: huge, nextOffset: .max, installed: true))
        )
        #expect(solo.raft.role == .leader)
    }
}
