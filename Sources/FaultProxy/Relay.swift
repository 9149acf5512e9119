// SPDX-License-Identifier: Apache-2.0
import NIOCore
import NIOPosix
import Primitives

/// The proxy's state; confined to its event loop.
final class ProxyCore {
    let eventLoop: any EventLoop
    var upstream: (host: String, port: Int)?
    var random: SeededRandom
    var isRefusing = false
    var listener: (any Channel)?
    var relays: [ObjectIdentifier: Relay] = [:]
    private var faults = [FaultProxy.Faults](repeating: FaultProxy.Faults(), count: 2)

    init(eventLoop: any EventLoop, upstream: (host: String, port: Int)?, random: SeededRandom) {
        self.eventLoop = eventLoop
        self.upstream = upstream
        self.random = random
    }

    func faults(_ direction: FaultProxy.Direction) -> FaultProxy.Faults { faults[direction.rawValue] }

    func apply(_ new: FaultProxy.Faults, to direction: FaultProxy.Direction) {
        faults[direction.rawValue] = new
        for relay in relays.values { relay.drain(direction) }
    }

    func accept(_ client: any Channel) {
        guard !isRefusing, let upstream else { return Self.reset(client) }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        ClientBootstrap(group: eventLoop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.autoRead, value: false)
            .connect(host: upstream.host, port: upstream.port)
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .success(let server): bound.value.join(client, server)
                case .failure: Self.reset(client)
                }
            }
    }

    private func join(_ client: any Channel, _ server: any Channel) {
        let relay = Relay(core: self, client: client, server: server)
        do {
            try client.pipeline.syncOperations.addHandler(RelayHandler(relay, .toServer))
            try server.pipeline.syncOperations.addHandler(RelayHandler(relay, .toClient))
        } catch {
            // One of them closed meanwhile.
            Self.reset(client)
            Self.reset(server)
            return
        }
        relays[ObjectIdentifier(relay)] = relay
        for channel in [client, server] {
            channel.setOption(.autoRead, value: true).whenFailure { _ in }
            // The end may have come before the handler was there to see it.
            if !channel.isActive { relay.sourceClosed(channel === client ? .toServer : .toClient) }
        }
    }

    func remove(_ relay: Relay) { relays[ObjectIdentifier(relay)] = nil }

    func cut() -> Int {
        let count = relays.count
        for relay in relays.values {
            Self.reset(relay.client)
            Self.reset(relay.server)
        }
        relays.removeAll()
        return count
    }

    /// Closes with RST instead of FIN: with a linger time of zero the kernel discards what is unsent.
    static func reset(_ channel: any Channel) {
        guard let provider = channel as? any SocketOptionProvider else { return channel.close(promise: nil) }
        provider.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in channel.close(promise: nil) }
    }
}

/// One proxied connection: two lanes.
final class Relay {
    private struct Piece {
        var due: NIODeadline
        var bytes: ByteBuffer
    }

    private struct Lane {
        var pieces = CircularBuffer<Piece>()
        var heldBytes = 0
        var lastDue = NIODeadline.uptimeNanoseconds(0)
        var isSourceClosed = false
        var timer: Scheduled<Void>?
    }

    /// Roughly what the socket buffers of two machines hold.
    private static let maxHeldBytes = 256 << 10

    let client: any Channel
    let server: any Channel
    private let core: ProxyCore
    private var lanes = [Lane(), Lane()]

    init(core: ProxyCore, client: any Channel, server: any Channel) {
        self.core = core
        self.client = client
        self.server = server
    }

    private func sink(_ direction: FaultProxy.Direction) -> any Channel { direction == .toServer ? server : client }

    func received(_ bytes: ByteBuffer, _ direction: FaultProxy.Direction) {
        let faults = core.faults(direction)
        var rest = bytes
        while rest.readableBytes > 0 {
            var length = rest.readableBytes
            if let most = faults.maxChunkBytes {
                length = min(length, 1 + Int(core.random.below(UInt64(max(1, most)))))
            }
            guard let piece = rest.readSlice(length: length) else { break }
            var due = NIODeadline.now()
            if let delay = faults.delayMilliseconds {
                let spread = UInt64(delay.upperBound - delay.lowerBound) + 1
                due = due + .milliseconds(delay.lowerBound + Int64(core.random.below(spread)))
            }
            due = max(due, lanes[direction.rawValue].lastDue)
            lanes[direction.rawValue].lastDue = due
            lanes[direction.rawValue].heldBytes += piece.readableBytes
            lanes[direction.rawValue].pieces.append(Piece(due: due, bytes: piece))
        }
        drain(direction)
    }

    func sourceClosed(_ direction: FaultProxy.Direction) {
        lanes[direction.rawValue].isSourceClosed = true
        drain(direction)
    }

    /// Passes on what is due, and the end of the stream after it.
    func drain(_ direction: FaultProxy.Direction) {
        let lane = direction.rawValue
        lanes[lane].timer?.cancel()
        lanes[lane].timer = nil
        guard !core.faults(direction).isBlackholed else { return adjustReading(direction) }
        let sink = sink(direction)
        let chopped = core.faults(direction).maxChunkBytes != nil
        while let piece = lanes[lane].pieces.first {
            guard piece.due <= .now() else {
                let bound = NIOLoopBound(self, eventLoop: core.eventLoop)
                lanes[lane].timer = core.eventLoop.scheduleTask(deadline: piece.due) { bound.value.drain(direction) }
                break
            }
            lanes[lane].pieces.removeFirst()
            lanes[lane].heldBytes -= piece.bytes.readableBytes
            // Chopped pieces are flushed one by one, so that the reader can meet them one by one.
            if chopped { sink.writeAndFlush(piece.bytes, promise: nil) } else { sink.write(piece.bytes, promise: nil) }
        }
        sink.flush()
        if lanes[lane].isSourceClosed, lanes[lane].pieces.isEmpty {
            core.remove(self)
            sink.close(promise: nil)
        }
        adjustReading(direction)
    }

    /// A sink that takes no more bytes, or a lane that holds many back, stops the reading of its source: the source
    /// then meets the backpressure of a real network.
    func adjustReading(_ direction: FaultProxy.Direction) {
        let source = direction == .toServer ? client : server
        let isOpen = sink(direction).isWritable && lanes[direction.rawValue].heldBytes < Self.maxHeldBytes
        source.setOption(.autoRead, value: isOpen).whenFailure { _ in }
    }
}

/// Reads one end of a relay.
final class RelayHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let relay: Relay
    /// The direction of what this end sends.
    private let direction: FaultProxy.Direction

    init(_ relay: Relay, _ direction: FaultProxy.Direction) {
        self.relay = relay
        self.direction = direction
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        relay.received(unwrapInboundIn(data), direction)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        relay.adjustReading(direction == .toServer ? .toClient : .toServer)
    }

    func channelInactive(context: ChannelHandlerContext) { relay.sourceClosed(direction) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
