// SPDX-License-Identifier: Apache-2.0
import CacheCore
import NIOCore
import Primitives
import Testing

@testable import Gateway

/// The cache over HTTP, on real sockets and a cache of one node.
extension HTTPTests {
    // MARK: Values

    @Test("a value of any bytes under a key of any bytes comes back unchanged, with its version and state")
    func cacheBytes() async throws {
        try await withCache { call, backend async throws in
            let all = (0...255).map { UInt8($0) }
            let name = all.dropFirst().map { "%" + hexadecimal($0) }.joined()
            let set = try await call("PUT", "/cache/\(name)", body: all)
            #expect(set.status == 200 && set.body == "{\"version\":\"1\"}\n" && set.field("ETag") == "\"1\"", "\(set)")
            #expect(try await backend.with { $0.entries[CacheKey(Array(all.dropFirst()))]?.value } == all)

            let connection = try await RawConnection(port: call.port)
            try await connection.send("GET /v1/cache/\(name) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            try await connection.untilClosed()
            #expect(connection.bytes.suffix(256).elementsEqual(all))
            let read = Reply(connection.text)
            #expect(read.status == 200 && read.field("Content-Type") == "application/octet-stream", "\(read.head)")
            #expect(read.field("ETag") == "\"1\"" && read.field("Syncline-State") == "S")
            #expect(read.field("Syncline-TTL-Ms") == nil && read.field("Cache-Control") == "no-cache")
        }
    }

    @Test("JSON, forms and empty bodies are values like any other")
    func cacheContentTypes() async throws {
        try await withCache { call, _ async throws in
            #expect(try await call.put("a", #"{"value": 1}"#, "Content-Type: application/json").status == 200)
            #expect(try await call("GET", "/cache/a").body == #"{"value": 1}"#)
            let form = "Content-Type: application/x-www-form-urlencoded"
            #expect(try await call.put("a", "{", form).status == 200)
            #expect(try await call("GET", "/cache/a").body == "{")
            #expect(try await call("PUT", "/cache/a").status == 200)
            let empty = try await call("GET", "/cache/a")
            #expect(empty.status == 200 && empty.body.isEmpty && empty.field("Content-Length") == "0")
            let head = try await call("HEAD", "/cache/a")
            #expect(head.status == 200 && head.field("ETag") == "\"3\"")
        }
    }

    @Test("a key that is not there: 404 to a read, and removing it is no error")
    func cacheAbsent() async throws {
        try await withCache { call, backend async throws in
            let read = try await call("GET", "/cache/nothing")
            #expect(read.status == 404 && read.code == "no_key" && read.head.contains("application/problem+json"))
            try await backend.with { $0.hasHits = true }
            #expect(try await call("GET", "/cache/nothing").status == 404)
            let removed = try await call("DELETE", "/cache/nothing")
            #expect(removed.status == 200 && removed.body == "{\"removed\":false}\n")
            try await backend.with { $0.store(CacheKey("a"), [1]) }
            #expect(try await call("DELETE", "/cache/a").body == "{\"removed\":true}\n")
            #expect(try await backend.with { $0.entries.isEmpty })
        }
    }

    @Test("a read that the node may answer from its own memory is no call to the cache")
    func cacheHit() async throws {
        try await withCache { call, backend async throws in
            try await backend.with {
                $0.hasHits = true
                $0.store(CacheKey("a"), [0x78])
            }
            #expect(try await call("GET", "/cache/a").body == "x")
            #expect(try await backend.with { $0.hits } == 1)
            #expect(try await backend.with { $0.calls.isEmpty })
        }
    }

    @Test("what a write says reaches the cache")
    func cacheOptions() async throws {
        try await withCache { call, backend async throws in
            let lock = "%7B%22name%22:%22l%22,%22token%22:7,%22namespace%22:%22n%22%7D"
            #expect(try await call.put("a?ttl_ms=5000&durability=volatile&lock=\(lock)", "x").status == 200)
            let options = try await backend.with { $0.options }
            #expect(options.count == 1)
            #expect(options[0].durability == .volatile)
            #expect(options[0].lock == CacheLockGuard(namespace: "n", name: "l", token: 7))
            #expect(try await backend.with { $0.entries[CacheKey("a")]?.expiresAt } == 1_005_000)
            #expect(try await call("GET", "/cache/a").field("Syncline-TTL-Ms") == "5000")
            #expect(try await call.put("a?keep_ttl=true", "y").status == 200)
            #expect(try await backend.with { $0.entries[CacheKey("a")]?.expiresAt } == 1_005_000)
            #expect(try await call.put("a", "z").status == 200)
            #expect(try await backend.with { $0.entries[CacheKey("a")]?.expiresAt } == 0)
            #expect(try await call("DELETE", "/cache/a?durability=through").status == 200)
            #expect(try await backend.with { $0.options.last?.durability } == .through)
        }
    }

    // MARK: Conditions

    @Test("compare and set by the version that a read showed")
    func cacheCompareAndSet() async throws {
        try await withCache { call, _ async throws in
            let first = try #require(try await call.put("a", "1").field("ETag"))
            let second = try #require(try await call.put("a", "2", "If-Match: \(first)").field("ETag"))
            let late = try await call.put("a", "3", "If-Match: \(first)")
            #expect(late.status == 412 && late.code == "condition_failed" && late.outcome == "not_done", "\(late)")
            #expect(late.json?["version"]?.string == "2")
            for tag in ["W/\(second)", "\"none\""] {
                #expect(try await call.put("a", "3", "If-Match: \(tag)").status == 412)
            }
            #expect(try await call("GET", "/cache/a").body == "2")
            #expect(try await call("DELETE", "/cache/a", "If-Match: \(first)").status == 412)
            #expect(try await call("DELETE", "/cache/a", "If-Match: \(second)").body == "{\"removed\":true}\n")
            #expect(try await call("DELETE", "/cache/a", "If-Match: *").status == 412)
        }
    }

    @Test("a value only where there is none, or only where there is one")
    func cacheExistence() async throws {
        try await withCache { call, _ async throws in
            #expect(try await call.put("a", "1", "If-Match: *").status == 412)
            #expect(try await call.put("a", "1", "If-None-Match: *").status == 200)
            #expect(try await call.put("a", "2", "If-None-Match: *").status == 412)
            #expect(try await call.put("a", "3", "If-Match: *").status == 200)
            #expect(try await call("GET", "/cache/a").body == "3")
        }
    }

    @Test("If-Match never creates a key, not by the version of an absent one either")
    func cacheMatchAbsent() async throws {
        try await withCache { call, backend async throws in
            for tag in ["\"0\"", "\"1\""] {
                let reply = try await call.put("a", "1", "If-Match: \(tag)")
                #expect(reply.status == 412 && reply.code == "condition_failed", "\(reply)")
            }
            let tag = try #require(try await call.put("a", "1").field("ETag"))
            #expect(try await call("DELETE", "/cache/a").status == 200)
            #expect(try await call.put("a", "2", "If-Match: \(tag)").status == 412)
            #expect(try await backend.with { $0.entries.isEmpty })
        }
    }

    @Test("a client's own copy is confirmed without being sent again")
    func cacheRevalidation() async throws {
        try await withCache { call, _ async throws in
            let tag = try #require(try await call.put("a", "1").field("ETag"))
            for header in ["If-None-Match: \(tag)", "If-None-Match: \"9\", W/\(tag)", "If-None-Match: *"] {
                let same = try await call("GET", "/cache/a", header)
                #expect(same.status == 304 && same.body.isEmpty && same.field("ETag") == tag, "\(header): \(same)")
            }
            #expect(try await call("GET", "/cache/a", "If-None-Match: \"9\"").body == "1")
            #expect(try await call("GET", "/cache/a", "If-Match: \(tag)").body == "1")
            #expect(try await call("GET", "/cache/a", "If-Match: \"9\"").status == 412)
            #expect(try await call("GET", "/cache/b", "If-Match: *").status == 412)
        }
    }

    @Test(
        "conditions that cannot be understood or kept are refused, and nothing is done",
        arguments: [
            "If-Match: 1", "If-Match: \"1", "If-Match: ,", "If-Match: \"1\", \"2\"", "If-None-Match: \"1\"",
            "If-Match: *\r\nIf-None-Match: *",
        ]
    )
    func cacheBadConditions(header: String) async throws {
        try await withCache { call, backend async throws in
            for reply in [try await call.put("a", "1", header), try await call("DELETE", "/cache/a", header)] {
                #expect(reply.status == 400 && reply.code == "bad_request", "\(reply)")
            }
            #expect(try await backend.with { $0.calls.isEmpty })
        }
    }

    @Test("a condition that a request does not know is refused, not ignored")
    func cacheForeignConditions() async throws {
        try await withCache { call, backend async throws in
            #expect(try await call.put("a", "1").status == 200)
            let before = try await backend.with { $0.calls }
            for (method, path, header) in [
                ("DELETE", "/cache/a", "If-None-Match: *"), ("DELETE", "/cache/a", "If-None-Match: \"9\""),
                ("DELETE", "/cache/b", "If-None-Match: *"), ("POST", "/cache/a/increment", "If-Match: \"9\""),
                ("POST", "/cache/a/expire", "If-None-Match: *"),
            ] {
                let reply = try await call(method, path, header)
                #expect(reply.status == 400 && reply.code == "bad_request", "\(method) \(path) \(header): \(reply)")
                #expect(reply.body.contains("If-None-Match") && reply.outcome == "not_done")
            }
            #expect(try await backend.with { $0.calls } == before)
        }
    }

    // MARK: Numbers and lives

    @Test("numbers are added to, and what is none is refused")
    func cacheIncrement() async throws {
        try await withCache { call, backend async throws in
            #expect(try await call("POST", "/cache/n/increment").body == "{\"value\":1,\"version\":\"1\"}\n")
            let lower = try await call.json("POST", "/cache/n/increment", #"{"by": -5, "durability": "local"}"#)
            #expect(lower.json?["value"]?.int == -4)
            #expect(try await backend.with { $0.options.last?.durability } == .local)
            #expect(try await call.put("t", "text").status == 200)
            let refused = try await call("POST", "/cache/t/increment")
            #expect(refused.status == 400 && refused.code == "invalid", "\(refused)")
            #expect(refused.json?["detail"]?.string == "value is not an integer or out of range")
        }
    }

    @Test("a key's life is set and taken away")
    func cacheExpire() async throws {
        try await withCache { call, backend async throws in
            #expect(try await call.json("POST", "/cache/a/expire", #"{"ttl_ms": 9}"#).json?["changed"] == .bool(false))
            #expect(try await call.put("a", "1").status == 200)
            #expect(try await call.json("POST", "/cache/a/expire", #"{"ttl_ms": 9}"#).json?["changed"] == .bool(true))
            #expect(try await backend.with { $0.entries[CacheKey("a")]?.expiresAt } == 1_000_009)
            #expect(try await call("POST", "/cache/a/expire").json?["changed"] == .bool(true))
            #expect(try await backend.with { $0.entries[CacheKey("a")]?.expiresAt } == 0)
        }
    }

    // MARK: Many keys and the node

    @Test("keys come page by page, those that are no text in base 64")
    func cacheKeys() async throws {
        try await withCache { call, backend async throws in
            try await backend.with { cache in
                for number in 0..<5 { cache.store(CacheKey("k\(number)"), []) }
                cache.store(CacheKey([0xff]), [])
            }
            var keys: [JSONValue] = []
            var cursor = "0"
            repeat {
                let page = try await call("GET", "/keys?cursor=\(cursor)&limit=4")
                keys += page.json?["keys"]?.array ?? []
                cursor = try #require(page.json?["cursor"]?.string)
            } while cursor != "0"
            #expect(keys == (0..<5).map { .string("k\($0)") } + [.object(("base64", .string("/w==")))])
            #expect(
                try await call("GET", "/keys?match=k%5B13%5D").body == "{\"keys\":[\"k1\",\"k3\"],\"cursor\":\"0\"}\n"
            )
            #expect(try await call("GET", "/keys/count").body == "{\"keys\":6}\n")
            #expect(try await call("POST", "/cache/clear").body == "{\"cleared\":true}\n")
            #expect(try await call("GET", "/keys/count").body == "{\"keys\":0}\n")
        }
    }

    @Test("a cursor is any number of 64 bits, and reaches the cache as it is")
    func cacheCursors() async throws {
        try await withCache { call, backend async throws in
            for cursor in [1 << 53 + 1, UInt64(Int64.max), .max] {
                #expect(try await call("GET", "/keys?cursor=\(cursor)&limit=7").status == 200)
                #expect(try await backend.with { $0.calls.last } == "scan \(cursor) 7")
            }
            try await backend.with { $0.next = .max - 1 }
            #expect(try await call("GET", "/keys").json?["cursor"] == .string("18446744073709551614"))
        }
    }

    @Test("what every node holds of a key, and this node's figures")
    func cacheLine() async throws {
        try await withCache { call, backend async throws in
            try await backend.with { cache in
                let version = CacheVersion(index: 9, minor: 2)
                cache.report.nodes = [
                    NodeLine(node: "a", state: .modified, version: version, leaseRemaining: 5, isReachable: true),
                    NodeLine(node: "b", state: .invalid, version: nil, leaseRemaining: nil, isReachable: false),
                ]
                cache.figures.hits = 3
                cache.figures.lines[Int(LineState.shared.rawValue)] = 2
                cache.figures.transitions[1] = 4
            }
            #expect(
                try await call("GET", "/cache/a%2Fb/line").body
                    == #"{"key":"a/b","shard":3,"home":"node-1","epoch":7,"nodes":["#
                    + #"{"node":"a","reachable":true,"state":"M","version":"9.2","lease_ms":5},"#
                    + #"{"node":"b","reachable":false,"state":"I","version":null,"lease_ms":null}]}"# + "\n"
            )
            let figures = try await call("GET", "/cache").json
            #expect(figures?["hits_total"]?.int == 3 && figures?["misses_total"]?.int == 0)
            #expect(figures?["lines"]?.text == #"{"I":0,"S":2,"E":0,"M":0}"#)
            #expect(figures?["transitions"]?.text == #"{"IS":4}"#)
            #expect(try await call("POST", "/cache/flush").body == "{\"lines\":4}\n")
            #expect(try await call.json("POST", "/cache/flush", #"{"all": true}"#).body == "{\"lines\":9}\n")
            #expect(try await call("POST", "/cache/a/evict").body == "{\"evicted\":false}\n")
        }
    }

    @Test("keys that are called like a route are keys")
    func cacheKeyNames() async throws {
        try await withCache { call, _ async throws in
            for key in ["flush", "clear", "line", "keys"] {
                #expect(try await call.put(key, key).status == 200)
                #expect(try await call("GET", "/cache/\(key)").body == key)
            }
        }
    }
}

private func hexadecimal(_ byte: UInt8) -> String {
    let text = String(byte, radix: 16)
    return text.count == 1 ? "0" + text : text
}
