// SPDX-License-Identifier: Apache-2.0
import Testing

extension RealProcesses {
    @Suite(
        "A full disk",
        .serialized,
        .enabled(if: Installation.hasLoopMounts, "needs root, mkfs.ext4 and a loop device to make a small file system")
    )
    struct FullDisk {
        /// Long names fill the log in few requests.
        private static func name(_ number: Int) -> String { "\(number)-" + String(repeating: "x", count: 490) }

        /// Asks for that many locks in pipelines until a reply is an error; returns what was granted, and the errors of
        /// the last pipeline.
        private func take(
            _ count: Int,
            _ client: LockClient,
            session: String
        ) throws -> (granted: [(name: String, token: Int64)], refusals: [String]) {
            var granted: [(name: String, token: Int64)] = []
            var refusals: [String] = []
            for start in stride(from: 0, to: count, by: 100) where refusals.isEmpty {
                let names = (start..<start + 100).map(Self.name)
                for name in names { try client.connection.send(["LOCK.ACQUIRE", name, "SESSION", session]) }
                for name in names {
                    let reply = try client.connection.reply(within: .seconds(20))
                    if let token = reply.integer { granted.append((name, token)) }
                    if let text = reply.errorText { refusals.append(text) }
                }
            }
            return (granted, refusals)
        }

        private func verify(_ granted: [(name: String, token: Int64)], _ client: LockClient) throws {
            for (place, (name, token)) in granted.reversed().enumerated() where place < 100 || place % 20 == 0 {
                guard try client.check(name, token: token) else { throw Violation("lost \(name.prefix(8))") }
            }
        }

        @Test("one node: it refuses and says so, reads and renewals go on, nothing is lost, and it recovers by itself")
        func singleNode() throws {
            let disk = try LoopFileSystem(mebibytes: 64)
            let settings = ["--wal-segment-bytes", "1MiB", "--request-timeout-ms", "1000"]
            try withCluster(nodes: 1, settings: settings, dataRoot: disk.path) { cluster in
                let node = cluster.nodes[0]
                let held = try HeldLocks(node, count: 10, ttlMilliseconds: 120_000)
                let client = try LockClient(node)
                let session = try client.openSession(ttlMilliseconds: 120_000)
                try disk.fill()

                let (granted, refusals) = try take(60_000, client, session: session)
                #expect(!granted.isEmpty)
                let refusal = try #require(refusals.first, "everything was granted on a full disk").lowercased()
                #expect(refusal.contains("space") || refusal.contains("disk"), "\(refusal)")
                #expect(try client.renew(session: session) > 0)
                for (name, token) in held.tokens { #expect(try client.check(name, token: token)) }
                #expect(try node.http("GET", "/livez").status == 200)

                try disk.release()
                let after: Int64 = try eventually("locks are granted again", within: .seconds(20)) {
                    try client.acquire("after", session: session)
                }
                #expect(after > (granted.last?.token ?? 0))

                try node.kill()
                try cluster.startAll()
                try verify(granted, LockClient(node))
                try held.verify(on: [node])
            }
        }

        /// Moves a node's data to the small disk, with the node down meanwhile.
        private func move(_ node: TestNode, to disk: LoopFileSystem, in cluster: TestCluster) throws {
            try node.kill()
            try require(["cp", "-a", node.dataDirectory, disk.path + "/data"])
            node.dataDirectory = disk.path + "/data"
            try cluster.start(node)
            try node.waitUntilReady()
        }

        /// Asked for again and again: another transfer may be under way.
        private func lead(_ node: TestNode, in cluster: TestCluster) throws {
            let body = "{\"target\": \"\(node.name)\"}"
            try eventually("\(node.name) leads", within: .seconds(20)) {
                _ = try cluster.nodes[0].http("POST", "/v1/cluster/transfer", body: body)
                return try cluster.leader() === node
            }
        }

        @Test("a follower without space: the other two go on, and it catches up when it has some")
        func follower() throws {
            let disk = try LoopFileSystem(mebibytes: 48)
            try withCluster(settings: ["--wal-segment-bytes", "1MiB"]) { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 10, ttlMilliseconds: 120_000)
                let victim = try #require(cluster.others(than: cluster.leader()).last)
                let others = cluster.others(than: victim)
                try move(victim, to: disk, in: cluster)
                try disk.fill()
                let client = try LockClient(others[0])
                let session = try client.openSession(ttlMilliseconds: 120_000)
                // More than the segments that were there when the disk was filled can take.
                let refusals = try take(6_000, client, session: session).refusals
                #expect(refusals.isEmpty, "\(refusals.first ?? "")")
                try held.verify(on: others)
                try disk.release()
                if !victim.isRunning { try cluster.start(victim) }
                try victim.waitUntilReady(within: .seconds(40))
                try cluster.waitUntilEqual(within: .seconds(40))
                try held.verify(on: [victim])
            }
        }

        @Test("a leader without space hands over to a node that has some; nothing is lost, and it recovers")
        func leader() throws {
            let disk = try LoopFileSystem(mebibytes: 48)
            try withCluster(settings: ["--wal-segment-bytes", "1MiB"]) { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 10, ttlMilliseconds: 120_000)
                let victim = try cluster.leader()
                let others = cluster.others(than: victim)
                try move(victim, to: disk, in: cluster)
                try lead(victim, in: cluster)
                try disk.fill()
                let client = try LockClient(others[0])
                let session = try client.openSession(ttlMilliseconds: 120_000)
                let (granted, refusals) = try take(6_000, client, session: session)
                for text in refusals { #expect(text.hasPrefix("BUSY"), "\(text)") }
                _ = try eventually("a node with room leads and grants", within: .seconds(30)) {
                    try cluster.leader() !== victim ? try client.acquire("moved", session: session) : nil
                }
                try held.verifyTokens(on: others)
                try disk.release()
                if !victim.isRunning { try cluster.start(victim) }
                for node in cluster.nodes { try node.waitUntilReady(within: .seconds(40)) }
                _ = try eventually("locks are granted again", within: .seconds(20)) {
                    try client.acquire("after", session: session)
                }
                try verify(granted, client)
                try held.verify(on: cluster.nodes)
                try cluster.waitUntilEqual(within: .seconds(40))
            }
        }
    }
}
