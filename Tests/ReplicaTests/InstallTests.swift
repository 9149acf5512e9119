// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import RaftCore
import Replica
import Testing

@Suite("A snapshot from the leader")
struct InstallTests {
    private let own = NodeID(1)
    private let leader = NodeID(2)
    private let voters = [NodeID(1), NodeID(2), NodeID(3)]

    private func entries(_ count: UInt64) -> [Entry] {
        (1...count).map { Entry(term: Term(1), index: LogIndex($0), kind: .noop, payload: []) }
    }

    /// What a replica that has applied so many entries is like.
    private func snapshot(upTo count: UInt64) throws -> (metadata: SnapshotMetadata, bytes: [UInt8]) {
        var state = ShardState(shard: ShardID(0), limits: ShardLimits())
        var effects = ShardEffects()
        for entry in entries(count) { _ = try state.apply(entry, into: &effects) }
        let bytes = state.encoded()
        let metadata = SnapshotMetadata(
            index: LogIndex(count),
            term: Term(1),
            voters: voters,
            size: UInt64(bytes.count),
            checksum: 0
        )
        return (metadata, bytes)
    }

    private func follower() throws -> Replica {
        try Replica(
            configuration: ReplicaConfiguration(
                shard: .system,
                raft: RaftConfiguration(id: own, voters: voters),
                limits: ShardLimits()
            ),
            recovered: RecoveredLog(hardState: HardState(term: Term(1))),
            snapshot: nil,
            seed: 1,
            now: .zero
        )
    }

    @Test("it replaces the state of a follower that has less")
    func replaces() throws {
        var replica = try follower()
        var effects = ReplicaEffects()
        let (metadata, bytes) = try snapshot(upTo: 3)
        replica.step(.snapshotInstalled(from: leader, metadata, bytes: bytes), now: .zero, into: &effects)
        #expect(replica.state.applied == LogIndex(3) && replica.raft.commitIndex == LogIndex(3))
    }

    @Test("while it was checked the log itself has caught up, uncommitted: its entries are applied, each once")
    func logCaughtUp() throws {
        var replica = try follower()
        var effects = ReplicaEffects()
        let append = AppendRequest(
            term: Term(1),
            previousIndex: .zero,
            previousTerm: .zero,
            entries: entries(5),
            commit: .zero
        )
        replica.step(.message(from: leader, .append(append)), now: .zero, into: &effects)
        #expect(replica.state.applied == .zero)
        let (metadata, bytes) = try snapshot(upTo: 3)
        replica.step(.snapshotInstalled(from: leader, metadata, bytes: bytes), now: .zero, into: &effects)
        #expect(replica.state.applied == LogIndex(3) && replica.raft.commitIndex == LogIndex(3))
        #expect(replica.state.encoded() == bytes)
        var heartbeat = append
        heartbeat.previousIndex = LogIndex(5)
        heartbeat.previousTerm = Term(1)
        heartbeat.entries = []
        heartbeat.commit = LogIndex(5)
        replica.step(.message(from: leader, .append(heartbeat)), now: .zero, into: &effects)
        #expect(replica.state.applied == LogIndex(5))
    }
}
