// SPDX-License-Identifier: Apache-2.0
import Testing

extension RealProcesses {
    @Suite("Bad input on the HTTP port", .serialized)
    struct BadHTTPInput {
        private struct Case {
            let method: String
            let path: String
            let body: String?
            let statuses: Set<Int>

            init(_ method: String, _ path: String, _ body: String? = nil, _ statuses: Int...) {
                self.method = method
                self.path = path
                self.body = body
                self.statuses = Set(statuses)
            }
        }

        private static func cases(session: String) -> [Case] {
            let long = String(repeating: "n", count: 513)
            return [
                Case("POST", "/v1/sessions", "{", 400),
                Case("POST", "/v1/sessions", "[]", 400),
                Case("POST", "/v1/sessions", "\"text\"", 400),
                Case("POST", "/v1/sessions", "{\"ttl_ms\": \"long\"}", 400),
                Case("POST", "/v1/sessions", "{\"ttl_ms\": 1}", 400),
                Case("POST", "/v1/sessions", "{\"ttl_ms\": -1}", 400),
                Case("POST", "/v1/sessions", "{\"ttl_ms\": 3600001}", 400),
                Case("POST", "/v1/sessions", "{\"ttl_ms\": 99999999999999999999999999}", 400),
                Case("POST", "/v1/sessions", "{\"ttl_ms\": 1e400}", 400),
                Case("POST", "/v1/sessions", String(repeating: "[", count: 100_000), 400, 413),
                Case("POST", "/v1/locks/a/acquire", "{}", 400),
                Case("POST", "/v1/locks/a/acquire", "{\"session\": \"\(session)\", \"mode\": \"sideways\"}", 400),
                Case("POST", "/v1/locks/a/acquire", "{\"session\": \"\(session)\", \"wait_ms\": -1}", 400),
                Case("POST", "/v1/locks/a/acquire", "{\"session\": \"never-opened\"}", 404, 409),
                Case("POST", "/v1/locks/\(long)/acquire", "{\"session\": \"\(session)\"}", 400),
                Case("POST", "/v1/locks/%ff%fe/acquire", "{\"session\": \"\(session)\"}", 400),
                Case("POST", "/v1/locks/a/release", "{\"session\": \"\(session)\"}", 409, 404),
                Case("POST", "/v1/sessions/never-opened/renew", "", 404),
                Case("DELETE", "/v1/sessions/never-opened", nil, 404),
                Case("GET", "/v1/sessions/never-opened", nil, 404),
                Case("GET", "/v1/locks/no-such-lock", nil, 404),
                Case("GET", "/v1/locks?limit=-1", nil, 400),
                Case("GET", "/v1/locks?cursor=x", nil, 400),
                Case("GET", "/v1/no-such-route", nil, 404),
                Case("PATCH", "/v1/sessions", "{}", 405),
                Case("DELETE", "/v1/locks", nil, 405),
            ]
        }

        @Test("each gets a problem document (RFC 9457) with a stable code, and changes nothing")
        func requests() throws {
            try withCluster(nodes: 1) { cluster in
                let node = cluster.nodes[0]
                let session = try LockClient(node).openSession()
                let before = try node.shards().map { [$0.sessions, $0.objects] }
                var wrong: [String] = []
                for item in Self.cases(session: session) {
                    let answer = try node.http(item.method, item.path, body: item.body)
                    if !item.statuses.contains(answer.status) || !answer.isProblem {
                        wrong.append(
                            "\(item.method) \(item.path.prefix(40)) \(item.body?.prefix(40) ?? ""): "
                                + "\(answer.status) \(answer.text.prefix(160)), expected \(item.statuses.sorted())"
                        )
                    }
                }
                #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
                #expect(try node.shards().map { [$0.sessions, $0.objects] } == before)
            }
        }

        @Test("a deadlock is a 409 with its cycle; the other request goes on")
        func deadlock() throws {
            try withCluster { cluster in
                let waiter = try LockClient(cluster.nodes[0])
                let first = try waiter.openSession()
                let second = try LockClient(cluster.nodes[1]).openSession()
                _ = try waiter.acquire("a", session: first)
                _ = try LockClient(cluster.nodes[1]).acquire("b", session: second)
                try waiter.connection.send(["LOCK.ACQUIRE", "b", "SESSION", first, "WAIT", "FOREVER"])
                let body = "{\"session\": \"\(second)\", \"wait_ms\": 5000}"
                try eventually("the first request stands in line") {
                    try cluster.nodes[1].http("GET", "/v1/locks/b").text.contains(first)
                }
                let answer = try cluster.nodes[1].http("POST", "/v1/locks/a/acquire", body: body)
                #expect(answer.status == 409 && answer.code == "deadlock" && answer.isProblem, "\(answer.text)")
                #expect(answer.text.contains(first) && answer.text.contains(second), "\(answer.text)")
                _ = try cluster.nodes[2].http("DELETE", "/v1/sessions/\(second)")
                #expect(try waiter.connection.reply(within: .seconds(10)).integer != nil)
            }
        }

        @Test("a held lock is a 409 with its holders")
        func conflicts() throws {
            try withCluster { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 1, prefix: "taken")
                let session = try LockClient(cluster.nodes[1]).openSession()
                let answer = try cluster.nodes[1].http(
                    "POST",
                    "/v1/locks/taken-0/acquire",
                    body: "{\"session\": \"\(session)\"}"
                )
                #expect(answer.status == 409 && answer.code == "held" && answer.isProblem, "\(answer.text)")
                #expect(answer.text.contains(held.session), "\(answer.text)")
            }
        }

        @Test("bytes that are no HTTP are answered with 400 or a close, in time")
        func frames() throws {
            let frames: [(String, [UInt8])] = [
                ("the Redis protocol", RESPConnection.encode(["PING"])),
                ("a line that is no request", Array("nonsense\r\n\r\n".utf8)),
                ("a header without end", Array("GET / HTTP/1.1\r\nX: ".utf8) + Array(repeating: 97, count: 1 << 20)),
                (
                    "a bad content length",
                    Array("POST /v1/sessions HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n".utf8)
                ),
                (
                    "a bad chunk",
                    Array("POST /v1/sessions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".utf8)
                ),
                ("zeros", [UInt8](repeating: 0, count: 2_048) + [13, 10, 13, 10]),
            ]
            try withCluster(nodes: 1) { cluster in
                let node = cluster.nodes[0]
                var wrong: [String] = []
                for (what, bytes) in frames {
                    let socket = try TCPSocket(host: node.host, port: node.httpPort)
                    try? socket.send(bytes)
                    guard let answer = try? socket.receiveToEnd(within: .seconds(15)) else {
                        wrong.append("\(what): left open")
                        continue
                    }
                    if let parsed = try? HTTPExchange.parse(answer), !(400..<500).contains(parsed.status) {
                        wrong.append("\(what): \(parsed.status)")
                    }
                }
                #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
                #expect(try node.http("GET", "/livez").status == 200)
            }
        }

        @Test("a body beyond the limit is a 413 problem document and is not read to its end")
        func largeBody() throws {
            try withCluster(nodes: 1) { cluster in
                let node = cluster.nodes[0]
                let head =
                    "POST /v1/sessions HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4000000000\r\n\r\n"
                let answer = try HTTPExchange.raw(
                    Array(head.utf8) + [UInt8](repeating: 32, count: 1 << 16),
                    host: node.host,
                    port: node.httpPort
                )
                #expect(answer.status == 413 && answer.isProblem, "\(answer.status) \(answer.text)")
            }
        }
    }
}
