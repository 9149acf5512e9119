// SPDX-License-Identifier: Apache-2.0
import CacheCore
import ClientTestSupport
import Memory
import Primitives
import RESP
import Testing

private let shard = ShardID(3)

@Suite("Values in a real Redis")
struct ValueTests {
    @Test("what was stored is fetched with its version and remaining time, and what was not is absent")
    func roundTrip() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url)
        #expect(await memory.raise(shard, 4).map(\.previous) == .success(nil))
        #expect(await memory.fetch(shard, "a") == .success(nil))
        #expect(await memory.store(shard, 4, MemoryWrite("a", 1, "one")) == nil)
        #expect(await memory.fetch(shard, "a") == .success(MemoryEntry("one", 1)))
        #expect(await memory.store(shard, 4, MemoryWrite("a", 2, "two", remaining: 60_000)) == nil)
        let entry = try await #require(memory.fetch(shard, "a").get())
        #expect(entry.version == CacheVersion(index: 2))
        #expect((50_000...60_000).contains(try #require(entry.remaining)))
        // A later version without a time has none.
        #expect(await memory.store(shard, 4, MemoryWrite("a", 3, "")) == nil)
        #expect(await memory.fetch(shard, "a") == .success(MemoryEntry("", 3)))
        #expect(await memory.store(shard, 4, MemoryWrite("a", 4, nil)) == nil)
        #expect(await memory.fetch(shard, "a") == .success(nil))
        #expect(try await redis.send("DBSIZE") == .integer(1), "only the fence is left")
    }

    @Test("a value expires in Redis, and one that has expired already is deleted")
    func expiry() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url)
        _ = await memory.raise(shard, 1)
        #expect(await memory.store(shard, 1, MemoryWrite("a", 1, "one", remaining: 30)) == nil)
        #expect(await eventually { await memory.fetch(shard, "a") == .success(nil) })
        #expect(await memory.store(shard, 1, MemoryWrite("b", 1, "one")) == nil)
        #expect(await memory.store(shard, 1, MemoryWrite("b", 2, "two", remaining: 0)) == nil)
        #expect(await memory.fetch(shard, "b") == .success(nil))
        // Longer than Redis can reckon with.
        #expect(await memory.store(shard, 1, MemoryWrite("c", 1, "x", remaining: .max)) == nil)
        #expect(try await #require(memory.fetch(shard, "c").get()).remaining ?? 0 > 1 << 45)
    }

    @Test("an older version never replaces a newer one, and is reported as done")
    func order() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url)
        _ = await memory.raise(shard, 1)
        // Neighbours that a Lua number cannot tell apart, that a locale could confuse, that differ in one place.
        let ordered = [
            CacheVersion(index: 1), CacheVersion(index: 1, minor: 1), CacheVersion(index: 0x9f),
            CacheVersion(index: 0xa0), CacheVersion(index: 0xaa), CacheVersion(index: 0xab),
            CacheVersion(index: 1 << 53), CacheVersion(index: 1 << 53 + 1), CacheVersion(index: 1 << 63),
            CacheVersion(index: .max, minor: 7), CacheVersion(index: .max, minor: .max),
        ]
        for (index, version) in ordered.enumerated() {
            let write = MemoryWrite(key: CacheKey("k"), version: version, value: [UInt8(index)])
            #expect(await memory.store(shard, 1, write) == nil)
            for old in ordered[...index] {
                let write = MemoryWrite(key: CacheKey("k"), version: old, value: [0xff])
                #expect(await memory.store(shard, 1, write) == nil)
                #expect(await memory.store(shard, 1, MemoryWrite(key: CacheKey("k"), version: old, value: nil)) == nil)
            }
            let entry = MemoryEntry(value: [UInt8(index)], version: version)
            #expect(await memory.fetch(shard, "k") == .success(entry), "\(version)")
        }
    }

    @Test("keys and values of any bytes come back as they were")
    func bytes() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url)
        _ = await memory.raise(shard, 1)
        let all = Array(UInt8.min...UInt8.max)
        let samples: [[UInt8]] = [[], [0], [0, 0, 0], all, [0xff, 0xfe, 0xc0], Array("\r\n$5\r\n{}*".utf8)]
        for sample in samples {
            let key = CacheKey(sample)
            #expect(
                await memory.store(
                    shard,
                    1,
                    MemoryWrite(key: key, version: CacheVersion(index: 9), value: sample)
                ) == nil
            )
            let entry = MemoryEntry(value: sample, version: CacheVersion(index: 9))
            #expect(await memory.fetch(shard, key) == .success(entry), "\(sample)")
        }
        let longest = CacheKey([UInt8](repeating: 0, count: CacheLimits.keyBytes))
        #expect(
            await memory.store(shard, 1, MemoryWrite(key: longest, version: CacheVersion(index: 1), value: all)) == nil
        )
        #expect(await memory.fetch(shard, longest).map { $0?.value } == .success(all))
    }

    @Test("the longest value is stored and fetched, and a longer one is refused before it is sent")
    func longest() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url)
        _ = await memory.raise(shard, 1)
        let value = [UInt8](repeating: 0xa5, count: CacheLimits.valueBytes)
        let key = CacheKey("big")
        let version = CacheVersion(index: 1)
        #expect(await memory.store(shard, 1, MemoryWrite(key: key, version: version, value: value)) == nil)
        #expect(await memory.fetch(shard, key).map { $0?.value == value } == .success(true))
        let tooLong = MemoryWrite(key: key, version: CacheVersion(index: 2), value: value + [0])
        let longKey = CacheKey([UInt8](repeating: 1, count: CacheLimits.keyBytes + 1))
        let results = await memory.store(
            shard,
            1,
            [tooLong, MemoryWrite("a", 1, "x"), MemoryWrite(key: longKey, version: version, value: nil)]
        )
        #expect(results.map(\.error) == [.tooLarge, nil, .tooLarge])
        #expect(await memory.fetch(shard, longKey).error == .tooLarge)
    }

    @Test("a batch has one result for each write, in their order")
    func batches() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url)
        _ = await memory.raise(shard, 1)
        #expect(await memory.store(shard, 1, []).isEmpty)
        try await redis.send("LPUSH", "syncline:00c0ffee00000001:{3}:k:list", "x")
        let results = await memory.store(
            shard,
            1,
            (0..<500).map { MemoryWrite($0 == 250 ? "list" : "k\($0)", UInt64($0) + 1, "v\($0)") }
        )
        #expect(results.count == 500)
        for (index, result) in results.enumerated() {
            if index == 250 {
                guard case .failure(.refused(let text)) = result, text.hasPrefix("WRONGTYPE") else {
                    Issue.record("\(result)")
                    continue
                }
            } else {
                #expect(result.error == nil)
            }
        }
        #expect(await memory.fetch(shard, "k499") == .success(MemoryEntry("v499", 500)))
    }

    @Test("what others left under our names is refused, and replaced by the next write")
    func foreign() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url)
        _ = await memory.raise(shard, 1)
        let name = "syncline:00c0ffee00000001:{3}:k:a"
        for text in ["", "short", String(repeating: "z", count: 40), String(repeating: "F", count: 24)] {
            try await redis.send("SET", name, text)
            guard case .failure(.refused) = await memory.fetch(shard, "a") else {
                Issue.record("\(text) was taken for a value")
                continue
            }
            #expect(await memory.store(shard, 1, MemoryWrite("a", 5, "ours")) == nil)
            #expect(await memory.fetch(shard, "a") == .success(MemoryEntry("ours", 5)), "\(text)")
        }
        try await redis.send("SETRANGE", name, "20000000", "x")
        guard case .failure(.refused(let text)) = await memory.fetch(shard, "a"), text.hasPrefix("FOREIGN") else {
            Issue.record("a value longer than any was fetched")
            return
        }
        #expect(memory.state.isConnected)
    }

    @Test("a server that forgot the scripts is given them again")
    func scripts() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url)
        _ = await memory.raise(shard, 1)
        #expect(await memory.store(shard, 1, MemoryWrite("a", 1, "one")) == nil)
        try await redis.send("SCRIPT", "FLUSH")
        #expect(await memory.fetch(shard, "a") == .success(MemoryEntry("one", 1)))
        try await redis.send("SCRIPT", "FLUSH")
        let results = await memory.store(shard, 1, (2..<50).map { MemoryWrite("a\($0)", $0, "x") })
        #expect(results.allSatisfy { $0.error == nil })
        let info = try await redis.send("INFO", "commandstats").string ?? ""
        #expect(info.contains("cmdstat_evalsha") && info.contains("cmdstat_eval:"))
    }
}
