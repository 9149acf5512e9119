// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import RaftCore

/// Compaction and snapshot transfer (Raft §7, dissertation §5).
struct SnapshotTests {
    private func metadata(_ index: UInt64, _ term: UInt64, size: UInt64 = 100) -> SnapshotMetadata {
        SnapshotMetadata(
            index: LogIndex(index),
            term: Term(term),
            voters: [1, 2, 3].map { NodeID($0) },
            size: size,
            checksum: 0
        )
    }

    private func chunk(_ term: UInt64, _ snapshot: SnapshotMetadata) -> RaftMessage {
        .snapshotChunk(SnapshotChunk(term: Term(term), snapshot: snapshot, offset: 0, bytes: [], checksum: 0))
    }

    /// A leader at 50 committed entries with a snapshot at 40 and nothing before it in memory; follower 3 has nothing.
    private func leaderWithSnapshot(window: Int = 10) -> Solo {
        var solo = Solo {
            $0.compactionTailEntries = 0
            $0.snapshotChunkBytes = window
        }
        solo.lead()
        _ = solo.step(.peerDisconnected(NodeID(3)))
        for _ in 0..<49 { _ = solo.propose(flush: false) }
        _ = solo.flush()
        _ = solo.persist()
        _ = solo.acknowledge(2, 50)
        _ = solo.step(.snapshotTaken(metadata(40, 1)))
        return solo
    }

    @Test("A snapshot lets go of the entries before it but for a tail, which lives in memory only")
    func compaction() {
        var solo = Solo { $0.compactionTailEntries = 5 }
        solo.lead()
        for _ in 0..<49 { _ = solo.propose(flush: false) }
        _ = solo.flush()
        _ = solo.persist()
        _ = solo.acknowledge(2, 50)
        _ = solo.acknowledge(3, 35)
        #expect(solo.step(.snapshotTaken(metadata(60, 1))).persist.isEmpty, "not committed")
        #expect(solo.step(.snapshotTaken(metadata(40, 9))).persist.isEmpty, "of another log")
        #expect(solo.step(.snapshotTaken(metadata(40, 1))).persist == [.snapshot(metadata(40, 1))])
        #expect(solo.raft.snapshotIndex == LogIndex(40) && solo.raft.firstIndex == LogIndex(36))
        #expect(solo.raft.bytesSinceSnapshot == 10 * 33 && solo.raft.logBytes == 15 * 33)
        #expect(solo.step(.snapshotTaken(metadata(39, 1))).persist.isEmpty, "older than the newest")
    }

    @Test("Entries that a fed follower still needs stay longer, up to four times the tail")
    func compactionWaits() {
        for (acknowledged, first) in [(30, 31), (10, 21)] as [(UInt64, UInt64)] {
            var solo = Solo { $0.compactionTailEntries = 5 }
            solo.lead()
            for _ in 0..<49 { _ = solo.propose(flush: false) }
            _ = solo.flush()
            _ = solo.persist()
            _ = solo.acknowledge(2, 50)
            _ = solo.acknowledge(3, acknowledged)
            _ = solo.step(.snapshotTaken(metadata(40, 1)))
            #expect(solo.raft.firstIndex == LogIndex(first))
        }
    }

    @Test("A follower that needs dropped entries is asked how far it has come, then sent a window of chunks from there")
    func sendsFromWhereTheFollowerIs() {
        var solo = leaderWithSnapshot()
        #expect(solo.step(.peerConnected(NodeID(3))).messages(to: 3) == [chunk(1, metadata(40, 1))])
        let answer = SnapshotReply(term: Term(1), index: LogIndex(40), nextOffset: 25, installed: false)
        let reads = solo.receive(3, .snapshotReply(answer)).snapshotReads
        #expect(reads.map(\.offset) == [25, 35, 45, 55] && reads.map(\.limit) == [10, 10, 10, 10])
        let bytes = [UInt8](repeating: 1, count: 10)
        let read = RaftInput.snapshotChunkRead(to: NodeID(3), metadata(40, 1), offset: 25, bytes: bytes, checksum: 5)
        let sent = SnapshotChunk(term: Term(1), snapshot: metadata(40, 1), offset: 25, bytes: bytes, checksum: 5)
        #expect(solo.step(read).messages(to: 3) == [.snapshotChunk(sent)])
        #expect(solo.receive(3, .snapshotReply(answer)).snapshotReads.isEmpty, "the window is full")
        let more = SnapshotReply(term: Term(1), index: LogIndex(40), nextOffset: 65, installed: false)
        #expect(solo.receive(3, .snapshotReply(more)).snapshotReads.map(\.limit) == [10, 10, 10, 5])
        let done = SnapshotReply(term: Term(1), index: LogIndex(40), nextOffset: 100, installed: true)
        #expect(solo.receive(3, .snapshotReply(done)).appends.map(\.previousIndex) == [LogIndex(40)])
    }

    @Test("A broken transfer is resumed by asking again")
    func resumes() {
        var solo = leaderWithSnapshot()
        _ = solo.step(.peerConnected(NodeID(3)))
        let begin = SnapshotReply(term: Term(1), index: LogIndex(40), nextOffset: 0, installed: false)
        _ = solo.receive(3, .snapshotReply(begin))
        _ = solo.step(.peerDisconnected(NodeID(3)))
        #expect(solo.step(.peerConnected(NodeID(3))).messages(to: 3) == [chunk(1, metadata(40, 1))])
        let answer = SnapshotReply(term: Term(1), index: LogIndex(40), nextOffset: 20, installed: false)
        #expect(solo.receive(3, .snapshotReply(answer)).snapshotReads.first?.offset == 20)
    }

    @Test("A snapshot file that is gone is replaced by the newest one")
    func fileIsGone() {
        var solo = leaderWithSnapshot()
        _ = solo.step(.peerConnected(NodeID(3)))
        _ = solo.step(.snapshotTaken(metadata(45, 1)))
        let gone = RaftInput.snapshotChunkRead(to: NodeID(3), metadata(40, 1), offset: 0, bytes: [], checksum: 0)
        #expect(solo.step(gone).messages(to: 3) == [chunk(1, metadata(45, 1))])
        #expect(solo.step(gone).messages(to: 3).isEmpty)
    }

    @Test("A follower that already has the snapshot's last entry says so and keeps its log")
    func alreadyThere() {
        var solo = Solo(recovered: RecoveredLog(term: 2, terms: [1, 1, 2, 2]))
        let effects = solo.receive(2, chunk(3, metadata(3, 2)))
        #expect(effects.snapshotChunks.isEmpty && effects.committed.count == 3)
        let installed = SnapshotReply(term: Term(3), index: LogIndex(3), nextOffset: 100, installed: true)
        #expect(effects.sendAfterPersist.map(\.message) == [.snapshotReply(installed)])
        #expect(solo.raft.lastIndex == LogIndex(4))
    }

    @Test("If the snapshot describes a prefix of the log, the entries following it are retained (Raft §7)")
    func prefixKeepsSuffix() {
        var solo = Solo(recovered: RecoveredLog(term: 2, terms: [1, 1]))
        #expect(solo.receive(2, chunk(3, metadata(4, 2))).snapshotChunks.count == 1)
        // Before the last chunk is in place the entries arrive after all.
        _ = solo.receive(2, .append(AppendRequest(3, previous: (2, 1), [Entry(2, 3), Entry(2, 4), Entry(3, 5)])))
        let effects = solo.step(.snapshotInstalled(from: NodeID(2), metadata(4, 2)))
        #expect(effects.restored == nil && effects.committed.map(\.index.rawValue) == [1, 2, 3, 4])
        #expect(effects.persist == [.snapshot(metadata(4, 2))])
        #expect(solo.raft.lastIndex == LogIndex(5) && solo.raft.snapshotIndex == LogIndex(4))
    }

    @Test("Otherwise the log is replaced: its conflicting suffix too, on disk as in memory")
    func conflictReplaces() {
        var solo = Solo(recovered: RecoveredLog(term: 3, terms: [1, 1, 3, 3, 3, 3]))
        let effects = solo.receive(2, chunk(4, metadata(4, 2)))
        #expect(effects.snapshotChunks.count == 1)
        let installed = solo.step(.snapshotInstalled(from: NodeID(2), metadata(4, 2)))
        #expect(installed.restored == metadata(4, 2) && installed.committed.isEmpty)
        #expect(installed.persist == [.reset(metadata(4, 2))])
        #expect(solo.raft.lastIndex == LogIndex(4) && solo.raft.commitIndex == LogIndex(4))
        let next = solo.receive(2, .append(AppendRequest(4, previous: (4, 2), [Entry(4, 5)], commit: 5)))
        #expect(next.committed.map(\.index.rawValue) == [5])
    }

    @Test("A follower far behind catches up by snapshot over a lossy network, and again after the leader moves on")
    func overTheNetwork() {
        for seed in 1...UInt64(20) {
            let cluster = TestCluster(seed: seed) { $0.compactionTailEntries = 2 }
            #expect(cluster.run { cluster.converged })
            let behind = cluster.nodes.first { $0 !== cluster.leader }!
            cluster.crash(behind)
            for round in 0..<3 {
                for _ in 0..<20 { if let leader = cluster.leader { cluster.propose(leader) } }
                cluster.run(milliseconds: 20)
                cluster.snapshot(cluster.leader!)
                if round == 1 {
                    cluster.restart(behind)
                    cluster.faults.drop = 300
                    cluster.run(milliseconds: cluster.random.below(100))
                }
            }
            cluster.faults.drop = 0
            #expect(cluster.run(limit: 10_000) { cluster.converged }, "seed \(seed)")
            #expect(behind.raft!.snapshotIndex > .zero)
            #expect(cluster.violations.isEmpty, "seed \(seed)")
        }
    }
}
