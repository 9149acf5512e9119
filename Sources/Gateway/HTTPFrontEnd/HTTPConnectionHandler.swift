// SPDX-License-Identifier: Apache-2.0
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes

/// Guards one HTTP connection: answers what is not HTTP with a problem document, closes after answers that say so,
/// bounds the time a request takes to arrive and an answer to be taken, and tells `signal` when the client has gone or
/// the server is stopping.
///
/// Sits between the HTTP codec and Hummingbird's own handlers.
final class HTTPConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// How long the client may take to read the last answer once our side has closed.
    private static let linger = TimeAmount.seconds(2)

    let signal = DisconnectSignal()
    private let observer: any GatewayObserver
    private let idleTimeout: TimeAmount
    private let requestTimeout: TimeAmount
    private let writeTimeout: TimeAmount
    private var isReceiving = false
    /// Requests of which the head has come and the answer has not ended.
    private var outstanding = 0
    private var isAnswering = false
    private var closesAfterAnswer = false
    /// Of the next head while nothing is outstanding, of the rest of a request after its head.
    private var deadline: Scheduled<Void>?
    /// Runs while more is to be written than the client takes.
    private var writeDeadline: Scheduled<Void>?

    init(observer: any GatewayObserver, configuration: HTTPConfiguration) {
        self.observer = observer
        idleTimeout = configuration.idleTimeout
        requestTimeout = configuration.requestTimeout
        writeTimeout = configuration.writeTimeout
    }

    func handlerAdded(context: ChannelHandlerContext) {
        observer.connectionOpened(.http)
        expect(within: idleTimeout, context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        observer.connectionClosed(.http)
        deadline?.cancel()
        writeDeadline?.cancel()
        signal.fire()
    }

    func channelInactive(context: ChannelHandlerContext) {
        signal.fire()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A client that closes its side no longer waits for an answer (Go's net/http takes it so too).
        if let event = event as? ChannelEvent, event == .inputClosed { signal.fire() }
        if event is ChannelShouldQuiesceEvent { signal.fire() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            isReceiving = true
            outstanding += 1
            deadline?.cancel()
            deadline = nil
        case .body: break
        case .end:
            isReceiving = false
            deadline?.cancel()
            deadline = nil
        }
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if isReceiving, deadline == nil { expect(within: requestTimeout, context) }
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        writeDeadline?.cancel()
        writeDeadline = nil
        let channel = context.channel
        if !channel.isWritable {
            writeDeadline = context.eventLoop.scheduleTask(in: writeTimeout) { channel.close(promise: nil) }
        }
        context.fireChannelWritabilityChanged()
    }

    /// A client that sends a byte now and then is no better than one that sends none.
    private func expect(within limit: TimeAmount, _ context: ChannelHandlerContext) {
        let channel = context.channel
        deadline?.cancel()
        deadline = context.eventLoop.scheduleTask(in: limit) { channel.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard error is HTTPParserError else { return context.fireErrorCaught(error) }
        guard !isAnswering else { return context.close(promise: nil) }
        var problem = Problem(
            400,
            "malformed_http",
            "Malformed HTTP",
            "the bytes are not an HTTP/1.1 request (\(error)); Redis clients belong on the RESP port, 7700 by default"
        )
        problem.closesConnection = true
        observer.errorReplied(.http, code: problem.code)
        var body = ByteBuffer()
        problem.json.write(into: &body)
        var fields = HTTPFields()
        fields[.contentType] = "application/problem+json"
        fields[.contentLength] = String(body.readableBytes)
        fields[.connection] = "close"
        write(context: context, part: .head(HTTPResponse(status: .badRequest, headerFields: fields)))
        write(context: context, part: .body(body))
        write(context: context, part: .end(nil))
    }

    private func write(context: ChannelHandlerContext, part: HTTPResponsePart) {
        write(context: context, data: NIOAny(part), promise: nil)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head):
            isAnswering = true
            if head.headerFields[.connection]?.lowercased() == "close" { closesAfterAnswer = true }
            context.write(data, promise: promise)
        case .body: context.write(data, promise: promise)
        case .end:
            isAnswering = false
            outstanding -= 1
            if outstanding == 0 { expect(within: idleTimeout, context) }
            guard closesAfterAnswer else { return context.write(data, promise: promise) }
            let channel = context.channel
            // Only our side at first: closing with input unread would reset the connection and lose the answer.
            context.writeAndFlush(data).whenComplete { _ in
                channel.close(mode: .output, promise: nil)
                channel.eventLoop.scheduleTask(in: Self.linger) { channel.close(promise: nil) }
            }
            promise?.succeed()
        }
    }
}
