// SPDX-License-Identifier: Apache-2.0
import NIOCore
import NIOPosix
import RESP
import SynclineClient

/// What one connection of a queue benchmark does. Everything happens on the run's event loop.
protocol QueueBenchWorker: AnyObject {
    func opened(_ link: QueueBenchLink)
    /// One whole reply, in the order of the commands.
    func received(_ reply: ByteBuffer, _ link: QueueBenchLink)
    func closed(_ link: QueueBenchLink)
}

/// A connection: gathers what its worker writes in one turn of the loop and sends it in one piece.
final class QueueBenchLink: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Commands to send at the end of this turn.
    var out = ByteBuffer()
    private let worker: any QueueBenchWorker
    private let tally: QueueBenchTally
    private var scanner = ReplyScanner()
    private var context: ChannelHandlerContext?

    init(_ worker: any QueueBenchWorker, _ tally: QueueBenchTally) {
        self.worker = worker
        self.tally = tally
    }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        tally.add(self)
    }

    func begin() {
        guard context != nil else { return }
        worker.opened(self)
        flush()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        scanner.append(unwrapInboundIn(data))
        do {
            while let reply = try scanner.next() { worker.received(reply, self) }
        } catch {
            tally.note(error: "a reply that is no RESP: \(error)")
            context.close(promise: nil)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { flush() }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        tally.active -= 1
        worker.closed(self)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        tally.note(error: "\(error)")
        context.close(promise: nil)
    }

    func flush() {
        guard let context, out.readableBytes > 0 else { return }
        context.writeAndFlush(wrapOutboundOut(out), promise: nil)
        out = context.channel.allocator.buffer(capacity: 4_096)
    }

    func close() {
        flush()
        context?.close(promise: nil)
    }

    /// Runs the body later, unless the connection has gone by then.
    func schedule(at deadline: NIODeadline, _ body: @escaping () -> Void) {
        guard let context else { return }
        let bound = NIOLoopBound((self, body), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(deadline: deadline) {
            let (link, body) = bound.value
            guard link.context != nil else { return }
            body()
            link.flush()
        }
    }

    /// The text of an error reply; nil for any other.
    static func errorText(_ reply: ByteBuffer) -> String? {
        guard reply.getInteger(at: reply.readerIndex, as: UInt8.self) == UInt8(ascii: "-") else { return nil }
        let text = String(buffer: reply).dropFirst().prefix { $0 != "\r\n" && $0 != "\r" }
        return String(text)
    }

    /// Connects to `endpoint` and hands the connection to the worker that `make` makes on the loop.
    static func connect(
        to endpoint: Endpoint,
        _ tally: NIOLoopBound<QueueBenchTally>,
        on loop: any EventLoop,
        _ make: @escaping @Sendable (QueueBenchTally) -> any QueueBenchWorker
    ) async throws {
        do {
            _ = try await ClientBootstrap(group: loop)
                .connectTimeout(.seconds(5))
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let link = QueueBenchLink(make(tally.value), tally.value)
                        try channel.pipeline.syncOperations.addHandler(link)
                    }
                }
                .connect(host: endpoint.host, port: endpoint.port).get()
        } catch {
            throw SynclineError(
                code: .unreachable,
                message: "cannot connect to \(endpoint): \(ConnectionCause.text(error))"
            )
        }
    }
}
