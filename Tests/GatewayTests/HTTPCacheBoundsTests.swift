// SPDX-License-Identifier: Apache-2.0
import CacheCore
import NIOCore
import Primitives
import Testing

@testable import Gateway

/// What requests to the cache may not be, and what becomes of those that fail.
extension HTTPTests {
    @Test(
        "requests that are wrong are refused before they reach the cache",
        arguments: [
            ("PUT", "/cache/a?ttl_ms=0", "ttl_ms"), ("PUT", "/cache/a?ttl_ms=-1", "ttl_ms"),
            ("PUT", "/cache/a?ttl_ms=1&keep_ttl=true", "keep_ttl"),
            ("PUT", "/cache/a?tll_ms=1", "did you mean 'ttl_ms'"),
            ("PUT", "/cache/a?durability=none", "durability"), ("PUT", "/cache/a?lock=l", "lock"),
            ("DELETE", "/cache/a?ttl_ms=1", "unknown field"), ("GET", "/cache/a?ttl_ms=1", "unknown field"),
            ("GET", "/cache/%GG", "percent-encoded"), ("GET", "/keys?limit=0", "limit"),
            ("GET", "/keys?cursor=x", "cursor"), ("GET", "/keys?cursor=-1", "cursor"),
            ("GET", "/keys?cursor=1.5", "cursor"),
            ("GET", "/keys?cursor=18446744073709551616", "cursor"),
        ]
    )
    func cacheRefusals(method: String, path: String, text: String) async throws {
        try await withCache { call, backend async throws in
            let reply = try await call(method, path)
            #expect(reply.status == 400 && reply.code == "bad_request" && reply.body.contains(text), "\(reply)")
            #expect(try await backend.with { $0.calls.isEmpty })
        }
    }

    @Test("a key of 4096 bytes and a value of 8 MiB are taken, and nothing larger")
    func cacheSizes() async throws {
        try await withCache { call, backend async throws in
            let key = String(repeating: "k", count: CacheLimits.keyBytes)
            #expect(try await call.put(key, "x").status == 200)
            let long = try await call.put(key + "k", "x")
            #expect(long.status == 400 && long.body.contains("too long"), "\(long)")
            let value = [UInt8](repeating: 7, count: CacheLimits.valueBytes)
            #expect(try await call("PUT", "/cache/a", body: value).status == 200)
            #expect(try await backend.with { $0.entries[CacheKey("a")]?.value.count } == value.count)
            let large = try await call("PUT", "/cache/b", body: value + [7])
            #expect(large.status == 413 && large.code == "too_large", "\(large)")
            #expect(try await backend.with { $0.entries[CacheKey("b")] } == nil)
        }
    }

    @Test(
        "a write that fails says what became of it",
        arguments: [
            (CacheFailure.busy(reason: "r"), 503, "busy", "not_done", "1"),
            (.unavailable(reason: "r"), 503, "unavailable", "not_done", "1"),
            (.unknown(reason: "r"), 504, "unknown", "unknown", nil),
            (.partly(reason: "r"), 503, "partly_done", "partly_done", nil),
            (.memoryDown(reason: "r"), 503, "backend_down", "not_done", "1"),
            (.disabled, 400, "invalid", "not_done", nil),
        ] as [(CacheFailure, Int, String, String, String?)]
    )
    func cacheFailures(
        failure: CacheFailure,
        status: Int,
        code: String,
        outcome: String,
        retry: String?
    ) async throws {
        try await withCache { call, backend async throws in
            try await backend.with { $0.failure = failure }
            let reply = try await call.put("a", "1")
            #expect(reply.status == status && reply.code == code && reply.outcome == outcome, "\(reply)")
            #expect(reply.field("Retry-After") == retry)
        }
    }

    @Test(
        "a write that is refused says why",
        arguments: [
            (CacheRefusal.fenced, 409, "fenced"), (.outOfMemory, 507, "oom"), (.tooDirty, 503, "busy"),
            (.memoryDown, 503, "backend_down"),
        ]
    )
    func cacheWriteRefusals(refusal: CacheRefusal, status: Int, code: String) async throws {
        try await withCache { call, backend async throws in
            try await backend.with { $0.refusal = refusal }
            let reply = try await call.put("a", "1")
            #expect(reply.status == status && reply.code == code && reply.outcome == "not_done", "\(reply)")
        }
    }

    @Test("a node that does not serve the cache says so")
    func cacheDisabled() async throws {
        try await withServer(ports: try await LoopPorts()) { port in
            let reply = try await exchange(port, "GET", "/v1/cache/a")
            #expect(reply.status == 400 && reply.body.contains("does not serve the cache"), "\(reply)")
        }
    }

    @Test(
        "a path with an empty part names no key, and above all no other one",
        arguments: [
            ("GET", "/cache/"), ("PUT", "/cache/"), ("GET", "/cache//"), ("PUT", "/cache//a"), ("PUT", "/cache/a/"),
            ("DELETE", "/cache/a/"), ("DELETE", "/cache/a//"), ("POST", "/cache//increment"),
            ("POST", "/cache//flush"), ("GET", "//cache/a"), ("POST", "/cache/flush/"), ("DELETE", "/locks//a"),
        ]
    )
    func emptyParts(method: String, path: String) async throws {
        try await withCache { call, backend async throws in
            let reply = try await call(method, path)
            #expect(reply.status == 400 && reply.code == "bad_request", "\(reply)")
            #expect(reply.body.contains("empty part") && reply.body.contains("%2F"))
            #expect(try await backend.with { $0.calls.isEmpty })
        }
    }

    @Test("a slash in a key is one byte of it, and one at the end of other paths is forgiven")
    func slashes() async throws {
        try await withCache { call, backend async throws in
            for key in ["%2F", "a%2F", "%2F%2Fa"] { #expect(try await call.put(key, key).status == 200) }
            let keys = try await backend.with { $0.entries.keys.map(\.description).sorted() }
            #expect(keys == ["/", "//a", "a/"])
            #expect(try await call("GET", "/keys/count/").body == "{\"keys\":3}\n")
        }
    }

    @Test("paths of other routes must still be text")
    func otherPathsAreText() async throws {
        try await withCache { call, _ async throws in
            #expect(try await call("GET", "/locks/%FF").status == 400)
            #expect(try await call("GET", "/cache/%FF").status == 404)
        }
    }

    @Test("the OpenAPI document tells the cache's parameters and figures as they are")
    func cacheOpenAPI() throws {
        let document = try JSONParser.parse(OpenAPIDocument.text)
        for route in CacheRoutes.all {
            let operation = document["paths"]?[route.path]?[route.method.rawValue.lowercased()]
            let named = (operation?["parameters"]?.array ?? []).compactMap { parameter in
                if parameter["in"]?.string == "header" { return String?.none }
                if let name = parameter["name"]?.string { return name }
                let component = parameter["$ref"]?.string?.split(separator: "/").last.map(String.init) ?? ""
                return document["components"]?["parameters"]?[component]?["name"]?.string
            }
            #expect(Set(named) == Set((route.query + route.raw).map(\.json)), "\(route.method) \(route.path)")
        }
        let line = JSONViews.line(LineReport(shard: ShardID(0), home: nil, epoch: 1, nodes: []), CacheKey("k"))
        for (schema, value) in [("CacheStatistics", JSONViews.statistics(CacheStatistics())), ("CacheLine", line)] {
            let members = document["components"]?["schemas"]?[schema]?["properties"]?.members?.map(\.name) ?? []
            #expect(Set(members) == Set(value.members?.map(\.name) ?? []), "\(schema)")
        }
    }
}
