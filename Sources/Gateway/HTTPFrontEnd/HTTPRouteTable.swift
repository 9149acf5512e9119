// SPDX-License-Identifier: Apache-2.0
import LockCore
import Replica

/// Finds and runs the route of a request.
struct HTTPRouteTable: Sendable {
    static let routes = LockRoutes.all + NodeRoutes.all

    let services: HTTPServices

    enum Found: Sendable {
        case route(HTTPRoute, parameters: [String])
        case problem(Problem)
    }

    /// `path` as it arrived, percent-encoded, without the query.
    static func find(_ method: String, path: String) -> Found {
        var parts: [String] = []
        for part in path.split(separator: "/", omittingEmptySubsequences: true) {
            guard let text = PercentEncoding.decode(part) else {
                return .problem(Problem(400, "bad_request", "Bad request", "the path is not percent-encoded UTF-8"))
            }
            parts.append(text)
        }
        var allowed: [String] = []
        for route in routes {
            guard let parameters = route.match(parts) else { continue }
            if route.method.rawValue == method || (method == "HEAD" && route.method == .get) {
                return .route(route, parameters: parameters)
            }
            allowed.append(route.method.rawValue)
        }
        guard !allowed.isEmpty else {
            return .problem(.notFound("there is no '\(path.prefix(256))'; GET / lists what there is"))
        }
        if allowed.contains("GET") { allowed.append("HEAD") }
        var problem = Problem(
            405,
            "method_not_allowed",
            "Method not allowed",
            "\(method) is not possible here; use \(allowed.joined(separator: " or "))"
        )
        problem.allow = allowed
        return .problem(problem)
    }

    /// Query parameters as fields; those that are numbers by nature are read as such.
    static func query(_ text: String, allowed: [Field]) throws(BadRequest) -> JSONFields {
        let numeric: [Field] = [.cursor, .count, .token]
        var members: [JSONValue.Member] = []
        for pair in text.split(separator: "&", maxSplits: 32) {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentEncoding.decode(parts[0], plusIsBlank: true),
                let value = PercentEncoding.decode(parts.count > 1 ? parts[1] : "", plusIsBlank: true)
            else { throw .malformedJSON("the query is not percent-encoded UTF-8") }
            guard !members.contains(where: { $0.name == name }) else {
                throw .wrongType(String(name.prefix(64)), expected: "given once")
            }
            let isNumber = numeric.contains { $0.json == name && allowed.contains($0) }
            members.append(
                .init(name, isNumber ? Int64(value).map(JSONValue.integer) ?? .string(value) : .string(value))
            )
        }
        return try JSONFields(.object(members), allowed: allowed)
    }

    /// Runs a route. `signal` is asked for only when the request may wait for others.
    func run(
        _ route: HTTPRoute,
        parameters: [String],
        body: JSONValue,
        query: String,
        signal: @Sendable () async -> DisconnectSignal?
    ) async throws(Problem) -> HTTPAnswer {
        let call: HTTPCall
        do throws(BadRequest) {
            call = HTTPCall(
                parameters: parameters,
                body: try JSONFields(body, allowed: route.body),
                query: try Self.query(query, allowed: route.query),
                services: services
            )
        } catch {
            throw Problem(error)
        }
        switch route.action {
        case .local(let handler): return try await handler(call)
        case .cluster(let build, let present):
            let request: Request
            do throws(BadRequest) { request = try build(call) } catch { throw Problem(error) }
            let response: Response
            if Lane(request).mayWait {
                let place = try services.longRequests.take()
                response = await services.requests.submit(request, until: await signal())
                withExtendedLifetime(place) {}
            } else {
                response = await services.requests.submit(request)
            }
            if let problem = Problem(response) { throw problem }
            guard case .lock(let answer) = response, let shown = present(answer, request) else {
                throw .notFound("there is no such \(route.family.rawValue)")
            }
            return shown
        }
    }
}
