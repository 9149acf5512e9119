// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Replica
import Testing

/// A shard whose cache has Redis as its memory, with a home that serves one node.
private struct MemoryShard {
    static let member = CacheMember(node: SoloReplica.node, incarnation: 1)
    static let key = CacheKey("k")

    var solo: SoloReplica
    var number: UInt64 = 0

    init() throws {
        solo = try SoloReplica { $0.limits.isCacheWrittenBack = true }
        let view = CacheView(version: 1, members: [Self.member])
        solo.step(.cache(.membership(view, own: Self.member, leaseEnd: .distantFuture)))
        for _ in 0..<100 where solo.replica.home.phase == .idle { solo.pass(milliseconds: 10) }
        request(.synchronised(view: view))
        try #require(solo.replica.home.phase == .active)
    }

    @discardableResult
    mutating func request(_ request: HomeRequest) -> ReplicaEffects {
        solo.step(.cache(.request(from: Self.member, solo.replica.home.epoch, request)))
    }

    mutating func write(_ operation: CacheOperation, _ key: CacheKey = key) -> ReplicaEffects {
        number += 1
        let id = RequestID(origin: 4, number: number)
        return request(
            .write(key, CacheWrite(id: id, floor: 0, operation: operation, durability: .through, held: .nothing))
        )
    }

    mutating func set(_ text: String, _ key: CacheKey = key) -> ReplicaEffects {
        write(.set(value: Array(text.utf8), expiry: .never, condition: .always, wantsOld: false), key)
    }

    @discardableResult
    mutating func memory(_ input: MemoryInput) -> ReplicaEffects { solo.step(.cache(.memory(input))) }

    var version: CacheVersion? { entry?.version }
    var entry: CacheEntry? { solo.replica.state.cache.store.entry(Self.key, hash: Self.key.hash) }
}

extension ReplicaEffects {
    fileprivate var written: [CacheAnswer] {
        cacheNotices.compactMap { if case .written(_, _, _, let answer, _, _, _) = $0.notice { answer } else { nil } }
    }

    fileprivate var answers: [RoutedReply] { replies.map(\.reply) }
}

@Suite("A replica with Redis as the cache's memory")
struct MemoryReplicaTests {
    private static let done = RoutedReply.answer(.cache(.done))

    @Test("who asks for a write to be stored is answered when Redis has it, or a later one")
    func stored() throws {
        var shard = try MemoryShard()
        let effects = shard.set("1")
        #expect(effects.written == [.done] && effects.dirtyKeys == [MemoryShard.key])
        let first = try #require(shard.version)
        #expect(shard.solo.ask(.cache(.stored(MemoryShard.key, first))).replies.isEmpty)
        _ = shard.set("2")
        let second = try #require(shard.version)
        #expect(shard.memory(.stored([CacheKeyVersion(CacheKey("other"), second)])).replies.isEmpty)
        #expect(shard.memory(.stored([CacheKeyVersion(MemoryShard.key, second)])).answers == [Self.done])
        #expect(shard.entry?.isDirty == false)
        #expect(shard.solo.ask(.cache(.stored(MemoryShard.key, second))).answers == [Self.done])
    }

    @Test("who waits for Redis too long is told to ask again")
    func waits() throws {
        var shard = try MemoryShard()
        _ = shard.set("1")
        let version = try #require(shard.version)
        #expect(shard.solo.ask(.cache(.stored(MemoryShard.key, version))).replies.isEmpty)
        #expect(shard.solo.pass(milliseconds: 4_000).replies.isEmpty)
        #expect(shard.solo.pass(milliseconds: 2_000).answers == [.interrupted])
    }

    @Test("a key that is not held is fetched once, and what Redis says counts; unreachable is an error, not absent")
    func fetched() throws {
        var shard = try MemoryShard()
        let asked = shard.request(.read(MemoryShard.key, number: 1))
        let fill = try #require(asked.cacheFills.first)
        #expect(asked.cacheNotices.isEmpty)
        let refused = shard.memory(.fetched(fill, .unreachable)).cacheNotices.map(\.notice)
        #expect(
            refused == [
                .refused(MemoryShard.key, number: 1, isWrite: false, .memoryDown(reason: "the memory does not answer"))
            ]
        )
        let again = try #require(shard.write(.add(1)).cacheFills.first)
        var late = again
        late.epoch.round += 1
        #expect(shard.memory(.fetched(late, .found(nil))).cacheNotices.isEmpty)
        let data = LineData(value: Array("41".utf8), version: CacheVersion(index: 1))
        #expect(shard.memory(.fetched(again, .found(data))).written == [.count(42)])
    }

    @Test("what is released is fetched again, and is counted and scanned in Redis")
    func released() throws {
        var shard = try MemoryShard()
        _ = shard.set("5")
        _ = shard.set("1", CacheKey("held"))
        let version = CacheKeyVersion(MemoryShard.key, try #require(shard.version))
        shard.memory(.released([version]))
        #expect(shard.entry != nil)
        shard.memory(.stored([version]))
        shard.memory(.released([version]))
        #expect(shard.entry == nil)
        let count = try #require(shard.solo.ask(.cache(.count)).memoryWalks.first)
        #expect(shard.memory(.walked(count, .count(1))).answers == [.answer(.cache(.count(2)))])
        let page = shard.solo.ask(.cache(.scan(cursor: 0, count: 10))).answers
        #expect(page == [.answer(.cache(.page([CacheKey("held")], next: CacheInquiry.memoryCursor)))])
        let walk = try #require(
            shard.solo.ask(.cache(.scan(cursor: CacheInquiry.memoryCursor, count: 10))).memoryWalks.first
        )
        let found = shard.memory(.walked(walk, .page([CacheKey("held"), MemoryShard.key], next: 0))).answers
        #expect(found == [.answer(.cache(.page([MemoryShard.key], next: 0)))])
        #expect(shard.write(.add(1)).cacheFills.count == 1)
    }

    @Test("when Redis lost data all lines are taken back, and everything that is held is dirty again")
    func lost() throws {
        var shard = try MemoryShard()
        _ = shard.set("5")
        shard.memory(.stored([CacheKeyVersion(MemoryShard.key, try #require(shard.version))]))
        let epoch = shard.solo.replica.home.epoch
        shard.memory(.lost)
        #expect(shard.solo.replica.home.phase == .idle)
        let begun = shard.solo.pass(milliseconds: 20).cacheNotices.map(\.epoch)
        #expect(!begun.isEmpty && begun.allSatisfy { $0 != epoch })
        shard.memory(.changed(MemoryMark(epoch: 1, runID: [1])))
        #expect(shard.entry?.isDirty == true)
    }

    @Test("above the bound of what may wait a write is refused, whatever is held beside it")
    func dirtyBound() throws {
        var solo = try SoloReplica {
            $0.limits.isCacheWrittenBack = true
            $0.maxDirtyCacheBytes = 300
            $0.maxCacheBytes = 1
        }
        let view = CacheView(version: 1, members: [MemoryShard.member])
        solo.step(.cache(.membership(view, own: MemoryShard.member, leaseEnd: .distantFuture)))
        for _ in 0..<100 where solo.replica.home.phase == .idle { solo.pass(milliseconds: 10) }
        var shard = try MemoryShard()
        shard.solo = solo
        shard.request(.synchronised(view: view))
        let value = String(repeating: "x", count: 100)
        #expect(shard.set(value).written == [.done])
        #expect(shard.set(value, CacheKey("b")).written == [.refused(.tooDirty)])
        shard.memory(.stored([CacheKeyVersion(MemoryShard.key, try #require(shard.version))]))
        #expect(shard.set(value, CacheKey("b")).written == [.done])
    }
}
