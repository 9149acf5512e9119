// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Primitives
import QueueCore

/// Publishing, receiving and looking at messages.
extension QueueRoutes {
    static let messages: [HTTPRoute] = [
        HTTPRoute(
            .post,
            "/v1/queues/{name}/messages",
            .queue,
            body: QueueFields.message + QueueFields.publish + [.messages],
            raw: QueueFields.message.filter { $0 != .body && $0 != .bodyBase64 } + QueueFields.publish,
            size: .messages,
            .queue { call throws(BadRequest) in
                try publish(call)
            } present: { result, _ throws(Problem) in
                guard case .published(let published) = result else { return nil }
                let duplicates = published.filter(\.isDuplicate)
                return .json(
                    201,
                    .object(
                        ("ids", .strings(published.map(\.id.description))),
                        ("duplicates", .strings(duplicates.map(\.id.description)))
                    )
                )
            }
        ),
        HTTPRoute(
            .get,
            "/v1/queues/{name}/messages",
            .queue,
            query: [.state, .count],
            .queue { call throws(BadRequest) in
                .peek(
                    try name(call),
                    try state(call.query),
                    limit: Int(try call.query.number(.count, peekCount) ?? defaultPeekCount)
                )
            } present: { result, _ throws(Problem) in
                guard case .messages(let messages) = result else { return nil }
                return ok(("messages", .array(messages.map(JSONViews.message))))
            }
        ),
        HTTPRoute(
            .get,
            "/v1/queues/{name}/messages/{id}",
            .queue,
            .queue { call throws(BadRequest) in
                .message(try name(call), try messageID(call))
            } present: { result, call throws(Problem) in
                guard case .message(let message) = result else { return nil }
                guard let message else { throw noMessage(call) }
                return .json(200, JSONViews.message(message))
            }
        ),
        HTTPRoute(
            .delete,
            "/v1/queues/{name}/messages/{id}",
            .queue,
            .queue { call throws(BadRequest) in
                .cancel(try name(call), try messageID(call))
            } present: { result, call throws(Problem) in
                guard case .cancelled(let outcome) = result else { return nil }
                switch outcome {
                case .cancelled: return ok(("cancelled", .bool(true)))
                case .notFound: throw noMessage(call)
                case .inFlight:
                    throw Problem(
                        409,
                        "in_flight",
                        "In flight",
                        "a consumer has the message; it was not cancelled, cancel it again should it come back"
                    )
                }
            }
        ),
        HTTPRoute(
            .post,
            "/v1/queues/{name}/receive",
            .queue,
            body: [.messageCount, .maxBytes, .wait, .lease, .consumer],
            .queue { call throws(BadRequest) in
                .receive(
                    Receive(
                        queue: try name(call),
                        consumer: try call.body.optionalName(.consumer, limit: QueueLimits.nameBytes),
                        count: try call.body.number(.messageCount, 1...QueueLimits.receiveCount) ?? 1,
                        maxBytes: try call.body.number(.maxBytes, 1...receiveBytes) ?? receiveBytes,
                        leaseMilliseconds: try call.body.number(.lease, QueueLimits.leaseMilliseconds) ?? 0,
                        waitMilliseconds: try call.body.number(.wait, 0...QueueLimits.waitMilliseconds) ?? 0
                    )
                )
            } present: { result, _ throws(Problem) in
                guard case .received(let messages) = result else { return nil }
                return ok(("messages", .array(messages.map(JSONViews.delivery))))
            }
        ),
    ]

    private static func publish(_ call: HTTPCall) throws(BadRequest) -> QueueOperation {
        let queue = try name(call)
        if let raw = call.raw {
            return .publish(
                try publish([try call.query.message(body: Array(raw.readableBytesView))], queue, call.query)
            )
        }
        guard let value = call.body.value(.messages) else {
            return .publish(try publish([try call.body.message()], queue, call.body))
        }
        if let field = QueueFields.message.first(where: call.body.has) {
            throw .notAllowed(field, reason: "it belongs to each of the messages")
        }
        guard let elements = value.array else { throw .wrongType("messages", expected: "an array of objects") }
        guard !elements.isEmpty else { throw .empty(.messages) }
        guard elements.count <= MessageID.perEntry else { throw .tooMany(.messages, limit: MessageID.perEntry) }
        var messages: [PublishMessage] = []
        messages.reserveCapacity(elements.count)
        for element in elements {
            guard element.members != nil else { throw .wrongType("messages", expected: "an array of objects") }
            messages.append(try JSONFields(element, allowed: QueueFields.message).message())
        }
        return .publish(try publish(messages, queue, call.body))
    }

    private static func publish(
        _ messages: [PublishMessage],
        _ queue: Name,
        _ options: JSONFields
    ) throws(BadRequest) -> Publish {
        Publish(
            queue: queue,
            messages: messages,
            producer: try options.producer(),
            guardedBy: try options.guardedBy(),
            declares: try options.bool(.declare) ?? true
        )
    }

    private static func state(_ fields: JSONFields) throws(BadRequest) -> MessageState {
        guard let text = try fields.string(.state) else { return .ready }
        guard let state = MessageState.allCases.first(where: { $0.word == text.lowercased() }) else {
            throw .unknownValue(.state, got: String(text.prefix(32)), allowed: "ready, in_flight, delayed or dead")
        }
        return state
    }

    private static func messageID(_ call: HTTPCall) throws(BadRequest) -> QueueMessageID {
        try QueueFields.messageID(call.parameters.last ?? "")
    }

    private static func noMessage(_ call: HTTPCall) -> Problem {
        Problem(
            404,
            "no_message",
            "No such message",
            "the queue has no message '\(call.parameters.last ?? "")': it was acknowledged, has expired, was removed, "
                + "or never was"
        )
    }
}
