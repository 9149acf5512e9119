// SPDX-License-Identifier: Apache-2.0
import ClientTestSupport
import Synchronization
import Testing

@testable import SynclineClient

@Suite("The cache against canned nodes", .timeLimit(.minutes(1)))
struct CacheTests {
    typealias Answer = LoopbackServer.Answer

    /// Runs `body` against one canned node and returns what it was sent.
    @discardableResult
    private func sent(
        timeout: Duration = .seconds(20),
        _ answer: @escaping @Sendable ([String]) -> Answer,
        _ body: (Cache) async throws -> Void
    ) async throws -> [[String]] {
        let server = try await LoopbackServer.start { words, _ in answer(words) }
        var configuration = SynclineClient.Configuration()
        configuration.requestTimeout = timeout
        let client = SynclineClient(
            endpoints: [Endpoint(host: "127.0.0.1", port: server.port)],
            configuration: configuration
        )
        try await body(client.cache)
        await client.close()
        await server.stop()
        return server.received
    }

    @Test("values that are there, that are not, and several at once")
    func reads() async throws {
        let words = try await sent { words in
            switch words[0] {
            case "GET": words[1] == "a" ? .bulk("x") : .null
            case "MGET": .bytes("*3\r\n$1\r\nx\r\n_\r\n$0\r\n\r\n")
            case "EXISTS": .integer(1)
            default: .integer(words[1] == "gone" ? -2 : words[1] == "ever" ? -1 : 1_500)
            }
        } _: { cache async throws in
            #expect(try await cache.get("a") == [0x78])
            #expect(try await cache.get([UInt8](arrayLiteral: 0x62)) == nil)
            #expect(try await cache.text("a") == "x")
            #expect(try await cache.get(["a", "b", "c"]) == [[0x78], nil, []])
            #expect(try await cache.get([String]()) == [])
            #expect(try await cache.exists("a"))
            #expect(try await cache.timeToLive("gone") == .absent)
            #expect(try await cache.timeToLive("ever") == .forever)
            #expect(try await cache.timeToLive("a") == .left(.milliseconds(1_500)))
        }
        #expect(words[0] == ["GET", "a"] && words[1] == ["GET", "b"] && words[3] == ["MGET", "a", "b", "c"])
    }

    @Test("a set with everything, as it goes over the wire")
    func set() async throws {
        let words = try await sent { words in
            words[1] == "taken" ? .null : .ok
        } _: { cache async throws in
            try await cache.set("a", "v")
            try await cache.set("a", [UInt8](arrayLiteral: 0x76), ttl: .milliseconds(1_500))
            var options = Cache.SetOptions()
            options.ttl = .seconds(2)
            options.condition = .version("12.3")
            options.durability = .volatile
            options.lock = LockGrant(name: "l", mode: .exclusive, token: 5, session: "pay/s")
            #expect(try await cache.set("a", "v", options))
            var kept = Cache.SetOptions()
            kept.keepsTTL = true
            kept.condition = .present
            kept.lock = LockGrant(name: "l", mode: .exclusive, token: 5, session: "s")
            #expect(try await cache.set("taken", "v", kept) == false)
            #expect(try await cache.compareAndSet("a", from: "old", to: "new"))
            #expect(try await cache.compareAndSet("a", from: String?.none, to: "new"))
        }
        #expect(
            words == [
                ["SET", "a", "v"], ["SET", "a", "v", "PX", "1500"],
                [
                    "SET", "a", "v", "IFVERSION", "12.3", "PX", "2000", "DURABILITY", "volatile", "LOCK", "l", "TOKEN",
                    "5", "NAMESPACE", "pay",
                ],
                ["SET", "taken", "v", "XX", "KEEPTTL", "LOCK", "l", "TOKEN", "5"],
                ["SET", "a", "new", "IFEQ", "old"], ["SET", "a", "new", "NX"],
            ]
        )
    }

    @Test("other changes, and what they answer")
    func changes() async throws {
        let words = try await sent { words in
            switch words[0] {
            case "INCRBY": .integer(-7)
            case "FLUSHALL": .ok
            default: .integer(words[1] == "a" ? 1 : 0)
            }
        } _: { cache async throws in
            #expect(try await cache.delete("a"))
            #expect(try await cache.delete("b") == false)
            #expect(try await cache.increment("n", by: -8) == -7)
            #expect(try await cache.expire("a", after: .seconds(1)))
            #expect(try await cache.persist("b") == false)
            try await cache.removeAll()
        }
        #expect(
            words == [
                ["DEL", "a"], ["DEL", "b"], ["INCRBY", "n", "-8"], ["PEXPIRE", "a", "1000"], ["PERSIST", "b"],
                ["FLUSHALL"],
            ]
        )
    }

    @Test("keys, lines and figures")
    func node() async throws {
        let node =
            "%5\r\n$4\r\nnode\r\n$1\r\nx\r\n$9\r\nreachable\r\n:1\r\n$5\r\nstate\r\n$1\r\nM\r\n"
            + "$7\r\nversion\r\n$3\r\n9.2\r\n$8\r\nlease_ms\r\n:700\r\n"
        let gone =
            "%5\r\n$4\r\nnode\r\n$1\r\ny\r\n$9\r\nreachable\r\n:0\r\n$5\r\nstate\r\n$1\r\nI\r\n"
            + "$7\r\nversion\r\n_\r\n$8\r\nlease_ms\r\n_\r\n"
        let line =
            "%4\r\n$5\r\nshard\r\n:3\r\n$4\r\nhome\r\n$1\r\nx\r\n$5\r\nepoch\r\n:7\r\n"
            + "$5\r\nnodes\r\n*2\r\n\(node)\(gone)"
        let stats =
            "%4\r\n$10\r\nhits_total\r\n:3\r\n$12\r\nmisses_total\r\n:1\r\n"
            + "$5\r\nlines\r\n%1\r\n$1\r\nM\r\n:2\r\n$11\r\ntransitions\r\n%1\r\n$2\r\nIM\r\n:4\r\n"
        let words = try await sent { words in
            switch words[0] {
            case "SCAN": .bytes("*2\r\n$20\r\n\(UInt64.max)\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n")
            case "LINE": .bytes(line)
            case "CACHE.STATS": .bytes(stats)
            default: .integer(words[0] == "CACHE.EVICT" ? 1 : 5)
            }
        } _: { cache async throws in
            let page = try await cache.keys(matching: "k*", cursor: .max - 1, limit: 2)
            #expect(page.keys == [[0x61], [0x62]] && page.cursor == .max)
            #expect(try await cache.count() == 5)
            let line = try await cache.line("k")
            #expect(line.shard == 3 && line.home == "x" && line.epoch == 7)
            #expect(
                line.nodes.map(\.state) == [.modified, .invalid] && line.nodes.map(\.isReachable) == [true, false]
            )
            #expect(line.nodes.map(\.version) == ["9.2", nil] && line.nodes.map(\.leaseMilliseconds) == [700, nil])
            let stats = try await cache.stats()
            #expect(stats.hits == 3 && stats.misses == 1 && stats.hitRatio == 0.75)
            #expect(stats.lines == ["M": 2] && stats.transitions == ["IM": 4])
            #expect(try await cache.flush() == 5)
            #expect(try await cache.flush(everywhere: true) == 5)
            #expect(try await cache.evict("k"))
        }
        #expect(words.first == ["SCAN", "18446744073709551614", "COUNT", "2", "MATCH", "k*"])
        #expect(words.suffix(3) == [["CACHE.FLUSH"], ["CACHE.FLUSH", "ALL"], ["CACHE.EVICT", "k"]])
    }

    @Test("a read whose answer is lost is sent again")
    func readAgain() async throws {
        let breaks = Mutex(2)
        let words = try await sent { _ in
            breaks.withLock { left in
                left -= 1
                return left >= 0 ? .close : .bulk("x")
            }
        } _: { cache async throws in
            #expect(try await cache.text("a") == "x")
        }
        #expect(words == Array(repeating: ["GET", "a"], count: 3))
    }

    @Test("a change whose answer is lost is not sent again, and its outcome stays unknown")
    func changeOnce() async throws {
        let words = try await sent { _ in
            .close
        } _: { cache async throws in
            let changes: [() async throws -> Void] = [
                { try await cache.set("a", "v") }, { _ = try await cache.delete("a") },
                { try await cache.increment("a") }, { try await cache.expire("a", after: .seconds(1)) },
                { try await cache.persist("a") }, { try await cache.removeAll() },
                { _ = try await cache.compareAndSet("a", from: "x", to: "y") },
            ]
            for change in changes {
                let error = await #expect(throws: SynclineError.self) { try await change() }
                #expect(error?.outcome == .unknown, "\(String(describing: error))")
            }
        }
        #expect(words.count == 7)
    }

    @Test(
        "what became of a change: answers of a node",
        arguments: [
            ("FENCED the lock's token is out of date", SynclineError.Code.fenced, SynclineError.Outcome.notDone, 1),
            ("UNKNOWN no answer from the home; the outcome is unknown", .unknownOutcome, .unknown, 1),
            ("OOM command not allowed", .outOfMemory, .notDone, 1),
            // Nobody knows for how long: to try again is the caller's to decide.
            ("BACKENDDOWN the memory cannot be reached", .memoryDown, .notDone, 1),
            ("ERR value is not an integer", .invalid, .notDone, 1),
        ]
    )
    func refusals(text: String, code: SynclineError.Code, outcome: SynclineError.Outcome, sendings: Int) async throws {
        let words = try await sent { _ in
            .error(text)
        } _: { cache async throws in
            let error = await #expect(throws: SynclineError.self) { try await cache.set("a", "v") }
            #expect(error?.code == code && error?.outcome == outcome)
        }
        #expect(words.count == sendings)
    }

    @Test(
        "a change that was certainly not done is sent again",
        arguments: ["BUSY too much to do", "UNAVAILABLE no home"]
    )
    func changeAgain(text: String) async throws {
        let isFirst = Mutex(true)
        let words = try await sent { _ in
            isFirst.withLock { first in
                defer { first = false }
                return first ? .error(text) : .ok
            }
        } _: { cache async throws in
            try await cache.set("a", "v")
        }
        #expect(words.count == 2)
    }

    @Test("answers of another shape are a violation of the protocol, never a trap")
    func shapes() async throws {
        try await sent { _ in
            .bytes("*1\r\n:1\r\n")
        } _: { cache async throws in
            let reads: [() async throws -> Void] = [
                { _ = try await cache.get("a") }, { _ = try await cache.line("a") }, { _ = try await cache.stats() },
                { _ = try await cache.keys() }, { try await cache.increment("a") }, { _ = try await cache.count() },
                { _ = try await cache.get(["a", "b"]) }, { _ = try await cache.timeToLive("a") },
            ]
            for read in reads {
                let error = await #expect(throws: SynclineError.self) { try await read() }
                #expect(error?.code == .protocolViolation)
            }
        }
    }
}
