// SPDX-License-Identifier: Apache-2.0
import NIOCore
import RESP

/// One connection to one server. Its answers come in the order of its commands.
///
/// hello → (login, where HELLO is not known) → info → ready → closed; from each of them → closed.
final class RedisConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Never the same for two connections of a client.
    typealias ID = UInt64

    private enum Phase {
        case handshake
        case ready
        case closed
    }

    /// What the next answer is for.
    private enum Exchange {
        case hello
        case login
        case info
        case asking
        case request(RedisRequest)
    }

    /// What the server says of itself.
    struct Info: Equatable {
        var runID: String?
        var version: String?
        /// Nil: `noeviction`, or no limit to memory.
        var evictionPolicy: String?
    }

    let id: ID
    private let channel: any Channel
    private let server: RedisServer
    private let address: RedisAddress
    private(set) var info = Info()
    private var phase = Phase.handshake
    private var parser: RESPValueParser
    private var pending = CircularBuffer<Exchange>()
    private var writer: RESPWriter
    private var isFlushDue = false
    private var deadline: Scheduled<Void>?
    /// Of commands that are limited.
    private(set) var requests = 0
    private(set) var requestBytes = 0

    init(id: ID, channel: any Channel, server: RedisServer, address: RedisAddress, limits: RESPLimits) {
        self.id = id
        self.channel = channel
        self.server = server
        self.address = address
        parser = RESPValueParser(limits: limits)
        writer = RESPWriter(buffer: channel.allocator.buffer(capacity: 4_096))
    }

    // MARK: Handshake

    func begin(timeout: TimeAmount) {
        deadline = channel.eventLoop.assumeIsolated().scheduleTask(in: timeout) {
            if self.phase == .handshake { self.close("the handshake was not finished in time") }
        }
        var words = ["HELLO", "3"]
        if let password = address.password { words += ["AUTH", address.user ?? "default", password] }
        send(words + ["SETNAME", "syncline"], .hello)
    }

    private func greeted(_ reply: RESPValue) {
        if case .error(let text) = reply {
            guard text.hasPrefix("ERR unknown command") || text.hasPrefix("NOPROTO") else {
                return close("HELLO was refused: \(text)")
            }
            // Older than version 6: RESP2, and AUTH is a command of its own.
            guard let password = address.password else { return askInfo() }
            return send(["AUTH"] + (address.user.map { [$0] } ?? []) + [password], .login)
        }
        askInfo()
    }

    private func askInfo() { send(["INFO"], .info) }

    private func informed(_ reply: RESPValue) {
        // A user who may not ask is served all the same; a change of the process is then seen by the fences only.
        let lines = (reply.string ?? "").split(whereSeparator: \.isNewline)
        func field(_ name: String) -> String? {
            lines.first { $0.hasPrefix(name + ":") }.map { String($0.dropFirst(name.count + 1)) }
        }
        switch (field("redis_mode"), address.isCluster) {
        case ("cluster", false): return close("the server belongs to a Redis Cluster: use redis+cluster://")
        case ("sentinel", _): return close("this is a Redis Sentinel; give the address of a server")
        case ("standalone", true): return close("the server belongs to no Redis Cluster: use redis://")
        default: break
        }
        info.runID = field("run_id")
        info.version = field("redis_version")
        if let policy = field("maxmemory_policy"), policy != "noeviction", field("maxmemory") != "0" {
            info.evictionPolicy = policy
        }
        deadline?.cancel()
        phase = .ready
        server.connected(self)
    }

    // MARK: Sending

    private func send(_ words: [String], _ exchange: Exchange) {
        writer.command(words)
        pending.append(exchange)
        flushSoon()
    }

    /// Commands of one turn of the loop leave together.
    func send(_ request: RedisRequest, layout: KeyLayout, generation: UInt32) {
        if request.isAsking { send(["ASKING"], .asking) }
        request.encode(into: &writer, layout: layout, generation: generation)
        pending.append(.request(request))
        if !request.isInternal {
            requests += 1
            requestBytes += request.cost
        }
        if writer.buffer.readableBytes > 256 << 10 { flush() } else { flushSoon() }
    }

    private func flushSoon() {
        guard !isFlushDue else { return }
        isFlushDue = true
        channel.eventLoop.assumeIsolated().execute { self.flush() }
    }

    private func flush() {
        isFlushDue = false
        guard phase != .closed, writer.buffer.readableBytes > 0 else { return }
        channel.writeAndFlush(writer.buffer, promise: nil)
        writer.buffer = channel.allocator.buffer(capacity: 4_096)
    }

    // MARK: Receiving

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        parser.append(unwrapInboundIn(data))
        do throws(RESPError) {
            while phase != .closed, let value = try parser.next() {
                // Not an answer.
                if case .push = value { continue }
                guard let exchange = pending.popFirst() else { return close("an answer came to no command") }
                take(value, for: exchange)
            }
        } catch {
            close(error.message)
        }
    }

    private func take(_ value: RESPValue, for exchange: Exchange) {
        switch exchange {
        case .hello: greeted(value)
        case .login:
            if case .error(let text) = value { close("AUTH was refused: \(text)") } else { askInfo() }
        case .info: informed(value)
        // If it was refused, so is the command after it.
        case .asking: break
        case .request(let request):
            if !request.isInternal {
                requests -= 1
                requestBytes -= request.cost
            }
            server.answered(request, value, self)
        }
    }

    func channelInactive(context: ChannelHandlerContext) { close("the server closed the connection") }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { close(ConnectError.text(error)) }

    /// All that waits for an answer fails.
    func close(_ reason: String) {
        guard phase != .closed else { return }
        phase = .closed
        deadline?.cancel()
        let failed = pending
        pending.removeAll()
        channel.close(promise: nil)
        server.disconnected(self, reason)
        for case .request(let request) in failed {
            request.finish(.failed(.down(reason: "\(server.host): \(reason)")))
        }
    }
}
