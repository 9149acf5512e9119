// SPDX-License-Identifier: Apache-2.0
import LockCore
import NIOCore
import Primitives
import QueueCore
import Replica
import Synchronization

@testable import Gateway

/// One shard's queues without a log: what the HTTP tests' requests are answered by, so that a receipt in them is a
/// real one. A receive that waits is not answered.
final class HTTPQueueBackend: Sendable {
    private struct State: Sendable {
        var queues: QueueState
        var index: UInt64 = 0
        var stamp: UInt64 = 100_000
        var contents: [MessageID: StoredMessage] = [:]
        var commands: [QueueCommand] = []
    }

    private let state: Mutex<State>

    init(limits: QueueLimits = QueueLimits()) {
        state = Mutex(State(queues: QueueState(shard: ShardID(0), limits: limits)))
    }

    var commands: [QueueCommand] { state.withLock { $0.commands } }

    var publishes: [Publish] {
        commands.compactMap { if case .publish(let publish) = $0 { publish } else { nil } }
    }

    /// Lets time pass, with what it makes due.
    func advance(_ milliseconds: UInt64) {
        state.withLock { state in
            state.stamp += milliseconds
            while let due = state.queues.nextDue, due <= state.stamp { _ = Self.apply(.tick(term: Term(1)), &state) }
        }
    }

    func answer(_ request: Request) -> Response? {
        switch request {
        case .queue(let command):
            state.withLock { state in
                state.commands.append(command)
                if let refusal = state.queues.validate(command) { return .queue(QueueAnswer(.refused(refusal))) }
                return Self.apply(command, &state).map { .queue(Self.withBodies($0, state)) }
            }
        case .queueQuery(let query, _):
            state.withLock { state in
                .queue(Self.withBodies(state.queues.query(query, stamp: state.stamp), state))
            }
        case .renewConsumer(let id):
            state.withLock { state in
                guard case .consumer(.some(let view)) = state.queues.query(.consumer(id), stamp: state.stamp) else {
                    return .queue(QueueAnswer(.refused(.noConsumer(id))))
                }
                return .queue(QueueAnswer(.renewed(milliseconds: view.ttlMilliseconds)))
            }
        case .query(.check(_, _, let token), _): .lock(.check(token == 7))
        case .command, .query, .renew, .cache: nil
        }
    }

    private static func apply(_ command: QueueCommand, _ state: inout State) -> QueueResponse? {
        state.index += 1
        let request = RequestID(origin: 1, number: state.index)
        let entry = LogIndex(state.index)
        if case .publish(let publish) = command {
            var writer = ByteWriter()
            command.encode(into: &writer)
            for ordinal in publish.messages.indices {
                var reader = ByteReader(writer.bytes)
                state.contents[MessageID(entry: entry, ordinal: ordinal)] =
                    try? QueueCommand.stored(ordinal, decoding: &reader)
            }
        }
        var effects = QueueEffects()
        let context = QueueContext(index: entry, term: Term(1), stamp: state.stamp, request: request)
        state.queues.apply(command, context, into: &effects)
        return effects.responses.first { $0.request == request }?.response
    }

    private static func withBodies(_ response: QueueResponse, _ state: State) -> QueueAnswer {
        switch response {
        case .received(let deliveries):
            QueueAnswer(response, contents: deliveries.map { state.contents[$0.id] })
        case .messages(let views): QueueAnswer(response, contents: views.map { state.contents[$0.id] })
        case .message(.some(let view)): QueueAnswer(response, contents: [state.contents[view.id]])
        default: QueueAnswer(response)
        }
    }
}

extension HTTPTests {
    /// A server over `backend`, and calls to it.
    func withQueues(
        _ backend: HTTPQueueBackend = HTTPQueueBackend(),
        _ configuration: HTTPConfiguration = HTTPConfiguration(port: 0),
        _ body: @escaping @Sendable (QueueCalls) async throws -> Void
    ) async throws {
        let ports = try await LoopPorts { backend.answer($0) }
        try await ports.with { $0.shardCount = 1 }
        try await withServer(configuration, ports: ports) { try await body(QueueCalls(port: $0, ports: ports)) }
    }

    struct QueueCalls: Sendable {
        var port: Int
        var ports: LoopPorts

        func callAsFunction(_ method: String, _ path: String, _ body: String = "") async throws -> Reply {
            try await send(method, path, type: "application/json", Array(body.utf8))
        }

        func send(_ method: String, _ path: String, type: String?, _ body: [UInt8]) async throws -> Reply {
            let connection = try await RawConnection(port: port)
            let contentType = type.map { "Content-Type: \($0)\r\n" } ?? ""
            var bytes = ByteBuffer(
                string: "\(method) /v1/queues\(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\(contentType)"
                    + "Content-Length: \(body.count)\r\n\r\n"
            )
            bytes.writeBytes(body)
            // The server may close before it has read all.
            connection.channel.writeAndFlush(bytes, promise: nil)
            let reply = Reply(try await connection.untilClosed())
            await connection.close()
            return reply
        }

        /// Takes messages and returns their receipts.
        func receipts(_ queue: String, count: Int = 1) async throws -> [String] {
            let reply = try await self("POST", "/\(queue)/receive", #"{"count": \#(count)}"#)
            return reply.json?["messages"]?.array?.compactMap { $0["receipt"]?.string } ?? []
        }

        func publish(_ queue: String, _ bodies: String...) async throws {
            for body in bodies {
                let reply = try await send("POST", "/\(queue)/messages", type: "text/plain", Array(body.utf8))
                guard reply.status == 201 else { throw RawConnection.TimedOut(received: reply.body) }
            }
        }
    }
}

extension HTTPTests.Reply {
    var code: String? { json?["code"]?.string }

    var outcome: String? { json?["outcome"]?.string }

    var results: [String] { json?["results"]?.array?.compactMap { $0["result"]?.string } ?? [] }

    var messages: [JSONValue] { json?["messages"]?.array ?? [] }
}
