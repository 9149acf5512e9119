// SPDX-License-Identifier: Apache-2.0
import NIOCore
import RESP

/// Cuts a byte stream into whole replies without making values of them: a load generator shares the machine with what
/// it measures, and a batch of deliveries is hundreds of values of which two per message are of interest.
struct ReplyScanner {
    private var buffer = ByteBuffer()
    /// Bytes from the reader index on that are known to belong to the present reply.
    private var scanned = 0
    /// Values that are still to come until that reply is whole.
    private var missing = 1

    mutating func append(_ bytes: ByteBuffer) {
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            buffer.discardReadBytes()
            buffer.writeImmutableBuffer(bytes)
        }
    }

    /// The bytes of the next whole reply, or nil when more are needed.
    mutating func next() throws(RESPError) -> ByteBuffer? {
        var position = scanned
        var count = missing
        var failure: RESPError?
        buffer.withUnsafeReadableBytes { bytes in
            var cursor = ReplyCursor(bytes, at: position)
            do throws(RESPError) {
                while count > 0, let added = try cursor.step() {
                    count += added - 1
                    position = cursor.position
                }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        scanned = position
        missing = count
        guard count == 0 else { return nil }
        scanned = 0
        missing = 1
        return buffer.readSlice(length: position)
    }
}

/// Walks over the values of replies, both protocol versions.
struct ReplyCursor {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position: Int

    init(_ bytes: UnsafeRawBufferPointer, at position: Int = 0) {
        self.bytes = bytes
        self.position = position
    }

    /// Passes one scalar with its bytes, or the header of an aggregate.
    /// - Returns: how many values follow as parts of it; nil when it has not arrived in full, and nothing was passed.
    mutating func step() throws(RESPError) -> Int? {
        guard let (type, text, next) = try line() else { return nil }
        switch type {
        case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "_"), UInt8(ascii: "#"),
            UInt8(ascii: ","), UInt8(ascii: "("):
            position = next
            return 0
        case UInt8(ascii: "$"), UInt8(ascii: "!"), UInt8(ascii: "="):
            let length = try Self.number(text)
            guard length >= 0 else {
                position = next
                return 0
            }
            guard bytes.count - next >= 2, length <= bytes.count - next - 2 else { return nil }
            position = next + length + 2
            return 0
        case UInt8(ascii: "*"), UInt8(ascii: "~"), UInt8(ascii: ">"):
            let count = try Self.number(text)
            position = next
            return max(0, count)
        case UInt8(ascii: "%"), UInt8(ascii: "|"):
            let count = try Self.number(text)
            position = next
            // An attribute is followed by the value that it describes.
            return max(0, count) * 2 + (type == UInt8(ascii: "|") ? 1 : 0)
        default: throw .unknownType(type)
        }
    }

    /// Passes one value with all of its parts; false when there is no whole one.
    mutating func skip() -> Bool {
        var missing = 1
        while missing > 0 {
            guard let added = try? step() else { return false }
            missing += added - 1
        }
        return true
    }

    /// Passes the header of an aggregate and says how many values it has; nil for anything else.
    mutating func header() -> Int? {
        guard let next = peek, next == UInt8(ascii: "*") || next == UInt8(ascii: "%") || next == UInt8(ascii: "~")
        else { return nil }
        return try? step()
    }

    /// Passes a bulk string and gives its contents; nil for anything else.
    mutating func bulk() -> UnsafeRawBufferPointer? {
        guard peek == UInt8(ascii: "$"), let (_, text, next) = try? line(), let length = try? Self.number(text),
            length >= 0, (try? step()) != nil
        else { return nil }
        return UnsafeRawBufferPointer(rebasing: bytes[next..<next + length])
    }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private func line() throws(RESPError) -> (type: UInt8, text: UnsafeRawBufferPointer, next: Int)? {
        guard position < bytes.count, let feed = bytes[position...].firstIndex(of: 0x0a) else { return nil }
        guard feed > position + 1, bytes[feed - 1] == 0x0d else { throw .missingLineEnd }
        return (bytes[position], UnsafeRawBufferPointer(rebasing: bytes[position + 1..<feed - 1]), feed + 1)
    }

    /// Bounded, so that sums of lengths and positions cannot overflow.
    private static func number(_ text: UnsafeRawBufferPointer) throws(RESPError) -> Int {
        guard let value = RESPNumber.parse(text), value >= -1, value <= 1 << 32 else { throw .invalidNumber }
        return value
    }
}
