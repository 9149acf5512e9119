// SPDX-License-Identifier: Apache-2.0
import Primitives
import Replica
import SynclineClient

/// The guided tour: each step does what it tells and checks that it came out so.
struct DemoTour {
    let cluster: DemoCluster
    let narrator = DemoNarrator()
    let client: SynclineClient

    init(cluster: DemoCluster) {
        self.cluster = cluster
        client = SynclineClient(endpoints: cluster.endpoints)
    }

    func run() async throws {
        narrator.header("Syncline: three nodes on this machine")
        let started = ContinuousClock.now
        for node in cluster.nodes { try cluster.start(node) }
        for node in cluster.nodes { try await cluster.waitUntilReady(node) }
        for node in cluster.nodes {
            narrator.say(
                "\(node.name): process \(cluster.processID(of: node) ?? 0), clients \(node.client), HTTP \(node.http)"
            )
        }
        narrator.result("ready after \(milliseconds(since: started)); data and logs in \(cluster.folder)")
        do {
            try await election()
            let alice = try await session()
            let token = try await lock(alice)
            try await line(alice, token)
            try await deadlock()
            try await crash()
            try await alice.close()
            try await DemoQueueChapter(cluster: cluster, narrator: narrator).run()
            try await DemoCacheChapter(cluster: cluster, narrator: narrator).run()
            try await DemoRedisChapter(folder: cluster.folder, narrator: narrator).run()
        } catch let error as SynclineError {
            throw DemoFailure("\(error)")
        } catch let error as HTTPError {
            throw DemoFailure(error.message)
        }
    }

    private func election() async throws {
        narrator.title("An election")
        narrator.say("Locks live in shards, each a Raft group of three replicas that has elected a leader.")
        let deadline = ContinuousClock.now + .seconds(20)
        var shards: [ShardView] = []
        repeat {
            shards = try await ClusterRequests.shards([cluster.nodes[0].http])
            if shards.allSatisfy({ $0.leader != nil }) { break }
            try await Task.sleep(for: .milliseconds(20))
        } while ContinuousClock.now < deadline
        try expect(!shards.isEmpty && shards.allSatisfy { $0.leader != nil }, "a shard has no leader")
        narrator.command("curl -s http://\(cluster.nodes[0].http)/v1/cluster/shards")
        for node in cluster.nodes {
            narrator.result("\(node.name) leads \(shards.count { $0.leader == node.name }) of \(shards.count) shards")
        }
        let shard = defaultShard(of: shards.count)
        guard let row = shards.first(where: { $0.shard == shard }), let leader = row.leader else {
            throw DemoFailure("shard \(shard) is missing from the list")
        }
        narrator.result("the namespace “default” is in shard \(shard), led by \(leader) in term \(row.term)")
    }

    private func session() async throws -> Session {
        narrator.title("A session")
        narrator.say("Whoever holds locks does so through a session: a lease that is kept alive by renewals.")
        narrator.command("redis-cli -p \(port) SESSION.OPEN TTL 10000 LABEL alice")
        let alice = try await client.openSession(label: "alice")
        narrator.result("session \(alice.id), which lives for 10 s after each renewal")
        return alice
    }

    private func lock(_ alice: Session) async throws -> UInt64 {
        narrator.title("A lock and its fencing token")
        narrator.say(
            "Each grant is one entry of the replicated log, on disk at two nodes at least; its index is the token."
        )
        narrator.command("redis-cli -p \(port) LOCK.ACQUIRE demo/printer SESSION \(alice.id)")
        let began = ContinuousClock.now
        let grant = try await alice.lock("demo/printer", wait: .none)
        narrator.result(
            "alice has demo/printer with token \(strong(grant.token)) after \(microseconds(since: began))"
        )
        narrator.command("redis-cli -p \(port) LOCK.CHECK demo/printer TOKEN \(grant.token)")
        let isValid = try await client.checkToken(grant.token, of: "demo/printer")
        try expect(isValid, "the token of the holder is not valid")
        narrator.result("1: a service that sees this token may let its bearer write; an older one it refuses")
        return grant.token
    }

    private func line(_ alice: Session, _ token: UInt64) async throws {
        narrator.title("A waiting line")
        narrator.say(
            "Bob and carol want the lock too. They wait in line, served strictly in order, without asking again."
        )
        let bob = try await client.openSession(label: "bob")
        let carol = try await client.openSession(label: "carol")
        let bobs = Task { try await bob.lock("demo/printer", wait: .forever) }
        try await waitForLine("demo/printer", length: 1)
        let carols = Task { try await carol.lock("demo/printer", wait: .forever) }
        let info = try await waitForLine("demo/printer", length: 2)
        narrator.command("redis-cli -p \(port) LOCK.INFO demo/printer        # or: syncline locks show demo/printer")
        narrator.block(LockTable.show(info))

        narrator.title("Handing over")
        narrator.command("redis-cli -p \(port) LOCK.RELEASE demo/printer SESSION \(alice.id)")
        let began = ContinuousClock.now
        try await alice.release("demo/printer")
        let toBob = try await bobs.value
        narrator.result(
            "alice lets go; bob has it \(microseconds(since: began)) later: token \(strong(toBob.token))"
        )
        let again = ContinuousClock.now
        try await bob.release("demo/printer")
        let toCarol = try await carols.value
        narrator.result(
            "bob lets go; carol has it \(microseconds(since: again)) later: token \(strong(toCarol.token))"
        )
        try expect(token < toBob.token && toBob.token < toCarol.token, "the tokens do not rise")
        narrator.say("Tokens only ever rise: alice's \(token) is refused by whatever has seen \(toCarol.token).")
        try await bob.close()
        try await carol.close()
    }

    private func deadlock() async throws {
        narrator.title("A deadlock and its victim")
        narrator.say("Dave has demo/left and wants demo/right; erin has demo/right and wants demo/left.")
        let dave = try await client.openSession(label: "dave")
        let erin = try await client.openSession(label: "erin")
        _ = try await dave.lock("demo/left", wait: .none)
        _ = try await erin.lock("demo/right", wait: .none)
        let daves = Task { try await dave.lock("demo/right", wait: .forever) }
        try await waitForLine("demo/right", length: 1)
        narrator.command("redis-cli -p \(port) LOCK.ACQUIRE demo/left SESSION \(erin.id) WAIT FOREVER")
        let began = ContinuousClock.now
        do throws(SynclineError) {
            _ = try await erin.lock("demo/left", wait: .forever)
        } catch {
            try expect(error.code == .deadlock, "the wait ended otherwise than as a deadlock: \(error)")
            try expect(error.cycle.count == 2, "the cycle is not of two: \(error.message)")
            narrator.result("erin is refused after \(microseconds(since: began)), told of the whole circle:")
            for edge in error.cycle {
                narrator.block("\(edge.label) waits for \(edge.lock) (\(edge.mode.rawValue))")
            }
            try await erin.release("demo/right")
            let grant = try await daves.value
            narrator.result("the others go on: erin gives demo/right back, and dave has it with token \(grant.token)")
            try await dave.close()
            try await erin.close()
            return
        }
        throw DemoFailure("the deadlock was not seen")
    }

    private func crash() async throws {
        narrator.title("kill -9 of the leader, with a lock held")
        guard let leader = try await leader() else { throw DemoFailure("the shard has no leader") }
        let survivors = cluster.nodes.filter { $0.index != leader.index }
        // Clients of the survivors, so that what is measured is the cluster and not a client's search for a node.
        let observer = SynclineClient(endpoints: survivors.map(\.client))
        let frank = try await observer.openSession(label: "frank")
        let grace = try await observer.openSession(label: "grace")
        let held = try await frank.lock("demo/survivor", wait: .none)
        let graces = Task { try await grace.lock("demo/survivor", wait: .forever) }
        try await waitForLine("demo/survivor", length: 1)
        narrator.say("Frank has demo/survivor with token \(held.token), grace waits for it, \(leader.name) leads.")
        narrator.command("kill -9 \(cluster.processID(of: leader) ?? 0)")
        let killed = ContinuousClock.now
        await cluster.kill(leader)
        _ = try await grace.lock("demo/next", wait: .none)
        narrator.result(
            "next grant (of another lock) \(narrator.strong(milliseconds(since: killed))) after the kill"
        )
        let isHeld = try await observer.checkToken(held.token, of: "demo/survivor")
        try expect(isHeld, "the lock held over the crash was lost")
        narrator.result("demo/survivor is still frank's, under the same token \(held.token)")
        try await frank.release("demo/survivor")
        let inherited = try await graces.value
        try expect(inherited.token > held.token, "the token after the crash is not higher")
        narrator.result("frank lets go, and grace, who kept her place in line, has it with token \(inherited.token)")
        let shards = try await ClusterRequests.shards([survivors[0].http])
        let shard = defaultShard(of: shards.count)
        if let row = shards.first(where: { $0.shard == shard }) {
            narrator.result("shard \(shard) is now led by \(row.leader ?? "nobody") in term \(row.term)")
        }
        try await frank.close()
        try await grace.close()
        await observer.close()

        narrator.title("The killed node comes back")
        let restarted = ContinuousClock.now
        try cluster.start(leader)
        try await cluster.waitUntilReady(leader)
        narrator.result(
            "\(leader.name) has read its log, caught up and is ready again after \(milliseconds(since: restarted))"
        )
    }

    func farewell(stays: Bool) {
        narrator.header("\nThat was the tour; everything came out as told.")
        guard stays else { return }
        let endpoints = cluster.endpoints.map(\.description).joined(separator: ",")
        narrator.say("The three nodes stay up until Ctrl-C. Try, in another terminal:\n")
        narrator.block(
            """
            export SYNCLINE_ENDPOINTS=\(endpoints)
            export SYNCLINE_HTTP=\(cluster.nodes[0].http)
            syncline cluster status
            syncline lock backup -- sh -c 'echo token $SYNCLINE_TOKEN; sleep 5'
            syncline locks list
            syncline bench locks
            syncline queue publish orders 'hello' && syncline queue stats orders
            syncline queue consume orders --wait 1s -- sh -c 'echo "$SYNCLINE_MESSAGE_ID: $(cat)"'
            syncline cache set greeting hello && syncline cache get greeting && syncline cache line greeting
            syncline bench cache mix
            redis-cli -p \(port) LOCK.LIST
            curl -s http://\(cluster.nodes[0].http)/v1/cluster
            curl -s http://\(cluster.nodes[0].http)/metrics
            """
        )
    }

    // MARK: Help

    private var port: Int { cluster.nodes[0].clientPort }

    /// Of the shard of the default namespace, now.
    private func leader() async throws -> DemoNode? {
        let shards = try await ClusterRequests.shards([cluster.nodes[0].http])
        let shard = shards.first { $0.shard == defaultShard(of: shards.count) }
        return cluster.nodes.first { $0.name == shard?.leader }
    }

    private func defaultShard(of count: Int) -> Int { Int(Router.shard(for: "default", count: count).rawValue) }

    private func strong(_ token: UInt64) -> String { narrator.strong("\(token)") }

    @discardableResult
    private func waitForLine(_ name: String, length: Int) async throws -> LockInfo {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            if let info = try await client.lockInfo(name), info.waiters.count >= length { return info }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw DemoFailure("nobody waits for \(name)")
    }

    private func expect(_ condition: Bool, _ message: String) throws {
        guard condition else { throw DemoFailure(message) }
    }

    private func milliseconds(since start: ContinuousClock.Instant) -> String {
        "\(Int((start.duration(to: .now).inSeconds * 1_000).rounded())) ms"
    }

    private func microseconds(since start: ContinuousClock.Instant) -> String {
        let seconds = start.duration(to: .now).inSeconds
        return seconds < 0.01 ? "\(Int((seconds * 1e6).rounded())) µs" : milliseconds(since: start)
    }
}
