// SPDX-License-Identifier: Apache-2.0

/// How a lock is held.
///
/// Shared goes with shared and update; update goes with shared only; exclusive goes with nothing.
public enum LockMode: String, Sendable, Hashable, Codable, CaseIterable {
    /// For readers.
    case shared
    /// For a reader who may want to write: it converts to exclusive without the deadlock of two upgrading readers.
    case update
    /// For a writer.
    case exclusive
}

/// How long to wait for something that others hold.
public enum LockWait: Sendable, Hashable {
    /// Not at all: have it now or not.
    case none
    /// At most so long. Counted in whole milliseconds.
    case upTo(Duration)
    /// As long as the session lives.
    case forever
}

/// A lock that was granted.
public struct LockGrant: Sendable, Hashable {
    public let name: String
    /// The mode asked for. A session that acquires again what it holds in a stronger mode keeps that one;
    /// ``SynclineClient/lockInfo(_:namespace:)`` tells it.
    public let mode: LockMode
    /// The fencing token: it rises with every grant of this lock and is never used twice. Hand it on with every write
    /// to what the lock protects, and let that refuse a token lower than the highest it has seen: a paused process
    /// cannot know that it has lost its lock.
    public let token: UInt64
    /// The id of the session that holds it.
    public let session: String

    public init(name: String, mode: LockMode, token: UInt64, session: String) {
        self.name = name
        self.mode = mode
        self.token = token
        self.session = session
    }
}

/// Permits of a semaphore that were granted.
public struct SemaphoreGrant: Sendable, Hashable {
    public let name: String
    public let permits: Int
    /// As ``LockGrant/token``.
    public let token: UInt64
    public let session: String

    public init(name: String, permits: Int, token: UInt64, session: String) {
        self.name = name
        self.permits = permits
        self.token = token
        self.session = session
    }
}

/// Who leads an election.
public struct ElectionLeader: Sendable, Hashable {
    public let name: String
    public let session: String
    /// What the leader announced when it campaigned.
    public let value: [UInt8]
    /// As ``LockGrant/token``.
    public let token: UInt64

    public init(name: String, session: String, value: [UInt8], token: UInt64) {
        self.name = name
        self.session = session
        self.value = value
        self.token = token
    }
}

/// A session that holds a lock, permits or an election.
public struct LockHolder: Sendable, Hashable, Codable {
    public let session: String
    public let label: String
    public let mode: LockMode
    public let token: UInt64
    /// How often it was acquired (locks), or how many permits are held (semaphores).
    public let count: UInt64
    /// Since the grant, in milliseconds of cluster time.
    public let ageMilliseconds: UInt64
}

/// A request in a waiting line.
public struct LockWaiter: Sendable, Hashable, Codable {
    public let session: String
    public let label: String
    public let mode: LockMode
    /// It holds the lock already and waits for another mode; such requests go first.
    public let isConversion: Bool
    /// Since it began to wait, in milliseconds of cluster time.
    public let ageMilliseconds: UInt64
}

/// A lock, semaphore or election, with who holds it and who waits, in the order they will be served.
public struct LockInfo: Sendable, Hashable, Codable {
    public enum Kind: String, Sendable, Hashable, Codable {
        case lock
        case semaphore
        case election
    }

    public let name: String
    public let namespace: String
    public let kind: Kind
    /// A semaphore's size; 1 otherwise.
    public let limit: UInt64
    /// The first of them: at most 16 in a list, more when one lock is asked for.
    public let holders: [LockHolder]
    /// All of them, listed or not.
    public let holderCount: UInt64
    /// The next in line: at most 16 in a list, more when one lock is asked for.
    public let waiters: [LockWaiter]
    /// All of them, listed or not.
    public let waiterCount: UInt64
    /// True while a lock-delay keeps it from being granted after its holder's session expired.
    public let isDelayed: Bool
    /// What an election's leader announced when it campaigned; nil for locks and semaphores.
    public let value: [UInt8]?
}

/// A session as the cluster sees it.
public struct SessionInfo: Sendable, Hashable, Codable {
    public let id: String
    public let label: String
    public let owner: String
    public let ttlMilliseconds: UInt64
    /// Until it expires unless it is renewed; nil when the cluster did not tell.
    public let remainingMilliseconds: UInt64?
    public let ageMilliseconds: UInt64
    /// Names it holds, the first of them.
    public let held: [String]
    /// How many it holds, listed or not.
    public let heldCount: UInt64
    /// Names it waits for.
    public let waiting: [String]
}
