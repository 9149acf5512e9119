// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore
import Synchronization
import Telemetry

/// What every thread may know about the shards' leaders, kept up to date by the loops.
final class StatusBoard: Sendable {
    private struct Row {
        var role = Role.follower
        var term = Term.zero
        var leader: NodeID?
        var isHosted = false
    }

    private let rows: Mutex<[Row]>
    private let metrics: RaftMetrics

    init(shards: Int, metrics: RaftMetrics) {
        rows = Mutex(Array(repeating: Row(), count: shards))
        self.metrics = metrics
    }

    func hosts(_ shard: ShardID) {
        rows.withLock { $0[Int(shard.rawValue)].isHosted = true }
    }

    func roleChanged(_ shard: ShardID, _ change: RoleChange) {
        rows.withLock { rows in
            let old = rows[Int(shard.rawValue)]
            if change.role == .leader && old.role != .leader { metrics.electionsWon.increment() }
            if change.role == .candidate && old.role != .candidate { metrics.electionsStarted.increment() }
            if change.role != .leader && old.role == .leader { metrics.stepDowns.increment() }
            rows[Int(shard.rawValue)].role = change.role
            rows[Int(shard.rawValue)].term = change.term
            rows[Int(shard.rawValue)].leader = change.leader
            let hosted = rows.filter(\.isHosted)
            metrics.leaders.set(hosted.filter { $0.role == .leader }.count)
            metrics.leaderless.set(hosted.filter { $0.leader == nil }.count)
            metrics.term.set(Int(clamping: hosted.map(\.term.rawValue).max() ?? 0))
        }
    }

    /// Hosted shards without a known leader.
    var leaderless: [ShardID] {
        rows.withLock { rows in
            rows.indices.filter { rows[$0].isHosted && rows[$0].leader == nil }.map { ShardID(UInt16($0)) }
        }
    }

    var led: [ShardID] {
        rows.withLock { rows in rows.indices.filter { rows[$0].role == .leader }.map { ShardID(UInt16($0)) } }
    }

    func leader(of shard: ShardID) -> NodeID? { rows.withLock { $0[Int(shard.rawValue)].leader } }
}
