// SPDX-License-Identifier: Apache-2.0
import CacheCore
import ClientTestSupport
import Primitives
import RESP
import Testing

@testable import Memory

@Suite("A real Redis Cluster")
struct ClusterTests {
    private let layout = KeyLayout(cluster: TestMemory.cluster)

    @Test("shards are spread over the servers, and a slot is followed where it goes")
    func threeServers() async throws {
        let cluster = try await RedisCluster.created(3)
        // Once it knows the slots it asks no more: what has moved it must learn from the servers' answers.
        let memory = try await TestMemory.connected(cluster.url) {
            $0.topologyInterval = .milliseconds(600_000)
            $0.heartbeat = .milliseconds(600_000)
        }
        #expect(memory.state.servers.count == 3 && memory.state.runID == nil)
        try await spread(cluster, memory)

        let shard = ShardID(5)
        let slot = layout.slot(shard)
        let source = try await cluster.owner(slot)
        let target = try #require(cluster.servers.first { $0.port != source.port })
        #expect(await memory.store(shard, 1, MemoryWrite("b", 1, "x")) == nil)
        let losses = memory.losses.count
        try await migrate(cluster, memory, shard, from: source, to: target)

        let redirects = memory.state.counts.redirects
        #expect(await memory.fetch(shard, "a") == .success(MemoryEntry("asked", 2)))
        #expect(memory.state.counts.redirects == redirects + 1, "MOVED")
        #expect(await memory.fetch(shard, "a") == .success(MemoryEntry("asked", 2)))
        #expect(memory.state.counts.redirects == redirects + 1, "it has learnt the place")
        #expect(await memory.store(shard, 1, MemoryWrite("new", 1, "x")) == nil)
        #expect(await memory.store(shard, 1, MemoryWrite("b", 2, nil)) == nil)
        #expect(await memory.fetch(shard, "b") == .success(nil))
        #expect(await memory.count([shard]) == .success([2]))
        #expect(await memory.raise(shard, 2).map(\.previous) == .success(1))
        // Another process answers for the shard now, and nothing is missing.
        #expect(memory.losses.dropFirst(losses) == [MemoryLoss(shards: [shard], cause: .restarted)])
        #expect(memory.state.isConnected)
        // Its servers end with it.
        withExtendedLifetime(cluster) {}
    }

    private func spread(_ cluster: RedisCluster, _ memory: TestMemory) async throws {
        let shards = (0..<64).map { ShardID($0) }
        for shard in shards {
            #expect(await memory.raise(shard, 1).map(\.previous) == .success(nil))
            #expect(await memory.store(shard, 1, MemoryWrite("a", 1, "\(shard)")) == nil)
        }
        for shard in shards { #expect(await memory.fetch(shard, "a") == .success(MemoryEntry("\(shard)", 1))) }
        for server in cluster.servers {
            #expect(try await server.send("DBSIZE").int ?? 0 > 20, "each has its share of 128 keys")
        }
        #expect(await memory.count(shards) == .success(shards.map { _ in 1 }))
        #expect(await memory.removeAll(ShardID(9), 1, CacheVersion(index: 1)) == .success(1))
        #expect(await memory.scan(ShardID(9), 0, 100).map(\.keys) == .success([]))
    }

    /// Moves the slot in the steps of `redis-cli --cluster reshard`, with commands in between.
    private func migrate(
        _ cluster: RedisCluster,
        _ memory: TestMemory,
        _ shard: ShardID,
        from source: RedisProcess,
        to target: RedisProcess
    ) async throws {
        let slot = "\(layout.slot(shard))"
        let targetID = try await cluster.id(target)
        try await target.send("CLUSTER", "SETSLOT", slot, "IMPORTING", try await cluster.id(source))
        try await source.send("CLUSTER", "SETSLOT", slot, "MIGRATING", targetID)
        #expect(await memory.fetch(shard, "a") == .success(MemoryEntry("\(shard)", 1)), "it is still at the source")

        func move(_ name: [UInt8]) async throws {
            let reply = try await source.send(
                "MIGRATE",
                "127.0.0.1",
                "\(target.port)",
                String(decoding: name, as: UTF8.self),
                "0",
                "5000"
            )
            #expect(reply.string == "OK")
        }
        try await move(layout.key(shard, CacheKey("a")))
        try await move(layout.fence(shard))
        let redirects = memory.state.counts.redirects
        #expect(await memory.fetch(shard, "a") == .success(MemoryEntry("\(shard)", 1)), "ASK leads to the target")
        #expect(await memory.store(shard, 1, MemoryWrite("a", 2, "asked")) == nil)
        #expect(memory.state.counts.redirects == redirects + 2)

        // Fence and key are on different servers: TRYAGAIN, until the key has moved too.
        async let waiting = memory.fetch(shard, "b")
        async let stored = memory.store(shard, 1, MemoryWrite("b", 1, "x"))
        #expect(await eventually { memory.state.counts.inFlight == 2 })
        try await move(layout.key(shard, CacheKey("b")))
        #expect(await waiting == .success(MemoryEntry("x", 1)))
        #expect(await stored == nil)
        for server in [target, source] + cluster.servers {
            try await server.send("CLUSTER", "SETSLOT", slot, "NODE", targetID)
        }
    }

    /// How often anybody asked the server for CLUSTER SLOTS.
    private func slotsAsked(_ server: RedisProcess) async throws -> Int {
        let lines = try await server.send("INFO", "commandstats").string?.split(whereSeparator: \.isNewline) ?? []
        let line = lines.first { $0.hasPrefix("cmdstat_cluster|slots:calls=") }
        return line.flatMap { Int($0.dropFirst(28).prefix { $0.isNumber }) } ?? 0
    }

    @Test("a slot nobody serves is down until somebody does, and a promoted replica is found")
    func promotion() async throws {
        let cluster = try await RedisCluster.apart(2)
        let (primary, replica) = (cluster.servers[0], cluster.servers[1])
        let memory = try TestMemory(cluster.url) { $0.heartbeat = .milliseconds(50) }
        let shard = ShardID(1)
        #expect(await eventually { memory.state.servers.first?.isConnected == true })
        #expect(await memory.raise(shard, 1).error?.isDown == true && !memory.state.isConnected)

        try await primary.send("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        #expect(await eventually { await memory.raise(shard, 1).error == nil })
        #expect(await memory.store(shard, 1, MemoryWrite("a", 1, "x")) == nil)

        let bus = try #require(try await primary.send("CONFIG", "GET", "cluster-port").elements?.last?.string)
        try await replica.send("CLUSTER", "MEET", "127.0.0.1", "\(primary.port)", bus)
        let primaryID = try await cluster.id(primary)
        #expect(await eventually { (try? await replica.send("CLUSTER", "REPLICATE", primaryID))?.string == "OK" })
        #expect(await eventually { (try? await replica.send("DBSIZE")) == .integer(2) })
        #expect(
            await eventually { (try? await primary.send("CLUSTER", "SLOTS"))?.elements?.first?.elements?.count == 4 }
        )
        // The client asks at each heartbeat; two after this answer it knows as much.
        let ticks = try await slotsAsked(primary)
        #expect(await eventually { (try? await slotsAsked(primary)) ?? 0 >= ticks + 2 })

        primary.kill()
        #expect(await eventually { await memory.fetch(shard, "a").error?.isDown == true })
        try await replica.send("CLUSTER", "FAILOVER", "TAKEOVER")
        #expect(await eventually { await memory.fetch(shard, "a") == .success(MemoryEntry("x", 1)) })
        #expect(await memory.store(shard, 1, MemoryWrite("a", 2, "y")) == nil)
        #expect(memory.losses == [MemoryLoss(shards: [shard], cause: .restarted)])
        #expect(memory.state.servers.map(\.address) == ["127.0.0.1:\(replica.port)"])
    }
}
