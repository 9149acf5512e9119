// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import SynclineClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The cache over a Redis: three more nodes, written back to a real `redis-server` that is killed, comes back empty and
/// is given everything again.
struct DemoRedisChapter {
    let narrator: DemoNarrator
    private let cluster: DemoCluster
    private let redisPort: Int
    private let logPath: String

    private static let key = "demo/stock"

    /// - Parameter folder: for the data of the nodes.
    init(folder: String, narrator: DemoNarrator) throws {
        self.narrator = narrator
        let base = try DemoCluster.freeBase()
        // The nodes take 0 to 2, 10 to 12 and 20 to 22 of these.
        redisPort = base + 9
        logPath = "\(folder)/redis.log"
        let settings = ["--memory", "redis", "--redis-url", "redis://127.0.0.1:\(base + 9)"]
        cluster = try DemoCluster(folder: "\(folder)/over-redis", basePort: base, settings: settings)
    }

    func run() async throws {
        narrator.title("Redis behind the cache, killed and started again")
        guard Self.isInstalled else {
            return narrator.say("Left out: there is no redis-server on this machine.")
        }
        var redis = try startRedis()
        do {
            try await show(&redis)
        } catch {
            await stop(redis)
            throw error
        }
        await stop(redis)
    }

    private func stop(_ redis: ChildProcess) async {
        redis.signalGroup(SIGKILL)
        for await _ in redis.events {}
        await cluster.stop()
    }

    private func show(_ redis: inout ChildProcess) async throws {
        for node in cluster.nodes { try cluster.start(node) }
        for node in cluster.nodes { try await cluster.waitUntilReady(node) }
        narrator.say("Three more nodes, started with --memory redis --redis-url redis://127.0.0.1:\(redisPort)")
        let clients = cluster.nodes.map { SynclineClient(endpoints: [$0.client]) }
        do {
            try await tell(clients.map(\.cache), &redis)
        } catch {
            for client in clients { await client.close() }
            throw error
        }
        for client in clients { await client.close() }
    }

    private func tell(_ caches: [Cache], _ redis: inout ChildProcess) async throws {
        try await set(caches, 0, "100")
        try await wait(for: "Redis is written back to") { try await sum("memory_writes_total", caches) > 0 }
        narrator.result("confirmed by a majority, and a moment later written back to Redis")
        narrator.command("kill -9 \(redis.pid)        # redis-server, which keeps nothing on disk here")
        redis.signalGroup(SIGKILL)
        for await _ in redis.events {}
        try await set(caches, 1, "99")
        try await read(caches, "99")
        narrator.result("Redis is gone: writes are confirmed all the same, and all three nodes read \(strong("99"))")
        guard let refusal = await refusal(of: "demo/never-seen", at: caches[2]) else {
            throw DemoFailure("a key that only Redis could know was said to be absent")
        }
        narrator.result("a key that only Redis could know is an error, never “absent”:")
        narrator.say("  \(refusal)")
        try await wait(for: "the nodes know what Redis lacks") { try await sum("memory_dirty_keys", caches) > 0 }
        redis = try startRedis()
        narrator.command("redis-server --port \(redisPort)        # empty")
        let began = ContinuousClock.now
        try await wait(for: "Redis has everything again") { try await sum("memory_dirty_keys", caches) == 0 }
        let seconds = began.duration(to: .now).inSeconds
        try await read(caches, "99")
        narrator.result("\(strong("\(Int(seconds * 1_000)) ms")) after its start Redis has everything again")
    }

    private func strong(_ text: String) -> String { narrator.strong(text) }

    private func refusal(of key: String, at cache: Cache) async -> SynclineError? {
        do throws(SynclineError) {
            _ = try await cache.get(key)
            return nil
        } catch {
            return error
        }
    }

    private func set(_ caches: [Cache], _ node: Int, _ value: String) async throws {
        narrator.command("redis-cli -p \(cluster.nodes[node].clientPort) SET \(Self.key) \(value)")
        _ = try await caches[node].set(Self.key, value, Cache.SetOptions())
    }

    private func read(_ caches: [Cache], _ value: String) async throws {
        for (cache, node) in zip(caches, cluster.nodes) {
            let found = try await cache.text(Self.key)
            guard found == value else { throw DemoFailure("\(node.name) reads \(found ?? "nothing"), not \(value)") }
        }
    }

    /// One of the nodes' figures, all nodes together. They are gathered now and then, so what has just happened shows a
    /// moment later.
    private func sum(_ figure: String, _ caches: [Cache]) async throws -> Int {
        var sum = 0
        for cache in caches { sum += try await cache.stats().figures[figure] ?? 0 }
        return sum
    }

    private func wait(for words: String, _ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw DemoFailure("\(words): not within 30 seconds; see \(logPath)")
    }

    private func startRedis() throws -> ChildProcess {
        let arguments = [
            "redis-server", "--port", "\(redisPort)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
        ]
        do {
            return try ChildProcess(
                ChildProcess.Launch(
                    arguments: arguments,
                    environment: ProcessInfo.processInfo.environment,
                    logPath: logPath
                )
            )
        } catch {
            throw DemoFailure(error.message)
        }
    }

    private static var isInstalled: Bool {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        return folders.contains { FileManager.default.isExecutableFile(atPath: "\($0)/redis-server") }
    }
}
