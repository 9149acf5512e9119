// SPDX-License-Identifier: Apache-2.0
import Glibc
package import Logging
package import NIOCore
import NIOPosix
package import Primitives
package import Replica
package import Telemetry
package import Wire

/// The links of this node to its peers. Confined to one event loop: made and called there, and calls its delegate
/// there.
///
/// Each node dials every peer. A node sends on the connections that it dialled and receives on those that it accepted,
/// so a pair of nodes has two simplex links. That needs no agreement on who dials, and a network that fails in one
/// direction only is noticed by both sides: an idle link carries a ping each `pingInterval` both ways, and a side that
/// hears nothing closes it.
///
/// Delivery is at most once: messages are lost with a connection, never doubled. A violation by the other side closes
/// that connection with a typed reason.
package final class PeerTransport {
    package let eventLoop: any EventLoop
    package let configuration: TransportConfiguration
    package weak var delegate: (any PeerTransportDelegate)?
    let metrics: TransportMetrics
    let logger: Logger
    /// Told of each peer that was met in a new life, before anything is sent to it or taken from it.
    private let onMet: (PeerLife) -> Void
    private(set) var policy: HandshakePolicy
    private(set) var encodedHello: [UInt8]
    var random: SeededRandom
    private var links: [PeerLink] = []
    private var linkOf: [NodeID: PeerLink] = [:]
    private var handshaking: [ObjectIdentifier: AcceptedConnection] = [:]
    private var listener: (any Channel)?
    private var timer: Scheduled<Void>?
    private var lastTick = Instant.zero
    private var isStopped = false
    private var rejections = LogThrottle()

    /// - Parameters:
    ///   - own: what this node says about itself.
    ///   - peers: the other nodes; an entry for this node itself is left out.
    ///   - met: the lives in which they were met, ever.
    /// - Throws: when the hello does not fit a handshake frame.
    package init(
        eventLoop: any EventLoop,
        own: Hello,
        peers: [PeerAddress],
        met: [PeerLife] = [],
        onMet: @escaping (PeerLife) -> Void = { _ in },
        configuration: TransportConfiguration,
        metrics: TransportMetrics,
        logger: Logger
    ) throws(WireError) {
        let others = peers.filter { $0.id != own.node }
        var writer = ByteWriter()
        try Handshake.encode(own, into: &writer)
        self.eventLoop = eventLoop
        self.configuration = configuration
        self.policy = HandshakePolicy(own: own, knownNodes: others.map(\.id), met: met)
        self.onMet = onMet
        self.metrics = metrics
        self.logger = logger
        self.encodedHello = writer.bytes
        self.random = SeededRandom(seed: configuration.seed)
        for peer in others where linkOf[peer.id] == nil {
            let link = PeerLink(address: peer, transport: self)
            links.append(link)
            linkOf[peer.id] = link
        }
    }

    /// Listens, then dials every peer. The result is the port, for when 0 asked for any.
    package func start(bindHost: String, port: Int) -> EventLoopFuture<Int> {
        eventLoop.preconditionInEventLoop()
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        return ServerBootstrap(group: eventLoop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 128)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try bound.value.accept(channel) }
            }
            .bind(host: bindHost, port: port)
            .assumeIsolated()
            .flatMapThrowing { listener in
                guard !self.isStopped else {
                    listener.close(promise: nil)
                    throw LinkFailure.shutdown
                }
                self.listener = listener
                self.lastTick = .current
                self.scheduleTick()
                for link in self.links { link.dial() }
                return listener.localAddress?.port ?? port
            }
            .nonisolated()
    }

    /// Says something else about this node from here on, such as the cluster that it has joined: every connection is
    /// closed and made anew.
    package func setOwn(_ hello: Hello) throws(WireError) {
        eventLoop.preconditionInEventLoop()
        invariant(hello.node == policy.own.node, "a transport stays with its node")
        var writer = ByteWriter()
        try Handshake.encode(hello, into: &writer)
        policy.own = hello
        encodedHello = writer.bytes
        guard listener != nil, !isStopped else { return }
        for link in links { link.renew() }
    }

    /// Sends what fits one turn of the caller; as few writes as possible, so hand over whole batches.
    ///
    /// False when at least one message was dropped: no link, or `maxOutboundBytes` are pending. True promises nothing.
    @discardableResult
    package func send(_ messages: [PeerMessage], to peer: NodeID) -> Bool {
        eventLoop.preconditionInEventLoop()
        guard !messages.isEmpty else { return true }
        guard let connection = linkOf[peer]?.dialled, connection.peer != nil else {
            metrics.dropped["not_connected"].increment(by: messages.count)
            return false
        }
        return connection.send(messages)
    }

    /// True when the links in both directions are up.
    package func isConnected(_ peer: NodeID) -> Bool { linkOf[peer]?.isConnected ?? false }

    package var connectedPeers: [NodeID] { links.filter(\.isConnected).map(\.address.id) }

    /// Bytes that wait for this peer.
    package func pendingBytes(_ peer: NodeID) -> Int { linkOf[peer]?.dialled?.pendingBytes ?? 0 }

    /// Closes everything; done when the sockets are. The delegate hears nothing more.
    package func shutdown() -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        delegate = nil
        isStopped = true
        timer?.cancel()
        var closings = links.flatMap { $0.stop() }
        for connection in handshaking.values {
            closings.append(connection.channel.closeFuture)
            connection.close(.shutdown)
        }
        handshaking.removeAll()
        if let listener {
            closings.append(listener.closeFuture)
            listener.close(promise: nil)
        }
        // They refer back to this transport.
        links.removeAll()
        linkOf.removeAll()
        metrics.connectedPeers.set(0)
        return .andAllComplete(closings, on: eventLoop)
    }

    // MARK: - Time

    /// One timer for all links. Often enough that a deadline is met to within a quarter of the ping interval.
    private func scheduleTick() {
        let interval = configuration.pingInterval / 4
        timer = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(interval)) { self.tick() }
    }

    private func tick() {
        guard !isStopped else { return }
        let now = Instant.current
        let isLate = now.since(lastTick) > configuration.pingInterval
        lastTick = now
        for link in links { link.tick(now, isLate: isLate) }
        for connection in Array(handshaking.values) { connection.tick(now, isLate: isLate) }
        scheduleTick()
    }
}

// MARK: - Called by the connections

extension PeerTransport {
    private func accept(_ channel: any Channel) throws {
        guard !isStopped, handshaking.count < configuration.maxPendingHandshakes else {
            channel.close(promise: nil)
            let address = channel.remoteAddress?.description ?? "unknown"
            if !isStopped { rejected(nil, address, .tooManyHandshakes(limit: configuration.maxPendingHandshakes)) }
            return
        }
        let connection = AcceptedConnection(channel: channel, transport: self)
        try channel.pipeline.syncOperations.addHandler(connection)
        handshaking[ObjectIdentifier(connection)] = connection
    }

    /// A connection says who is calling.
    func received(_ hello: Hello, _ connection: AcceptedConnection) {
        do throws(HandshakeRefusal) {
            let version = try policy.check(hello)
            guard let link = linkOf[hello.node] else { throw .unknownNode(name: hello.nodeName) }
            handshaking[ObjectIdentifier(connection)] = nil
            link.take(connection, hello, version: version)
        } catch {
            connection.refuse(error)
        }
    }

    func met(_ hello: Hello) {
        guard policy.meet(hello) else { return }
        onMet(PeerLife(node: hello.node, incarnation: hello.incarnation, life: hello.life))
    }

    func ended(_ connection: AcceptedConnection, from peer: NodeID?, _ reason: LinkFailure) {
        handshaking[ObjectIdentifier(connection)] = nil
        if reason.isRejection { rejected(peer, connection.remoteAddress, reason) }
        if let peer { linkOf[peer]?.acceptedEnded(connection, reason) }
    }

    func rejected(_ peer: NodeID?, _ address: String, _ reason: LinkFailure) {
        metrics.rejected.increment()
        if let held = rejections.pass(.current) {
            logger.warning(
                "peer connection rejected",
                metadata: [
                    LogKeys.address: "\(address)", LogKeys.reason: "\(reason)",
                    LogKeys.peer: "\(peer.flatMap { linkOf[$0]?.address.name } ?? "unknown")",
                    LogKeys.count: "\(held + 1)",
                ]
            )
        }
        delegate?.peerRejected(peer, address: address, reason: reason)
    }

    func connected(_ link: PeerLink, _ info: PeerInfo) {
        metrics.connectedPeers.add(1)
        logger.info(
            "peer connected",
            metadata: [LogKeys.peer: "\(link.address.name)", LogKeys.incarnation: "\(info.incarnation)"]
        )
        delegate?.peerConnected(link.address.id, info: info)
    }

    func disconnected(_ link: PeerLink, _ reason: LinkFailure) {
        metrics.connectedPeers.add(-1)
        metrics.disconnects.increment()
        if reason != .shutdown {
            logger.warning(
                "peer disconnected",
                metadata: [LogKeys.peer: "\(link.address.name)", LogKeys.reason: "\(reason)"]
            )
        }
        delegate?.peerDisconnected(link.address.id, reason: reason)
    }

    func tooLarge(_ peer: PeerAddress, _ error: WireError) {
        logger.error(
            "message dropped",
            metadata: [LogKeys.peer: "\(peer.name)", LogKeys.reason: "\(error)"]
        )
    }

    func makeClientBootstrap() -> ClientBootstrap {
        ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(configuration.connectTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            // What the kernel holds cannot be overtaken by a heartbeat: let it hold little that is not yet on its way.
            .channelOption(.tcpOption(NIOBSDSocket.Option(rawValue: TCP_NOTSENT_LOWAT)), value: 128 << 10)
            .channelOption(.writeBufferWaterMark, value: .init(low: 256 << 10, high: 1 << 20))
    }
}
