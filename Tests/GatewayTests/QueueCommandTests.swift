// SPDX-License-Identifier: Apache-2.0
import NIOCore
import NIOEmbedded
import Primitives
import QueueCore
import RESP
import Replica
import Synchronization
import Testing

@testable import Gateway

@Suite("RESP commands of queues")
struct QueueCommandTests {
    private func receive(_ talk: QueueTalk, _ words: String...) throws -> [RESPValue] {
        try talk.ask((["QUEUE.RECEIVE", "q"] + words).map { Array($0.utf8) }).elements ?? []
    }

    private func receipt(_ talk: QueueTalk) throws -> String {
        try #require(try receive(talk).first?["receipt"]?.string)
    }

    @Test("a message published with every option comes back as it was", arguments: [2, 3])
    func roundTrip(version: Int) throws {
        let talk = try QueueTalk(protocol: version)
        let body: [UInt8] = [0, 0xff, 0xfe, 0x0d, 0x0a, 0]
        let words: [[UInt8]] =
            ["QUEUE.PUBLISH", "q"].map { Array($0.utf8) } + [body]
            + ["KEY", "k", "PRIORITY", "7", "HEADER", "h"].map { Array($0.utf8) } + [[0xc3, 0]]
            + ["header", "h2", "", "TTL", "60000", "TENANT", "t", "ID", "d1"].map { Array($0.utf8) }
        let id = try #require(try talk.ask(words).string)
        #expect(MessageID(id) != nil)
        #expect(try talk.ask(words).string == id)
        let messages = try receive(talk, "COUNT", "5", "LEASE", "9000")
        #expect(messages.count == 1)
        let message = try #require(messages.first)
        if version == 3 {
            guard case .map(let pairs) = message else { return #expect(Bool(false)) }
            #expect(
                pairs.compactMap(\.key.string) == [
                    "id", "receipt", "body", "attempts", "key", "published", "headers", "priority", "lease_ms", "cause",
                ]
            )
        } else {
            #expect(message.elements?.count == 20)
        }
        #expect(message["id"]?.string == id)
        #expect(message["body"] == .bulk(ByteBuffer(bytes: body)))
        #expect(message["attempts"] == .integer(1) && message["priority"] == .integer(7))
        #expect(message["key"]?.string == "k" && message["lease_ms"] == .integer(9_000))
        #expect(message["cause"]?.string == "none")
        #expect(message["headers"]?["h"] == .bulk(ByteBuffer(bytes: [0xc3, 0])))
        #expect(message["headers"]?["h2"] == .bulk(ByteBuffer()))
        #expect(try receive(talk).isEmpty)
    }

    @Test("receipts are settled once; stale, foreign and forged ones are errors that say which")
    func settling() throws {
        let talk = try QueueTalk()
        for body in ["a", "b", "c", "d", "e"] { _ = try talk.ask("QUEUE.PUBLISH", "q", body) }
        let first = try receipt(talk)
        #expect(try talk.ask("QUEUE.EXTEND", "q", first, "LEASE", "5000") == .integer(1))
        #expect(try talk.ask("QUEUE.ACK", "q", first) == .integer(1))
        #expect(try talk.ask("QUEUE.ACK", "q", first) == .integer(0))
        let second = try receipt(talk)
        #expect(try talk.ask("QUEUE.RETURN", "q", second) == .integer(1))
        let again = try #require(try receive(talk).first)
        #expect(again["attempts"] == .integer(1) && again["cause"]?.string == "returned")
        let third = try #require(again["receipt"]?.string)
        let stale = try talk.ask("QUEUE.ACK", "q", second)
        let ended = "the delivery has ended: its lease ran out, or it was settled or given back"
        #expect(stale == .error("STALE \(ended); nothing was done"))
        #expect(try talk.ask("QUEUE.NACK", "q", third, "DELAY", "0", "REASON", "no luck") == .integer(1))
        let failed = try #require(try receive(talk).first)
        #expect(failed["attempts"] == .integer(2) && failed["cause"]?.string == "nacked")
        _ = try talk.ask("QUEUE.DECLARE", "other")
        let foreign = try talk.ask("QUEUE.ACK", "other", try #require(failed["receipt"]?.string))
        #expect(foreign == .error("STALE the receipt is of another queue; nothing was done"))
        let forged = String(third.dropLast()) + "f"
        let never = "no delivery ever had the receipt"
        #expect(try talk.ask("QUEUE.ACK", "q", forged) == .error("STALE \(never); nothing was done"))

        let rest = try receive(talk, "COUNT", "9").compactMap { $0["receipt"]?.string }
        #expect(rest.count == 3)
        let mixed = try talk.ask((["QUEUE.ACK", "q", rest[0], second, rest[1], forged]).map { Array($0.utf8) })
        #expect(
            mixed
                == .error(
                    "STALE 2 of 4: 1 × \(ended); 1 × \(never); the other 2 were carried out"
                )
        )
        #expect(try talk.ask("QUEUE.REJECT", "q", rest[2], rest[0], "REASON", "bad") == .integer(1))
        let dead = try #require(try talk.ask("QUEUE.PEEK", "q", "STATE", "DEAD").elements?.first)
        #expect(dead["dead_letter"]?["reason"]?.string == "bad")
        #expect(dead["dead_letter"]?["cause"]?.string == "rejected")
        #expect(dead["body"]?.string == "e")
        #expect(talk.observer.counts.withLock { Set($0.finished) } == [.queue])
        #expect(talk.observer.counts.withLock { $0.errors } == ["STALE", "STALE", "STALE", "STALE"])
    }

    @Test("queues are declared, changed, paused, looked at and deleted")
    func administration() throws {
        let talk = try QueueTalk(protocol: 3)
        let ok = RESPValue.simple("OK")
        #expect(
            try talk.ask(
                "QUEUE.DECLARE",
                "q",
                "LANES",
                "2",
                "LEASE",
                "5000",
                "MAXATTEMPTS",
                "3",
                "DEADLETTER",
                "{q}.dead",
                "MAXLEN",
                "100",
                "MAXBYTES",
                "100000",
                "OVERFLOW",
                "dropoldest",
                "TTL",
                "60000",
                "DEDUP",
                "1000"
            ) == ok
        )
        #expect(try talk.ask("QUEUE.DECLARE", "q").string == nil)
        guard case .error(let exists) = try talk.ask("QUEUE.DECLARE", "q") else { return #expect(Bool(false)) }
        #expect(exists.hasPrefix("EXISTS the queue exists with other settings"))
        #expect(try talk.ask("QUEUE.UPDATE", "q", "LEASE", "7000", "LANES", "3") == ok)
        guard case .error(let lowered) = try talk.ask("QUEUE.UPDATE", "q", "LANES", "1") else {
            return #expect(Bool(false))
        }
        #expect(lowered == "ERR the queue has 3 lanes; their number can only be raised")
        let ids = try talk.ask("QUEUE.PUBLISHMANY", "q", "a", "b", "c")
        #expect(ids.elements?.count == 3)
        #expect(try talk.ask("QUEUE.PAUSE", "q", "publish") == ok)
        guard case .error(let paused) = try talk.ask("QUEUE.PUBLISH", "q", "x") else { return #expect(Bool(false)) }
        #expect(paused.hasPrefix("PAUSED publishing to the queue is paused"))
        let stats = try talk.ask("QUEUE.STATS", "q")
        #expect(stats["ready"] == .integer(3) && stats["publish_paused"] == .integer(1))
        #expect(stats["published_total"] == .integer(3) && stats["oldest_in_flight_ms"] == .null)
        #expect(stats["dwell"]?["p50_ms"] == .null)
        #expect(stats["settings"]?["lease_ms"] == .integer(7_000))
        #expect(stats["settings"]?["overflow"]?.string == "drop_oldest")
        #expect(stats.pairs?.count == 30)
        #expect(try talk.ask("QUEUE.RESUME", "q", "PUBLISH") == ok)
        let list = try talk.ask("QUEUE.LIST", "PREFIX", "{", "COUNT", "5")
        #expect(list["next"]?.string == "" && list["queues"]?.elements?.count == 1)
        #expect(list["queues"]?.elements?.first?["name"]?.string == "{q}.dead")
        #expect(try talk.ask("QUEUE.PURGE", "q") == .integer(3))
        #expect(try talk.ask("QUEUE.DELETE", "q") == .integer(0))
        #expect(try talk.ask("QUEUE.STATS", "q") == .null)
        for command in ["QUEUE.PURGE", "QUEUE.DELETE", "QUEUE.PEEK", "QUEUE.RECEIVE", "QUEUE.REDRIVE"] {
            #expect(try talk.ask(command, "gone") == .error("NOQUEUE queue 'gone' does not exist"), "\(command)")
        }
        let unknown = try talk.ask("QUEUE.PUBLISH", "gone", "x", "NODECLARE")
        #expect(unknown == .error("NOQUEUE queue 'gone' does not exist"))
    }

    @Test("single messages are looked at, cancelled and redriven")
    func messages() throws {
        let talk = try QueueTalk(protocol: 3)
        let ready = try #require(try talk.ask("QUEUE.PUBLISH", "q", "one").string)
        let delayed = try #require(try talk.ask("QUEUE.PUBLISH", "q", "two", "DELAY", "60000").string)
        let peeked = try #require(try talk.ask("QUEUE.PEEK", "q").elements?.first)
        #expect(
            peeked.pairs?.compactMap(\.key.string) == [
                "id", "state", "bytes", "key", "tenant", "priority", "published", "failures", "returns", "deliveries",
                "due", "expires", "consumer", "body", "headers",
            ]
        )
        #expect(peeked["id"]?.string == ready && peeked["state"]?.string == "ready")
        let got = try talk.ask("QUEUE.GET", "q", delayed)
        #expect(got["state"]?.string == "delayed" && got["body"]?.string == "two")
        #expect(got["due"]?.int != nil)
        let receipt = try receipt(talk)
        let taken = try talk.ask("QUEUE.CANCEL", "q", ready)
        #expect(taken == .error("INFLIGHT a consumer has the message; it was not cancelled"))
        #expect(try talk.ask("QUEUE.CANCEL", "q", delayed) == .integer(1))
        #expect(try talk.ask("QUEUE.CANCEL", "q", delayed) == .integer(0))
        #expect(try talk.ask("QUEUE.GET", "q", delayed) == .null)
        _ = try talk.ask("QUEUE.REJECT", "q", receipt)
        let redriven = try talk.ask("QUEUE.REDRIVE", "q", "COUNT", "5", "CAUSE", "rejected")
        #expect(redriven["moved"] != nil && redriven["left"] != nil)
        #expect(try talk.ask("QUEUE.REDRIVECANCEL", "q")["left"] == .integer(0))
        let far = try talk.ask("QUEUE.PUBLISH", "q", "x", "AT", "1000")
        #expect(far.string != nil)
        #expect(try talk.ask("QUEUE.STATS", "q")["delayed"] == .integer(0))
    }

    @Test("consumers are opened, renewed, shown, resumed and closed")
    func consumers() throws {
        let talk = try QueueTalk(protocol: 3)
        _ = try talk.ask("QUEUE.PUBLISHMANY", "q", "a", "b")
        let opened = try talk.ask("QUEUE.CONSUMER", "OPEN", "q", "c", "TTL", "9000", "CREDIT", "1", "LABEL", "w")
        #expect(opened.string == "c")
        let receipt = try #require(try receive(talk, "CONSUMER", "c", "COUNT", "2").first?["receipt"]?.string)
        guard case .error(let credit) = try talk.ask("QUEUE.RECEIVE", "q", "CONSUMER", "c") else {
            return #expect(Bool(false))
        }
        #expect(credit.hasPrefix("NOCREDIT consumer 'c'"))
        #expect(try talk.ask("QUEUE.CONSUMER", "renew", "q", "c") == .integer(9_000))
        let info = try talk.ask("QUEUE.CONSUMER", "INFO", "q", "c")
        #expect(info["in_flight"] == .integer(1) && info["label"]?.string == "w")
        let resumed = try talk.ask("QUEUE.CONSUMER", "RESUME", "q", "c", receipt)
        #expect(resumed["kept"] == .integer(1) && resumed["returned"] == .integer(0))
        #expect(resumed["results"]?.elements?.first?.string == "done")
        #expect(try talk.ask("QUEUE.CONSUMER", "CLOSE", "q", "c") == .integer(1))
        #expect(try talk.ask("QUEUE.CONSUMER", "INFO", "q", "c") == .null)
        guard case .error(let none) = try talk.ask("QUEUE.CONSUMER", "RENEW", "q", "c") else {
            return #expect(Bool(false))
        }
        #expect(none.hasPrefix("NOCONSUMER consumer 'c' does not exist"))
    }

    @Test("bad input is refused with what would be right, and never reaches the cluster")
    func badInput() throws {
        let long = String(repeating: "x", count: 513)
        let receipt = String(repeating: "0", count: 40)
        let cases: [(String, String)] = [
            ("QUEUE.PUBLISH q", "ERR wrong number of arguments for 'queue.publish' command; usage: QUEUE.PUBLISH name"),
            ("QUEUE.PUBLSH q x", "ERR unknown command 'QUEUE.PUBLSH'"),
            ("QUEUE.PUBLISH q \"\"", "ERR body must not be empty"),
            ("QUEUE.PUBLISHMANY q a \"\"", "ERR body must not be empty"),
            ("QUEUE.PUBLISH \(long) x", "ERR name is too long (limit 512 bytes)"),
            ("QUEUE.PUBLISH \"\" x", "ERR name must not be empty"),
            ("QUEUE.PUBLISH \"\\xff\" x", "ERR name is not valid UTF-8"),
            ("QUEUE.PUBLISH q#1 x", "ERR name is not acceptable: a queue's name has no '#'"),
            ("QUEUE.PUBLISH q x DELAY -1", "ERR value of DELAY is out of range; it must be between 0 and 31622400000"),
            ("QUEUE.PUBLISH q x DELAY 31622400001", "ERR value of DELAY is out of range"),
            ("QUEUE.PUBLISH q x DELAY soon", "ERR value of DELAY is not an integer"),
            ("QUEUE.PUBLISH q x AT -1", "ERR value of AT is out of range"),
            ("QUEUE.PUBLISH q x AT 99999999999999", "ERR value of AT is out of range"),
            ("QUEUE.PUBLISH q x DELAY 1 AT 1", "ERR AT is not acceptable: DELAY is given too"),
            ("QUEUE.PUBLISH q x AT 1 DELAY 1", "ERR DELAY is not acceptable: AT is given too"),
            ("QUEUE.PUBLISH q x PRIORITY 10", "ERR value of PRIORITY is out of range; it must be between 0 and 9"),
            ("QUEUE.PUBLISH q x KEY", "ERR syntax error: KEY needs a value"),
            ("QUEUE.PUBLISH q x KEY \"\"", "ERR KEY must not be empty"),
            ("QUEUE.PUBLISH q x KEY \(long)", "ERR KEY is too long (limit 512 bytes)"),
            ("QUEUE.PUBLISH q x KEY a KEY b", "ERR syntax error: KEY is given twice"),
            ("QUEUE.PUBLISH q x KEYS a", "ERR syntax error: unknown option 'KEYS'; did you mean 'KEY'?"),
            ("QUEUE.PUBLISH q x ID \(long)", "ERR ID is too long"),
            ("QUEUE.PUBLISH q x HEADER a", "ERR syntax error: HEADER needs a value"),
            ("QUEUE.PUBLISH q x HEADER \"\" v", "ERR HEADER is not acceptable: a header has no name"),
            ("QUEUE.PUBLISH q x LOCK l", "ERR TOKEN is required"),
            ("QUEUE.PUBLISH q x TOKEN 1", "ERR LOCK is required"),
            ("QUEUE.PUBLISH q x PRODUCER p", "ERR PRODUCER is not acceptable: SEQUENCE is missing"),
            ("QUEUE.PUBLISH q x SEQUENCE 1", "ERR PRODUCER is required"),
            ("QUEUE.RECEIVE q COUNT 0", "ERR value of COUNT is out of range; it must be between 1 and 1024"),
            ("QUEUE.RECEIVE q WAIT 3600001", "ERR value of WAIT is out of range"),
            ("QUEUE.RECEIVE q LEASE 0", "ERR value of LEASE is out of range; it must be between 1 and 43200000"),
            ("QUEUE.RECEIVE q MAXBYTES 8388609", "ERR value of MAXBYTES is out of range"),
            ("QUEUE.ACK q nonsense", "ERR receipt is not acceptable: 'nonsense' is no receipt"),
            ("QUEUE.ACK q \(receipt) DELAY 1", "ERR receipt is not acceptable: 'DELAY' is no receipt"),
            ("QUEUE.ACK q \(receipt.dropLast())G", "ERR receipt is not acceptable"),
            ("QUEUE.NACK q \(receipt) DELAY -5", "ERR value of DELAY is out of range"),
            ("QUEUE.NACK q \(receipt) REASON \(long)\(long)", "ERR REASON is too long (limit 1024 bytes)"),
            ("QUEUE.EXTEND q \(receipt) LEASE -1", "ERR value of LEASE is out of range"),
            ("QUEUE.EXTEND q \(receipt) \(receipt) \(receipt)", "ERR LEASE is required"),
            ("QUEUE.GET q 1205", "ERR id is not acceptable: '1205' is no message id, such as 1205-0"),
            ("QUEUE.CANCEL q 1-4096", "ERR id is not acceptable"),
            ("QUEUE.PEEK q STATE GONE", "ERR 'GONE' is no STATE; it must be READY, INFLIGHT, DELAYED or DEAD"),
            ("QUEUE.PEEK q COUNT 101", "ERR value of COUNT is out of range"),
            ("QUEUE.PAUSE q BOTH", "ERR 'BOTH' is no side; it must be PUBLISH or CONSUME"),
            ("QUEUE.DECLARE q LANES 0", "ERR value of LANES is out of range; it must be between 1 and 1024"),
            ("QUEUE.DECLARE q OVERFLOW drop", "ERR 'drop' is no OVERFLOW; it must be REJECT or DROPOLDEST"),
            ("QUEUE.DECLARE q DEDUP 86400001", "ERR value of DEDUP is out of range"),
            ("QUEUE.UPDATE q", "ERR wrong number"), ("QUEUE.REDRIVE q TO a#1", "ERR TO is not acceptable"),
            ("QUEUE.REDRIVE q CAUSE age", "ERR 'age' is no CAUSE; it must be ATTEMPTS or REJECTED"),
            ("QUEUE.CONSUMER OPN q c", "ERR syntax error: unknown option 'OPN'; did you mean 'OPEN'?"),
            ("QUEUE.CONSUMER OPEN q c TTL 5", "ERR value of TTL is out of range"),
            ("QUEUE.CONSUMER CLOSE q c x", "ERR syntax error: unknown option 'x'"),
            ("QUEUE.SUBSCRIBE q CREDIT 0", "ERR value of CREDIT is out of range"),
        ]
        for (line, expected) in cases {
            let talk = try QueueTalk()
            try talk.channel.writeInbound(ByteBuffer(string: line + "\r\n"))
            guard case .error(let text) = try talk.read().first else {
                Issue.record("no error: \(line)")
                continue
            }
            #expect(text.hasPrefix(expected), "\(line): \(text)")
            #expect(talk.port.submitted.isEmpty, "\(line)")
            #expect(talk.channel.isActive, "\(line)")
        }
    }

    @Test("a body above the limit is refused and the connection goes on; one of the limit is stored")
    func largest() throws {
        let talk = try QueueTalk()
        let head = ["QUEUE.PUBLISH", "q"].map { Array($0.utf8) }
        let limit = QueueLimits().bodyBytes
        guard case .error(let text) = try talk.ask(head + [[UInt8](repeating: 7, count: limit + 1)]) else {
            return #expect(Bool(false))
        }
        #expect(text == "TOOLARGE a message may have 1048576 bytes; nothing was stored")
        #expect(try talk.ask(head + [[UInt8](repeating: 7, count: limit)]).string != nil)
        #expect(try receive(talk).first?["body"] == .bulk(ByteBuffer(repeating: 7, count: limit)))
    }

    @Test("every queue command is in the table and has hints")
    func table() throws {
        let talk = try QueueTalk(protocol: 3)
        let docs = try talk.ask("COMMAND", "DOCS", "queue.publish")["queue.publish"]
        #expect(docs?["group"]?.string == "queue")
        #expect(docs?["arguments"]?.elements?.contains { $0["token"]?.string == "KEY" } == true)
        let queue = CommandID.allCases.filter(\.isQueue)
        #expect(queue.count == 24)
        for id in CommandID.allCases { #expect(id.isQueue == (CommandTable.shared[id].family == .queue), "\(id)") }
    }
}
