// SPDX-License-Identifier: Apache-2.0
import LockCore
import RESP

/// The options of one command, read in any order. Each takes one value.
struct CommandOptions {
    struct Allowed: OptionSet {
        let rawValue: UInt32

        init(rawValue: UInt32) { self.rawValue = rawValue }

        init(_ fields: Field...) {
            rawValue = fields.reduce(0) { $0 | Self.bit($1) }
        }

        static func bit(_ field: Field) -> UInt32 {
            guard let position = CommandOptions.fields.firstIndex(of: field) else { return 0 }
            return 1 << UInt32(position)
        }

        static let open = Allowed(.id, .ttl, .label, .owner, .lockDelay, .namespace)
        static let page = Allowed(.namespace, .prefix, .cursor, .count)
        static let sessionPage = Allowed(.namespace, .cursor, .count)
        static let acquire = Allowed(.session, .mode, .wait, .priority, .sequence)
        static let acquireAll = Allowed(.session, .wait, .priority, .sequence)
        static let convert = Allowed(.session, .mode, .wait, .sequence)
        static let release = Allowed(.session, .sequence)
        static let namespace = Allowed(.namespace)
        static let check = Allowed(.token, .namespace)
        static let breaking = Allowed(.reason, .namespace)
        static let semaphoreAcquire = Allowed(.session, .limit, .permits, .wait, .sequence)
        static let semaphoreRelease = Allowed(.session, .permits, .sequence)
        static let campaign = Allowed(.session, .value, .wait, .sequence)
    }

    private static let fields: [Field] = [
        .session, .mode, .wait, .sequence, .priority, .id, .namespace, .label, .owner, .ttl, .lockDelay, .limit,
        .permits, .value, .token, .reason, .prefix, .cursor, .count,
    ]
    private static let index = CommandIndex(fields.map(\.option))

    var session: String?
    var id: String?
    var namespace: String?
    var label: String?
    var owner: String?
    var reason: String?
    var prefix: String?
    var mode: LockMode?
    var wait: Wait?
    var value: [UInt8]?
    var ttl: Int64?
    var lockDelay: Int64?
    var priority: Int64?
    var sequence: Int64?
    var limit: Int64?
    var permits: Int64?
    var token: Int64?
    var cursor: Int64?
    var count: Int64?
    private var seen: UInt32 = 0

    init() {}

    /// Reads options from `start` to the end.
    init(_ arguments: RESPArguments, from start: Int, _ allowed: Allowed) throws(BadRequest) {
        let next = try readPrefix(arguments, from: start, allowed)
        guard next == arguments.count else {
            let word = String(decoding: arguments[next].prefix(64), as: UTF8.self)
            let names = Self.fields.filter { allowed.rawValue & Allowed.bit($0) != 0 }.map(\.option)
            throw .unknownOption(word, suggestion: Suggestion.nearest(to: word, among: names))
        }
    }

    /// Reads options until an argument that is none; returns that argument's position.
    mutating func readPrefix(_ arguments: RESPArguments, from start: Int, _ allowed: Allowed) throws(BadRequest) -> Int
    {
        var index = start
        while index < arguments.count {
            guard let position = Self.index.position(of: arguments[index]) else { break }
            let bit: UInt32 = 1 << UInt32(position)
            guard allowed.rawValue & bit != 0 else { break }
            let field = Self.fields[position]
            guard seen & bit == 0 else { throw .repeated(field) }
            guard index + 1 < arguments.count else { throw .missingValue(field) }
            seen |= bit
            try set(field, arguments[index + 1])
            index += 2
        }
        return index
    }

    private mutating func set(_ field: Field, _ bytes: UnsafeRawBufferPointer) throws(BadRequest) {
        switch field {
        case .session: session = try Argument.text(bytes, field)
        case .id: id = try Argument.text(bytes, field)
        case .namespace: namespace = try Argument.text(bytes, field)
        case .label: label = try Argument.text(bytes, field)
        case .owner: owner = try Argument.text(bytes, field)
        case .reason: reason = try Argument.text(bytes, field)
        case .prefix: prefix = try Argument.text(bytes, field)
        case .mode: mode = try Argument.mode(bytes)
        case .wait: wait = try Argument.wait(bytes)
        case .value: value = [UInt8](bytes)
        case .ttl: ttl = try Argument.number(bytes, field)
        case .lockDelay: lockDelay = try Argument.number(bytes, field)
        case .priority: priority = try Argument.number(bytes, field)
        case .sequence: sequence = try Argument.number(bytes, field)
        case .limit: limit = try Argument.number(bytes, field)
        case .permits: permits = try Argument.number(bytes, field)
        case .token: token = try Argument.number(bytes, field)
        case .cursor: cursor = try Argument.number(bytes, field)
        case .count: count = try Argument.number(bytes, field)
        default: break
        }
    }
}

/// Single arguments as typed values.
enum Argument {
    static func text(_ bytes: UnsafeRawBufferPointer, _ field: Field) throws(BadRequest) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .notUTF8(field) }
        return text
    }

    static func number(_ bytes: UnsafeRawBufferPointer, _ field: Field) throws(BadRequest) -> Int64 {
        guard let value = RESPNumber.parse(bytes) else { throw .notANumber(field) }
        return Int64(value)
    }

    static func mode(_ bytes: UnsafeRawBufferPointer) throws(BadRequest) -> LockMode {
        try RequestBuilder.mode(String(decoding: bytes.prefix(64), as: UTF8.self))
    }

    static func wait(_ bytes: UnsafeRawBufferPointer) throws(BadRequest) -> Wait {
        if equals(bytes, "FOREVER") { return .forever }
        return try RequestBuilder.wait(milliseconds: number(bytes, .wait))
    }

    /// Compares with an upper-case ASCII word, ignoring the argument's case.
    static func equals(_ bytes: UnsafeRawBufferPointer, _ word: StaticString) -> Bool {
        guard bytes.count == word.utf8CodeUnitCount else { return false }
        let expected = UnsafeRawBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        for index in bytes.indices {
            let byte = bytes[index]
            if (byte >= 0x61 && byte <= 0x7a ? byte &- 0x20 : byte) != expected[index] { return false }
        }
        return true
    }
}
