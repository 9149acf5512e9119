// SPDX-License-Identifier: Apache-2.0
import NIOCore
import NIOPosix
import Synchronization

/// A plain TCP connection whose bytes a test sends and awaits as text.
final class RawConnection: Sendable {
    struct TimedOut: Error {
        var received: String
    }

    private struct State: Sendable {
        var bytes: [UInt8] = []
        var isClosed = false
    }

    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        let state: StateBox

        init(_ state: StateBox) { self.state = state }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let buffer = unwrapInboundIn(data)
            state.value.withLock { $0.bytes += buffer.readableBytesView }
        }

        func channelInactive(context: ChannelHandlerContext) { state.value.withLock { $0.isClosed = true } }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private final class StateBox: Sendable {
        let value = Mutex(State())
    }

    let channel: any Channel
    private let state: StateBox

    init(port: Int, autoRead: Bool = true) async throws {
        let state = StateBox()
        self.state = state
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: autoRead)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Collector(state))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
    }

    func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)) }

    var bytes: [UInt8] { state.value.withLock { $0.bytes } }

    var text: String { String(decoding: bytes, as: UTF8.self) }

    var isClosed: Bool { state.value.withLock { $0.isClosed } }

    /// Waits until everything received so far satisfies `condition`.
    @discardableResult
    func until(_ condition: @Sendable (String) -> Bool) async throws -> String {
        try await eventually({ condition(self.text) }, else: { TimedOut(received: self.text) })
        return text
    }

    @discardableResult
    func untilClosed() async throws -> String {
        try await eventually({ self.isClosed }, else: { TimedOut(received: self.text) })
        return text
    }

    func close() async { try? await channel.close() }
}

/// Polls `condition` until it holds; throws when it does not within 20 seconds.
func eventually(
    _ condition: @Sendable () -> Bool,
    else failure: @Sendable () -> any Error = { RawConnection.TimedOut(received: "") }
) async throws {
    let deadline = NIODeadline.now() + .seconds(20)
    while !condition() {
        guard NIODeadline.now() < deadline else { throw failure() }
        try await MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: .milliseconds(2)) {}.futureResult.get()
    }
}
