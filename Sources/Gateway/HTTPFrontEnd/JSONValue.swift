// SPDX-License-Identifier: Apache-2.0
package import NIOCore

/// A JSON value with members in the order they were written, and integers kept exact.
package enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int64)
    /// Integers above `Int64.max`.
    case unsigned(UInt64)
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])

    package struct Member: Sendable, Equatable {
        package var name: String
        package var value: JSONValue

        package init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    package static func object(_ members: (String, JSONValue)...) -> JSONValue {
        .object(members.map { Member($0.0, $0.1) })
    }

    package static func number(_ value: UInt64) -> JSONValue {
        Int64(exactly: value).map(JSONValue.integer) ?? .unsigned(value)
    }

    package static func number(_ value: Int) -> JSONValue { .integer(Int64(value)) }

    package static func optional(_ text: String?) -> JSONValue { text.map(JSONValue.string) ?? .null }

    package static func strings(_ texts: [String]) -> JSONValue { .array(texts.map(JSONValue.string)) }

    package subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    package var string: String? { if case .string(let text) = self { text } else { nil } }

    package var int: Int64? { if case .integer(let value) = self { value } else { nil } }

    package var array: [JSONValue]? { if case .array(let values) = self { values } else { nil } }

    package var members: [Member]? { if case .object(let members) = self { members } else { nil } }

    /// Compact text, UTF-8.
    package func write(into buffer: inout ByteBuffer) {
        switch self {
        case .null: buffer.writeStaticString("null")
        case .bool(let value): buffer.writeStaticString(value ? "true" : "false")
        case .integer(let value): buffer.writeString(String(value))
        case .unsigned(let value): buffer.writeString(String(value))
        // JSON has no infinities.
        case .double(let value): buffer.writeString(value.isFinite ? "\(value)" : "null")
        case .string(let text): Self.write(text, into: &buffer)
        case .array(let values):
            buffer.writeStaticString("[")
            for (index, value) in values.enumerated() {
                if index > 0 { buffer.writeStaticString(",") }
                value.write(into: &buffer)
            }
            buffer.writeStaticString("]")
        case .object(let members):
            buffer.writeStaticString("{")
            for (index, member) in members.enumerated() {
                if index > 0 { buffer.writeStaticString(",") }
                Self.write(member.name, into: &buffer)
                buffer.writeStaticString(":")
                member.value.write(into: &buffer)
            }
            buffer.writeStaticString("}")
        }
    }

    package var text: String {
        var buffer = ByteBuffer()
        write(into: &buffer)
        return String(buffer: buffer)
    }

    private static func write(_ text: String, into buffer: inout ByteBuffer) {
        var text = text
        buffer.writeStaticString("\"")
        text.withUTF8 { bytes in
            // Message bodies make strings of megabytes, so what needs no escape is written in one piece.
            var written = 0
            for (index, byte) in bytes.enumerated() where byte < 0x20 || byte == 0x22 || byte == 0x5c {
                buffer.writeBytes(bytes[written..<index])
                written = index + 1
                escape(byte, into: &buffer)
            }
            buffer.writeBytes(bytes[written...])
        }
        buffer.writeStaticString("\"")
    }

    private static func escape(_ byte: UInt8, into buffer: inout ByteBuffer) {
        switch byte {
        case 0x22: buffer.writeStaticString("\\\"")
        case 0x5c: buffer.writeStaticString("\\\\")
        case 0x0a: buffer.writeStaticString("\\n")
        case 0x0d: buffer.writeStaticString("\\r")
        case 0x09: buffer.writeStaticString("\\t")
        default:
            buffer.writeStaticString("\\u00")
            buffer.writeInteger(Hexadecimal.digits[Int(byte >> 4)])
            buffer.writeInteger(Hexadecimal.digits[Int(byte & 15)])
        }
    }

    private enum Hexadecimal {
        static let digits = Array("0123456789abcdef".utf8)
    }
}
