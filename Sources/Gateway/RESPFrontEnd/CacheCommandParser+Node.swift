// SPDX-License-Identifier: Apache-2.0
import CacheCore
import RESP

/// Commands about many keys, or about what nodes hold.
extension CacheCommandParser {
    func node() throws(CacheMistake) -> CacheCall {
        switch id {
        case .scan: return try scan()
        case .keys: return .init(.keys(try pattern(1)), .plain)
        case .dbsize: return .init(.count, .plain)
        case .flushAll, .flushDB:
            guard arguments.count == 1 || arguments.count == 2 && (equals(1, "ASYNC") || equals(1, "SYNC")) else {
                throw .syntax
            }
            return .init(.removeAll, .plain)
        case .line: return .init(.inspect(try key(1)), .plain)
        case .cacheStats: return .init(.statistics, .plain)
        case .cacheFlush:
            guard arguments.count == 1 || arguments.count == 2 && equals(1, "ALL") else { throw .syntax }
            return .init(.flush(everywhere: arguments.count == 2), .plain)
        case .cacheEvict: return .init(.evict(try key(1)), .plain)
        default: throw .other("ERR '\(name)' cannot be answered here")
        }
    }

    /// `SCAN cursor [MATCH pattern] [COUNT n] [TYPE type]`.
    private func scan() throws(CacheMistake) -> CacheCall {
        guard let cursor = unsigned(1) else { throw .cursor }
        var scan = CacheScan(cursor: cursor)
        var place = 2
        while place < arguments.count {
            guard place + 1 < arguments.count else { throw .syntax }
            if equals(place, "MATCH") {
                scan.pattern = try pattern(place + 1)
            } else if equals(place, "COUNT") {
                let count = try integer(place + 1)
                guard count > 0 else { throw .syntax }
                scan.count = min(Int(clamping: count), CacheScan.maxCount)
            } else if equals(place, "TYPE") {
                scan.isNothing = !equals(place + 1, "STRING")
            } else {
                throw .syntax
            }
            place += 2
        }
        return .init(.scan(scan), .plain)
    }

    /// A longer one is not of this world: each key is matched with all of it.
    private func pattern(_ index: Int) throws(CacheMistake) -> KeyPattern {
        guard arguments[index].count <= 2 * CacheLimits.keyBytes else {
            throw .other("ERR a pattern has at most \(2 * CacheLimits.keyBytes) bytes")
        }
        return KeyPattern(bytes(index))
    }

    private func equals(_ index: Int, _ word: StaticString) -> Bool { Argument.equals(arguments[index], word) }

    private func unsigned(_ index: Int) -> UInt64? {
        let bytes = arguments[index]
        guard !bytes.isEmpty, bytes.count <= 20 else { return nil }
        var value: UInt64 = 0
        for byte in bytes {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowed) = product.addingReportingOverflow(UInt64(byte - 0x30))
            if overflow || overflowed { return nil }
            value = sum
        }
        return value
    }
}
