// SPDX-License-Identifier: Apache-2.0
import Primitives

/// A running hash of everything that happens. Two runs of one seed that differ anywhere end with different values.
struct TraceHash {
    private(set) var value: UInt64 = 0

    @inline(__always)
    mutating func note(_ word: UInt64) { value = StableHash.combine(value, word) }

    @inline(__always)
    mutating func note(_ first: UInt64, _ second: UInt64, _ third: UInt64) {
        value = StableHash.combine(StableHash.combine(StableHash.combine(value, first), second), third)
    }
}

/// The last events of each node, and of the world as a whole, as text; kept only in a verbose run, to which a
/// failing seed is replayed.
package struct EventLog: Sendable {
    package static let perNode = 250

    private var rings: [[String]]
    private var positions: [Int]

    init(nodes: Int) {
        rings = Array(repeating: [], count: nodes)
        positions = Array(repeating: 0, count: nodes)
    }

    mutating func note(_ node: Int, _ line: String) {
        if rings[node].count < Self.perNode {
            rings[node].append(line)
        } else {
            rings[node][positions[node]] = line
            positions[node] = (positions[node] + 1) % Self.perNode
        }
    }

    /// Oldest first.
    package func lines(of node: Int) -> [String] {
        Array(rings[node][positions[node]...] + rings[node][..<positions[node]])
    }

    /// One more than there are nodes: the last ring is the world's.
    package var ringCount: Int { rings.count }
}
