// SPDX-License-Identifier: Apache-2.0
package import NIOCore
import Primitives
package import Wire

/// Cuts the bytes of a connection into frames. What a header announces is checked before anything is kept for it.
package struct FrameSplitter {
    package var maxFrameBytes: Int
    private var buffer = ByteBuffer()
    private var header: FrameHeader?

    package init(maxFrameBytes: Int) { self.maxFrameBytes = maxFrameBytes }

    package mutating func append(_ bytes: ByteBuffer) {
        guard buffer.readableBytes > 0 else {
            buffer = bytes
            return
        }
        // Otherwise the space of frames already taken would stay in front and the buffer grow for ever.
        buffer.discardReadBytes()
        if let header, buffer.readableBytes < header.bodyBytes {
            buffer.reserveCapacity(minimumWritableBytes: min(header.bodyBytes - buffer.readableBytes, 4 << 20))
        }
        buffer.writeImmutableBuffer(bytes)
    }

    /// The next whole frame, its checksum not yet checked; nil until more bytes come.
    package mutating func next() throws(WireError) -> (header: FrameHeader, body: [UInt8])? {
        if header == nil { header = try takeHeader() }
        guard let header, let body = buffer.readBytes(length: header.bodyBytes) else { return nil }
        self.header = nil
        // Nothing is left: let the memory of a large frame go.
        if buffer.readableBytes == 0 { buffer = ByteBuffer() }
        return (header, body)
    }

    private mutating func takeHeader() throws(WireError) -> FrameHeader? {
        // The length alone tells other protocols apart: "GET ", "PING" and "*1\r\n" all stand for hundreds of
        // megabytes. So they are turned away even when they wait for an answer after fewer bytes than a header has.
        if let length = buffer.getInteger(at: buffer.readerIndex, endianness: .little, as: UInt32.self),
            UInt64(length) > UInt64(maxFrameBytes)
        {
            throw .frameTooLarge(length: UInt64(length), limit: maxFrameBytes)
        }
        guard let bytes = buffer.getBytes(at: buffer.readerIndex, length: FrameHeader.byteCount) else { return nil }
        let header = try PeerFrame.header(bytes, maxFrameBytes: maxFrameBytes)
        buffer.moveReaderIndex(forwardBy: FrameHeader.byteCount)
        return header
    }
}

extension PeerFrame {
    /// A frame without messages: says only that its sender is alive.
    package static let ping: [UInt8] = {
        let type = FrameType.messages.rawValue
        var writer = ByteWriter(capacity: FrameHeader.byteCount)
        writer.u32(0)
        writer.u8(type)
        writer.u32(Checksum.crc32c([type]))
        return writer.bytes
    }()
}
