// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import RESP
import Replica

/// What the answer to a queue command looks like beyond its kind, and what is to be done with it.
enum QueueShape {
    case plain
    /// One id rather than an array.
    case publishOne
    /// The queue, to give deliveries back that nobody takes.
    case receive(Name)
    indirect case settle(Settle)
    indirect case subscribe(SubscriptionTerms)
}

/// Writes the answers of queues as RESP.
enum QueueEncoder {
    /// Returns the first word of the error when it wrote one.
    static func write(_ result: QueueResult, _ shape: QueueShape, into writer: inout RESPWriter) -> String? {
        switch result {
        case .declared, .updated, .pausedOrResumed: writer.simple("OK")
        case .deleted(let messages), .purged(let messages): writer.integer(messages)
        case .published(let published): write(published, shape, into: &writer)
        case .received(let messages):
            deliveries(messages, into: &writer)
        case .settled(let outcomes): return write(outcomes, into: &writer)
        case .messages(let messages):
            writer.array(messages.count)
            for message in messages { peeked(message, into: &writer) }
        case .message(let message):
            if let message { peeked(message, into: &writer) } else { writer.null() }
        case .cancelled(let outcome):
            guard outcome != .inFlight else {
                return error("INFLIGHT a consumer has the message; it was not cancelled", into: &writer)
            }
            writer.integer(outcome == .cancelled ? 1 : 0)
        case .redrive(let moved, let left):
            writer.map(2)
            writer.pair("moved", moved)
            writer.pair("left", left)
        case .stats(let view):
            if let view { stats(view, into: &writer) } else { writer.null() }
        case .list(let views, let next):
            writer.map(2)
            writer.pair("next", next.text)
            writer.bulk("queues")
            writer.array(views.count)
            for view in views { stats(view, into: &writer) }
        case .consumerOpened(let id, _): writer.bulk(id.text)
        case .consumerRenewed(let milliseconds): writer.integer(milliseconds)
        case .consumerClosed(let returned): writer.integer(returned)
        case .consumerResumed(let outcomes, let returned): resumed(outcomes, returned, into: &writer)
        case .consumer(let view):
            if let view { consumer(view, into: &writer) } else { writer.null() }
        case .failed(let response):
            return error(RefusalText(response)?.line ?? "ERR the answer makes no sense", into: &writer)
        }
        return nil
    }

    private static func error(_ line: String, into writer: inout RESPWriter) -> String {
        writer.error(line)
        return line.split(separator: " ", maxSplits: 1).first.map(String.init) ?? "ERR"
    }

    private static func write(_ published: [PublishedMessage], _ shape: QueueShape, into writer: inout RESPWriter) {
        if case .publishOne = shape, let only = published.first, published.count == 1 {
            return writer.bulk(only.id.description)
        }
        writer.array(published.count)
        for message in published { writer.bulk(message.id.description) }
    }

    /// The number settled now. What was settled before is no mistake; a stale receipt is one.
    private static func write(_ outcomes: [SettleOutcome], into writer: inout RESPWriter) -> String? {
        let mistakes = outcomes.compactMap(\.mistake)
        let done = outcomes.count { $0 == .done }
        guard !mistakes.isEmpty else {
            writer.integer(done)
            return nil
        }
        guard outcomes.count > 1 else { return error("STALE \(mistakes[0]); nothing was done", into: &writer) }
        var reasons: [String] = []
        for outcome in SettleOutcome.allCases {
            guard let mistake = outcome.mistake else { continue }
            let count = outcomes.count { $0 == outcome }
            if count > 0 { reasons.append("\(count) × \(mistake)") }
        }
        let others = outcomes.count - mistakes.count
        let rest = others == 0 ? "nothing was done" : "the other \(others) were carried out"
        let text = "STALE \(mistakes.count) of \(outcomes.count): \(reasons.joined(separator: "; ")); \(rest)"
        return error(text, into: &writer)
    }

    // MARK: Messages

    /// A field of every delivery with its key takes some 300 bytes.
    private static func deliveries(_ messages: [ReceivedMessage], into writer: inout RESPWriter) {
        writer.array(messages.count)
        let capacity = messages.reduce(0) { $0 + $1.content.body.count + 320 }
        var reply = ReplyBytes(version: writer.version, capacity: capacity)
        for message in messages { delivery(message, into: &reply) }
        writer.written(reply.bytes)
    }

    private static func delivery(_ message: ReceivedMessage, into reply: inout ReplyBytes) {
        let delivery = message.delivery
        reply.map(delivery.deadLetter == nil ? 10 : 11)
        reply.pair("id", message.id.description)
        reply.pair("receipt", delivery.receipt.description)
        reply.bulk("body")
        reply.bulk(message.content.body)
        reply.pair("attempts", delivery.attempt)
        reply.pair("key", delivery.key.text)
        reply.pair("published", delivery.published)
        reply.bulk("headers")
        reply.map(message.content.headers.count)
        for header in message.content.headers {
            reply.bulk(header.name)
            reply.bulk(header.value)
        }
        reply.pair("priority", UInt64(delivery.priority))
        reply.pair("lease_ms", delivery.leaseMilliseconds)
        reply.pair("cause", delivery.cause.word)
        guard let letter = delivery.deadLetter else { return }
        reply.bulk("dead_letter")
        reply.map(5)
        reply.pair("cause", letter.cause.word)
        reply.pair("reason", letter.reason)
        reply.pair("origin", letter.originQueue.text)
        reply.pair("attempts", letter.attempts)
        reply.pair("died", letter.died)
    }

    private static func headers(_ headers: [MessageHeader], into writer: inout RESPWriter) {
        writer.bulk("headers")
        writer.map(headers.count)
        for header in headers {
            writer.bulk(header.name)
            writer.bulk(header.value)
        }
    }

    private static func deadLetter(_ letter: DeadLetter, into writer: inout RESPWriter) {
        writer.bulk("dead_letter")
        writer.map(5)
        writer.pair("cause", letter.cause.word)
        writer.pair("reason", letter.reason)
        writer.pair("origin", letter.originQueue.text)
        writer.pair("attempts", letter.attempts)
        writer.pair("died", letter.died)
    }

    private static func peeked(_ message: PeekedMessage, into writer: inout RESPWriter) {
        let view = message.view
        writer.map(view.deadLetter == nil ? 15 : 16)
        writer.pair("id", message.id.description)
        writer.pair("state", view.state.word)
        writer.pair("bytes", view.bytes)
        writer.pair("key", view.key.text)
        writer.pair("tenant", view.tenant.text)
        writer.pair("priority", UInt64(view.priority))
        writer.pair("published", view.published)
        writer.pair("failures", view.failures)
        writer.pair("returns", view.returns)
        writer.pair("deliveries", view.deliveries)
        writer.optional("due", view.due)
        writer.optional("expires", view.expires)
        writer.pair("consumer", view.consumer.text)
        writer.bulk("body")
        if let content = message.content { writer.bulk(content.body) } else { writer.null() }
        headers(message.content?.headers ?? [], into: &writer)
        if let letter = view.deadLetter { deadLetter(letter, into: &writer) }
    }

    /// One delivery to a subscriber: `queue-message`, queue, message.
    static func push(_ message: ReceivedMessage, of queue: Name, into writer: inout RESPWriter) {
        writer.push(3)
        writer.bulk("queue-message")
        writer.bulk(queue.text)
        var reply = ReplyBytes(version: writer.version, capacity: message.content.body.count + 320)
        delivery(message, into: &reply)
        writer.written(reply.bytes)
    }

    /// A subscription has ended on the server's side: `queue-end`, queue, why.
    static func pushEnd(of queue: Name, reason: String, into writer: inout RESPWriter) {
        writer.push(3)
        writer.bulk("queue-end")
        writer.bulk(queue.text)
        writer.bulk(reason)
    }

    // MARK: Views

    private static func stats(_ view: QueueView, into writer: inout RESPWriter) {
        let totals: [(String, UInt64)] = [
            ("published_total", view.totals.published), ("acked_total", view.totals.acked),
            ("delivered_total", view.totals.delivered), ("expired_total", view.totals.expired),
            ("purged_total", view.totals.purged), ("dropped_total", view.totals.dropped),
            ("dead_lettered_total", view.totals.deadLettered), ("redriven_total", view.totals.redriven),
            ("duplicates_total", view.totals.duplicates), ("rejected_total", view.totals.rejected),
            ("nacked_total", view.totals.nacked), ("returned_total", view.totals.returned),
            ("leases_expired_total", view.totals.leasesExpired), ("moved_in_total", view.totals.movedIn),
            ("moved_out_total", view.totals.movedOut), ("waiters", view.waiters), ("tenants", view.tenants),
            ("publish_paused", view.isPublishPaused ? 1 : 0), ("consume_paused", view.isConsumePaused ? 1 : 0),
            ("redrive_left", view.redriveLeft),
        ]
        writer.map(10 + totals.count)
        writer.pair("name", view.name.text)
        writer.pair("ready", view.depth.ready)
        writer.pair("in_flight", view.depth.inFlight)
        writer.pair("delayed", view.depth.delayed)
        writer.pair("dead", view.depth.dead)
        writer.pair("bytes", view.bytes)
        writer.optional("oldest_ready_ms", view.oldestReadyMilliseconds)
        writer.optional("oldest_in_flight_ms", view.oldestInFlightMilliseconds)
        for (name, value) in totals { writer.pair(name, value) }
        writer.bulk("dwell")
        writer.map(2)
        writer.optional("p50_ms", view.dwellMilliseconds(0.5))
        writer.optional("p99_ms", view.dwellMilliseconds(0.99))
        settings(view.settings, into: &writer)
    }

    private static func settings(_ settings: QueueSettings, into writer: inout RESPWriter) {
        writer.bulk("settings")
        writer.map(9)
        writer.pair("lanes", settings.lanes)
        writer.pair("lease_ms", settings.leaseMilliseconds)
        writer.pair("max_attempts", settings.maxAttempts)
        writer.pair("dead_letter", settings.deadLetter.text)
        writer.pair("max_length", settings.maxLength)
        writer.pair("max_bytes", settings.maxBytes)
        writer.pair("overflow", settings.overflow.word)
        writer.pair("ttl_ms", settings.ttlMilliseconds)
        writer.pair("dedup_ms", settings.dedupMilliseconds)
    }

    private static func resumed(_ outcomes: [SettleOutcome], _ returned: UInt64, into writer: inout RESPWriter) {
        writer.map(3)
        writer.pair("kept", UInt64(outcomes.count { $0 == .done }))
        writer.pair("returned", returned)
        writer.bulk("results")
        writer.array(outcomes.count)
        for outcome in outcomes { writer.bulk(outcome.word) }
    }

    private static func consumer(_ view: ConsumerView, into writer: inout RESPWriter) {
        writer.map(8)
        writer.pair("id", view.id.text)
        writer.pair("label", view.label)
        writer.pair("ttl_ms", view.ttlMilliseconds)
        writer.optional("remaining_ms", view.remainingMilliseconds)
        writer.pair("credit", view.credit)
        writer.pair("in_flight", view.inFlight)
        writer.pair("waiting", view.waiting)
        writer.pair("age_ms", view.ageMilliseconds)
    }
}

extension RESPWriter {
    fileprivate mutating func optional(_ key: String, _ value: UInt64?) {
        bulk(key)
        if let value { integer(value) } else { null() }
    }
}
