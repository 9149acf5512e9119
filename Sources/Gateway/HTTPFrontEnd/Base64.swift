// SPDX-License-Identifier: Apache-2.0

/// Base 64 with padding (RFC 4648 §4): how JSON carries bytes that are not text.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let invalid: UInt8 = 0xff
    private static let pad = UInt8(ascii: "=")

    private static let values: [UInt8] = {
        var values = [UInt8](repeating: invalid, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()

    static func encode(_ bytes: [UInt8]) -> String {
        let length = (bytes.count + 2) / 3 * 4
        return String(unsafeUninitializedCapacity: length) { text in
            var place = 0
            var index = 0
            while index < bytes.count {
                let count = min(3, bytes.count - index)
                var group = UInt32(bytes[index]) << 16
                if count > 1 { group |= UInt32(bytes[index + 1]) << 8 }
                if count > 2 { group |= UInt32(bytes[index + 2]) }
                text[place] = alphabet[Int(group >> 18 & 63)]
                text[place + 1] = alphabet[Int(group >> 12 & 63)]
                text[place + 2] = count > 1 ? alphabet[Int(group >> 6 & 63)] : pad
                text[place + 3] = count > 2 ? alphabet[Int(group & 63)] : pad
                index += 3
                place += 4
            }
            return length
        }
    }

    /// Nil unless the text is what `encode` gives: another alphabet, blanks, missing padding or stray bits are
    /// mistakes of the sender, and guessing would change what it meant.
    static func decode(_ text: String) -> [UInt8]? {
        var text = text
        return text.withUTF8 { decode($0) }
    }

    private static func decode(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        guard text.count.isMultiple(of: 4) else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        var index = 0
        while index < text.count {
            let isLast = index + 4 == text.count
            let padding = !isLast || text[index + 3] != pad ? 0 : text[index + 2] != pad ? 1 : 2
            var group: UInt32 = 0
            for offset in 0..<4 {
                let value = offset >= 4 - padding ? 0 : values[Int(text[index + offset])]
                guard value != invalid else { return nil }
                group = group << 6 | UInt32(value)
            }
            let stray: UInt32 = padding == 2 ? 0xffff : padding == 1 ? 0xff : 0
            guard group & stray == 0 else { return nil }
            bytes.append(UInt8(truncatingIfNeeded: group >> 16))
            if padding < 2 { bytes.append(UInt8(truncatingIfNeeded: group >> 8)) }
            if padding < 1 { bytes.append(UInt8(truncatingIfNeeded: group)) }
            index += 4
        }
        return bytes
    }
}
