// SPDX-License-Identifier: Apache-2.0

/// Keys on nodes such that no node has more than its capacity.
package struct BoundedAssignment: Sendable, Equatable {
    /// Of each key: a position in the ring's members.
    package internal(set) var owners: [UInt16] = []
    /// Keys of each member.
    package internal(set) var loads: [Int]
    /// The most that each member may have.
    package let capacities: [Int]
}

extension HashRing {
    /// ε = 0.25: the busiest node has at most 1.25 times the mean, and the bound seldom comes into play with 150
    /// virtual nodes, so that it moves few keys more than the plain ring when a node joins or leaves.
    package static let defaultSlackPerMille = 250

    /// Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, SODA'18): each key goes to the first
    /// point clockwise whose node still has room.
    ///
    /// Which of the keys beyond a node's capacity go further depends on their order: give the same keys in the same
    /// order, and the expected number that moves when a node joins or leaves stays O(1/ε²) times the ideal.
    /// - Parameters:
    ///   - positions: the keys' points, in the order in which they take their places.
    ///   - slackPerMille: ε in thousandths, 0 to 100,000.
    /// - Throws: `outOfRange` for the slack, or when there are keys and no nodes.
    package func assign(
        _ positions: [UInt64],
        slackPerMille: Int = HashRing.defaultSlackPerMille
    ) throws(PlacementError) -> BoundedAssignment {
        if !positions.isEmpty { try PlacementLimits.check(members.count, in: 1...PlacementLimits.members, "members") }
        let capacities = try capacities(for: positions.count, slackPerMille: slackPerMille)
        var assignment = BoundedAssignment(loads: members.map { _ in 0 }, capacities: capacities)
        assignment.owners.reserveCapacity(positions.count)
        var open = OpenPoints(points: points, memberCount: members.count)
        for position in positions {
            let owner = Int(points[open.first(from: pointIndex(at: position))].owner)
            assignment.owners.append(UInt16(owner))
            assignment.loads[owner] += 1
            if assignment.loads[owner] == capacities[owner] { open.close(owner) }
        }
        return assignment
    }

    /// ceil((1 + ε) × keys × weight / total weight) of each member: for equal weights ceil((1 + ε) × mean). Their sum
    /// is never below the number of keys.
    package func capacities(for keys: Int, slackPerMille: Int) throws(PlacementError) -> [Int] {
        try PlacementLimits.check(slackPerMille, in: 0...PlacementLimits.slackPerMille, "slack")
        try PlacementLimits.check(keys, in: 0...Int(Int32.max), "keys")
        let divisor = UInt128(totalWeightPerMille) * 1_000
        return members.map { member in
            let product = UInt128(keys) * UInt128(1_000 + slackPerMille) * UInt128(member.weight.perMille)
            return Int((product + divisor - 1) / divisor)
        }
    }
}

/// The points of nodes with room. Finding the next one takes nearly constant time however many are closed: closed
/// points refer to their successors, and the references are shortened as they are followed (union–find).
private struct OpenPoints {
    /// An open point's own position; a closed one's, a later position.
    private var next: [Int32]
    private var pointsOfOwner: [[Int32]]

    init(points: [HashRing.Point], memberCount: Int) {
        next = (0..<Int32(points.count)).map { $0 }
        pointsOfOwner = Array(repeating: [], count: memberCount)
        for (index, point) in points.enumerated() { pointsOfOwner[Int(point.owner)].append(Int32(index)) }
    }

    /// The first open point at or after `index`, around the circle. When every point is closed, any of them: no key is
    /// left then.
    mutating func first(from index: Int) -> Int {
        next.withUnsafeMutableBufferPointer { next in
            var index = index
            while Int(next[index]) != index {
                next[index] = next[Int(next[index])]
                index = Int(next[index])
            }
            return index
        }
    }

    mutating func close(_ owner: Int) {
        for index in pointsOfOwner[owner] {
            let following = Int(index) + 1 == next.count ? 0 : Int(index) + 1
            // Around a circle in which all are closed, the last one stays its own successor.
            next[Int(index)] = Int32(first(from: following))
        }
    }
}
