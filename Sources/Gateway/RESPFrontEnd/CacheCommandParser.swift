// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import RESP

/// Bad input to a command of the cache: in Redis' own words, because that is what its clients look for.
enum CacheMistake: Error, Equatable {
    /// The command's name in lower case.
    case arity(String)
    case syntax
    case notInteger
    case expireTime(String)
    case offset
    case cursor
    case overflow
    case keyTooLong
    case valueTooLong
    /// A RESP2 connection listens to the channel of invalidations.
    case confined(CommandID)
    /// Everything that Redis has no words for.
    case other(String)

    var line: String {
        switch self {
        case .arity(let command): "ERR wrong number of arguments for '\(command)' command"
        case .syntax: "ERR syntax error"
        case .notInteger: RefusalText(CacheRefusal.notInteger).line
        case .expireTime(let command): "ERR invalid expire time in '\(command)' command"
        case .offset: "ERR offset is out of range"
        case .cursor: "ERR invalid cursor"
        case .overflow: "ERR decrement would overflow"
        case .keyTooLong: RefusalText(CacheRefusal.keyTooLong).line
        case .valueTooLong: RefusalText(CacheRefusal.tooLong).line
        case .confined(let id):
            "ERR Can't execute '\(CommandTable.shared[id].name.lowercased())': only (P|S)SUBSCRIBE / "
                + "(P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
        case .other(let line): line
        }
    }
}

/// A command of the cache: what it asks for, and what its answer looks like.
struct CacheCall {
    var request: CacheRequest
    var shape: CacheShape

    init(_ request: CacheRequest, _ shape: CacheShape) {
        self.request = request
        self.shape = shape
    }
}

/// Builds requests from the arguments of the commands of the cache. Where an input has several mistakes, the one
/// named is the one that Redis names.
struct CacheCommandParser {
    let id: CommandID
    let arguments: RESPArguments
    /// Milliseconds since 1970.
    let clock: @Sendable () -> Int64

    /// In lower case, for error texts.
    var name: String { CommandTable.shared[id].name.lowercased() }

    var now: Int64 { clock() }

    func call() throws(CacheMistake) -> CacheCall {
        switch id {
        case .get: return .init(.read(try key(1)), .value)
        case .set: return try set()
        case .mget: return .init(.readMany(try keys(1)), .values)
        case .incr: return .init(try write(.add(1)), .count)
        case .decr: return .init(try write(.add(-1)), .count)
        case .incrBy: return .init(try write(.add(try integer(2))), .count)
        case .decrBy:
            let key = try key(1)
            let subtrahend = try integer(2)
            guard subtrahend != .min else { throw .overflow }
            return .init(.write(key, .add(-subtrahend), CacheWriteOptions()), .count)
        case .incrByFloat: return .init(try write(.addDecimal(bytes(2))), .number)
        case .append: return .init(try write(.append(try value(2))), .count)
        case .strlen: return .init(.read(try key(1)), .length)
        case .getRange, .substr:
            let key = try key(1)
            return .init(.read(key), .range(try integer(2), try integer(3)))
        case .setRange: return try setRange()
        case .exists, .touch: return .init(.readMany(try keys(1)), .existing)
        case .type: return .init(.read(try key(1)), .type)
        case .ttl: return .init(.read(try key(1)), .timeToLive(isSeconds: true))
        case .pttl: return .init(.read(try key(1)), .timeToLive(isSeconds: false))
        case .expireTime: return .init(.read(try key(1)), .expiry(isSeconds: true))
        case .pexpireTime: return .init(.read(try key(1)), .expiry(isSeconds: false))
        case .mset, .msetnx, .del, .unlink: return try several()
        case .expire, .pexpire, .expireAt, .pexpireAt, .persist: return try expiry()
        case .setnx, .setex, .psetex, .getset, .getdel, .getex: return try whole()
        default: return try node()
        }
    }

    // MARK: Whole values

    private func whole() throws(CacheMistake) -> CacheCall {
        switch id {
        case .setnx:
            let change = CacheOperation.set(
                value: try value(2),
                expiry: .never,
                condition: .absent,
                wantsOld: false
            )
            return .init(try write(change), .isDone)
        case .getset:
            let change = CacheOperation.set(value: try value(2), expiry: .never, condition: .always, wantsOld: true)
            return .init(try write(change), .old)
        case .getdel: return .init(try write(.remove(condition: .always, wantsOld: true)), .old)
        case .getex: return try getAndExpire()
        default:
            let expiry = try ExpiryArgument(unit: id == .setex ? .seconds : .milliseconds, at: 2)
                .change(self)
            let change = CacheOperation.set(
                value: try value(3),
                expiry: expiry,
                condition: .always,
                wantsOld: false
            )
            return .init(try write(change), .ok)
        }
    }

    private func getAndExpire() throws(CacheMistake) -> CacheCall {
        var options = SetOptions()
        try options.read(self, from: 2, .getex)
        let key = try key(1)
        guard let expiry = try options.expiry?.change(self) ?? (options.persists ? ExpiryChange.never : nil) else {
            return .init(.read(key), .value)
        }
        return .init(.write(key, .expire(expiry, condition: .always, wantsValue: true), CacheWriteOptions()), .old)
    }

    private func set() throws(CacheMistake) -> CacheCall {
        var options = SetOptions()
        if arguments.count > 3 { try options.read(self, from: 3, .set) }
        let expiry = try options.expiry?.change(self) ?? (options.keepsExpiry ? .keep : .never)
        let change = CacheOperation.set(
            value: try value(2),
            expiry: expiry,
            condition: options.condition ?? .always,
            wantsOld: options.wantsOld
        )
        let write = CacheWriteOptions(durability: options.durability, lock: try options.lock())
        return .init(.write(try key(1), change, write), options.wantsOld ? .old : .okOrNull)
    }

    // MARK: Several keys

    private func several() throws(CacheMistake) -> CacheCall {
        switch id {
        case .del, .unlink:
            let writes = try keys(1).map { CacheWrite($0, .remove(condition: .always, wantsOld: false)) }
            // The usual case needs no batch.
            guard writes.count > 1 else { return .init(.write(writes[0].key, writes[0].operation, .init()), .count) }
            return .init(.writeMany(writes), .sum)
        default:
            guard !arguments.count.isMultiple(of: 2) else { throw .arity(name) }
            let isConditional = id == .msetnx
            guard !isConditional || arguments.count == 3 else {
                throw .other(
                    "ERR MSETNX of several keys is not supported: keys live in different shards, which change one by "
                        + "one; use SET with NX for each"
                )
            }
            var writes: [CacheWrite] = []
            writes.reserveCapacity(arguments.count / 2)
            for index in stride(from: 1, to: arguments.count, by: 2) {
                let change = CacheOperation.set(
                    value: try value(index + 1),
                    expiry: .never,
                    condition: isConditional ? .absent : .always,
                    wantsOld: false
                )
                writes.append(CacheWrite(try key(index), change))
            }
            return .init(.writeMany(writes), isConditional ? .allDone : .ok)
        }
    }

    // MARK: Parts and expiry

    private func setRange() throws(CacheMistake) -> CacheCall {
        let key = try key(1)
        let offset = try integer(2)
        guard offset >= 0 else { throw .offset }
        return .init(
            .write(key, .setRange(offset: UInt64(offset), try value(3)), CacheWriteOptions()),
            .count
        )
    }

    private func expiry() throws(CacheMistake) -> CacheCall {
        guard id != .persist else {
            return .init(try write(.expire(.never, condition: .hasOne, wantsValue: false)), .count)
        }
        let condition = try ExpiryOptions.condition(self, from: 3)
        let isSeconds = id == .expire || id == .expireAt
        let isMoment = id == .expireAt || id == .pexpireAt
        var milliseconds = try integer(2)
        if isSeconds {
            let (product, overflow) = milliseconds.multipliedReportingOverflow(by: 1_000)
            guard !overflow else { throw .expireTime(name) }
            milliseconds = product
        }
        if isMoment {
            milliseconds = milliseconds.subtractingClamped(now)
        } else if milliseconds > .max - now {
            throw .expireTime(name)
        }
        return .init(try write(.expire(.after(milliseconds), condition: condition, wantsValue: false)), .count)
    }

    // MARK: Arguments

    func bytes(_ index: Int) -> [UInt8] { [UInt8](arguments[index]) }

    func key(_ index: Int) throws(CacheMistake) -> CacheKey {
        let bytes = arguments[index]
        guard bytes.count <= CacheLimits.keyBytes else { throw .keyTooLong }
        return CacheKey([UInt8](bytes))
    }

    func keys(_ start: Int) throws(CacheMistake) -> [CacheKey] {
        var keys: [CacheKey] = []
        keys.reserveCapacity(arguments.count - start)
        for index in start..<arguments.count { keys.append(try key(index)) }
        return keys
    }

    func value(_ index: Int) throws(CacheMistake) -> [UInt8] {
        let bytes = arguments[index]
        guard bytes.count <= CacheLimits.valueBytes else { throw .valueTooLong }
        return [UInt8](bytes)
    }

    func integer(_ index: Int) throws(CacheMistake) -> Int64 {
        guard let number = StrictInteger.parse(bytes(index)) else { throw .notInteger }
        return number
    }

    /// For error texts.
    func text(_ index: Int) -> String { String(decoding: arguments[index].prefix(128), as: UTF8.self) }

    private func write(_ operation: CacheOperation) throws(CacheMistake) -> CacheRequest {
        .write(try key(1), operation, CacheWriteOptions())
    }
}

extension Int64 {
    func subtractingClamped(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? (self < 0 ? .min : .max) : difference
    }
}
