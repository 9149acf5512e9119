// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore

/// What queues tell, as JSON. Bytes that are not text are in base 64, under names that say so.
extension JSONViews {
    static func settings(_ settings: QueueSettings) -> JSONValue {
        .object(
            ("lanes", .number(settings.lanes)),
            ("lease_ms", .number(settings.leaseMilliseconds)),
            ("max_attempts", .number(settings.maxAttempts)),
            ("dead_letter", .string(settings.deadLetter.text)),
            ("max_length", .number(settings.maxLength)),
            ("max_bytes", .number(settings.maxBytes)),
            ("overflow", .string(settings.overflow.word)),
            ("ttl_ms", .number(settings.ttlMilliseconds)),
            ("dedup_ms", .number(settings.dedupMilliseconds))
        )
    }

    static func queue(_ view: QueueView) -> JSONValue {
        let (depth, totals) = (view.depth, view.totals)
        return .object(
            ("name", .string(view.name.text)),
            ("ready", .number(depth.ready)),
            ("in_flight", .number(depth.inFlight)),
            ("delayed", .number(depth.delayed)),
            ("dead", .number(depth.dead)),
            ("bytes", .number(view.bytes)),
            ("oldest_ready_ms", optional(view.oldestReadyMilliseconds)),
            ("oldest_in_flight_ms", optional(view.oldestInFlightMilliseconds)),
            ("published_total", .number(totals.published)),
            ("acked_total", .number(totals.acked)),
            ("delivered_total", .number(totals.delivered)),
            ("expired_total", .number(totals.expired)),
            ("purged_total", .number(totals.purged)),
            ("dropped_total", .number(totals.dropped)),
            ("dead_lettered_total", .number(totals.deadLettered)),
            ("redriven_total", .number(totals.redriven)),
            ("duplicates_total", .number(totals.duplicates)),
            ("rejected_total", .number(totals.rejected)),
            ("nacked_total", .number(totals.nacked)),
            ("returned_total", .number(totals.returned)),
            ("leases_expired_total", .number(totals.leasesExpired)),
            ("moved_in_total", .number(totals.movedIn)),
            ("moved_out_total", .number(totals.movedOut)),
            ("waiters", .number(view.waiters)),
            ("tenants", .number(view.tenants)),
            ("publish_paused", .bool(view.isPublishPaused)),
            ("consume_paused", .bool(view.isConsumePaused)),
            ("redrive_left", .number(view.redriveLeft)),
            (
                "dwell",
                .object(
                    ("p50_ms", optional(view.dwellMilliseconds(0.5))),
                    ("p99_ms", optional(view.dwellMilliseconds(0.99)))
                )
            ),
            ("settings", settings(view.settings))
        )
    }

    static func delivery(_ message: ReceivedMessage) -> JSONValue {
        let delivery = message.delivery
        var members: [JSONValue.Member] = [
            .init("id", .string(message.id.description)), .init("receipt", .string(delivery.receipt.description)),
            body(message.content.body), .init("attempts", .number(delivery.attempt)),
            .init("key", .string(delivery.key.text)), .init("published", .number(delivery.published)),
            .init("headers", headers(message.content.headers)),
            .init("priority", .number(UInt64(delivery.priority))),
            .init("lease_ms", .number(delivery.leaseMilliseconds)), .init("cause", .string(delivery.cause.word)),
        ]
        if let dead = delivery.deadLetter { members.append(.init("dead_letter", deadLetter(dead))) }
        return .object(members)
    }

    static func message(_ message: PeekedMessage) -> JSONValue {
        let view = message.view
        var members: [JSONValue.Member] = [
            .init("id", .string(message.id.description)), .init("state", .string(view.state.word)),
            .init("bytes", .number(view.bytes)), .init("key", .string(view.key.text)),
            .init("tenant", .string(view.tenant.text)), .init("priority", .number(UInt64(view.priority))),
            .init("published", .number(view.published)), .init("failures", .number(view.failures)),
            .init("returns", .number(view.returns)), .init("deliveries", .number(view.deliveries)),
            .init("due", optional(view.due)), .init("expires", optional(view.expires)),
            .init("consumer", .string(view.consumer.text)),
        ]
        if let content = message.content {
            members += [body(content.body), .init("headers", headers(content.headers))]
        }
        if let dead = view.deadLetter { members.append(.init("dead_letter", deadLetter(dead))) }
        return .object(members)
    }

    static func deadLetter(_ dead: DeadLetter) -> JSONValue {
        .object(
            ("cause", .string(dead.cause.word)),
            ("reason", .string(dead.reason)),
            ("origin", .string(dead.originQueue.text)),
            ("attempts", .number(dead.attempts)),
            ("died", .number(dead.died))
        )
    }

    static func consumer(_ view: ConsumerView) -> JSONValue {
        .object(
            ("consumer", .string(view.id.text)),
            ("label", .string(view.label)),
            ("ttl_ms", .number(view.ttlMilliseconds)),
            ("remaining_ms", optional(view.remainingMilliseconds)),
            ("age_ms", .number(view.ageMilliseconds)),
            ("credit", .number(view.credit)),
            ("in_flight", .number(view.inFlight)),
            ("waiting", .number(view.waiting))
        )
    }

    private static func optional(_ number: UInt64?) -> JSONValue { number.map(JSONValue.number) ?? .null }

    static func body(_ bytes: [UInt8]) -> JSONValue.Member {
        if let text = String(validating: bytes, as: UTF8.self) { return .init("body", .string(text)) }
        return .init("body_base64", .string(Base64.encode(bytes)))
    }

    /// A header that is there more than once is an array.
    static func headers(_ headers: [MessageHeader]) -> JSONValue {
        var members: [(name: String, values: [JSONValue])] = []
        for header in headers {
            let value = String(validating: header.value, as: UTF8.self).map(JSONValue.string)
            let shown = value ?? .object(("base64", .string(Base64.encode(header.value))))
            // By bytes: names that only look the same are different names.
            if let index = members.firstIndex(where: { $0.name.utf8.elementsEqual(header.name.utf8) }) {
                members[index].values.append(shown)
            } else {
                members.append((header.name, [shown]))
            }
        }
        return .object(members.map { .init($0.name, $0.values.count == 1 ? $0.values[0] : .array($0.values)) })
    }
}
