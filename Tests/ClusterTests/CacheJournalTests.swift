// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension RealProcesses {
    @Suite("The cache's mode local: one disk answers for it", .serialized)
    struct CacheJournals {
        /// Nothing is flushed by itself.
        private static let settings = ["--cache-flush-ms", "600000"]
        private static let keys = 40

        /// Makes the node the keys' owner, and writes more than the log has.
        private func write(_ node: TestNode, _ last: String, keys: Int = keys) throws {
            let owner = try node.connect()
            try eventually("the cache serves") { try owner.command("SET", "l0", "0").text == "OK" }
            for key in 0..<keys {
                for value in ["old", "old", last] {
                    let reply = try owner.command("SET", "l\(key)", value, "DURABILITY", "local")
                    guard reply.text == "OK" else { throw Violation("l\(key): \(reply)") }
                }
            }
            let stats = try owner.command("CACHE.STATS")
            #expect(stats.field("dirty_lines")?.integer == Int64(keys))
            #expect(stats.field("journal_keys")?.integer == Int64(keys))
            #expect(stats.field("journal_records_total")?.integer ?? 0 >= Int64(keys))
        }

        private func expect(_ value: String, on nodes: [TestNode], keys: Range<Int> = 0..<keys) throws {
            for node in nodes {
                let connection = try node.connect()
                for key in keys {
                    try eventually("\(node.name) reads l\(key) as \(value.prefix(8))", within: .seconds(15)) {
                        try connection.command("GET", "l\(key)").text == value
                    }
                }
            }
        }

        private func files(_ node: TestNode) throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: node.dataDirectory + "/journal")
        }

        private func waitUntilEmpty(_ node: TestNode) throws {
            let connection = try node.connect()
            try eventually("\(node.name) keeps no journal", within: .seconds(15)) {
                try connection.command("CACHE.STATS").field("journal_bytes")?.integer == 0
            }
            #expect(try files(node).isEmpty)
        }

        @Test("an owner is killed: others read the older value; it comes back, and all read what it had acknowledged")
        func ownerReturns() throws {
            try withCluster(settings: Self.settings, budget: .seconds(120)) { cluster in
                let owner = cluster.nodes[0]
                try write(owner, "new")
                try owner.kill()
                try expect("old", on: Array(cluster.nodes[1...]))
                try cluster.start(owner)
                try owner.waitUntilReady()
                try expect("new", on: cluster.nodes)
                let stats = try owner.connect().command("CACHE.STATS")
                #expect(stats.field("journal_restored_total")?.integer == Int64(Self.keys))
                #expect(stats.field("journal_superseded_total")?.integer == 0)
                try waitUntilEmpty(owner)
            }
        }

        @Test("with Redis behind the nodes: what an owner had acknowledged by itself reaches Redis when it is back")
        func overRedis() throws {
            let redis = try RedisServer()
            try withCluster(settings: Self.settings + redis.settings, budget: .seconds(120)) { cluster in
                let owner = cluster.nodes[0]
                try write(owner, "new")
                let old = Dictionary(uniqueKeysWithValues: (0..<Self.keys).map { ("l\($0)", "old") })
                try eventually("Redis has what is logged") { try redis.contents() == old }
                try owner.kill()
                try expect("old", on: Array(cluster.nodes[1...]))
                try cluster.start(owner)
                try owner.waitUntilReady()
                try expect("new", on: cluster.nodes)
                try eventually("Redis has it", within: .seconds(15)) {
                    let contents = try redis.contents()
                    return (0..<Self.keys).allSatisfy { contents["l\($0)"] == "new" }
                }
                try waitUntilEmpty(owner)
            }
        }

        @Test("what somebody has written while the owner was down stays")
        func writtenOver() throws {
            try withCluster(settings: Self.settings, budget: .seconds(120)) { cluster in
                let owner = cluster.nodes[2]
                try write(owner, "new")
                try owner.kill()
                let other = try cluster.nodes[0].connect()
                for key in 0..<Self.keys / 2 {
                    try eventually("l\(key) is written over", within: .seconds(15)) {
                        try other.command("SET", "l\(key)", "newer").text == "OK"
                    }
                }
                try eventually("l0 is removed") { try other.command("DEL", "l0").integer == 1 }
                try cluster.start(owner)
                try owner.waitUntilReady()
                try expect("newer", on: cluster.nodes, keys: 1..<Self.keys / 2)
                try expect("new", on: cluster.nodes, keys: Self.keys / 2..<Self.keys)
                for node in cluster.nodes { #expect(try node.connect().command("EXISTS", "l0").integer == 0) }
                let stats = try owner.connect().command("CACHE.STATS")
                #expect(stats.field("journal_restored_total")?.integer == Int64(Self.keys - Self.keys / 2))
                #expect(stats.field("journal_superseded_total")?.integer == Int64(Self.keys / 2))
                try waitUntilEmpty(owner)
            }
        }

        @Test("all nodes are killed at once, and killed again while they put back what they had journalled")
        func allKilled() throws {
            try withCluster(settings: Self.settings, budget: .seconds(120)) { cluster in
                try write(cluster.nodes[1], "new", keys: 10)
                for (number, node) in cluster.nodes.enumerated() {
                    let connection = try node.connect()
                    for count in 1...3 {
                        let reply = try connection.command("SET", "own-\(number)", "\(count)", "DURABILITY", "local")
                        #expect(reply.text == "OK")
                    }
                }
                try cluster.killAll()
                for node in cluster.nodes { try cluster.start(node) }
                try cluster.killAll()
                try cluster.startAll()
                try expect("new", on: cluster.nodes, keys: 0..<10)
                for node in cluster.nodes {
                    let connection = try node.connect()
                    for number in cluster.nodes.indices {
                        #expect(try connection.command("GET", "own-\(number)").text == "3")
                    }
                    try waitUntilEmpty(node)
                }
            }
        }

        @Test("SIGTERM: the log has what was journalled before the process ends, and no journal is left")
        func graceful() throws {
            try withCluster(settings: Self.settings + ["--cache-durability", "local"]) { cluster in
                let owner = cluster.nodes[0]
                let connection = try owner.connect()
                try eventually("the cache serves") { try connection.command("SET", "l0", "0").text == "OK" }
                for key in 0..<Self.keys {
                    for value in ["1", "2", "3"] {
                        #expect(try connection.command("SET", "l\(key)", value).text == "OK")
                    }
                }
                #expect(try !files(owner).isEmpty)
                try owner.stop()
                #expect(try files(owner).isEmpty)
                try expect("3", on: Array(cluster.nodes[1...]))
            }
        }

        @Test(
            "the journal's disk is full: writes are answered when the log has them, until there is room again",
            .enabled(if: Installation.hasLoopMounts, "needs root, mkfs.ext4 and a loop device to make a small disk")
        )
        func fullDisk() throws {
            let disk = try LoopFileSystem(mebibytes: 8)
            try withCluster(settings: Self.settings, budget: .seconds(120)) { cluster in
                let owner = cluster.nodes[0]
                try owner.stop()
                let folder = owner.dataDirectory + "/journal"
                try FileManager.default.removeItem(atPath: folder)
                try FileManager.default.createSymbolicLink(atPath: folder, withDestinationPath: disk.path)
                try cluster.start(owner)
                try owner.waitUntilReady()
                try disk.fill()
                let connection = try owner.connect()
                func set(_ key: Int, _ value: String) throws -> String? {
                    try connection.command("SET", "l\(key)", value, "DURABILITY", "local").text
                }
                func records() throws -> Int64? {
                    try connection.command("CACHE.STATS").field("journal_records_total")?.integer
                }
                try eventually("the cache serves") { try connection.command("SET", "any", "0").text == "OK" }
                // More than the last blocks can take.
                let new = String(repeating: "new", count: 4_000)
                for key in 0..<Self.keys {
                    for value in ["old", "old", new] { #expect(try set(key, value) == "OK") }
                }
                #expect(try records() == 0)
                #expect(try connection.command("CACHE.STATS").field("dirty_lines")?.integer == 0)
                try disk.release()
                try eventually("the journal takes writes again") {
                    guard try set(0, "newer") == "OK" else { throw Violation("a write failed") }
                    return try records() ?? 0 > 0
                }
                try owner.kill()
                try expect(new, on: Array(cluster.nodes[1...]), keys: 1..<Self.keys)
                try cluster.start(owner)
                try owner.waitUntilReady()
                try expect("newer", on: cluster.nodes, keys: 0..<1)
            }
        }

        @Test("the journal is emptied by itself once the log has it, and stays small under writes without end")
        func bounded() throws {
            let settings = ["--cache-flush-ms", "200", "--cache-namespaces", "l=local"]
            try withCluster(settings: settings) { cluster in
                let connection = try cluster.nodes[0].connect()
                let value = String(repeating: "v", count: 100_000)
                try eventually("the cache serves") { try connection.command("SET", "l", value).text == "OK" }
                var largest: Int64 = 0
                for _ in 0..<400 {
                    #expect(try connection.command("SET", "l", value).text == "OK")
                    let stats = try connection.command("CACHE.STATS")
                    largest = max(largest, stats.field("journal_bytes")?.integer ?? 0)
                }
                let stats = try connection.command("CACHE.STATS")
                #expect(stats.field("journal_written_bytes_total")?.integer ?? 0 > 30_000_000)
                #expect(largest > 0 && largest < 24_000_000, "\(largest)")
                try waitUntilEmpty(cluster.nodes[0])
            }
        }
    }
}
