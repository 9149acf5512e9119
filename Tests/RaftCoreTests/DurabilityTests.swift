// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import RaftCore

/// What counts as being on disk, and what happens to a group when a disk forgets.
struct DurabilityTests {
    @Test("A completed write never vouches for a suffix that was overwritten meanwhile")
    func truncatedMarks() {
        var queue = PersistenceQueue(lastIndex: LogIndex(2))
        func log(_ terms: UInt64...) -> RaftLog {
            let entries = terms.enumerated().map { Entry($1, UInt64($0 + 1)) }
            return RaftLog(baseIndex: .zero, baseTerm: .zero, entries: entries)
        }
        queue.handedEntries(through: LogIndex(5))
        let first = queue.seal(log(1, 1, 2, 2, 2))!
        queue.truncate(from: LogIndex(4), precedingTerm: Term(2))
        queue.handedEntries(through: LogIndex(4))
        let second = queue.seal(log(1, 1, 2, 3))!
        // The same entries come back, as under a leader that kept them (Raft figure 8).
        queue.truncate(from: LogIndex(4), precedingTerm: Term(2))
        queue.handedEntries(through: LogIndex(5))
        let third = queue.seal(log(1, 1, 2, 2, 2))!
        let now = log(1, 1, 2, 2, 2)
        #expect(queue.complete(first, now) && queue.durableIndex == LogIndex(3))
        #expect(!queue.complete(second, now) && queue.durableIndex == LogIndex(3))
        #expect(queue.complete(third, now) && queue.durableIndex == LogIndex(5))
    }

    @Test("A deposed leader writes what it had only proposed before it answers anyone")
    func proposalsAreWrittenOnStepDown() {
        var solo = Solo()
        solo.lead()
        _ = solo.propose([1], flush: false)
        let effects = solo.receive(3, .heartbeat(Heartbeat(term: Term(2), commit: .zero, round: 1)), flush: false)
        #expect(effects.persist.count == 2)
        #expect(effects.persist.first == .entries([Entry(1, 2, [1])]))
        #expect(effects.sendNow.isEmpty, "the new term is not on disk yet")
        #expect(effects.sendAfterPersist.map(\.message) == [.heartbeatReply(HeartbeatReply(term: Term(2), round: 1))])
        _ = solo.persist()
        let next = solo.receive(3, .heartbeat(Heartbeat(term: Term(2), commit: .zero, round: 2)))
        #expect(next.sendNow.count == 1, "now it is")
    }

    @Test("A follower whose disk was set back is brought up again, and the leader counts it down meanwhile")
    func restoredOldDisk() {
        let cluster = TestCluster()
        #expect(cluster.run { cluster.converged })
        let leader = cluster.leader!
        let follower = cluster.nodes.first { $0 !== leader }!
        let old = follower.disk
        for _ in 0..<5 { cluster.propose(leader) }
        #expect(cluster.run { cluster.converged })
        cluster.crash(follower)
        follower.disk = old
        cluster.restart(follower)
        // Nothing new is proposed: only heartbeats can bring it out.
        #expect(cluster.run { cluster.converged })
        #expect(cluster.leader === leader && cluster.violations.isEmpty)
    }

    @Test("A restarted follower of an idle leader commits what it has without new entries")
    func restartedFollowerOfIdleLeader() {
        let cluster = TestCluster()
        #expect(cluster.run { cluster.converged })
        let follower = cluster.nodes.first { $0 !== cluster.leader }!
        cluster.run(milliseconds: 100)
        cluster.crash(follower)
        cluster.restart(follower)
        #expect(cluster.run(limit: 500) { cluster.converged })
    }

    @Test("All processes of a group may end at once and lose what was not on disk")
    func restartOfAll() {
        for seed in 1...UInt64(10) {
            let cluster = TestCluster(seed: seed)
            #expect(cluster.run { cluster.converged })
            for _ in 0..<20 {
                cluster.propose(cluster.leader!)
                cluster.run(milliseconds: 1)
            }
            for node in cluster.nodes { cluster.crash(node) }
            for node in cluster.nodes { cluster.restart(node) }
            #expect(cluster.run { cluster.converged })
            #expect(cluster.violations.isEmpty)
        }
    }

    @Test("A recovered log that does not fit together is refused with the reason")
    func recoveredLogIsValidated() {
        func problem(_ log: RecoveredLog) -> String? {
            do throws(RaftConfiguration.Problem) {
                try log.validate()
                return nil
            } catch { return error.reason }
        }
        #expect(problem(RecoveredLog(term: 2, terms: [1, 2])) == nil)
        #expect(problem(RecoveredLog(term: 2, terms: [2, 1])) == "the term falls from 2 to 1")
        #expect(problem(RecoveredLog(entries: [Entry(1, 3)])) == "entry 3 follows entry 0")
        #expect(problem(RecoveredLog(hardState: HardState(term: Term(.max)))) == "a term or index is out of range")
    }

    @Test("A log ahead of the recorded term raises the term and forgets the vote")
    func lostHardState() {
        let solo = Solo(recovered: RecoveredLog(term: 1, vote: 1, terms: [1, 3]))
        #expect(solo.raft.term == Term(3) && solo.raft.vote == nil)
    }
}
