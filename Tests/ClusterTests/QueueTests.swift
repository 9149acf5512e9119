// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension RealProcesses {
    @Suite("Queues under faults: nothing confirmed is lost, nothing acked comes back", .serialized)
    struct Queues {
        /// Small, so that bodies leave the log while the test runs.
        private static let settings = ["--snapshot-log-bytes", "64KiB", "--wal-segment-bytes", "1MiB"]

        /// How long the random kills go on; `make kill-run` asks for ten minutes.
        private static var killSeconds: Int {
            ProcessInfo.processInfo.environment["SYNCLINE_KILL_SECONDS"].flatMap(Int.init) ?? 12
        }

        @Test("kill -9 of one node after the other at random, producers and consumers at work")
        func randomKills() throws {
            let span = Duration.seconds(Self.killSeconds)
            try withCluster(settings: Self.settings, budget: span * 2 + .seconds(90)) { cluster in
                let load = try QueueLoad(cluster.nodes)
                try load.progress(by: 100)
                let end = ContinuousClock.now + span
                var random = SystemRandomNumberGenerator()
                var kills = 0
                while ContinuousClock.now < end {
                    let victim = try #require(cluster.nodes.randomElement(using: &random))
                    try victim.kill()
                    kills += 1
                    try load.progress(by: 30)
                    try cluster.start(victim)
                    try victim.waitUntilReady()
                    // About one kill in five seconds when it is run for long.
                    if Self.killSeconds > 60 { try throughout("the nodes stay up", .seconds(4)) { victim.isRunning } }
                }
                try load.finish()
                try cluster.waitUntilEqual()
                print("random kills: \(kills) in \(Self.killSeconds) s; \(load.referee.summary); lost 0")
            }
        }

        @Test("kill -9 of all nodes at once")
        func allKilled() throws {
            try withCluster(settings: Self.settings) { cluster in
                let load = try QueueLoad(cluster.nodes)
                try load.progress(by: 200)
                try cluster.killAll()
                try cluster.startAll()
                try load.progress(by: 100)
                try load.finish()
                try cluster.waitUntilEqual()
            }
        }

        @Test("a node that was down while thousands of messages came gets a snapshot with their bodies, and leads")
        func snapshotShipsBodies() throws {
            try withCluster(settings: Self.settings) { cluster in
                let queue = "shipped"
                let connection = try cluster.nodes[0].connect()
                _ = try connection.command("QUEUE.DECLARE", queue)
                let victim = cluster.nodes[2]
                try victim.kill()
                let bodies = (0..<3_000).map { "body-\($0)-" + String(repeating: "x", count: 100) }
                for start in stride(from: 0, to: bodies.count, by: 100) {
                    let reply = try connection.command(["QUEUE.PUBLISHMANY", queue] + bodies[start..<start + 100])
                    #expect(reply.elements?.count == 100, "\(reply)")
                }
                try cluster.start(victim)
                try victim.waitUntilReady()
                try cluster.waitUntilEqual()
                // Only the node that got the snapshot, and one other, are left to serve.
                try eventually("the one that caught up leads", within: .seconds(20)) {
                    for node in cluster.nodes {
                        _ = try node.http("POST", "/v1/cluster/transfer", body: "{\"target\": \"\(victim.name)\"}")
                    }
                    return try victim.shards().allSatisfy { $0.role == "leader" }
                }
                let reader = try victim.connect()
                var found: [String] = []
                while found.count < bodies.count {
                    let reply = try reader.command("QUEUE.RECEIVE", queue, "COUNT", "500")
                    let messages = try #require(reply.elements, "\(reply)")
                    guard !messages.isEmpty else { break }
                    found += messages.compactMap { $0.field("body")?.text }
                    let receipts = messages.compactMap { $0.field("receipt")?.text }
                    #expect(try reader.command(["QUEUE.ACK", queue] + receipts).integer == Int64(receipts.count))
                }
                #expect(found == bodies)
            }
        }

        @Test("answers of megabytes come once and whole, however fast or slowly they are read")
        func largeAnswers() throws {
            try withCluster(nodes: 1) { cluster in
                let writer = try cluster.nodes[0].connect()
                let bodies = (0..<24).map { "\($0)-" + String(repeating: "x", count: 100_000 + $0) }
                for body in bodies {
                    #expect(try writer.command("QUEUE.PUBLISH", "large", body).errorText == nil)
                }
                let reader = try cluster.nodes[0].connect()
                // Pipelined, and not read until all are sent.
                for _ in 0..<12 { try reader.send(["QUEUE.RECEIVE", "large", "COUNT", "2"]) }
                try reader.send(["PING"])
                var found: [String] = []
                for _ in 0..<12 {
                    let reply = try reader.reply()
                    found += try #require(reply.elements, "\(reply)").compactMap { $0.field("body")?.text }
                }
                #expect(found == bodies)
                #expect(try reader.reply().text == "PONG")
            }
        }

        @Test("a consumer session that dies gives its messages back at once; one that resumes keeps them")
        func consumerSessions() throws {
            try withCluster { cluster in
                let first = try cluster.nodes[0].connect()
                _ = try first.command("QUEUE.PUBLISHMANY", "jobs", "a", "b")
                let open = ["QUEUE.CONSUMER", "OPEN", "jobs", "worker", "TTL", "1000"]
                #expect(try first.command(open).errorText == nil)
                let reply = try first.command("QUEUE.RECEIVE", "jobs", "COUNT", "2", "CONSUMER", "worker")
                let receipts = try #require(reply.elements).compactMap { $0.field("receipt")?.text }
                #expect(receipts.count == 2)
                let resumed = try first.command("QUEUE.CONSUMER", "RESUME", "jobs", "worker", receipts[0])
                #expect(resumed.errorText == nil, "\(resumed)")
                // The second was not shown: it is back already.
                let other = try cluster.nodes[1].connect()
                let back = try other.command("QUEUE.RECEIVE", "jobs", "COUNT", "2")
                #expect(back.elements?.compactMap { $0.field("body")?.text } == ["b"])
                // The session is not renewed, and the first comes back too.
                let late = try other.command("QUEUE.RECEIVE", "jobs", "COUNT", "2", "WAIT", "8000")
                #expect(late.elements?.compactMap { $0.field("body")?.text } == ["a"])
                let stale = try first.command("QUEUE.ACK", "jobs", receipts[0])
                #expect(stale.errorCode == "STALE", "\(stale)")
            }
        }
    }
}
