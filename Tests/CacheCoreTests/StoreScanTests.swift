// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Testing

@Suite("Walks over a store")
struct StoreScanTests {
    private func pass(
        _ store: inout CacheStore,
        count: Int,
        now: UInt64 = 0,
        between: (inout CacheStore) -> Void = { _ in }
    ) -> [CacheKey] {
        var keys: [CacheKey] = []
        var cursor: UInt64 = 0
        repeat {
            let page = store.scan(cursor: cursor, count: count, now: now)
            #expect(page.next == 0 || page.next > cursor)
            #expect(page.next < 1 << UInt64(CacheStore.cursorBits))
            keys += page.keys
            cursor = page.next
            between(&store)
        } while cursor != 0
        return keys
    }

    @Test("a pass over a store at rest names every key once, whatever the size of a page")
    func rest() {
        var store = CacheStore()
        #expect(pass(&store, count: 10) == [])
        let keys = StoreKeys.plain(700) + StoreKeys.colliding(60)
        for (number, key) in keys.enumerated() { store.put(key, [], UInt64(number + 1)) }
        for count in [-5, 0, 1, 2, 7, 100, 759, 760, 761, .max] {
            let seen = pass(&store, count: count)
            #expect(seen.count == keys.count)
            #expect(Set(seen) == Set(keys))
        }
    }

    @Test("a page holds about as many keys as were asked for, and those of one hash are never parted")
    func pages() {
        var store = CacheStore()
        let crowd = StoreKeys.colliding(60)
        for (number, key) in (StoreKeys.plain(700) + crowd).enumerated() { store.put(key, [], UInt64(number + 1)) }
        var cursor: UInt64 = 0
        repeat {
            let page = store.scan(cursor: cursor, count: 10, now: 0)
            let together = page.keys.count { crowd.contains($0) }
            #expect(together == 0 || together == crowd.count)
            #expect(page.keys.count - together <= 10)
            cursor = page.next
        } while cursor != 0
    }

    @Test("keys that are there all the time are named, however the others come and go")
    func concurrentChanges() {
        for seed in 0..<20 {
            var random = SeededRandom(seed: UInt64(seed))
            let keys = StoreKeys.plain(600) + StoreKeys.colliding(30)
            var version: UInt64 = 0
            var store = CacheStore()
            // Two thirds stay, though their values change; the last third comes and goes.
            let staying = keys.enumerated().filter { $0.offset % 3 != 0 }.map(\.element)
            let passing = keys.enumerated().filter { $0.offset % 3 == 0 }.map(\.element)
            func step(_ store: inout CacheStore) {
                version += 1
                let key = passing[Int(random.below(UInt64(passing.count)))]
                if random.chance(1, in: 2) { store.put(key, [1], version) } else { store.remove(key, version) }
                store.put(staying[Int(random.below(UInt64(staying.count)))], [2], version)
            }
            for key in staying { store.put(key, [0], 0 + version + 1) }
            version = 1
            for _ in 0..<500 { step(&store) }
            let seen = pass(&store, count: 1 + seed) { store in
                for _ in 0..<30 { step(&store) }
            }
            #expect(Set(seen).isSuperset(of: staying))
            #expect(seen.count == Set(seen).count)
        }
    }

    @Test("what has lapsed is not named")
    func lapsed() {
        var store = CacheStore()
        for number in 0..<UInt64(30) { store.put(CacheKey("\(number)"), [], number + 1, expiresAt: number) }
        // Zero never expires.
        #expect(
            Set(pass(&store, count: 4, now: 20))
                == Set([0, 21, 22, 23, 24, 25, 26, 27, 28, 29].map { CacheKey("\($0)") })
        )
        #expect(store.count == 30)
    }

    @Test("a cursor that is none ends the pass")
    func badCursor() {
        var store = CacheStore()
        store.put(CacheKey("a"), [], 1)
        for cursor in [1 << UInt64(CacheStore.cursorBits), UInt64.max] {
            #expect(store.scan(cursor: cursor, count: 5, now: 0) == CacheStorePage(keys: [], next: 0))
        }
        let last = (1 << UInt64(CacheStore.cursorBits)) - 1
        #expect(store.scan(cursor: UInt64(last), count: 5, now: 0).next == 0)
    }
}
