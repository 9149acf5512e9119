// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// A session's id. `payments/7f3k…` belongs to namespace `payments`; an id without a slash to `default`.
/// The namespace stands in the id so that any node can route a request that names only the session.
package struct SessionID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let name: Name

    package init(_ name: Name) { self.name = name }

    package init(_ text: String) { self.name = Name(text) }

    /// The part before the first slash, `default` when there is none.
    package var namespace: Name {
        guard let slash = name.text.utf8.firstIndex(of: UInt8(ascii: "/")) else { return .defaultNamespace }
        return Name(String(name.text[..<slash]))
    }

    package static func < (left: SessionID, right: SessionID) -> Bool { left.name < right.name }

    package var description: String { name.text }
}

extension Name {
    package static let defaultNamespace = Name("default")
}

package enum LockMode: UInt8, Sendable, CaseIterable {
    case shared = 1
    /// Compatible with shared, not with update or exclusive; converts to exclusive without the upgrade deadlock.
    case update = 2
    case exclusive = 3
}

package enum ObjectKind: UInt8, Sendable {
    case lock = 1
    case semaphore = 2
    case election = 3
}

package enum Wait: Sendable, Equatable {
    case none
    case milliseconds(UInt64)
    case forever
}

package struct AcquireItem: Sendable, Equatable {
    package var name: Name
    package var mode: LockMode

    package init(name: Name, mode: LockMode) {
        self.name = name
        self.mode = mode
    }
}

package struct OpenSession: Sendable, Equatable {
    /// Full id, its namespace prefix included. The node that received the request has chosen one if the client did not.
    package var id: SessionID
    package var ttlMilliseconds: UInt64
    package var label: String
    /// Sessions of different namespaces with the same non-empty owner wait for each other in deadlock detection.
    package var owner: String
    /// How long the locks of this session stay unavailable after it expires without a close, in milliseconds
    /// (0–60,000).
    package var lockDelayMilliseconds: UInt64

    package init(
        id: SessionID,
        ttlMilliseconds: UInt64,
        label: String = "",
        owner: String = "",
        lockDelayMilliseconds: UInt64 = 0
    ) {
        self.id = id
        self.ttlMilliseconds = ttlMilliseconds
        self.label = label
        self.owner = owner
        self.lockDelayMilliseconds = lockDelayMilliseconds
    }
}

package struct Acquire: Sendable, Equatable {
    package var session: SessionID
    package var kind: ObjectKind
    /// One item, or several names that are granted together or not at all (locks only).
    package var items: [AcquireItem]
    package var wait: Wait
    /// Deadlock victims are chosen by lowest priority first, then youngest request. Default 0.
    package var priority: Int64
    /// Semaphore: permits wanted and the semaphore's size.
    package var permits: UInt64
    package var limit: UInt64
    /// Election: what the winner announces.
    package var value: [UInt8]
    /// The client's number for this request, rising within the session: a retry returns the first result.
    package var sequence: UInt64?

    package init(
        session: SessionID,
        kind: ObjectKind = .lock,
        items: [AcquireItem],
        wait: Wait = .none,
        priority: Int64 = 0,
        permits: UInt64 = 1,
        limit: UInt64 = 1,
        value: [UInt8] = [],
        sequence: UInt64? = nil
    ) {
        self.session = session
        self.kind = kind
        self.items = items
        self.wait = wait
        self.priority = priority
        self.permits = permits
        self.limit = limit
        self.value = value
        self.sequence = sequence
    }
}

package struct Convert: Sendable, Equatable {
    package var session: SessionID
    package var name: Name
    package var mode: LockMode
    package var wait: Wait
    package var sequence: UInt64?

    package init(session: SessionID, name: Name, mode: LockMode, wait: Wait = .none, sequence: UInt64? = nil) {
        self.session = session
        self.name = name
        self.mode = mode
        self.wait = wait
        self.sequence = sequence
    }
}

package struct Release: Sendable, Equatable {
    package var session: SessionID
    package var kind: ObjectKind
    package var name: Name
    /// Semaphores: permits given back.
    package var permits: UInt64
    package var sequence: UInt64?

    package init(session: SessionID, kind: ObjectKind = .lock, name: Name, permits: UInt64 = 1, sequence: UInt64? = nil)
    {
        self.session = session
        self.kind = kind
        self.name = name
        self.permits = permits
        self.sequence = sequence
    }
}

/// One edge of a wait-for cycle: this session's request waits for the next edge's session.
package struct CycleEdge: Sendable, Equatable {
    package var session: SessionID
    package var label: String
    package var name: Name
    package var mode: LockMode
    package var request: RequestID

    package init(session: SessionID, label: String, name: Name, mode: LockMode, request: RequestID) {
        self.session = session
        self.label = label
        self.name = name
        self.mode = mode
        self.request = request
    }
}

/// A change to the lock state, as it stands in the log. Applying one never traps, whatever its content.
package enum LockCommand: Sendable, Equatable {
    case openSession(OpenSession)
    case closeSession(SessionID)
    case acquire(Acquire)
    case convert(Convert)
    case release(Release)
    case breakLock(namespace: Name, name: Name, reason: String)
    /// The client that waits for this request has gone: leave the waiting line.
    case cancel(RequestID)
    // Proposed by a leader about itself; `term` is its term, and the command does nothing in an entry of another term.
    // `opened` and `began` are the log indexes of what the leader saw begin: a session that was opened anew under the
    // same id, or a later lock-delay of the same lock, is left alone. Zero stands for whichever it is.
    case expireSession(SessionID, opened: LogIndex = .zero, term: Term)
    case timeoutWait(RequestID, term: Term)
    case endLockDelay(namespace: Name, name: Name, began: LogIndex = .zero, term: Term)
    /// The cross-shard detector's confirmed victim: end this wait as a deadlock.
    case abortWait(RequestID, cycle: [CycleEdge])
}

/// A read of the lock state; answered after ReadIndex.
package enum LockQuery: Sendable, Equatable {
    case session(SessionID)
    case sessions(namespace: Name, cursor: UInt64, limit: Int)
    case object(namespace: Name, name: Name)
    case list(namespace: Name, prefix: String, cursor: UInt64, limit: Int)
    /// 1 when the token is a current holder's, else 0.
    case check(namespace: Name, name: Name, token: UInt64)
    case electionLeader(namespace: Name, name: Name)
}

extension LockCommand {
    /// What decides the shard. `cancel`, `timeoutWait` and `abortWait` name only a request, which says nothing about
    /// its shard: their answer here is the default namespace, and a router must address them by shard instead.
    package var namespace: Name {
        switch self {
        case .openSession(let open): open.id.namespace
        case .closeSession(let session), .expireSession(let session, _, _): session.namespace
        case .acquire(let acquire): acquire.session.namespace
        case .convert(let convert): convert.session.namespace
        case .release(let release): release.session.namespace
        case .breakLock(let namespace, _, _), .endLockDelay(let namespace, _, _, _): namespace
        case .cancel, .timeoutWait, .abortWait: .defaultNamespace
        }
    }
}

extension LockQuery {
    /// What decides the shard.
    package var namespace: Name {
        switch self {
        case .session(let session): session.namespace
        case .sessions(let namespace, _, _), .object(let namespace, _), .list(let namespace, _, _, _),
            .check(let namespace, _, _), .electionLeader(let namespace, _):
            namespace
        }
    }
}
