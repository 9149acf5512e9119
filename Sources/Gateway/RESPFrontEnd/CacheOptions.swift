// SPDX-License-Identifier: Apache-2.0
import CacheCore
import LockCore
import Primitives
import RESP

/// When a value is to expire, as it was asked for.
struct ExpiryArgument {
    enum Unit {
        case seconds
        case milliseconds
    }

    var unit: Unit
    /// Counted from 1970 rather than from now.
    var isMoment = false
    /// The argument that names it.
    var at: Int

    func change(_ parser: CacheCommandParser) throws(CacheMistake) -> ExpiryChange {
        var milliseconds = try parser.integer(at)
        guard milliseconds > 0, unit == .milliseconds || milliseconds <= .max / 1_000 else {
            throw .expireTime(parser.name)
        }
        if unit == .seconds { milliseconds *= 1_000 }
        if isMoment { return .after(milliseconds.subtractingClamped(parser.now)) }
        guard milliseconds <= .max - parser.now else { throw .expireTime(parser.name) }
        return .after(milliseconds)
    }
}

/// An option of SET or GETEX.
private enum SetOption: Int, CaseIterable {
    case nx, xx, get, keepTTL, persist, ex, px, exat, pxat
    case ifEqual, ifDifferent, ifVersion, durability, lock, token, namespace

    var word: String {
        switch self {
        case .nx: "NX"
        case .xx: "XX"
        case .get: "GET"
        case .keepTTL: "KEEPTTL"
        case .persist: "PERSIST"
        case .ex: "EX"
        case .px: "PX"
        case .exat: "EXAT"
        case .pxat: "PXAT"
        case .ifEqual: "IFEQ"
        case .ifDifferent: "IFNE"
        case .ifVersion: "IFVERSION"
        case .durability: "DURABILITY"
        case .lock: "LOCK"
        case .token: "TOKEN"
        case .namespace: "NAMESPACE"
        }
    }

    var hasValue: Bool {
        switch self {
        case .nx, .xx, .get, .keepTTL, .persist: false
        default: true
        }
    }

    /// Times that exclude each other; the same one may come again, and the last counts.
    var isTime: Bool {
        switch self {
        case .keepTTL, .persist, .ex, .px, .exat, .pxat: true
        default: false
        }
    }

    var isCondition: Bool {
        switch self {
        case .nx, .xx, .ifEqual, .ifDifferent, .ifVersion: true
        default: false
        }
    }
}

/// The options of SET and GETEX, in any order.
struct SetOptions {
    enum Command {
        case set
        case getex
    }

    private static let index = CommandIndex(SetOption.allCases.map(\.word))

    private(set) var expiry: ExpiryArgument?
    private(set) var keepsExpiry = false
    private(set) var persists = false
    private(set) var wantsOld = false
    private(set) var condition: CacheCondition?
    private(set) var durability: CacheDurability?
    private var lockName: Name?
    private var lockToken: UInt64?
    private var lockNamespace: Name?
    private var time: SetOption?
    private var conditionOption: SetOption?

    init() {}

    mutating func read(_ parser: CacheCommandParser, from start: Int, _ command: Command) throws(CacheMistake) {
        var place = start
        while place < parser.arguments.count {
            guard let position = Self.index.position(of: parser.arguments[place]) else { throw .syntax }
            let option = SetOption.allCases[position]
            guard allows(option, command), !option.hasValue || place + 1 < parser.arguments.count else {
                throw .syntax
            }
            try take(option, parser, place + 1)
            place += option.hasValue ? 2 : 1
        }
    }

    private func allows(_ option: SetOption, _ command: Command) -> Bool {
        if option.isTime, let time, time != option { return false }
        if option.isCondition, let conditionOption, conditionOption != option { return false }
        switch command {
        case .set: return option != .persist
        case .getex: return option.isTime && option != .keepTTL
        }
    }

    private mutating func take(
        _ option: SetOption,
        _ parser: CacheCommandParser,
        _ place: Int
    ) throws(CacheMistake) {
        if option.isTime { time = option }
        if option.isCondition { conditionOption = option }
        switch option {
        case .nx: condition = .absent
        case .xx: condition = .present
        case .get: wantsOld = true
        case .keepTTL: keepsExpiry = true
        case .persist: persists = true
        case .ex: expiry = ExpiryArgument(unit: .seconds, at: place)
        case .px: expiry = ExpiryArgument(unit: .milliseconds, at: place)
        case .exat: expiry = ExpiryArgument(unit: .seconds, isMoment: true, at: place)
        case .pxat: expiry = ExpiryArgument(unit: .milliseconds, isMoment: true, at: place)
        case .ifEqual: condition = .equals(try parser.value(place))
        case .ifDifferent: condition = .differs(try parser.value(place))
        case .ifVersion:
            guard let version = CacheVersion(parser.text(place)) else {
                throw .other("ERR '\(parser.text(place))' is no version; LINE and ETags show them as 1205 or 1205.3")
            }
            condition = .version(version)
        case .durability:
            guard let found = CacheDurability(word: parser.text(place)) else {
                let words = CacheDurability.allCases.map { $0.word.uppercased() }
                throw .other(
                    "ERR '\(parser.text(place))' is no DURABILITY; it must be \(words.joined(separator: ", "))"
                )
            }
            durability = found
        case .lock: lockName = try Self.fenceName(.name, parser, place)
        case .namespace: lockNamespace = try Self.fenceName(.namespace, parser, place)
        case .token:
            let token = try parser.integer(place)
            guard token >= 0 else { throw .notInteger }
            lockToken = UInt64(token)
        }
    }

    private static func fenceName(
        _ field: Field,
        _ parser: CacheCommandParser,
        _ place: Int
    ) throws(CacheMistake) -> Name {
        do throws(BadRequest) {
            let text = try Argument.text(parser.arguments[place], field)
            return field == .namespace ? try RequestBuilder.namespace(text) : try RequestBuilder.name(text)
        } catch {
            throw .other("ERR " + error.message(.resp))
        }
    }

    /// Nil when none was named.
    func lock() throws(CacheMistake) -> CacheLockGuard? {
        guard lockName != nil || lockToken != nil || lockNamespace != nil else { return nil }
        guard let lockName, let lockToken else {
            throw .other("ERR LOCK and TOKEN come together: SET key value LOCK name TOKEN t [NAMESPACE ns]")
        }
        return CacheLockGuard(namespace: lockNamespace ?? .defaultNamespace, name: lockName, token: lockToken)
    }
}

/// NX, XX, GT and LT of the EXPIRE commands.
enum ExpiryOptions {
    static func condition(_ parser: CacheCommandParser, from start: Int) throws(CacheMistake) -> ExpiryCondition {
        var (nx, xx, gt, lt) = (false, false, false, false)
        for place in start..<max(start, parser.arguments.count) {
            let word = parser.arguments[place]
            if Argument.equals(word, "NX") {
                nx = true
            } else if Argument.equals(word, "XX") {
                xx = true
            } else if Argument.equals(word, "GT") {
                gt = true
            } else if Argument.equals(word, "LT") {
                lt = true
            } else {
                throw .other("ERR Unsupported option \(parser.text(place))")
            }
        }
        guard !nx || !(xx || gt || lt) else {
            throw .other("ERR NX and XX, GT or LT options at the same time are not compatible")
        }
        guard !(gt && lt) else { throw .other("ERR GT and LT options at the same time are not compatible") }
        if nx { return .hasNone }
        if gt { return xx ? .hasOneAndGreater : .greater }
        if lt { return xx ? .hasOneAndLess : .less }
        return xx ? .hasOne : .always
    }
}
