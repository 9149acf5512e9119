// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives

/// What a node holds of one shard's lines. A class, because a requestor cannot be copied.
final class SimStripe {
    let shard: ShardID
    var requestor: CacheRequestor

    init(shard: ShardID, configuration: RequestorConfiguration) {
        self.shard = shard
        requestor = CacheRequestor(configuration: configuration)
    }
}

/// The cache of one process of a node: empty at its start, and gone with it.
final class SimCache {
    let stripes: [SimStripe]
    var keeper: LeaseKeeper
    /// Who was named in the request that is not answered yet.
    var asked: CacheMember?
    var planner: EvictionPlanner
    /// Counts uses of lines.
    var tick: UInt64 = 1
    var isShedding = false

    init(node: NodeID, life: UInt32, swarm: Swarm, configuration: RequestorConfiguration) {
        stripes = (0..<swarm.shards).map { SimStripe(shard: ShardID(UInt16($0)), configuration: configuration) }
        keeper = LeaseKeeper(
            node: node,
            incarnation: UInt64(life) << 20,
            duration: swarm.cache.keeper,
            interval: swarm.cache.renewal
        )
        planner = EvictionPlanner(
            policy: swarm.cache.policy,
            tables: swarm.shards,
            limitBytes: swarm.cache.limitBytes
        )
    }

    func stripe(_ key: CacheKey) -> SimStripe {
        stripes[Int(CacheKey.shard(hash: key.hash, count: stripes.count).rawValue)]
    }

    func nextTick() -> UInt64 {
        tick += 1
        return tick
    }

    var isIdle: Bool { stripes.allSatisfy { $0.requestor.isIdle } }

    var unloggedCount: Int { stripes.reduce(0) { $0 + $1.requestor.unloggedCount } }
}
