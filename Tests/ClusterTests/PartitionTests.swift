// SPDX-License-Identifier: Apache-2.0
import Testing

extension RealProcesses {
    /// Where namespaces are not permitted only the proxies are used; `NetworkKind.permitted` decides.
    @Suite("Partitions", .serialized)
    struct Partitions {
        @Test(
            "the leader cut off both ways: it refuses, the others elect and grant, and it catches up when healed",
            arguments: NetworkKind.permitted
        )
        func isolatedLeader(kind: NetworkKind) throws {
            let network = try kind.make()
            try withCluster(network: network, settings: ["--request-timeout-ms", "1500"]) { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 10)
                let leader = try cluster.leader()
                let others = cluster.others(than: leader)
                let inside = try LockClient(leader)
                let session = try inside.openSession(label: "on the minority side")
                try network.isolate(cluster.number(of: leader))

                // Whatever the old leader says now, it must not be a grant.
                let early = try? inside.acquire("wanted", session: session)
                #expect(early == nil, "granted without a quorum: \(String(describing: early))")
                let next = try cluster.leader(among: others)
                #expect(next !== leader)
                let winner = try onAnyNode(others, "a session opens") { try $0.openSession(label: "majority side") }
                let token = try onAnyNode(others, "the lock is granted on the majority side") { client in
                    try client.acquire("wanted", session: winner, waitMilliseconds: 1_000)
                }
                try held.verify(on: others)
                try eventually("the isolated node says it is not ready") {
                    try leader.http("GET", "/readyz").status == 503
                }
                let refused = #expect(throws: LockClient.Refused.self) {
                    try inside.acquire("wanted", session: session)
                }
                #expect(refused?.text.isEmpty == false)

                try network.heal()
                try leader.waitUntilReady()
                try cluster.waitUntilEqual()
                #expect(try LockClient(leader).check("wanted", token: try #require(token)))
                try held.verify(on: [leader])
            }
        }

        @Test(
            "one way: nobody hears the leader, who hears all; it steps down and another leads",
            arguments: NetworkKind.permitted
        )
        func muteLeader(kind: NetworkKind) throws {
            try leaderReplaced(kind) { network, leader, follower in try network.drop(from: leader, to: follower) }
        }

        @Test(
            "one way: all hear the leader, who hears nobody; it steps down and another leads",
            arguments: NetworkKind.permitted
        )
        func deafLeader(kind: NetworkKind) throws {
            try leaderReplaced(kind) { network, leader, follower in try network.drop(from: follower, to: leader) }
        }

        private func leaderReplaced(
            _ kind: NetworkKind,
            fault: (any FaultNetwork, _ leader: Int, _ follower: Int) throws -> Void
        ) throws {
            let network = try kind.make()
            try withCluster(network: network, settings: ["--request-timeout-ms", "1500"]) { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 10)
                let leader = try cluster.leader()
                let others = cluster.others(than: leader)
                for other in others { try fault(network, cluster.number(of: leader), cluster.number(of: other)) }
                _ = try cluster.leader(among: others)
                try eventually("the old leader has stepped down") {
                    try leader.shards().allSatisfy { $0.role != "leader" }
                }
                let load = LockLoad(others)
                try load.progress(by: 50)
                try held.verify(on: others)
                try network.heal()
                try leader.waitUntilReady()
                try load.finish()
                try cluster.waitUntilEqual()
                try held.verify(on: [leader])
            }
        }

        @Test(
            "the bridge: leader and one follower cut, both joined to the third; leadership settles and stays",
            arguments: NetworkKind.permitted
        )
        func bridge(kind: NetworkKind) throws {
            let network = try kind.make()
            try withCluster(network: network) { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 10)
                let leader = try cluster.leader()
                let far = try #require(cluster.others(than: leader).first)
                try network.cut(cluster.number(of: leader), cluster.number(of: far))
                let load = LockLoad(cluster.others(than: far))
                try load.progress(by: 100)
                let before = try cluster.leader().shards().map(\.term).max() ?? 0
                try throughout("no further elections", .seconds(2)) {
                    try cluster.leader().shards().map(\.term).max() ?? 0 <= before + 1
                }
                try load.progress(by: 100)
                try network.heal()
                for node in cluster.nodes { try node.waitUntilReady() }
                try load.finish()
                try cluster.waitUntilEqual()
                try held.verify(on: cluster.nodes)
            }
        }

        @Test("links that are slow, chop their bytes and break again and again lose nothing")
        func slowLinks() throws {
            let network = try ProxyNetwork(nodes: 3)
            try withCluster(network: network) { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 10)
                let load = LockLoad(cluster.nodes, workers: 3)
                try network.slow(milliseconds: 0...4, maxChunkBytes: 7)
                try load.progress(by: 30)
                for _ in 0..<5 {
                    try network.resetConnections()
                    try load.progress(by: 5)
                }
                try network.heal()
                try load.finish()
                try cluster.waitUntilEqual()
                try held.verify(on: cluster.nodes)
            }
        }
    }
}
