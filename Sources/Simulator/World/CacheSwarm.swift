// SPDX-License-Identifier: Apache-2.0
package import CacheCore
package import Primitives

/// The cache of a run and what its clients do.
package struct CacheSwarm: Sendable {
    /// Clients that use the cache only; none: the nodes hold no lines and ask for no lease.
    package var clients = 0
    /// `t0`, `t1` and so on hold text, `n…` numbers, `x…` text that now and then expires.
    package var texts = 4
    package var numbers = 2
    package var mortals = 0
    /// So many of the texts and numbers are hot: most calls are for them.
    package var hot = 3
    /// In a hundred: keys that are written in their owner's line, without the log.
    package var volatile: UInt64 = 0
    package var flushInterval = Interval.milliseconds(1_000)
    /// Of each node's lines, all shards together.
    package var limitBytes = 16 << 10
    package var policy = EvictionPolicy.leastRecentlyUsed
    /// What the grantor counts, and what a node counts of it.
    package var lease = Interval.milliseconds(2_500)
    package var keeper = LeaseKeeper.duration(ofLease: .milliseconds(2_500), drift: 100)
    package var renewal = Interval.milliseconds(500)
    package var resendInterval = Interval.milliseconds(500)
    package var timeout = Interval.milliseconds(3_000)
    package var thinkMin = Interval.milliseconds(1)
    package var thinkMax = Interval.milliseconds(100)
    package var workload = CacheWorkload()
}

/// Relative weights of what clients of the cache do.
package struct CacheWorkload: Sendable {
    package var get: UInt64 = 60
    package var set: UInt64 = 14
    package var setIfAbsent: UInt64 = 4
    package var setIfVersion: UInt64 = 6
    package var append: UInt64 = 2
    package var remove: UInt64 = 4
    package var add: UInt64 = 20
    package var evict: UInt64 = 3

    var weights: [UInt64] { [get, set, setIfAbsent, setIfVersion, append, remove, add, evict] }
}

extension CacheSwarm {
    /// - Parameter clockSpread: by how many permille a clock may be off.
    static func mixed(clockSpread: UInt64, _ random: inout SeededRandom) -> CacheSwarm {
        var swarm = CacheSwarm()
        swarm.clients = [0, 0, 2, 4, 6][Int(random.below(5))]
        swarm.texts = 1 + Int(random.below(6))
        swarm.numbers = 1 + Int(random.below(3))
        swarm.mortals = Int(random.below(3))
        swarm.hot = 1 + Int(random.below(4))
        swarm.limitBytes = 256 << Int(random.below(6))
        swarm.policy = random.chance(1, in: 3) ? .s3fifo : .leastRecentlyUsed
        swarm.resendInterval = .milliseconds(100 + random.below(900))
        swarm.timeout = .milliseconds(1_000 + random.below(4_000))
        swarm.thinkMax = .milliseconds(20 << random.below(5))
        if random.chance(1, in: 4) { swarm.volatile = 50 }
        swarm.flushInterval = .milliseconds(200 + random.below(1_500))
        swarm.setKeeper(clockSpread: clockSpread)
        return swarm
    }

    mutating func setKeeper(clockSpread: UInt64) {
        keeper = min(keeper, LeaseKeeper.duration(ofLease: lease, drift: clockSpread))
    }

    /// More clients and fewer keys, so that they meet.
    mutating func crowd() {
        clients = 6
        thinkMax = .milliseconds(40)
    }
}
