// SPDX-License-Identifier: Apache-2.0
package import NIOCore
import NIOPosix
import Primitives

/// A TCP proxy that misbehaves on demand, for tests on real sockets.
///
/// It stands for the network between one dialling side (client) and one listening side (server). A byte stream can be
/// held back, delayed, chopped or cut; loss, duplication and reordering cannot happen inside a TCP stream, since TCP
/// repairs them. A simplex protocol between two nodes needs a proxy for each dialling direction.
///
/// All state is confined to the event loop; the methods may be called from any thread, and what they ask for has
/// happened when their future completes.
package final class FaultProxy: Sendable {
    package enum Direction: Int, Sendable, CaseIterable {
        case toServer, toClient
    }

    /// What happens to the bytes of one direction.
    package struct Faults: Sendable {
        /// Nothing passes, the ends of connections neither; what was held back passes when this ends, as TCP would
        /// send it again after a partition heals.
        package var isBlackholed = false
        /// Each read waits this long, drawn anew; order is kept.
        package var delayMilliseconds: ClosedRange<Int64>?
        /// Reads are passed on in pieces of 1 to this many bytes.
        package var maxChunkBytes: Int?

        package init(
            isBlackholed: Bool = false,
            delayMilliseconds: ClosedRange<Int64>? = nil,
            maxChunkBytes: Int? = nil
        ) {
            self.isBlackholed = isBlackholed
            self.delayMilliseconds = delayMilliseconds
            self.maxChunkBytes = maxChunkBytes
        }
    }

    /// Where it listens.
    package let port: Int
    package let eventLoop: any EventLoop
    private let core: NIOLoopBound<ProxyCore>

    private init(port: Int, core: NIOLoopBound<ProxyCore>, eventLoop: any EventLoop) {
        self.port = port
        self.core = core
        self.eventLoop = eventLoop
    }

    /// Listens on a free port of `host`. Without an upstream every connection is reset.
    package static func start(
        on eventLoop: any EventLoop,
        host: String = "127.0.0.1",
        upstream: (host: String, port: Int)? = nil,
        seed: UInt64 = 1
    ) -> EventLoopFuture<FaultProxy> {
        eventLoop.flatSubmit {
            let core = ProxyCore(eventLoop: eventLoop, upstream: upstream, random: SeededRandom(seed: seed))
            let bound = NIOLoopBound(core, eventLoop: eventLoop)
            return ServerBootstrap(group: eventLoop)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                // Nothing is read from the client until the server's side is connected.
                .childChannelOption(.autoRead, value: false)
                .childChannelInitializer { channel in
                    bound.value.accept(channel)
                    return channel.eventLoop.makeSucceededVoidFuture()
                }
                .bind(host: host, port: 0)
                .map { listener in
                    bound.value.listener = listener
                    return FaultProxy(port: listener.localAddress?.port ?? 0, core: bound, eventLoop: eventLoop)
                }
        }
    }

    package func setUpstream(host: String, port: Int) -> EventLoopFuture<Void> {
        onLoop { $0.upstream = (host, port) }
    }

    /// Replaces the faults of one direction, for connections that are open too.
    package func apply(_ faults: Faults, to direction: Direction) -> EventLoopFuture<Void> {
        onLoop { $0.apply(faults, to: direction) }
    }

    /// New connections are reset as long as this is on; open ones live on.
    package func setRefusing(_ isRefusing: Bool) -> EventLoopFuture<Void> {
        onLoop { $0.isRefusing = isRefusing }
    }

    /// Resets every connection on both sides. Returns how many there were.
    package func cut() -> EventLoopFuture<Int> { onLoop { $0.cut() } }

    /// Connections that are open at both ends.
    package func connectionCount() -> EventLoopFuture<Int> { onLoop { $0.relays.count } }

    package func shutdown() -> EventLoopFuture<Void> {
        let core = core
        return eventLoop.flatSubmit {
            _ = core.value.cut()
            return core.value.listener?.close() ?? core.value.eventLoop.makeSucceededVoidFuture()
        }
    }

    private func onLoop<Result: Sendable>(
        _ body: @escaping @Sendable (ProxyCore) -> Result
    ) -> EventLoopFuture<Result> {
        let core = core
        return eventLoop.submit { body(core.value) }
    }
}
