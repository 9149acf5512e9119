// SPDX-License-Identifier: Apache-2.0
import NIOCore
import NIOPosix
import RESP

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// How far a command had come when its connection failed it.
enum ConnectionFailure: Error {
    /// Not one byte of it left.
    case notSent(String)
    /// Nor here: nobody listens at the address, and its machine said so at once.
    case refused(String)
    /// It may have been received.
    case sent(String)

    var wasSent: Bool {
        switch self {
        case .notSent, .refused: false
        case .sent: true
        }
    }

    var message: String {
        switch self {
        case .notSent(let message), .refused(let message), .sent(let message): message
        }
    }

    var isRefusal: Bool {
        if case .refused = self { return true }
        return false
    }
}

/// One command with the promise of its answer.
struct Exchange: Sendable {
    let bytes: ByteBuffer
    let promise: EventLoopPromise<RESPValue>
    /// How long the answer may take; the connection is given up with it. nil: no limit.
    let timeout: TimeAmount?
}

/// A pipelined connection to one node. Its answers come in the order of its commands.
final class Connection: Sendable {
    let endpoint: Endpoint
    private let channel: any Channel

    private init(endpoint: Endpoint, channel: any Channel) {
        self.endpoint = endpoint
        self.channel = channel
    }

    /// Unanswered commands of one connection; more are refused here.
    static let pipelineLimit = 4096

    /// Connects and agrees on RESP3. `onPush` is called on the event loop with what the node tells unasked.
    static func open(
        to endpoint: Endpoint,
        timeout: Duration,
        onPush: @escaping @Sendable ([RESPValue]) -> Void = { _ in }
    ) async throws(ConnectionFailure) -> Connection {
        let connection: Connection
        do {
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(TimeAmount(timeout))
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(ReplyHandler(onPush: onPush))
                    }
                }
                .connect(host: endpoint.host, port: endpoint.port)
                .get()
            connection = Connection(endpoint: endpoint, channel: channel)
        } catch {
            let message = "cannot connect to \(endpoint): \(ConnectionCause.text(error))"
            throw ConnectionCause.isRefusal(error) ? .refused(message) : .notSent(message)
        }
        do {
            let reply = try await connection.send(Command("HELLO", "3").encoded(), timeout: timeout)
            if case .error(let text) = reply { throw ConnectionFailure.notSent("\(endpoint) refused HELLO 3: \(text)") }
            return connection
        } catch {
            connection.close()
            throw .notSent((error as? ConnectionFailure)?.message ?? "\(error)")
        }
    }

    /// Sends one command (already encoded) and waits for its answer, which may be an error value.
    func send(_ bytes: ByteBuffer, timeout: Duration?) async throws -> RESPValue {
        try await enqueue(bytes, timeout: timeout).get()
    }

    /// As `send`, without waiting: commands go out in the order of the calls.
    func enqueue(_ bytes: ByteBuffer, timeout: Duration?) -> EventLoopFuture<RESPValue> {
        let promise = channel.eventLoop.makePromise(of: RESPValue.self)
        let exchange = Exchange(bytes: bytes, promise: promise, timeout: timeout.map { TimeAmount($0) })
        channel.writeAndFlush(exchange).whenFailure { error in
            // Reached the handler before the failure: then the promise is kept by it and this does nothing.
            promise.fail(ConnectionFailure.notSent("the connection is closed: \(ConnectionCause.text(error))"))
        }
        return promise.futureResult
    }

    func close() { channel.close(promise: nil) }

    var isOpen: Bool { channel.isActive }
}

/// Matches answers with commands.
final class ReplyHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Exchange
    typealias OutboundOut = ByteBuffer

    private var parser = RESPValueParser()
    private var pending = CircularBuffer<(promise: EventLoopPromise<RESPValue>, timer: Scheduled<Void>?)>()
    private let onPush: @Sendable ([RESPValue]) -> Void

    init(onPush: @escaping @Sendable ([RESPValue]) -> Void) { self.onPush = onPush }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let exchange = unwrapOutboundIn(data)
        guard pending.count < Connection.pipelineLimit else {
            let failure = ConnectionFailure.notSent(
                "\(Connection.pipelineLimit) commands wait on one connection already"
            )
            exchange.promise.fail(failure)
            promise?.fail(failure)
            return
        }
        let timer = exchange.timeout.map { timeout in
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            return context.eventLoop.scheduleTask(in: timeout) {
                let (handler, context) = bound.value
                handler.fail("no answer in time", context: context)
            }
        }
        pending.append((exchange.promise, timer))
        context.write(wrapOutboundOut(exchange.bytes), promise: promise)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        parser.append(unwrapInboundIn(data))
        do {
            while let value = try parser.next() {
                if case .push(let parts) = value {
                    onPush(parts)
                    continue
                }
                guard let (promise, timer) = pending.popFirst() else {
                    return fail("an answer came that nobody had asked for", context: context)
                }
                timer?.cancel()
                promise.succeed(value)
            }
        } catch {
            fail("\(error)", context: context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail("the connection was closed", context: context)
        onPush([])
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(ConnectionCause.text(error), context: context)
    }

    private func fail(_ message: String, context: ChannelHandlerContext) {
        let failed = pending
        pending.removeAll()
        for (promise, timer) in failed {
            timer?.cancel()
            promise.fail(ConnectionFailure.sent(message))
        }
        context.close(promise: nil)
    }
}

/// Connection errors in a few words.
package enum ConnectionCause {
    /// Each address of the host refused.
    static func isRefusal(_ error: any Error) -> Bool {
        switch error {
        case let error as IOError: error.errnoCode == ECONNREFUSED
        case let error as NIOConnectionError:
            !error.connectionErrors.isEmpty && error.connectionErrors.allSatisfy { isRefusal($0.error) }
        default: false
        }
    }

    package static func text(_ error: any Error) -> String {
        switch error {
        case let error as IOError: return String(cString: strerror(error.errnoCode))
        case let error as NIOConnectionError:
            if let dns = error.dnsAError ?? error.dnsAAAAError, error.connectionErrors.isEmpty { return "\(dns)" }
            return error.connectionErrors.first.map { text($0.error) } ?? "no address found"
        case ChannelError.connectTimeout: return "no answer in time"
        case ChannelError.ioOnClosedChannel, ChannelError.alreadyClosed: return "it was closed"
        case let error as ConnectionFailure: return error.message
        default: return "\(error)"
        }
    }
}
