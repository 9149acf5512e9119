// SPDX-License-Identifier: Apache-2.0
import CacheCore
import ClientTestSupport
import Memory
import Primitives
import Testing

private let shard = ShardID(3)

@Suite("Limits on the way to Redis")
struct LimitTests {
    private func isBusy(_ result: Result<Void, MemoryError>) -> Bool {
        if case .failure(.busy) = result { true } else { false }
    }

    @Test("commands beyond the limit are refused and not queued, and the others are done")
    func commands() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url) { $0.inFlightLimit = 10 }
        _ = await memory.raise(shard, 1)
        let results = await memory.store(shard, 1, (0..<25).map { MemoryWrite("k\($0)", 1, "x") })
        #expect(results.prefix(10).allSatisfy { $0.error == nil })
        #expect(results.dropFirst(10).allSatisfy { isBusy($0) })
        #expect(await memory.fetch(shard, "k9") == .success(MemoryEntry("x", 1)))
        #expect(await memory.fetch(shard, "k10") == .success(nil))
        #expect(memory.state.counts.inFlight == 0 && memory.state.counts.failures == 15)
        #expect(memory.state.breaker == .closed)
    }

    @Test("bytes beyond the limit are refused, except of one command alone")
    func bytes() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url) { $0.inFlightBytes = 100_000 }
        _ = await memory.raise(shard, 1)
        let large = [UInt8](repeating: 1, count: 30_000)
        let writes = (0..<6).map {
            MemoryWrite(key: CacheKey("k\($0)"), version: CacheVersion(index: 1), value: large)
        }
        #expect(await memory.store(shard, 1, writes).map { isBusy($0) } == [false, false, false, true, true, true])
        let larger = [UInt8](repeating: 1, count: 200_000)
        let write = MemoryWrite(key: CacheKey("k"), version: CacheVersion(index: 1), value: larger)
        #expect(await memory.store(shard, 1, [write, write]).map { isBusy($0) } == [false, true])
    }

    @Test("while a server is paused no more than the limit waits for it")
    func paused() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url) { $0.inFlightLimit = 4 }
        _ = await memory.raise(shard, 1)
        redis.pause()
        async let waiting = memory.store(shard, 1, (0..<4).map { MemoryWrite("k\($0)", 1, "x") })
        #expect(await eventually { memory.state.counts.inFlight == 4 })
        guard case .failure(.busy) = await memory.fetch(shard, "k0") else {
            Issue.record("one more was let through")
            return
        }
        redis.resume()
        #expect(await waiting.allSatisfy { $0.error == nil })
    }
}
