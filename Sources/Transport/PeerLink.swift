// SPDX-License-Identifier: Apache-2.0
import Logging
import NIOCore
import NIOPosix
import Primitives
import Telemetry
import Wire

/// This node's relation to one peer: the connection it dials for sending, and the one that the peer dialled.
final class PeerLink {
    private enum Dialling {
        /// Not begun, or a connection is there.
        case idle
        case waiting(Scheduled<Void>)
        case connecting
        case stopped
    }

    let address: PeerAddress
    private let transport: PeerTransport
    private var dialling = Dialling.idle
    private var backoff: Backoff
    private(set) var dialled: DialledConnection?
    private(set) var accepted: AcceptedConnection?
    private(set) var isConnected = false
    /// Repeated failures of the same kind are logged once.
    private var lastFailure: String?

    init(address: PeerAddress, transport: PeerTransport) {
        self.address = address
        self.transport = transport
        self.backoff = Backoff(min: transport.configuration.backoffMin, max: transport.configuration.backoffMax)
    }

    // MARK: - Dialling

    /// Dials unless a connection is there or on its way; a pending wait is cut short.
    func dial() {
        switch dialling {
        case .connecting, .stopped: return
        case .waiting(let timer): timer.cancel()
        case .idle: break
        }
        guard dialled == nil else { return }
        dialling = .connecting
        transport.metrics.connectAttempts.increment()
        transport.makeClientBootstrap()
            .connect(host: address.host, port: address.port)
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .success(let channel): self.connected(channel)
                case .failure(let error): self.connectFailed(error)
                }
            }
    }

    private func connected(_ channel: any Channel) {
        guard case .connecting = dialling else { return channel.close(promise: nil) }
        dialling = .idle
        let connection = DialledConnection(channel: channel, link: self, transport: transport)
        dialled = connection
        do {
            try channel.pipeline.syncOperations.addHandler(connection)
        } catch {
            return connection.close(.closedByPeer)
        }
        guard channel.isActive else { return connection.close(.closedByPeer) }
        connection.begin(transport.encodedHello)
    }

    private func connectFailed(_ error: any Error) {
        guard case .connecting = dialling else { return }
        dialling = .idle
        report(.connectFailed(Self.describe(error)))
        wait(backoff.next(&transport.random))
    }

    private func wait(_ delay: Interval) {
        guard case .idle = dialling else { return }
        dialling = .waiting(
            transport.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(delay)) {
                // The timer has run: it is not there to be cancelled.
                if case .waiting = self.dialling { self.dialling = .idle }
                self.dial()
            }
        )
    }

    func dialledUp(_ connection: DialledConnection, _ hello: Hello) {
        if let accepted, hello.incarnation > accepted.incarnation { accepted.close(.replaced) }
        transport.met(hello)
        update(nil)
    }

    func dialledEnded(_ connection: DialledConnection, wasUp: Bool, _ reason: LinkFailure) {
        guard connection === dialled else { return }
        dialled = nil
        if reason.isRejection { transport.rejected(address.id, "\(address.host):\(address.port)", reason) }
        update(reason)
        report(reason)
        if reason.needsOperator { backoff.exhaust() }
        // A link that has worked for a while is tried again at once: most often the process was restarted. One that
        // breaks as soon as it is up must not be dialled in a tight loop.
        if wasUp && connection.age(.current) >= transport.configuration.backoffMax {
            backoff.reset()
            dial()
        } else {
            wait(backoff.next(&transport.random))
        }
    }

    // MARK: - Accepting

    /// The peer's connection has passed its handshake.
    func take(_ connection: AcceptedConnection, _ hello: Hello, version: UInt16) {
        transport.met(hello)
        // Of two links from one process the older is the one that broke without this side noticing.
        accepted?.close(.replaced)
        if let dialled, let peer = dialled.peer, peer.incarnation < hello.incarnation { dialled.close(.replaced) }
        accepted = connection
        connection.accept(
            hello,
            version: version,
            own: transport.policy.own,
            maxFrameBytes: transport.configuration.maxFrameBytes
        )
        update(nil)
        // It is evidently there: do not wait out the backoff.
        dial()
    }

    func acceptedEnded(_ connection: AcceptedConnection, _ reason: LinkFailure) {
        guard connection === accepted else { return }
        accepted = nil
        update(reason)
    }

    // MARK: - Both

    private func update(_ reason: LinkFailure?) {
        if !isConnected, accepted != nil, let hello = dialled?.peer {
            isConnected = true
            lastFailure = nil
            transport.connected(self, PeerInfo(hello))
        } else if isConnected, accepted == nil || dialled?.peer == nil {
            isConnected = false
            transport.disconnected(self, reason ?? .closedByPeer)
        }
    }

    private func report(_ reason: LinkFailure) {
        let text = reason.description
        guard text != lastFailure, reason != .shutdown else { return }
        lastFailure = text
        transport.logger.log(
            level: reason.needsOperator ? .warning : .info,
            "no link to peer",
            metadata: [
                LogKeys.peer: "\(address.name)", LogKeys.address: "\(address.host):\(address.port)",
                LogKeys.reason: "\(text)",
            ]
        )
    }

    /// Starts over, because what this node says about itself has changed.
    func renew() {
        accepted?.close(.replaced)
        dialled?.close(.replaced)
        backoff.reset()
        dial()
    }

    /// Also called while a connection is being made: it is closed when it comes.
    func stop() -> [EventLoopFuture<Void>] {
        if case .waiting(let timer) = dialling { timer.cancel() }
        dialling = .stopped
        let channels = [dialled?.channel, accepted?.channel].compactMap { $0 }
        dialled?.close(.shutdown)
        accepted?.close(.shutdown)
        return channels.map(\.closeFuture)
    }

    func tick(_ now: Instant, isLate: Bool) {
        dialled?.tick(now, isLate: isLate)
        accepted?.tick(now, isLate: isLate)
    }

    /// NIO's connection error lists every address tried; one line is enough.
    private static func describe(_ error: any Error) -> String {
        guard let error = error as? NIOConnectionError else { return "\(error)" }
        if let single = error.connectionErrors.first { return "\(single.error)" }
        return "\(error.dnsAError ?? error.dnsAAAAError ?? error)"
    }
}
