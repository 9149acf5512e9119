// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import QueueCore
import RaftCore
import Replica

extension QueueService {
    func publish(_ publish: Publish, _ timeout: Interval?, _ completion: @escaping Completion) -> QueueCall {
        guard let lock = publish.guardedBy else { return route(publish, timeout, routings: 0, completion) }
        let check = LockQuery.check(namespace: lock.namespace, name: lock.name, token: lock.token)
        port.submit(.query(check, .readIndex), timeout: timeout) { response in
            guard case .lock(.check(let isCurrent)) = response else { return completion(.failed(response)) }
            guard isCurrent else { return completion(.failed(.queue(QueueAnswer(.refused(.fenced))))) }
            _ = self.route(publish, timeout, routings: 0, completion)
        }
        return QueueCall(isTentative: true)
    }

    /// One request as long as the queue has one lane, which is assumed of an unknown one.
    private func route(
        _ publish: Publish,
        _ timeout: Interval?,
        routings: Int,
        _ completion: @escaping Completion
    ) -> QueueCall {
        let known = knownLanes(of: publish.queue)
        guard known ?? 1 == 1 else {
            LanePublish(self, publish, timeout, routings: routings, completion).start()
            return QueueCall()
        }
        var single = publish
        single.lanes = 1
        port.submit(.queue(.publish(single)), timeout: timeout) { response in
            guard case .queue(let answer) = response else { return completion(.failed(response)) }
            switch answer.response {
            case .published(let ids):
                if known == nil { self.learn(1, of: single.queue) }
                completion(.published(ids.map { PublishedMessage($0, lane: 0) }))
            case .refused(.lanes(let count)) where routings < Self.maxRoutings:
                self.learn(count, of: single.queue)
                _ = self.route(single, timeout, routings: routings + 1, completion)
            default: completion(.failed(response))
            }
        }
        return QueueCall(isTentative: known == nil)
    }
}

/// A publish to a queue of several lanes: one command for each lane that has a message in it.
private final class LanePublish {
    private let service: QueueService
    private let publish: Publish
    private let timeout: Interval?
    private let completion: QueueService.Completion
    /// Chosen once, so that sending anew keeps messages together.
    private let turn: UInt64
    private var routings: Int
    private var stored: [PublishedMessage?]
    /// Positions of messages that have no answer.
    private var pending: [Int]
    private var outstanding = 0
    private var failures: [Response] = []
    /// Why the pending ones are to be sent anew.
    private var refusal: Response?

    init(
        _ service: QueueService,
        _ publish: Publish,
        _ timeout: Interval?,
        routings: Int,
        _ completion: @escaping QueueService.Completion
    ) {
        self.service = service
        self.publish = publish
        self.timeout = timeout
        self.routings = routings
        self.completion = completion
        turn = service.nextTurn()
        stored = Array(repeating: nil, count: publish.messages.count)
        pending = Array(publish.messages.indices)
    }

    func start() {
        let map = LaneMap(queue: publish.queue, lanes: service.knownLanes(of: publish.queue) ?? 1)
        var groups: [Int: [Int]] = publish.messages.isEmpty ? [0: []] : [:]
        for position in pending { groups[lane(of: publish.messages[position], map), default: []].append(position) }
        pending = []
        refusal = nil
        outstanding = groups.count
        for (lane, positions) in groups.sorted(by: { $0.key < $1.key }) {
            var part = publish
            part.queue = map.line(lane)
            part.messages = positions.map { publish.messages[$0] }
            part.lanes = UInt64(map.lanes)
            part.declares = publish.declares && lane == 0
            service.port.submit(.queue(.publish(part)), timeout: timeout) { response in
                self.finished(positions, lane: lane, response)
            }
        }
    }

    /// By key, so that order holds. What may be published again, and is known again by its id, must go the same way
    /// again; anything else takes turns, a batch as one.
    private func lane(of message: PublishMessage, _ map: LaneMap) -> Int {
        if message.key.byteCount > 0 { return map.lane(forKey: message.key) }
        if message.dedup.byteCount > 0 { return map.lane(forKey: message.dedup) }
        guard let producer = publish.producer else { return map.lane(forTurn: turn) }
        return map.lane(forTurn: StableHash.fnv1a(producer.producer.text.utf8) &+ producer.sequence)
    }

    private func finished(_ positions: [Int], lane: Int, _ response: Response) {
        outstanding -= 1
        if case .published(let ids) = response.queueResponse, ids.count == positions.count {
            for (position, id) in zip(positions, ids) { stored[position] = PublishedMessage(id, lane: lane) }
        } else if case .lanes(let count) = response.queueRefusal {
            service.learn(count, of: publish.queue)
            sendAnew(positions, response)
        } else if response.isNoQueue, lane > 0 {
            // The queue was deleted, or has fewer lanes by now: its first lane knows.
            service.forget(publish.queue)
            sendAnew(positions, response)
        } else {
            failures.append(response)
        }
        if outstanding == 0 { finish() }
    }

    private func sendAnew(_ positions: [Int], _ response: Response) {
        pending += positions
        refusal = response
    }

    private func finish() {
        if failures.isEmpty, refusal != nil, routings < QueueService.maxRoutings {
            routings += 1
            pending.sort()
            return start()
        }
        if let refusal { failures.append(refusal.isNoQueue ? missingLane : refusal) }
        let done = stored.compactMap { $0 }
        guard let failure = failures.first else { return completion(.published(done)) }
        let unknown = failures.first { if case .unavailable(.unknown, _) = $0 { true } else { false } }
        if let unknown { return completion(.failed(unknown)) }
        guard !done.isEmpty, let text = RefusalText(failure.ofQueue) else {
            return completion(.failed(failure.ofQueue))
        }
        let reason = "\(done.count) of \(stored.count) messages were stored, the others not: \(text.detail)"
        completion(.failed(.unavailable(.unknown, reason: reason)))
    }

    private var missingLane: Response {
        .busy(reason: "a lane of queue '\(publish.queue)' is missing: declare or update the queue again")
    }
}
