// SPDX-License-Identifier: Apache-2.0
import HTTPTypes
import LockCore
import NIOCore
import Replica

enum HTTPMethod: String, Sendable, CaseIterable {
    case get = "GET"
    case post = "POST"
    case put = "PUT"
    case patch = "PATCH"
    case delete = "DELETE"
}

/// What a route answers with when all went well.
enum HTTPAnswer: Sendable {
    case json(Int, JSONValue)
    case text(Int, contentType: String, String)
    /// A value as it is, or nothing at all (304).
    case bytes(Int, [UInt8])
    /// An answer with header fields of its own.
    indirect case fields(HTTPFields, HTTPAnswer)
    /// Server-sent events of a namespace's locks (of the names, or all) and of the cluster.
    case events(namespace: String?, name: String?)
}

/// One request as a route sees it.
struct HTTPCall: Sendable {
    /// Path parameters in the order they stand in the path, percent-decoded.
    var parameters: [String]
    /// The first of them where it need not be text.
    var key: [UInt8] = []
    var headers: HTTPFields = [:]
    var body: JSONFields
    var query: JSONFields
    /// The body where the route takes a raw one and one was sent; `query` then has what would stand in the JSON.
    var raw: ByteBuffer?
    var services: HTTPServices

    /// The first path parameter.
    var name: String { parameters.first ?? "" }
}

/// What all routes share.
struct HTTPServices: Sendable {
    var configuration: HTTPConfiguration
    var identity: ServerIdentity
    var requests: AsyncRequests
    var administration: any NodeAdministration
    var observer: any GatewayObserver
    var metrics: @Sendable () -> String
    var longRequests: LongRequests
    var largeBodies: LargeBodies
}

/// One row of the route table.
struct HTTPRoute: Sendable {
    enum Action: Sendable {
        /// Goes to the cluster: how the request is built, and how its answer is shown. `present` is given answers
        /// that are no errors; nil means that what was asked for does not exist.
        case cluster(
            build: @Sendable (HTTPCall) throws(BadRequest) -> Request,
            present: @Sendable (LockResponse, Request) -> HTTPAnswer?
        )
        /// The same for a queue, of which a request may have many parts.
        case queue(
            build: @Sendable (HTTPCall) throws(BadRequest) -> QueueOperation,
            present: @Sendable (QueueResult, HTTPCall) throws(Problem) -> HTTPAnswer?
        )
        /// The same for the cache, whose conditions stand in header fields.
        case cache(
            build: @Sendable (HTTPCall) throws(Problem) -> CacheRequest,
            present: @Sendable (CacheResult, HTTPCall) throws(Problem) -> HTTPAnswer?
        )
        case local(@Sendable (HTTPCall) async throws(Problem) -> HTTPAnswer)
    }

    var method: HTTPMethod
    /// Segments in braces are parameters: `/v1/locks/{name}`.
    var path: String
    var family: CommandFamily
    var body: [Field]
    var query: [Field]
    /// Query parameters beside a raw body; empty where only JSON is taken.
    var raw: [Field]
    var size: HTTPBody.Size
    var action: Action
    private var segments: [Segment]

    private enum Segment: Sendable {
        case literal(String)
        case parameter
    }

    init(
        _ method: HTTPMethod,
        _ path: String,
        _ family: CommandFamily,
        body: [Field] = [],
        query: [Field] = [],
        raw: [Field] = [],
        size: HTTPBody.Size = .ordinary,
        _ action: Action
    ) {
        self.method = method
        self.path = path
        self.family = family
        self.body = body
        self.query = query
        self.raw = raw
        self.size = size
        self.action = action
        segments = path.split(separator: "/").map { $0.hasPrefix("{") ? .parameter : .literal(String($0)) }
    }

    /// The parameters when the path is this route's; nil when it is not.
    func match(_ parts: [[UInt8]]) -> [[UInt8]]? {
        guard parts.count == segments.count else { return nil }
        var parameters: [[UInt8]] = []
        for (segment, part) in zip(segments, parts) {
            switch segment {
            case .literal(let text): if !text.utf8.elementsEqual(part) { return nil }
            case .parameter: parameters.append(part)
            }
        }
        return parameters
    }

    /// Whether the path's parameters are keys, which need not be text.
    var isOfKeys: Bool { if case .cache = action { true } else { false } }

    /// Whether the body is a value as it is, whatever its `Content-Type`.
    var takesValue: Bool { size == .value }
}

extension Field {
    /// Whether a query parameter is taken as it stands; numbers, truth values and objects are read as JSON.
    var isTextInQuery: Bool {
        switch self {
        case .cursor, .count, .token, .priority, .ttl, .delay, .at, .declare, .headers, .lock, .producer, .keepTTL:
            false
        default: true
        }
    }
}

/// Percent-encoding (RFC 3986).
enum PercentEncoding {
    /// Nil when an escape is malformed or the result is not UTF-8.
    static func decode(_ text: some StringProtocol, plusIsBlank: Bool = false) -> String? {
        bytes(text, plusIsBlank: plusIsBlank).flatMap { String(validating: $0, as: UTF8.self) }
    }

    /// Nil when an escape is malformed.
    static func bytes(_ text: some StringProtocol, plusIsBlank: Bool = false) -> [UInt8]? {
        var bytes: [UInt8] = []
        var iterator = text.utf8.makeIterator()
        while let byte = iterator.next() {
            if byte == UInt8(ascii: "%") {
                guard let high = iterator.next().flatMap(digit), let low = iterator.next().flatMap(digit) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            } else {
                bytes.append(plusIsBlank && byte == UInt8(ascii: "+") ? 0x20 : byte)
            }
        }
        return bytes
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}
