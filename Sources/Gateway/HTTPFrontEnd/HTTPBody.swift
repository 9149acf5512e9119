// SPDX-License-Identifier: Apache-2.0
import CacheCore
import NIOCore

/// A request's body as it was sent.
enum HTTPBody: Sendable {
    case json(JSONValue)
    /// The bytes are the message itself.
    case raw(ByteBuffer)

    /// How large a route's body may be.
    enum Size: Sendable {
        case ordinary
        /// A list of receipts.
        case receipts
        /// Messages with their bodies.
        case messages
        /// A value of the cache.
        case value

        func limit(_ configuration: HTTPConfiguration) -> Int {
            switch self {
            case .ordinary: configuration.bodyBytes
            case .receipts: configuration.receiptsBodyBytes
            case .messages: configuration.messagesBodyBytes
            case .value: CacheLimits.valueBytes
            }
        }
    }

    /// Whether a body of this `Content-Type` is JSON where a raw one is possible. One that is not named, and the one
    /// that curl and other tools send unasked with `--data`, count as JSON like everywhere else: taken as raw, a
    /// publish written for JSON would be stored with its braces.
    static func isJSON(contentType: String?) -> Bool {
        guard let contentType else { return true }
        let type = contentType.prefix { $0 != ";" }.lowercased().filter { $0 != " " && $0 != "\t" }
        return type.isEmpty || type == "application/json" || type.hasSuffix("+json") || type == "text/json"
            || type == "application/x-www-form-urlencoded"
    }
}
