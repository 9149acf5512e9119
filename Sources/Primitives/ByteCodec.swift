// SPDX-License-Identifier: Apache-2.0

/// Why bytes could not be decoded. A peer's or disk's fault, never a trap.
package enum DecodingError: Error, Equatable, Sendable {
    /// The bytes end before the value does.
    case truncated
    /// A length or count is above its limit.
    case limitExceeded(what: String)
    /// A tag or value that this version does not know.
    case unknownTag(what: String, value: UInt64)
    /// In another format than the one that this version reads.
    case otherVersion(what: String, found: UInt8, known: UInt8)
    /// Text that is not UTF-8.
    case invalidText
    /// Bytes follow the end of the value.
    case trailingBytes
    /// A value outside what its field allows.
    case invalidValue(what: String)

    /// Who wrote what cannot be read, and what an operator does about it.
    package var remedy: String {
        switch self {
        case .otherVersion(_, let found, let known) where found < known:
            "it was written by an earlier version, in a format that this one does not read: start that version again"
        case .otherVersion, .unknownTag:
            "it was written by a newer version: upgrade this node"
        case .truncated, .limitExceeded, .invalidText, .trailingBytes, .invalidValue:
            "it is damaged, or was written by a newer version: upgrade this node"
        }
    }
}

/// Appends fixed-width little-endian numbers, LEB128 varints and length-prefixed bytes to an array.
package struct ByteWriter: Sendable {
    package var bytes: [UInt8]

    package init(capacity: Int = 0) {
        bytes = []
        if capacity > 0 { bytes.reserveCapacity(capacity) }
    }

    package var count: Int { bytes.count }

    package mutating func u8(_ value: UInt8) { bytes.append(value) }

    package mutating func bool(_ value: Bool) { bytes.append(value ? 1 : 0) }

    package mutating func u16(_ value: UInt16) { fixed(value) }

    package mutating func u32(_ value: UInt32) { fixed(value) }

    package mutating func u64(_ value: UInt64) { fixed(value) }

    mutating func fixed<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// LEB128: seven bits a byte, low bits first.
    package mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// A varint length, then the bytes.
    package mutating func blob(_ value: [UInt8]) {
        varint(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    /// A varint length, then the UTF-8 bytes.
    package mutating func text(_ value: String) {
        varint(UInt64(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    package mutating func raw(_ value: some Sequence<UInt8>) { bytes.append(contentsOf: value) }

    /// Overwrites four bytes written earlier, for a length or checksum known only later.
    package mutating func patch32(_ value: UInt32, at offset: Int) {
        for position in 0..<4 { bytes[offset + position] = UInt8(truncatingIfNeeded: value >> (8 * UInt32(position))) }
    }
}

/// Reads what `ByteWriter` wrote, checking every bound. Works on a slice of an array without copying it.
package struct ByteReader: Sendable {
    package let bytes: [UInt8]
    package private(set) var offset: Int
    package let end: Int

    package init(_ bytes: [UInt8]) { self.init(bytes, from: 0, to: bytes.count) }

    /// Reads `bytes[start ..< end]`.
    package init(_ bytes: [UInt8], from start: Int, to end: Int) {
        invariant(start >= 0 && start <= end && end <= bytes.count, "reader range outside its bytes")
        self.bytes = bytes
        self.offset = start
        self.end = end
    }

    package var remaining: Int { end - offset }

    package var isAtEnd: Bool { offset == end }

    package mutating func u8() throws(DecodingError) -> UInt8 {
        guard offset < end else { throw .truncated }
        defer { offset += 1 }
        return bytes[offset]
    }

    /// The byte that a format begins with.
    package mutating func version(_ known: UInt8, _ what: String) throws(DecodingError) {
        let found = try u8()
        guard found == known else { throw .otherVersion(what: what, found: found, known: known) }
    }

    package mutating func bool() throws(DecodingError) -> Bool {
        switch try u8() {
        case 0: return false
        case 1: return true
        default: throw .invalidValue(what: "bool")
        }
    }

    package mutating func u16() throws(DecodingError) -> UInt16 { UInt16(truncatingIfNeeded: try fixed(2)) }

    package mutating func u32() throws(DecodingError) -> UInt32 { UInt32(truncatingIfNeeded: try fixed(4)) }

    package mutating func u64() throws(DecodingError) -> UInt64 { try fixed(8) }

    private mutating func fixed(_ width: Int) throws(DecodingError) -> UInt64 {
        guard remaining >= width else { throw .truncated }
        var value: UInt64 = 0
        for position in 0..<width { value |= UInt64(bytes[offset + position]) << (8 * UInt64(position)) }
        offset += width
        return value
    }

    package mutating func varint() throws(DecodingError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard offset < end else { throw .truncated }
            let byte = bytes[offset]
            offset += 1
            guard shift < 63 || byte <= 1 else { throw .invalidValue(what: "varint") }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
    }

    /// A varint that must not exceed `limit`, as an `Int`.
    package mutating func count(limit: Int, _ what: String) throws(DecodingError) -> Int {
        let value = try varint()
        guard value <= UInt64(limit) else { throw .limitExceeded(what: what) }
        return Int(value)
    }

    package mutating func raw(_ length: Int) throws(DecodingError) -> [UInt8] {
        guard length >= 0, remaining >= length else { throw .truncated }
        defer { offset += length }
        return Array(bytes[offset..<(offset + length)])
    }

    package mutating func skip(_ length: Int) throws(DecodingError) {
        guard length >= 0, remaining >= length else { throw .truncated }
        offset += length
    }

    package mutating func blob(limit: Int = .max, _ what: String = "bytes") throws(DecodingError) -> [UInt8] {
        let length = try varint()
        guard length <= UInt64(limit) else { throw .limitExceeded(what: what) }
        guard length <= UInt64(remaining) else { throw .truncated }
        return try raw(Int(length))
    }

    package mutating func text(limit: Int = .max, _ what: String = "text") throws(DecodingError) -> String {
        let length = try varint()
        guard length <= UInt64(limit) else { throw .limitExceeded(what: what) }
        guard length <= UInt64(remaining) else { throw .truncated }
        let start = offset
        offset += Int(length)
        guard let text = String(validating: bytes[start..<offset], as: UTF8.self) else { throw .invalidText }
        return text
    }

    package func expectEnd() throws(DecodingError) {
        guard isAtEnd else { throw .trailingBytes }
    }
}
