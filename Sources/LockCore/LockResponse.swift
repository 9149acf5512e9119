// SPDX-License-Identifier: Apache-2.0
package import Primitives

package struct HolderView: Sendable, Equatable {
    package var session: SessionID
    package var label: String
    package var mode: LockMode
    package var token: UInt64
    /// Times acquired (locks) or permits held (semaphores).
    package var count: UInt64
    package var ageMilliseconds: UInt64

    package init(
        session: SessionID,
        label: String,
        mode: LockMode,
        token: UInt64,
        count: UInt64,
        ageMilliseconds: UInt64
    ) {
        self.session = session
        self.label = label
        self.mode = mode
        self.token = token
        self.count = count
        self.ageMilliseconds = ageMilliseconds
    }
}

package struct WaiterView: Sendable, Equatable {
    package var session: SessionID
    package var label: String
    package var mode: LockMode
    package var request: RequestID
    package var isConversion: Bool
    package var ageMilliseconds: UInt64

    package init(
        session: SessionID,
        label: String,
        mode: LockMode,
        request: RequestID,
        isConversion: Bool,
        ageMilliseconds: UInt64
    ) {
        self.session = session
        self.label = label
        self.mode = mode
        self.request = request
        self.isConversion = isConversion
        self.ageMilliseconds = ageMilliseconds
    }
}

package struct ObjectView: Sendable, Equatable {
    package var namespace: Name
    package var name: Name
    package var kind: ObjectKind
    /// Semaphores: their size; 1 otherwise.
    package var limit: UInt64
    /// Elections: the leader's value.
    package var value: [UInt8]
    package var holders: [HolderView]
    package var waiters: [WaiterView]
    /// True while a lock-delay keeps it from being granted.
    package var isDelayed: Bool
    /// All holders and waiters; `holders` and `waiters` show the first of them (`LockLimits.viewedHolders`).
    package var holderCount: UInt64
    package var waiterCount: UInt64

    package init(
        namespace: Name,
        name: Name,
        kind: ObjectKind,
        limit: UInt64 = 1,
        value: [UInt8] = [],
        holders: [HolderView] = [],
        waiters: [WaiterView] = [],
        isDelayed: Bool = false,
        holderCount: UInt64? = nil,
        waiterCount: UInt64? = nil
    ) {
        self.holderCount = holderCount ?? UInt64(holders.count)
        self.waiterCount = waiterCount ?? UInt64(waiters.count)
        self.namespace = namespace
        self.name = name
        self.kind = kind
        self.limit = limit
        self.value = value
        self.holders = holders
        self.waiters = waiters
        self.isDelayed = isDelayed
    }
}

package struct SessionView: Sendable, Equatable {
    package var id: SessionID
    package var label: String
    package var owner: String
    package var ttlMilliseconds: UInt64
    package var lockDelayMilliseconds: UInt64
    /// The first `LockLimits.viewedHolders` of what it holds; `heldCount` has the full number.
    package var held: [Name]
    package var waiting: [Name]
    package var heldCount: UInt64
    package var ageMilliseconds: UInt64
    /// Filled in by the leader from its memory; nil in replicated state.
    package var remainingMilliseconds: UInt64?

    package init(
        id: SessionID,
        label: String,
        owner: String,
        ttlMilliseconds: UInt64,
        lockDelayMilliseconds: UInt64,
        held: [Name],
        waiting: [Name],
        ageMilliseconds: UInt64,
        remainingMilliseconds: UInt64? = nil,
        heldCount: UInt64? = nil
    ) {
        self.heldCount = heldCount ?? UInt64(held.count)
        self.id = id
        self.label = label
        self.owner = owner
        self.ttlMilliseconds = ttlMilliseconds
        self.lockDelayMilliseconds = lockDelayMilliseconds
        self.held = held
        self.waiting = waiting
        self.ageMilliseconds = ageMilliseconds
        self.remainingMilliseconds = remainingMilliseconds
    }
}

/// Why a session is no more.
package enum SessionEnd: UInt8, Sendable {
    case closed = 1
    case expired = 2
}

/// A domain refusal: a reply value, never a thrown error (DESIGN §3 rule 4). Nothing has changed.
package enum Refusal: Sendable, Equatable {
    /// Unknown, closed or expired.
    case noSession(SessionID)
    /// Open already with other settings.
    case sessionExists(SessionID)
    case notHeld(Name)
    /// The session already waits for, or holds in another mode, what it asks for again.
    case reentry(String)
    case deadlock([CycleEdge])
    /// A quota or bound is reached; the text names it.
    case limit(String)
    /// The name is in use as another kind of object.
    case wrongKind(Name, ObjectKind)
    case invalid(String)
    /// The wait was cancelled by its own client.
    case cancelled
    /// The session ended while the request waited.
    case sessionEnded(SessionEnd)
    /// The sequence number is below the window of remembered results.
    case staleSequence
}

package enum LockResponse: Sendable, Equatable {
    case sessionOpened(SessionID, ttlMilliseconds: UInt64)
    case sessionClosed(locksReleased: UInt64)
    /// One token per item of the acquire, in its order. `holds` is the session's count on the (first) item now.
    case granted(tokens: [UInt64], holds: UInt64)
    /// Not had in time, or at once when no wait was asked; with who holds it.
    case notAcquired(holders: [HolderView])
    case converted(token: UInt64)
    /// Holds (or permits) the session has left.
    case released(left: UInt64)
    case broken(holders: UInt64)
    case cancelled(found: Bool)
    /// A leader's own command was carried out or found to be out of date.
    case noted
    case renewed(milliseconds: UInt64)
    indirect case session(SessionView?)
    case sessions([SessionView], cursor: UInt64)
    indirect case object(ObjectView?)
    /// `cursor` is 0 at the end.
    case list([ObjectView], cursor: UInt64)
    case check(Bool)
    /// Session, value and token of the election's winner.
    indirect case electionLeader(SessionID, value: [UInt8], token: UInt64)
    case noElectionLeader
    indirect case refused(Refusal)
}

/// What watchers are told; derived from the log, so the same on every replica.
package enum LockEvent: Sendable, Equatable {
    case granted(namespace: Name, name: Name, session: SessionID, mode: LockMode, token: UInt64)
    case released(namespace: Name, name: Name, session: SessionID)
    case queued(namespace: Name, name: Name, session: SessionID, mode: LockMode)
    case broken(namespace: Name, name: Name, reason: String)
    case deadlock(namespace: Name, cycle: [CycleEdge], victim: RequestID)
    case sessionOpened(SessionID)
    case sessionEnded(SessionID, SessionEnd)
}

/// What a leader keeps time for; on other replicas it is ignored.
package enum LockTimer: Sendable, Equatable {
    case sessionOpened(SessionID, opened: LogIndex = .zero, ttlMilliseconds: UInt64)
    case sessionEnded(SessionID)
    case waitBegan(RequestID, milliseconds: UInt64)
    case waitEnded(RequestID)
    case lockDelayBegan(namespace: Name, name: Name, began: LogIndex = .zero, milliseconds: UInt64)
    case lockDelayEnded(namespace: Name, name: Name)
}

/// What applying one command brought about.
package struct LockEffects: Sendable {
    /// Answers that became due: to this command, or to requests that had been waiting.
    package var responses: [(request: RequestID, response: LockResponse)] = []
    package var events: [LockEvent] = []
    package var timers: [LockTimer] = []

    package init() {}

    package mutating func removeAll() {
        responses.removeAll(keepingCapacity: true)
        events.removeAll(keepingCapacity: true)
        timers.removeAll(keepingCapacity: true)
    }
}

/// Where in the log a command stands.
package struct ApplyContext: Sendable {
    /// Becomes the fencing token of every grant this command causes.
    package var index: LogIndex
    package var term: Term
    /// The leader's stamp in milliseconds of cluster time: the only time apply sees. Never falls.
    package var stamp: UInt64
    package var request: RequestID

    package init(index: LogIndex, term: Term, stamp: UInt64, request: RequestID) {
        self.index = index
        self.term = term
        self.stamp = stamp
        self.request = request
    }
}
