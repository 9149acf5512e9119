// SPDX-License-Identifier: Apache-2.0
import HTTPTypes
package import Hummingbird
import HummingbirdCore
package import Logging
package import NIOCore
import NIOHTTPTypes
import Primitives

/// The HTTP front end: JSON under `/v1`, event streams, health, metrics.
package struct HTTPGateway: Sendable {
    private let services: HTTPServices
    private let logger: Logger

    /// `metrics` gives the Prometheus text.
    package init(
        configuration: HTTPConfiguration,
        identity: ServerIdentity,
        requests: AsyncRequests,
        administration: any NodeAdministration,
        observer: any GatewayObserver,
        logger: Logger,
        metrics: @escaping @Sendable () -> String
    ) {
        services = HTTPServices(
            configuration: configuration,
            identity: identity,
            requests: requests,
            administration: administration,
            observer: observer,
            metrics: metrics,
            longRequests: LongRequests(limit: configuration.maximumLongRequests),
            largeBodies: LargeBodies(limit: max(configuration.largeBodyBytes, configuration.messagesBodyBytes))
        )
        self.logger = logger
    }

    /// A service that listens while it runs; it is also a `Service` of swift-service-lifecycle. `onRunning` is told the
    /// listening channel.
    package func application(
        group: any EventLoopGroup,
        onRunning: @escaping @Sendable (any Channel) async -> Void = { _ in }
    ) -> some ApplicationProtocol {
        let configuration = services.configuration
        let observer = services.observer
        let server = HTTPServerBuilder.http1(
            configuration: .init(
                additionalChannelHandlers: [
                    HTTPConnectionHandler(observer: observer, configuration: configuration)
                ],
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: configuration.headerBytes,
                    maxHeaderListSize: configuration.headerBytes,
                    maxHeaderFieldCount: configuration.headerCount
                )
            )
        )
        return Application(
            responder: HTTPGatewayResponder(services: services),
            server: server,
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port),
                serverName: "syncline",
                backlog: 512,
                availableConnectionsDelegate: .maximum(configuration.maximumConnections, logger: logger)
            ),
            onServerRunning: onRunning,
            eventLoopGroupProvider: .shared(group),
            logger: logger
        )
    }
}

/// What a request's handling needs of its connection.
struct HTTPGatewayContext: InitializableFromSource {
    let channel: any Channel
    let logger: Logger

    init(source: ApplicationRequestContextSource) {
        channel = source.channel
        logger = source.logger
    }

    /// Fires when the client goes away.
    func signal() async -> DisconnectSignal? {
        let channel = channel
        return try? await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.handler(type: HTTPConnectionHandler.self).signal
        }.get()
    }
}

/// Answers every request from the route table; every error as a problem document.
struct HTTPGatewayResponder: HTTPResponder {
    let services: HTTPServices
    private let table: HTTPRouteTable

    init(services: HTTPServices) {
        self.services = services
        table = HTTPRouteTable(services: services)
    }

    func respond(to request: Request, context: HTTPGatewayContext) async throws -> Response {
        let began = NIODeadline.now()
        var family = CommandFamily.cluster
        var response: Response
        do throws(Problem) {
            switch HTTPRouteTable.find(request.method.rawValue, path: Self.path(request)) {
            case .problem(let problem): throw problem
            case .route(let route, let parameters):
                family = route.family
                // Held until the answer is ready: until then the body, or what became of it, is in memory.
                let allowance = try allowance(for: request, route)
                defer { withExtendedLifetime(allowance) {} }
                let body = try await body(of: request, route)
                let answer = try await table.run(
                    route,
                    parameters: parameters,
                    body: body,
                    query: request.uri.query ?? "",
                    headers: request.headers,
                    signal: { await context.signal() }
                )
                response = try await render(answer, context)
            }
        } catch {
            services.observer.errorReplied(.http, code: error.code)
            response = Self.render(error)
        }
        if request.method == .head { response = response.createHeadResponse() }
        let seconds = Double((NIODeadline.now() - began).nanoseconds) / 1e9
        services.observer.commandFinished(family, frontEnd: .http, seconds: seconds)
        return response
    }

    /// The path as sent: everything before `?`.
    private static func path(_ request: Request) -> String {
        let target = request.head.path ?? "/"
        return target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).first.map(String.init)
            ?? "/"
    }

    /// What of `largeBodies` the request needs: nothing for a body of ordinary size.
    private func allowance(for request: Request, _ route: HTTPRoute) throws(Problem) -> Allowance.Part? {
        let limit = route.size.limit(services.configuration)
        let length = request.headers[.contentLength].map { Int($0) ?? .max }
        if let length, length > limit { throw .tooLarge(limit) }
        // A body in chunks does not say how long it is.
        let isInChunks = length == nil && request.headers[.transferEncoding] != nil
        let bytes = length ?? (isInChunks ? limit : 0)
        return bytes > services.configuration.bodyBytes ? try services.largeBodies.take(bytes) : nil
    }

    /// The body; an absent one is an empty JSON object.
    private func body(of request: Request, _ route: HTTPRoute) async throws(Problem) -> HTTPBody {
        let limit = route.size.limit(services.configuration)
        let buffer: ByteBuffer
        do {
            buffer = try await request.body.collect(upTo: limit)
        } catch is NIOTooManyBytesError {
            throw .tooLarge(limit)
        } catch {
            var problem = Problem(400, "bad_request", "Bad request", "the body did not arrive whole")
            problem.closesConnection = true
            throw problem
        }
        if route.takesValue { return .raw(buffer) }
        if !route.raw.isEmpty, !HTTPBody.isJSON(contentType: request.headers[.contentType]) { return .raw(buffer) }
        guard buffer.readableBytes > 0 else { return .json(.object([])) }
        do throws(JSONError) {
            return .json(try JSONParser.parse(buffer))
        } catch {
            throw Problem(.malformedJSON("\(error.reason) (at byte \(error.offset))"))
        }
    }

    private func render(_ answer: HTTPAnswer, _ context: HTTPGatewayContext) async throws(Problem) -> Response {
        switch answer {
        case .json(let status, let value):
            var buffer = ByteBuffer()
            value.write(into: &buffer)
            buffer.writeStaticString("\n")
            return Self.response(status, "application/json", buffer)
        case .text(let status, let contentType, let text):
            return Self.response(status, contentType, ByteBuffer(string: text))
        case .bytes(let status, let bytes):
            return Self.response(status, "application/octet-stream", ByteBuffer(bytes: bytes))
        case .fields(let fields, let answer):
            var response = try await render(answer, context)
            for field in fields { response.headers[field.name] = field.value }
            return response
        case .events(let namespace, let name):
            let channel = context.channel
            let watched: (namespace: Name, names: [Name])
            do throws(BadRequest) {
                watched = (
                    try RequestBuilder.namespace(namespace),
                    try name.map { text throws(BadRequest) in [try RequestBuilder.name(text)] } ?? []
                )
            } catch {
                throw Problem(error)
            }
            let stream = EventStream(
                services: services,
                namespace: watched.namespace,
                names: watched.names,
                place: try services.longRequests.take(),
                signal: await context.signal(),
                disconnect: { channel.close(promise: nil) }
            )
            return stream.response()
        }
    }

    private static func response(_ status: Int, _ contentType: String, _ body: ByteBuffer) -> Response {
        var headers = HTTPFields()
        headers[.contentType] = contentType
        headers[.cacheControl] = "no-store"
        return Response(status: .init(code: status), headers: headers, body: .init(byteBuffer: body))
    }

    private static func render(_ problem: Problem) -> Response {
        var buffer = ByteBuffer()
        problem.json.write(into: &buffer)
        buffer.writeStaticString("\n")
        var result = response(problem.status, "application/problem+json", buffer)
        if !problem.allow.isEmpty { result.headers[.allow] = problem.allow.joined(separator: ", ") }
        if let seconds = problem.retryAfterSeconds { result.headers[.retryAfter] = String(seconds) }
        if problem.closesConnection { result.headers[.connection] = "close" }
        return result
    }
}
