// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import ClientTestSupport
import Synchronization
import Testing

@testable import SynclineClient
@testable import SynclineCommands

@Suite("syncline cache: arguments and wire forms", .timeLimit(.minutes(1)))
struct CacheCommandTests {
    typealias Answer = LoopbackServer.Answer
    typealias Status = SynclineCommands.ExitStatus

    /// Runs a command line against a canned node; what was sent, and the error it ended with.
    private func run(
        _ arguments: [String],
        answer: @escaping @Sendable ([String]) -> Answer
    ) async throws -> (sent: [String], error: (any Error)?) {
        let server = try await LoopbackServer.start { words, _ in answer(words) }
        let line = ["cache"] + arguments + ["--endpoint", "127.0.0.1:\(server.port)"]
        var failure: (any Error)?
        do {
            var command = try #require(try SynclineTool.parseAsRoot(line) as? any AsyncParsableCommand)
            try await command.run()
        } catch {
            failure = error
        }
        await server.stop()
        return (server.received.map { $0.joined(separator: " ") }, failure)
    }

    private static let line =
        "%4\r\n+shard\r\n:3\r\n+home\r\n+x\r\n+epoch\r\n:7\r\n+nodes\r\n"
        + "*1\r\n%5\r\n+node\r\n+x\r\n+reachable\r\n:1\r\n+state\r\n+M\r\n+version\r\n+9\r\n+lease_ms\r\n:5\r\n"

    private static func answer(_ words: [String]) -> Answer {
        switch words[0] {
        case "GET": .bulk("x")
        case "SET", "FLUSHALL": .ok
        case "SCAN": .bytes("*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n")
        case "LINE": .bytes(line)
        case "CACHE.STATS":
            .bytes("%3\r\n+hits_total\r\n:3\r\n+lines\r\n%1\r\n+M\r\n:2\r\n+transitions\r\n%1\r\n+IM\r\n:4\r\n")
        default: .integer(1)
        }
    }

    @Test(
        "each command, as it goes over the wire",
        arguments: [
            (["get", "k"], ["GET k"]), (["set", "k", "v"], ["SET k v"]),
            (
                ["set", "k", "v", "--ttl", "30s", "--if-absent", "--durability", "volatile"],
                ["SET k v NX PX 30000 DURABILITY volatile"]
            ),
            (["set", "k", "v", "--keep-ttl", "--if-present"], ["SET k v XX KEEPTTL"]),
            (["set", "k", "v", "--if-equals", "o"], ["SET k v IFEQ o"]),
            (["set", "k", "v", "--if-version", "9.2"], ["SET k v IFVERSION 9.2"]),
            (
                ["set", "k", "v", "--lock", "l", "--token", "7", "--namespace", "n"],
                ["SET k v LOCK l TOKEN 7 NAMESPACE n"]
            ),
            (["del", "a", "b"], ["DEL a", "DEL b"]), (["incr", "n"], ["INCRBY n 1"]),
            (["incr", "n", "--by", "-5"], ["INCRBY n -5"]), (["line", "k"], ["LINE k"]), (["stats"], ["CACHE.STATS"]),
            (["flush"], ["CACHE.FLUSH"]), (["flush", "--all"], ["CACHE.FLUSH ALL"]),
            (["scan", "--match", "a*"], ["SCAN 0 COUNT 1000 MATCH a*"]),
        ]
    )
    func wire(arguments: [String], expected: [String]) async throws {
        for format in ["json", "table"] {
            let (sent, error) = try await run(arguments + ["--output", format], answer: Self.answer)
            #expect(sent == expected && error == nil, "\(String(describing: error))")
        }
    }

    @Test("no such key, a condition that does not hold, and a stale token have statuses of their own")
    func statuses() async throws {
        #expect(try await run(["get", "k"]) { _ in .null }.error as? Status == .noKey)
        #expect(try await run(["set", "k", "v", "--if-absent"]) { _ in .null }.error as? Status == .noKey)
        let fenced = try await run(["set", "k", "v", "--lock", "l", "--token", "1"]) { _ in .error("FENCED too old") }
        #expect(fenced.error as? Status == .failure)
        #expect(try await run(["incr", "k"]) { _ in .error("ERR no integer") }.error as? Status == .usage)
    }

    @Test("figures of several nodes stand side by side, each asked by itself")
    func statsOfNodes() async throws {
        let first = try await LoopbackServer.start { words, _ in Self.answer(words) }
        let second = try await LoopbackServer.start { words, _ in Self.answer(words) }
        let endpoints = [first, second].flatMap { ["--endpoint", "127.0.0.1:\($0.port)"] }
        var command = try #require(
            try SynclineTool.parseAsRoot(["cache", "stats"] + endpoints) as? any AsyncParsableCommand
        )
        try await command.run()
        #expect(first.received == [["CACHE.STATS"]] && second.received == [["CACHE.STATS"]])
        await first.stop()
        await second.stop()
    }

    @Test("a node that does not answer hides no other one's figures; that none does is an error")
    func statsWithoutOne() async throws {
        func stats(_ ports: [Int], _ format: String) async throws -> (any Error)? {
            let endpoints = ports.flatMap { ["--endpoint", "127.0.0.1:\($0)"] }
            let line = ["cache", "stats", "--output", format] + endpoints
            var command = try #require(try SynclineTool.parseAsRoot(line) as? any AsyncParsableCommand)
            do {
                try await command.run()
                return nil
            } catch { return error }
        }
        let gone = try await LoopbackServer.start { _, _ in .close }
        await gone.stop()
        for format in ["table", "json"] {
            let server = try await LoopbackServer.start { words, _ in Self.answer(words) }
            #expect(try await stats([gone.port, server.port, gone.port], format) == nil)
            #expect(server.received == [["CACHE.STATS"]])
            await server.stop()
        }
        #expect(try await stats([gone.port, gone.port], "table") as? Status == .unreachable)
    }

    @Test("keys that cannot be removed do not keep the others from it, and the status tells")
    func removals() async throws {
        let (sent, error) = try await run(["del", "a", "b", "c", "d"]) { words in
            switch words[1] {
            case "b": .error("UNKNOWN no answer in time")
            case "c": .error("OOM no room")
            default: .integer(1)
            }
        }
        #expect(sent == ["DEL a", "DEL b", "DEL c", "DEL d"] && error as? Status == .failure)
        let report = CacheRemovalReport(removed: 2, unknown: ["b"], notDone: ["c"])
        #expect(report.text(of: 4) == "removed 2 of 4\nperhaps removed: b\nnot done: c")
        let (flushed, failure) = try await run(["flush", "--all"]) { _ in .error("PARTLYDONE no answer from n2") }
        #expect(flushed == ["CACHE.FLUSH ALL"] && failure as? Status == .failure)
    }

    @Test("a scan lists a key once, however often it comes, and stops at its limit")
    func scan() async throws {
        let (sent, error) = try await run(["scan", "--limit", "3"]) { words in
            .bytes(
                "*2\r\n$1\r\n\(words[1] == "5" ? 9 : 5)\r\n*2\r\n$1\r\na\r\n$1\r\n\(words[1] == "0" ? "b" : "c")\r\n"
            )
        }
        #expect(error == nil && sent == ["SCAN 0 COUNT 1000", "SCAN 5 COUNT 1000"])
    }

    @Test("the tables, as people see them")
    func tables() {
        let line = CacheLine(
            shard: 3,
            home: "b",
            epoch: 7,
            nodes: [
                .init(node: "a", state: .shared, version: "9.2", leaseMilliseconds: 5, isReachable: true),
                .init(node: "b", state: .invalid, version: nil, leaseMilliseconds: nil, isReachable: false),
            ]
        )
        #expect(
            CacheTable.show(line, key: "k", style: Style(isOn: false)) == """
                k: shard 3, home b, term 7
                NODE  STATE  VERSION  LEASE  
                a     S      9.2      5 ms   
                b     ?      -        -      home
                """
        )
        let stats = CacheStats(
            figures: ["hits_total": 3, "misses_total": 1, "dirty_age_ms": 9, "new_total": 2],
            lines: ["M": 2],
            transitions: ["IM": 4]
        )
        let table = CacheTable.show([(Endpoint(host: "h", port: 1), stats)], style: Style(isOn: false))
        #expect(
            table == """
                CACHE           h:1
                hit ratio       75.0 %
                lines M         2
                lines E         0
                lines S         0
                hits            3
                misses          1
                dirty age (ms)  9
                new             2
                I to M          4
                """
        )
    }

    @Test(
        "what is refused before anything is sent",
        arguments: [
            ["get"], ["set", "k"], ["set", "k", "v", "--if-absent", "--if-present"], ["del"],
            ["set", "k", "v", "--ttl", "0s"], ["set", "k", "v", "--ttl", "forever"],
            ["set", "k", "v", "--ttl", "1s", "--keep-ttl"], ["set", "k", "v", "--durability", "none"],
            ["set", "k", "v", "--lock", "l"], ["set", "k", "v", "--namespace", "n"], ["incr", "k", "--by", "x"],
            ["scan", "--limit", "0"],
        ]
    )
    func wrong(arguments: [String]) {
        #expect(throws: (any Error).self) { try SynclineTool.parseAsRoot(["cache"] + arguments) }
    }
}
