// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Text helpers of the two log formats.
enum LogText {
    /// RFC 3339 in UTC with milliseconds: `2026-11-22T13:05:59.123Z`.
    static func timestamp(seconds: Int, nanoseconds: Int) -> String {
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        let date = [padded(parts.tm_year + 1900, 4), padded(parts.tm_mon + 1, 2), padded(parts.tm_mday, 2)]
            .joined(separator: "-")
        let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map { padded($0, 2) }.joined(separator: ":")
        return "\(date)T\(clock).\(padded(Int32(nanoseconds / 1_000_000), 3))Z"
    }

    static func timestampNow() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return timestamp(seconds: now.tv_sec, nanoseconds: now.tv_nsec)
    }

    private static func padded(_ number: Int32, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// Appends a JSON string with its quotes (RFC 8259 §7).
    static func appendJSON(_ text: String, to line: inout [UInt8]) {
        line.append(UInt8(ascii: "\""))
        appendEscaped(text, to: &line)
        line.append(UInt8(ascii: "\""))
    }

    /// Appends the text with quotes, backslashes and control characters escaped, so that it stays on its line.
    static func appendEscaped(_ text: String, to line: inout [UInt8]) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                line.append(UInt8(ascii: "\\"))
                line.append(byte)
            case 0x0a: line.append(contentsOf: "\\n".utf8)
            case 0x0d: line.append(contentsOf: "\\r".utf8)
            case 0x09: line.append(contentsOf: "\\t".utf8)
            case 0..<0x20, 0x7f:
                line.append(contentsOf: (byte < 0x10 ? "\\u000" : "\\u00").utf8)
                line.append(contentsOf: String(byte, radix: 16).utf8)
            default: line.append(byte)
            }
        }
    }

    /// As JSON does it, but in quotes only where a reader could not tell where the text ends.
    static func appendValue(_ text: String, to line: inout [UInt8]) {
        let special: [UInt8] = [0x7f, UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "=")]
        let plain = !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && !special.contains($0) }
        if plain { line.append(contentsOf: text.utf8) } else { appendJSON(text, to: &line) }
    }
}
