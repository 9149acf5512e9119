// SPDX-License-Identifier: Apache-2.0
import Primitives

/// The routes about the node and its cluster.
enum NodeRoutes {
    static let all = cluster + node

    private static let cluster: [HTTPRoute] = [
        HTTPRoute(
            .get,
            "/v1/cluster",
            .cluster,
            .local { call throws(Problem) in
                .json(200, JSONViews.cluster(await call.services.administration.status()))
            }
        ),
        HTTPRoute(
            .get,
            "/v1/cluster/shards",
            .cluster,
            .local { call throws(Problem) in
                let status = await call.services.administration.status()
                return .json(200, .object(("shards", .array(status.shards.map(JSONViews.shard)))))
            }
        ),
        HTTPRoute(
            .post,
            "/v1/cluster/transfer",
            .cluster,
            body: [.shard, .target],
            .local { call throws(Problem) in try await transfer(call) }
        ),
        HTTPRoute(
            .get,
            "/v1/events",
            .cluster,
            query: [.namespace, .name],
            .local { call throws(Problem) in
                do throws(BadRequest) {
                    return .events(
                        namespace: try call.query.string(.namespace),
                        name: try call.query.string(.name)
                    )
                } catch {
                    throw Problem(error)
                }
            }
        ),
    ]

    private static let node: [HTTPRoute] = [
        HTTPRoute(.get, "/livez", .cluster, .local { _ throws(Problem) in plain("ok\n") }),
        HTTPRoute(.get, "/readyz", .cluster, .local { call throws(Problem) in try await ready(call) }),
        HTTPRoute(
            .get,
            "/health",
            .cluster,
            .local { call throws(Problem) in
                let status = await call.services.administration.status()
                let connected = status.members.count { $0.isSelf || $0.isConnected }
                return .json(
                    200,
                    .object(
                        ("status", .string(status.notReady.isEmpty ? "ok" : "degraded")),
                        ("node", .string(status.name)),
                        ("version", .string(status.version)),
                        ("uptime_ms", .number(status.uptimeMilliseconds)),
                        ("nodes", .number(status.members.count)),
                        ("nodes_connected", .number(connected)),
                        ("problems", .strings(status.notReady))
                    )
                )
            }
        ),
        HTTPRoute(
            .get,
            "/status",
            .cluster,
            .local { call throws(Problem) in
                .json(200, JSONViews.status(await call.services.administration.status()))
            }
        ),
        HTTPRoute(
            .get,
            "/metrics",
            .cluster,
            .local { call throws(Problem) in
                .text(200, contentType: "text/plain; version=0.0.4; charset=utf-8", call.services.metrics())
            }
        ),
        HTTPRoute(
            .get,
            "/version",
            .cluster,
            .local { call throws(Problem) in
                .json(
                    200,
                    .object(
                        ("name", .string("syncline")),
                        ("version", .string(call.services.identity.version)),
                        ("node", .string(call.services.identity.nodeName)),
                        ("api", .string("v1"))
                    )
                )
            }
        ),
        HTTPRoute(
            .get,
            "/openapi.json",
            .cluster,
            .local { _ throws(Problem) in .text(200, contentType: "application/json", OpenAPIDocument.text) }
        ),
        HTTPRoute(
            .get,
            "/",
            .cluster,
            .local { call throws(Problem) in
                .text(200, contentType: "text/html; charset=utf-8", IndexPage.html(call.services.identity))
            }
        ),
    ]

    private static func plain(_ text: String) -> HTTPAnswer {
        .text(200, contentType: "text/plain; charset=utf-8", text)
    }

    private static func ready(_ call: HTTPCall) async throws(Problem) -> HTTPAnswer {
        let missing = await call.services.administration.status().notReady
        guard missing.isEmpty else {
            var problem = Problem(503, "not_ready", "Not ready", missing.joined(separator: "; "))
            problem.members = [JSONValue.Member("missing", .strings(missing))]
            problem.retryAfterSeconds = 1
            throw problem
        }
        return plain("ok\n")
    }

    private static func transfer(_ call: HTTPCall) async throws(Problem) -> HTTPAnswer {
        let target: String?
        var shard: ShardID?
        do throws(BadRequest) {
            target = try call.body.string(.target)
            if let number = try call.body.integer(.shard) {
                guard let value = UInt16(exactly: number) else {
                    throw .outOfRange(.shard, low: 0, high: Int64(UInt16.max))
                }
                shard = ShardID(value)
            }
        } catch {
            throw Problem(error)
        }
        do throws(AdministrationError) {
            let shards = try await call.services.administration.transferLeadership(shard: shard, to: target)
            return .json(202, .object(("shards", .array(shards.map { .number(UInt64($0.rawValue)) }))))
        } catch {
            throw Problem(error)
        }
    }
}

extension Problem {
    init(_ error: AdministrationError) {
        switch error {
        case .unknownNode(let name):
            self = .notFound("there is no node '\(name)'; GET /v1/cluster lists them")
        case .unknownShard(let shard):
            self = .notFound("there is no shard \(shard.rawValue); GET /v1/cluster/shards lists them")
        case .notLeader(let shard, let leader):
            self.init(
                409,
                "not_leader",
                "Not the leader",
                "this node does not lead shard \(shard.rawValue); ask "
                    + (leader.map { "node '\($0)'" } ?? "again shortly")
            )
            members = [JSONValue.Member("leader", .optional(leader))]
        case .notReplica(let shard, let target):
            let what = shard.map { "shard \($0.rawValue)" } ?? "any shard that this node leads"
            self.init(
                409,
                "not_replica",
                "Not a replica",
                "node '\(target)' keeps no copy of \(what), so it cannot lead it; "
                    + "GET /v1/cluster/shards lists the replicas"
            )
        case .leadsAlready(let target):
            self.init(
                409,
                "leads_already",
                "Leads already",
                "node '\(target)' is the leader already; name another node"
            )
        }
    }
}

/// The page at `/`: what this is and where to go.
enum IndexPage {
    static func html(_ identity: ServerIdentity) -> String {
        let rows = HTTPRouteTable.routes.map { route in
            let isLink = route.method == .get && !route.path.contains("{") && route.path != "/v1/events"
            let path = isLink ? "<a href=\"\(route.path)\">\(route.path)</a>" : route.path
            return "<tr><td>\(route.method.rawValue)</td><td><code>\(path)</code></td></tr>"
        }
        return """
            <!doctype html><html lang="en"><head><meta charset="utf-8"><title>Syncline</title>
            <style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:44rem;padding:0 1rem}\
            td{padding:.1rem 1rem .1rem 0}code{font-size:.95em}</style></head><body>
            <h1>Syncline \(escape(identity.version))</h1>
            <p>Node <b>\(escape(identity.nodeName))</b>. Locks, semaphores, elections, queues and a coherent
            cache agreed by Raft. The RESP port (7700 by default) takes any Redis client; the routes below speak
            JSON, values of the cache are raw bytes, and all are described by
            <a href="/openapi.json">/openapi.json</a>.</p>
            <table>\(rows.joined(separator: "\n"))</table></body></html>

            """
    }

    private static func escape(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing("\"", with: "&quot;")
    }
}
