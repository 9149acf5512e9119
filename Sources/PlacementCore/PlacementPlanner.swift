// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Proposes placement tables from the ring, and says what lies between two tables. Pure: the same members, weights and
/// numbers give the same table on every node, whatever the order of the members.
package enum PlacementPlanner {
    /// The first table of a cluster, version 1.
    ///
    /// Two bounded passes over one ring. Leaders first: each shard goes to the first node clockwise from its point that
    /// does not lead its part yet: shards × weight / total weight, rounded down, or up for as many nodes as it takes to
    /// have a leader for each shard. So with equal weights nobody leads two shards more than another. Then the other
    /// replicas: the next distinct nodes clockwise that have room below `replicaCapacities`; where there are none,
    /// other shards' replicas make room.
    /// - Parameters:
    ///   - weights: of the members, in their order; none: all equal.
    ///   - shards: 1 to 65,536.
    ///   - replicas: copies of each shard, 1 to the number of members.
    ///   - virtualNodes: of the ring, per unit of weight.
    ///   - slackPerMille: ε of the replicas' bound, in thousandths.
    package static func initial(
        members: [Name],
        weights: [NodeWeight] = [],
        shards: Int,
        replicas: Int,
        virtualNodes: Int = HashRing.defaultVirtualNodes,
        slackPerMille: Int = HashRing.defaultSlackPerMille
    ) throws(PlacementError) -> PlacementTable {
        guard weights.isEmpty || weights.count == members.count else {
            throw .weightCount(expected: members.count, found: weights.count)
        }
        let ring = try HashRing(
            members: members.enumerated().map { position, name in
                HashRing.Member(name: name, weight: weights.isEmpty ? .one : weights[position])
            },
            virtualNodes: virtualNodes
        )
        try PlacementLimits.check(members.count, in: 1...PlacementLimits.members, "members")
        try PlacementLimits.check(shards, in: 1...PlacementLimits.shards, "shards")
        try PlacementLimits.check(replicas, in: 1...members.count, "replicas")
        try PlacementLimits.check(slackPerMille, in: 0...PlacementLimits.slackPerMille, "slack")
        let leaders = Self.leaders(ring, shards: shards)
        let capacities = replicaCapacities(ring.members, shards, replicas, slackPerMille: slackPerMille)
        var spread = ReplicaSpread(ring: ring, leaders: leaders, capacities: capacities)
        for shard in leaders.indices { spread.fill(shard, to: replicas) }
        return try PlacementTable(
            version: 1,
            members: members,
            assignments: spread.holders.map { $0.map { ring.members[$0].id } }
        )
    }

    /// What separates two tables, by shard number; shards that stay as they are are left out. Data only: carrying it
    /// out takes a membership change of each shard's Raft group and is not this module's.
    package static func difference(
        from old: PlacementTable,
        to new: PlacementTable
    ) throws(PlacementError) -> [ShardMove] {
        guard old.shardCount == new.shardCount else { throw .shardCountDiffers(old.shardCount, new.shardCount) }
        return old.assignments.indices.compactMap { number in
            let (before, after) = (old.assignments[number], new.assignments[number])
            return before == after ? nil : ShardMove(shard: ShardID(UInt16(number)), before: before, after: after)
        }
    }

    /// The leader of each shard, as a position in the ring's members.
    private static func leaders(_ ring: HashRing, shards: Int) -> [Int] {
        let total = ring.totalWeightPerMille
        let quotas = ring.members.map { shards * $0.weight.perMille / total }
        // More nodes have a remainder than there are shards to spare, since each remainder is below 1.
        let hasRemainder = ring.members.map { shards * $0.weight.perMille % total != 0 }
        var spare = shards - quotas.reduce(0, +)
        var led = quotas.map { _ in 0 }
        return (0..<shards).map { shard in
            var leader = 0
            ring.visitOwners(from: HashRing.position(of: ShardID(UInt16(shard)))) { owner in
                let mayTakeSpare = spare > 0 && hasRemainder[owner] && led[owner] == quotas[owner]
                guard led[owner] < quotas[owner] || mayTakeSpare else { return true }
                leader = owner
                return false
            }
            if led[leader] == quotas[leader] { spare -= 1 }
            led[leader] += 1
            return leader
        }
    }

    /// The most replicas that each member may hold: ceil((1 + ε) × its part), at most one of each shard. A part is
    /// shards × replicas × weight / total weight; what a heavy node cannot hold, because a shard has one replica on a
    /// node at most, is shared out among the others.
    static func replicaCapacities(
        _ members: [HashRing.Member],
        _ shards: Int,
        _ replicas: Int,
        slackPerMille: Int
    ) -> [Int] {
        var capacities = members.map { _ in shards }
        var rest = shards * replicas
        var weight = members.reduce(0) { $0 + $1.weight.perMille }
        // The heaviest first: once one is not full, neither are the lighter ones.
        let order = members.indices.sorted {
            (members[$1].weight, members[$0].name) < (members[$0].weight, members[$1].name)
        }
        for member in order where weight > 0 {
            let own = members[member].weight.perMille
            if rest * own >= shards * weight {
                rest -= shards
                weight -= own
            } else {
                let product = UInt128(rest) * UInt128(own) * UInt128(1_000 + slackPerMille)
                let divisor = UInt128(weight) * 1_000
                capacities[member] = min(shards, Int((product + divisor - 1) / divisor))
            }
        }
        return capacities
    }
}

/// One shard's change between two tables.
package struct ShardMove: Sendable, Equatable {
    package let shard: ShardID
    /// The replicas in order, the preferred leader first.
    package let before: [NodeID]
    package let after: [NodeID]

    /// Nodes that get a copy, in the new order. They must have caught up before `removed` lose theirs.
    package var added: [NodeID] { after.filter { !before.contains($0) } }

    /// Nodes that lose their copy, in the old order.
    package var removed: [NodeID] { before.filter { !after.contains($0) } }

    /// The new preferred leader when it is another one. Leadership goes to it before `removed` lose their copies.
    package var newLeader: NodeID? { after.first == before.first ? nil : after.first }
}
