// SPDX-License-Identifier: Apache-2.0
import CacheCore
import ClientTestSupport
import Memory
import Primitives
import RESP
import Testing

@Suite("A Redis that lost data")
struct LossTests {
    private let shards = [ShardID(1), ShardID(2), ShardID(3)]

    private func raised(_ redis: RedisProcess, heartbeat: UInt64 = 60_000) async throws -> TestMemory {
        let memory = try await TestMemory.connected(redis.url) { $0.heartbeat = .milliseconds(heartbeat) }
        for shard in shards {
            #expect(await memory.raise(shard, 4).error == nil)
            #expect(await memory.store(shard, 4, MemoryWrite("a", 1, "x")) == nil)
        }
        return memory
    }

    @Test("kill -9 of a server that keeps nothing is reported once it is back, all shards together")
    func killed() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await raised(redis)
        let runID = memory.state.runID
        redis.kill()
        #expect(await eventually { !memory.state.isConnected })
        #expect(await memory.fetch(shards[0], "a").error?.isDown == true)
        #expect(await memory.store(shards[0], 4, MemoryWrite("a", 2, "y"))?.isDown == true)
        #expect(memory.state.lastError != nil && memory.losses.isEmpty)
        try await redis.launch()
        #expect(await eventually { !memory.losses.isEmpty })
        #expect(memory.losses == [MemoryLoss(shards: shards, cause: .emptied)])
        #expect(memory.state.isConnected && memory.state.runID != runID)
        // Absent would be wrong: the value may have been there.
        #expect(await memory.fetch(shards[0], "a").error == .lost)
        #expect(await memory.store(shards[0], 4, MemoryWrite("a", 2, "y")) == .lost)
        #expect(await memory.raise(shards[0], 4).map(\.previous) == .success(nil))
        #expect(await memory.store(shards[0], 4, MemoryWrite("a", 2, "y")) == nil)
        #expect(await memory.fetch(shards[0], "a") == .success(MemoryEntry("y", 2)))
        #expect(await memory.fetch(shards[1], "a").error == .lost)
        #expect(memory.losses.count == 1, "nothing is reported twice")
    }

    @Test("a restart of a server that kept its data is reported as such")
    func restarted() async throws {
        let redis = try await RedisProcess.start("--appendonly", "yes", "--appendfsync", "always")
        let memory = try await raised(redis)
        redis.kill()
        try await redis.launch()
        #expect(await eventually { !memory.losses.isEmpty })
        #expect(memory.losses == [MemoryLoss(shards: shards, cause: .restarted)])
        #expect(await memory.fetch(shards[2], "a") == .success(MemoryEntry("x", 1)))
        #expect(await memory.store(shards[2], 4, MemoryWrite("a", 2, "y")) == nil)
        #expect(memory.losses.count == 1)
    }

    @Test("a server that comes back with an older fence has lost data")
    func wentBack() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await raised(redis)
        try await redis.send("SAVE")
        #expect(await memory.raise(shards[1], 6).map(\.previous) == .success(4))
        redis.kill()
        try await redis.launch()
        #expect(await eventually { memory.losses.count == 2 })
        #expect(memory.losses.contains(MemoryLoss(shards: [shards[1]], cause: .emptied)))
        #expect(memory.losses.contains(MemoryLoss(shards: [shards[0], shards[2]], cause: .restarted)))
        #expect(await memory.fetch(shards[1], "a").error == .lost)
        #expect(await memory.raise(shards[1], 6).map(\.previous) == .success(4))
    }

    @Test("FLUSHALL is found by the next write")
    func flushedBeforeWrite() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await raised(redis)
        try await redis.send("FLUSHALL")
        #expect(await memory.store(shards[1], 4, MemoryWrite("b", 1, "y")) == .lost)
        #expect(await eventually { memory.losses == [MemoryLoss(shards: [shards[1]], cause: .emptied)] })
    }

    @Test("FLUSHALL is found by the next read, which does not take the key for absent")
    func flushedBeforeRead() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await raised(redis)
        try await redis.send("FLUSHALL")
        #expect(await memory.fetch(shards[1], "a").error == .lost)
        #expect(await eventually { memory.losses == [MemoryLoss(shards: [shards[1]], cause: .emptied)] })
    }

    @Test("FLUSHALL is found without any command, by the heartbeat")
    func flushedInSilence() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await raised(redis, heartbeat: 20)
        try await redis.send("FLUSHALL")
        #expect(await eventually { !memory.losses.isEmpty })
        #expect(memory.losses.first == MemoryLoss(shards: shards, cause: .emptied))
        #expect(memory.state.counts.losses == 3)
    }

    @Test("a broken connection alone loses nothing")
    func reconnected() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await raised(redis)
        let connections = memory.state.counts.connections
        try await redis.send("CLIENT", "KILL", "TYPE", "normal")
        #expect(await eventually { memory.state.counts.connections > connections && memory.state.isConnected })
        for shard in shards { #expect(await memory.fetch(shard, "a") == .success(MemoryEntry("x", 1))) }
        #expect(memory.losses.isEmpty)
    }
}
