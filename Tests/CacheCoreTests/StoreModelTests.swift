// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Testing

@Suite("Store against a dictionary")
struct StoreModelTests {
    /// Some keys share a hash, so that runs of equal ones are searched, split and mended.
    static let keys = StoreKeys.plain(300) + StoreKeys.colliding(40) + StoreKeys.colliding(7, group: 5) + [CacheKey("")]

    /// One random change of both; returns what each says it did.
    static func change(
        _ store: inout CacheStore,
        _ model: inout StoreModel,
        _ random: inout SeededRandom,
        step: UInt64
    ) -> (Bool, Bool) {
        let key = keys[Int(random.below(UInt64(keys.count)))]
        let held = model.entries[key]?.version ?? .zero
        // Mostly newer than all before, at times one that is held already, an older one, or one with unlogged writes.
        let fresh = CacheVersion(index: step, minor: random.chance(1, in: 4) ? UInt32(random.below(3)) : 0)
        let version = random.chance(1, in: 6) ? CacheVersion(index: held.index) : fresh
        switch random.below(10) {
        case 0...4:
            let effect = CacheEffect.store(
                Array(repeating: UInt8(truncatingIfNeeded: step), count: Int(random.below(40))),
                expiresAt: random.chance(1, in: 3) ? random.below(1_000) : 0
            )
            return (
                store.apply(effect, to: key, hash: key.hash, at: version), model.apply(effect, to: key, at: version)
            )
        case 5, 6:
            return (
                store.apply(.remove, to: key, hash: key.hash, at: version), model.apply(.remove, to: key, at: version)
            )
        case 7:
            let flushed = random.chance(1, in: 5) ? version : held
            return (store.markFlushed(key, hash: key.hash, version: flushed), model.markFlushed(key, flushed))
        case 8: return (store.release(key, hash: key.hash, version: held), model.release(key, held))
        default:
            return (store.apply(.none, to: key, hash: key.hash, at: version), model.apply(.none, to: key, at: version))
        }
    }

    static func expectSame(_ store: CacheStore, _ model: StoreModel) {
        #expect(store.count == model.live)
        #expect(store.entryCount == model.entries.count)
        #expect(store.tombstoneCount == model.entries.count - model.live)
        #expect(store.floor == model.floor)
        #expect(store.dirtyCount == model.dirty)
        #expect(store.bytes - store.entryCount * CacheEntry.overhead == model.payload())
        #expect(store.dirtyBytes - store.dirtyCount * CacheEntry.overhead == model.payload { $0.isDirty })
        let all = store.all
        #expect(all.map(\.key) == model.ordered)
        for entry in all {
            let held = StoreModel.Entry(
                value: entry.value,
                version: entry.version,
                expiresAt: entry.expiresAt,
                isDirty: entry.isDirty
            )
            #expect(held == model.entries[entry.key])
        }
    }

    @Test("any series of changes leaves what a dictionary would hold", arguments: [false, true])
    func model(isWrittenBack: Bool) throws {
        for seed in 0..<8 {
            var random = SeededRandom(seed: UInt64(seed))
            var store = CacheStore(isWrittenBack: isWrittenBack)
            var model = StoreModel(isWrittenBack: isWrittenBack)
            for step in 1...3_000 {
                let (did, should) = Self.change(&store, &model, &random, step: UInt64(step))
                #expect(did == should)
                let key = Self.keys[Int(random.below(UInt64(Self.keys.count)))]
                let current = store.get(key, hash: key.hash)
                let held = model.entries[key]
                #expect(current?.value == held?.value)
                #expect(current?.version == held?.version)
                #expect(current?.expiresAt == held?.expiresAt)
                #expect(store.entry(key, hash: key.hash)?.isDirty == held?.isDirty)
                if step % 300 == 0 {
                    Self.expectSame(store, model)
                    let copy = try CacheStore.decoded(store.encoded)
                    Self.expectSame(copy, model)
                    #expect(copy.digest == store.digest)
                }
                if step == 2_400, seed == 0 {
                    store.markAllDirty()
                    for key in model.entries.keys where isWrittenBack { model.entries[key]?.isDirty = true }
                }
            }
            store.removeAll(at: CacheVersion(index: 9_000))
            model.entries = [:]
            model.floor = 9_000
            Self.expectSame(store, model)
            #expect(store.isWrittenBack == isWrittenBack)
            var fresh = CacheStore(isWrittenBack: isWrittenBack)
            fresh.removeAll(at: CacheVersion(index: 9_000))
            #expect(fresh.digest == store.digest)
        }
    }

    @Test("buckets of thousands of entries, and of one hash only, are searched as small ones are")
    func crowded() {
        let crowd = StoreKeys.colliding(3_000)
        let hash = crowd[0].hash
        #expect(crowd.allSatisfy { $0.hash == hash })
        var store = CacheStore()
        for (number, key) in crowd.enumerated() {
            store.apply(.store([1], expiresAt: 0), to: key, hash: hash, at: CacheVersion(index: UInt64(number + 1)))
        }
        #expect(store.count == crowd.count)
        for (number, key) in crowd.enumerated() {
            #expect(store.get(key, hash: hash)?.version == CacheVersion(index: UInt64(number + 1)))
            #expect(store.get(key, hash: hash &+ 1) == nil)
            #expect(store.get(key, hash: hash &- 1) == nil)
        }
        // Hashes that all begin with the same bits: the guess is wrong for every one of them.
        var skewed = CacheStore()
        for number in 0..<UInt64(2_000) {
            let key = CacheKey("\(number)")
            skewed.apply(.store([], expiresAt: 0), to: key, hash: number * number, at: CacheVersion(index: number + 1))
        }
        for number in 0..<UInt64(2_000) {
            #expect(
                skewed.get(CacheKey("\(number)"), hash: number * number)?.version == CacheVersion(index: number + 1)
            )
        }
        #expect(skewed.get(CacheKey("x"), hash: 3) == nil)
    }
}
