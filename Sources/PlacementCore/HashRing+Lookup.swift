// SPDX-License-Identifier: Apache-2.0
package import Primitives

extension HashRing {
    /// The node of a key; nil when the ring is empty. O(log points).
    package func node(for key: Name) -> NodeID? { node(at: Self.position(of: key)) }

    /// The node of a place on the circle; nil when the ring is empty.
    package func node(at position: UInt64) -> NodeID? { owner(at: position).map { members[$0].id } }

    /// The first `count` distinct nodes clockwise from the key, fewer when the ring has fewer. The first of them is
    /// `node(for:)`; the others are where the key's copies go.
    package func nodes(for key: Name, count: Int) -> [NodeID] { nodes(at: Self.position(of: key), count: count) }

    package func nodes(at position: UInt64, count: Int) -> [NodeID] {
        owners(at: position, count: count).map { members[$0].id }
    }

    /// The part of the circle that belongs to each member, in the members' order; together 1, or empty. What a plain
    /// ring gives each node of very many keys.
    package func shares() -> [Double] {
        var shares = members.map { _ in 0.0 }
        guard var previous = points.last?.position else { return [] }
        if points.count == 1 { return [1] }
        for point in points {
            shares[Int(point.owner)] += Double(point.position &- previous) / 0x1p64
            previous = point.position
        }
        return shares
    }

    /// Position in `members` of the owner; nil when the ring is empty.
    package func owner(at position: UInt64) -> Int? {
        points.isEmpty ? nil : Int(points[pointIndex(at: position)].owner)
    }

    func owners(at position: UInt64, count: Int) -> [Int] {
        var found: [Int] = []
        visitOwners(from: position) { owner in
            if found.count < count && !found.contains(owner) { found.append(owner) }
            return found.count < count && found.count < members.count
        }
        return found
    }

    /// Calls `body` with the owner of each point clockwise from `position`, once around at most, until it says false.
    func visitOwners(from position: UInt64, _ body: (Int) -> Bool) {
        guard !points.isEmpty else { return }
        var index = pointIndex(at: position)
        for _ in points.indices {
            guard body(Int(points[index].owner)) else { return }
            index = index + 1 == points.count ? 0 : index + 1
        }
    }

    /// The first point at or after `position`, or the first of all. The ring must not be empty.
    func pointIndex(at position: UInt64) -> Int {
        points.withUnsafeBufferPointer { points in
            var low = 0
            var high = points.count
            while low < high {
                let middle = (low &+ high) >> 1
                if points[middle].position < position { low = middle &+ 1 } else { high = middle }
            }
            return low == points.count ? 0 : low
        }
    }
}
