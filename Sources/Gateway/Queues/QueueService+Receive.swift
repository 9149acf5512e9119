// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Primitives
import QueueCore
import Replica

extension QueueService {
    func receive(_ receive: Receive, _ timeout: Interval?, _ completion: @escaping Completion) -> QueueCall {
        let isTentative = knownLanes(of: receive.queue) == nil
        let receiving = Receiving(self, receive, timeout, completion)
        receiving.start()
        return QueueCall(receiving, isTentative: isTentative)
    }
}

/// A receive under way. From one lane it is one request. From several, the lanes are tried one after another from a
/// rotating start, and when none had anything all are waited on at once: the first that has something ends the rest.
final class Receiving {
    private let service: QueueService
    private let receive: Receive
    private let timeout: Interval?
    /// Nil once it was called.
    private var completion: QueueService.Completion?
    private let began: NIODeadline
    private let deadline: NIODeadline
    private var routings = 0
    private var lanes = LaneMap(queue: "", lanes: 1)
    private var firstLane = 0
    private var tried = 0
    private var collected: [ReceivedMessage] = []
    /// Messages taken and their bytes, those included whose bodies went meanwhile.
    private var taken: UInt64 = 0
    private var takenBytes: UInt64 = 0
    private var failures: [Response] = []
    /// Requests that wait, by lane.
    private var waits: [Int: RequestHandle] = [:]
    private var open = 0
    private var hasChangedLanes = false
    /// Rises when the lanes are found anew: answers of an earlier round are nobody's.
    private var round = 0

    init(
        _ service: QueueService,
        _ receive: Receive,
        _ timeout: Interval?,
        _ completion: @escaping QueueService.Completion
    ) {
        self.service = service
        var receive = receive
        if receive.consumer.byteCount > 0 { receive.consumer = ConsumerKey(receive.queue, receive.consumer).name }
        self.receive = receive
        self.timeout = timeout
        self.completion = completion
        began = service.port.eventLoop.now
        deadline = service.port.eventLoop.now + .milliseconds(Int64(clamping: receive.waitMilliseconds))
    }

    func start() {
        lanes = LaneMap(queue: receive.queue, lanes: service.knownLanes(of: receive.queue) ?? 1)
        round += 1
        hasChangedLanes = false
        failures = []
        tried = 0
        guard lanes.lanes > 1 else {
            open = 1
            return wait(lane: 0, milliseconds: remainingMilliseconds)
        }
        firstLane = lanes.lane(forTurn: service.nextTurn())
        tryNext()
    }

    func cancel() {
        guard completion != nil else { return }
        giveBack(collected.map(\.delivery))
        finish(.failed(.queue(QueueAnswer(.refused(.cancelled)))))
    }

    private var remainingMilliseconds: UInt64 {
        guard receive.waitMilliseconds > 0 else { return 0 }
        let left = (deadline - service.port.eventLoop.now).nanoseconds / 1_000_000
        return min(UInt64(max(left, 1)), receive.waitMilliseconds)
    }

    private func part(_ lane: Int, milliseconds: UInt64) -> Request {
        var part = receive
        part.queue = lanes.line(lane)
        part.lanes = UInt64(lanes.lanes)
        part.waitMilliseconds = milliseconds
        part.count = receive.count - min(taken, receive.count)
        if receive.maxBytes > 0 { part.maxBytes = max(1, receive.maxBytes - min(takenBytes, receive.maxBytes)) }
        return .queue(.receive(part))
    }

    // MARK: One after another

    private func tryNext() {
        // More would be above a limit, or the caller has gone.
        let isFull = taken >= receive.count || (receive.maxBytes > 0 && takenBytes >= receive.maxBytes)
        guard completion != nil, !isFull, tried < lanes.lanes else { return endTrying() }
        let lane = (firstLane + tried) % lanes.lanes
        tried += 1
        let patience = min(timeout ?? Self.laneTimeout, Self.laneTimeout)
        service.port.submit(part(lane, milliseconds: 0), timeout: patience) { response in
            guard self.completion != nil else { return self.giveBack(response) }
            let hadFailed = self.failures.count
            self.take(response, lane: lane)
            // The leases of what is here already run: a lane that does not answer must not use them up.
            let isLate = self.service.port.eventLoop.now - self.began > Self.tryingTime
            let isEnough = self.taken > 0 && (isLate || self.failures.count > hadFailed)
            if self.hasChangedLanes || isEnough { self.endTrying() } else { self.tryNext() }
        }
    }

    /// After this, whoever has something is content with it.
    private static let tryingTime = TimeAmount.milliseconds(250)
    /// One lane of several that is slower is passed over.
    private static let laneTimeout = Interval.milliseconds(1_000)

    private func endTrying() {
        guard completion != nil else { return }
        if taken > 0 { return finish(.received(collected)) }
        if hasChangedLanes { return routeAnew() }
        // Refused by every lane, or without an answer from any.
        if failures.count == lanes.lanes, let failure = failures.first { return finish(.failed(failure.ofQueue)) }
        if let refusal = failures.first(where: { $0.isRefusalOfAll }) { return finish(.failed(refusal.ofQueue)) }
        guard receive.waitMilliseconds > 0 else { return finish(.received([])) }
        waitOnAll()
    }

    private func routeAnew() {
        guard routings < QueueService.maxRoutings else {
            return finish(.failed(.busy(reason: "the lanes of queue '\(receive.queue)' are being changed")))
        }
        routings += 1
        round += 1
        endWaits()
        start()
    }

    // MARK: All at once

    private func waitOnAll() {
        failures = []
        let milliseconds = remainingMilliseconds
        open = lanes.lanes
        let round = round
        for offset in 0..<lanes.lanes {
            guard completion != nil, self.round == round else { return }
            wait(lane: (firstLane + offset) % lanes.lanes, milliseconds: milliseconds)
        }
    }

    private func wait(lane: Int, milliseconds: UInt64) {
        var isAnswered = false
        let round = round
        let handle = service.port.submit(part(lane, milliseconds: milliseconds), timeout: timeout) { response in
            isAnswered = true
            guard self.completion != nil, self.round == round else { return self.giveBack(response) }
            self.waits[lane] = nil
            self.take(response, lane: lane)
            self.waitEnded()
        }
        guard !isAnswered else { return }
        if completion != nil, self.round == round { waits[lane] = handle } else { service.port.cancel(handle) }
    }

    private func waitEnded() {
        open -= 1
        if taken > 0 { return finish(.received(collected)) }
        if hasChangedLanes { return routeAnew() }
        guard open == 0 else { return }
        if lanes.lanes == 1, failures.isEmpty { service.learn(1, of: receive.queue) }
        if failures.count == lanes.lanes, let failure = failures.first { return finish(.failed(failure.ofQueue)) }
        finish(.received([]))
    }

    private func endWaits() {
        let handles = waits.values
        waits = [:]
        for handle in handles { service.port.cancel(handle) }
    }

    // MARK: Answers

    private func take(_ response: Response, lane: Int) {
        guard case .queue(let answer) = response else { return failures.append(response) }
        switch answer.response {
        case .received(let deliveries):
            taken += UInt64(deliveries.count)
            takenBytes += deliveries.reduce(0) { $0 + $1.bytes }
            collected += answer.received
        case .refused(.lanes(let count)):
            service.learn(count, of: receive.queue)
            hasChangedLanes = true
        case .refused(.noQueue) where lane > 0:
            service.forget(receive.queue)
            hasChangedLanes = true
        default: failures.append(response)
        }
    }

    /// The receive has ended: nobody is told of what comes now.
    private func giveBack(_ response: Response) {
        if case .received(let deliveries) = response.queueResponse { giveBack(deliveries) }
    }

    private func giveBack(_ deliveries: [Delivery]) { service.giveBack(deliveries, of: receive.queue, timeout) }

    private func finish(_ result: QueueResult) {
        guard let completion else { return }
        self.completion = nil
        endWaits()
        completion(result)
    }
}

extension Response {
    /// A refusal that the other lanes would give too. A consumer's credit counts in each shard.
    fileprivate var isRefusalOfAll: Bool {
        switch queueRefusal {
        case nil, .noCredit: false
        case .some: true
        }
    }
}
