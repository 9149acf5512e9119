// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Which nodes hold each shard. The ring proposes a table; the table, stored and versioned in the system shard,
/// decides: shards do not move because a node was added or a hash changed, but because a new table was agreed on.
///
/// Every table is valid: member names differ, and each shard names at least one node, members only and none twice.
package struct PlacementTable: Sendable, Equatable {
    /// Rises by one with each table; a node ignores tables that are not newer than its own.
    package let version: UInt64
    /// Sorted by name.
    package let members: [Name]
    /// Of each shard, by its number: the nodes that hold it, the preferred leader first, then in the order in which
    /// they should take its place.
    package let assignments: [[NodeID]]

    /// The ids of `members`, sorted by id, with their positions in `members`.
    private let index: [(id: NodeID, member: Int)]

    /// - Parameters:
    ///   - version: 1 or more.
    ///   - members: in any order.
    ///   - assignments: one for each shard, 1 to 65,536 of them.
    package init(version: UInt64, members: [Name], assignments: [[NodeID]]) throws(PlacementError) {
        guard version > 0 else { throw .outOfRange(what: "version", value: 0, allowed: 1...Int.max) }
        let members = members.sorted()
        try PlacementLimits.check(members.count, in: 1...PlacementLimits.members, "members")
        try MemberNames.validate(sorted: members)
        try PlacementLimits.check(assignments.count, in: 1...PlacementLimits.shards, "shards")
        self.version = version
        self.members = members
        self.assignments = assignments
        index = members.enumerated().map { (NodeID(name: $1.text), $0) }.sorted { $0.id < $1.id }
        for (number, replicas) in assignments.enumerated() {
            try validate(replicas, of: ShardID(UInt16(number)))
        }
    }

    private func validate(_ replicas: [NodeID], of shard: ShardID) throws(PlacementError) {
        try PlacementLimits.check(replicas.count, in: 1...members.count, "replicas of \(shard)")
        for (position, node) in replicas.enumerated() {
            guard isMember(node) else { throw .unknownReplica(shard, node) }
            guard !replicas[..<position].contains(node) else { throw .duplicateReplica(shard, node) }
        }
    }

    package static func == (left: PlacementTable, right: PlacementTable) -> Bool {
        left.version == right.version && left.members == right.members && left.assignments == right.assignments
    }

    package var shardCount: Int { assignments.count }

    /// Empty for a shard that the cluster does not have.
    package func replicas(of shard: ShardID) -> [NodeID] {
        let number = Int(shard.rawValue)
        return number < assignments.count ? assignments[number] : []
    }

    package func preferredLeader(of shard: ShardID) -> NodeID? { replicas(of: shard).first }

    package func shards(on node: NodeID) -> [ShardID] { shards { $0.contains(node) } }

    package func shards(preferring leader: NodeID) -> [ShardID] { shards { $0.first == leader } }

    private func shards(where condition: ([NodeID]) -> Bool) -> [ShardID] {
        assignments.indices.filter { condition(assignments[$0]) }.map { ShardID(UInt16($0)) }
    }

    package func isMember(_ node: NodeID) -> Bool { position(of: node) != nil }

    package func name(of node: NodeID) -> Name? { position(of: node).map { members[$0] } }

    /// Position in `members`.
    func position(of node: NodeID) -> Int? {
        var low = 0
        var high = index.count
        while low < high {
            let middle = (low + high) / 2
            if index[middle].id < node { low = middle + 1 } else { high = middle }
        }
        return low < index.count && index[low].id == node ? index[low].member : nil
    }
}
