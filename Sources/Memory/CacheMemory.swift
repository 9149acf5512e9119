// SPDX-License-Identifier: Apache-2.0
package import CacheCore
package import Primitives

/// What lies below the cache: where the values of clean lines are. Only the home of a shard writes here.
///
/// May be called from any thread. A completion comes exactly once, on the memory's own event loop, never before the
/// call has returned.
///
/// A home has at most one write of a key under way: a deletion is physical and leaves no version behind that an older
/// write, still under way, could be told by.
package protocol CacheMemory: Sendable {
    /// From now on writes of older epochs fail. A new home does this before its first read. Harmless to repeat.
    func raiseFence(
        _ shard: ShardID,
        epoch: UInt64,
        completion: @escaping @Sendable (Result<MemoryFence, MemoryError>) -> Void
    )

    /// Nil: the key is absent.
    func fetch(
        _ shard: ShardID,
        _ key: CacheKey,
        completion: @escaping @Sendable (Result<MemoryEntry?, MemoryError>) -> Void
    )

    /// One result for each write, in their order. Success: the memory has this version of the key, or a later one.
    func store(
        _ shard: ShardID,
        epoch: UInt64,
        _ writes: [MemoryWrite],
        completion: @escaping @Sendable ([Result<Void, MemoryError>]) -> Void
    )

    /// Some of the shard's keys, about `count`; a key may come twice. All that were there throughout have come when
    /// `MemoryPage.next` is zero.
    /// - Parameter cursor: zero begins. Cursors are below 2^48.
    func scan(
        _ shard: ShardID,
        cursor: UInt64,
        count: Int,
        completion: @escaping @Sendable (Result<MemoryPage, MemoryError>) -> Void
    )

    /// How many keys each shard has. Exact when nothing changes meanwhile. Visits every key, once for all shards.
    func count(_ shards: [ShardID], completion: @escaping @Sendable (Result<[UInt64], MemoryError>) -> Void)

    /// Deletes the shard's keys with versions up to `through`; how many there were. After a failure some may be gone.
    func removeAll(
        _ shard: ShardID,
        epoch: UInt64,
        through: CacheVersion,
        completion: @escaping @Sendable (Result<UInt64, MemoryError>) -> Void
    )

    var state: MemoryState { get }
}

package struct MemoryEntry: Sendable, Equatable {
    package var value: [UInt8]
    package var version: CacheVersion
    /// Milliseconds from when the memory answered; nil: never expires.
    package var remaining: UInt64?

    package init(value: [UInt8], version: CacheVersion, remaining: UInt64? = nil) {
        self.value = value
        self.version = version
        self.remaining = remaining
    }
}

package struct MemoryWrite: Sendable, Equatable {
    package var key: CacheKey
    package var version: CacheVersion
    /// Nil: delete.
    package var value: [UInt8]?
    /// Milliseconds; nil: never expires. Zero has expired and deletes.
    package var remaining: UInt64?

    package init(key: CacheKey, version: CacheVersion, value: [UInt8]?, remaining: UInt64? = nil) {
        self.key = key
        self.version = version
        self.value = value
        self.remaining = remaining
    }
}

package struct MemoryFence: Sendable, Equatable {
    /// The epoch before; nil: there was none. Nil or lower than an epoch that this cluster had: data was lost.
    package var previous: UInt64?
    /// Of the process that answered; empty when it does not say.
    package var runID: String

    package init(previous: UInt64?, runID: String) {
        self.previous = previous
        self.runID = runID
    }
}

package struct MemoryPage: Sendable, Equatable {
    package var keys: [CacheKey]
    /// Zero: that was all.
    package var next: UInt64

    package init(keys: [CacheKey], next: UInt64) {
        self.keys = keys
        self.next = next
    }
}

/// Shards for which the memory may no longer have what it had acknowledged.
package struct MemoryLoss: Sendable, Equatable {
    package enum Cause: Sendable, Equatable {
        /// The fence is gone or lower than this home raised it: what was written is gone too. Everything fails with
        /// `.lost` until the fence is raised anew.
        case emptied
        /// Another process answers for the shard, restarted or promoted, and the fence stands: it may lack the last
        /// writes before the change, as far as its persistence or replication lagged behind.
        case restarted
    }

    package var shards: [ShardID]
    package var cause: Cause

    package init(shards: [ShardID], cause: Cause) {
        self.shards = shards
        self.cause = cause
    }
}
