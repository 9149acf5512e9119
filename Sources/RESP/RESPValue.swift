// SPDX-License-Identifier: Apache-2.0
package import NIOCore

/// Any value a server may send, in either protocol version.
package indirect enum RESPValue: Sendable, Equatable {
    case simple(String)
    /// Code and text in one line, as sent.
    case error(String)
    case integer(Int64)
    case bulk(ByteBuffer)
    /// RESP3's null and both of RESP2's.
    case null
    case bool(Bool)
    case double(Double)
    /// Decimal digits beyond 64 bits.
    case bigNumber(String)
    /// `format` is three letters, such as `txt`.
    case verbatim(format: String, String)
    case array([RESPValue])
    case set([RESPValue])
    /// Pairs in the order they were sent.
    case map([Pair])
    /// Not an answer: sent whenever the server has something to tell.
    case push([RESPValue])

    package struct Pair: Sendable, Equatable {
        package var key: RESPValue
        package var value: RESPValue

        package init(key: RESPValue, value: RESPValue) {
            self.key = key
            self.value = value
        }
    }

    package var isNull: Bool { self == .null }

    /// The text of a string of any kind; nil for other types.
    package var string: String? {
        switch self {
        case .simple(let text), .verbatim(_, let text), .bigNumber(let text): text
        case .bulk(let bytes): String(buffer: bytes)
        default: nil
        }
    }

    package var int: Int64? {
        switch self {
        case .integer(let value): value
        case .simple, .bulk: string.flatMap { Int64($0) }
        default: nil
        }
    }

    package var elements: [RESPValue]? {
        switch self {
        case .array(let values), .set(let values), .push(let values): values
        default: nil
        }
    }

    /// The pairs of a map, or of the flat array that stands for one under RESP2.
    package var pairs: [Pair]? {
        switch self {
        case .map(let pairs): return pairs
        case .array(let values) where values.count.isMultiple(of: 2):
            return stride(from: 0, to: values.count, by: 2).map { Pair(key: values[$0], value: values[$0 + 1]) }
        default: return nil
        }
    }

    /// The value under a text key of a map or flat array.
    package subscript(key: String) -> RESPValue? { pairs?.first { $0.key.string == key }?.value }
}
