// SPDX-License-Identifier: Apache-2.0
import Logging
package import NIOCore
import Primitives
import QueueCore
import RESP
import Replica

/// One client connection of the RESP front end: bytes in, replies out, in order.
///
/// Every command takes a slot in `queue`. Commands that go to the cluster may be in flight together when their order
/// is certain to be kept (see `Lane`); all others start when everything before them is answered. Replies are encoded
/// when their turn comes, and written once per read or batch of answers.
///
/// Confined to the channel's event loop. Split by concern: `+Pipeline` (slots), `+Limits` (timeouts and
/// back-pressure), `+Local` (commands the connection answers itself), `+Cache` (keys and values), `+Watch`,
/// `+Subscriptions` and `+Tracking` (pushes).
package final class RESPConnectionHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// What fills a slot's turn.
    enum Reply {
        case response(Response, ResponseEncoder.Shape)
        indirect case queue(QueueResult, QueueShape)
        indirect case cache(CacheResult, CacheShape)
        case error(String)
        /// An error after which the connection cannot go on.
        case fatal(String)
        case text(String)
    }

    enum SlotState {
        /// Parsed, waiting for those before it.
        indirect case request(Request, Lane, ResponseEncoder.Shape)
        indirect case operation(QueueOperation, Lane, QueueShape)
        indirect case cache(CacheCall, Lane)
        case local(RESPCommand)
        /// Given to the cluster, or to something else that answers later; with what is to be cancelled, if anything.
        case inFlight(Cancellable?)
        indirect case answered(Reply)
    }

    /// A request in flight whose answer somebody must be there to take. A change that is under way is not cancelled.
    enum Cancellable {
        case wait(RequestHandle)
        /// A receive; it may answer this many bytes.
        case receive(QueueCall, mayWait: Bool)
    }

    struct Slot {
        var id: CommandID
        var arrived: NIODeadline
        var state: SlotState
        /// What its answer may weigh, until it is written.
        var promisedBytes = 0
    }

    let services: RESPServices
    let port: any RequestPort
    let queues: QueueService
    let cache: (any CachePort)?
    /// Nil like `cache`.
    let cacheService: CacheService?
    let table = CommandTable.shared
    var context: ChannelHandlerContext?
    /// Nil before the channel is active and when the connection was refused.
    var entry: ClientEntry?
    var parser: RESPCommandParser
    var writer = RESPWriter()
    var queue = CircularBuffer<Slot>()
    /// The number of the slot at the head of `queue`; numbers rise by one.
    var headNumber: UInt64 = 0
    /// Slots from the head that are in flight or answered.
    var started = 0
    /// Slots in flight, and the lane they share.
    var unanswered = 0
    var lane: Lane?
    /// Bytes that receives in flight may answer.
    var promisedBytes = 0
    /// Bytes of `writer` that the client asked for as messages: too many of these are no sign of a slow reader.
    var solicitedBytes = 0
    /// What is in flight at the cache.
    var flights = CacheFlights()
    /// Whether GET and SET without options may be answered straight from the input, if nothing is ahead of them.
    var isPlainRead: Bool
    var isPlainWrite: Bool
    /// Nil: off.
    var tracking: ClientTracking?
    /// Takes the invalidations of other connections (`SUBSCRIBE`).
    var isListening = false
    var watches: [Watch] = []
    var subscriptions: [Subscription] = []
    /// Pushed and not settled.
    var unsettled: [Receipt: Unsettled] = [:]
    var lastCommand: CommandID?

    var isAdvancing = false
    var isReading = false
    var isFlushScheduled = false
    /// No more commands are taken; the channel closes when the queue has been answered.
    var isClosing = false
    /// The channel's `read` was withheld to push back on the client.
    var isReadWithheld = false
    var unblockAsTimeout = false
    var lastActivity = NIODeadline.uptimeNanoseconds(0)
    var partialSince: NIODeadline?
    var unwritableSince: NIODeadline?
    var timer: Scheduled<Void>?

    /// Without `cache` every command of the cache is refused: the node does not serve it.
    package init(services: RESPServices, port: any RequestPort, cache: (any CachePort)? = nil) {
        self.services = services
        self.port = port
        self.cache = cache
        cacheService = cache.map { CacheService($0, timeout: services.configuration.requestTimeout) }
        isPlainRead = cache != nil
        isPlainWrite = cache != nil
        queues = services.queues.service(port)
        parser = RESPCommandParser(limits: services.configuration.limits)
    }

    // MARK: Channel events

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { begin(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        end()
        self.context = nil
    }

    package func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        isReading = true
        lastActivity = context.eventLoop.now
        parser.append(unwrapInboundIn(data))
        takeCommands()
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        notePartialFrame()
        flush()
        context.fireChannelReadComplete()
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            unwritableSince = nil
            flush()
            advance()
            resume()
            pumpAll()
            // What the answers that were held back have left.
            if context.channel.isWritable { flush() }
        } else {
            unwritableSince = context.eventLoop.now
        }
        context.fireChannelWritabilityChanged()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ConnectionEvent.unblock(let withError):
            cancelWaiting(asTimeout: !withError)
        case ConnectionEvent.drain: close(afterError: nil)
        case ConnectionEvent.invalidated(let key): receive(invalidated: key)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        services.logger.debug("client connection failed", metadata: ["error": "\(error)"])
        context.close(promise: nil)
    }

    package func read(context: ChannelHandlerContext) {
        if isPushingBack { isReadWithheld = true } else { context.read() }
    }

    // MARK: Life

    private func begin(_ context: ChannelHandlerContext) {
        guard entry == nil, !isClosing else { return }
        let now = context.eventLoop.now
        lastActivity = now
        guard let entry = services.registry.admit(context.channel, now: now) else {
            isClosing = true
            writer.error("ERR max number of clients reached")
            services.observer.errorReplied(.resp, code: "ERR")
            context.writeAndFlush(wrapOutboundOut(writer.buffer)).assumeIsolated().whenComplete { _ in
                self.context?.close(promise: nil)
            }
            return
        }
        self.entry = entry
        services.observer.connectionOpened(.resp)
        startTimer(context)
    }

    /// The client has gone: whatever it waits for leaves the waiting lines.
    private func end() {
        isClosing = true
        timer?.cancel()
        timer = nil
        guard let entry else { return }
        self.entry = nil
        services.registry.remove(entry)
        services.observer.connectionClosed(.resp)
        let slots = queue
        queue.removeAll()
        headNumber &+= UInt64(slots.count)
        started = 0
        unanswered = 0
        for slot in slots {
            switch slot.state {
            case .inFlight(.wait(let handle)): port.cancel(handle)
            case .inFlight(.receive(let call, _)): queues.cancel(call)
            // Delivered, and never sent.
            case .answered(.queue(.received(let messages), .receive(let queue))):
                giveBack(messages.map(\.delivery.receipt), of: queue)
            default: break
            }
        }
        endSubscriptions()
        endTracking()
        for watch in watches { port.unwatch(watch.handle) }
        watches = []
    }
}
