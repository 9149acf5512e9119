// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import RaftCore

/// Linearizable reads without a log entry (dissertation §6.4).
struct ReadTests {
    private func reply(_ round: UInt64, term: UInt64 = 1) -> RaftMessage {
        .heartbeatReply(HeartbeatReply(term: Term(term), round: round))
    }

    @Test("A read is confirmed by a quorum of replies to a round begun after it arrived; a turn's reads share one")
    func readIndex() {
        var solo = Solo()
        solo.lead()
        _ = solo.step(.read(id: 1, .readIndex), flush: false)
        let effects = solo.step(.read(id: 2, .readIndex))
        #expect(effects.beats.map(\.round) == [1, 1] && effects.reads.isEmpty)
        #expect(
            solo.receive(3, reply(1)).reads
                == [.ready(id: 1, index: LogIndex(1)), .ready(id: 2, index: LogIndex(1))]
        )
        #expect(solo.receive(2, reply(1)).reads.isEmpty)
    }

    @Test("Replies to an earlier round do not confirm a later read (stale ReadIndex on retry, etcd-io/raft#397)")
    func staleReplies() {
        var solo = Solo(voters: [1, 2, 3, 4, 5])
        _ = solo.timeout()
        for voter in [2, 3] as [UInt64] {
            _ = solo.receive(voter, .preVoteReply(VoteReply(term: Term(1), granted: true)))
        }
        _ = solo.persist()
        for voter in [2, 3] as [UInt64] { _ = solo.receive(voter, .voteReply(VoteReply(term: Term(1), granted: true))) }
        for voter in [2, 3] as [UInt64] { _ = solo.acknowledge(voter, 1) }
        _ = solo.persist()
        #expect(solo.step(.read(id: 1, .readIndex)).beats.first?.round == 1)
        _ = solo.receive(2, reply(1))
        #expect(solo.step(.read(id: 2, .readIndex)).beats.first?.round == 2)
        #expect(solo.receive(2, reply(1)).reads.isEmpty, "the same answer twice is one answer")
        #expect(solo.receive(3, reply(1)).reads == [.ready(id: 1, index: LogIndex(1))])
        #expect(solo.receive(4, reply(1)).reads.isEmpty)
        #expect(solo.receive(5, reply(1)).reads.isEmpty)
        _ = solo.receive(4, reply(2))
        #expect(solo.receive(5, reply(2)).reads == [.ready(id: 2, index: LogIndex(1))])
    }

    @Test("A heartbeat's round confirms the reads before it, so a lost round is made good")
    func lostRound() {
        var solo = Solo()
        solo.lead()
        _ = solo.step(.read(id: 1, .readIndex))
        solo.advance(50)
        #expect(solo.step(.tick).beats.map(\.round) == [2, 2])
        #expect(solo.receive(2, reply(2)).reads == [.ready(id: 1, index: LogIndex(1))])
    }

    @Test("A new leader serves no read before its no-op is committed (dissertation §6.4 step 1)")
    func waitsForNoop() {
        var solo = Solo()
        _ = solo.elect()
        _ = solo.persist()
        #expect(solo.step(.read(id: 1, .readIndex)).beats.isEmpty)
        let ready = solo.acknowledge(2, 1)
        #expect(ready.reads.isEmpty && ready.beats.map(\.round) == [1, 1])
        #expect(solo.receive(3, reply(1)).reads == [.ready(id: 1, index: LogIndex(1))])
    }

    @Test("Reads are lost with leadership, and by a follower at once")
    func lost() {
        var solo = Solo()
        #expect(solo.step(.read(id: 1, .readIndex)).reads == [.lost(id: 1)])
        solo.lead()
        _ = solo.step(.read(id: 2, .readIndex))
        _ = solo.step(.read(id: 3, .readIndex), flush: false)
        let effects = solo.receive(2, .heartbeat(Heartbeat(term: Term(2), commit: .zero, round: 1)))
        #expect(effects.reads == [.lost(id: 2), .lost(id: 3)])
    }

    @Test("Round numbers are not used again by a later leadership of the same process")
    func roundsRise() {
        var solo = Solo()
        solo.lead()
        _ = solo.step(.read(id: 1, .readIndex))
        _ = solo.receive(2, .heartbeat(Heartbeat(term: Term(2), commit: .zero, round: 1)))
        solo.lead()
        #expect(solo.step(.read(id: 2, .readIndex)).beats.first?.round == 2)
    }

    @Test("A lease read is served at once while the lease, counted from the sending of its round, is valid")
    func lease() {
        var solo = Solo { $0.leaseReads = true }
        solo.now = Instant.zero + .milliseconds(1000)
        solo.lead()
        _ = solo.step(.read(id: 1, .lease))
        solo.advance(30)
        #expect(solo.receive(2, reply(1)).reads == [.ready(id: 1, index: LogIndex(1))])
        // 150 ms less a tenth, from the sending 30 ms ago.
        solo.advance(104)
        #expect(solo.step(.read(id: 2, .lease), flush: false).reads == [.ready(id: 2, index: LogIndex(1))])
        #expect(solo.step(.read(id: 3, .readIndex), flush: false).reads.isEmpty)
        solo.advance(1)
        #expect(solo.step(.read(id: 4, .lease), flush: false).reads.isEmpty)
    }

    @Test("Without the setting a lease read is confirmed like any other")
    func leaseIsOptIn() {
        var solo = Solo()
        solo.lead()
        _ = solo.step(.read(id: 1, .readIndex))
        _ = solo.receive(2, reply(1))
        #expect(solo.step(.read(id: 2, .lease)).reads.isEmpty)
    }

    @Test("A leader that asked another to take over has no lease for the rest of its term")
    func transferEndsTheLease() {
        var solo = Solo { $0.leaseReads = true }
        solo.now = Instant.zero + .milliseconds(1000)
        solo.lead()
        _ = solo.step(.transferLeadership(to: NodeID(2)))
        for round in 1...UInt64(2) {
            solo.advance(150)
            #expect(solo.step(.tick).beats.map(\.round) == [round, round])
            _ = solo.receive(3, reply(round))
        }
        #expect(!solo.raft.isTransferring && solo.raft.reads.confirmedSince == solo.now)
        #expect(solo.step(.read(id: 1, .lease)).reads.isEmpty)
    }
}
