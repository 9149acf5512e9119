// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// One edge of the graph that joins namespaces: a request of `waiter` waits for something that `holder` has,
/// or stands behind a request of `holder` in a waiting line.
package struct OwnerWait: Sendable, Equatable {
    package var waiter: Name
    package var holder: Name
    /// The holder's session. An owner's sessions in one namespace are agents of their own; only sessions of different
    /// namespaces are joined, so a cycle has to pass through the session, not the owner alone.
    package var holderSession: SessionID
    package var request: RequestID
    /// When the wait began, in milliseconds of cluster time of its shard.
    package var since: UInt64
    package var priority: Int64
    /// For the report of the cycle.
    package var edge: CycleEdge
    /// The waits of sessions without an owner that lie between, when the wait ends at the holder only through them.
    /// They are part of the edge's identity: through other waits it is another edge.
    package var through: [CycleEdge]

    package init(
        waiter: Name,
        holder: Name,
        holderSession: SessionID,
        request: RequestID,
        since: UInt64,
        priority: Int64,
        edge: CycleEdge,
        through: [CycleEdge] = []
    ) {
        self.waiter = waiter
        self.holder = holder
        self.holderSession = holderSession
        self.request = request
        self.since = since
        self.priority = priority
        self.edge = edge
        self.through = through
    }
}
