// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Primitives
import QueueCore
import RESP
import Replica
import Synchronization

/// What `QUEUE.SUBSCRIBE` asks for.
struct SubscriptionTerms {
    var queue: Name
    /// Messages that may be unsettled on the connection at once.
    var credit: Int
    /// Zero takes the queue's.
    var leaseMilliseconds: UInt64 = 0
    /// Empty for none.
    var consumer: Name = ""
}

/// A queue whose messages are pushed to the connection: there is always one receive waiting for it while it has
/// credit left and the client takes what it is sent.
final class Subscription {
    let terms: SubscriptionTerms
    var unsettled = 0
    /// The receive that waits.
    var call: QueueCall?
    var isReceiving = false
    /// When it goes on after a failure, or after a lease that runs out.
    var retry: Scheduled<Void>?
    var hasEnded = false

    init(_ terms: SubscriptionTerms) { self.terms = terms }
}

extension RESPConnectionHandler {
    /// A pushed message that the client has not settled.
    struct Unsettled {
        var queue: Name
        var subscription: Subscription
        /// When its lease has run out for certain.
        var deadline: NIODeadline
    }

    /// Queues one connection may be subscribed to.
    static let maxSubscriptions = 64
    /// Messages of one push, and about how many bytes.
    private static let batchCount = 64
    private static let batchBytes: UInt64 = 1 << 20
    private static let pollMilliseconds: UInt64 = 60_000
    private static let retryDelay = TimeAmount.milliseconds(500)

    // MARK: Commands

    /// The queue was asked for, so that a subscription to nothing is an error at once.
    func subscribe(_ terms: SubscriptionTerms, _ view: QueueView?) {
        guard writer.version == .three else {
            return writeError("ERR QUEUE.SUBSCRIBE pushes messages, which needs RESP3; say HELLO 3 first")
        }
        guard view != nil else { return writeError(RefusalText(QueueError.noQueue(terms.queue)).line) }
        guard !subscriptions.contains(where: { $0.terms.queue == terms.queue }) else {
            return writeError("ERR the connection is subscribed to '\(terms.queue)'; QUEUE.UNSUBSCRIBE it first")
        }
        guard subscriptions.count < Self.maxSubscriptions else {
            return writeError("LIMIT a connection may subscribe to \(Self.maxSubscriptions) queues")
        }
        let subscription = Subscription(terms)
        subscriptions.append(subscription)
        writer.integer(subscriptions.count)
        noteSubscriptions()
        pump(subscription)
    }

    func unsubscribe(_ arguments: RESPArguments) throws(BadRequest) {
        let queue = try QueueCommandParser.queue(arguments)
        if let position = subscriptions.firstIndex(where: { $0.terms.queue == queue }) {
            end(subscriptions.remove(at: position))
        }
        noteSubscriptions()
        writer.integer(subscriptions.count)
    }

    private func noteSubscriptions() {
        let count = watches.count + subscriptions.count
        entry?.description.withLock { $0.watches = count }
    }

    private func end(_ subscription: Subscription) {
        subscription.hasEnded = true
        subscription.retry?.cancel()
        subscription.retry = nil
        if let call = subscription.call { queues.cancel(call) }
        subscription.call = nil
        let now = loopTime
        for (receipt, message) in unsettled where message.subscription === subscription && message.deadline <= now {
            unsettled[receipt] = nil
        }
    }

    /// Nobody will settle what was pushed: it returns at once and counts as no attempt.
    func endSubscriptions() {
        let ended = subscriptions
        subscriptions = []
        for subscription in ended { end(subscription) }
        var receipts: [Name: [Receipt]] = [:]
        let now = loopTime
        // What belongs to a consumer session stays with it: it may resume on another connection.
        for (receipt, message) in unsettled
        where message.deadline > now && message.subscription.terms.consumer.byteCount == 0 {
            receipts[message.queue, default: []].append(receipt)
        }
        unsettled = [:]
        for (queue, all) in receipts { giveBack(all, of: queue) }
    }

    func giveBack(_ receipts: [Receipt], of queue: Name) {
        var left = receipts[...]
        while !left.isEmpty {
            let part = Array(left.prefix(QueueLimits.receipts))
            left = left.dropFirst(part.count)
            let settle = Settle(queue: queue, receipts: part, settlement: .giveBack(delayMilliseconds: 0))
            queues.perform(.settle(settle), timeout: services.configuration.requestTimeout) { _ in }
        }
    }

    private var loopTime: NIODeadline { port.eventLoop.now }

    // MARK: Pushing

    /// Keeps a receive waiting, as far as credit and the socket allow.
    func pump(_ subscription: Subscription) {
        guard !subscription.hasEnded, !subscription.isReceiving, subscription.retry == nil, !isClosing, mayPush else {
            return
        }
        let free = subscription.terms.credit - subscription.unsettled
        guard free > 0 else { return awaitLease(subscription) }
        var receive = Receive(queue: subscription.terms.queue, consumer: subscription.terms.consumer)
        receive.count = UInt64(min(free, Self.batchCount))
        receive.maxBytes = Self.batchBytes
        receive.leaseMilliseconds = subscription.terms.leaseMilliseconds
        receive.waitMilliseconds = Self.pollMilliseconds
        subscription.isReceiving = true
        let call = queues.perform(.receive(receive), timeout: services.configuration.requestTimeout) { result in
            subscription.isReceiving = false
            subscription.call = nil
            self.received(result, subscription)
        }
        if subscription.isReceiving { subscription.call = call }
    }

    func pumpAll() { for subscription in subscriptions { pump(subscription) } }

    private var mayPush: Bool {
        guard let context, context.channel.isWritable else { return false }
        return writer.buffer.readableBytes <= services.configuration.outboundBytes
    }

    private func received(_ result: QueueResult, _ subscription: Subscription) {
        switch result {
        case .received(let messages):
            // An ended one's receive was cancelled, and what it got was given back by the service.
            guard !subscription.hasEnded else { return }
            guard !messages.isEmpty else { return pumpLater(subscription, after: .zero) }
            let before = writer.buffer.readableBytes
            for message in messages { push(message, subscription) }
            solicitedBytes += writer.buffer.readableBytes - before
            schedulePushFlush()
            pump(subscription)
        case .failed(let response):
            guard !subscription.hasEnded else { return }
            failed(response, subscription)
        default: break
        }
    }

    private func push(_ message: ReceivedMessage, _ subscription: Subscription) {
        let lease = TimeAmount.milliseconds(Int64(clamping: message.delivery.leaseMilliseconds))
        QueueEncoder.push(message, of: subscription.terms.queue, into: &writer)
        subscription.unsettled += 1
        unsettled[message.delivery.receipt] = Unsettled(
            queue: subscription.terms.queue,
            subscription: subscription,
            deadline: loopTime + lease
        )
    }

    /// What passes is tried again; a queue or consumer that is no more ends the subscription, and the client is told.
    private func failed(_ response: Response, _ subscription: Subscription) {
        switch response.queueRefusal {
        case nil, .noCredit, .lanes, .limit, .cancelled: pumpLater(subscription, after: Self.retryDelay)
        case .some:
            end(subscription)
            subscriptions.removeAll { $0 === subscription }
            noteSubscriptions()
            let reason = RefusalText(response)?.line ?? "ERR"
            QueueEncoder.pushEnd(of: subscription.terms.queue, reason: reason, into: &writer)
            schedulePushFlush()
        }
    }

    private func pumpLater(_ subscription: Subscription, after delay: TimeAmount) {
        guard !subscription.hasEnded, subscription.retry == nil, let context else { return }
        subscription.retry = context.eventLoop.assumeIsolated().scheduleTask(in: delay) {
            subscription.retry = nil
            self.pump(subscription)
        }
    }

    /// No credit is left: it comes back with a settlement, or when a lease has run out.
    private func awaitLease(_ subscription: Subscription) {
        let now = loopTime
        var earliest: NIODeadline?
        var isFree = false
        for (receipt, message) in unsettled where message.subscription === subscription {
            if message.deadline <= now {
                unsettled[receipt] = nil
                subscription.unsettled -= 1
                isFree = true
            } else {
                earliest = min(earliest ?? message.deadline, message.deadline)
            }
        }
        if isFree { return pump(subscription) }
        guard let earliest else { return }
        pumpLater(subscription, after: earliest - now + .milliseconds(1))
    }

    /// Gives credit back for what the client settled, on this connection.
    func settled(_ settle: Settle, _ outcomes: [SettleOutcome]) {
        guard !unsettled.isEmpty else { return }
        var touched: [Subscription] = []
        for (receipt, outcome) in zip(settle.receipts, outcomes) {
            guard outcome == .done || outcome == .gone || outcome == .stale, let message = unsettled[receipt] else {
                continue
            }
            if case .extend(let milliseconds) = settle.settlement, outcome == .done {
                unsettled[receipt]?.deadline = loopTime + .milliseconds(Int64(clamping: milliseconds))
                continue
            }
            unsettled[receipt] = nil
            message.subscription.unsettled -= 1
            if !touched.contains(where: { $0 === message.subscription }) { touched.append(message.subscription) }
        }
        for subscription in touched {
            // It may be waiting for a lease to run out.
            subscription.retry?.cancel()
            subscription.retry = nil
            pump(subscription)
        }
    }
}
