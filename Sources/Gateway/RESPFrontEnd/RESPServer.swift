// SPDX-License-Identifier: Apache-2.0
package import Logging
package import NIOCore
import NIOPosix
import Synchronization

/// Listens for RESP clients.
package final class RESPServer: Sendable {
    private let services: RESPServices
    private let group: any EventLoopGroup
    private let port: @Sendable (any EventLoop) -> any RequestPort
    private let cache: @Sendable (any EventLoop) -> (any CachePort)?
    private let listener = Mutex<(any Channel)?>(nil)

    /// `port` gives the request port of one of the group's loops, `cache` its cache port; both are called on that
    /// loop. Without a cache port every command of the cache is refused.
    package init(
        configuration: RESPServerConfiguration,
        identity: ServerIdentity,
        group: any EventLoopGroup,
        administration: any NodeAdministration,
        observer: any GatewayObserver,
        logger: Logger,
        cache: @escaping @Sendable (any EventLoop) -> (any CachePort)? = { _ in nil },
        port: @escaping @Sendable (any EventLoop) -> any RequestPort
    ) {
        services = RESPServices(
            configuration: configuration,
            identity: identity,
            administration: administration,
            observer: observer,
            logger: logger
        )
        self.group = group
        self.port = port
        self.cache = cache
    }

    /// Connections now open.
    package var clientCount: Int { services.registry.count }

    /// Binds and begins to accept. Throws when the address cannot be bound.
    @discardableResult
    package func start() async throws -> SocketAddress? {
        let services = services
        let port = port
        let cache = cache
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: services.configuration.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 16 << 10))
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 64 << 10, high: 256 << 10))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        RESPConnectionHandler(
                            services: services,
                            port: port(channel.eventLoop),
                            cache: cache(channel.eventLoop)
                        )
                    )
                }
            }
        let channel = try await bootstrap.bind(
            host: services.configuration.host,
            port: services.configuration.port
        ).get()
        listener.withLock { $0 = channel }
        return channel.localAddress
    }

    /// Accepts no more, lets each connection finish what is in flight (waits are cancelled), and closes what is left
    /// after `grace`.
    package func stop(grace: TimeAmount = .seconds(2)) async {
        let channel = listener.withLock { listener in
            let channel = listener
            listener = nil
            return channel
        }
        try? await channel?.close().get()
        let entries = services.registry.entries
        for entry in entries { entry.channel.pipeline.fireUserInboundEventTriggered(ConnectionEvent.drain) }
        guard !entries.isEmpty else { return }
        let deadline = group.next().scheduleTask(in: grace) {
            for entry in entries { entry.channel.close(promise: nil) }
        }
        for entry in entries { try? await entry.channel.closeFuture.get() }
        deadline.cancel()
    }
}
