// SPDX-License-Identifier: Apache-2.0
import Primitives

/// What a shard's replicas hold of the cache. With the cluster as memory, that is the memory: every key that is there.
/// With Redis as memory (`isWrittenBack`), it is what Redis may not have yet, or may lose again: an entry stays until
/// it is marked as flushed and then released, and a removed key leaves a tombstone that does the same.
///
/// Part of a replicated state machine: what it holds, and in which order it is walked, depends on the changes alone. It
/// is cut into buckets by the high bits of the keys' hashes, so a copy taken for a snapshot costs the next write one
/// bucket.
///
/// Every function that takes a key takes its `CacheKey.hash` too: the caller has computed it to find the shard.
package struct CacheStore: Sendable {
    package let isWrittenBack: Bool
    private(set) var buckets = CacheBuckets()
    /// Keys that are there: entries without the tombstones. What has lapsed counts until it is removed.
    package private(set) var count = 0
    package private(set) var tombstoneCount = 0
    /// Of keys, values and what each entry costs beside them, tombstones included.
    package private(set) var bytes = 0
    /// What waits to be written back, tombstones included.
    package private(set) var dirtyCount = 0
    package private(set) var dirtyBytes = 0
    /// Not below the version of any removed key, so the version of every absent one.
    package internal(set) var floor: UInt64 = 0
    /// The same for equal contents and floors, in whatever order they came about.
    package var digest: UInt64 { contents &+ StableHash.mix(floor) }
    private var contents: UInt64 = 0

    package init(isWrittenBack: Bool = false) {
        self.isWrittenBack = isWrittenBack
    }

    package var entryCount: Int { count + tombstoneCount }

    // MARK: Looking

    /// Nil when nothing is held of the key: it is absent, or Redis has it.
    package func entry(_ key: CacheKey, hash: UInt64) -> CacheEntry? {
        buckets[CacheBucket.index(hash)].entry(key, hash)
    }

    /// What `CacheOperation.evaluate` needs; nil when nothing is held of the key.
    package func get(_ key: CacheKey, hash: UInt64) -> CacheCurrent? {
        buckets[CacheBucket.index(hash)].current(key, hash)
    }

    /// What stands under a key of which nothing is held here or in Redis.
    package var absent: CacheCurrent { CacheCurrent(value: nil, version: CacheVersion(index: floor)) }

    // MARK: Changes

    /// Carries out what an operation came to, unless what is held of the key is as new. False: nothing was done.
    /// - Parameter version: of the key after the change.
    @discardableResult
    package mutating func apply(
        _ effect: CacheEffect,
        to key: CacheKey,
        hash: UInt64,
        at version: CacheVersion
    ) -> Bool {
        switch effect {
        case .none: return false
        case .store(let value, let expiresAt):
            return put(key, hash, value, version, expiresAt: expiresAt)
        case .remove:
            if isWrittenBack {
                // Also of a key that is not held: Redis may have it.
                guard put(key, hash, nil, version, expiresAt: 0) else { return false }
            } else {
                let bucket = CacheBucket.index(hash)
                let (position, isFound) = buckets[bucket].search(key, hash)
                if isFound {
                    guard buckets[bucket].entries[position].version < version else { return false }
                    drop(bucket, position)
                }
            }
            raiseFloor(to: version)
            return true
        }
    }

    private mutating func put(
        _ key: CacheKey,
        _ hash: UInt64,
        _ value: [UInt8]?,
        _ version: CacheVersion,
        expiresAt: UInt64
    ) -> Bool {
        let isDirty = isWrittenBack
        let bucket = CacheBucket.index(hash)
        let (position, isFound) = buckets[bucket].search(key, hash)
        if isFound {
            guard buckets[bucket].entries[position].version < version else { return false }
            change(bucket, position) { entry in
                entry.value = value
                entry.version = version
                entry.expiresAt = expiresAt
                entry.isDirty = isDirty
            }
        } else {
            let entry = CacheEntry(
                hash: hash,
                key: key,
                value: value,
                version: version,
                expiresAt: expiresAt,
                isDirty: isDirty
            )
            account(entry, 1)
            buckets[bucket].entries.insert(entry, at: position)
        }
        return true
    }

    /// FLUSHALL: drops everything, also what was not written back yet.
    package mutating func removeAll(at version: CacheVersion) {
        let floor = floor
        self = CacheStore(isWrittenBack: isWrittenBack)
        self.floor = floor
        raiseFloor(to: version)
    }

    /// A removal with unlogged writes before it has a version between two log indexes; the floor has only indexes.
    private mutating func raiseFloor(to version: CacheVersion) {
        let isBetween = version.minor > 0 && version.index < .max
        floor = max(floor, isBetween ? version.index + 1 : version.index)
    }

    // MARK: Writing back

    /// Redis has this version of the key. False, and nothing done, when it has been changed since.
    @discardableResult
    package mutating func markFlushed(_ key: CacheKey, hash: UInt64, version: CacheVersion) -> Bool {
        let bucket = CacheBucket.index(hash)
        let (position, isFound) = buckets[bucket].search(key, hash)
        guard isFound, buckets[bucket].entries[position].version == version else { return false }
        change(bucket, position) { $0.isDirty = false }
        return true
    }

    /// Lets go of what Redis has and will not lose. False, and nothing done, when the key has been changed since or is
    /// not marked as flushed.
    @discardableResult
    package mutating func release(_ key: CacheKey, hash: UInt64, version: CacheVersion) -> Bool {
        let bucket = CacheBucket.index(hash)
        let (position, isFound) = buckets[bucket].search(key, hash)
        guard isWrittenBack, isFound else { return false }
        let entry = buckets[bucket].entries[position]
        guard entry.version == version, !entry.isDirty else { return false }
        // The memory expires it by itself, and then the key is absent with a version that must not be an older one.
        if entry.expiresAt != 0 { raiseFloor(to: version) }
        drop(bucket, position)
        return true
    }

    /// Redis lost its data: everything that is still held has to be written again.
    package mutating func markAllDirty() {
        guard isWrittenBack else { return }
        for bucket in 0..<CacheBucket.number {
            for position in buckets[bucket].entries.indices where !buckets[bucket].entries[position].isDirty {
                change(bucket, position) { $0.isDirty = true }
            }
        }
    }

    // MARK: Accounts

    /// Changes an entry in place, and every figure with it.
    private mutating func change(_ bucket: Int, _ position: Int, _ body: (inout CacheEntry) -> Void) {
        account(buckets[bucket].entries[position], -1)
        body(&buckets[bucket].entries[position])
        buckets[bucket].entries[position].seal()
        account(buckets[bucket].entries[position], 1)
    }

    /// Takes in an entry that follows all others (decoding).
    mutating func adopt(_ entry: CacheEntry) {
        account(entry, 1)
        buckets[CacheBucket.index(entry.hash)].entries.append(entry)
    }

    private mutating func drop(_ bucket: Int, _ position: Int) {
        account(buckets[bucket].entries[position], -1)
        buckets[bucket].remove(at: position)
    }

    private mutating func account(_ entry: CacheEntry, _ sign: Int) {
        if entry.value == nil { tombstoneCount += sign } else { count += sign }
        bytes += sign * entry.bytes
        if entry.isDirty {
            dirtyCount += sign
            dirtyBytes += sign * entry.bytes
        }
        contents = sign > 0 ? contents &+ entry.digest : contents &- entry.digest
    }
}
