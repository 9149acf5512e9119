// SPDX-License-Identifier: Apache-2.0
import NIOCore
package import Primitives
import QueueCore
import RaftCore
import Replica
import Synchronization

/// Carries out what front ends ask of queues: finds the lanes, asks each, and puts the answers together.
///
/// A queue's number of lanes is known only to its lines, so it is assumed and learned: what is sent by a wrong number
/// is refused with the right one, nothing was done, and it is sent again. Confined to its port's event loop.
package final class QueueService {
    package typealias Completion = (QueueResult) -> Void

    /// Queues whose number of lanes is remembered. A full cache is emptied: each queue then costs one refusal at most.
    static let maxKnownQueues = 1 << 16
    /// How often one request is sent anew because the number of lanes was another than assumed.
    static let maxRoutings = 3

    let port: any RequestPort
    private var lanes: [Name: Int] = [:]
    private var turn: UInt64 = 0

    package init(port: any RequestPort) { self.port = port }

    /// - Parameters:
    ///   - timeout: as for `RequestPort.submit`, for each of the requests that the operation takes.
    ///   - completion: called exactly once, possibly before this returns.
    @discardableResult
    package func perform(
        _ operation: QueueOperation,
        timeout: Interval?,
        completion: @escaping Completion
    ) -> QueueCall {
        if let refusal = operation.refusal {
            completion(.failed(.queue(QueueAnswer(.refused(refusal)))))
            return QueueCall()
        }
        switch operation {
        case .publish(let publish): return self.publish(publish, timeout, completion)
        case .receive(let receive): return self.receive(receive, timeout, completion)
        case .settle(let settle): self.settle(settle, timeout, completion)
        case .declare(let name, let settings): declare(name, settings, timeout, completion)
        case .update(let name, let change): update(name, change, timeout, completion)
        case .delete(let name): delete(name, timeout, completion)
        case .purge(let name): purge(name, timeout, completion)
        case .pause(let name, let side): setPaused(name, timeout, completion) { .pause($0, side) }
        case .resume(let name, let side): setPaused(name, timeout, completion) { .resume($0, side) }
        case .redrive(let redrive): self.redrive(redrive, timeout, completion)
        case .cancelRedrive(let name): cancelRedrive(name, timeout, completion)
        case .cancel(let name, let id): cancel(name, id, timeout, completion)
        case .stats(let name): stats(name, timeout, completion)
        case .list(let prefix, let after, let limit): list(prefix, after, limit, timeout, completion)
        case .peek(let name, let state, let limit): peek(name, state, limit, timeout, completion)
        case .message(let name, let id): message(name, id, timeout, completion)
        case .openConsumer(let name, let open): openConsumer(name, open, timeout, completion)
        case .renewConsumer(let name, let id): renewConsumer(name, id, timeout, completion)
        case .closeConsumer(let name, let id): closeConsumer(name, id, timeout, completion)
        case .resumeConsumer(let name, let id, let receipts):
            resumeConsumer(name, id, receipts, timeout, completion)
        case .consumer(let name, let id): consumer(name, id, timeout, completion)
        }
        return QueueCall()
    }

    /// The caller has gone: a receive that waits leaves its lines, and what arrives all the same is given back. Its
    /// completion is called at once with the refusal `cancelled`. Anything else runs to its end.
    package func cancel(_ call: QueueCall) { call.receiving?.cancel() }

    // MARK: Lanes

    /// Nil when nothing is known.
    func knownLanes(of queue: Name) -> Int? { lanes[queue] }

    func learn(_ count: UInt64, of queue: Name) {
        let count = Int(min(max(count, 1), UInt64(QueueLimits.lanes)))
        guard lanes[queue] != count else { return }
        if lanes.count >= Self.maxKnownQueues { lanes.removeAll(keepingCapacity: true) }
        lanes[queue] = count
    }

    func forget(_ queue: Name) { lanes[queue] = nil }

    /// Spreads what has no key over the lanes, and receives over their starts.
    func nextTurn() -> UInt64 {
        turn &+= 1
        return turn
    }

    /// The shards of a queue's lanes, each once.
    func shards(of map: LaneMap) -> [ShardID] {
        var found: [ShardID] = []
        for line in map.lines {
            let shard = QueuePlacement.shard(ofLine: line, count: port.shardCount)
            if !found.contains(shard) { found.append(shard) }
        }
        return found
    }

    // MARK: Requests

    private final class Gathering {
        var responses: [Response?]
        var left: Int

        init(_ count: Int) {
            responses = Array(repeating: nil, count: count)
            left = count
        }
    }

    /// Sends all at once; `completion` is given the answers in the order of the requests.
    func gather(
        _ requests: [(request: Request, shard: ShardID?)],
        _ timeout: Interval?,
        completion: @escaping ([Response]) -> Void
    ) {
        guard !requests.isEmpty else { return completion([]) }
        let gathering = Gathering(requests.count)
        for (position, item) in requests.enumerated() {
            port.submit(item.request, to: item.shard, timeout: timeout) { response in
                gathering.responses[position] = response
                gathering.left -= 1
                if gathering.left == 0 { completion(gathering.responses.compactMap { $0 }) }
            }
        }
    }

    func gather(_ commands: [QueueCommand], _ timeout: Interval?, completion: @escaping ([Response]) -> Void) {
        gather(commands.map { (.queue($0), nil) }, timeout, completion: completion)
    }

    /// Asks the queue's first lane what the queue is, and learns its lanes. A queue that does not exist, or no answer,
    /// fails the operation.
    func look(
        at queue: Name,
        _ timeout: Interval?,
        _ completion: @escaping Completion,
        then: @escaping (QueueView) -> Void
    ) {
        find(queue, timeout, completion) { view in
            guard let view else { return completion(.failed(.queue(QueueAnswer(.refused(.noQueue(queue)))))) }
            then(view)
        }
    }

    /// The same for one that need not exist.
    func find(
        _ queue: Name,
        _ timeout: Interval?,
        _ completion: @escaping Completion,
        then: @escaping (QueueView?) -> Void
    ) {
        port.submit(.queueQuery(.queue(queue), .readIndex), timeout: timeout) { response in
            guard case .queue(let answer) = response, case .queue(let view) = answer.response else {
                return completion(.failed(response))
            }
            if let view { self.learn(view.settings.lanes, of: queue) } else { self.forget(queue) }
            then(view)
        }
    }
}

/// Something that was asked of a `QueueService`, to be cancelled.
package struct QueueCall {
    /// Set for receives.
    let receiving: Receiving?
    /// It went by a guess. To keep the order of a queue's messages, nothing more is sent to it before the answer.
    package let isTentative: Bool

    init(_ receiving: Receiving? = nil, isTentative: Bool = false) {
        self.receiving = receiving
        self.isTentative = isTentative
    }

    /// It has messages to give back if nobody takes its answer.
    package var isCancellable: Bool { receiving != nil }
}

/// One queue service for each event loop, made on the loop when it is first asked for. Safe from any thread.
package final class QueueServices: Sendable {
    private let services = Mutex<[ObjectIdentifier: NIOLoopBound<QueueService>]>([:])

    package init() {}

    /// Call it on the port's loop.
    package func service(_ port: any RequestPort) -> QueueService {
        let loop = port.eventLoop
        let known = services.withLock { $0[ObjectIdentifier(loop)] }
        if let known { return known.value }
        let service = NIOLoopBound(QueueService(port: port), eventLoop: loop)
        services.withLock { $0[ObjectIdentifier(loop)] = service }
        return service.value
    }
}

extension QueueOperation {
    /// The queue it is about; nil for a list of them.
    package var queue: Name? {
        switch self {
        case .declare(let name, _), .update(let name, _), .delete(let name), .peek(let name, _, _),
            .message(let name, _), .cancel(let name, _), .purge(let name), .pause(let name, _),
            .resume(let name, _), .cancelRedrive(let name), .stats(let name), .openConsumer(let name, _),
            .renewConsumer(let name, _), .closeConsumer(let name, _), .resumeConsumer(let name, _, _),
            .consumer(let name, _):
            name
        case .publish(let publish): publish.queue
        case .receive(let receive): receive.queue
        case .settle(let settle): settle.queue
        case .redrive(let redrive): redrive.queue
        case .list: nil
        }
    }

    /// A lane is no queue: its name would reach past the routing.
    fileprivate var refusal: QueueError? {
        guard let queue else { return nil }
        guard queue.byteCount > 0 else { return .invalid("a queue's name has 1 to \(QueueLimits.nameBytes) bytes") }
        return queue.text.utf8.contains(UInt8(ascii: "#")) ? .invalid("a queue's name does not contain #") : nil
    }
}
