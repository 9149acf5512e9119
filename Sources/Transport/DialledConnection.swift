// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Primitives
import Replica
import Telemetry
import Wire

/// The sending side of a link: a connection that this node dialled. Messages go out; only pings come in.
final class DialledConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        /// Hello sent. → up, closed
        case handshaking
        /// → closed
        case up(Hello)
        case closed
    }

    let channel: any Channel
    private let link: PeerLink
    private let transport: PeerTransport
    private var state = State.handshaking
    private var clock = LinkClock(now: .current)
    private var splitter = FrameSplitter(maxFrameBytes: Handshake.maxFrameBytes)
    private var queue = OutboundQueue()
    /// Given to the channel and not yet to the system.
    private var bytesInChannel = 0

    init(channel: any Channel, link: PeerLink, transport: PeerTransport) {
        self.channel = channel
        self.link = link
        self.transport = transport
    }

    /// The peer's hello once the handshake is done.
    var peer: Hello? {
        if case .up(let hello) = state { return hello }
        return nil
    }

    var pendingBytes: Int { queue.bytes + bytesInChannel }

    func age(_ now: Instant) -> Interval { clock.age(now) }

    func begin(_ hello: [UInt8]) {
        write(OutboundQueue.Frame(bytes: hello, messages: 0))
        channel.flush()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .closed = state { return }
        let bytes = unwrapInboundIn(data)
        clock.didRead(.current)
        transport.metrics.bytesIn.increment(by: bytes.readableBytes)
        splitter.append(bytes)
        do throws(WireError) {
            while let frame = try splitter.next() {
                switch state {
                case .handshaking: handshake(try Handshake.decodeReply(frame.header, body: frame.body))
                case .up:
                    guard try PeerFrame.decode(frame.header, body: frame.body).isEmpty else {
                        return close(.unexpectedMessages)
                    }
                case .closed: return
                }
            }
        } catch {
            close(.violation(error))
        }
    }

    private func handshake(_ reply: HelloReply) {
        do throws(HandshakeRefusal) {
            let (_, hello) = try transport.policy.check(reply, from: link.address.id)
            state = .up(hello)
            link.dialledUp(self, hello)
        } catch {
            if case .refused = reply { close(.refusedByPeer(error)) } else { close(.refused(error)) }
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { drain() }

    func channelInactive(context: ChannelHandlerContext) { close(.closedByPeer) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { close(.socket("\(error)")) }

    /// False when at least one message was dropped.
    func send(_ messages: [PeerMessage]) -> Bool {
        guard case .up = state else { return false }
        var isComplete = true
        let isFree = queue.isEmpty && channel.isWritable
        let frames = isFree ? encode(messages, &isComplete) : []
        if isFree, frames.count == 1 || !messages.contains(where: \.isUrgent) {
            for frame in frames where !enqueue(frame, urgent: false) { isComplete = false }
        } else {
            // Heartbeats and votes must not wait behind what fills the socket.
            isComplete = true
            for isUrgent in [true, false] {
                for frame in encode(messages.filter { $0.isUrgent == isUrgent }, &isComplete)
                where !enqueue(frame, urgent: isUrgent) { isComplete = false }
            }
        }
        drain()
        return isComplete
    }

    private func enqueue(_ frame: OutboundQueue.Frame, urgent: Bool) -> Bool {
        let reserve = urgent ? transport.configuration.urgentReserveBytes : 0
        guard pendingBytes + frame.bytes.count <= transport.configuration.maxOutboundBytes + reserve else {
            transport.metrics.dropped["too_much_pending"].increment(by: frame.messages)
            return false
        }
        queue.append(frame, urgent: urgent)
        transport.metrics.pendingBytes.add(frame.bytes.count)
        return true
    }

    private func encode(_ messages: [PeerMessage], _ isComplete: inout Bool) -> [OutboundQueue.Frame] {
        guard !messages.isEmpty else { return [] }
        let limit = transport.configuration.maxFrameBytes
        if let frames = try? FrameBatch.encode(messages, maxFrameBytes: limit) { return frames }
        // One of them is too large. Each by itself then: the others are sent.
        var frames: [OutboundQueue.Frame] = []
        for message in messages {
            do {
                frames += try FrameBatch.encode([message], maxFrameBytes: limit)
            } catch {
                isComplete = false
                transport.metrics.dropped["too_large"].increment()
                transport.tooLarge(link.address, error)
            }
        }
        return frames
    }

    /// Gives the channel frames as long as it takes them.
    private func drain() {
        guard case .up = state else { return }
        var wrote = false
        while channel.isWritable, let frame = queue.popFirst() {
            transport.metrics.pendingBytes.add(-frame.bytes.count)
            write(frame)
            wrote = true
        }
        if wrote { channel.flush() }
    }

    private func write(_ frame: OutboundQueue.Frame) {
        let count = frame.bytes.count
        let metrics = transport.metrics
        clock.didWrite(.current)
        bytesInChannel += count
        metrics.pendingBytes.add(count)
        metrics.bytesOut.increment(by: count)
        metrics.messagesOut.increment(by: frame.messages)
        if frame.messages > 0 { metrics.framesOut.increment() }
        let written = channel.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in
            self.bytesInChannel -= count
            metrics.pendingBytes.add(-count)
        }
        channel.write(channel.allocator.buffer(bytes: frame.bytes), promise: written)
    }

    func tick(_ now: Instant, isLate: Bool) {
        if isLate { clock.forgive(now) }
        let isHandshaking: Bool
        switch state {
        case .handshaking: isHandshaking = true
        case .up: isHandshaking = false
        case .closed: return
        }
        switch clock.duty(now, isHandshaking: isHandshaking, transport.configuration) {
        case .none: break
        case .ping:
            // While bytes wait, they say as much as a ping would.
            guard pendingBytes == 0 else { return }
            write(OutboundQueue.Frame(bytes: PeerFrame.ping, messages: 0))
            channel.flush()
        case .close(let reason): close(reason)
        }
    }

    func close(_ reason: LinkFailure) {
        let before = state
        if case .closed = before { return }
        state = .closed
        transport.metrics.pendingBytes.add(-queue.bytes)
        transport.metrics.dropped["not_connected"].increment(by: queue.removeAll())
        channel.close(promise: nil)
        if case .up = before {
            link.dialledEnded(self, wasUp: true, reason)
        } else {
            link.dialledEnded(self, wasUp: false, reason)
        }
    }
}

/// Encodes messages and cuts the result at the borders of its frames.
enum FrameBatch {
    static func encode(_ messages: [PeerMessage], maxFrameBytes: Int) throws(WireError) -> [OutboundQueue.Frame] {
        var writer = ByteWriter(capacity: 256)
        try PeerFrame.encode(messages, into: &writer, maxFrameBytes: maxFrameBytes)
        let first = try PeerFrame.header(writer.bytes, maxFrameBytes: maxFrameBytes)
        if first.map({ $0.bodyBytes + FrameHeader.byteCount }) == writer.count {
            return [OutboundQueue.Frame(bytes: writer.bytes, messages: messages.count)]
        }
        var frames: [OutboundQueue.Frame] = []
        var offset = 0
        while let header = try PeerFrame.header(writer.bytes, at: offset, maxFrameBytes: maxFrameBytes) {
            let end = offset + FrameHeader.byteCount + header.bodyBytes
            // How many messages each frame holds is not known here; the first is charged with all of them.
            let count = frames.isEmpty ? messages.count : 0
            frames.append(OutboundQueue.Frame(bytes: Array(writer.bytes[offset..<end]), messages: count))
            offset = end
        }
        return frames
    }
}
