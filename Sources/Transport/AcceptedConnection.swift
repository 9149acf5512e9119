// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Primitives
import Replica
import Telemetry
import Wire

/// The receiving side of a link: a connection that a peer dialled. Messages come in; only pings go out.
final class AcceptedConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        /// → open, closed
        case handshaking
        /// → closed
        case open(NodeID)
        case closed
    }

    let channel: any Channel
    private let transport: PeerTransport
    private var state = State.handshaking
    private var clock = LinkClock(now: .current)
    private var splitter = FrameSplitter(maxFrameBytes: Handshake.maxFrameBytes)
    /// Decoded in this pass of reading.
    private var received: [PeerMessage] = []
    /// Of the peer's process.
    private(set) var incarnation: UInt64 = 0

    init(channel: any Channel, transport: PeerTransport) {
        self.channel = channel
        self.transport = transport
    }

    var isHandshaking: Bool {
        if case .handshaking = state { return true }
        return false
    }

    var remoteAddress: String { channel.remoteAddress?.description ?? "unknown" }

    func channelActive(context: ChannelHandlerContext) { clock = LinkClock(now: .current) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .closed = state { return }
        let bytes = unwrapInboundIn(data)
        clock.didRead(.current)
        transport.metrics.bytesIn.increment(by: bytes.readableBytes)
        splitter.append(bytes)
        do throws(WireError) {
            while let frame = try splitter.next() {
                switch state {
                case .handshaking: transport.received(try Handshake.decodeHello(frame.header, body: frame.body), self)
                case .open:
                    let messages = try PeerFrame.decode(frame.header, body: frame.body)
                    // Pings are not counted, on the sending side neither.
                    if !messages.isEmpty { transport.metrics.framesIn.increment() }
                    received.append(contentsOf: messages)
                case .closed: return
                }
            }
        } catch {
            close(.violation(error))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        guard case .open(let peer) = state, !received.isEmpty else { return }
        let messages = received
        received = []
        transport.metrics.messagesIn.increment(by: messages.count)
        transport.delegate?.peerMessages(messages, from: peer)
    }

    func channelInactive(context: ChannelHandlerContext) { close(.closedByPeer) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { close(.socket("\(error)")) }

    /// The hello was good: answer it and take messages from here on.
    func accept(_ hello: Hello, version: UInt16, own: Hello, maxFrameBytes: Int) {
        guard case .handshaking = state else { return }
        state = .open(hello.node)
        incarnation = hello.incarnation
        splitter.maxFrameBytes = maxFrameBytes
        write(.accepted(version: version, own))
    }

    /// Tells the peer why before closing.
    func refuse(_ refusal: HandshakeRefusal) {
        write(.refused(refusal))
        close(.refused(refusal))
    }

    private func write(_ reply: HelloReply) {
        var writer = ByteWriter()
        do {
            try Handshake.encode(reply, into: &writer)
        } catch {
            // Our own hello was encoded once when the transport was made.
            invariantFailure("a handshake reply does not fit its frame: \(error)")
        }
        write(writer.bytes)
    }

    private func write(_ bytes: [UInt8]) {
        clock.didWrite(.current)
        transport.metrics.bytesOut.increment(by: bytes.count)
        channel.writeAndFlush(channel.allocator.buffer(bytes: bytes), promise: nil)
    }

    func tick(_ now: Instant, isLate: Bool) {
        if isLate { clock.forgive(now) }
        if case .closed = state { return }
        switch clock.duty(now, isHandshaking: isHandshaking, transport.configuration) {
        case .none: break
        case .ping: if channel.isWritable { write(PeerFrame.ping) }
        case .close(let reason): close(reason)
        }
    }

    func close(_ reason: LinkFailure) {
        let before = state
        if case .closed = before { return }
        state = .closed
        received = []
        channel.close(promise: nil)
        if case .open(let peer) = before {
            transport.ended(self, from: peer, reason)
        } else {
            transport.ended(self, from: nil, reason)
        }
    }
}
