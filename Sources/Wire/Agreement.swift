// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// What all nodes of a cluster must see alike and no setting can change later: who holds the shards, because two nodes
/// that disagree would count majorities differently; and the quotas, because replicas that apply one log under
/// different ones would differ. Bound to a node's data, and compared in every handshake.
package struct Agreement: Equatable, Sendable, CustomStringConvertible {
    /// Names of the members, sorted.
    package let names: [String]
    /// Nodes that hold each shard.
    package let copies: UInt32
    /// Limits that take part in applying the log, in an order that all nodes share.
    package let quotas: [UInt64]

    package init(names: [String], copies: UInt32, quotas: [UInt64] = []) {
        self.names = names.sorted()
        self.copies = copies
        self.quotas = quotas
    }

    /// What a hello says of it: FNV-1a over the names, each with a zero byte behind it, combined with the numbers.
    package var hash: UInt64 {
        let members = StableHash.fnv1a(names.flatMap { Array($0.utf8) + [0] })
        return quotas.reduce(StableHash.combine(members, UInt64(copies))) { StableHash.combine($0, $1) }
    }

    /// Behind the quotas of a cluster whose cache has Redis as its memory: its replicas keep other things than those of
    /// a cluster that is the memory itself.
    package static let redisMemory: UInt64 = 0x7265_6469_735f_6d65

    package var description: String {
        var text = "\(names.joined(separator: ", ")) with \(copies) copies of each shard"
        let limits = quotas.filter { $0 != Self.redisMemory }
        if !limits.isEmpty { text += " and quotas \(limits)" }
        return quotas.contains(Self.redisMemory) ? text + ", memory redis" : text
    }
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
