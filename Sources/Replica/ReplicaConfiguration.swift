// SPDX-License-Identifier: Apache-2.0
package import CacheCore
package import PlacementCore
package import Primitives
package import QueueCore
package import RaftCore

package struct ReplicaConfiguration: Sendable {
    package var shard: ShardID
    package var raft: RaftConfiguration
    package var limits: ShardLimits
    /// Where the index of queued messages keeps its cold part. Nothing that is replicated depends on it.
    package var index = IndexLayout()
    /// A snapshot is due when the log since the last is larger than this many bytes, and than half of that snapshot:
    /// writing it again and again must not cost more than the log itself.
    package var snapshotLogBytes = 16 << 20
    /// Bytes of publishes to one queue that wait to be committed; with more of them it alone is refused as busy, and
    /// its shard goes on serving the others.
    package var maxUncommittedBytesPerQueue = 16 << 20
    package var home = HomeConfiguration()
    /// What the shard's part of the cache's memory may hold in bytes; more is refused.
    package var maxCacheBytes = Int.max
    /// With Redis as memory: what may wait to be written back.
    package var maxDirtyCacheBytes = Int.max
    /// How long the system shard's leader lets a cache be after it has renewed its lease.
    package var cacheLease = Interval.milliseconds(2_500)
    /// For the system shard: the table that its leader puts into the log when there is none yet.
    package var proposedPlacement: PlacementTable?
    /// Every so many entries the replicas compare their state.
    package var digestInterval: UInt64 = 256
    /// Requests of all callers that wait for an answer from this replica.
    package var maxCallers = 1 << 17

    package init(shard: ShardID, raft: RaftConfiguration, limits: ShardLimits = ShardLimits()) {
        self.shard = shard
        self.raft = raft
        self.limits = limits
    }
}
