// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization
import Testing

extension RealProcesses {
    @Suite("Redis slow, dead, full, read-only, emptied: the cache goes on", .serialized)
    struct CacheMemoryFaults {
        private static let count = 120

        /// Waits until the cache serves.
        private func serve(_ cluster: TestCluster) throws -> RESPConnection {
            let client = try cluster.nodes[0].connect()
            try eventually("the cache serves") { try client.command("SET", "first", "1").text == "OK" }
            return client
        }

        /// Writes that must all be acknowledged. - Returns: what should stand in Redis of them in the end.
        private func write(_ prefix: String, _ client: RESPConnection) throws -> [String: String] {
            var expected: [String: String] = [:]
            for number in 0..<Self.count {
                let (key, value) = ("\(prefix)\(number)", "\(prefix)-\(number)")
                let reply = try client.command("SET", key, value)
                guard reply.text == "OK" else { throw Violation("\(key): \(reply)") }
                expected[key] = value
            }
            return expected
        }

        private func has(_ redis: RedisServer, _ expected: [String: String]) throws -> Bool {
            let found = try redis.contents()
            return expected.allSatisfy { found[$0.key] == $0.value }
        }

        private func statistic(_ name: String, _ cluster: TestCluster) throws -> Int64 {
            try cluster.nodes.filter(\.isRunning).reduce(0) {
                try $0 + ($1.connect().command("CACHE.STATS").field(name)?.integer ?? 0)
            }
        }

        @Test("Redis stands still: writes go on; homes are killed with what Redis lacks, and it gets there")
        func killedWithDirtyData() throws {
            let redis = try RedisServer()
            try withCluster(settings: redis.settings, budget: .seconds(120)) { cluster in
                let client = try serve(cluster)
                redis.pause()
                let first = try write("a", client)
                try eventually("what waits is told") { try statistic("memory_dirty_keys", cluster) > 0 }
                try cluster.nodes[2].kill()
                let second = try eventually("writes go on without the node", within: .seconds(20)) {
                    try? write("b", client)
                }
                redis.resume()
                let expected = first.merging(second) { $1 }
                try eventually("Redis has all of it", within: .seconds(30)) { try has(redis, expected) }
                for (key, value) in expected { #expect(try client.command("GET", key).text == value) }
            }
        }

        @Test("Redis is dead, then all nodes are: what was acknowledged reaches it when all are back")
        func allKilled() throws {
            let redis = try RedisServer.durable()
            try withCluster(settings: redis.settings, budget: .seconds(120)) { cluster in
                let client = try serve(cluster)
                let before = try write("a", client)
                try eventually("Redis has it") { try has(redis, before) }
                try redis.kill()
                let during = try write("b", client)
                try cluster.killAll()
                try cluster.startAll()
                let reader = try cluster.nodes[1].connect()
                try eventually("the nodes have it") { try reader.command("GET", "b7").text == "b-7" }
                try redis.start()
                let expected = before.merging(during) { $1 }
                try eventually("Redis has all of it", within: .seconds(30)) { try has(redis, expected) }
                for (key, value) in expected { #expect(try reader.command("GET", key).text == value) }
            }
        }

        @Test("while Redis is dead, a key that only it may have is an error, never absent")
        func unreachable() throws {
            let redis = try RedisServer.durable()
            try withCluster(settings: redis.settings) { cluster in
                let client = try serve(cluster)
                #expect(try client.command("SET", "held", "h").text == "OK")
                try redis.kill()
                try eventually("the failure is told", within: .seconds(10)) {
                    try client.command("GET", "unknown").errorCode == "BACKENDDOWN"
                }
                try throughout("it is not called absent", .milliseconds(700)) {
                    try client.command("GET", "unknown").errorCode == "BACKENDDOWN"
                }
                #expect(try client.command("INCR", "unknown").errorCode == "BACKENDDOWN")
                #expect(try client.command("GET", "held").text == "h")
                #expect(try client.command("SET", "unknown", "5").text == "OK")
                #expect(try client.command("INCR", "unknown").integer == 6)
                try redis.start()
                try eventually("absent again") { try client.command("GET", "other") == .null }
                try eventually("Redis has it") { try has(redis, ["unknown": "6", "held": "h"]) }
            }
        }

        @Test("a Redis that is emptied gets back what the nodes hold")
        func emptied() throws {
            let redis = try RedisServer()
            try withCluster(settings: redis.settings, budget: .seconds(120)) { cluster in
                let client = try serve(cluster)
                let expected = try write("a", client)
                try eventually("Redis has it") { try has(redis, expected) }
                try redis.command("FLUSHALL")
                for (key, value) in expected { #expect(try client.command("GET", key).text == value) }
                try eventually("it has it again", within: .seconds(20)) { try has(redis, expected) }
                // Without anything on a disk: the same.
                try redis.kill()
                try redis.start()
                try eventually("and again", within: .seconds(20)) { try has(redis, expected) }
                let reader = try cluster.nodes[1].connect()
                for (key, value) in expected { #expect(try reader.command("GET", key).text == value) }
            }
        }

        @Test("a Redis that is read-only: writes wait for it, reads go on")
        func readOnly() throws {
            let redis = try RedisServer("--replica-read-only", "yes")
            try withCluster(settings: redis.settings) { cluster in
                let client = try serve(cluster)
                try eventually("Redis has it") { try has(redis, ["first": "1"]) }
                // Of a primary that nobody ever hears of, so that the data stay.
                #expect(try redis.command("REPLICAOF", "127.0.0.1", "1").text == "OK")
                let expected = try write("a", client)
                try eventually("refusals are counted") { try statistic("memory_write_failures_total", cluster) > 0 }
                for (key, value) in expected { #expect(try client.command("GET", key).text == value) }
                #expect(try redis.command("REPLICAOF", "NO", "ONE").text == "OK")
                try eventually("Redis has all of it", within: .seconds(20)) { try has(redis, expected) }
            }
        }

        @Test("a Redis that is full: values wait, removals get through, and all goes on when there is room")
        func full() throws {
            let redis = try RedisServer()
            try withCluster(settings: redis.settings) { cluster in
                let client = try serve(cluster)
                try eventually("Redis has it") { try has(redis, ["first": "1"]) }
                try redis.command("CONFIG", "SET", "maxmemory", "1")
                let expected = try write("a", client)
                try eventually("keys are in quarantine", within: .seconds(20)) {
                    try statistic("memory_quarantined_keys", cluster) == Int64(Self.count)
                }
                #expect(try client.command("DEL", "first").integer == 1)
                try eventually("the removal gets through") { try redis.name(of: "first") == nil }
                for (key, value) in expected { #expect(try client.command("GET", key).text == value) }
                try redis.command("CONFIG", "SET", "maxmemory", "0")
                try eventually("Redis has all of it", within: .seconds(20)) { try has(redis, expected) }
                try eventually("nothing is in quarantine") {
                    try statistic("memory_quarantined_keys", cluster) == 0
                }
            }
        }

        @Test("above the bound of what may wait, writes are refused as busy, and taken again afterwards")
        func dirtyBound() throws {
            let redis = try RedisServer()
            let settings = redis.settings + ["--cache-dirty-bytes", "1MiB", "--shards", "2"]
            try withCluster(settings: settings) { cluster in
                let client = try serve(cluster)
                redis.pause()
                let value = String(repeating: "y", count: 20_000)
                var expected: [String: String] = [:]
                var refused: RESPReply?
                for number in 0..<200 where refused == nil {
                    let reply = try client.command("SET", "k\(number)", value)
                    if reply.text == "OK" { expected["k\(number)"] = value } else { refused = reply }
                }
                #expect(refused?.errorCode == "BUSY", "\(String(describing: refused))")
                #expect(expected.count > 10)
                redis.resume()
                try eventually("writes are taken again", within: .seconds(20)) {
                    try client.command("SET", "after", value).text == "OK"
                }
                expected["after"] = value
                try eventually("Redis has all that was acknowledged", within: .seconds(20)) { try has(redis, expected) }
            }
        }

        @Test("in mode through a write is answered when Redis has it, or is unknown")
        func through() throws {
            let redis = try RedisServer()
            try withCluster(settings: redis.settings + ["--request-timeout-ms", "1500"]) { cluster in
                let client = try serve(cluster)
                for number in 0..<50 {
                    let connection = try cluster.nodes[number % 3].connect()
                    let reply = try connection.command("SET", "t\(number)", "\(number)", "DURABILITY", "through")
                    #expect(reply.text == "OK")
                    let name = try #require(try redis.name(of: "t\(number)"))
                    #expect(try redis.command("GET", name).text?.dropFirst(24) == "\(number)")
                }
                redis.pause()
                let late = try client.command("SET", "late", "1", "DURABILITY", "through")
                #expect(late.errorCode == "UNKNOWN", "\(late)")
                #expect(try client.command("GET", "late").text == "1")
                #expect(try client.command("SET", "soon", "1").text == "OK")
                redis.resume()
                try eventually("Redis has both") { try has(redis, ["late": "1", "soon": "1"]) }
                #expect(try client.command("SET", "late", "2", "DURABILITY", "through").text == "OK")
            }
        }

        @Test("no stale read and no lost write while nodes and Redis fall in every way, and the nodes keep little")
        func randomFaults() throws {
            let span = Duration.seconds(NodeFault.cacheSeconds)
            let redis = try RedisServer.durable()
            let network = try ProxyNetwork(nodes: 3)
            var settings = redis.settings + ["--cache-store-bytes", "1MiB", "--cache-dirty-bytes", "1MiB"]
            settings += ["--request-timeout-ms", "1500"]
            try withCluster(network: network, settings: settings, budget: span * 3 + .seconds(120)) { cluster in
                let load = CacheLoad(cluster.nodes)
                let filler = try Filler(cluster.nodes)
                defer { filler.stop() }
                try load.progress(by: 200)
                let end = ContinuousClock.now + span
                var random = SystemRandomNumberGenerator()
                var faults: [String: Int] = [:]
                while ContinuousClock.now < end {
                    let victim = Int.random(in: 0..<3, using: &random)
                    // Half of them befall Redis.
                    if Bool.random(using: &random) {
                        let fault = try #require(NodeFault.allCases.randomElement(using: &random))
                        try fault.inject(victim, cluster, network) { try load.progress(by: 100) }
                        faults[fault.rawValue, default: 0] += 1
                    } else if Bool.random(using: &random) {
                        try redis.kill()
                        try load.progress(by: 20)
                        try redis.start()
                        faults["Redis killed", default: 0] += 1
                    } else {
                        redis.pause()
                        try load.progress(by: 20)
                        redis.resume()
                        faults["Redis paused", default: 0] += 1
                    }
                    try cluster.nodes[victim].waitUntilReady()
                    try load.progress(by: 100)
                }
                try eventually("some were read from Redis") { try statistic("memory_fetches_total", cluster) > 0 }
                let summary = try load.finish()
                filler.stop()
                try cluster.waitUntilEqual()
                print("random faults over Redis: \(faults.sorted { $0.key < $1.key }); \(summary)")
            }
        }
    }
}

/// Writes of other keys that make the nodes let go of what Redis has.
private final class Filler: Sendable {
    private let isRunning = Flag()

    init(_ nodes: [TestNode]) throws {
        let endpoints = nodes.map { ($0.host, $0.clientPort) }
        let isRunning = isRunning
        Thread.detachNewThread {
            let value = String(repeating: "z", count: 4_000)
            var number = 0
            var connection: RESPConnection?
            while isRunning.isOn {
                number += 1
                let (host, port) = endpoints[number / 100 % endpoints.count]
                if number % 100 == 0 { connection = nil }
                if connection == nil { connection = try? RESPConnection(host: host, port: port, within: .seconds(1)) }
                let reply = try? connection?.command("SET", "filler\(number % 2_000)", value, within: .seconds(2))
                if reply?.text != "OK" { connection = nil }
            }
        }
    }

    func stop() { isRunning.lower() }
}

private final class Flag: Sendable {
    private let value = Atomic(true)

    var isOn: Bool { value.load(ordering: .sequentiallyConsistent) }

    func lower() { value.store(false, ordering: .sequentiallyConsistent) }
}
