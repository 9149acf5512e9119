// SPDX-License-Identifier: Apache-2.0
package import NIOCore
import NIOPosix
import RESP
import Synchronization

/// A node made of one function: real sockets on loopback, canned answers.
package final class LoopbackServer: Sendable {
    package enum Answer: Sendable {
        /// Sent as it stands, `\r\n` included.
        case bytes(String)
        /// Never answered; the connection stays open.
        case silence
        case close
        /// Answered when somebody succeeds the promise.
        case later(EventLoopFuture<String>)

        package static let ok = Answer.bytes("+OK\r\n")
        package static let null = Answer.bytes("_\r\n")

        package static func integer(_ value: Int) -> Answer { .bytes(":\(value)\r\n") }

        package static func bulk(_ text: String) -> Answer { .bytes("$\(text.utf8.count)\r\n\(text)\r\n") }

        package static func error(_ text: String) -> Answer { .bytes("-\(text)\r\n") }
    }

    private struct State {
        var received: [[String]] = []
        var open = 0
        var closed = 0
        var isStopped = false
        var channels: [ObjectIdentifier: any Channel] = [:]
    }

    private let state = Mutex(State())
    private let listener: any Channel
    package let port: Int

    /// `HELLO` is answered here, all else by `answer`, which gets the words of the command.
    package static func start(
        _ answer: @escaping @Sendable ([String], any EventLoop) -> Answer
    ) async throws -> LoopbackServer {
        let box = Holder()
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AnswerHandler(box, answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let server = LoopbackServer(listener, port: listener.localAddress?.port ?? 0)
        box.set(server)
        return server
    }

    private init(_ listener: any Channel, port: Int) {
        self.listener = listener
        self.port = port
    }

    /// All commands so far, but `HELLO`.
    package var received: [[String]] { state.withLock { $0.received } }

    /// Commands with this name.
    package func received(_ verb: String) -> [[String]] { received.filter { $0.first == verb } }

    package var openConnections: Int { state.withLock { $0.open } }

    package var closedConnections: Int { state.withLock { $0.closed } }

    package func closeConnections() {
        for channel in state.withLock({ Array($0.channels.values) }) { channel.close(promise: nil) }
    }

    package func stop() async {
        try? await listener.close().get()
        let channels = state.withLock { state in
            state.isStopped = true
            return Array(state.channels.values)
        }
        for channel in channels { try? await channel.close().get() }
    }

    fileprivate func note(_ words: [String]) { state.withLock { $0.received.append(words) } }

    fileprivate func opened(_ channel: any Channel) {
        let isLate = state.withLock { state in
            state.open += 1
            state.channels[ObjectIdentifier(channel)] = channel
            return state.isStopped
        }
        if isLate { channel.close(promise: nil) }
    }

    fileprivate func closed(_ channel: any Channel) {
        state.withLock { state in
            state.open -= 1
            state.closed += 1
            state.channels[ObjectIdentifier(channel)] = nil
        }
    }
}

/// Connections can only arrive once the listener is bound, so the server is known by then or about to be.
private final class Holder: Sendable {
    private let server = Mutex<LoopbackServer?>(nil)

    func set(_ value: LoopbackServer) { server.withLock { $0 = value } }

    func get() -> LoopbackServer? { server.withLock { $0 } }
}

private final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let holder: Holder
    private let answer: @Sendable ([String], any EventLoop) -> LoopbackServer.Answer
    private var parser = RESPCommandParser()

    init(_ holder: Holder, _ answer: @escaping @Sendable ([String], any EventLoop) -> LoopbackServer.Answer) {
        self.holder = holder
        self.answer = answer
    }

    func channelActive(context: ChannelHandlerContext) { holder.get()?.opened(context.channel) }

    func channelInactive(context: ChannelHandlerContext) { holder.get()?.closed(context.channel) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        parser.append(unwrapInboundIn(data))
        do {
            while let command = try parser.next() {
                let words = (0..<command.count).map { command.text($0) }
                if words.first == "HELLO" {
                    write("%1\r\n+server\r\n+syncline\r\n", context)
                    continue
                }
                holder.get()?.note(words)
                reply(answer(words, context.eventLoop), context)
            }
        } catch {
            context.close(promise: nil)
        }
    }

    private func reply(_ answer: LoopbackServer.Answer, _ context: ChannelHandlerContext) {
        switch answer {
        case .bytes(let text): write(text, context)
        case .silence: break
        case .close: context.close(promise: nil)
        case .later(let future):
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            future.hop(to: context.eventLoop).whenSuccess { text in
                let (handler, context) = bound.value
                handler.write(text, context)
            }
        }
    }

    private func write(_ text: String, _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }
}

/// Waits for a condition instead of for a length of time.
package func eventually(within limit: Duration = .seconds(10), _ condition: () async -> Bool) async -> Bool {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
        if await condition() { return true }
        await Task.yield()
        try? await Task.sleep(for: .milliseconds(2))
    }
    return await condition()
}
