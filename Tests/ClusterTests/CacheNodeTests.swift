// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization
import Testing

extension RealProcesses {
    @Suite("What a node says of its lines, writes back and lets go of", .serialized)
    struct CacheNodes {
        /// Has the node own the key's line and write it without the log.
        private func dirty(_ connection: RESPConnection, _ key: String) throws {
            for number in 0..<3 {
                try eventually("\(key) is written") {
                    try connection.command("SET", key, "\(number)", "DURABILITY", "volatile").text == "OK"
                }
            }
        }

        private func figure(_ connection: RESPConnection, _ name: String) throws -> Int64 {
            try #require(try connection.command("CACHE.STATS").field(name)?.integer)
        }

        @Test("a read that the node's own line answers is a hit, whichever command asks")
        func hits() throws {
            try withCluster { cluster in
                let connection = try cluster.nodes[0].connect()
                try eventually("the cache serves") { try connection.command("SET", "k", "1").text == "OK" }
                #expect(try connection.command("MGET", "k", "none").elements?.first?.text == "1")
                let (hits, misses) = (try figure(connection, "hits_total"), try figure(connection, "misses_total"))
                #expect(misses >= 2)
                #expect(try connection.command("MGET", "k", "none", "k").elements?.count == 3)
                #expect(try connection.command("EXISTS", "k", "none").integer == 1)
                #expect(try connection.command("TTL", "k").integer == -1)
                #expect(try connection.command("STRLEN", "k").integer == 1)
                #expect(try figure(connection, "hits_total") == hits + 7)
                #expect(try figure(connection, "misses_total") == misses)
                #expect(try connection.command("EXISTS", "other").integer == 0)
                #expect(try figure(connection, "misses_total") == misses + 1)
            }
        }

        @Test("CACHE.FLUSH ends although others never stop writing, and what was written before it is in the log")
        func flushUnderWrites() throws {
            try withCluster(settings: ["--cache-flush-ms", "60000"]) { cluster in
                let connection = try cluster.nodes[0].connect()
                for number in 0..<20 { try dirty(connection, "k\(number)") }
                let writer = try VolatileWriter(cluster.nodes[0])
                try eventually("the writer has dirty lines") { try figure(connection, "dirty_lines") > 25 }
                let began = ContinuousClock.now
                for number in 0..<20 {
                    let reply = try connection.command("SET", "k\(number)", "last", "DURABILITY", "volatile")
                    #expect(reply.text == "OK")
                }
                let reply = try connection.command("CACHE.FLUSH")
                #expect(reply.integer ?? 0 >= 20, "\(reply)")
                // The node's own limit is five seconds.
                #expect(began.duration(to: .now) < .seconds(4))
                try writer.stop()
                try cluster.nodes[0].kill()
                let other = try cluster.nodes[1].connect()
                for number in 0..<20 {
                    try eventually("k\(number) has outlived its owner") {
                        try other.command("GET", "k\(number)").text == "last"
                    }
                }
            }
        }

        @Test("CACHE.FLUSH ALL writes back the lines of every node, and names a node that does not answer")
        func flushAll() throws {
            let settings = ["--cache-flush-ms", "60000", "--request-timeout-ms", "2000"]
            try withCluster(settings: settings) { cluster in
                let connections = try cluster.nodes.map { try $0.connect() }
                for (number, connection) in connections.enumerated() {
                    for key in 0..<5 { try dirty(connection, "n\(number)-\(key)") }
                    #expect(try figure(connection, "dirty_lines") == 5)
                }
                #expect(try connections[1].command("CACHE.FLUSH", "ALL").integer == 15)
                for connection in connections { #expect(try figure(connection, "dirty_lines") == 0) }
                #expect(try connections[1].command("CACHE.FLUSH", "ALL").integer == 0)

                cluster.nodes[2].pause()
                let reply = try connections[0].command("CACHE.FLUSH", "ALL")
                #expect(reply.errorCode == "PARTLYDONE", "\(reply)")
                #expect(reply.errorText?.contains("no answer in time from n2") == true, "\(reply)")
                cluster.nodes[2].resume()
                try cluster.nodes[2].waitUntilReady()
                try eventually("all answer again") {
                    try cluster.nodes[0].http(
                        "POST",
                        "/v1/cache/flush",
                        body: "{\"all\": true}",
                        headers: ["Content-Type": "application/json"]
                    ).status == 200
                }
            }
        }

        @Test("CACHE.EVICT waits for a write of the key that is under way")
        func evictDuringWrite() throws {
            // Nobody is to be elected because of the pause.
            let settings = ["--election-min-ms", "3000", "--election-max-ms", "4000"]
            try withCluster(settings: settings) { cluster in
                let connections = try cluster.nodes.map { try $0.connect() }
                try eventually("the cache serves") { try connections[0].command("SET", "k", "1").text == "OK" }
                let name = try connections[0].command("LINE", "k").field("home")?.text
                let home = try cluster.node(try #require(name))
                let owner = cluster.others(than: home)[0]
                let (writer, other) = (try owner.connect(), try owner.connect())
                for _ in 0..<2 { #expect(try writer.command("SET", "k", "2").text == "OK") }
                let writes = try figure(other, "writes_total")
                home.pause()
                try writer.send(["SET", "k", "3"])
                try eventually("the write is under way") { try figure(other, "writes_total") > writes }
                try other.send(["CACHE.EVICT", "k"])
                try throughout("the home sleeps, so neither is answered", .milliseconds(200)) {
                    !other.hasInput && !writer.hasInput
                }
                home.resume()
                #expect(try writer.reply().text == "OK")
                #expect(try other.reply().integer == 1)
                #expect(try other.command("CACHE.EVICT", "k").integer == 0)
                #expect(try other.command("GET", "k").text == "3")
            }
        }

        @Test("CLIENT TRACKING with NOLOOP tells of every other client's change, and of none of one's own")
        func noLoop() throws {
            try withCluster { cluster in
                let (client, other) = (try cluster.nodes[0].connect(), try cluster.nodes[1].connect())
                try eventually("the cache serves") { try other.command("SET", "k", "0").text == "OK" }
                #expect(try client.command("HELLO", "3").field("proto")?.integer == 3)
                #expect(try client.command("CLIENT", "TRACKING", "ON", "NOLOOP").text == "OK")
                #expect(try client.command("GET", "k").text == "0")
                let changed = RESPReply.push([.bulk("invalidate"), .array([.bulk("k")])])
                // When the home of any shard moves, a node can vouch for nothing; that round and the one after it are
                // not judged.
                let everything = RESPReply.push([.bulk("invalidate"), .null])
                var (judged, isCalm) = (0, true)
                for round in 0..<100 where judged < 10 {
                    // Own changes: through the home, in the own line, and of an own line.
                    for mode in ["replicated", "volatile", "volatile"] {
                        #expect(try client.command("SET", "k", "own \(round)", "DURABILITY", mode).text == "OK")
                    }
                    #expect(try client.command("PING").text == "PONG")
                    var own: [RESPReply] = []
                    repeat {
                        while !client.pushes.isEmpty { own.append(try client.push()) }
                        #expect(try client.command("GET", "k").text == "own \(round)")
                    } while !client.pushes.isEmpty
                    #expect(try other.command("SET", "k", "other \(round)").text == "OK")
                    var told = [try client.push()]
                    #expect(try client.command("GET", "k").text == "other \(round)")
                    while !client.pushes.isEmpty { told.append(try client.push()) }
                    let wasCalm = isCalm
                    isCalm = !(own + told).contains(everything)
                    guard isCalm, wasCalm else { continue }
                    #expect(own.isEmpty && told == [changed], "round \(round): \(own), \(told)")
                    judged += 1
                }
                #expect(judged == 10)
            }
        }
    }
}

/// A client that writes without the log as fast as it is answered, until it is told to stop.
private final class VolatileWriter: Sendable {
    private let isRunning = Atomic(true)
    private let hasEnded = Atomic(false)
    private let failure = Mutex<String?>(nil)

    init(_ node: TestNode) throws {
        let (host, port) = (node.host, node.clientPort)
        Thread.detachNewThread { [self] in
            do {
                let connection = try RESPConnection(host: host, port: port)
                var number = 0
                while isRunning.load(ordering: .sequentiallyConsistent) {
                    number += 1
                    let reply = try connection.command("SET", "w\(number % 50)", "\(number)", "DURABILITY", "volatile")
                    if reply.text != "OK" { throw TestFailure("\(reply)") }
                }
            } catch { failure.withLock { $0 = "\(error)" } }
            hasEnded.store(true, ordering: .sequentiallyConsistent)
        }
    }

    func stop() throws {
        isRunning.store(false, ordering: .sequentiallyConsistent)
        try eventually("the writer ends") { hasEnded.load(ordering: .sequentiallyConsistent) }
        if let failure = failure.withLock({ $0 }) { throw TestFailure("the writer: \(failure)") }
    }
}
