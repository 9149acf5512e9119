// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore
import Storage
import Testing

@testable import Node

@Suite struct SyncPlanTests {
    private func entries(_ count: UInt64) -> PersistOperation {
        .entries((1...count).map { Entry(term: Term(1), index: LogIndex($0), kind: .command, payload: []) })
    }

    private func isSmall(_ operations: PersistOperation...) -> Bool {
        SyncPlan.isSmall(operations.enumerated().map { ShardPersist(shard: ShardID(UInt16($0)), operations: [$1]) })
    }

    @Test("the loop syncs a few entries itself, counted over all shards")
    func fewEntries() {
        #expect(isSmall(entries(1)))
        #expect(isSmall(entries(2), entries(2)))
        #expect(!isSmall(entries(2), entries(3)))
        #expect(!isSmall(entries(5)))
        #expect(isSmall(.hardState(HardState(term: Term(3))), entries(3)))
    }

    @Test("a snapshot's record, which may remove segments, is the thread's")
    func snapshots() {
        let metadata = SnapshotMetadata(index: LogIndex(1), term: Term(1), voters: [NodeID(1)], size: 0, checksum: 0)
        #expect(!isSmall(.snapshot(metadata)))
        #expect(!isSmall(.reset(metadata), entries(1)))
    }
}
