// SPDX-License-Identifier: Apache-2.0
package import NIOCore

/// Why a text is not JSON, and where.
package struct JSONError: Error, Equatable, Sendable {
    package var reason: String
    package var offset: Int
}

/// A strict parser of JSON (RFC 8259): no comments, no trailing commas, no member twice, at most `depth` levels.
package struct JSONParser {
    private let bytes: [UInt8]
    private var index = 0
    /// Members of one object; each is compared with all before it.
    private static let maximumMembers = 96
    /// Values of one text, as many as the largest batch of messages with all their fields: each takes far more memory
    /// than its bytes.
    private static let maximumValues = 1 << 17
    private var values = 0
    private let depth: Int

    private init(_ bytes: [UInt8], depth: Int) {
        self.bytes = bytes
        self.depth = depth
    }

    package static func parse(_ buffer: ByteBuffer, depth: Int = 16) throws(JSONError) -> JSONValue {
        var parser = JSONParser([UInt8](buffer.readableBytesView), depth: depth)
        let value = try parser.value(level: 0)
        parser.skipBlanks()
        guard parser.index == parser.bytes.count else { throw parser.error("something follows the value") }
        return value
    }

    package static func parse(_ text: String) throws(JSONError) -> JSONValue {
        try parse(ByteBuffer(string: text))
    }

    private func error(_ reason: String) -> JSONError { JSONError(reason: reason, offset: index) }

    private mutating func skipBlanks() {
        while index < bytes.count {
            switch bytes[index] {
            case 0x20, 0x09, 0x0a, 0x0d: index += 1
            default: return
            }
        }
    }

    private mutating func accept(_ character: Character) -> Bool {
        guard index < bytes.count, bytes[index] == character.asciiValue else { return false }
        index += 1
        return true
    }

    private mutating func value(level: Int) throws(JSONError) -> JSONValue {
        skipBlanks()
        guard level <= depth else { throw error("nested deeper than \(depth) levels") }
        values += 1
        guard values <= Self.maximumValues else { throw error("more than \(Self.maximumValues) values") }
        guard index < bytes.count else { throw error("it ends too early") }
        switch bytes[index] {
        case UInt8(ascii: "{"): return try object(level: level)
        case UInt8(ascii: "["): return try array(level: level)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), 0x30...0x39: return try number()
        default: throw error("unexpected character")
        }
    }

    private mutating func word(_ text: String, _ value: JSONValue) throws(JSONError) -> JSONValue {
        guard bytes[index...].starts(with: text.utf8) else { throw error("unexpected word") }
        index += text.utf8.count
        return value
    }

    private mutating func object(level: Int) throws(JSONError) -> JSONValue {
        index += 1
        var members: [JSONValue.Member] = []
        skipBlanks()
        if accept("}") { return .object(members) }
        repeat {
            skipBlanks()
            guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") else {
                throw error("a member needs a name in quotes")
            }
            let name = try string()
            guard members.count < Self.maximumMembers else {
                throw error("more than \(Self.maximumMembers) members in one object")
            }
            // By bytes: names that only look the same are different names.
            guard !members.contains(where: { $0.name.utf8.elementsEqual(name.utf8) }) else {
                throw error("'\(name)' is given twice")
            }
            skipBlanks()
            guard accept(":") else { throw error("a colon is missing after '\(name)'") }
            members.append(JSONValue.Member(name, try value(level: level + 1)))
            skipBlanks()
        } while accept(",")
        guard accept("}") else { throw error("a closing brace is missing") }
        return .object(members)
    }

    private mutating func array(level: Int) throws(JSONError) -> JSONValue {
        index += 1
        var values: [JSONValue] = []
        skipBlanks()
        if accept("]") { return .array(values) }
        repeat {
            values.append(try value(level: level + 1))
            skipBlanks()
        } while accept(",")
        guard accept("]") else { throw error("a closing bracket is missing") }
        return .array(values)
    }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = index
        _ = accept("-")
        let digits = index
        skipDigits()
        guard index > digits, bytes[digits] != 0x30 || index == digits + 1 else { throw error("malformed number") }
        var isInteger = true
        if accept(".") {
            isInteger = false
            let fraction = index
            skipDigits()
            guard index > fraction else { throw error("malformed number") }
        }
        if accept("e") || accept("E") {
            isInteger = false
            if !accept("+") { _ = accept("-") }
            let exponent = index
            skipDigits()
            guard index > exponent else { throw error("malformed number") }
        }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .integer(value) }
        if isInteger, let value = UInt64(text) { return .unsigned(value) }
        guard let value = Double(text) else { throw error("malformed number") }
        return .double(value)
    }

    private mutating func skipDigits() {
        while index < bytes.count, (0x30...0x39).contains(bytes[index]) { index += 1 }
    }

    private mutating func string() throws(JSONError) -> String {
        index += 1
        var text: [UInt8] = []
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""):
                guard let result = String(validating: text, as: UTF8.self) else { throw error("a string is not UTF-8") }
                index += 1
                return result
            case UInt8(ascii: "\\"):
                index += 1
                try escape(into: &text)
            case 0..<0x20: throw error("a control character in a string must be escaped")
            default:
                // Message bodies make strings of megabytes, so what needs no look is taken in one piece.
                let start = index
                skipPlain()
                text.append(contentsOf: bytes[start..<index])
            }
        }
        throw error("a string has no end")
    }

    private mutating func skipPlain() {
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), 0..<0x20: return
            default: index += 1
            }
        }
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        guard index < bytes.count else { throw error("it ends too early") }
        let byte = bytes[index]
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var code = UInt32(try unit())
            if (0xd800..<0xdc00).contains(code) {
                guard accept("\\"), accept("u") else { throw error("half of a surrogate pair") }
                let low = UInt32(try unit())
                guard (0xdc00..<0xe000).contains(low) else { throw error("half of a surrogate pair") }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw error("half of a surrogate pair") }
            text.append(contentsOf: String(scalar).utf8)
        default: throw error("unknown escape")
        }
    }

    private mutating func unit() throws(JSONError) -> UInt16 {
        guard index + 4 <= bytes.count,
            bytes[index..<index + 4].allSatisfy({ Character(UnicodeScalar($0)).isHexDigit }),
            let unit = UInt16(String(decoding: bytes[index..<index + 4], as: UTF8.self), radix: 16)
        else { throw error("\\u needs four hexadecimal digits") }
        index += 4
        return unit
    }
}
