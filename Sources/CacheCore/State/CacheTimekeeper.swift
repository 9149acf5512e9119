// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// The leases of all caches, in the memory of the system shard's leader: one per node, over all its lines and its homes
/// (volume leases; Yin, Alvisi, Dahlin, Lin, TKDE 1999). Renewals are not logged; removals are.
package struct CacheTimekeeper: Sendable {
    private struct Lease: Sendable {
        var member: CacheMember
        var end: Instant
        var isExpiring = false
        /// It renews, but does not answer a home: it is renewed no longer.
        var isAccused = false
    }

    /// Counted here from the answer to a renewal; a node counts from the sending of its request, and less.
    package let duration: Interval
    private var leases = OrderedMap<NodeID, Lease>()
    #if PLANTED_BUGS
        package var plantedBug: PlantedCacheBug?
    #endif

    package init(duration: Interval) { self.duration = duration }

    /// A new leader does not know how long its predecessor's grants last, so everybody gets a full one.
    package mutating func lead(_ view: CacheView, now: Instant) {
        leases = OrderedMap()
        for member in view.members { leases[member.node] = Lease(member: member, end: now + duration) }
    }

    package mutating func stopLeading() { leases = OrderedMap() }

    /// The log has changed who is a member.
    package mutating func observe(_ view: CacheView, now: Instant) {
        for node in leases.keys where view.member(node) != leases[node]?.member { leases[node] = nil }
        for member in view.members where leases[member.node] == nil {
            leases[member.node] = Lease(member: member, end: now + duration)
        }
    }

    /// Called under leadership that was confirmed after the request came. False: the lease is not prolonged.
    package mutating func renew(_ member: CacheMember, now: Instant) -> Bool {
        guard var lease = leases[member.node], lease.member == member, !lease.isExpiring, !lease.isAccused else {
            return false
        }
        lease.end = now + duration
        leases[member.node] = lease
        return true
    }

    package mutating func accuse(_ member: CacheMember) {
        leases.modify(member.node) { if $0.member == member { $0.isAccused = true } }
    }

    /// Whose lease has certainly run out; each is named once.
    package mutating func due(_ now: Instant) -> [CacheMember] {
        var due: [CacheMember] = []
        for node in leases.keys {
            guard var lease = leases[node], !lease.isExpiring, lease.end <= now + earliness else { continue }
            lease.isExpiring = true
            leases[node] = lease
            due.append(lease.member)
        }
        return due
    }

    /// The removal was not taken into the log: to be proposed again.
    package mutating func retry(_ member: CacheMember) {
        leases.modify(member.node) { if $0.member == member { $0.isExpiring = false } }
    }

    /// Zero, without a planted bug.
    private var earliness: Interval {
        #if PLANTED_BUGS
            plantedBug == .removeBeforeExpiry ? duration / 2 : .zero
        #else
            .zero
        #endif
    }

    package func remaining(_ node: NodeID, now: Instant) -> Interval? {
        guard let lease = leases[node], lease.end > now else { return nil }
        return lease.end.since(now)
    }
}
