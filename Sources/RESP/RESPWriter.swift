// SPDX-License-Identifier: Apache-2.0
package import NIOCore

/// Writes RESP into a buffer: replies in the version the connection speaks, or commands.
/// Types that RESP2 lacks are written as Redis writes them to RESP2 clients.
package struct RESPWriter {
    package var buffer: ByteBuffer
    package var version: RESPVersion

    package init(buffer: ByteBuffer = ByteBuffer(), version: RESPVersion = .two) {
        self.buffer = buffer
        self.version = version
    }

    /// `text` must be one line.
    package mutating func simple(_ text: StaticString) {
        byte("+")
        buffer.writeStaticString(text)
        endLine()
    }

    package mutating func simple(_ text: String) {
        byte("+")
        line(text)
        endLine()
    }

    /// An error whose first word is its code. Line ends inside `message` become blanks: they would break the framing.
    package mutating func error(_ message: String) {
        byte("-")
        line(message)
        endLine()
    }

    package mutating func integer(_ value: Int) {
        byte(":")
        decimal(value)
        endLine()
    }

    /// Values above 2^63 - 1 do not exist in RESP and are written as that bound.
    package mutating func integer(_ value: UInt64) { integer(Int(clamping: value)) }

    /// Bytes that are RESP already.
    package mutating func written(_ bytes: [UInt8]) { buffer.writeBytes(bytes) }

    package mutating func bulk(_ text: String) {
        header("$", text.utf8.count)
        buffer.writeString(text)
        endLine()
    }

    /// Header, bytes and line end in one look at the buffer: what an answer of one value takes.
    package mutating func bulk(_ bytes: UnsafeRawBufferPointer) {
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.count + 25) { target in
            target[0] = UInt8(ascii: "$")
            var position = 1 + Self.digits(of: bytes.count, into: target, at: 1)
            target[position] = 0x0d
            target[position + 1] = 0x0a
            position += 2
            UnsafeMutableRawBufferPointer(rebasing: target[position..<position + bytes.count])
                .copyMemory(from: bytes)
            position += bytes.count
            target[position] = 0x0d
            target[position + 1] = 0x0a
            return position + 2
        }
    }

    /// Writes a number that is not negative; returns how many digits it has.
    private static func digits(of value: Int, into target: UnsafeMutableRawBufferPointer, at start: Int) -> Int {
        var count = 1
        var bound = 10
        while value >= bound, count < 18 {
            count += 1
            bound *= 10
        }
        var rest = value
        for place in stride(from: start + count - 1, through: start, by: -1) {
            target[place] = UInt8(truncatingIfNeeded: 0x30 + rest % 10)
            rest /= 10
        }
        return count
    }

    package mutating func bulk(_ bytes: some Collection<UInt8>) {
        header("$", bytes.count)
        buffer.writeBytes(bytes)
        endLine()
    }

    package mutating func bulk(_ bytes: ByteBuffer) {
        header("$", bytes.readableBytes)
        buffer.writeImmutableBuffer(bytes)
        endLine()
    }

    package mutating func null() {
        buffer.writeStaticString(version == .three ? "_\r\n" : "$-1\r\n")
    }

    /// Begins an array; `count` values must follow.
    package mutating func array(_ count: Int) { header("*", count) }

    /// Begins a set; an array under RESP2.
    package mutating func set(_ count: Int) { header(version == .three ? "~" : "*", count) }

    /// Begins a map of `count` pairs; a flat array under RESP2.
    package mutating func map(_ count: Int) {
        if version == .three { header("%", count) } else { header("*", count * 2) }
    }

    /// Begins a message that answers no command; exists only in RESP3.
    package mutating func push(_ count: Int) { header(version == .three ? ">" : "*", count) }

    package mutating func bool(_ value: Bool) {
        if version == .three {
            buffer.writeStaticString(value ? "#t\r\n" : "#f\r\n")
        } else {
            integer(value ? 1 : 0)
        }
    }

    package mutating func double(_ value: Double) {
        let text: String
        if value.isNaN {
            text = "nan"
        } else if value.isInfinite {
            text = value < 0 ? "-inf" : "inf"
        } else {
            text = value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
        }
        guard version == .three else { return bulk(text) }
        byte(",")
        buffer.writeString(text)
        endLine()
    }

    /// Text meant for people, as `txt`; a bulk string under RESP2.
    package mutating func verbatim(_ text: String) {
        guard version == .three else { return bulk(text) }
        header("=", text.utf8.count + 4)
        buffer.writeStaticString("txt:")
        buffer.writeString(text)
        endLine()
    }

    /// A command as clients send it.
    package mutating func command(_ arguments: some Collection<String>) {
        array(arguments.count)
        for argument in arguments { bulk(argument) }
    }

    private mutating func byte(_ character: StaticString) { buffer.writeStaticString(character) }

    private mutating func endLine() { buffer.writeInteger(0x0d0a as UInt16) }

    private mutating func header(_ type: StaticString, _ count: Int) {
        byte(type)
        decimal(count)
        endLine()
    }

    private mutating func line(_ text: String) {
        if text.utf8.contains(where: { $0 == 0x0d || $0 == 0x0a }) {
            buffer.writeBytes(text.utf8.map { $0 == 0x0d || $0 == 0x0a ? 0x20 : $0 })
        } else {
            buffer.writeString(text)
        }
    }

    /// Digits without a `String` in between.
    private mutating func decimal(_ value: Int) {
        if value >= 0, value < 10 {
            buffer.writeInteger(UInt8(truncatingIfNeeded: 0x30 + value))
            return
        }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var magnitude = value.magnitude
            var start = 20
            repeat {
                start -= 1
                digits[start] = UInt8(truncatingIfNeeded: 0x30 + magnitude % 10)
                magnitude /= 10
            } while magnitude > 0
            if value < 0 {
                start -= 1
                digits[start] = UInt8(ascii: "-")
            }
            buffer.writeBytes(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digits)[start..<20]))
        }
    }
}
