// SPDX-License-Identifier: Apache-2.0

/// What the nemesis can do to the world.
package enum FaultKind: Int, Sendable, CaseIterable {
    /// The nodes fall into two groups that do not hear each other.
    case partition
    case isolateNode
    case isolateLeader
    /// One node is heard but hears nobody, or the reverse.
    case oneWay
    /// A–B–C: two nodes lose each other and both keep a third (partial partition).
    case bridge
    /// A link breaks and heals again and again.
    case flapping
    case loss
    case delay
    case duplication
    case reordering
    /// Connections are reset; frames on the way are lost.
    case connectionReset
    /// Links are stopped one after the other and released in another order.
    case swizzle
    /// The process is killed; what it has written survives in the page cache.
    case kill
    case killLeader
    /// The machine loses power: what was not synced is lost or torn.
    case powerCut
    case clusterPowerCut
    /// Bits flip in what was not synced when the power went.
    case tornWrite
    /// A bit flips in synced bytes of a minority: the node has to refuse to start.
    case damage
    case pause
    case pauseLeader
    case slowDisk
    case fullDisk
    case clockDrift
    case transferLeadership
    case clientPause
    /// A node comes back with an older image of its disk.
    case oldDisk

    package var name: String { "\(self)" }

    /// What the default mix draws from. Damage and old disks cost a node for good and have scenarios of their own,
    /// but a few seeds of the mix have them too.
    static let mix: [FaultKind] = allCases
}
