// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Why a ring, a shard map or a placement table was refused. The members come from settings, peers or disk, so that a
/// wrong one is an answer and never a trap.
package enum PlacementError: Error, Equatable, Sendable {
    /// The name is empty or above `PlacementLimits.nameBytes`.
    case invalidName(Name)
    /// The node is there already.
    case duplicateNode(Name)
    /// Two names hash to the same `NodeID`: one of the nodes needs another name.
    case sameNodeID(Name, Name)
    case unknownNode(Name)
    /// Not a number, or outside `NodeWeight.range`.
    case invalidWeight
    /// There must be as many weights as members, or none.
    case weightCount(expected: Int, found: Int)
    /// A number is outside what is allowed; the text says which.
    case outOfRange(what: String, value: Int, allowed: ClosedRange<Int>)
    /// The shard names a node that is no member.
    case unknownReplica(ShardID, NodeID)
    /// The shard names a node twice.
    case duplicateReplica(ShardID, NodeID)
    /// Two tables with different shard counts cannot be compared: the count is fixed at bootstrap.
    case shardCountDiffers(Int, Int)
}

/// What placement accepts. `ShardID` and the points' owners have 16 bits.
package enum PlacementLimits {
    package static let nameBytes = 255
    package static let members = 1_024
    package static let shards = 1 << 16
    /// Per unit of weight.
    package static let virtualNodes = 10_000
    /// Of the whole ring: 16 bytes each.
    package static let points = 1 << 22
    /// Above the mean, in thousandths.
    package static let slackPerMille = 100_000

    static func check(_ value: Int, in allowed: ClosedRange<Int>, _ what: String) throws(PlacementError) {
        guard allowed.contains(value) else { throw .outOfRange(what: what, value: value, allowed: allowed) }
    }
}
