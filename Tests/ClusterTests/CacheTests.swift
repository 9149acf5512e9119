// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension RealProcesses {
    @Suite("The cache under faults: no stale read, no lost write", .serialized)
    struct Caches {
        @Test("one key through three nodes: the states of its lines as reads and writes go round")
        func states() throws {
            try withCluster { cluster in
                let connections = try cluster.nodes.map { try $0.connect() }
                func states() throws -> String {
                    let nodes = try connections[0].command("LINE", "k").field("nodes")?.elements ?? []
                    return nodes.compactMap { $0.field("state")?.text }.joined()
                }
                try eventually("the cache serves") { try connections[0].command("SET", "k", "1").text == "OK" }
                #expect(try connections[0].command("GET", "k").text == "1")
                #expect(try states() == "EII")
                #expect(try connections[0].command("SET", "k", "2").text == "OK")
                #expect(try states() == "MII")
                #expect(try connections[1].command("GET", "k").text == "2")
                #expect(try connections[2].command("GET", "k").text == "2")
                #expect(try states() == "SSS")
                #expect(try connections[2].command("INCR", "k").integer == 3)
                #expect(try states() == "III")
                #expect(try connections[2].command("INCR", "k").integer == 4)
                #expect(try states() == "IIM")
                for connection in connections { #expect(try connection.command("GET", "k").text == "4") }
            }
        }

        @Test("what nodes hold agrees while one after the other is killed, paused, or cut off both ways or one")
        func randomFaults() throws {
            let span = Duration.seconds(NodeFault.cacheSeconds)
            let network = try ProxyNetwork(nodes: 3)
            let settings = ["--request-timeout-ms", "1500"]
            try withCluster(network: network, settings: settings, budget: span * 3 + .seconds(120)) { cluster in
                let load = CacheLoad(cluster.nodes)
                try load.progress(by: 200)
                let end = ContinuousClock.now + span
                var random = SystemRandomNumberGenerator()
                var counts: [NodeFault: Int] = [:]
                while ContinuousClock.now < end {
                    let fault = try #require(NodeFault.allCases.randomElement(using: &random))
                    let victim = Int.random(in: 0..<3, using: &random)
                    try fault.inject(victim, cluster, network) { try load.progress(by: 100) }
                    counts[fault, default: 0] += 1
                    try cluster.nodes[victim].waitUntilReady()
                    try load.progress(by: 100)
                }
                let summary = try load.finish()
                try cluster.waitUntilEqual()
                let list = NodeFault.allCases.map { "\(counts[$0] ?? 0) \($0.rawValue)" }.joined(separator: ", ")
                print("random faults: \(list) in \(NodeFault.cacheSeconds) s; \(summary)")
            }
        }

        @Test("the home of every key is cut off from both others: they go on, and it serves nothing old")
        func isolation() throws {
            let network = try ProxyNetwork(nodes: 3)
            try withCluster(network: network, settings: ["--request-timeout-ms", "1500"]) { cluster in
                let load = CacheLoad(cluster.nodes)
                try load.progress(by: 200)
                for number in 0..<cluster.nodes.count {
                    try network.isolate(number)
                    try load.progress(by: 200)
                    try network.heal()
                    try cluster.nodes[number].waitUntilReady()
                    try load.progress(by: 200)
                }
                _ = try load.finish()
                try cluster.waitUntilEqual()
            }
        }

        @Test("all nodes killed at once: what was acknowledged is there afterwards")
        func allKilled() throws {
            try withCluster { cluster in
                let connection = try cluster.nodes[0].connect()
                try eventually("the cache serves") { try connection.command("SET", "k0", "v0").text == "OK" }
                for number in 1..<300 {
                    #expect(try connection.command("SET", "k\(number)", "v\(number)").text == "OK")
                }
                try cluster.killAll()
                try cluster.startAll()
                let reader = try cluster.nodes[2].connect()
                try eventually("the cache serves again") { try reader.command("GET", "k0").text == "v0" }
                for number in 1..<300 { #expect(try reader.command("GET", "k\(number)").text == "v\(number)") }
                #expect(try reader.command("DBSIZE").integer == 300)
            }
        }

        @Test("what is written in mode volatile is seen by all, and is in the log after the flush interval")
        func volatile() throws {
            try withCluster(settings: ["--cache-flush-ms", "200"]) { cluster in
                let owner = try cluster.nodes[0].connect()
                let other = try cluster.nodes[1].connect()
                try eventually("the cache serves") {
                    try owner.command("SET", "v", "0", "DURABILITY", "volatile").text == "OK"
                }
                for number in 1..<200 {
                    #expect(try owner.command("SET", "v", "\(number)", "DURABILITY", "volatile").text == "OK")
                    if number % 50 == 0 { #expect(try other.command("GET", "v").text == "\(number)") }
                }
                try eventually("everything is written back") {
                    try owner.command("CACHE.STATS").field("dirty_lines")?.integer == 0
                }
                try cluster.nodes[0].kill()
                try eventually("the last value has outlived its owner", within: .seconds(15)) {
                    try other.command("GET", "v").text == "199"
                }
            }
        }

        @Test("SIGTERM: what only the node's own lines have is in the log before it exits")
        func gracefulFlush() throws {
            try withCluster(settings: ["--cache-flush-ms", "60000"]) { cluster in
                let owner = try cluster.nodes[0].connect()
                let other = try cluster.nodes[1].connect()
                try eventually("the cache serves") { try owner.command("SET", "v0", "0").text == "OK" }
                for key in 0..<50 {
                    for number in 1...3 {
                        let reply = try owner.command("SET", "v\(key)", "\(number)", "DURABILITY", "volatile")
                        #expect(reply.text == "OK")
                    }
                }
                #expect(try owner.command("CACHE.STATS").field("dirty_lines")?.integer ?? 0 > 0)
                try cluster.nodes[0].stop()
                for key in 0..<50 {
                    try eventually("key \(key) has outlived its owner", within: .seconds(15)) {
                        try other.command("GET", "v\(key)").text == "3"
                    }
                }
            }
        }
    }
}
