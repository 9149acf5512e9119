// SPDX-License-Identifier: Apache-2.0
import LockCore
import Logging
import NIOCore
import NIOPosix
import Primitives
import RaftCore
import Replica
import ServiceLifecycle
import Synchronization
import Testing

@testable import Gateway

@Suite("The HTTP server on real sockets")
struct HTTPTests {
    struct Reply {
        var status: Int
        var head: String
        var body: String

        var json: JSONValue? { try? JSONParser.parse(body) }

        init(_ text: String) {
            let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
            head = String(parts[0])
            body = parts.count > 1 ? String(parts[1]) : ""
            status = Int(text.dropFirst(9).prefix(3)) ?? 0
        }
    }

    func withServer(
        _ configuration: HTTPConfiguration = HTTPConfiguration(port: 0),
        ports: LoopPorts,
        administration: FakeAdministration = FakeAdministration(),
        observer: any GatewayObserver = SilentObserver(),
        cache: @escaping @Sendable (any EventLoop) -> (any CachePort)? = { _ in nil },
        metrics: @escaping @Sendable () -> String = { "syncline_up 1\n" },
        _ body: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let gateway = HTTPGateway(
            configuration: configuration,
            identity: ServerIdentity(nodeName: "node-0", version: "0.1.0"),
            requests: AsyncRequests(loops: [ports.loop], cache: cache, port: ports.provider),
            administration: administration,
            observer: observer,
            logger: logger,
            metrics: metrics
        )
        let (running, source) = AsyncStream<Int>.makeStream()
        let application = gateway.application(group: MultiThreadedEventLoopGroup.singleton) { channel in
            source.yield(channel.localAddress?.port ?? 0)
        }
        let group = ServiceGroup(configuration: .init(services: [application], logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            for await port in running {
                do {
                    try await body(port)
                } catch {
                    await group.triggerGracefulShutdown()
                    throw error
                }
                break
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    func exchange(_ port: Int, _ method: String, _ path: String, _ body: String = "") async throws -> Reply {
        let connection = try await RawConnection(port: port)
        try await connection.send(
            "\(method) \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        )
        return Reply(try await connection.untilClosed())
    }

    /// What the cluster answers in the test below.
    private static func answer(_ request: Request) -> Response? {
        switch request {
        case .command(.openSession(let open)): .lock(.sessionOpened(open.id, ttlMilliseconds: open.ttlMilliseconds))
        case .command(.acquire(let acquire)) where acquire.items.count > 1:
            .lock(.granted(tokens: [4, 4], holds: 1))
        case .command(.acquire(let acquire)) where acquire.items[0].name == "taken":
            .lock(
                .notAcquired(holders: [
                    HolderView(
                        session: SessionID("t"),
                        label: "web",
                        mode: .exclusive,
                        token: 3,
                        count: 1,
                        ageMilliseconds: 9
                    )
                ])
            )
        case .command(.acquire): .lock(.granted(tokens: [7], holds: 1))
        case .command(.release): .lock(.released(left: 0))
        case .renew: .lock(.refused(.noSession(SessionID("n/s"))))
        case .query(.object, _): .lock(.object(nil))
        case .query: .unavailable(.unknown, reason: "no leader")
        default: nil
        }
    }

    @Test("requests reach the cluster and answers come back as JSON")
    func answers() async throws {
        let ports = try await LoopPorts(answer: Self.answer)
        try await withServer(ports: ports) { port in
            let opened = try await exchange(
                port,
                "POST",
                "/v1/sessions",
                #"{"id": "x", "namespace": "n", "ttl_ms": 2000}"#
            )
            #expect(opened.status == 201 && opened.body == "{\"session\":\"n/x\",\"ttl_ms\":2000}\n")
            let acquired = try await exchange(
                port,
                "POST",
                "/v1/locks/a%2Fb/acquire",
                #"{"session": "n/x", "mode": "shared"}"#
            )
            #expect(acquired.status == 200 && acquired.body == "{\"token\":7,\"mode\":\"shared\",\"holds\":1}\n")
            let held = try await exchange(port, "POST", "/v1/locks/taken/acquire", #"{"session": "s"}"#)
            #expect(held.status == 409 && held.head.contains("application/problem+json"))
            #expect(held.json?["code"]?.string == "held")
            #expect(held.json?["holders"]?.array?.first?["session"]?.string == "t")
            let all = try await exchange(
                port,
                "POST",
                "/v1/locks/acquire-all",
                #"{"session": "s", "locks": [{"name": "a"}, {"name": "b", "mode": "shared"}]}"#
            )
            #expect(all.json?["locks"]?.array?.count == 2)
            #expect(
                try await exchange(port, "POST", "/v1/locks/a/release", #"{"session": "s"}"#).json?["holds"]?.int == 0
            )
            let renewed = try await exchange(port, "POST", "/v1/sessions/n%2Fs/renew")
            #expect(renewed.status == 404 && renewed.json?["code"]?.string == "no_session")
            #expect(try await exchange(port, "GET", "/v1/locks/free").json?["code"]?.string == "not_found")
            let unknown = try await exchange(port, "GET", "/v1/locks?prefix=a+b&limit=5")
            #expect(unknown.status == 504 && unknown.json?["outcome"]?.string == "unknown")
            let names = try await ports.with { $0.requests }
            #expect(names.contains(.renew(SessionID("n/s"))))
            #expect(names.contains(.query(.list(namespace: "default", prefix: "a b", cursor: 0, limit: 5), .readIndex)))
            #expect(
                names.contains {
                    if case .command(.acquire(let asked)) = $0 { asked.items[0].name == "a/b" } else { false }
                }
            )
        }
    }

    @Test("every mistake gets a problem document that names it")
    func problems() async throws {
        let cases: [(String, String, String, Int, String, String)] = [
            ("GET", "/nowhere", "", 404, "not_found", "/nowhere"),
            ("DELETE", "/v1/locks/a", "", 405, "method_not_allowed", "use GET or HEAD"),
            ("POST", "/v1/locks/a/acquire", "{", 400, "bad_request", "not valid JSON"),
            ("POST", "/v1/locks/a/acquire", "[]", 400, "bad_request", "field 'body' must be an object"),
            ("POST", "/v1/locks/a/acquire", "{}", 400, "bad_request", "session is required"),
            ("POST", "/v1/locks/a/acquire", #"{"session": 5}"#, 400, "bad_request", "field 'session' must be a string"),
            (
                "POST", "/v1/locks/a/acquire", #"{"sesion": "s"}"#, 400, "bad_request",
                "unknown field 'sesion'; did you mean 'session'?"
            ),
            (
                "POST", "/v1/locks/a/acquire", #"{"session": "s", "wait_ms": -1}"#, 400, "bad_request",
                "value of wait_ms is out of range"
            ),
            (
                "POST", "/v1/locks/a/acquire", #"{"session": "s", "wait_ms": 1.5}"#, 400, "bad_request",
                "'wait_ms' must be an integer"
            ),
            (
                "POST", "/v1/locks/a/acquire", #"{"session": "s", "mode": "big"}"#, 400, "bad_request",
                "'big' is no mode"
            ),
            (
                "POST", "/v1/locks/a/acquire", #"{"session": "s", "session": "t"}"#, 400, "bad_request",
                "'session' is given twice"
            ),
            (
                "POST", "/v1/locks/\(String(repeating: "x", count: 513))/acquire", #"{"session": "s"}"#, 400,
                "bad_request", "name is too long"
            ),
            ("GET", "/v1/locks/%ff", "", 400, "bad_request", "not percent-encoded UTF-8"),
            ("GET", "/v1/locks?limit=many", "", 400, "bad_request", "'limit' must be an integer"),
            ("GET", "/v1/locks?limt=5", "", 400, "bad_request", "did you mean 'limit'?"),
            ("POST", "/v1/cluster/transfer", #"{"shard": 70000}"#, 400, "bad_request", "between 0 and 65535"),
            ("POST", "/v1/cluster/transfer", #"{"target": "node-9"}"#, 404, "not_found", "node-9"),
            ("POST", "/v1/cluster/transfer", #"{"shard": 3}"#, 409, "not_leader", "ask node 'node-1'"),
            ("POST", "/v1/cluster/transfer", #"{"target": "node-8"}"#, 409, "not_replica", "'node-8' keeps no copy"),
            ("POST", "/v1/cluster/transfer", #"{"target": "node-0"}"#, 409, "leads_already", "'node-0' is the leader"),
            ("POST", "/v1/sessions", String(repeating: " ", count: 70_000), 413, "too_large", "65536 bytes"),
        ]
        try await withServer(ports: LoopPorts()) { port in
            for (method, path, body, status, code, detail) in cases {
                let reply = try await exchange(port, method, path, body)
                #expect(
                    reply.status == status && reply.json?["status"]?.int == Int64(status),
                    "\(method) \(path): \(reply)"
                )
                #expect(reply.json?["code"]?.string == code, "\(method) \(path): \(reply)")
                #expect(reply.json?["detail"]?.string?.contains(detail) == true, "\(method) \(path): \(reply)")
                #expect(reply.head.contains("application/problem+json"))
            }
            #expect(
                try await exchange(port, "DELETE", "/v1/locks/a").head.lowercased().contains("\r\nallow: get, head")
            )
        }
    }

    @Test("bytes that are not HTTP are answered with 400, and the connection closes")
    func notHTTP() async throws {
        try await withServer(ports: LoopPorts()) { port in
            for bytes in ["*1\r\n$4\r\nPING\r\n", "PING\r\n\r\n", "GET / HTTP/1.1\r\nbad header\r\n\r\n"] {
                let connection = try await RawConnection(port: port)
                try await connection.send(bytes)
                let reply = Reply(try await connection.untilClosed())
                #expect(reply.status == 400 && reply.json?["code"]?.string == "malformed_http", "\(reply)")
            }
            let connection = try await RawConnection(port: port)
            try await connection.send(
                "GET / HTTP/1.1\r\nHost: x\r\nX-Long: \(String(repeating: "x", count: 20_000))\r\n\r\n"
            )
            #expect(Reply(try await connection.untilClosed()).status == 400)
        }
    }

    @Test("a request that does not arrive in time ends its connection, however it trickles; a wait does not")
    func slowRequests() async throws {
        let limit = TimeAmount.milliseconds(300)
        let configuration = HTTPConfiguration(port: 0, idleTimeout: limit, requestTimeout: limit)
        let ports = try await LoopPorts()
        try await withServer(configuration, ports: ports) { port in
            let waiting = try await RawConnection(port: port)
            let body = #"{"session": "s", "wait_ms": "forever"}"#
            let head = "POST /v1/locks/a/acquire HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
            try await waiting.send(head + body)
            try await ports.until { $0.submitted.count == 1 }

            for (start, more) in [("", ""), ("GET / HTTP/1.1\r\nX: ", "x"), (head, "x")] {
                let connection = try await RawConnection(port: port)
                try await connection.send(start)
                let channel = connection.channel
                let trickle = channel.eventLoop.scheduleRepeatedTask(
                    initialDelay: .milliseconds(30),
                    delay: .milliseconds(30)
                ) { _ in channel.writeAndFlush(ByteBuffer(string: more), promise: nil) }
                _ = try await connection.untilClosed()
                trickle.cancel()
            }
            #expect(try await ports.with { $0.cancelled.isEmpty }, "the wait outlived three limits")
            await waiting.close()
        }
    }

    @Test("the node tells about itself")
    func node() async throws {
        try await withServer(
            ports: LoopPorts(),
            administration: FakeAdministration(notReady: ["shard 3 has no leader"])
        ) { port in
            #expect(try await exchange(port, "GET", "/livez").body == "ok\n")
            let ready = try await exchange(port, "GET", "/readyz")
            #expect(ready.status == 503 && ready.json?["detail"]?.string == "shard 3 has no leader")
            #expect(try await exchange(port, "GET", "/health").json?["status"]?.string == "degraded")
            #expect(try await exchange(port, "GET", "/metrics").body == "syncline_up 1\n")
            #expect(try await exchange(port, "GET", "/version").json?["version"]?.string == "0.1.0")
            #expect(try await exchange(port, "GET", "/v1/cluster").json?["nodes"]?.array?.count == 1)
            #expect(try await exchange(port, "GET", "/v1/cluster/shards").json?["shards"]?.array?.count == 1)
            #expect(try await exchange(port, "POST", "/v1/cluster/transfer").status == 202)
            #expect(try await exchange(port, "GET", "/").body.contains("/v1/locks/{name}/acquire"))
            let head = try await exchange(port, "HEAD", "/version")
            #expect(head.status == 200 && head.body.isEmpty)
        }
    }

    @Test("a waiting request whose client goes away leaves the line")
    func disconnect() async throws {
        let ports = try await LoopPorts()
        try await withServer(ports: ports) { port in
            let connection = try await RawConnection(port: port)
            let body = #"{"session": "s", "wait_ms": "forever"}"#
            try await connection.send(
                "POST /v1/locks/a/acquire HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            )
            try await ports.until { $0.submitted.count == 1 }
            await connection.close()
            try await ports.until { $0.cancelled.count == 1 }
        }
    }

    @Test("events stream until the client goes away")
    func events() async throws {
        let ports = try await LoopPorts()
        try await withServer(ports: ports) { port in
            let connection = try await RawConnection(port: port)
            try await connection.send("GET /v1/events?namespace=n&name=a HTTP/1.1\r\nHost: x\r\n\r\n")
            try await ports.until { $0.watching.count == 1 }
            #expect(try await ports.with { $0.watching[0].namespace == "n" && $0.watching[0].names == ["a"] })
            try await ports.with {
                $0.tell(.granted(namespace: "n", name: "a", session: SessionID("n/s"), mode: .shared, token: 5))
                $0.tell(.sessionEnded(SessionID("n/s"), .expired))
            }
            let text = try await connection.until { $0.contains("event: session") }
            #expect(
                text.contains(
                    "event: lock\ndata: {\"event\":\"granted\",\"namespace\":\"n\",\"name\":\"a\","
                        + "\"session\":\"n/s\",\"mode\":\"shared\",\"token\":5}\n\n"
                )
            )
            await connection.close()
            try await ports.until { $0.watching.isEmpty }
            // A stream and a wait still open must not hold up the server's stop.
            let open = try await RawConnection(port: port)
            try await open.send("GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
            try await ports.until { $0.watching.count == 1 }
        }
    }

    @Test("the OpenAPI document and the route table say the same")
    func openAPI() throws {
        let document = try JSONParser.parse(OpenAPIDocument.text)
        let paths = try #require(document["paths"]?.members)
        let methods = Set(HTTPMethod.allCases.map { $0.rawValue.lowercased() })
        let documented = Set(
            paths.flatMap { path in
                (path.value.members ?? []).map(\.name).filter(methods.contains).map {
                    "\($0.uppercased()) \(path.name)"
                }
            }
        )
        let served = Set(HTTPRouteTable.routes.map { "\($0.method.rawValue) \($0.path)" })
        #expect(documented == served)
        #expect(served.count == HTTPRouteTable.routes.count)
        // Bodies: the documented members are those that are read.
        for route in HTTPRouteTable.routes where !route.body.isEmpty {
            let operation = document["paths"]?[route.path]?[route.method.rawValue.lowercased()]
            let reference = operation?["requestBody"]?["content"]?["application/json"]?["schema"]?["$ref"]?.string ?? ""
            let name = reference.split(separator: "/").last.map(String.init) ?? ""
            let members = document["components"]?["schemas"]?[name]?["properties"]?.members?.map(\.name) ?? []
            #expect(Set(members) == Set(route.body.map(\.json)), "\(route.path)")
        }
        // References lead somewhere.
        let referenced = OpenAPIDocument.text.split(separator: "\"#/components/").dropFirst().map {
            $0.prefix { $0 != "\"" }
        }
        for reference in Set(referenced) {
            let parts = reference.split(separator: "/").map(String.init)
            #expect(document["components"]?[parts[0]]?[parts[1]] != nil, "\(reference)")
        }
    }
}

@Suite("JSON")
struct JSONTests {
    @Test("texts that are not JSON are refused, each with its reason")
    func refusals() {
        let bad = [
            "", "{", "[1,]", "{\"a\":1,}", "{a:1}", "01", "1.", "-", "1e", "nul", "\"\u{1}\"", "\"\\x\"", "\"\\u12\"",
            "\"\\ud800\"", "\"abc", "{\"a\":1 \"b\":2}", "1 2", "{\"a\":1,\"a\":2}", String(repeating: "[", count: 40),
        ]
        for text in bad { #expect(throws: JSONError.self, "\(text)") { try JSONParser.parse(text) } }
    }

    @Test("what is written reads back the same")
    func roundTrip() throws {
        let value = JSONValue.object(
            ("a", .array([.null, .bool(true), .integer(-5), .unsigned(.max), .double(1.5)])),
            ("é\"\\\n\u{1}", .string("😀/\t")),
            ("o", .object([]))
        )
        #expect(try JSONParser.parse(value.text) == value)
        let escaped = #" [ "\u00e9\ud83d\ude00\/" , 1e2 ] "#
        #expect(try JSONParser.parse(escaped) == .array([.string("é😀/"), .double(100)]))
    }

    @Test("suggestions are near, or none")
    func suggestions() {
        #expect(Suggestion.nearest(to: "wiat", among: ["WAIT", "MODE"]) == "WAIT")
        #expect(Suggestion.nearest(to: "zzzz", among: ["WAIT", "MODE"]) == nil)
    }
}
