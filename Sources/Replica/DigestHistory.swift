// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// The state hashes of this replica and its peers at recent agreed indices.
///
/// A replica is the odd one when a majority of all voters agrees on a hash that is not its own. Without such a
/// majority nobody can say who is wrong, and nobody stops.
package struct DigestHistory: Sendable {
    private struct Row: Sendable {
        var own: UInt64?
        var peers = OrderedMap<NodeID, UInt64>()
    }

    /// Indices remembered; a peer further behind or ahead is compared another time.
    package static let capacity = 64

    private var rows = OrderedMap<LogIndex, Row>()

    package init() {}

    package mutating func note(index: LogIndex, hash: UInt64) {
        update(index) { $0.own = hash }
    }

    package mutating func note(index: LogIndex, hash: UInt64, from peer: NodeID) {
        update(index) { $0.peers[peer] = hash }
    }

    package func isOdd(at index: LogIndex, voters: Int) -> Bool {
        guard let row = rows[index], let own = row.own else { return false }
        for (_, candidate) in row.peers where candidate != own {
            if row.peers.filter({ $0.value == candidate }).count > voters / 2 { return true }
        }
        return false
    }

    private mutating func update(_ index: LogIndex, _ body: (inout Row) -> Void) {
        var row = rows[index] ?? Row()
        body(&row)
        rows[index] = row
        if rows.count > Self.capacity, let oldest = rows.first { rows[oldest.key] = nil }
    }
}
