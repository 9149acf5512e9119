// SPDX-License-Identifier: Apache-2.0
import HTTPTypes
import LockCore
import QueueCore
import Replica

/// Finds and runs the route of a request.
struct HTTPRouteTable: Sendable {
    static let routes = LockRoutes.all + QueueRoutes.all + CacheRoutes.all + NodeRoutes.all

    let services: HTTPServices

    enum Found: Sendable {
        case route(HTTPRoute, parameters: [[UInt8]])
        case problem(Problem)
    }

    /// `path` as it arrived, percent-encoded, without the query.
    static func find(_ method: String, path: String) -> Found {
        var parts: [[UInt8]] = []
        for part in path.split(separator: "/", omittingEmptySubsequences: false) {
            guard let bytes = PercentEncoding.bytes(part) else { return .problem(.badPath) }
            parts.append(bytes)
        }
        if parts.first?.isEmpty == true { parts.removeFirst() }
        // A slash at the end is forgiven, but not where keys stand: it may be meant as a part of one.
        if parts.last?.isEmpty == true, parts.count < 3 || parts[1] != Array("cache".utf8) { parts.removeLast() }
        guard !parts.contains(where: \.isEmpty) else { return .problem(.emptyPart) }
        var allowed: [String] = []
        for route in routes {
            guard let parameters = route.match(parts) else { continue }
            if route.method.rawValue == method || (method == "HEAD" && route.method == .get) {
                let isText = parameters.allSatisfy { String(validating: $0, as: UTF8.self) != nil }
                return isText || route.isOfKeys ? .route(route, parameters: parameters) : .problem(.badPath)
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

    /// Query parameters as fields; those that are no texts by nature are read as JSON.
    static func query(_ text: String, allowed: [Field]) throws(BadRequest) -> JSONFields {
        var members: [JSONValue.Member] = []
        for pair in text.split(separator: "&", maxSplits: 32) {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentEncoding.decode(parts[0], plusIsBlank: true),
                let value = PercentEncoding.decode(parts.count > 1 ? parts[1] : "", plusIsBlank: true)
            else { throw .malformedJSON("the query is not percent-encoded UTF-8") }
            guard !members.contains(where: { $0.name == name }) else {
                throw .wrongType(String(name.prefix(64)), expected: "given once")
            }
            let isText = allowed.first { $0.json == name }?.isTextInQuery ?? true
            members.append(.init(name, isText ? .string(value) : Self.json(value)))
        }
        return try JSONFields(.object(members), allowed: allowed)
    }

    /// What is no JSON stays a text, so that the complaint about its type names the field.
    private static func json(_ text: String) -> JSONValue {
        do throws(JSONError) { return try JSONParser.parse(text) } catch { return .string(text) }
    }

    /// Runs a route. `signal` is asked for only when the request may wait for others.
    func run(
        _ route: HTTPRoute,
        parameters: [[UInt8]],
        body: HTTPBody,
        query: String,
        headers: HTTPFields = [:],
        signal: @Sendable () async -> DisconnectSignal?
    ) async throws(Problem) -> HTTPAnswer {
        var call: HTTPCall
        do throws(BadRequest) {
            call = try self.call(route, parameters.map { String(decoding: $0, as: UTF8.self) }, body, query)
        } catch {
            throw Problem(error)
        }
        call.key = parameters.first ?? []
        call.headers = headers
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
        case .queue(let build, let present):
            let operation: QueueOperation
            do throws(BadRequest) { operation = try build(call) } catch { throw Problem(error) }
            let result = try await perform(operation, signal)
            if case .failed(let response) = result { throw Problem(response) ?? .unanswered }
            guard let shown = try present(result, call) else { throw .unanswered }
            return shown
        case .cache(let build, let present):
            let result = await services.requests.perform(try build(call))
            if case .failed(let refusal) = result { throw Problem(cache: refusal) }
            guard let shown = try present(result, call) else { throw .unanswered }
            return shown
        }
    }

    private func call(
        _ route: HTTPRoute,
        _ parameters: [String],
        _ body: HTTPBody,
        _ query: String
    ) throws(BadRequest) -> HTTPCall {
        switch body {
        case .json(let value):
            HTTPCall(
                parameters: parameters,
                body: try JSONFields(value, allowed: route.body),
                query: try Self.query(query, allowed: route.query),
                raw: nil,
                services: services
            )
        case .raw(let bytes):
            HTTPCall(
                parameters: parameters,
                body: try JSONFields(.object([]), allowed: []),
                query: try Self.query(query, allowed: route.raw),
                raw: bytes,
                services: services
            )
        }
    }

    private func perform(
        _ operation: QueueOperation,
        _ signal: @Sendable () async -> DisconnectSignal?
    ) async throws(Problem) -> QueueResult {
        guard case .receive(let receive) = operation else { return await services.requests.perform(operation) }
        let place = receive.waitMilliseconds > 0 ? try services.longRequests.take() : nil
        let signal = await signal()
        let result = await services.requests.perform(operation, until: signal)
        withExtendedLifetime(place) {}
        // The client went while the messages were on their way: nobody will settle them.
        if signal?.isFired == true, case .received(let messages) = result, !messages.isEmpty {
            let receipts = messages.map(\.delivery.receipt)
            let settle = Settle(queue: receive.queue, receipts: receipts, settlement: .giveBack(delayMilliseconds: 0))
            _ = await services.requests.perform(.settle(settle))
            return .failed(.queue(QueueAnswer(.refused(.cancelled))))
        }
        return result
    }
}
