// SPDX-License-Identifier: Apache-2.0
import NIOCore

extension RESPCommandParser {
    /// A line of words as a person types them, without any when the line is blank; nil when it is not whole.
    /// `position` is left behind the line.
    mutating func readInline() throws(RESPError) -> RESPCommand? {
        let held = buffer
        let found: Result<[UInt8]?, RESPError> = held.withUnsafeReadableBytes { bytes in
            do throws(RESPError) {
                guard let end = try lineEnd(bytes) else { return .success(nil) }
                let line = [UInt8](bytes[position..<end.text])
                position = end.next
                return .success(line)
            } catch {
                return .failure(error)
            }
        }
        guard let line = try found.get() else { return nil }
        var words = InlineWords(line: line)
        try words.split()
        if let first = words.slots.first {
            let name = Array(words.text[first.offset..<first.offset + first.count])
            if Self.isHTTP(verb: name, line: line) { throw .httpRequest }
        }
        return RESPCommand(buffer: ByteBuffer(bytes: words.text), slots: words.slots)
    }

    /// `GET` is a command too, so a verb counts only when the line ends like a request line. `POST` and `Host:` are
    /// refused on sight, as Redis does: a browser made to post to this port must not run the body as commands.
    private static func isHTTP(verb: [UInt8], line: [UInt8]) -> Bool {
        let verb = String(decoding: verb, as: UTF8.self)
        if verb == "POST" || verb.lowercased() == "host:" { return true }
        guard ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "PRI"].contains(verb) else {
            return false
        }
        let last = line.split(separator: UInt8(ascii: " ")).last ?? []
        return last.starts(with: Array("HTTP/".utf8))
    }
}

/// Splits a line into words by Redis' rules (`sdssplitargs`): blanks separate, double quotes take escapes
/// (`\n \r \t \b \a \xHH`), single quotes only `\'`, and a closing quote must be followed by a blank.
private struct InlineWords {
    let line: [UInt8]
    /// The words' bytes, one after another, unquoted.
    var text: [UInt8] = []
    var slots: [RESPCommand.Slot] = []
    private var index = 0

    init(line: [UInt8]) { self.line = line }

    mutating func split() throws(RESPError) {
        while true {
            while index < line.count, Self.isBlank(line[index]) { index += 1 }
            guard index < line.count else { return }
            let start = text.count
            try readWord()
            slots.append(RESPCommand.Slot(offset: start, count: text.count - start))
        }
    }

    private mutating func readWord() throws(RESPError) {
        while index < line.count, !Self.isBlank(line[index]) {
            let byte = line[index]
            index += 1
            switch byte {
            case UInt8(ascii: "\""): return try readQuoted(byte)
            case UInt8(ascii: "'"): return try readQuoted(byte)
            default: text.append(byte)
            }
        }
    }

    private mutating func readQuoted(_ quote: UInt8) throws(RESPError) {
        while index < line.count {
            let byte = line[index]
            index += 1
            if byte == quote {
                guard index == line.count || Self.isBlank(line[index]) else { throw .unbalancedQuotes }
                return
            }
            if byte == UInt8(ascii: "\\"), index < line.count {
                readEscape(quote)
            } else {
                text.append(byte)
            }
        }
        throw .unbalancedQuotes
    }

    private mutating func readEscape(_ quote: UInt8) {
        let byte = line[index]
        guard quote == UInt8(ascii: "\"") else {
            if byte == quote { index += 1 }
            text.append(byte == quote ? quote : UInt8(ascii: "\\"))
            return
        }
        index += 1
        if byte == UInt8(ascii: "x"), index + 1 < line.count,
            let high = Self.hexDigit(line[index]), let low = Self.hexDigit(line[index + 1])
        {
            text.append(high << 4 | low)
            index += 2
            return
        }
        switch byte {
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "a"): text.append(0x07)
        default: text.append(byte)
        }
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) || byte == 0 }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}
