// SPDX-License-Identifier: Apache-2.0
package import LockCore
package import Primitives

extension RequestBuilder {
    package static func name(_ text: String, _ field: Field = .name) throws(BadRequest) -> Name {
        let count = text.utf8.count
        guard count > 0 else { throw .empty(field) }
        guard count <= RequestLimits.nameBytes else { throw .tooLong(field, limit: RequestLimits.nameBytes) }
        return Name(text)
    }

    /// `default` when none is given. A slash would be taken for the end of a session id's namespace.
    package static func namespace(_ text: String?) throws(BadRequest) -> Name {
        guard let text else { return .defaultNamespace }
        guard !text.utf8.contains(UInt8(ascii: "/")) else {
            throw .notAllowed(.namespace, reason: "it contains a slash")
        }
        guard text.utf8.count <= RequestLimits.namespaceBytes else {
            throw .tooLong(.namespace, limit: RequestLimits.namespaceBytes)
        }
        return try name(text, .namespace)
    }

    package static func sessionID(_ text: String, _ field: Field) throws(BadRequest) -> SessionID {
        guard text.utf8.first != UInt8(ascii: "/") else { throw .notAllowed(field, reason: "it begins with a slash") }
        return SessionID(try name(text, field))
    }

    static func requiredSession(_ text: String?) throws(BadRequest) -> SessionID {
        guard let text else { throw .missing(.session) }
        return try sessionID(text, .session)
    }

    /// The full id of a session to be opened: the client's own, or one chosen here; with its namespace in front.
    static func newSessionID(id: String?, namespace: String?) throws(BadRequest) -> SessionID {
        let space = try self.namespace(namespace)
        guard let id else {
            let random = SessionNaming.randomID()
            return SessionID(space == .defaultNamespace ? random : "\(space.text)/\(random)")
        }
        guard namespace != nil else { return try sessionID(id, .id) }
        guard !id.isEmpty else { throw .empty(.id) }
        let hasPrefix = id.utf8.starts(with: (space.text + "/").utf8)
        let isPlainDefault = space == .defaultNamespace && !id.utf8.contains(UInt8(ascii: "/"))
        return try sessionID(hasPrefix || isPlainDefault ? id : "\(space.text)/\(id)", .id)
    }

    static func text(_ text: String, _ field: Field, limit: Int) throws(BadRequest) -> String {
        guard text.utf8.count <= limit else { throw .tooLong(field, limit: limit) }
        return text
    }

    static func number(_ value: Int64, _ field: Field, _ range: ClosedRange<Int64>) throws(BadRequest) -> UInt64 {
        guard range.contains(value), let magnitude = UInt64(exactly: value) else {
            throw .outOfRange(field, low: range.lowerBound, high: range.upperBound)
        }
        return magnitude
    }

    static func priority(_ value: Int64?) throws(BadRequest) -> Int64 {
        guard let value else { return 0 }
        guard RequestLimits.priority.contains(value) else {
            throw .outOfRange(
                .priority,
                low: RequestLimits.priority.lowerBound,
                high: RequestLimits.priority.upperBound
            )
        }
        return value
    }

    static func sequence(_ value: Int64?) throws(BadRequest) -> UInt64? {
        guard let value else { return nil }
        return try number(value, .sequence, RequestLimits.sequence)
    }

    static func limit(_ count: Int64?) throws(BadRequest) -> Int {
        guard let count else { return RequestLimits.defaultCount }
        return Int(try number(count, .count, RequestLimits.count))
    }

    /// Zero milliseconds is a try.
    package static func wait(milliseconds: Int64) throws(BadRequest) -> Wait {
        let value = try number(milliseconds, .wait, RequestLimits.wait)
        return value == 0 ? .none : .milliseconds(value)
    }

    package static func mode(_ text: String) throws(BadRequest) -> LockMode {
        switch text.lowercased() {
        case "shared", "s": return .shared
        case "update", "u": return .update
        case "exclusive", "x": return .exclusive
        default:
            throw .unknownValue(.mode, got: String(text.prefix(32)), allowed: "SHARED, UPDATE or EXCLUSIVE")
        }
    }
}

extension LockMode {
    /// As clients write it.
    package var text: String {
        switch self {
        case .shared: "shared"
        case .update: "update"
        case .exclusive: "exclusive"
        }
    }
}

extension ObjectKind {
    package var text: String {
        switch self {
        case .lock: "lock"
        case .semaphore: "semaphore"
        case .election: "election"
        }
    }
}

extension SessionEnd {
    package var text: String {
        switch self {
        case .closed: "closed"
        case .expired: "expired"
        }
    }
}

/// Ids for sessions whose client did not choose one.
package enum SessionNaming {
    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)

    /// 128 random bits as 26 characters of Crockford's base 32.
    package static func randomID() -> String {
        var generator = SystemRandomNumberGenerator()
        var low = generator.next()
        var high = generator.next()
        return String(unsafeUninitializedCapacity: 26) { bytes in
            for index in 0..<26 {
                bytes[index] = alphabet[Int(low & 31)]
                low = low >> 5 | high << 59
                high >>= 5
            }
            return 26
        }
    }
}
