// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Who holds the shards of a cluster with a fixed start. Two nodes that see it differently would count majorities
/// differently, so it is bound to a node's data and compared in every handshake.
package struct Membership: Equatable, Sendable, CustomStringConvertible {
    /// Names of the members, sorted.
    package let names: [String]
    /// Nodes that hold each shard.
    package let copies: UInt32

    package init(names: [String], copies: UInt32) {
        self.names = names.sorted()
        self.copies = copies
    }

    /// What a hello says of it: FNV-1a over the names, each with a zero byte behind it, combined with the copies.
    package var hash: UInt64 {
        StableHash.combine(StableHash.fnv1a(names.flatMap { Array($0.utf8) + [0] }), UInt64(copies))
    }

    package var description: String { "\(names.joined(separator: ", ")) with \(copies) copies of each shard" }
}

/// One life of a peer's data: which open of its directory, and the number drawn at that open.
package struct PeerLife: Equatable, Sendable {
    package var node: NodeID
    package var incarnation: UInt64
    package var life: UInt64

    package init(node: NodeID, incarnation: UInt64, life: UInt64) {
        self.node = node
        self.incarnation = incarnation
        self.life = life
    }

    /// The peer's data is older than what it had when it was met: an older copy, or begun anew.
    package func isOlder(than last: PeerLife) -> Bool {
        incarnation < last.incarnation || (incarnation == last.incarnation && life != last.life)
    }
}
