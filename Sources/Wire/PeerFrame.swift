// SPDX-License-Identifier: Apache-2.0
package import Primitives
package import Replica

package enum FrameType: UInt8, Sendable {
    /// First frame of the side that dialled: `Hello`.
    case hello = 1
    /// First frame of the side that accepted: `HelloReply`.
    case helloReply = 2
    /// Any number of `PeerMessage`s.
    case messages = 3
}

/// The nine bytes before every body on a peer connection: length u32, type u8, CRC-32C u32 of type and body.
package struct FrameHeader: Equatable, Sendable {
    package static let byteCount = 9

    package var type: FrameType
    /// Bytes that follow the header; at most the cap that the header was read with.
    package var bodyBytes: Int
    package var checksum: UInt32
}

/// Frames between nodes. A body holds messages up to its end, so a frame is cut off wherever it is large enough.
package enum PeerFrame {
    /// A body longer than this is refused from its header, before anything is allocated for it.
    package static let defaultMaxFrameBytes = 64 << 20

    /// `encode` ends a frame once it holds this much, so that one large frame does not delay what is behind it.
    package static let targetFrameBytes = 1 << 20

    /// Appends as few frames as `targetFrameBytes` allows; none for no messages.
    ///
    /// - Throws: `WireError.frameTooLarge` when one message alone exceeds `maxFrameBytes`; `writer` then ends before
    ///   the frame that would have held it.
    package static func encode(
        _ messages: [PeerMessage],
        into writer: inout ByteWriter,
        maxFrameBytes: Int = defaultMaxFrameBytes
    ) throws(WireError) {
        var next = messages.startIndex
        while next < messages.endIndex {
            let start = begin(.messages, into: &writer)
            repeat {
                let before = writer.count
                messages[next].encode(into: &writer)
                // What fits no more opens the next frame, unless it is alone.
                let body = start + FrameHeader.byteCount
                if writer.count - body > maxFrameBytes, before > body {
                    writer.bytes.removeLast(writer.count - before)
                    break
                }
                next += 1
            } while next < messages.endIndex && writer.count - start < targetFrameBytes
            try finish(.messages, start, into: &writer, maxFrameBytes: maxFrameBytes)
        }
    }

    /// Reads a header at `offset`; nil while fewer than nine bytes are there.
    package static func header(
        _ bytes: [UInt8],
        at offset: Int = 0,
        maxFrameBytes: Int = defaultMaxFrameBytes
    ) throws(WireError) -> FrameHeader? {
        guard offset >= 0, bytes.count >= offset, bytes.count - offset >= FrameHeader.byteCount else { return nil }
        let length: UInt32
        let rawType: UInt8
        let checksum: UInt32
        do throws(DecodingError) {
            var reader = ByteReader(bytes, from: offset, to: offset + FrameHeader.byteCount)
            length = try reader.u32()
            rawType = try reader.u8()
            checksum = try reader.u32()
        } catch {
            throw .malformed(error)
        }
        guard UInt64(length) <= UInt64(maxFrameBytes) else {
            throw .frameTooLarge(length: UInt64(length), limit: maxFrameBytes)
        }
        guard let type = FrameType(rawValue: rawType) else { throw .unknownFrameType(rawType) }
        return FrameHeader(type: type, bodyBytes: Int(length), checksum: checksum)
    }

    /// The messages of a body whose header was read before.
    package static func decode(_ header: FrameHeader, body: [UInt8]) throws(WireError) -> [PeerMessage] {
        guard header.type == .messages else { throw .unexpectedFrame(header.type) }
        try check(header, body: body)
        var reader = ByteReader(body)
        var messages: [PeerMessage] = []
        do throws(DecodingError) {
            while !reader.isAtEnd { messages.append(try PeerMessage(decoding: &reader)) }
        } catch {
            throw .malformed(error)
        }
        return messages
    }

    /// Starts a frame: leaves room for its header and returns where it begins.
    static func begin(_ type: FrameType, into writer: inout ByteWriter) -> Int {
        let start = writer.count
        writer.u32(0)
        writer.u8(type.rawValue)
        writer.u32(0)
        return start
    }

    /// Fills in the header of the frame that began at `start`; takes the frame back when it is too large.
    static func finish(
        _ type: FrameType,
        _ start: Int,
        into writer: inout ByteWriter,
        maxFrameBytes: Int
    ) throws(WireError) {
        let length = writer.count - start - FrameHeader.byteCount
        guard length <= maxFrameBytes, length <= Int(UInt32.max) else {
            writer.bytes.removeLast(writer.count - start)
            throw .frameTooLarge(length: UInt64(length), limit: maxFrameBytes)
        }
        let body = start + FrameHeader.byteCount
        let checksum = Checksum.crc32c(writer.bytes, from: body, to: writer.count, seed: seed(type))
        writer.patch32(UInt32(length), at: start)
        writer.patch32(checksum, at: start + 5)
    }

    static func check(_ header: FrameHeader, body: [UInt8]) throws(WireError) {
        guard body.count == header.bodyBytes else { throw .malformed(.truncated) }
        let found = Checksum.crc32c(body, seed: seed(header.type))
        guard found == header.checksum else {
            throw .checksumMismatch(expected: header.checksum, found: found)
        }
    }

    private static func seed(_ type: FrameType) -> UInt32 { Checksum.crc32c([type.rawValue]) }
}
