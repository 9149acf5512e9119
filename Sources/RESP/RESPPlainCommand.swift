// SPDX-License-Identifier: Apache-2.0

/// `GET key` or `SET key value`, whole and in the form that every client library sends, recognised at one look.
///
/// It stores nothing and changes nothing: what it does not recognise (another command, more arguments, an inline or
/// broken one, one of which a part is missing) is left to `RESPCommandParser`, which knows it all.
package struct RESPPlainCommand {
    /// The arguments behind the name; one for GET, two for SET.
    package let key: UnsafeRawBufferPointer
    package let value: UnsafeRawBufferPointer?
    /// Where the next command begins.
    package let end: Int

    private static let getHead = word("*2\r\n$3\r\n")
    private static let setHead = word("*3\r\n$3\r\n")
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
        let isGet: Bool
        if head == Self.getHead, name == Self.get {
            isGet = true
        } else if head == Self.setHead, name == Self.set {
            isGet = false
        } else {
            return nil
        }
        guard let first = Self.bulk(bytes, start + 14, limits) else { return nil }
        key = UnsafeRawBufferPointer(rebasing: bytes[first])
        var end = first.upperBound + 2
        if isGet {
            value = nil
        } else {
            guard end < bytes.count, bytes[end] == UInt8(ascii: "$"),
                let second = Self.bulk(bytes, end + 1, limits)
            else { return nil }
            value = UnsafeRawBufferPointer(rebasing: bytes[second])
            end = second.upperBound + 2
        }
        guard end - start <= limits.commandBytes else { return nil }
        self.end = end
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
