// SPDX-License-Identifier: Apache-2.0
import CacheCore
import ClientTestSupport
import Foundation
import Memory
import NIOCore
import Primitives
import RESP
import Testing

private let shard = ShardID(3)

@Suite("A Redis in trouble")
struct FaultTests {
    @Test("a full server refuses values, but neither deletions nor a new home")
    func full() async throws {
        let redis = try await RedisProcess.start("--maxmemory-policy", "noeviction")
        let memory = try await TestMemory.connected(redis.url)
        _ = await memory.raise(shard, 1)
        #expect(await memory.store(shard, 1, MemoryWrite("a", 1, "x")) == nil)
        try await redis.send("CONFIG", "SET", "maxmemory", "1")
        #expect(await memory.store(shard, 1, MemoryWrite("b", 1, "x")) == .outOfMemory)
        #expect(await memory.fetch(shard, "a") == .success(MemoryEntry("x", 1)))
        #expect(await memory.store(shard, 1, MemoryWrite("a", 2, nil)) == nil)
        #expect(await memory.raise(shard, 2).map(\.previous) == .success(1))
        #expect(await memory.raise(ShardID(4), 2).map(\.previous) == .success(nil))
        // Through a new connection a write also raises the generation of the fence.
        let connections = memory.state.counts.connections
        try await redis.send("CLIENT", "KILL", "TYPE", "normal")
        #expect(await eventually { memory.state.counts.connections > connections && memory.state.isConnected })
        #expect(await memory.store(shard, 2, MemoryWrite("b", 3, "x")) == .outOfMemory)
        #expect(await memory.store(shard, 2, MemoryWrite("a", 3, nil)) == nil)
        #expect(await memory.removeAll(shard, 2, CacheVersion(index: 3)).error == nil)
        #expect(memory.state.lastError?.hasPrefix("OOM") == true)
        try await redis.send("CONFIG", "SET", "maxmemory", "0")
        #expect(await memory.store(shard, 2, MemoryWrite("b", 3, "x")) == nil)
    }

    @Test("a server that removes values when it is full is named as a danger")
    func eviction() async throws {
        let redis = try await RedisProcess.start("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
        let memory = try await TestMemory.connected(redis.url)
        #expect(memory.state.servers.map(\.evictionPolicy) == ["allkeys-lru"])
    }

    @Test("a replica refuses writes as read-only, and takes them when it is promoted")
    func readOnly() async throws {
        let primary = try await RedisProcess.start()
        let redis = try await RedisProcess.start("--replicaof", "127.0.0.1 \(primary.port)")
        let memory = try await TestMemory.connected(redis.url)
        #expect(await eventually { await memory.raise(shard, 1).error == .readOnly })
        #expect(await memory.store(shard, 1, MemoryWrite("a", 1, "x")) == .lost, "there is no fence here")
        let home = try await TestMemory.connected(primary.url)
        _ = await home.raise(shard, 1)
        #expect(await eventually { await memory.store(shard, 1, MemoryWrite("a", 1, "x")) == .readOnly })
        try await redis.send("REPLICAOF", "NO", "ONE")
        #expect(await memory.raise(shard, 2).map(\.previous) == .success(1))
        #expect(await memory.store(shard, 2, MemoryWrite("a", 1, "x")) == nil)
    }

    @Test("a server that cannot save refuses writes as misconfigured, and its data stays readable")
    func cannotSave() async throws {
        let redis = try await RedisProcess.start("--stop-writes-on-bgsave-error", "yes")
        let memory = try await TestMemory.connected(redis.url)
        _ = await memory.raise(shard, 1)
        #expect(await memory.store(shard, 1, MemoryWrite("a", 1, "x")) == nil)
        try await redis.send("CONFIG", "SET", "save", "3600 1")
        // Root writes to any folder, but not to one that is gone.
        try FileManager.default.removeItem(atPath: redis.folder.path)
        try await redis.send("BGSAVE")
        var version: UInt64 = 1
        while await memory.store(shard, 1, MemoryWrite("a", version, "y")) == nil, version < 100_000 { version += 1 }
        #expect(await memory.store(shard, 1, MemoryWrite("a", version + 1, "y")) == .misconfigured)
        #expect(await memory.raise(shard, 2).error == .misconfigured)
        #expect(await memory.fetch(shard, "a").error == nil)
        try await redis.send("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
        #expect(await memory.store(shard, 1, MemoryWrite("a", version + 1, "z")) == nil)
    }

    @Test("a server that loads its data says so, and serves them afterwards")
    func loading() async throws {
        let redis = try await RedisProcess.start()
        let writer = try await TestMemory.connected(redis.url)
        _ = await writer.raise(shard, 1)
        let writes = (0..<300).map { MemoryWrite("k\($0)", 1, "value") }
        #expect(await writer.store(shard, 1, writes).allSatisfy { $0.error == nil })
        try await redis.send("SAVE")
        redis.kill()
        try await redis.launch(
            "--key-load-delay",
            "4000",
            "--loading-process-events-interval-bytes",
            "1024",
            ready: "Server initialized"
        )
        let memory = try await TestMemory.connected(redis.url)
        #expect(await memory.fetch(shard, "k1").error == .loading)
        #expect(await memory.raise(shard, 2).error == .loading)
        #expect(await memory.store(shard, 1, MemoryWrite("k1", 2, "x")) == .loading)
        #expect(await eventually { await memory.fetch(shard, "k1") == .success(MemoryEntry("value", 1)) })
        #expect(await memory.raise(shard, 2).map(\.previous) == .success(1))
    }

    @Test("a server that stops answering costs a deadline, then nothing, until it answers again")
    func paused() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url) {
            $0.commandTimeout = .milliseconds(400)
            $0.handshakeTimeout = .milliseconds(400)
            $0.breakerThreshold = 3
            $0.heartbeat = .milliseconds(60_000)
        }
        #expect(await eventually { await memory.raise(shard, 1).error == nil })
        #expect(await eventually { await memory.store(shard, 1, MemoryWrite("a", 1, "x")) == nil })
        let timeouts = memory.state.counts.timeouts
        redis.pause()
        let clock = ContinuousClock()
        for _ in 0..<3 {
            var error: MemoryError?
            let time = await clock.measure { error = await memory.store(shard, 1, MemoryWrite("a", 2, "late")) }
            #expect(error?.isDown == true)
            #expect(time >= .milliseconds(390) && time < .seconds(5), "\(time)")
        }
        #expect(memory.state.breaker == .open && !memory.state.isConnected)
        #expect(memory.state.counts.timeouts == timeouts + 3)
        for _ in 0..<100 { #expect(await memory.fetch(shard, "a").error?.isDown == true) }
        // One may be let through, to see whether the server answers again.
        let late = memory.state.counts.timeouts - timeouts - 3
        #expect(late <= 1, "\(late) of a hundred refusals waited for a deadline")
        redis.resume()
        #expect(await eventually { memory.state.isConnected && memory.state.breaker == .closed })
        // The three writes reached the server after all; this one knows no deletion or value of theirs as its own.
        #expect(await memory.store(shard, 1, MemoryWrite("a", 3, nil)) == nil)
        #expect(await memory.fetch(shard, "a") == .success(nil))
        #expect(memory.losses.isEmpty)
    }

    @Test("a server that nobody runs is down at once, and is found when it starts")
    func absent() async throws {
        let redis = try await RedisProcess.start()
        redis.kill()
        let memory = try TestMemory(redis.url) { $0.backoffMax = .milliseconds(30) }
        #expect(await eventually { memory.state.breaker == .open })
        guard case .down(let reason) = await memory.fetch(shard, "a").error else {
            Issue.record("not down")
            return
        }
        #expect(reason.contains("127.0.0.1:\(redis.port)") && reason.contains("Connection refused"), "\(reason)")
        try await redis.launch()
        #expect(await eventually { memory.state.isConnected && memory.state.breaker == .closed })
        #expect(await memory.raise(shard, 1).error == nil)
    }

    @Test("stopping answers everything under way, and what comes after")
    func stopped() async throws {
        let redis = try await RedisProcess.start()
        let memory = try await TestMemory.connected(redis.url)
        _ = await memory.raise(shard, 1)
        redis.pause()
        async let first = memory.store(shard, 1, MemoryWrite("a", 1, "x"))
        #expect(await eventually { memory.state.counts.inFlight == 1 })
        try await memory.memory.stop().get()
        #expect(await first?.isDown == true)
        #expect(await memory.fetch(shard, "a").error?.isDown == true)
        #expect(!memory.state.isConnected)
        redis.resume()
    }
}
