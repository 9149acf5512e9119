// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// A consistent-hash ring with virtual nodes (Karger et al., STOC'97; virtual nodes as in Dynamo, SOSP'07).
///
/// Every node stands at several points of the circle 0 … 2^64 − 1, and a key belongs to the first point at or after its
/// own, past the end to the first of all. A point depends on the node's name and its own number only, so that a node
/// that joins takes keys from the others and moves none between them, and one that leaves gives away only its own.
///
/// The points, which must never change (`HashRingTests` fixes vectors):
///
///     key's point            = mix(fnv1a(UTF-8 bytes of the key))
///     shard's point          = combine(fnv1a("shard"), shard number)
///     virtual node i's point = combine(mix(fnv1a(UTF-8 bytes of the node's name))), i),  i = 0, 1, …
///     combine(h, v)          = mix(h × 0x9e3779b97f4a7c15 + v)                            modulo 2^64
///
/// with `StableHash`'s FNV-1a (64 bits) and `mix`, the finaliser of SplitMix64. A node of weight w has
/// `max(1, round(w × virtual nodes))` points; a change of weight adds or removes the last ones.
///
/// The ring is a function of its members: the order in which they came does not matter. Where two points coincide, the
/// node whose name comes first (by bytes) stands first.
package struct HashRing: Sendable, Equatable {
    package static let defaultVirtualNodes = 150

    package struct Member: Sendable, Hashable {
        package let name: Name
        package let id: NodeID
        package internal(set) var weight: NodeWeight

        package init(name: Name, weight: NodeWeight = .one) {
            self.name = name
            self.weight = weight
            id = NodeID(name: name.text)
        }
    }

    struct Point: Sendable, Equatable, Comparable {
        let position: UInt64
        /// Position in `members`; they are sorted by name, so that this order is the names' order.
        var owner: UInt16

        static func < (left: Point, right: Point) -> Bool {
            left.position != right.position ? left.position < right.position : left.owner < right.owner
        }
    }

    /// Points of a node with weight 1.
    package let virtualNodes: Int
    /// Sorted by name.
    package private(set) var members: [Member]
    /// Sorted.
    private(set) var points: [Point]

    package init(virtualNodes: Int = HashRing.defaultVirtualNodes) throws(PlacementError) {
        try self.init(members: [], virtualNodes: virtualNodes)
    }

    package init(
        members: [Member],
        virtualNodes: Int = HashRing.defaultVirtualNodes
    ) throws(PlacementError) {
        try PlacementLimits.check(virtualNodes, in: 1...PlacementLimits.virtualNodes, "virtual nodes")
        self.virtualNodes = virtualNodes
        self.members = members.sorted { $0.name < $1.name }
        points = []
        try Self.validate(self.members)
        try checkPointCount(of: self.members)
        for owner in self.members.indices { points += unsortedPoints(of: owner) }
        points.sort()
    }

    package var isEmpty: Bool { members.isEmpty }

    package var pointCount: Int { points.count }

    package var totalWeightPerMille: Int { members.reduce(0) { $0 + $1.weight.perMille } }

    package func member(named name: Name) -> Member? {
        let index = insertionIndex(of: name)
        return index < members.count && members[index].name == name ? members[index] : nil
    }

    // MARK: Changes, O(points)

    package mutating func add(_ name: Name, weight: NodeWeight = .one) throws(PlacementError) {
        let owner = insertionIndex(of: name)
        if owner < members.count && members[owner].name == name { throw .duplicateNode(name) }
        var changed = members
        changed.insert(Member(name: name, weight: weight), at: owner)
        try Self.validate(changed)
        try checkPointCount(of: changed)
        for index in points.indices where Int(points[index].owner) >= owner { points[index].owner += 1 }
        members = changed
        merge(unsortedPoints(of: owner).sorted())
    }

    package mutating func remove(_ name: Name) throws(PlacementError) {
        let owner = try index(of: name)
        points.removeAll { Int($0.owner) == owner }
        for index in points.indices where Int(points[index].owner) > owner { points[index].owner -= 1 }
        members.remove(at: owner)
    }

    package mutating func setWeight(_ name: Name, to weight: NodeWeight) throws(PlacementError) {
        let owner = try index(of: name)
        var changed = members
        changed[owner].weight = weight
        try checkPointCount(of: changed)
        members = changed
        points.removeAll { Int($0.owner) == owner }
        merge(unsortedPoints(of: owner).sorted())
    }

    // MARK: Points

    package static func position(of key: Name) -> UInt64 { StableHash.point(of: key) }

    package static func position(of shard: ShardID) -> UInt64 {
        StableHash.combine(shardSeed, UInt64(shard.rawValue))
    }

    package static func position(of node: Name, virtualNode number: Int) -> UInt64 {
        StableHash.combine(StableHash.point(of: node), UInt64(truncatingIfNeeded: number))
    }

    private static let shardSeed = StableHash.fnv1a("shard".utf8)

    private func pointCount(of member: Member) -> Int {
        max(1, (member.weight.perMille * virtualNodes + 500) / 1_000)
    }

    private func unsortedPoints(of owner: Int) -> [Point] {
        let member = members[owner]
        let seed = StableHash.point(of: member.name)
        return (0..<pointCount(of: member)).map { number in
            Point(position: StableHash.combine(seed, UInt64(number)), owner: UInt16(owner))
        }
    }

    /// Both are sorted.
    private mutating func merge(_ added: [Point]) {
        var merged: [Point] = []
        merged.reserveCapacity(points.count + added.count)
        var index = 0
        for point in added {
            while index < points.count, points[index] < point {
                merged.append(points[index])
                index += 1
            }
            merged.append(point)
        }
        merged.append(contentsOf: points[index...])
        points = merged
    }

    // MARK: Checks

    private func insertionIndex(of name: Name) -> Int {
        var low = 0
        var high = members.count
        while low < high {
            let middle = (low + high) / 2
            if members[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func index(of name: Name) throws(PlacementError) -> Int {
        let index = insertionIndex(of: name)
        guard index < members.count, members[index].name == name else { throw .unknownNode(name) }
        return index
    }

    private static func validate(_ members: [Member]) throws(PlacementError) {
        try MemberNames.validate(sorted: members.map(\.name))
    }

    private func checkPointCount(of members: [Member]) throws(PlacementError) {
        let count = members.reduce(0) { $0 + pointCount(of: $1) }
        try PlacementLimits.check(count, in: 0...PlacementLimits.points, "points")
    }
}

/// The checks that the members of a ring and of a placement table share.
enum MemberNames {
    static func validate(sorted names: [Name]) throws(PlacementError) {
        try PlacementLimits.check(names.count, in: 0...PlacementLimits.members, "members")
        var ids: [(id: NodeID, name: Name)] = []
        for (index, name) in names.enumerated() {
            guard (1...PlacementLimits.nameBytes).contains(name.byteCount) else { throw .invalidName(name) }
            if index > 0 && names[index - 1] == name { throw .duplicateNode(name) }
            ids.append((NodeID(name: name.text), name))
        }
        ids.sort { $0.id < $1.id }
        for index in ids.indices.dropFirst() where ids[index - 1].id == ids[index].id {
            throw .sameNodeID(ids[index - 1].name, ids[index].name)
        }
    }
}
