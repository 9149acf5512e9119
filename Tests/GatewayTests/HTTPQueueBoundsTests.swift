// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Primitives
import QueueCore
import Replica
import Testing

@testable import Gateway

/// Queues over HTTP: mistakes, refusals, and what is too much.
extension HTTPTests {
    /// Method, path, body, and what the detail of the problem says.
    private static let mistakes: [(String, String, String, String)] = {
        let receipt = Receipt(shard: ShardID(0), lane: 0, line: 1, message: .zero, delivery: 1).description
        let long = String(repeating: "x", count: 513)
        return [
            ("POST", "/orders/messages", "{}", "body is required"),
            ("POST", "/orders/messages", #"{"body": ""}"#, "body must not be empty"),
            ("POST", "/orders/messages", #"{"body_base64": ""}"#, "body_base64 must not be empty"),
            ("POST", "/orders/messages", #"{"body": "a", "body_base64": "AA=="}"#, "body is given too"),
            ("POST", "/orders/messages", #"{"body_base64": "AA"}"#, "not base 64"),
            ("POST", "/orders/messages", #"{"body": 5}"#, "field 'body' must be a string"),
            ("POST", "/orders/messages", #"{"bodi": "x"}"#, "did you mean 'body'?"),
            ("POST", "/orders/messages", "hello", "not valid JSON"),
            ("POST", "/orders/messages", #"{"body": "x", "delay_ms": -1}"#, "delay_ms is out of range"),
            ("POST", "/orders/messages", #"{"body": "x", "delay_ms": 31622400001}"#, "delay_ms is out of range"),
            ("POST", "/orders/messages", #"{"body": "x", "at_unix_ms": -5}"#, "at_unix_ms is out of range"),
            ("POST", "/orders/messages", #"{"body": "x", "delay_ms": 1, "at_unix_ms": 1}"#, "delay_ms is given too"),
            ("POST", "/orders/messages", #"{"body": "x", "priority": 10}"#, "between 0 and 9"),
            ("POST", "/orders/messages", #"{"body": "x", "key": "\#(long)"}"#, "key is too long"),
            ("POST", "/orders/messages", #"{"body": "x", "id": "\#(long)"}"#, "id is too long"),
            ("POST", "/orders/messages", #"{"body": "x", "tenant": "\#(long)"}"#, "tenant is too long"),
            ("POST", "/orders/messages", #"{"body": "x", "headers": []}"#, "'headers' must be an object"),
            ("POST", "/orders/messages", #"{"body": "x", "headers": {"a": 1}}"#, "'headers' must be an object"),
            ("POST", "/orders/messages", #"{"body": "x", "headers": {"": "v"}}"#, "a header has no name"),
            ("POST", "/orders/messages", #"{"body": "x", "headers": {"a": {"base64": "?"}}}"#, "not base 64"),
            ("POST", "/orders/messages", #"{"body": "x", "lock": {"name": "l"}}"#, "token is required"),
            ("POST", "/orders/messages", #"{"body": "x", "lock": "l"}"#, "'lock' must be an object"),
            ("POST", "/orders/messages", #"{"body": "x", "producer": {"id": "p"}}"#, "sequence is required"),
            ("POST", "/orders/messages", #"{"body": "x", "producer": {"id": "p", "sequence": 0}}"#, "out of range"),
            ("POST", "/orders/messages", #"{"body": "x", "declare": "no"}"#, "'declare' must be true or false"),
            ("POST", "/orders/messages", #"{"messages": []}"#, "messages must not be empty"),
            ("POST", "/orders/messages", #"{"messages": [{"body": "a"}, {"bdy": "b"}]}"#, "unknown field 'bdy'"),
            ("POST", "/orders/messages", #"{"messages": ["a"]}"#, "an array of objects"),
            ("POST", "/orders/messages", #"{"messages": [{"body": "a"}], "key": "k"}"#, "it belongs to each"),
            ("POST", "/orders/messages?key=k", #"{"body": "x"}"#, "unknown field 'key'"),
            ("POST", "/\(long)/messages", #"{"body": "x"}"#, "name is too long"),
            ("POST", "/a%231/messages", #"{"body": "x"}"#, "has no '#'"),
            ("POST", "/orders/receive", #"{"count": 0}"#, "between 1 and 1024"),
            ("POST", "/orders/receive", #"{"wait_ms": "forever"}"#, "'wait_ms' must be an integer"),
            ("POST", "/orders/receive", #"{"wait_ms": 3600001}"#, "wait_ms is out of range"),
            ("POST", "/orders/receive", #"{"lease_ms": 0}"#, "lease_ms is out of range"),
            ("POST", "/orders/receive", #"{"max_bytes": 8388609}"#, "max_bytes is out of range"),
            ("POST", "/orders/ack", "{}", "receipts is required"),
            ("POST", "/orders/ack", #"{"receipts": []}"#, "receipts must not be empty"),
            ("POST", "/orders/ack", #"{"receipts": ["\#(receipt)", "x"]}"#, "'x' is no receipt"),
            ("POST", "/orders/ack", #"{"receipts": [1]}"#, "an array of strings"),
            ("POST", "/orders/ack", #"{"receipt": "\#(receipt)", "receipts": []}"#, "receipt is given too"),
            ("POST", "/orders/nack", #"{"receipt": "\#(receipt)", "delay_ms": -1}"#, "delay_ms is out of range"),
            ("POST", "/orders/extend", #"{"receipt": "\#(receipt)"}"#, "lease_ms is required"),
            ("PUT", "/orders", #"{"lanes": 0}"#, "lanes is out of range"),
            ("PUT", "/orders", #"{"overflow": "explode"}"#, "it must be reject or drop_oldest"),
            ("PUT", "/orders", #"{"maxlength": 5}"#, "did you mean 'max_length'?"),
            ("PUT", "/orders", #"{"dead_letter": "dead#1"}"#, "dead_letter is not acceptable"),
            ("GET", "/orders/messages?state=lost", "", "it must be ready, in_flight, delayed or dead"),
            ("GET", "/orders/messages?limit=33", "", "between 1 and 32"),
            ("GET", "/orders/messages/5", "", "'5' is no message id"),
            ("POST", "/orders/pause", "{}", "side is required"),
            ("POST", "/orders/pause", #"{"side": "both"}"#, "it must be publish or consume"),
            ("POST", "/orders/redrive", #"{"cause": "age"}"#, "it must be attempts or rejected"),
            ("POST", "/orders/consumers", "{}", "id is required"),
            ("POST", "/orders/consumers", #"{"id": "c", "credit": 5000}"#, "credit is out of range"),
        ]
    }()

    @Test("every mistake about a queue gets a problem document that names it, and nothing is done")
    func queueProblems() async throws {
        let backend = HTTPQueueBackend()
        try await withQueues(backend) { call in
            for (method, path, body, detail) in Self.mistakes {
                let reply = try await call(method, path, body)
                let found = reply.json?["detail"]?.string ?? ""
                #expect(reply.status == 400 && found.contains(detail), "\(method) \(path) \(body): \(reply)")
                #expect(reply.outcome == "not_done" && reply.head.contains("application/problem+json"))
            }
            let empty = try await call.send("POST", "/orders/messages", type: "application/octet-stream", [])
            #expect(empty.status == 400 && empty.body.contains("body must not be empty"), "\(empty)")
            let query = try await call.send("POST", "/orders/messages?delay_ms=soon", type: "text/plain", [1])
            #expect(query.status == 400 && query.body.contains("'delay_ms' must be an integer"), "\(query)")
            #expect(try await call("GET", "/orders").status == 404, "nothing was declared")
        }
    }

    @Test("lanes are not lowered, and what is given up is kept")
    func lanes() async throws {
        try await withQueues { call in
            #expect(try await call("PUT", "/orders", #"{"lanes": 2}"#).status == 201)
            let lowered = try await call("PATCH", "/orders", #"{"lanes": 1}"#)
            #expect(lowered.status == 400 && lowered.body.contains("2 lanes"), "\(lowered)")
            #expect(try await call("GET", "/orders").json?["settings"]?["lanes"]?.int == 2)
        }
    }

    @Test("every refusal of a queue has its status and code")
    func queueRefusals() async throws {
        let cases: [(QueueError, Int, String)] = [
            (.noQueue("orders"), 404, "no_queue"), (.exists(QueueSettings()), 409, "exists"),
            (.emptyBody, 400, "invalid"), (.tooLarge(limit: 5), 413, "too_large"), (.full("orders"), 409, "full"),
            (.paused(.consume), 409, "paused"), (.fenced, 409, "fenced"), (.noConsumer("c"), 404, "no_consumer"),
            (.consumerExists("c"), 409, "consumer_exists"), (.noCredit("c"), 429, "no_credit"),
            (.staleSequence, 409, "stale_seq"), (.redriving, 503, "busy"), (.limit("many"), 429, "limit"),
            (.invalid("no"), 400, "invalid"), (.ended, 410, "ended"),
        ]
        for (refusal, status, code) in cases {
            let problem = Problem(.queue(QueueAnswer(.refused(refusal))))
            #expect(problem?.status == status && problem?.code == code && problem?.outcome == "not_done", "\(refusal)")
            #expect((problem?.retryAfterSeconds != nil) == (status == 503))
        }
        let ports = try await LoopPorts { _ in .unavailable(.unknown, reason: "no leader") }
        try await withServer(ports: ports) { port in
            let reply = try await exchange(port, "POST", "/v1/queues/orders/messages", #"{"body": "x"}"#)
            #expect(reply.status == 504 && reply.outcome == "unknown", "\(reply)")
        }
    }

    // MARK: Size

    @Test("the largest message fits in base 64; a larger one is refused as such, and a body beyond all bounds unread")
    func sizes() async throws {
        try await withQueues { call in
            let largest = [UInt8](repeating: 0xff, count: 1 << 20)
            let json = #"{"body_base64": "\#(Base64.encode(largest))"}"#
            #expect(try await call("POST", "/orders/messages", json).status == 201)
            let message = try #require(try await call("POST", "/orders/receive").messages.first)
            #expect(message["body_base64"]?.string.flatMap(Base64.decode) == largest)

            let larger = try await call.send("POST", "/orders/messages", type: "text/plain", largest + [1])
            #expect(larger.status == 413 && larger.code == "too_large" && larger.body.contains("1048576"), "\(larger)")
            let batch = Array(repeating: #"{"body_base64": "\#(Base64.encode(largest))"}"#, count: 8)
            let whole = #"{"messages": [\#(batch.joined(separator: ","))]}"#
            #expect(try await call("POST", "/orders/messages", whole).status == 201)
            let more = #"{"messages": [\#(batch.joined(separator: ",")), {"body": "x"}]}"#
            let refused = try await call("POST", "/orders/messages", more)
            #expect(refused.status == 413 && refused.body.contains("8388608"), "\(refused)")

            let beyond = [UInt8](repeating: 0x20, count: 12 << 20 + 1)
            let unread = try await call.send("POST", "/orders/messages", type: nil, beyond)
            #expect(unread.status == 413 && unread.body.contains("12582912 bytes"), "\(unread)")
            #expect(try await call("POST", "/orders/purge", String(repeating: " ", count: 70_000)).status == 413)
            // As many receipts as one command may name are let in.
            let receipt = Receipt(shard: ShardID(0), lane: 0, line: 1, message: .zero, delivery: 1).description
            let many = Array(repeating: receipt, count: QueueLimits.receipts)
            let settled = try await call("POST", "/orders/ack", #"{"receipts": \#(JSONValue.strings(many).text)}"#)
            #expect(settled.status == 409 && settled.results.count == QueueLimits.receipts)
        }
    }

    @Test("large bodies of all connections together have a bound")
    func largeBodies() async throws {
        let configuration = HTTPConfiguration(port: 0, messagesBodyBytes: 100_000, largeBodyBytes: 150_000)
        try await withQueues(HTTPQueueBackend(), configuration) { call in
            let head =
                "POST /v1/queues/orders/messages HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
                + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
            var slow = try await RawConnection(port: call.port)
            try await slow.send(head)
            let large = [UInt8](repeating: 1, count: 90_000)
            var busy = try await call.send("POST", "/orders/messages", type: "text/plain", large)
            // The other's head may not have been read the first time, or may have come while the large one was there.
            let deadline = NIODeadline.now() + .seconds(20)
            while busy.status == 201, NIODeadline.now() < deadline {
                if slow.text.contains("HTTP/1.1 503") {
                    await slow.close()
                    slow = try await RawConnection(port: call.port)
                    try await slow.send(head)
                }
                busy = try await call.send("POST", "/orders/messages", type: "text/plain", large)
            }
            #expect(busy.status == 503 && busy.code == "busy", "\(busy)")
            #expect(try await call("POST", "/orders/messages", #"{"body": "small"}"#).status == 201)
            try await slow.send("0\r\n\r\n")
            try await slow.until { $0.contains("HTTP/1.1 201") }
            #expect(try await call.send("POST", "/orders/messages", type: "text/plain", large).status == 201)
            await slow.close()
        }
    }

    // MARK: Waiting

    @Test("a receive waits; when its client goes it leaves the line, and what comes all the same is given back")
    func longPoll() async throws {
        let ports = try await LoopPorts()
        try await withServer(ports: ports) { port in
            let body = #"{"wait_ms": 60000}"#
            let head =
                "POST /v1/queues/orders/receive HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
            let waiting = try await RawConnection(port: port)
            try await waiting.send(head + body)
            try await ports.until { $0.submitted.count == 1 }
            try await ports.with { $0.complete(0, .queue(QueueAnswer(.received([])))) }
            try await waiting.until { $0.contains("{\"messages\":[]}") }

            try await waiting.send(head + body)
            try await ports.until { $0.submitted.count == 2 }
            await waiting.close()
            try await ports.until { $0.cancelled.count == 1 }
            let requests = try await ports.with { $0.requests }
            for request in requests {
                guard case .queue(.receive(let receive)) = request else { throw RawConnection.TimedOut(received: "") }
                #expect(
                    (1...60_000).contains(receive.waitMilliseconds) && receive.count == 1 && receive.maxBytes == 8 << 20
                )
            }
        }
    }

    @Test("messages that come as the client goes are given back, since nobody will settle them")
    func lateDelivery() async throws {
        let signal = DisconnectSignal()
        let receipt = Receipt(shard: ShardID(0), lane: 0, line: 1, message: .zero, delivery: 1)
        let delivery = Delivery(
            id: .zero,
            receipt: receipt,
            attempt: 1,
            key: "",
            priority: 0,
            published: 0,
            bytes: 1,
            leaseMilliseconds: 1,
            cause: .none,
            deadLetter: nil
        )
        let content = try stored(PublishMessage(body: [1]))
        let ports = try await LoopPorts { request in
            guard case .queue(.receive) = request else { return .queue(QueueAnswer(.settled([.done]))) }
            signal.fire()
            return .queue(QueueAnswer(.received([delivery]), contents: [content]))
        }
        let table = HTTPRouteTable(
            services: HTTPServices(
                configuration: HTTPConfiguration(),
                identity: ServerIdentity(nodeName: "node-0", version: "0.1.0"),
                requests: AsyncRequests(loops: [ports.loop], port: ports.provider),
                administration: FakeAdministration(),
                observer: SilentObserver(),
                metrics: { "" },
                longRequests: LongRequests(limit: 1),
                largeBodies: LargeBodies(limit: 0)
            )
        )
        guard case .route(let route, let parameters) = HTTPRouteTable.find("POST", path: "/v1/queues/orders/receive")
        else { throw RawConnection.TimedOut(received: "no route") }
        let body = HTTPBody.json(.object(("wait_ms", .integer(1_000))))
        await #expect(throws: Problem.self) {
            _ = try await table.run(route, parameters: parameters, body: body, query: "") { signal }
        }
        let last = try await ports.with { $0.requests.last }
        let giveBack = Settlement.giveBack(delayMilliseconds: 0)
        #expect(last == .queue(.settle(Settle(queue: "orders", receipts: [receipt], settlement: giveBack))))
    }

    private func stored(_ message: PublishMessage) throws -> StoredMessage {
        var writer = ByteWriter()
        QueueCommand.publish(Publish(queue: "q", messages: [message])).encode(into: &writer)
        var reader = ByteReader(writer.bytes)
        return try QueueCommand.stored(0, decoding: &reader)
    }

    @Test("receives that wait leave half of the connections to others")
    func longPolls() async throws {
        let ports = try await LoopPorts()
        try await withServer(HTTPConfiguration(port: 0, maximumConnections: 2), ports: ports) { port in
            let body = #"{"wait_ms": 60000}"#
            let waiting = try await RawConnection(port: port)
            try await waiting.send(
                "POST /v1/queues/orders/receive HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
                    + body
            )
            try await ports.until { $0.submitted.count == 1 }
            let busy = try await exchange(port, "POST", "/v1/queues/orders/receive", body)
            #expect(busy.status == 503 && busy.code == "busy", "\(busy)")
            await waiting.close()
        }
    }

    // MARK: Description

    @Test("the OpenAPI document tells the query parameters and the parts of a publish as they are read")
    func queueOpenAPI() throws {
        let document = try JSONParser.parse(OpenAPIDocument.text)
        for route in QueueRoutes.all {
            let operation = document["paths"]?[route.path]?[route.method.rawValue.lowercased()]
            let named = operation?["parameters"]?.array?.compactMap { parameter in
                if let name = parameter["name"]?.string { return name }
                let component = parameter["$ref"]?.string?.split(separator: "/").last.map(String.init) ?? ""
                return document["components"]?["parameters"]?[component]?["name"]?.string
            }
            #expect(Set(named ?? []) == Set((route.query + route.raw).map(\.json)), "\(route.method) \(route.path)")
            let media = operation?["requestBody"]?["content"]?.members?.map(\.name) ?? []
            #expect(media.contains("application/octet-stream") == !route.raw.isEmpty)
        }
        let parts: [(String, [Field])] = [
            ("PublishMessage", QueueFields.message), ("LockGuard", QueueFields.lock),
            ("Producer", QueueFields.producer), ("QueueSettings", QueueFields.settings),
        ]
        for (schema, fields) in parts {
            let members = document["components"]?["schemas"]?[schema]?["properties"]?.members?.map(\.name) ?? []
            #expect(Set(members) == Set(fields.map(\.json)), "\(schema)")
        }
        // What is shown is what is described.
        let shown: [(String, JSONValue)] = [
            ("Queue", JSONViews.queue(QueueView(name: "q", settings: QueueSettings()))),
            ("QueueSettings", JSONViews.settings(QueueSettings())),
            (
                "DeadLetter",
                JSONViews.deadLetter(DeadLetter(cause: .attempts, reason: "", origin: "q", attempts: 1, died: 1))
            ),
        ]
        for (schema, value) in shown {
            let members = document["components"]?["schemas"]?[schema]?["properties"]?.members?.map(\.name) ?? []
            #expect(Set(members) == Set(value.members?.map(\.name) ?? []), "\(schema)")
        }
    }
}

@Suite("Base 64")
struct Base64Tests {
    @Test("the test vectors of RFC 4648 section 10, and every byte")
    func vectors() {
        let vectors = ["": "", "f": "Zg==", "fo": "Zm8=", "foo": "Zm9v", "foob": "Zm9vYg==", "fooba": "Zm9vYmE="]
        for (plain, encoded) in vectors {
            #expect(Base64.encode(Array(plain.utf8)) == encoded)
            #expect(Base64.decode(encoded) == Array(plain.utf8))
        }
        for length in 253...256 {
            let bytes = (0..<length).map { UInt8($0) }
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        }
    }

    @Test("anything else is refused")
    func refusals() {
        for text in [
            "Z", "Zg", "Zg=", "Zg=a", "====", "=", "Zh==", "Zm9=", "Zm9v\n", "Zm 9", "Zg==Zg==", "-_--", "é===",
        ] {
            #expect(Base64.decode(text) == nil, "\(text)")
        }
    }
}
