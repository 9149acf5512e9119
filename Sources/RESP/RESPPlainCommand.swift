// SPDX-License-Identifier: Apache-2.0

/// `GET key`, `SET key value` or `SET key value option word`, whole and in the form that every client library sends,
/// recognised at one look.
///
/// It stores nothing and changes nothing: what it does not recognise (another command, more arguments, an inline or
/// broken one, one of which a part is missing) is left to `RESPCommandParser`, which knows it all.
package struct RESPPlainCommand {
    /// The arguments behind the name; one for GET, two or four for SET.
    package let key: UnsafeRawBufferPointer
    package let value: UnsafeRawBufferPointer?
    package let option: (name: UnsafeRawBufferPointer, word: UnsafeRawBufferPointer)?
    /// Where the next command begins.
    package let end: Int

    private static let getHead = word("*2\r\n$3\r\n")
    private static let setHead = word("*3\r\n$3\r\n")
    private static let optionHead = word("*5\r\n$3\r\n")
    private static let get = word("GET\r\n$\0\0")
    private static let set = word("SET\r\n$\0\0")
    /// Leaves the case of the three letters out, and what follows the `$`.
    private static let nameMask: UInt64 = 0x0000_ffff_ffdf_dfdf

    private static func word(_ text: StaticString) -> UInt64 {
        UInt64(littleEndian: UnsafeRawPointer(text.utf8Start).loadUnaligned(as: UInt64.self))
    }

    /// - Parameter bytes: the input, a command beginning at `start`.
    package init?(_ bytes: UnsafeRawBufferPointer, at start: Int, _ limits: RESPLimits) {
        // The shortest is "*2 $3 GET $0" and two empty lines.
        guard bytes.count - start >= 19, let base = bytes.baseAddress else { return nil }
        let head = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: start, as: UInt64.self))
        let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self))
        let name = word & Self.nameMask
        let isGet = head == Self.getHead && name == Self.get
        let hasOption = head == Self.optionHead
        guard isGet || name == Self.set && (hasOption || head == Self.setHead),
            let first = Self.bulk(bytes, start + 14, limits)
        else { return nil }
        key = UnsafeRawBufferPointer(rebasing: bytes[first])
        var last = first
        if isGet {
            value = nil
        } else {
            guard let second = Self.bulk(bytes, after: last, limits) else { return nil }
            value = UnsafeRawBufferPointer(rebasing: bytes[second])
            last = second
        }
        if hasOption {
            guard let third = Self.bulk(bytes, after: last, limits),
                let fourth = Self.bulk(bytes, after: third, limits)
            else { return nil }
            option = (UnsafeRawBufferPointer(rebasing: bytes[third]), UnsafeRawBufferPointer(rebasing: bytes[fourth]))
            last = fourth
        } else {
            option = nil
        }
        end = last.upperBound + 2
        guard end - start <= limits.commandBytes else { return nil }
    }

    /// The bulk string behind the one with these bytes.
    private static func bulk(
        _ bytes: UnsafeRawBufferPointer,
        after last: Range<Int>,
        _ limits: RESPLimits
    ) -> Range<Int>? {
        let start = last.upperBound + 2
        guard start < bytes.count, bytes[start] == UInt8(ascii: "$") else { return nil }
        return bulk(bytes, start + 1, limits)
    }

    /// The bytes of a bulk string whose length is written at `start`; nil unless all of it is there and in order.
    private static func bulk(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ limits: RESPLimits) -> Range<Int>? {
        var position = start
        var length = 0
        while position < bytes.count, bytes[position] &- 0x30 < 10 {
            length = length * 10 + Int(bytes[position] &- 0x30)
            position += 1
            guard position - start <= 9 else { return nil }
        }
        guard position > start, length <= limits.bulkBytes, bytes.count - position >= length + 4,
            bytes[position] == 0x0d, bytes[position + 1] == 0x0a
        else { return nil }
        let first = position + 2
        let end = first + length
        guard bytes[end] == 0x0d, bytes[end + 1] == 0x0a else { return nil }
        return first..<end
    }
}
