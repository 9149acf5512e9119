// SPDX-License-Identifier: Apache-2.0
import CacheCore
import HTTPTypes
import NIOCore
import Primitives

/// The routes of the cache. Values are raw bytes, their versions entity tags.
enum CacheRoutes {
    static let all = keys + values + node

    /// Turns what is wrong with a request into its problem.
    private static func checked<Value>(_ body: () throws(BadRequest) -> Value) throws(Problem) -> Value {
        do throws(BadRequest) { return try body() } catch { throw Problem(error) }
    }

    private static func ok(_ members: (String, JSONValue)...) -> HTTPAnswer {
        .json(200, .object(members.map { JSONValue.Member($0.0, $0.1) }))
    }

    private static func tagged(_ version: CacheVersion, _ answer: HTTPAnswer) -> HTTPAnswer {
        .fields([.eTag: CacheFields.tag(version)], answer)
    }

    // MARK: Values

    private static let values: [HTTPRoute] = [
        HTTPRoute(
            .get,
            "/v1/cache/{key}",
            .cache,
            .cache { call throws(Problem) in
                .read(try checked { () throws(BadRequest) in try CacheFields.key(call) })
            } present: { result, call throws(Problem) in
                guard case .read(let read) = result else { return nil }
                return try present(read, call)
            }
        ),
        HTTPRoute(
            .put,
            "/v1/cache/{key}",
            .cache,
            raw: [.ttl, .keepTTL] + CacheFields.write,
            size: .value,
            .cache { call throws(Problem) in
                let condition = try CacheFields.condition(call.headers)
                return try checked { () throws(BadRequest) in
                    .write(
                        try CacheFields.key(call),
                        .set(
                            value: call.raw.map { Array($0.readableBytesView) } ?? [],
                            expiry: try CacheFields.expiry(call.query),
                            condition: condition,
                            wantsOld: false
                        ),
                        try CacheFields.options(call.query)
                    )
                }
            } present: { result, _ throws(Problem) in
                guard case .written(let answer, let version) = result else { return nil }
                guard answer == .done else { throw CacheFields.failed(version) }
                return tagged(version, ok(("version", .string(version.description))))
            }
        ),
        HTTPRoute(
            .delete,
            "/v1/cache/{key}",
            .cache,
            query: CacheFields.write,
            .cache { call throws(Problem) in
                let condition = try CacheFields.removal(call.headers)
                return try checked { () throws(BadRequest) in
                    .write(
                        try CacheFields.key(call),
                        .remove(condition: condition, wantsOld: false),
                        try CacheFields.options(call.query)
                    )
                }
            } present: { result, call throws(Problem) in
                guard case .written(let answer, let version) = result, case .count(let count) = answer else {
                    return nil
                }
                // Nothing was there: with a condition on what is there, that one did not hold.
                if count == 0, call.headers[.ifMatch] != nil { throw CacheFields.failed(version) }
                return ok(("removed", .bool(count > 0)))
            }
        ),
        HTTPRoute(
            .post,
            "/v1/cache/{key}/increment",
            .cache,
            body: [.by] + CacheFields.write,
            .cache { call throws(Problem) in
                try CacheFields.unconditional(call)
                return try checked { () throws(BadRequest) in
                    .write(
                        try CacheFields.key(call),
                        .add(try call.body.integer(.by) ?? 1),
                        try CacheFields.options(call.body)
                    )
                }
            } present: { result, _ throws(Problem) in
                guard case .written(.count(let value), let version) = result else { return nil }
                return tagged(version, ok(("value", .integer(value)), ("version", .string(version.description))))
            }
        ),
        HTTPRoute(
            .post,
            "/v1/cache/{key}/expire",
            .cache,
            body: [.ttl] + CacheFields.write,
            .cache { call throws(Problem) in
                try CacheFields.unconditional(call)
                return try checked { () throws(BadRequest) in
                    .write(
                        try CacheFields.key(call),
                        .expire(try CacheFields.expiry(call.body), condition: .always, wantsValue: false),
                        try CacheFields.options(call.body)
                    )
                }
            } present: { result, _ throws(Problem) in
                guard case .written(.count(let count), let version) = result else { return nil }
                return ok(("changed", .bool(count > 0)), ("version", .string(version.description)))
            }
        ),
    ]

    private static func present(_ read: CacheRead, _ call: HTTPCall) throws(Problem) -> HTTPAnswer {
        guard let value = read.value else {
            if call.headers[.ifMatch] != nil { throw CacheFields.failed(nil) }
            throw Problem(
                404,
                "no_key",
                "No such key",
                "the cache has no such key: it expired, was removed or never was"
            )
        }
        var fields: HTTPFields = [
            .eTag: CacheFields.tag(read.version),
            // Clients may keep it, but any copy is to be asked about each time.
            .cacheControl: "no-cache",
            .synclineState: read.state.letter,
        ]
        if let remaining = read.remaining { fields[.synclineTTL] = String(remaining) }
        return .fields(fields, try CacheFields.answer(call.headers, version: read.version) ?? .bytes(200, value))
    }

    // MARK: Keys

    private static let keys: [HTTPRoute] = [
        HTTPRoute(
            .get,
            "/v1/keys",
            .cache,
            query: [.cursor, .match, .count],
            .cache { call throws(Problem) in
                try checked { () throws(BadRequest) in
                    var scan = CacheScan(cursor: try CacheFields.cursor(call.query))
                    scan.count = try RequestBuilder.limit(try call.query.integer(.count))
                    scan.pattern = try call.query.string(.match).map { KeyPattern(Array($0.utf8)) }
                    return .scan(scan)
                }
            } present: { result, _ throws(Problem) in
                guard case .page(let page) = result else { return nil }
                return ok(("keys", .array(page.keys.map(JSONViews.key))), ("cursor", .string("\(page.next)")))
            }
        ),
        HTTPRoute(
            .get,
            "/v1/keys/count",
            .cache,
            .cache { _ throws(Problem) in
                .count
            } present: { result, _ throws(Problem) in
                guard case .count(let count) = result else { return nil }
                return ok(("keys", .number(count)))
            }
        ),
    ]

    // MARK: The node

    private static let node: [HTTPRoute] = [
        HTTPRoute(
            .get,
            "/v1/cache",
            .cache,
            .cache { _ throws(Problem) in
                .statistics
            } present: { result, _ throws(Problem) in
                guard case .statistics(let statistics) = result else { return nil }
                return .json(200, JSONViews.statistics(statistics))
            }
        ),
        HTTPRoute(
            .post,
            "/v1/cache/flush",
            .cache,
            body: [.all],
            .cache { call throws(Problem) in
                try checked { () throws(BadRequest) in .flush(everywhere: try call.body.bool(.all) ?? false) }
            } present: { result, _ throws(Problem) in
                guard case .flushed(let lines) = result else { return nil }
                return ok(("lines", .number(lines)))
            }
        ),
        HTTPRoute(
            .post,
            "/v1/cache/clear",
            .cache,
            .cache { _ throws(Problem) in
                .removeAll
            } present: { result, _ throws(Problem) in
                guard case .removedAll = result else { return nil }
                return ok(("cleared", .bool(true)))
            }
        ),
        HTTPRoute(
            .get,
            "/v1/cache/{key}/line",
            .cache,
            .cache { call throws(Problem) in
                .inspect(try checked { () throws(BadRequest) in try CacheFields.key(call) })
            } present: { result, call throws(Problem) in
                guard case .line(let report) = result else { return nil }
                return .json(200, JSONViews.line(report, CacheKey(call.key)))
            }
        ),
        HTTPRoute(
            .post,
            "/v1/cache/{key}/evict",
            .cache,
            .cache { call throws(Problem) in
                .evict(try checked { () throws(BadRequest) in try CacheFields.key(call) })
            } present: { result, _ throws(Problem) in
                guard case .evicted(let wasHeld) = result else { return nil }
                return ok(("evicted", .bool(wasHeld)))
            }
        ),
    ]
}

extension HTTPField.Name {
    /// The state that the node which answered holds the line in: M, E, S or I.
    static let synclineState = named("Syncline-State")
    /// Milliseconds that the value has left.
    static let synclineTTL = named("Syncline-TTL-Ms")

    private static func named(_ text: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(text) else { invariantFailure("'\(text)' is no name of a header field") }
        return name
    }
}
