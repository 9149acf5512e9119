// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import Replica

/// The routes of the lock service.
enum LockRoutes {
    static let all = sessions + locks + semaphores + elections

    private static func ok(_ members: (String, JSONValue)...) -> HTTPAnswer {
        .json(200, .object(members.map { JSONValue.Member($0.0, $0.1) }))
    }

    private static let sessions: [HTTPRoute] = [
        HTTPRoute(
            .post,
            "/v1/sessions",
            .session,
            body: [.id, .ttl, .label, .owner, .lockDelay, .namespace],
            .cluster { call throws(BadRequest) in
                try RequestBuilder.openSession(
                    id: call.body.string(.id),
                    namespace: call.body.string(.namespace),
                    ttl: call.body.integer(.ttl),
                    label: call.body.string(.label),
                    owner: call.body.string(.owner),
                    lockDelay: call.body.integer(.lockDelay),
                    defaultTTL: call.services.configuration.sessionTTL
                )
            } present: { answer, _ in
                guard case .sessionOpened(let id, let ttl) = answer else { return nil }
                return .json(201, .object(("session", .string(id.name.text)), ("ttl_ms", .number(ttl))))
            }
        ),
        HTTPRoute(
            .get,
            "/v1/sessions",
            .session,
            query: [.namespace, .cursor, .count],
            .cluster { call throws(BadRequest) in
                try RequestBuilder.sessions(
                    namespace: call.query.string(.namespace),
                    cursor: call.query.integer(.cursor),
                    count: call.query.integer(.count)
                )
            } present: { answer, _ in
                guard case .sessions(let views, let cursor) = answer else { return nil }
                return .json(200, JSONViews.page("sessions", views.map(JSONViews.session), cursor: cursor))
            }
        ),
        HTTPRoute(
            .get,
            "/v1/sessions/{id}",
            .session,
            .cluster { call throws(BadRequest) in
                try RequestBuilder.session(call.name)
            } present: { answer, _ in
                guard case .session(.some(let view)) = answer else { return nil }
                return .json(200, JSONViews.session(view))
            }
        ),
        HTTPRoute(
            .delete,
            "/v1/sessions/{id}",
            .session,
            .cluster { call throws(BadRequest) in
                try RequestBuilder.closeSession(call.name)
            } present: { answer, _ in
                guard case .sessionClosed(let count) = answer else { return nil }
                return ok(("locks_released", .number(count)))
            }
        ),
        HTTPRoute(
            .post,
            "/v1/sessions/{id}/renew",
            .session,
            .cluster { call throws(BadRequest) in
                try RequestBuilder.renewSession(call.name)
            } present: { answer, _ in
                guard case .renewed(let milliseconds) = answer else { return nil }
                return ok(("ttl_ms", .number(milliseconds)))
            }
        ),
    ]

    private static let locks: [HTTPRoute] = [
        HTTPRoute(
            .post,
            "/v1/locks/acquire-all",
            .lock,
            body: [.session, .locks, .wait, .priority, .sequence],
            .cluster { call throws(BadRequest) in
                try RequestBuilder.acquireAll(
                    items: call.body.locks(),
                    session: call.body.string(.session),
                    wait: call.body.wait(),
                    priority: call.body.integer(.priority),
                    sequence: call.body.integer(.sequence)
                )
            } present: { answer, request in
                guard case .granted(let tokens, _) = answer, case .command(.acquire(let asked)) = request else {
                    return nil
                }
                let pairs = zip(asked.items, tokens).map { item, token in
                    JSONValue.object(
                        ("name", .string(item.name.text)),
                        ("mode", .string(item.mode.text)),
                        ("token", .number(token))
                    )
                }
                return ok(("locks", .array(pairs)))
            }
        ),
        HTTPRoute(
            .get,
            "/v1/locks",
            .lock,
            query: [.namespace, .prefix, .cursor, .count],
            .cluster { call throws(BadRequest) in
                try RequestBuilder.list(
                    namespace: call.query.string(.namespace),
                    prefix: call.query.string(.prefix),
                    cursor: call.query.integer(.cursor),
                    count: call.query.integer(.count)
                )
            } present: { answer, _ in
                guard case .list(let views, let cursor) = answer else { return nil }
                return .json(200, JSONViews.page("locks", views.map(JSONViews.object), cursor: cursor))
            }
        ),
        object("/v1/locks/{name}", .lock),
        HTTPRoute(
            .get,
            "/v1/locks/{name}/check",
            .lock,
            query: [.token, .namespace],
            .cluster { call throws(BadRequest) in
                try RequestBuilder.check(
                    name: call.name,
                    namespace: call.query.string(.namespace),
                    token: call.query.integer(.token)
                )
            } present: { answer, _ in
                guard case .check(let isCurrent) = answer else { return nil }
                return ok(("current", .bool(isCurrent)))
            }
        ),
        HTTPRoute(
            .post,
            "/v1/locks/{name}/acquire",
            .lock,
            body: [.session, .mode, .wait, .priority, .sequence],
            .cluster { call throws(BadRequest) in
                try RequestBuilder.acquire(
                    name: call.name,
                    session: call.body.string(.session),
                    mode: call.body.mode(),
                    wait: call.body.wait(),
                    priority: call.body.integer(.priority),
                    sequence: call.body.integer(.sequence)
                )
            } present: { answer, request in
                guard case .granted(let tokens, let holds) = answer, let token = tokens.first,
                    case .command(.acquire(let asked)) = request, let item = asked.items.first
                else { return nil }
                return ok(
                    ("token", .number(token)),
                    ("mode", .string(item.mode.text)),
                    ("holds", .number(holds))
                )
            }
        ),
        HTTPRoute(
            .post,
            "/v1/locks/{name}/convert",
            .lock,
            body: [.session, .mode, .wait, .sequence],
            .cluster { call throws(BadRequest) in
                try RequestBuilder.convert(
                    name: call.name,
                    session: call.body.string(.session),
                    mode: call.body.mode(),
                    wait: call.body.wait(),
                    sequence: call.body.integer(.sequence)
                )
            } present: { answer, request in
                guard case .converted(let token) = answer, case .command(.convert(let asked)) = request else {
                    return nil
                }
                return ok(("token", .number(token)), ("mode", .string(asked.mode.text)))
            }
        ),
        release("/v1/locks/{name}/release", .lock, .lock, left: "holds", permits: false),
        HTTPRoute(
            .post,
            "/v1/locks/{name}/break",
            .lock,
            body: [.reason, .namespace],
            .cluster { call throws(BadRequest) in
                try RequestBuilder.breakLock(
                    name: call.name,
                    namespace: call.body.string(.namespace),
                    reason: call.body.string(.reason)
                )
            } present: { answer, _ in
                guard case .broken(let count) = answer else { return nil }
                return ok(("holders_removed", .number(count)))
            }
        ),
    ]

    private static let semaphores: [HTTPRoute] = [
        object("/v1/semaphores/{name}", .semaphore),
        HTTPRoute(
            .post,
            "/v1/semaphores/{name}/acquire",
            .semaphore,
            body: [.session, .limit, .permits, .wait, .sequence],
            .cluster { call throws(BadRequest) in
                try RequestBuilder.acquireSemaphore(
                    name: call.name,
                    session: call.body.string(.session),
                    limit: call.body.integer(.limit),
                    permits: call.body.integer(.permits),
                    wait: call.body.wait(),
                    sequence: call.body.integer(.sequence)
                )
            } present: { answer, _ in
                guard case .granted(let tokens, let holds) = answer, let token = tokens.first else { return nil }
                return ok(("token", .number(token)), ("permits", .number(holds)))
            }
        ),
        release("/v1/semaphores/{name}/release", .semaphore, .semaphore, left: "permits", permits: true),
    ]

    private static let elections: [HTTPRoute] = [
        HTTPRoute(
            .get,
            "/v1/elections/{name}",
            .election,
            query: [.namespace],
            .cluster { call throws(BadRequest) in
                try RequestBuilder.electionLeader(name: call.name, namespace: call.query.string(.namespace))
            } present: { answer, _ in
                guard case .electionLeader(let id, let value, let token) = answer else { return nil }
                return .json(
                    200,
                    .object([
                        .init("session", .string(id.name.text)), JSONViews.value(value), .init("token", .number(token)),
                    ])
                )
            }
        ),
        HTTPRoute(
            .post,
            "/v1/elections/{name}/campaign",
            .election,
            body: [.session, .value, .wait, .sequence],
            .cluster { call throws(BadRequest) in
                try RequestBuilder.campaign(
                    name: call.name,
                    session: call.body.string(.session),
                    value: call.body.string(.value).map { Array($0.utf8) },
                    wait: call.body.wait(),
                    sequence: call.body.integer(.sequence)
                )
            } present: { answer, _ in
                guard case .granted(let tokens, _) = answer, let token = tokens.first else { return nil }
                return ok(("token", .number(token)))
            }
        ),
        release("/v1/elections/{name}/resign", .election, .election, left: "holds", permits: false),
    ]

    private static func object(_ path: String, _ family: CommandFamily) -> HTTPRoute {
        HTTPRoute(
            .get,
            path,
            family,
            query: [.namespace],
            .cluster { call throws(BadRequest) in
                try RequestBuilder.object(name: call.name, namespace: call.query.string(.namespace))
            } present: { answer, _ in
                guard case .object(.some(let view)) = answer else { return nil }
                return .json(200, JSONViews.object(view))
            }
        )
    }

    private static func release(
        _ path: String,
        _ family: CommandFamily,
        _ kind: ObjectKind,
        left: String,
        permits: Bool
    ) -> HTTPRoute {
        HTTPRoute(
            .post,
            path,
            family,
            body: permits ? [.session, .permits, .sequence] : [.session, .sequence],
            .cluster { call throws(BadRequest) in
                try RequestBuilder.release(
                    kind,
                    name: call.name,
                    session: call.body.string(.session),
                    permits: call.body.integer(.permits),
                    sequence: call.body.integer(.sequence)
                )
            } present: { answer, _ in
                guard case .released(let count) = answer else { return nil }
                return ok((left, .number(count)))
            }
        )
    }
}
