// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore

/// The routes of the queue service.
enum QueueRoutes {
    static let all = queues + sides + messages + settling + consumers

    /// What one answer with bodies may weigh, near enough: a receive that names no limit gets this one, and none may
    /// name more.
    static let receiveBytes: UInt64 = 8 << 20
    /// Messages of one look into a queue, whose bodies have no such limit, and what it shows when it does not say.
    static let peekCount: ClosedRange<UInt64> = 1...32
    static let defaultPeekCount: UInt64 = 10

    static func ok(_ members: (String, JSONValue)...) -> HTTPAnswer {
        .json(200, .object(members.map { JSONValue.Member($0.0, $0.1) }))
    }

    static func name(_ call: HTTPCall) throws(BadRequest) -> Name { try QueueFields.queue(call.name) }

    static func noQueue(_ call: HTTPCall) -> Problem { Problem(refused: .noQueue(Name(call.name))) }

    // MARK: Queues

    private static let queues: [HTTPRoute] = [
        HTTPRoute(
            .get,
            "/v1/queues",
            .queue,
            query: [.prefix, .after, .count],
            .queue { call throws(BadRequest) in
                .list(
                    prefix: try RequestBuilder.text(
                        try call.query.string(.prefix) ?? "",
                        .prefix,
                        limit: QueueLimits.nameBytes
                    ),
                    after: try call.query.optionalName(.after, limit: QueueLimits.nameBytes),
                    limit: try RequestBuilder.limit(try call.query.integer(.count))
                )
            } present: { result, _ throws(Problem) in
                guard case .list(let views, let next) = result else { return nil }
                return ok(
                    ("queues", .array(views.map(JSONViews.queue))),
                    ("next", next.byteCount == 0 ? .null : .string(next.text))
                )
            }
        ),
        HTTPRoute(
            .get,
            "/v1/queues/{name}",
            .queue,
            .queue { call throws(BadRequest) in
                .stats(try name(call))
            } present: { result, call throws(Problem) in
                guard case .stats(let view) = result else { return nil }
                guard let view else { throw noQueue(call) }
                return .json(200, JSONViews.queue(view))
            }
        ),
        HTTPRoute(
            .put,
            "/v1/queues/{name}",
            .queue,
            body: QueueFields.settings,
            .queue { call throws(BadRequest) in
                .declare(try name(call), try call.body.settings().applied(to: QueueSettings()))
            } present: { result, call throws(Problem) in
                guard case .declared(let created) = result else { return nil }
                return .json(
                    created ? 201 : 200,
                    .object(("name", .string(call.name)), ("created", .bool(created)))
                )
            }
        ),
        HTTPRoute(
            .patch,
            "/v1/queues/{name}",
            .queue,
            body: QueueFields.settings,
            .queue { call throws(BadRequest) in
                .update(try name(call), try call.body.settings())
            } present: { result, call throws(Problem) in
                guard case .updated(let settings) = result else { return nil }
                return ok(("name", .string(call.name)), ("settings", JSONViews.settings(settings)))
            }
        ),
        HTTPRoute(
            .delete,
            "/v1/queues/{name}",
            .queue,
            .queue { call throws(BadRequest) in
                .delete(try name(call))
            } present: { result, _ throws(Problem) in
                guard case .deleted(let messages) = result else { return nil }
                return ok(("messages_removed", .number(messages)))
            }
        ),
        HTTPRoute(
            .post,
            "/v1/queues/{name}/purge",
            .queue,
            .queue { call throws(BadRequest) in
                .purge(try name(call))
            } present: { result, _ throws(Problem) in
                guard case .purged(let messages) = result else { return nil }
                return ok(("messages_removed", .number(messages)))
            }
        ),
    ]

    // MARK: Pausing and redriving

    private static let sides: [HTTPRoute] = [
        side("/v1/queues/{name}/pause", isPaused: true) { .pause($0, $1) },
        side("/v1/queues/{name}/resume", isPaused: false) { .resume($0, $1) },
        HTTPRoute(
            .post,
            "/v1/queues/{name}/redrive",
            .queue,
            body: [.messageCount, .rate, .to, .cause],
            .queue { call throws(BadRequest) in
                .redrive(
                    Redrive(
                        queue: try name(call),
                        count: try call.body.number(.messageCount, 0...UInt64(Int64.max)) ?? 0,
                        rate: try call.body.number(.rate, 0...QueueLimits.redriveRate) ?? 0,
                        target: try call.body.otherQueue(.to) ?? "",
                        cause: try cause(call.body)
                    )
                )
            } present: { result, _ throws(Problem) in
                redriven(result)
            }
        ),
        HTTPRoute(
            .delete,
            "/v1/queues/{name}/redrive",
            .queue,
            .queue { call throws(BadRequest) in
                .cancelRedrive(try name(call))
            } present: { result, _ throws(Problem) in
                redriven(result)
            }
        ),
    ]

    private static func side(
        _ path: String,
        isPaused: Bool,
        _ operation: @escaping @Sendable (Name, QueueSide) -> QueueOperation
    ) -> HTTPRoute {
        HTTPRoute(
            .post,
            path,
            .queue,
            body: [.side],
            .queue { call throws(BadRequest) in
                operation(try name(call), try side(call.body))
            } present: { result, call throws(Problem) in
                guard case .pausedOrResumed = result else { return nil }
                let side = try? call.body.string(.side)
                return ok(
                    ("name", .string(call.name)),
                    ("side", .optional(side?.lowercased())),
                    ("paused", .bool(isPaused))
                )
            }
        )
    }

    private static func side(_ fields: JSONFields) throws(BadRequest) -> QueueSide {
        guard let text = try fields.string(.side) else { throw .missing(.side) }
        switch text.lowercased() {
        case "publish": return .publish
        case "consume": return .consume
        default: throw .unknownValue(.side, got: String(text.prefix(32)), allowed: "publish or consume")
        }
    }

    private static func cause(_ fields: JSONFields) throws(BadRequest) -> DeadCause? {
        guard let text = try fields.string(.cause) else { return nil }
        guard let cause = DeadCause.allCases.first(where: { $0.word == text.lowercased() }) else {
            throw .unknownValue(.cause, got: String(text.prefix(32)), allowed: "attempts or rejected")
        }
        return cause
    }

    private static func redriven(_ result: QueueResult) -> HTTPAnswer? {
        guard case .redrive(let moved, let left) = result else { return nil }
        return ok(("moved", .number(moved)), ("left", .number(left)))
    }
}
