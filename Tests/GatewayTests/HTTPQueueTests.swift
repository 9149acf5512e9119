// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Primitives
import QueueCore
import Replica
import Testing

@testable import Gateway

/// Queues over HTTP, on real sockets and a real queue state.
extension HTTPTests {
    // MARK: Publishing and receiving

    @Test("bodies and headers come back unchanged, whatever their bytes")
    func queueBytes() async throws {
        try await withQueues { call in
            let all = (0...255).map { UInt8($0) }
            let published = [
                try await call(
                    "POST",
                    "/orders/messages",
                    #"{"body": "a\u0000é\n\"😀", "headers":"#
                        + #" {"k": "v", "bin": {"base64": "/wA="}, "twice": ["1", "2"]}}"#
                ),
                try await call("POST", "/orders/messages", #"{"body_base64": "\#(Base64.encode(all))"}"#),
                try await call.send("POST", "/orders/messages?key=k", type: "application/octet-stream", all),
            ]
            for reply in published { #expect(reply.status == 201, "\(reply)") }
            #expect(published.map { $0.json?["ids"]?.array?.first?.string } == ["1-0", "2-0", "3-0"])

            let received = try await call("POST", "/orders/receive", #"{"count": 5}"#)
            #expect(received.status == 200)
            let messages = received.messages
            try #require(messages.count == 3)
            #expect(messages[0]["body"]?.string == "a\u{0}é\n\"😀" && messages[0]["body_base64"] == nil)
            #expect(
                messages[0]["headers"]?.text == #"{"k":"v","bin":{"base64":"/wA="},"twice":["1","2"]}"#
            )
            for message in messages[1...] {
                #expect(message["body"] == nil)
                #expect(message["body_base64"]?.string.flatMap(Base64.decode) == all)
            }
            #expect(messages[2]["key"]?.string == "k")
            #expect(messages[0]["attempts"]?.int == 1 && messages[0]["cause"]?.string == "none")
            #expect(messages[0]["lease_ms"]?.int == 30_000 && messages[0]["priority"]?.int == 0)
            #expect(messages[0]["published"]?.int == 100_000 && messages[0]["receipt"]?.string?.count == 40)
        }
    }

    @Test("what a publish says reaches the command, from JSON and from a query alike")
    func publishOptions() async throws {
        let backend = HTTPQueueBackend()
        try await withQueues(backend) { call in
            let single = #"""
                {"body": "x", "key": "k", "tenant": "t", "delay_ms": 5, "priority": 9, "ttl_ms": 7, "id": "d",
                 "headers": {"h": "v"}, "lock": {"name": "l", "token": 7, "namespace": "n"},
                 "producer": {"id": "p", "sequence": 1}, "declare": true}
                """#
            #expect(try await call("POST", "/orders/messages", single).status == 201)
            let query =
                "key=k&tenant=t&delay_ms=5&priority=9&ttl_ms=7&id=e&headers=%7B%22h%22:%22v%22%7D&declare=true"
                + "&lock=%7B%22name%22:%22l%22,%22token%22:7,%22namespace%22:%22n%22%7D"
                + "&producer=%7B%22id%22:%22p%22,%22sequence%22:2%7D"
            let raw = try await call.send("POST", "/orders/messages?\(query)", type: "text/plain", [0x78])
            #expect(raw.status == 201, "\(raw)")
            var publishes = backend.publishes
            try #require(publishes.count == 2)
            #expect(publishes[1].producer?.sequence == 2 && publishes[1].messages[0].dedup == "e")
            publishes[1].producer?.sequence = 1
            publishes[1].messages[0].dedup = "d"
            #expect(publishes[0] == publishes[1])
            let message = publishes[0].messages[0]
            #expect(message.schedule == .after(milliseconds: 5) && message.tenant == "t" && message.priority == 9)
            #expect(message.headers == [MessageHeader(name: "h", value: [0x76])] && message.ttlMilliseconds == 7)
            #expect(publishes[0].guardedBy == LockGuard(namespace: "n", name: "l", token: 7))

            let fenced = try await call(
                "POST",
                "/orders/messages",
                #"{"body": "x", "lock": {"name": "l", "token": 6}}"#
            )
            #expect(fenced.status == 409 && fenced.code == "fenced", "\(fenced)")
            #expect(backend.publishes.count == 2)
        }
    }

    @Test("several messages are one publish; what was stored before is told apart")
    func publishMany() async throws {
        let backend = HTTPQueueBackend()
        try await withQueues(backend) { call in
            let many = #"{"messages": [{"body": "a", "id": "1"}, {"body_base64": "AA=="}], "declare": true}"#
            let stored = try await call("POST", "/orders/messages", many)
            #expect(
                stored.status == 201 && stored.body == "{\"ids\":[\"1-0\",\"1-1\"],\"duplicates\":[]}\n",
                "\(stored)"
            )
            let again = try await call("POST", "/orders/messages", #"{"body": "other", "id": "1"}"#)
            #expect(again.status == 201 && again.body == "{\"ids\":[\"1-0\"],\"duplicates\":[\"1-0\"]}\n", "\(again)")
            let unknown = try await call("POST", "/none/messages", #"{"body": "a", "declare": false}"#)
            #expect(unknown.status == 404 && unknown.code == "no_queue")
            #expect(backend.publishes.map(\.messages.count) == [2, 1, 1])
        }
    }

    @Test("a moment of the calendar becomes a delay; one that has passed, none")
    func publishAt() async throws {
        let backend = HTTPQueueBackend()
        try await withQueues(backend) { call in
            let now = WallClock.now().seconds * 1_000
            for moment in [now + 60_000, now - 60_000, 0] {
                let reply = try await call("POST", "/orders/messages", #"{"body": "x", "at_unix_ms": \#(moment)}"#)
                #expect(reply.status == 201, "\(reply)")
            }
            let schedules = backend.publishes.map { $0.messages[0].schedule }
            guard case .after(let delay) = schedules[0] else { throw RawConnection.TimedOut(received: "\(schedules)") }
            #expect((1...60_000).contains(delay) && schedules[1...] == [.immediately, .immediately])
            let far = try await call("POST", "/orders/messages", #"{"body": "x", "at_unix_ms": 9000000000000000000}"#)
            #expect(far.status == 400 && far.json?["detail"]?.string?.contains("at_unix_ms is out of range") == true)
        }
    }

    @Test("without a content type, or with the one that curl sends unasked, a body is JSON as everywhere")
    func contentTypes() async throws {
        let backend = HTTPQueueBackend()
        try await withQueues(backend) { call in
            let json = Array(#"{"body": "x"}"#.utf8)
            let types: [String?] = [nil, "application/x-www-form-urlencoded", "application/JSON; charset=utf-8"]
            for type in types + ["application/octet-stream", "text/plain", "image/png"] {
                let reply = try await call.send("POST", "/orders/messages", type: type, json)
                #expect(reply.status == 201, "\(reply)")
            }
            let bodies = backend.publishes.map { $0.messages[0].body }
            #expect(bodies == [[0x78], [0x78], [0x78], json, json, json])
        }
    }

    // MARK: Settling

    @Test("each way to settle does its own")
    func settling() async throws {
        let backend = HTTPQueueBackend()
        try await withQueues(backend) { call in
            try await call.publish("orders", "a", "b", "c", "d")
            let receipts = try await call.receipts("orders", count: 4)
            try #require(receipts.count == 4)
            let ack = try await call("POST", "/orders/ack", #"{"receipt": "\#(receipts[0])"}"#)
            #expect(ack.status == 200 && ack.json?["settled"]?.int == 1 && ack.results == ["done"], "\(ack)")
            let again = try await call("POST", "/orders/ack", #"{"receipts": ["\#(receipts[0])"]}"#)
            #expect(again.status == 200 && again.json?["settled"]?.int == 0 && again.results == ["gone"], "\(again)")
            let extend = try await call(
                "POST",
                "/orders/extend",
                #"{"receipt": "\#(receipts[1])", "lease_ms": 60000}"#
            )
            #expect(extend.status == 200, "\(extend)")
            let nack = try await call(
                "POST",
                "/orders/nack",
                #"{"receipts": ["\#(receipts[1])"], "delay_ms": 50, "reason": "bad day"}"#
            )
            #expect(nack.status == 200, "\(nack)")
            #expect(try await call("POST", "/orders/return", #"{"receipts": ["\#(receipts[2])"]}"#).status == 200)
            let reject = try await call(
                "POST",
                "/orders/reject",
                #"{"receipts": ["\#(receipts[3])"], "reason": "broken"}"#
            )
            #expect(reject.status == 200, "\(reject)")

            let stats = try await call("GET", "/orders")
            for (member, value) in [("ready", 1), ("delayed", 1), ("dead", 1), ("in_flight", 0), ("acked_total", 1)] {
                #expect(stats.json?[member]?.int == Int64(value), "\(member): \(stats)")
            }
            let dead = try await call("GET", "/orders/messages?state=dead&limit=5").messages
            #expect(dead.first?["dead_letter"]?["reason"]?.string == "broken" && dead.first?["body"]?.string == "d")
            #expect(dead.first?["dead_letter"]?["cause"]?.string == "rejected")
            let redriven = try await call("POST", "/orders/redrive", #"{"cause": "rejected", "count": 5, "rate": 9}"#)
            #expect(redriven.status == 200 && redriven.json?["left"] != nil, "\(redriven)")
            #expect(try await call("DELETE", "/orders/redrive").status == 200)
            backend.advance(100)
            let messages = try await call("POST", "/orders/receive", #"{"count": 9}"#).messages
            let causes = messages.compactMap { $0["cause"]?.string }
            #expect(causes.contains("returned") && causes.contains("nacked"), "\(messages)")
        }
    }

    @Test("receipts that have ended, of another queue, or of none are told apart; the others are carried out")
    func staleReceipts() async throws {
        let backend = HTTPQueueBackend()
        try await withQueues(backend) { call in
            try await call.publish("orders", "a", "b")
            try await call.publish("{orders}.other", "c")
            let receipts = try await call.receipts("orders", count: 2)
            let foreign = try await call.receipts("{orders}.other")
            try #require(receipts.count == 2 && foreign.count == 1)
            #expect(try await call("POST", "/orders/return", #"{"receipt": "\#(receipts[0])"}"#).status == 200)
            let newer = try await call.receipts("orders")
            // A delivery that never was: of an entry that the log has not reached.
            let parsed = try #require(Receipt(receipts[1]))
            var forged = parsed
            forged.message = MessageID(entry: LogIndex(1 << 40), ordinal: 0)

            let list = [receipts[0], foreign[0], forged.description, receipts[1]]
            let mixed = try await call("POST", "/orders/ack", #"{"receipts": \#(JSONValue.strings(list).text)}"#)
            #expect(mixed.status == 409 && mixed.code == "stale" && mixed.outcome == "partly_done", "\(mixed)")
            #expect(mixed.results == ["stale", "other_queue", "forged", "done"] && mixed.json?["settled"]?.int == 1)
            #expect(mixed.json?["detail"]?.string?.contains("3 of 4") == true, "\(mixed)")

            let one = try await call("POST", "/orders/ack", #"{"receipt": "\#(receipts[0])"}"#)
            #expect(one.status == 409 && one.outcome == "not_done" && one.results == ["stale"], "\(one)")
            // After its lease a receipt is stale as well.
            backend.advance(31_000)
            let late = try await call("POST", "/orders/ack", #"{"receipt": "\#(newer[0])"}"#)
            #expect(late.status == 409 && late.code == "stale", "\(late)")
            let unknown = try await call("POST", "/nowhere/ack", #"{"receipt": "\#(receipts[0])"}"#)
            #expect(unknown.status == 404 && unknown.code == "no_queue", "\(unknown)")
        }
    }

    // MARK: Queues

    @Test("a queue is declared, changed, looked at, paused, purged and deleted")
    func administration() async throws {
        try await withQueues { call in
            let settings = #"{"lanes": 1, "max_length": 2, "overflow": "reject", "dead_letter": "{orders}.dead"}"#
            let declared = try await call("PUT", "/orders", settings)
            #expect(
                declared.status == 201 && declared.body == "{\"name\":\"orders\",\"created\":true}\n",
                "\(declared)"
            )
            #expect(try await call("PUT", "/orders", settings).status == 200)
            let other = try await call("PUT", "/orders", #"{"lease_ms": 5}"#)
            #expect(other.status == 409 && other.code == "exists", "\(other)")
            #expect(other.json?["settings"]?["max_length"]?.int == 2, "\(other)")
            let changed = try await call("PATCH", "/orders", #"{"lease_ms": 5000, "overflow": "drop_oldest"}"#)
            #expect(changed.json?["settings"]?["lease_ms"]?.int == 5_000, "\(changed)")
            #expect(changed.json?["settings"]?["max_length"]?.int == 2)
            #expect(changed.json?["settings"]?["overflow"]?.string == "drop_oldest")

            try await call.publish("orders", "a", "b")
            let peeked = try await call("GET", "/orders/messages").messages
            #expect(peeked.count == 2 && peeked[0]["state"]?.string == "ready" && peeked[0]["body"]?.string == "a")
            let id = try #require(peeked[0]["id"]?.string)
            #expect(try await call("GET", "/orders/messages/\(id)").json == peeked[0])
            #expect(try await call("DELETE", "/orders/messages/\(id)").json?["cancelled"] == .bool(true))
            for method in ["GET", "DELETE"] {
                let gone = try await call(method, "/orders/messages/\(id)")
                #expect(gone.status == 404 && gone.code == "no_message", "\(gone)")
            }
            _ = try await call.receipts("orders")
            let flying = try await call("DELETE", "/orders/messages/\(try #require(peeked[1]["id"]?.string))")
            #expect(flying.status == 409 && flying.code == "in_flight", "\(flying)")

            let paused = try await call("POST", "/orders/pause", #"{"side": "publish"}"#)
            #expect(paused.body == "{\"name\":\"orders\",\"side\":\"publish\",\"paused\":true}\n", "\(paused)")
            let refused = try await call("POST", "/orders/messages", #"{"body": "x"}"#)
            #expect(refused.status == 409 && refused.code == "paused", "\(refused)")
            #expect(try await call("GET", "/orders").json?["publish_paused"] == .bool(true))
            #expect(try await call("POST", "/orders/resume", #"{"side": "publish"}"#).status == 200)

            #expect(try await call("POST", "/orders/purge").json?["messages_removed"]?.int == 1)
            let list = try await call("GET", "?prefix=&limit=1")
            #expect(list.json?["queues"]?.array?.count == 1, "\(list)")
            let next = try #require(list.json?["next"]?.string)
            let rest = try await call("GET", "?after=\(next.replacing("{", with: "%7B").replacing("}", with: "%7D"))")
            #expect(rest.json?["queues"]?.array?.compactMap { $0["name"]?.string } == ["{orders}.dead"], "\(rest)")
            #expect(rest.json?["next"] == .null)
            #expect(try await call("DELETE", "/orders").json?["messages_removed"]?.int == 0)
            for (method, path) in [("GET", "/orders"), ("DELETE", "/orders"), ("PATCH", "/orders")] {
                let reply = try await call(method, path)
                #expect(reply.status == 404 && reply.code == "no_queue", "\(method) \(reply)")
            }
        }
    }

    @Test("a consumer is opened, renewed, looked at, resumed and closed")
    func consumers() async throws {
        try await withQueues { call in
            try await call.publish("orders", "a", "b")
            let open = #"{"id": "c/1", "ttl_ms": 5000, "credit": 3, "label": "web"}"#
            for _ in 0..<2 {
                let reply = try await call("POST", "/orders/consumers", open)
                #expect(reply.status == 201 && reply.body == "{\"consumer\":\"c/1\",\"ttl_ms\":5000}\n", "\(reply)")
            }
            let other = try await call("POST", "/orders/consumers", #"{"id": "c/1"}"#)
            #expect(other.status == 409 && other.code == "consumer_exists", "\(other)")
            let messages = try await call("POST", "/orders/receive", #"{"count": 2, "consumer": "c/1"}"#).messages
            let receipt = try #require(messages.first?["receipt"]?.string)
            let view = try await call("GET", "/orders/consumers/c%2F1")
            #expect(view.json?["in_flight"]?.int == 2 && view.json?["label"]?.string == "web", "\(view)")
            #expect(try await call("POST", "/orders/consumers/c%2F1/renew").json?["ttl_ms"]?.int == 5_000)
            let resumed = try await call("POST", "/orders/consumers/c%2F1/resume", #"{"receipts": ["\#(receipt)"]}"#)
            #expect(resumed.json?["kept"]?.int == 1 && resumed.json?["returned"]?.int == 1, "\(resumed)")
            #expect(resumed.results == ["done"])
            #expect(try await call("DELETE", "/orders/consumers/c%2F1").json?["returned"]?.int == 1)
            let after = [
                try await call("GET", "/orders/consumers/c%2F1"), try await call("DELETE", "/orders/consumers/c%2F1"),
                try await call("POST", "/orders/consumers/c%2F1/renew"),
                try await call("POST", "/orders/receive", #"{"consumer": "c/1"}"#),
            ]
            for reply in after { #expect(reply.status == 404 && reply.code == "no_consumer", "\(reply)") }
        }
    }
}
