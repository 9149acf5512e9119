// SPDX-License-Identifier: Apache-2.0
import CacheCore
import ClientTestSupport
import NIOCore
import Primitives
import RESP
import Testing

@testable import Memory

private let shard = ShardID(3)
private let fenceName = "syncline:00c0ffee00000001:{3}:fence"

@Suite("Fences in a real Redis")
struct FenceTests {
    @Test("a fence only rises, and tells what it was")
    func rises() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url)
        let first = try await memory.raise(shard, 5).get()
        #expect(first.previous == nil)
        let runID = try #require(memory.state.runID)
        #expect(first.runID == runID && runID.count == 40)
        #expect(await memory.raise(shard, 5).map(\.previous) == .success(5), "to repeat it is harmless")
        #expect(await memory.raise(shard, 1 << 53 + 1).map(\.previous) == .success(5))
        #expect(await memory.raise(shard, 1 << 53).error == .fenced(by: 1 << 53 + 1))
        #expect(await memory.raise(shard, .max).map(\.previous) == .success(1 << 53 + 1))
        #expect(await memory.raise(ShardID(4), 1).map(\.previous) == .success(nil), "each shard has its own")
    }

    @Test("a deposed home can neither write nor read, and its late writes change nothing")
    func deposed() async throws {
        let redis = try await RedisProcess.start()
        let old = try await TestMemory.connected(redis.url)
        let new = try await TestMemory.connected(redis.url)
        _ = await old.raise(shard, 1)
        #expect(await old.store(shard, 1, MemoryWrite("a", 10, "old")) == nil)
        #expect(await new.raise(shard, 2).map(\.previous) == .success(1))
        #expect(await new.store(shard, 2, MemoryWrite("a", 11, nil)) == nil)
        // A higher version does not help: the deletion above left none to compare with.
        #expect(await old.store(shard, 1, MemoryWrite("a", 12, "late")) == .fenced(by: 2))
        #expect(await old.store(shard, 1, MemoryWrite("a", 12, nil)) == .fenced(by: 2))
        #expect(await old.fetch(shard, "a").error == .fenced(by: 2))
        #expect(await old.raise(shard, 1).error == .fenced(by: 2))
        #expect(await new.fetch(shard, "a") == .success(nil))
        #expect(old.losses.isEmpty && new.losses.isEmpty)
    }

    @Test("who raised no fence writes nothing")
    func unraised() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url)
        #expect(await memory.store(shard, 1, MemoryWrite("a", 1, "x")) == .lost)
        _ = await memory.raise(shard, 1)
        #expect(await memory.store(shard, 2, MemoryWrite("a", 1, "x")) == .lost, "a later epoch than the fence has")
        #expect(try await redis.send("DBSIZE") == .integer(1))
        #expect(memory.losses.isEmpty)
    }

    @Test("what a broken connection still carried is refused after the shard was written through another")
    func lateWrite() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url)
        _ = await memory.raise(shard, 1)
        #expect(await memory.store(shard, 1, MemoryWrite("a", 5, "old")) == nil)
        // The fence as the connection at this moment writes it.
        guard case .bulk(let generation) = try await redis.send("GET", fenceName) else {
            Issue.record("no fence")
            return
        }
        let connections = memory.state.counts.connections
        try await redis.send("CLIENT", "KILL", "TYPE", "normal")
        #expect(await eventually { memory.state.counts.connections > connections })
        #expect(await memory.store(shard, 1, MemoryWrite("a", 6, nil)) == nil)
        // The same command again, as if it had lain in a buffer since.
        let reply = try await RawClient(redis).send(
            late(generation: generation, key: "a", version: CacheVersion(index: 5), value: "old")
        )
        #expect(reply.elements?.first?.string == "STALE")
        #expect(await memory.fetch(shard, "a") == .success(nil))
        #expect(memory.losses.isEmpty)
        #expect(await memory.raise(shard, 1).map(\.previous) == .success(1))
        #expect(await memory.store(shard, 1, MemoryWrite("a", 7, "new")) == nil)
    }

    private func late(generation: ByteBuffer, key: String, version: CacheVersion, value: String) -> [[UInt8]] {
        let digits = String(version.index, radix: 16)
        let form = String(repeating: "0", count: 16 - digits.count) + digits + "00000000"
        return ["EVAL", Script.store.text, "2", fenceName, "syncline:00c0ffee00000001:{3}:k:\(key)"].map {
            Array($0.utf8)
        }
            + [Array(generation.readableBytesView)] + [form, form + value, ""].map { Array($0.utf8) }
    }

    @Test("writes of one epoch go on through new connections")
    func reconnected() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url)
        _ = await memory.raise(shard, 1)
        for round in 1...5 as ClosedRange<UInt64> {
            let connections = memory.state.counts.connections
            try await redis.send("CLIENT", "KILL", "TYPE", "normal")
            #expect(await eventually { memory.state.counts.connections > connections && memory.state.isConnected })
            #expect(await memory.store(shard, 1, MemoryWrite("a", round, "v\(round)")) == nil)
            #expect(await memory.fetch(shard, "a") == .success(MemoryEntry("v\(round)", round)))
        }
        #expect(memory.losses.isEmpty)
    }

    @Test("a fence that others wrote is refused by every command")
    func foreign() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url)
        try await redis.send("SET", fenceName, "7")
        func isRefused(_ error: MemoryError?) -> Bool { if case .refused = error { true } else { false } }
        #expect(isRefused(await memory.raise(shard, 1).error))
        #expect(isRefused(await memory.store(shard, 1, MemoryWrite("a", 1, "x"))))
        #expect(isRefused(await memory.fetch(shard, "a").error))
        #expect(isRefused(await memory.removeAll(shard, 1, .zero).error))
        #expect(try await redis.send("GET", fenceName).string == "7")
    }
}
