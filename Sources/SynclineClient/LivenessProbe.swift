// SPDX-License-Identifier: Apache-2.0
import NIOCore
import NIOPosix

/// Finds out whether a node still does anything at all.
enum LivenessProbe {
    /// Connects and says PING. True as soon as a byte comes back, whatever it says: a node that refuses clients because
    /// it has too many is as alive as one that serves them.
    static func answers(_ endpoint: Endpoint, within limit: Duration) async -> Bool {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let answered = loop.makePromise(of: Bool.self)
        let timer = loop.scheduleTask(in: TimeAmount(limit)) { answered.succeed(false) }
        defer { timer.cancel() }
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: loop)
                .connectTimeout(TimeAmount(limit))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(FirstByteHandler(answered))
                    }
                }
                .connect(host: endpoint.host, port: endpoint.port)
                .get()
        } catch {
            answered.succeed(false)
            return false
        }
        defer { channel.close(promise: nil) }
        channel.writeAndFlush(Command("PING").encoded(), promise: nil)
        return (try? await answered.futureResult.get()) ?? false
    }
}

private final class FirstByteHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let answered: EventLoopPromise<Bool>

    init(_ answered: EventLoopPromise<Bool>) { self.answered = answered }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { answered.succeed(true) }

    func channelInactive(context: ChannelHandlerContext) { answered.succeed(false) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
