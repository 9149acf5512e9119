// SPDX-License-Identifier: Apache-2.0
import Gateway
import LockCore
import NIOCore
import Primitives
import QueueCore
import RaftCore
import Replica

/// A request port over real queue state machines, one for each of 16 shards, without logs or replicas: a command is
/// applied when it is submitted. Answers may be held back, and any request may be answered by the test instead.
final class QueuePort: RequestPort {
    struct Submitted {
        var request: Request
        var shard: ShardID
    }

    let eventLoop: any EventLoop
    let shardCount = 16
    private(set) var submitted: [Submitted] = []
    private(set) var cancelled = 0
    /// Answers instead of the shard when it says something.
    var override: (Request, ShardID) -> Response? = { _, _ in nil }
    /// What `LOCK.CHECK` of a guard finds.
    var holdsLock = true
    /// Answers wait for `release`.
    var isHolding = false
    private var held: [(number: UInt64, response: Response)] = []
    private var shards: [QueueState]
    private var index: UInt64 = 0
    private var stamp: UInt64 = 1_000_000
    private var bodies: [ShardID: [MessageID: StoredMessage]] = [:]
    private var pending: [UInt64: (shard: ShardID, completion: (Response) -> Void)] = [:]

    init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        shards = (0..<16).map { QueueState(shard: ShardID($0)) }
    }

    // MARK: What tests look at

    /// Commands of a kind and the shards they went to.
    func commands(where isWanted: (QueueCommand) -> Bool) -> [QueueCommand] {
        submitted.compactMap { item in
            if case .queue(let command) = item.request, isWanted(command) { command } else { nil }
        }
    }

    func forgetSubmitted() { submitted = [] }

    func view(_ line: Name) -> QueueView? {
        let shard = QueuePlacement.shard(ofLine: line, count: shardCount)
        guard case .queue(let view) = shards[Int(shard.rawValue)].query(.queue(line), stamp: stamp) else { return nil }
        return view
    }

    var waiterCount: Int { shards.reduce(0) { $0 + $1.waiterCount } }

    var heldCount: Int { held.count }

    // MARK: Time and answers

    func release() {
        isHolding = false
        let answers = held
        held = []
        for answer in answers { complete(answer.number, answer.response) }
    }

    /// Lets milliseconds of cluster time pass.
    func advance(milliseconds: UInt64) {
        stamp += milliseconds
        for shard in shards.indices { apply(.tick(term: Term(1)), shard, .internal) }
    }

    // MARK: The port

    func submit(
        _ request: Request,
        to shard: ShardID?,
        timeout: Interval?,
        completion: @escaping (Response) -> Void
    ) -> RequestHandle {
        let number = UInt64(submitted.count) + 1 + index * 1_000_000
        let shard = shard ?? Router.shard(for: request.placementKey ?? "", count: shardCount)
        submitted.append(Submitted(request: request, shard: shard))
        pending[number] = (shard, completion)
        if let response = override(request, shard) {
            answer(number, response)
        } else {
            carryOut(request, Int(shard.rawValue), number)
        }
        return RequestHandle(number)
    }

    func cancel(_ handle: RequestHandle) {
        guard let waiting = pending[handle.rawValue] else { return }
        cancelled += 1
        apply(.cancelWait(RequestID(origin: 1, number: handle.rawValue)), Int(waiting.shard.rawValue), .internal)
    }

    func watch(namespace: Name, names: [Name], sink: @escaping (LockEvent) -> Void) -> WatchHandle { WatchHandle(0) }

    func unwatch(_ handle: WatchHandle) {}

    private func carryOut(_ request: Request, _ shard: Int, _ number: UInt64) {
        switch request {
        case .queue(let command):
            // As at a leader: what can never be carried out does not reach the log.
            if let refusal = shards[shard].validate(command) {
                answer(number, .queue(QueueAnswer(.refused(refusal))))
            } else {
                apply(command, shard, RequestID(origin: 1, number: number))
            }
        case .queueQuery(let query, _): answer(number, response(shards[shard].query(query, stamp: stamp), shard))
        case .renewConsumer(let id):
            if case .consumer(.some) = shards[shard].query(.consumer(id), stamp: stamp) {
                answer(number, .queue(QueueAnswer(.renewed(milliseconds: 9_000))))
            } else {
                answer(number, .queue(QueueAnswer(.refused(.noConsumer(id)))))
            }
        case .query(.check, _): answer(number, .lock(.check(holdsLock)))
        case .command, .query, .renew, .cache: answer(number, .busy(reason: "no locks here"))
        }
    }

    private func apply(_ command: QueueCommand, _ shard: Int, _ request: RequestID) {
        index += 1
        stamp += 1
        let context = QueueContext(index: LogIndex(index), term: Term(1), stamp: stamp, request: request)
        if case .publish(let publish) = command {
            var writer = ByteWriter()
            command.encode(into: &writer)
            for ordinal in publish.messages.indices {
                var reader = ByteReader(writer.bytes)
                let id = MessageID(entry: LogIndex(index), ordinal: ordinal)
                bodies[ShardID(UInt16(shard)), default: [:]][id] = try? QueueCommand.stored(ordinal, decoding: &reader)
            }
        }
        var effects = QueueEffects()
        shards[shard].apply(command, context, into: &effects)
        for (request, queueResponse) in effects.responses {
            answer(request.number, response(queueResponse, shard))
        }
    }

    private func response(_ response: QueueResponse, _ shard: Int) -> Response {
        var ids: [MessageID] = []
        switch response {
        case .received(let deliveries): ids = deliveries.map(\.id)
        case .messages(let views): ids = views.map(\.id)
        case .message(.some(let view)): ids = [view.id]
        default: break
        }
        let contents = ids.map { bodies[ShardID(UInt16(shard))]?[$0] }
        return .queue(QueueAnswer(response, contents: contents))
    }

    private func answer(_ number: UInt64, _ response: Response) {
        if isHolding { held.append((number, response)) } else { complete(number, response) }
    }

    private func complete(_ number: UInt64, _ response: Response) {
        pending.removeValue(forKey: number)?.completion(response)
    }
}

extension QueueResult {
    var ids: [QueueMessageID] {
        if case .published(let published) = self { published.map(\.id) } else { [] }
    }

    var messages: [ReceivedMessage] {
        if case .received(let messages) = self { messages } else { [] }
    }

    var bodies: [String] { messages.map { String(decoding: $0.content.body, as: UTF8.self) } }

    var receipts: [Receipt] { messages.map(\.delivery.receipt) }

    var refusal: QueueError? {
        guard case .failed(.queue(let answer)) = self, case .refused(let refusal) = answer.response else { return nil }
        return refusal
    }
}
