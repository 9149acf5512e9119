// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Testing

@Suite("Eviction rules")
struct EvictionRuleTests {
    private static let cost = LineTable().cost(keyCount: 4, valueCount: 20, LineCache.fields)

    private static func fill(_ cache: LineCache, _ keys: Range<UInt32>) {
        for key in keys { _ = cache.request(TraceRequest(key: key, valueCount: 20), cost: cost) }
    }

    /// Changes a line's fields where it stands, as the protocol does.
    private static func change(_ cache: LineCache, _ number: UInt32, _ change: (inout LineFields) -> Void) {
        let key = LineCache.key(number)
        let place = cache.place(key.hash)
        guard var slot = cache.shards[place].table.find(key) else {
            Issue.record("\(number) is not there")
            return
        }
        var fields = cache.shards[place].table.fields(slot)
        change(&fields)
        cache.shards[place].table.setFields(&slot, fields)
    }

    private static func report(_ cache: LineCache) {
        for (number, shard) in cache.shards.enumerated() { cache.planner.update(number, shard.table.summary) }
    }

    @Test("dirty and pinned lines stay, clean ones go in their place", arguments: EvictionPolicy.allCases, [1, 4])
    func cleanFirst(policy: EvictionPolicy, tables: Int) {
        let cache = LineCache(policy, tables: tables, limit: .max)
        Self.fill(cache, 0..<400)
        for number in 0..<100 as Range<UInt32> {
            Self.change(cache, number) { $0.dirtySince = 5 }
            Self.change(cache, 100 + number) { $0.flags = .pinned }
        }
        Self.report(cache)
        cache.planner.limitBytes = 1
        #expect(!cache.makeRoom(0))
        #expect(cache.victims.count == 200 && cache.victims.allSatisfy { $0 >= 200 })
        // It says so again, at once, for as long as nothing has changed.
        let orders = cache.orders
        #expect(!cache.makeRoom(0) && cache.orders == orders)
        for number in 0..<100 as Range<UInt32> {
            Self.change(cache, number) { $0.dirtySince = nil }
            Self.change(cache, 100 + number) { $0.flags = [] }
        }
        Self.report(cache)
        #expect(!cache.makeRoom(Int.max / 2))
        #expect(cache.count == 0 && cache.bytes == 0 && cache.victims.count == 400)
    }

    @Test("an order makes a table look at a bounded number of lines that must stay")
    func boundedWork() {
        let cache = LineCache(.leastRecentlyUsed, tables: 1, limit: .max)
        Self.fill(cache, 0..<10_000)
        for number in 0..<9_999 as Range<UInt32> { Self.change(cache, number) { $0.dirtySince = 1 } }
        Self.report(cache)
        cache.planner.limitBytes = 1
        #expect(!cache.makeRoom(0))
        #expect(cache.victims == [9_999])
        #expect(cache.orders >= 9_999 / 64 && cache.orders < 9_999 / 64 + 5, "\(cache.orders)")
    }

    @Test("the victim is the clean line whose last use is the longest ago, whatever was dirty or pinned meanwhile")
    func exact() {
        for (seed, tables) in [(1, 1), (2, 3), (3, 16)] as [(UInt64, Int)] {
            var random = SeededRandom(seed: seed)
            let cache = LineCache(.leastRecentlyUsed, tables: tables, limit: .max)
            var used: [UInt32: Int] = [:]
            var held: [UInt32] = []
            for step in 0..<8_000 {
                let number = UInt32(random.below(300))
                switch random.below(8) {
                case 0 where used[number] != nil && held.count < 6 && !held.contains(number):
                    let pins = random.chance(1, in: 2)
                    Self.change(cache, number) {
                        if pins { $0.flags = .pinned } else { $0.dirtySince = 1 }
                    }
                    held.append(number)
                case 1 where !held.isEmpty:
                    let freed = held.remove(at: Int(random.below(UInt64(held.count))))
                    Self.change(cache, freed) {
                        $0.dirtySince = nil
                        $0.flags = []
                    }
                    let place = cache.place(LineCache.key(freed).hash)
                    cache.planner.update(place, cache.shards[place].table.summary)
                case 2, 3:
                    // Of the uses since then the planner knows nothing.
                    let expected = used.filter { !held.contains($0.key) }.min { $0.value < $1.value }?.key
                    cache.planner.limitBytes = cache.planner.bytes - 1
                    #expect(cache.makeRoom(0) == (expected != nil))
                    cache.planner.limitBytes = .max
                    if let expected {
                        #expect(cache.victims.last == expected, "seed \(seed) step \(step)")
                        used[expected] = nil
                    }
                default:
                    _ = cache.request(TraceRequest(key: number, valueCount: 20), cost: 0)
                    used[number] = step
                }
            }
            #expect(cache.victims.count > 500)
        }
    }

    @Test("lines that were passed over come back in the order of their last use, however they became clean")
    func order() {
        let cache = LineCache(.leastRecentlyUsed, tables: 1, limit: .max)
        Self.fill(cache, 0..<6)
        for number in 0..<3 as Range<UInt32> { Self.change(cache, number) { $0.dirtySince = 1 } }
        Self.report(cache)
        cache.planner.limitBytes = cache.planner.bytes - 1
        #expect(cache.makeRoom(0) && cache.victims == [3])
        for number in [0, 2, 1] as [UInt32] { Self.change(cache, number) { $0.dirtySince = nil } }
        Self.report(cache)
        cache.planner.limitBytes = 1
        #expect(cache.makeRoom(0) && cache.victims == [3, 0, 1, 2, 4, 5])
    }

    @Test(
        "a node never holds more than its bound and one line, whatever its lines do",
        arguments: EvictionPolicy.allCases
    )
    func bound(policy: EvictionPolicy) {
        var random = SeededRandom(seed: 9)
        let limit = 60_000
        let cache = LineCache(policy, tables: 4, limit: limit)
        for _ in 0..<20_000 {
            let number = UInt32(random.below(600))
            let key = LineCache.key(number)
            let shard = cache.shards[cache.place(key.hash)]
            if var slot = shard.table.find(key), random.chance(1, in: 2) {
                // Larger, smaller, or outside the pages.
                let value = [UInt8](repeating: 1, count: Int(random.below(random.chance(1, in: 10) ? 3_000 : 300)))
                shard.table.store(&slot, value, LineCache.fields)
                let line = shard.table.bytes(slot)
                cache.planner.update(cache.place(key.hash), shard.table.summary)
                #expect(cache.bytes <= limit + line)
                #expect(cache.makeRoom(0))
            } else {
                let request = TraceRequest(key: number, valueCount: Int(random.below(200)))
                let cost = shard.table.cost(keyCount: 4, valueCount: request.valueCount, LineCache.fields)
                _ = cache.request(request, cost: cost)
            }
            #expect(cache.bytes <= limit && cache.bytes == cache.planner.bytes)
        }
        #expect(cache.victims.count > 1_000)
    }

    @Test("a line that was used twice in the small queue goes to the main one, a returning key goes there at once")
    func s3fifo() {
        // Ten lines fit, one of them in the small queue.
        let cost = LineTable(policy: .s3fifo).cost(keyCount: 4, valueCount: 20, LineCache.fields)
        let cache = LineCache(.s3fifo, tables: 2, limit: 10 * cost)
        func request(_ key: UInt32) -> Bool { cache.request(TraceRequest(key: key, valueCount: 20), cost: cost) }
        for key in 0..<10 as Range<UInt32> { #expect(!request(key)) }
        #expect(request(0) && request(0) && request(1))
        // Zero was used twice and moves; one was used once and goes.
        #expect(!request(10))
        #expect(cache.victims == [1])
        // One comes back while it is remembered: the room it takes is two's, and it is in the main queue now.
        #expect(!request(1))
        #expect(cache.victims == [1, 2])
        for key in 100..<150 as Range<UInt32> { _ = request(key) }
        #expect(request(0) && request(1) && !request(3))
    }
}
