// SPDX-License-Identifier: Apache-2.0
import RESP

/// RESP written into an array, for answers of many small fields: a thousand of them cost less here than in a
/// `ByteBuffer`, which checks each write on its own. Types are those of `RESPWriter`, byte for byte.
struct ReplyBytes {
    private(set) var bytes: [UInt8] = []
    private let isThree: Bool

    init(version: RESPVersion, capacity: Int) {
        isThree = version == .three
        bytes.reserveCapacity(capacity)
    }

    mutating func map(_ count: Int) {
        header(isThree ? UInt8(ascii: "%") : UInt8(ascii: "*"), isThree ? count : 2 * count)
    }

    mutating func bulk(_ value: StaticString) {
        header(UInt8(ascii: "$"), value.utf8CodeUnitCount)
        bytes.append(contentsOf: UnsafeBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount))
        endLine()
    }

    mutating func bulk(_ value: String) {
        var value = value
        value.withUTF8 { text in
            header(UInt8(ascii: "$"), text.count)
            bytes.append(contentsOf: text)
        }
        endLine()
    }

    mutating func bulk(_ value: [UInt8]) {
        header(UInt8(ascii: "$"), value.count)
        bytes.append(contentsOf: value)
        endLine()
    }

    mutating func pair(_ key: StaticString, _ value: String) {
        bulk(key)
        bulk(value)
    }

    /// Values above 2^63 - 1 do not exist in RESP and are written as that bound.
    mutating func pair(_ key: StaticString, _ value: UInt64) {
        bulk(key)
        bytes.append(UInt8(ascii: ":"))
        decimal(min(value, UInt64(Int64.max)))
        endLine()
    }

    private mutating func header(_ type: UInt8, _ count: Int) {
        bytes.append(type)
        decimal(UInt64(count))
        endLine()
    }

    private mutating func endLine() {
        bytes.append(0x0d)
        bytes.append(0x0a)
    }

    private mutating func decimal(_ value: UInt64) {
        if value < 10 {
            bytes.append(UInt8(truncatingIfNeeded: 0x30 + value))
            return
        }
        let start = bytes.count
        var rest = value
        while rest > 0 {
            bytes.append(UInt8(truncatingIfNeeded: 0x30 + rest % 10))
            rest /= 10
        }
        bytes[start...].reverse()
    }
}
