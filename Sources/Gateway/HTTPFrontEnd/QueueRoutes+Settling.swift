// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore

/// Settling deliveries, and the consumers that own them.
extension QueueRoutes {
    // MARK: Settling

    static let settling: [HTTPRoute] = [
        settle("ack", []) { _ throws(BadRequest) in .ack },
        settle("nack", [.delay, .reason]) { fields throws(BadRequest) in
            .nack(delayMilliseconds: try fields.delay(), reason: try fields.reason())
        },
        settle("return", [.delay]) { fields throws(BadRequest) in
            .giveBack(delayMilliseconds: try fields.delay())
        },
        settle("reject", [.reason]) { fields throws(BadRequest) in .reject(reason: try fields.reason()) },
        settle("extend", [.lease]) { fields throws(BadRequest) in
            guard let lease = try fields.number(.lease, QueueLimits.leaseMilliseconds) else { throw .missing(.lease) }
            return .extend(leaseMilliseconds: lease)
        },
    ]

    private static func settle(
        _ verb: String,
        _ options: [Field],
        _ settlement: @escaping @Sendable (JSONFields) throws(BadRequest) -> Settlement
    ) -> HTTPRoute {
        HTTPRoute(
            .post,
            "/v1/queues/{name}/\(verb)",
            .queue,
            body: [.receipt, .receipts] + options,
            size: .receipts,
            .queue { call throws(BadRequest) in
                .settle(
                    Settle(
                        queue: try name(call),
                        receipts: try call.body.receipts(),
                        settlement: try settlement(call.body)
                    )
                )
            } present: { result, call throws(Problem) in
                guard case .settled(let outcomes) = result else { return nil }
                if let problem = Problem(outcomes, of: shown(call)) { throw problem }
                return ok(
                    ("settled", .number(outcomes.count { $0 == .done })),
                    ("results", results(outcomes, of: shown(call)))
                )
            }
        )
    }

    /// The receipts as the client wrote them.
    private static func shown(_ call: HTTPCall) -> [JSONValue] {
        call.body.value(.receipts)?.array ?? call.body.value(.receipt).map { [$0] } ?? []
    }

    static func results(_ outcomes: [SettleOutcome], of receipts: [JSONValue]) -> JSONValue {
        .array(
            zip(receipts, outcomes).map { receipt, outcome in
                .object(("receipt", receipt), ("result", .string(outcome.word)))
            }
        )
    }

    // MARK: Consumers

    static let consumers: [HTTPRoute] = [
        HTTPRoute(
            .post,
            "/v1/queues/{name}/consumers",
            .queue,
            body: [.id, .ttl, .credit, .label],
            .queue { call throws(BadRequest) in
                let standard = OpenConsumer(id: "", ttlMilliseconds: call.services.configuration.sessionTTL)
                let ttl = try call.body.number(.ttl, QueueLimits.ttlMilliseconds)
                return .openConsumer(
                    try name(call),
                    OpenConsumer(
                        id: try call.body.requiredName(.id),
                        ttlMilliseconds: ttl ?? standard.ttlMilliseconds,
                        credit: try call.body.number(.credit, 1...QueueLimits.credit) ?? standard.credit,
                        label: try RequestBuilder.text(
                            try call.body.string(.label) ?? "",
                            .label,
                            limit: QueueLimits.labelBytes
                        )
                    )
                )
            } present: { result, _ throws(Problem) in
                guard case .consumerOpened(let id, let ttl) = result else { return nil }
                return .json(201, .object(("consumer", .string(id.text)), ("ttl_ms", .number(ttl))))
            }
        ),
        HTTPRoute(
            .get,
            "/v1/queues/{name}/consumers/{id}",
            .queue,
            .queue { call throws(BadRequest) in
                .consumer(try name(call), try consumer(call))
            } present: { result, call throws(Problem) in
                guard case .consumer(let view) = result else { return nil }
                guard let view else { throw noConsumer(call) }
                return .json(200, JSONViews.consumer(view))
            }
        ),
        HTTPRoute(
            .delete,
            "/v1/queues/{name}/consumers/{id}",
            .queue,
            .queue { call throws(BadRequest) in
                .closeConsumer(try name(call), try consumer(call))
            } present: { result, _ throws(Problem) in
                guard case .consumerClosed(let returned) = result else { return nil }
                return ok(("returned", .number(returned)))
            }
        ),
        HTTPRoute(
            .post,
            "/v1/queues/{name}/consumers/{id}/renew",
            .queue,
            .queue { call throws(BadRequest) in
                .renewConsumer(try name(call), try consumer(call))
            } present: { result, _ throws(Problem) in
                guard case .consumerRenewed(let milliseconds) = result else { return nil }
                return ok(("ttl_ms", .number(milliseconds)))
            }
        ),
        HTTPRoute(
            .post,
            "/v1/queues/{name}/consumers/{id}/resume",
            .queue,
            body: [.receipts],
            size: .receipts,
            .queue { call throws(BadRequest) in
                .resumeConsumer(try name(call), try consumer(call), try call.body.receipts(isEmptyAllowed: true))
            } present: { result, call throws(Problem) in
                guard case .consumerResumed(let outcomes, let returned) = result else { return nil }
                return ok(
                    ("kept", .number(outcomes.count { $0 == .done })),
                    ("returned", .number(returned)),
                    ("results", results(outcomes, of: shown(call)))
                )
            }
        ),
    ]

    private static func consumer(_ call: HTTPCall) throws(BadRequest) -> Name {
        try RequestBuilder.name(call.parameters.last ?? "", .id)
    }

    private static func noConsumer(_ call: HTTPCall) -> Problem {
        Problem(refused: .noConsumer(Name(call.parameters.last ?? "")))
    }
}

extension Problem {
    /// Nil when every delivery was settled, or its message was gone already.
    init?(_ outcomes: [SettleOutcome], of receipts: [JSONValue]) {
        let bad = outcomes.filter { $0.mistake != nil }
        guard !bad.isEmpty else { return nil }
        let reasons = SettleOutcome.allCases.compactMap { outcome -> String? in
            let count = bad.count { $0 == outcome }
            guard count > 0, let mistake = outcome.mistake else { return nil }
            return outcomes.count == 1 ? mistake : "\(count) × \(mistake)"
        }
        let others = outcomes.count - bad.count
        let rest = others == 0 ? "nothing was done" : "the other \(others) were carried out"
        self.init(
            409,
            "stale",
            "Stale receipt",
            "\(bad.count) of \(outcomes.count): \(reasons.joined(separator: "; ")); \(rest)"
        )
        if others > 0 { outcome = "partly_done" }
        members = [
            JSONValue.Member("settled", .number(outcomes.count { $0 == .done })),
            JSONValue.Member("results", QueueRoutes.results(outcomes, of: receipts)),
        ]
    }
}
