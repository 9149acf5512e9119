// SPDX-License-Identifier: Apache-2.0
import SynclineClient

/// The cache chapter of the tour: a line's states at three nodes as reads and writes go round, what a hit costs, and an
/// owner that is killed.
struct DemoCacheChapter {
    let cluster: DemoCluster
    let narrator: DemoNarrator
    /// One for each node, which knows no other: what is read through it is read there.
    private let caches: [Cache]
    private let clients: [SynclineClient]

    private static let key = "demo/price"
    /// Reads of one node, one after the other.
    private static let reads = 2_000

    init(cluster: DemoCluster, narrator: DemoNarrator) {
        self.cluster = cluster
        self.narrator = narrator
        clients = cluster.nodes.map { SynclineClient(endpoints: [$0.client]) }
        caches = clients.map(\.cache)
    }

    func run() async throws {
        do {
            try await states()
            try await hits()
            try await crash()
        } catch {
            await close()
            throw error
        }
        await close()
    }

    private func close() async {
        for client in clients { await client.close() }
    }

    // MARK: M, E, S and I

    private func states() async throws {
        narrator.title("A cache whose copies agree")
        narrator.say("Every node answers reads from copies of its own: Modified and Exclusive are the only copy,")
        narrator.say("Shared is one of several, Invalid is none. Watch one key:")
        try await set(0, "10", "is in the log of a majority; no node has a copy", expecting: ["I", "I", "I"])
        try await get(0, "10", "the first reader has the only copy", expecting: ["E", "I", "I"])
        try await set(0, "11", "so it may change it alone", .volatile, expecting: ["M", "I", "I"])
        try await get(1, "11", "fetched from its owner, and written back by it", expecting: ["S", "S", "I"])
        try await get(2, "11", "now all three answer by themselves", expecting: ["S", "S", "S"])
        try await set(2, "12", "every copy was gone before the write was confirmed", expecting: ["I", "I", "I"])
        try await get(1, "12", "so nobody can read the old one", expecting: ["I", "E", "I"])
    }

    private func set(
        _ node: Int,
        _ value: String,
        _ words: String,
        _ durability: Cache.Durability = .replicated,
        expecting states: [String]
    ) async throws {
        let mode = " DURABILITY \(durability.rawValue)"
        narrator.command("redis-cli -p \(cluster.nodes[node].clientPort) SET \(Self.key) \(value)\(mode)")
        var options = Cache.SetOptions()
        options.durability = durability
        _ = try await caches[node].set(Self.key, value, options)
        try await show(words, expecting: states)
    }

    private func get(_ node: Int, _ value: String, _ words: String, expecting states: [String]) async throws {
        narrator.command("redis-cli -p \(cluster.nodes[node].clientPort) GET \(Self.key)")
        let found = try await caches[node].text(Self.key)
        guard found == value else {
            throw DemoFailure("node-\(node) reads \(found ?? "nothing") where \(value) was written last")
        }
        try await show("\(value): \(words)", expecting: states)
    }

    /// Shows the line, and checks it: a copy that was given up for another reason, such as a lease that a busy machine
    /// let lapse, is allowed, but not a copy too many.
    private func show(_ words: String, expecting states: [String]) async throws {
        let line = try await caches[0].line(Self.key)
        let found = line.nodes.map(\.state.rawValue)
        narrator.result("\(narrator.strong(found.joined(separator: " ")))  \(words)")
        let owners = found.count { $0 == "M" || $0 == "E" }
        guard owners == 0 || owners == 1 && !found.contains("S") else {
            throw DemoFailure("the copies contradict each other: \(found.joined(separator: " "))")
        }
        for (state, expected) in zip(found, states) where state != expected && state != "I" {
            throw DemoFailure("a node has its copy in state \(state), not \(expected)")
        }
    }

    // MARK: What a hit costs

    private func hits() async throws {
        let before = try await caches[1].stats()
        let began = ContinuousClock.now
        for _ in 0..<Self.reads { _ = try await caches[1].get(Self.key) }
        let seconds = began.duration(to: .now).inSeconds
        let after = try await caches[1].stats()
        narrator.command("syncline cache stats --endpoint \(cluster.nodes[1].client)")
        let each = Int((seconds * 1e6 / Double(Self.reads)).rounded())
        narrator.result(
            "\(Self.reads) reads at node-1, one by one: \(narrator.strong("\(each) µs")) each there and back, "
                + "\(after.hits - before.hits) from its own memory"
        )
    }

    // MARK: An owner dies

    private func crash() async throws {
        narrator.title("kill -9 of a cache line's owner")
        let victim = cluster.nodes[2]
        let (dying, survivor) = (caches[2], caches[0])
        narrator.say("\(victim.name) owns two keys. One write is replicated; the other key's last one is volatile,")
        narrator.say("confirmed from the owner's memory and written back within a second.")
        try await own("demo/kept", at: dying)
        try await own("demo/risky", at: dying)
        try await write("demo/kept", "replicated", .replicated, at: dying)
        // The first tells the key's home that its owner writes by itself from now on.
        try await write("demo/risky", "first", .volatile, at: dying)
        try await write("demo/risky", "last", .volatile, at: dying)
        narrator.command("kill -9 \(cluster.processID(of: victim) ?? 0)        # \(victim.name)")
        let killed = ContinuousClock.now
        await cluster.kill(victim)
        let kept = try await survivor.text("demo/kept")
        let waited = milliseconds(since: killed)
        guard kept == "replicated" else {
            throw DemoFailure("the replicated write was lost: demo/kept is \(kept ?? "absent")")
        }
        narrator.result("demo/kept  is “replicated” at node-0, read \(narrator.strong(waited)) after the kill:")
        narrator.say("  nobody answers for a dead owner before its lease has run out, or it might still answer itself")
        let risky = try await survivor.text("demo/risky")
        guard risky == "first" || risky == "last" else {
            throw DemoFailure("demo/risky is \(risky ?? "absent"), which is neither of its last two values")
        }
        let fate = risky == "last" ? "written back in time" : "the volatile write died with its owner"
        narrator.result("demo/risky is “\(risky ?? "")”: \(fate)")
        try cluster.start(victim)
        try await cluster.waitUntilReady(victim)
        let again = try await clientText(of: victim, "demo/kept")
        guard again == kept else { throw DemoFailure("\(victim.name) reads \(again ?? "nothing") after its return") }
        narrator.result("\(victim.name) is back, with an empty cache, and reads “replicated” too")
    }

    /// A node owns a key that nobody else has read since it was written.
    private func own(_ key: String, at cache: Cache) async throws {
        _ = try await cache.set(key, "begun", Cache.SetOptions())
        _ = try await cache.get(key)
    }

    private func write(_ key: String, _ value: String, _ mode: Cache.Durability, at cache: Cache) async throws {
        var options = Cache.SetOptions()
        options.durability = mode
        _ = try await cache.set(key, value, options)
        narrator.command("redis-cli -p \(cluster.nodes[2].clientPort) SET \(key) \(value) DURABILITY \(mode.rawValue)")
    }

    /// Through connections of its own: the old ones ended with the process.
    private func clientText(of node: DemoNode, _ key: String) async throws -> String? {
        let client = SynclineClient(endpoints: [node.client])
        do {
            let text = try await client.cache.text(key)
            await client.close()
            return text
        } catch {
            await client.close()
            throw error
        }
    }

    private func milliseconds(since start: ContinuousClock.Instant) -> String {
        "\(Int((start.duration(to: .now).inSeconds * 1_000).rounded())) ms"
    }
}
