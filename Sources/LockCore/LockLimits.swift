// SPDX-License-Identifier: Apache-2.0

/// The bounds of a lock state machine. They decide what a command does, so every replica of a shard must run with the
/// same values; a difference shows in the digest.
package struct LockLimits: Sendable, Equatable {
    /// Open sessions of one namespace.
    package var sessionsPerNamespace = 100_000
    /// Locks, semaphores and elections of one namespace that are held, waited for or delayed.
    package var locksPerNamespace = 2_000_000
    package var waitersPerLock = 10_000
    package var holdsPerSession = 100_000
    package var waitsPerSession = 1_024
    /// Namespaces of one shard that are in use.
    package var namespaces = 16_384
    /// Edges that one shard reports for deadlock detection across shards; later waits are left out above it.
    package var ownerWaits = 10_000

    #if PLANTED_BUGS
        package var plantedBug: PlantedLockBug?
    #endif

    package init() {}

    // Bounds of single values; see `LockState.validate`.
    package static let nameBytes = 512
    package static let namespaceBytes = 128
    package static let labelBytes = 256
    package static let ownerBytes = 256
    package static let reasonBytes = 1_024
    package static let valueBytes = 4_096
    package static let items = 128
    package static let semaphoreLimit: UInt64 = 1_000_000_000
    package static let lockDelayMilliseconds: UInt64 = 60_000
    package static let ttlMilliseconds: ClosedRange<UInt64> = 1_000...3_600_000
    /// Seven days.
    package static let waitMilliseconds: UInt64 = 604_800_000

    // Bounds of answers.
    /// Results remembered per session for retries.
    package static let rememberedResults = 64
    /// Holders named in an answer, waiters likewise; `ObjectView` carries the full counts.
    package static let viewedHolders = 1_000
    package static let viewedInList = 16
    /// Edges of a deadlock that are reported; a longer cycle is cut there.
    package static let reportedCycle = 1_024
    package static let pageEntries = 1_000
    /// Slots looked at for one page of a listing.
    package static let pageVisits = 8_192
}

#if PLANTED_BUGS
    /// Classic faults of lock services that the simulator must find. Test builds only.
    package enum PlantedLockBug: Sendable, Equatable, CaseIterable {
        /// The waits of an ended session stay in line and are granted (etcd-io/etcd#11456).
        case grantWithoutSessionCheck
        /// `expireSession` is carried out whichever term it was proposed in (etcd-io/etcd#17425).
        case expiryFromDeposedLeader
        /// Neighbouring entries grant with the same token.
        case tokenNotRising
    }
#endif
