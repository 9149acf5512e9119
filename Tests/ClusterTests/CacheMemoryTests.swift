// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension RealProcesses {
    @Suite("The cache over Redis: written back, refilled, and nothing acknowledged lost", .serialized)
    struct CacheMemories {
        @Test("values, expiries and removals reach Redis, and so does FLUSHALL")
        func writtenBack() throws {
            let redis = try RedisServer()
            try withCluster(settings: redis.settings) { cluster in
                let client = try cluster.nodes[0].connect()
                try eventually("the cache serves") { try client.command("SET", "k0", "v0").text == "OK" }
                var expected = ["k0": "v0"]
                for number in 1..<200 {
                    let connection = number % 2 == 0 ? client : try cluster.nodes[1].connect()
                    #expect(try connection.command("SET", "k\(number)", "v\(number)").text == "OK")
                    expected["k\(number)"] = "v\(number)"
                }
                #expect(try client.command("SET", "brief", "b", "PX", "600000").text == "OK")
                #expect(try client.command("APPEND", "k7", "+").integer == 3)
                #expect(try client.command("DEL", "k8").integer == 1)
                (expected["k7"], expected["brief"], expected["k8"]) = ("v7+", "b", nil)
                try eventually("Redis has all of it") { try redis.contents() == expected }
                let name = try #require(try redis.name(of: "brief"))
                let left = try redis.command("PTTL", name).integer ?? 0
                #expect(left > 500_000 && left <= 600_000, "\(left)")
                #expect(try client.command("DBSIZE").integer == 200)
                #expect(try client.command("FLUSHALL").text == "OK")
                #expect(try client.command("GET", "k1") == .null)
                #expect(try client.command("SET", "k2", "new").text == "OK")
                try eventually("Redis is emptied too") { try redis.contents() == ["k2": "new"] }
                #expect(try client.command("DBSIZE").integer == 1)
                #expect(try cluster.nodes[2].connect().command("GET", "k3") == .null)
            }
        }

        @Test("what the nodes have let go of is read from Redis, counted and scanned, and changed as if it were here")
        func refilled() throws {
            let redis = try RedisServer()
            let small = ["--cache-store-bytes", "1MiB", "--cache-dirty-bytes", "1MiB", "--cache-bytes", "1MiB"]
            try withCluster(settings: redis.settings + small, budget: .seconds(120)) { cluster in
                let client = try cluster.nodes[0].connect()
                let other = try cluster.nodes[2].connect()
                let padding = String(repeating: "x", count: 2_000)
                func set(_ words: [String]) throws {
                    // The bound of what may wait is small too.
                    try eventually("\(words[1]) is taken") {
                        let reply = try client.command(words)
                        guard reply.errorCode != "BUSY" else { return false }
                        if reply.text != "OK" { throw TestFailure("\(reply)") }
                        return true
                    }
                }
                for number in 0..<1_500 { try set(["SET", "k\(number)", "\(number)-\(padding)"]) }
                for number in 0..<50 { try set(["SET", "n\(number)", "\(number)"]) }
                try set(["SET", "brief", "b", "PX", "2000"])
                for number in 0..<600 { try set(["SET", "filler\(number)", padding]) }
                try eventually("everything is written back") {
                    try cluster.nodes.allSatisfy {
                        try $0.connect().command("CACHE.STATS").field("memory_dirty_keys")?.integer == 0
                    }
                }
                for number in 0..<50 {
                    #expect(try other.command("INCR", "n\(number)").integer == Int64(number) + 1)
                    #expect(try client.command("GET", "n\(number)").text == "\(number + 1)")
                }
                for number in stride(from: 0, to: 1_500, by: 7) {
                    #expect(try other.command("GET", "k\(number)").text == "\(number)-\(padding)")
                }
                #expect(try other.command("APPEND", "k1", "!").integer == Int64(padding.utf8.count) + 3)
                #expect(try other.command("DEL", "k2").integer == 1)
                #expect(try client.command("GET", "k2") == .null)
                try eventually("most of it was read from Redis") {
                    try cluster.nodes.reduce(0) {
                        try $0 + ($1.connect().command("CACHE.STATS").field("memory_fetches_total")?.integer ?? 0)
                    } > 100
                }
                try eventually("what has expired in Redis is gone") { try other.command("GET", "brief") == .null }
                #expect(try client.command("DBSIZE").integer == 1_500 + 50 + 600 - 1)
                #expect(try Self.scan(client) == 1_500 + 50 + 600 - 1)
                #expect(try client.command("FLUSHALL").text == "OK")
                #expect(try other.command("GET", "k3") == .null)
                #expect(try other.command("DBSIZE").integer == 0)
                try eventually("Redis is empty") { try redis.contents().isEmpty }
            }
        }

        private static func scan(_ client: RESPConnection) throws -> Int {
            var keys: Set<String> = []
            var cursor = "0"
            repeat {
                let reply = try client.command("SCAN", cursor, "COUNT", "500")
                guard let parts = reply.elements, parts.count == 2, let next = parts[0].text else {
                    throw TestFailure("\(reply)")
                }
                keys.formUnion(parts[1].elements?.compactMap(\.text) ?? [])
                cursor = next
            } while cursor != "0"
            return keys.count
        }

        @Test("what another program has put into Redis before is found at the first read")
        func foreign() throws {
            let redis = try RedisServer()
            try withCluster(settings: redis.settings + ["--cluster-id", "00112233445566778899aabbccddeeff"]) {
                cluster in
                let client = try cluster.nodes[0].connect()
                var shard: String?
                try eventually("the cache serves") {
                    shard = try client.command("LINE", "theirs").field("shard")?.text
                    return try client.command("SET", "ours", "o").text == "OK" && shard != nil
                }
                let name = "syncline:0011223344556677:{\(try #require(shard))}:k:theirs"
                try redis.command("SET", name, String(repeating: "0", count: 24) + "41")
                #expect(try client.command("GET", "theirs").text == "41")
                #expect(try cluster.nodes[1].connect().command("INCR", "theirs").integer == 42)
                try eventually("it is written back") { try redis.contents() == ["ours": "o", "theirs": "42"] }
            }
        }

        @Test("a key that expires is gone from the nodes and from Redis")
        func expiry() throws {
            let redis = try RedisServer()
            try withCluster(settings: redis.settings) { cluster in
                let client = try cluster.nodes[0].connect()
                try eventually("the cache serves") { try client.command("SET", "k", "v", "PX", "1500").text == "OK" }
                try eventually("Redis has it") { try redis.contents() == ["k": "v"] }
                try eventually("it is gone") { try client.command("GET", "k") == .null }
                try eventually("from Redis too") { try redis.contents().isEmpty }
                #expect(try client.command("DBSIZE").integer == 0)
            }
        }

        @Test("nodes that disagree on the memory do not start together")
        func disagreement() throws {
            let redis = try RedisServer()
            try withCluster(settings: redis.settings) { cluster in
                let victim = cluster.nodes[1]
                let settings = victim.settings
                try victim.kill()
                victim.settings = []
                try cluster.start(victim)
                try eventually("it ends") { !victim.isRunning }
                #expect(victim.log.contains("memory redis"), "\(victim.log.suffix(800))")
                victim.settings = settings
                try cluster.start(victim)
                try victim.waitUntilReady()
            }
        }
    }
}
