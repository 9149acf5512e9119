// SPDX-License-Identifier: Apache-2.0

/// A node's capacity against the others', in thousandths: 0.001 to 100. Kept as a whole number, so that every node
/// computes the same ring.
package struct NodeWeight: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let perMille: Int

    package static let range = 1...100_000
    package static let one = NodeWeight(unchecked: 1_000)

    private init(unchecked perMille: Int) { self.perMille = perMille }

    package init(perMille: Int) throws(PlacementError) {
        guard Self.range.contains(perMille) else { throw .invalidWeight }
        self.perMille = perMille
    }

    /// Rounds to the nearest thousandth, halves up. Not with `rounded()`, which would need the C library's `round`.
    package init(_ value: Double) throws(PlacementError) {
        guard value.isFinite, value >= 0, value <= 1_000 else { throw .invalidWeight }
        try self.init(perMille: Int(value * 1_000 + 0.5))
    }

    package static func < (left: NodeWeight, right: NodeWeight) -> Bool { left.perMille < right.perMille }

    package var description: String { "\(Double(perMille) / 1_000)" }
}
