// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import CacheCore

@Suite("Store")
struct StoreTests {
    static let key = CacheKey("k")

    private func shuffled(_ keys: [CacheKey], seed: UInt64) -> [CacheKey] {
        var random = SeededRandom(seed: seed)
        return keys.shuffled(using: &random)
    }

    // MARK: Versions

    @Test("an absent key's version is not below that of any key that was removed")
    func floor() {
        var store = CacheStore()
        #expect(store.absent == CacheCurrent(value: nil, version: .zero))
        store.put(Self.key, [1], 4)
        store.remove(Self.key, 7)
        #expect(store.absent.version == CacheVersion(index: 7))
        // Removed after unlogged writes: the next index is the first that is above.
        store.put(Self.key, [1], 8)
        store.apply(.remove, to: Self.key, hash: Self.key.hash, at: CacheVersion(index: 9, minor: 2))
        #expect(store.absent.version == CacheVersion(index: 10))
        store.removeAll(at: CacheVersion(index: 3))
        #expect(store.floor == 10)
        store.apply(.remove, to: Self.key, hash: Self.key.hash, at: CacheVersion(index: .max, minor: 1))
        #expect(store.floor == .max)
    }

    @Test("a change that is not newer than what is held does nothing")
    func stale() {
        var store = CacheStore()
        #expect(store.put(Self.key, [1], 5) == true)
        let digest = store.digest
        #expect(store.put(Self.key, [2], 5) == false)
        #expect(store.put(Self.key, [2], 4) == false)
        #expect(store.remove(Self.key, 5) == false)
        #expect(store.digest == digest)
        #expect(store.floor == 0)
        #expect(store.get(Self.key, hash: Self.key.hash)?.value == [1])
    }

    // MARK: Digest

    @Test("equal contents have equal digests, in whatever order they came about")
    func digestOrder() {
        let keys = StoreKeys.plain(500) + StoreKeys.colliding(20)
        func filled(_ order: [CacheKey]) -> CacheStore {
            var store = CacheStore()
            for (number, key) in order.enumerated() { store.put(key, [9], UInt64(number + 1)) }
            for (number, key) in keys.enumerated() {
                store.put(key, Array(key.bytes.reversed()), UInt64(10_000 + number), expiresAt: UInt64(number % 3))
            }
            return store
        }
        let first = filled(keys)
        for seed in 0..<5 {
            let other = filled(shuffled(keys, seed: UInt64(seed)))
            #expect(other.digest == first.digest)
            #expect(other.encoded == first.encoded)
        }
    }

    @Test("a difference in anything shows in the digest")
    func digestDifference() {
        func store(_ body: (inout CacheStore) -> Void) -> UInt64 {
            var store = CacheStore(isWrittenBack: true)
            store.put(CacheKey("other"), [5], 2)
            body(&store)
            return store.digest
        }
        let hash = Self.key.hash
        let digests = [
            store { _ in },
            store { $0.put(Self.key, [1], 3) },
            store { $0.put(Self.key, [], 3) },
            store { $0.put(Self.key, [1, 0], 3) },
            store { $0.put(Self.key, [1], 4) },
            store { $0.put(Self.key, [1], 3, expiresAt: 1) },
            store { $0.put(CacheKey("l"), [1], 3) },
            store { $0.put(CacheKey(""), [1], 3) },
            store { $0.put(CacheKey([1]), [1], 3) },
            store {
                $0.apply(.store([1], expiresAt: 0), to: Self.key, hash: hash, at: CacheVersion(index: 3, minor: 1))
            },
            store { $0.remove(Self.key, 3) },
            store {
                $0.put(Self.key, [1], 3)
                $0.markFlushed(Self.key, hash: hash, version: CacheVersion(index: 3))
            },
            store { $0.removeAll(at: CacheVersion(index: 3)) },
            store { $0.removeAll(at: CacheVersion(index: 4)) },
        ]
        #expect(Set(digests).count == digests.count)
    }

    // MARK: Writing back

    @Test("a written-back store keeps a change until Redis has it and it is released")
    func writeBack() {
        var store = CacheStore(isWrittenBack: true)
        let hash = Self.key.hash
        store.put(Self.key, [1], 1)
        #expect(store.dirtyCount == 1)
        #expect(store.release(Self.key, hash: hash, version: CacheVersion(index: 1)) == false)
        // Changed while version 1 was on its way: its acknowledgement is of no use.
        store.put(Self.key, [2, 2], 2)
        #expect(store.markFlushed(Self.key, hash: hash, version: CacheVersion(index: 1)) == false)
        #expect(store.dirtyCount == 1)
        #expect(store.markFlushed(Self.key, hash: hash, version: CacheVersion(index: 2)) == true)
        #expect((store.dirtyCount, store.dirtyBytes) == (0, 0))
        #expect(store.get(Self.key, hash: hash)?.value == [2, 2])
        #expect(store.release(Self.key, hash: hash, version: CacheVersion(index: 1)) == false)
        // Redis lost it.
        store.markAllDirty()
        #expect(store.dirtyCount == 1)
        #expect(store.release(Self.key, hash: hash, version: CacheVersion(index: 2)) == false)
        store.markFlushed(Self.key, hash: hash, version: CacheVersion(index: 2))
        #expect(store.release(Self.key, hash: hash, version: CacheVersion(index: 2)) == true)
        #expect(store.get(Self.key, hash: hash) == nil)
        #expect((store.entryCount, store.bytes) == (0, 0))
        #expect(store.floor == 0)
    }

    @Test("a removed key reads as absent with its own version until its tombstone is released")
    func tombstone() {
        var store = CacheStore(isWrittenBack: true)
        let hash = Self.key.hash
        // Of a key that is not held: Redis may have it.
        #expect(store.remove(Self.key, 6) == true)
        #expect(store.get(Self.key, hash: hash) == CacheCurrent(value: nil, version: CacheVersion(index: 6)))
        #expect((store.count, store.tombstoneCount, store.dirtyCount) == (0, 1, 1))
        #expect(store.scan(cursor: 0, count: 10, now: 0) == CacheStorePage(keys: [], next: 0))
        store.markFlushed(Self.key, hash: hash, version: CacheVersion(index: 6))
        #expect(store.release(Self.key, hash: hash, version: CacheVersion(index: 6)) == true)
        #expect(store.get(Self.key, hash: hash) == nil)
        #expect(store.absent.version == CacheVersion(index: 6))
        store.put(Self.key, [1], 7)
        #expect((store.count, store.tombstoneCount) == (1, 0))
    }

    @Test("a store that is the memory itself has nothing to write back and releases nothing")
    func replicated() {
        var store = CacheStore()
        store.put(Self.key, [1], 1)
        #expect((store.dirtyCount, store.dirtyBytes) == (0, 0))
        #expect(store.release(Self.key, hash: Self.key.hash, version: CacheVersion(index: 1)) == false)
        store.markAllDirty()
        #expect(store.dirtyCount == 0)
        #expect(store.remove(CacheKey("never there"), 2) == true)
        #expect(store.entryCount == 1)
    }

    // MARK: Copies

    @Test("a copy is not touched by later changes, and each of them copies at most one bucket")
    func copyOnWrite() {
        var store = CacheStore()
        let keys = StoreKeys.plain(20_000)
        for (number, key) in keys.enumerated() { store.put(key, [1, 2, 3], UInt64(number + 1)) }
        let copy = store
        let digest = copy.digest
        let encoded = copy.encoded
        func places(_ store: CacheStore) -> [UnsafePointer<CacheEntry>?] {
            (0..<CacheBucket.number).map { index in
                store.buckets[index].entries.withUnsafeBufferPointer { $0.baseAddress }
            }
        }
        var before = places(store)
        for (number, key) in [keys[1], keys[2], CacheKey("new"), keys[3], keys[1]].enumerated() {
            if number == 3 { store.remove(key, 40_000) } else { store.put(key, [9], 30_000 + UInt64(number)) }
            let after = places(store)
            #expect(zip(before, after).count { $0 != $1 } == (number == 4 ? 0 : 1))
            before = after
        }
        #expect(copy.digest == digest)
        #expect(copy.encoded == encoded)
        #expect(store.digest != digest)
    }

    @Test("a bucket gives its room back when its entries go")
    func shrink() {
        var store = CacheStore()
        let crowd = StoreKeys.colliding(4_000)
        for (number, key) in crowd.enumerated() { store.put(key, [], UInt64(number + 1)) }
        let index = CacheBucket.index(crowd[0].hash)
        #expect(store.buckets[index].entries.capacity >= 4_000)
        for (number, key) in crowd.dropFirst(10).enumerated() { store.remove(key, 10_000 + UInt64(number)) }
        #expect(store.buckets[index].entries.capacity <= 64)
        #expect(store.count == 10)
    }
}
