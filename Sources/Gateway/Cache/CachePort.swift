// SPDX-License-Identifier: Apache-2.0
package import CacheCore
package import Primitives

/// One event loop's door to the node's cache: what every front end reads and writes keys through.
///
/// Confined to its event loop: every call is made there and every completion arrives there, exactly once, possibly
/// before the call returns.
package protocol CachePort: AnyObject {
    /// Lends the line to `body` if this node may answer a read of the key now, from its own memory: it holds a readable
    /// line and its lease is valid. Counts a hit and touches the line. False, and nothing counted, otherwise.
    func withHit(_ key: UnsafeRawBufferPointer, _ body: (CacheHit) -> Void) -> Bool

    /// Carries out a plain SET (no expiry, no condition) in this node's own line if the mode is not logged and the
    /// line is owned. False, and nothing done, otherwise.
    func setHit(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ durability: CacheDurability?) -> Bool

    /// The key's latest value, from this node or its home.
    func read(_ key: CacheKey, _ options: CacheReadOptions, completion: @escaping (CacheReadResult) -> Void)

    func write(
        _ key: CacheKey,
        _ operation: CacheOperation,
        _ options: CacheWriteOptions,
        completion: @escaping (CacheWriteResult) -> Void
    )

    /// What every node holds of the key (`LINE`).
    func inspect(_ key: CacheKey, completion: @escaping (Result<LineReport, CacheFailure>) -> Void)

    /// Figures of this node.
    var statistics: CacheStatistics { get }

    /// Writes back what this node (`everywhere`: every node) has written without the log until now, and answers how
    /// many lines that were.
    func flush(everywhere: Bool, completion: @escaping (Result<Int, CacheFailure>) -> Void)

    /// Drops the key's line from this node, after it was written back if need be, and after a write of it that is under
    /// way. False: it held none.
    func evict(_ key: CacheKey, completion: @escaping (Result<Bool, CacheFailure>) -> Void)

    /// Keys in no particular order. A full pass names every key that was there throughout, each at least once.
    /// - Parameter cursor: zero begins; a next cursor of zero ends.
    func scan(cursor: UInt64, count: Int, completion: @escaping (Result<CachePage, CacheFailure>) -> Void)

    /// DBSIZE: keys in the cluster.
    func count(completion: @escaping (Result<UInt64, CacheFailure>) -> Void)

    /// FLUSHALL.
    func removeAll(completion: @escaping (CacheFailure?) -> Void)

    /// From now on `tracker` is told once when this node can no longer vouch for the key's value that it read.
    /// Call it before the read whose value the client will keep.
    func track(_ key: CacheKey, _ tracker: any CacheTracker)
    /// All changes that this node hears of, of keys with the prefix (empty: all).
    func trackPrefix(_ prefix: [UInt8], _ tracker: any CacheTracker)
    func untrack(_ tracker: any CacheTracker)
}

extension CachePort {
    /// A copy of what `withHit` lends; nil when it is no hit.
    package func held(_ key: CacheKey) -> CacheRead? {
        var read: CacheRead?
        key.bytes.withUnsafeBytes { bytes in
            _ = withHit(bytes) { hit in
                read = CacheRead(
                    value: hit.exists ? Array(hit.value) : nil,
                    version: hit.version,
                    remaining: hit.remaining,
                    state: hit.state
                )
            }
        }
        return read
    }
}

/// A client that keeps copies (CLIENT TRACKING). Called on the loop of the port it was given to.
package protocol CacheTracker: AnyObject {
    func invalidate(_ key: CacheKey)
    /// The node lost its lease or a shard's home moved: everything must go.
    func invalidateAll()
}

package struct CacheHit {
    /// Nil base and count zero with `exists` false: the key is known to be absent.
    package let value: UnsafeRawBufferPointer
    package let exists: Bool
    package let version: CacheVersion
    package let state: LineState
    /// Milliseconds; nil: never expires.
    package let remaining: UInt64?

    package init(
        value: UnsafeRawBufferPointer,
        exists: Bool,
        version: CacheVersion,
        state: LineState,
        remaining: UInt64?
    ) {
        self.value = value
        self.exists = exists
        self.version = version
        self.state = state
        self.remaining = remaining
    }
}

package struct CacheReadOptions: Sendable, Equatable {
    /// Answer from an old copy, marked as such, when the home or the memory cannot be reached.
    package var allowsStale = false
    /// Nil: the node's request timeout.
    package var timeout: Interval?

    package init(allowsStale: Bool = false, timeout: Interval? = nil) {
        self.allowsStale = allowsStale
        self.timeout = timeout
    }
}

package struct CacheRead: Sendable, Equatable {
    /// Nil: the key is absent.
    package var value: [UInt8]?
    package var version: CacheVersion
    /// Milliseconds; nil: never expires.
    package var remaining: UInt64?
    /// The state that this node holds the line in after the read.
    package var state: LineState
    package var isStale = false

    package init(
        value: [UInt8]?,
        version: CacheVersion,
        remaining: UInt64?,
        state: LineState,
        isStale: Bool = false
    ) {
        self.value = value
        self.version = version
        self.remaining = remaining
        self.state = state
        self.isStale = isStale
    }
}

package enum CacheReadResult: Sendable, Equatable {
    case found(CacheRead)
    case failed(CacheFailure)
}

package struct CacheWriteOptions: Sendable, Equatable {
    /// Nil: as the key's namespace or the cluster says.
    package var durability: CacheDurability?
    /// Done only while this is the lock's latest token.
    package var lock: CacheLockGuard?
    package var timeout: Interval?

    package init(durability: CacheDurability? = nil, lock: CacheLockGuard? = nil, timeout: Interval? = nil) {
        self.durability = durability
        self.lock = lock
        self.timeout = timeout
    }
}

package struct CacheLockGuard: Sendable, Equatable {
    package var namespace: Name
    package var name: Name
    package var token: UInt64

    package init(namespace: Name, name: Name, token: UInt64) {
        self.namespace = namespace
        self.name = name
        self.token = token
    }
}

package enum CacheWriteResult: Sendable, Equatable {
    /// `version` is the key's after the operation.
    case answered(CacheAnswer, version: CacheVersion)
    case failed(CacheFailure)
}

package enum CacheFailure: Error, Sendable, Equatable {
    /// Certainly nothing was done; try again shortly.
    case busy(reason: String)
    /// No home answered in time; nothing was done.
    case unavailable(reason: String)
    /// It may or may not have been done.
    case unknown(reason: String)
    /// Certainly a part of it was done, and not all.
    case partly(reason: String)
    /// Redis cannot be reached.
    case memoryDown(reason: String)
    /// This node does not serve the cache (`roles`).
    case disabled
}

/// One node's view of a key.
package struct NodeLine: Sendable, Equatable {
    package var node: String
    package var state: LineState
    package var version: CacheVersion?
    /// Milliseconds that the node's lease is still good for; nil: it has none.
    package var leaseRemaining: UInt64?
    package var isReachable: Bool

    package init(
        node: String,
        state: LineState,
        version: CacheVersion?,
        leaseRemaining: UInt64?,
        isReachable: Bool
    ) {
        self.node = node
        self.state = state
        self.version = version
        self.leaseRemaining = leaseRemaining
        self.isReachable = isReachable
    }
}

package struct LineReport: Sendable, Equatable {
    package var shard: ShardID
    package var home: String?
    /// Raft term of the home.
    package var epoch: UInt64
    package var nodes: [NodeLine]

    package init(shard: ShardID, home: String?, epoch: UInt64, nodes: [NodeLine]) {
        self.shard = shard
        self.home = home
        self.epoch = epoch
        self.nodes = nodes
    }
}

package struct CachePage: Sendable, Equatable {
    package var keys: [CacheKey]
    package var next: UInt64

    package init(keys: [CacheKey], next: UInt64) {
        self.keys = keys
        self.next = next
    }
}
