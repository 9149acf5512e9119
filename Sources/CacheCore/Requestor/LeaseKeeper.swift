// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// A node's own lease: asks for it, knows when it ends, and begins anew when it is lost. Pure; the shell sends the
/// requests to the system shard and reports the answers.
package struct LeaseKeeper: Sendable {
    package let node: NodeID
    /// How long a lease is good from the sending of its request: what the grantor counts, less a margin for clocks that
    /// drift.
    package let duration: Interval
    package let interval: Interval
    package private(set) var incarnation: UInt64
    package private(set) var view = CacheView()
    package private(set) var leaseEnd = Instant.zero
    package private(set) var losses: UInt64 = 0
    private var nextRequest = Instant.zero
    /// When the request was sent that is not answered yet.
    private var asked: Instant?

    /// What a node may count of a lease for it to be the first to think that it is over, whatever the clocks do within
    /// this bound: its own may be slow and the grantor's fast. - Parameter drift: of each clock, in permille.
    package static func duration(ofLease granted: Interval, drift: UInt64) -> Interval {
        Interval(nanoseconds: granted.nanoseconds * (1_000 - drift) / (1_000 + drift))
    }

    private static let retry = Interval.milliseconds(50)

    /// - Parameter incarnation: greater than any of the node's before.
    package init(node: NodeID, incarnation: UInt64, duration: Interval, interval: Interval) {
        self.node = node
        self.incarnation = incarnation
        self.duration = duration
        self.interval = interval
    }

    package var member: CacheMember { CacheMember(node: node, incarnation: incarnation) }

    /// Nil while this node is no member with a lease.
    package func own(now: Instant) -> CacheMember? { now < leaseEnd && view.contains(member) ? member : nil }

    /// The request that is due, if any.
    package mutating func tick(now: Instant) -> CacheMember? {
        if leaseEnd != .zero, now >= leaseEnd { lose() }
        guard now >= nextRequest, asked == nil else { return nil }
        asked = now
        nextRequest = now + interval
        return member
    }

    /// What became of a request. - Parameter isGranted: nil when nobody answered.
    package mutating func answered(_ member: CacheMember, isGranted: Bool?, view newer: CacheView?, now: Instant) {
        let sent = asked
        asked = nil
        if leaseEnd != .zero, now >= leaseEnd { lose() }
        if let newer { learn(newer, now: now) }
        guard member == self.member, isGranted == true, let sent, view.contains(member) else {
            nextRequest = min(nextRequest, now + Self.retry)
            return
        }
        let end = sent + duration
        if end > now { leaseEnd = max(leaseEnd, end) }
    }

    /// A view from whoever has it.
    package mutating func learn(_ newer: CacheView, now: Instant) {
        guard newer.version > view.version else { return }
        let wasMember = view.contains(member)
        view = newer
        if wasMember, !view.contains(member) { lose() }
    }

    /// Everything the node holds is void; it comes back as another.
    private mutating func lose() {
        if leaseEnd != .zero { losses += 1 }
        leaseEnd = .zero
        incarnation += 1
        nextRequest = .zero
    }
}
