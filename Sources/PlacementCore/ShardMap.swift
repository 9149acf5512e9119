// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Names → shards: a hash modulo a shard count that is fixed at bootstrap. Which nodes hold the shard is the placement
/// table's business, so that a name never changes its shard.
package struct ShardMap: Sendable, Equatable {
    package let count: Int

    /// - Parameter count: 1 to 65,536, the shards that a `ShardID` can name.
    package init(count: Int) throws(PlacementError) {
        try PlacementLimits.check(count, in: 1...PlacementLimits.shards, "shards")
        self.count = count
    }

    /// `mix(fnv1a(UTF-8 bytes of the name)) mod count`: what `Router.shard(for:count:)` computes. Data on disk depends
    /// on it; it must never change.
    package func shard(for name: Name) -> ShardID {
        ShardID(UInt16(truncatingIfNeeded: StableHash.point(of: name) % UInt64(count)))
    }
}

extension StableHash {
    /// A name's place on the 64-bit circle: FNV-1a of its UTF-8 bytes, spread by SplitMix64's finaliser. FNV-1a alone
    /// leaves names that differ in their last byte close together.
    package static func point(of name: Name) -> UInt64 { mix(fnv1a(name.text.utf8)) }
}
