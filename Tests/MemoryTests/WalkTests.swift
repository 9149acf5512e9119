// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Memory
import Primitives
import Testing

@Suite("Walks over keys in a real Redis")
struct WalkTests {
    private func filled(_ redis: RedisProcess) async throws -> TestMemory {
        let memory = try await TestMemory.connected(redis.url)
        for (shard, count) in [(1, 700), (11, 30), (2, 1)] as [(UInt16, UInt64)] {
            _ = await memory.raise(ShardID(shard), 1)
            let writes = (1...count).map { MemoryWrite("key-\(shard)-\($0)", $0, "x") }
            #expect(await memory.store(ShardID(shard), 1, writes).allSatisfy { $0.error == nil })
        }
        return memory
    }

    private func walk(_ memory: TestMemory, _ shard: ShardID) async throws -> Set<CacheKey> {
        var keys: Set<CacheKey> = []
        var cursor: UInt64 = 0
        repeat {
            let page = try await memory.scan(shard, cursor, 50).get()
            keys.formUnion(page.keys)
            cursor = page.next
            #expect(cursor < 1 << 48)
        } while cursor != 0
        return keys
    }

    @Test("a scan names every key of its shard, and none of another shard or cluster")
    func scan() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await filled(redis)
        let other = try await TestMemory.connected(redis.url, cluster: 9)
        _ = await other.raise(ShardID(1), 1)
        #expect(await other.store(ShardID(1), 1, MemoryWrite("not ours", 1, "x")) == nil)
        #expect(try await walk(memory, ShardID(1)) == Set((1...700).map { CacheKey("key-1-\($0)") }))
        #expect(try await walk(memory, ShardID(11)).count == 30)
        #expect(try await walk(memory, ShardID(7)).isEmpty)
        #expect(try await walk(other, ShardID(1)) == [CacheKey("not ours")])
    }

    @Test("a scan goes on after any cursor, even an invented one, to an end")
    func cursors() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await filled(redis)
        for invented in [1, 12_345, 1 << 42, 1 << 47, .max] as [UInt64] {
            var cursor = invented
            var pages = 0
            repeat {
                cursor = try await memory.scan(ShardID(1), cursor, 100).get().next
                pages += 1
            } while cursor != 0 && pages < 100
            #expect(cursor == 0)
        }
        #expect(await memory.scan(ShardID(1), 0, -5).error == nil)
        #expect(await memory.scan(ShardID(1), 0, .max).map(\.keys.count) == .success(700))
    }

    @Test("keys are counted for many shards in one walk")
    func count() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await filled(redis)
        #expect(await memory.count([ShardID(1), ShardID(2), ShardID(5), ShardID(11)]) == .success([700, 1, 0, 30]))
        #expect(await memory.count([]) == .success([]))
    }

    @Test("emptying a shard spares later versions, other shards and the fence")
    func removeAll() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await filled(redis)
        #expect(await memory.removeAll(ShardID(1), 1, CacheVersion(index: 650)) == .success(650))
        #expect(await memory.count([ShardID(1), ShardID(2), ShardID(11)]) == .success([50, 1, 30]))
        #expect(await memory.fetch(ShardID(1), "key-1-651") == .success(MemoryEntry("x", 651)))
        #expect(await memory.fetch(ShardID(1), "key-1-650") == .success(nil))
        #expect(await memory.removeAll(ShardID(1), 1, CacheVersion(index: .max, minor: .max)) == .success(50))
        #expect(await memory.store(ShardID(1), 1, MemoryWrite("new", 1, "x")) == nil)
        #expect(await memory.removeAll(ShardID(7), 1, .zero).error == .lost, "nobody raised its fence")
    }

    @Test("a deposed home cannot empty a shard")
    func deposed() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await filled(redis)
        let next = try await TestMemory.connected(redis.url)
        #expect(await next.raise(ShardID(1), 2).map(\.previous) == .success(1))
        #expect(await memory.removeAll(ShardID(1), 1, CacheVersion(index: .max)).error == .fenced(by: 2))
        #expect(await next.count([ShardID(1)]) == .success([700]))
    }
}
