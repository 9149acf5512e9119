// SPDX-License-Identifier: Apache-2.0
import NIOCore
import NIOPosix
import Primitives
import Synchronization
import Wire

/// A stranger with a socket: sends any bytes, keeps all that comes.
final class RawPeer: Sendable {
    private final class Collector: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let bytes = Mutex<[UInt8]>([])
        let isClosed = Mutex(false)

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let read = unwrapInboundIn(data)
            bytes.withLock { $0.append(contentsOf: read.readableBytesView) }
        }

        func channelInactive(context: ChannelHandlerContext) { isClosed.withLock { $0 = true } }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private let channel: any Channel
    private let collector: Collector

    init(port: Int) async throws {
        let collector = Collector()
        self.collector = collector
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { $0.pipeline.addHandler(collector) }
            .connect(host: "127.0.0.1", port: port).get()
    }

    var bytes: [UInt8] { collector.bytes.withLock { $0 } }

    var isClosed: Bool { collector.isClosed.withLock { $0 } }

    /// A peer that has closed already is no failure.
    func send(_ bytes: [UInt8]) async { try? await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get() }

    func send(_ hello: Hello) async throws {
        var writer = ByteWriter()
        try Handshake.encode(hello, into: &writer)
        await send(writer.bytes)
    }

    /// The answer to a hello; nil as long as it is not there.
    func reply() throws -> HelloReply? {
        let bytes = bytes
        guard let header = try PeerFrame.header(bytes) else { return nil }
        let end = FrameHeader.byteCount + header.bodyBytes
        guard bytes.count >= end else { return nil }
        return try Handshake.decodeReply(header, body: Array(bytes[FrameHeader.byteCount..<end]))
    }

    func awaitReply() async throws -> HelloReply {
        var reply: HelloReply?
        try await eventually("a reply to the hello") {
            reply = try self.reply()
            return reply != nil
        }
        guard let reply else { throw TimedOut() }
        return reply
    }

    func awaitClose() async throws { try await eventually("the other side closes") { isClosed } }

    func close() async { try? await channel.close().get() }
}
