// SPDX-License-Identifier: Apache-2.0
import NIOCore
import NIOPosix
import RESP

/// A plain connection to a server, to look at it and to change it behind the back of what is tested.
final class RawClient: Sendable {
    private let channel: any Channel

    init(_ server: RedisProcess) async throws {
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(RawHandler())
                }
            }
            .connect(host: "127.0.0.1", port: server.port).get()
    }

    deinit { channel.close(promise: nil) }

    @discardableResult
    func send(_ words: String...) async throws -> RESPValue { try await send(words.map { Array($0.utf8) }) }

    func send(_ words: [[UInt8]]) async throws -> RESPValue {
        var writer = RESPWriter()
        writer.array(words.count)
        for word in words { writer.bulk(word) }
        let promise = channel.eventLoop.makePromise(of: RESPValue.self)
        channel.writeAndFlush(RawExchange(bytes: writer.buffer, promise: promise), promise: nil)
        return try await promise.futureResult.get()
    }
}

extension RedisProcess {
    /// One command over a connection of its own.
    @discardableResult
    func send(_ words: String...) async throws -> RESPValue {
        try await RawClient(self).send(words.map { Array($0.utf8) })
    }
}

private struct RawExchange: Sendable {
    let bytes: ByteBuffer
    let promise: EventLoopPromise<RESPValue>
}

private final class RawHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = RawExchange
    typealias OutboundOut = ByteBuffer

    private var parser = RESPValueParser()
    private var pending = CircularBuffer<EventLoopPromise<RESPValue>>()

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let exchange = unwrapOutboundIn(data)
        pending.append(exchange.promise)
        context.write(wrapOutboundOut(exchange.bytes), promise: promise)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        parser.append(unwrapInboundIn(data))
        do {
            while let value = try parser.next() { pending.popFirst()?.succeed(value) }
        } catch {
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        while let promise = pending.popFirst() { promise.fail(ChannelError.ioOnClosedChannel) }
    }
}
