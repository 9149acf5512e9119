// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import ClientTestSupport
import FoundationEssentials
import Synchronization
import SynclineClient
import Testing

@testable import SynclineCommands

#if canImport(Glibc)
    import Glibc
#endif

@Suite("syncline queue: arguments and wire forms", .timeLimit(.minutes(1)))
struct QueueCommandTests {
    typealias Answer = LoopbackServer.Answer
    typealias Status = SynclineCommands.ExitStatus

    /// Runs a command line against a canned node; what was sent, and the error it ended with.
    private func run(
        _ arguments: String...,
        answer: @escaping @Sendable ([String]) -> Answer = { _ in .ok }
    ) async throws -> (sent: [String], error: (any Error)?) {
        let server = try await LoopbackServer.start { words, _ in answer(words) }
        let line = ["queue"] + arguments + ["--endpoint", "127.0.0.1:\(server.port)"]
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

    @Test(
        "each command, as it goes over the wire",
        arguments: [
            (["ack", "orders", "r1", "r2"], "QUEUE.ACK orders r1 r2"),
            (["nack", "orders", "r1", "--delay", "5s", "--reason", "no"], "QUEUE.NACK orders r1 DELAY 5000 REASON no"),
            (["return", "orders", "r1"], "QUEUE.RETURN orders r1"),
            (["reject", "orders", "r1", "--reason", "bad"], "QUEUE.REJECT orders r1 REASON bad"),
            (["extend", "orders", "r1", "--lease", "1m"], "QUEUE.EXTEND orders r1 LEASE 60000"),
            (["purge", "orders"], "QUEUE.PURGE orders"), (["delete", "orders"], "QUEUE.DELETE orders"),
            (["cancel", "orders", "7-0"], "QUEUE.CANCEL orders 7-0"),
            (
                ["redrive", "orders", "--count", "5", "--rate", "2", "--to", "x", "--cause", "rejected"],
                "QUEUE.REDRIVE orders COUNT 5 RATE 2 TO x CAUSE REJECTED"
            ),
            (["redrive", "orders", "--stop"], "QUEUE.REDRIVECANCEL orders"),
            (["pause", "orders", "publish"], "QUEUE.PAUSE orders PUBLISH"),
            (["resume", "orders", "consume"], "QUEUE.RESUME orders CONSUME"),
            (
                ["declare", "orders", "--lanes", "4", "--lease", "5s", "--overflow", "drop-oldest", "--dedup", "0s"],
                "QUEUE.DECLARE orders LANES 4 LEASE 5000 OVERFLOW DROPOLDEST DEDUP 0"
            ),
            (
                ["update", "orders", "--max-attempts", "3", "--dead-letter", "{orders}.dead", "--max-length", "9"],
                "QUEUE.UPDATE orders MAXATTEMPTS 3 DEADLETTER {orders}.dead MAXLEN 9"
            ),
        ]
    )
    func wire(arguments: [String], expected: String) async throws {
        let server = try await LoopbackServer.start { words, _ in
            words[0].hasPrefix("QUEUE.REDRIVE") ? .bytes("%2\r\n+moved\r\n:1\r\n+left\r\n:2\r\n") : .integer(1)
        }
        let line = ["queue"] + arguments + ["--endpoint", "127.0.0.1:\(server.port)", "--output", "json"]
        var command = try #require(try SynclineTool.parseAsRoot(line) as? any AsyncParsableCommand)
        try await command.run()
        #expect(server.received.map { $0.joined(separator: " ") } == [expected])
        await server.stop()
    }

    @Test("publish: one, several, refused, and what happened to those before")
    func publish() async throws {
        let one = try await run("publish", "orders", "hi", "--key", "k", "--header", "a=b=c", "--priority", "3") { _ in
            .bulk("7-0")
        }
        #expect(one.error == nil)
        #expect(one.sent[0].hasPrefix("QUEUE.PUBLISH orders hi KEY k PRIORITY 3 HEADER a b=c PRODUCER "))
        let guarded = try await run("publish", "orders", "a", "b", "--lock", "l", "--token", "9") { words in
            words[2] == "b" ? .error("FENCED the lock's token is out of date") : .bulk("7-0")
        }
        #expect(guarded.sent.count == 2 && guarded.sent[0].contains("LOCK l TOKEN 9 PRODUCER"))
        #expect(guarded.error as? Status == .failure)
    }

    @Test("receive: prints, acknowledges when asked, and says by its status that there was nothing")
    func receive() async throws {
        let message = "*1\r\n%4\r\n+id\r\n+7-0\r\n+receipt\r\n+r1\r\n+body\r\n+hi\r\n+attempts\r\n:1\r\n"
        let some = try await run("receive", "orders", "--ack", "--lease", "5s", "--count", "2") { words in
            words[0] == "QUEUE.RECEIVE" ? .bytes(message) : .integer(1)
        }
        #expect(some.error == nil && some.sent == ["QUEUE.RECEIVE orders COUNT 2 LEASE 5000", "QUEUE.ACK orders r1"])
        let none = try await run("receive", "orders") { _ in .bytes("*0\r\n") }
        #expect(none.error as? Status == .noMessage)
        let unknown = try await run("stats", "nothing") { _ in .null }
        #expect(unknown.error as? Status == .failure)
        let inFlight = try await run("cancel", "orders", "7-0") { _ in .error("INFLIGHT a consumer has it") }
        #expect(inFlight.error as? Status == .failure)
    }

    @Test(
        "what is refused before anything is sent",
        arguments: [
            ["publish", "orders"], ["publish", "orders", "a", "--lines"], ["publish", "orders", "-", "a"],
            ["publish", "orders", "a", "--delay", "forever"], ["publish", "orders", "a", "--delay", "-1s"],
            ["publish", "orders", "a", "--priority", "10"], ["publish", "orders", "a", "--lock", "l"],
            ["publish", "orders", "a", "b", "--id", "x"], ["publish", "orders", "a", "--header", "nothing"],
            ["publish", "orders", "a", "--delay", "1s", "--at", "5"], ["receive", "orders", "--count", "0"],
            ["peek", "orders", "--state", "lost"], ["pause", "orders", "everything"], ["ack", "orders"],
            ["consume", "orders"], ["consume", "orders", "--parallel", "0", "--", "true"],
            ["consume", "orders", "--max", "0", "--", "true"], ["list", "--limit", "0"],
        ]
    )
    func wrong(arguments: [String]) {
        #expect(throws: (any Error).self) { try SynclineTool.parseAsRoot(["queue"] + arguments) }
    }

    @Test("standard input: one message as it is, or one per line, without what ends it")
    func input() throws {
        func reader(_ text: String) -> StandardInput {
            var ends: [Int32] = [0, 0]
            pipe(&ends)
            _ = text.utf8.withContiguousStorageIfAvailable { write(ends[1], $0.baseAddress, $0.count) }
            close(ends[1])
            return StandardInput(descriptor: ends[0])
        }
        func texts(_ lines: [[UInt8]]) -> [String] { lines.map { String(decoding: $0, as: UTF8.self) } }
        #expect(reader("a\n\u{0}b\r\n").all() == Array("a\n\u{0}b\r\n".utf8))
        let lines = reader("one\r\n\ntwo\nthree")
        #expect(texts(lines.lines(upTo: 2)) == ["one", "two"])
        #expect(texts(lines.lines(upTo: 2)) == ["three"])
        #expect(lines.lines(upTo: 2).isEmpty)
    }

    @Test("the tables: binary bodies in hexadecimal digits, long ones cut, why a message died")
    func tables() {
        #expect(QueueTable.body([0x1b, 0x0a]) == "0x1b0a")
        #expect(QueueTable.body(Array(String(repeating: "x", count: 100).utf8)).count == QueueTable.width)
        var stats = QueueStats(name: "orders")
        stats.ready = 5
        stats.isConsumePaused = true
        stats.oldestReadyMilliseconds = 1_500
        stats.maxLength = 0
        let shown = QueueTable.show(stats)
        for part in ["orders", "1.5s", "consume", "none"] { #expect(shown.contains(part)) }
        #expect(QueueTable.list([stats]).contains("orders"))
    }
}

@Suite("The demo's books")
struct DemoLedgerTests {
    @Test("lost, duplicates with and without a reason, phantoms, unknown outcomes")
    func counts() {
        var books = DemoLedger()
        for message in ["a", "b", "c"] { books.confirmed(message) }
        books.uncertain("d")
        books.delivered("a", cause: nil)
        books.acked("a")
        books.delivered("b", cause: nil)
        books.delivered("b", cause: "lease_expired")
        #expect(!books.isDrained)
        books.acked("b")
        books.delivered("d", cause: "not_resumed")
        #expect(books.confirmed == 3 && books.uncertain == 1 && books.received == 3 && books.deliveries == 4)
        #expect(books.lost == 1 && books.duplicates == 1 && books.unexplained == 0 && books.phantoms == 0)
        #expect(books.causeText == "1 lease_expired")
        books.delivered("c", cause: nil)
        books.acked("c")
        #expect(books.lost == 0 && books.isDrained)
        // After a confirmed ack no reason is good enough, and neither is none at all.
        books.delivered("a", cause: "lease_expired")
        books.delivered("d", cause: nil)
        books.delivered("e", cause: nil)
        #expect(books.unexplained == 2 && books.duplicates == 3 && books.phantoms == 1)
    }
}
