// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import Replica

/// All checkers of a run, and the observer's own copies of the shards.
struct Checkers {
    var witnesses: [Witness]
    var electionSafety = ElectionSafety()
    var logMatching: [LogMatching]
    var durableVote = DurableVote()
    var locks: [LockModel]
    var deadlocks: DeadlockCheck
    var queues: [QueueModel]
    /// The last forced release of each lock, as a log index.
    var breaks = LookupTable<LockModel.ObjectKey, LogIndex>()
    var reads = LinearizableReads()
    var cache: CacheModel
    var committedCount: UInt64 = 0

    init(swarm: Swarm, limits: ShardLimits) {
        witnesses = (0..<swarm.shards).map { Witness(shard: $0, limits: limits) }
        logMatching = Array(repeating: LogMatching(), count: swarm.shards)
        locks = (0..<swarm.shards).map { LockModel(shard: $0) }
        queues = (0..<swarm.shards).map { QueueModel(shard: $0, limits: limits.queues) }
        cache = CacheModel(swarm: swarm)
        deadlocks = DeadlockCheck(shards: swarm.shards)
    }
}
