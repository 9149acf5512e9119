// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Hands out the replicas of shards whose leaders are chosen, none above its node's capacity.
struct ReplicaSpread {
    /// Of each shard: positions in the ring's members, the leader first.
    private(set) var holders: [[Int]]
    private let ring: HashRing
    private var room: [Int]

    init(ring: HashRing, leaders: [Int], capacities: [Int]) {
        self.ring = ring
        holders = leaders.map { [$0] }
        room = capacities
        for leader in leaders { room[leader] -= 1 }
    }

    mutating func fill(_ shard: Int, to count: Int) {
        var chosen = holders[shard]
        ring.visitOwners(from: HashRing.position(of: ShardID(UInt16(shard)))) { owner in
            if chosen.count < count && room[owner] > 0 && !chosen.contains(owner) { chosen.append(owner) }
            return chosen.count < count
        }
        for owner in chosen.dropFirst() { room[owner] -= 1 }
        holders[shard] = chosen
        while holders[shard].count < count {
            // Capacities that are too small for the demand do not come from `replicaCapacities`; if they did, copies on
            // distinct nodes would matter more than the bound.
            let node = exchange(for: shard) ?? nextOther(shard)
            holders[shard].append(node)
            room[node] -= 1
        }
    }

    /// The first node clockwise that does not hold the shard.
    private func nextOther(_ shard: Int) -> Int {
        var found: Int?
        ring.visitOwners(from: HashRing.position(of: ShardID(UInt16(shard)))) { owner in
            if !holders[shard].contains(owner) { found = owner }
            return found == nil
        }
        guard let found else { invariantFailure("more replicas than nodes") }
        return found
    }

    /// Makes room on a node that does not hold `shard`, by moving other shards' followers along a shortest chain of
    /// nodes to one that has room: an augmenting path, found breadth first.
    /// - Returns: the node that has room now; nil when no chain leads to room.
    private mutating func exchange(for shard: Int) -> Int? {
        /// How a node was reached: `shard`'s follower would move here from `source`.
        var reached: [(source: Int, shard: Int)?] = room.map { _ in nil }
        var isStart = room.map { _ in true }
        for node in holders[shard] { isStart[node] = false }
        var queue = room.indices.filter { isStart[$0] }
        var position = 0
        while position < queue.count {
            let source = queue[position]
            position += 1
            for other in holders.indices where other != shard && holders[other].dropFirst().contains(source) {
                for node in room.indices
                where !isStart[node] && reached[node] == nil && !holders[other].contains(node) {
                    reached[node] = (source, other)
                    if room[node] > 0 {
                        return shift(along: reached, to: node)
                    }
                    queue.append(node)
                }
            }
        }
        return nil
    }

    private mutating func shift(along reached: [(source: Int, shard: Int)?], to end: Int) -> Int {
        var node = end
        room[end] -= 1
        while let step = reached[node] {
            if let place = holders[step.shard].dropFirst().firstIndex(of: step.source) {
                holders[step.shard][place] = node
            }
            node = step.source
        }
        room[node] += 1
        return node
    }
}
