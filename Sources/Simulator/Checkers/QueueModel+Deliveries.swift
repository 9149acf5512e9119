// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import Replica

/// Who gets what, in which order, and why again.
extension QueueModel {
    /// Answers that became due in this entry, in their order, and the wait that it begins.
    mutating func answer(_ step: Step, _ violations: inout ViolationLog) {
        if case .publish(let publish) = step.command, case .published(let ids) = step.response,
            ids.contains(where: { !$0.isDuplicate }), let line = line(publish.queue)
        {
            expect(!isOverfull(line), "\(publish.queue) has more than it may", step, &violations)
        }
        for (request, response) in step.outcome.queueEffects.responses {
            if request == step.outcome.envelope.request {
                guard case .receive(let receive) = step.command else { continue }
                answerAtOnce(receive, response, step, &violations)
            } else {
                answerWait(request, response, step, &violations)
            }
        }
        guard case .receive(let receive) = step.command, step.response == nil,
            step.outcome.envelope.request.origin != 0
        else { return }
        guard let line = line(receive.queue), receive.waitMilliseconds > 0 else {
            return violations.report(.queueRules, report("nobody knows what the receive waits for", step))
        }
        let request = step.outcome.envelope.request
        waits[request] = Wait(receive: receive, deadline: step.stamp + receive.waitMilliseconds)
        lines[line].waits.append(request)
    }

    private mutating func answerAtOnce(
        _ receive: Receive,
        _ response: QueueResponse,
        _ step: Step,
        _ violations: inout ViolationLog
    ) {
        let refusal = expectedRefusal(receive)
        switch response {
        case .received(let deliveries):
            guard refusal == nil, let line = line(receive.queue) else {
                return expect(false, "\(refusal.map { "\($0)" } ?? "") was to be said", step, &violations)
            }
            expect(
                deliveries.isEmpty || lines[line].waits.isEmpty,
                "others of \(receive.queue) have waited longer",
                step,
                &violations
            )
            if deliveries.isEmpty && lines[line].waits.isEmpty { expectNothing(line, step, &violations) }
            deliver(deliveries, receive, line, step, &violations)
        case .refused(.limit), .refused(.invalid): break
        case .refused(let given):
            if case .noCredit = given { probes.append(.noCredit) }
            if case .lanes = given { probes.append(.wrongLanes) }
            expect(given == refusal, "\(refusal.map { "\($0)" } ?? "nothing") was to be refused", step, &violations)
        default: expect(false, "it was a receive", step, &violations)
        }
    }

    private func expectedRefusal(_ receive: Receive) -> QueueError? {
        guard let line = line(receive.queue) else { return .noQueue(receive.queue) }
        let lanes = lines[line].settings.lanes
        if receive.lanes != 0, receive.lanes != lanes { return .lanes(lanes) }
        guard receive.consumer.byteCount > 0 else { return nil }
        guard let consumer = consumer(receive.consumer) else { return .noConsumer(receive.consumer) }
        return hasCredit(consumer) ? nil : .noCredit(receive.consumer)
    }

    func consumer(_ id: Name) -> Int? { consumerIndex[id].flatMap { consumers[$0].isOpen ? $0 : nil } }

    private func hasCredit(_ consumer: Int) -> Bool {
        UInt64(consumers[consumer].inFlight) < consumers[consumer].open.credit
    }

    private mutating func answerWait(
        _ request: RequestID,
        _ response: QueueResponse,
        _ step: Step,
        _ violations: inout ViolationLog
    ) {
        guard let wait = waits.removeValue(forKey: request), let line = lineIndex[wait.receive.queue] else {
            return violations.report(.queueRules, report("request \(request) does not wait: \(response)", step))
        }
        let isFirst = lines[line].waits.first == request
        lines[line].waits.removeAll { $0 == request }
        switch response {
        case .received(let deliveries) where deliveries.isEmpty:
            probes.append(.receiveTimedOut)
            expect(step.stamp >= wait.deadline, "request \(request) was to wait longer", step, &violations)
        case .received(let deliveries):
            probes.append(.deliveredToWaiting)
            expect(isFirst, "request \(request) has not waited longest", step, &violations)
            deliver(deliveries, wait.receive, line, step, &violations)
        case .refused(.cancelled):
            probes.append(.receiveCancelled)
            if case .cancelWait(request) = step.command { return }
            expect(false, "nobody cancelled request \(request)", step, &violations)
        case .refused(.noCredit(let id)):
            probes.append(.noCredit)
            expect(consumer(id).map { !hasCredit($0) } ?? false, "\(id) has credit left", step, &violations)
        case .refused(.ended):
            let isOver = !lines[line].exists || consumer(wait.receive.consumer) == nil
            expect(isOver, "what request \(request) waits for goes on", step, &violations)
        default: expect(false, "request \(request) is a receive: \(response)", step, &violations)
        }
    }

    // MARK: Deliveries

    private mutating func deliver(
        _ deliveries: [Delivery],
        _ receive: Receive,
        _ line: Int,
        _ step: Step,
        _ violations: inout ViolationLog
    ) {
        guard !deliveries.isEmpty else { return }
        expect(!lines[line].isConsumePaused && lines[line].exists, "the queue does not deliver", step, &violations)
        let bytes = deliveries.reduce(0) { $0 + $1.bytes }
        expect(
            UInt64(deliveries.count) <= receive.count
                && (receive.maxBytes == 0 || deliveries.count == 1 || bytes <= receive.maxBytes),
            "that is more than \(receive) asks for",
            step,
            &violations
        )
        for delivery in deliveries {
            deliver(delivery, receive, line, step, &violations)
            guard violations.isClean else { return }
        }
    }

    private mutating func deliver(
        _ delivery: Delivery,
        _ receive: Receive,
        _ line: Int,
        _ step: Step,
        _ violations: inout ViolationLog
    ) {
        func wrong(_ checker: CheckerName, _ what: String) {
            violations.report(
                checker,
                "entry \(step.outcome.index) of shard \(shard) delivers \(delivery) of \(lines[line].name), but \(what)"
            )
        }
        guard let position = index[delivery.id] else { return wrong(.queueDelivery, "nobody published it") }
        let message = messages[position]
        guard message.line == line else { return wrong(.queueDelivery, "it is in \(lines[message.line].name)") }
        switch message.place {
        case .gone(let end): return wrong(.queueDelivery, "it was \(end)")
        case .dead: return wrong(.queueDelivery, "it is dead")
        case .inFlight: return wrong(.queueLease, "it is leased until \(message.due), and it is \(step.stamp)")
        case .delayed: return wrong(.queueLease, "it is delayed until \(message.due), and it is \(step.stamp)")
        case .ready: break
        }
        guard message.expires == 0 || message.expires > step.stamp else {
            return wrong(.queueDelivery, "its lifetime ended at \(message.expires)")
        }
        let lease = receive.leaseMilliseconds > 0 ? receive.leaseMilliseconds : lines[line].settings.leaseMilliseconds
        let expected = expectedDelivery(of: message, in: lines[line], lease)
        guard delivery == expected else { return wrong(.queueDelivery, "\(expected) is right") }
        if let fault = misordered(position, line, step.stamp) { return wrong(.queueOrder, fault) }
        if message.deliveries > 0 {
            redelivered.append((message.id, message.cause))
            probes.append(.messageRedelivered)
        }
        probes.append(.messageDelivered)
        messages[position].deliveries += 1
        messages[position].place = .inFlight
        messages[position].due = step.stamp + lease
        delivered += 1
        guard receive.consumer.byteCount > 0 else { return }
        guard let consumer = consumer(receive.consumer), hasCredit(consumer) else {
            return wrong(.queueRules, "\(receive.consumer) may have no more")
        }
        messages[position].consumer = consumer
        consumers[consumer].inFlight += 1
    }

    private func expectedDelivery(of message: Message, in line: Line, _ lease: UInt64) -> Delivery {
        Delivery(
            id: message.id,
            receipt: Receipt(
                shard: ShardID(UInt16(shard)),
                lane: line.lane,
                line: line.tag,
                message: message.id,
                delivery: message.deliveries + 1
            ),
            attempt: message.failures + 1,
            key: message.content.key,
            priority: message.content.priority,
            published: message.published,
            bytes: UInt64(message.content.storedBytes),
            leaseMilliseconds: lease,
            cause: message.cause,
            deadLetter: message.letter
        )
    }

    /// Why another message of the line had to go before this one; nil when none had.
    private func misordered(_ position: Int, _ line: Int, _ stamp: UInt64) -> String? {
        let message = messages[position]
        let key = message.content.key
        for other in lines[line].live where other != position {
            let rival = messages[other]
            if key.byteCount > 0, rival.content.key == key {
                switch rival.place {
                case .inFlight: return "\(rival.id) of its key is in flight"
                case .delayed where rival.deliveries > 0: return "\(rival.id) of its key was put off and holds it"
                case .ready where rival.isInOrder && message.isInOrder && rival.id < message.id:
                    return "\(rival.id) of its key comes first"
                default: continue
                }
            }
            guard rival.place == .ready, rival.isAtHome, message.isAtHome, rival.content.key.byteCount == 0,
                rival.content.tenant == message.content.tenant, rival.expires == 0 || rival.expires > stamp
            else { continue }
            if rival.content.priority > message.content.priority { return "\(rival.id) has a higher priority" }
            if rival.content.priority == message.content.priority, rival.id < message.id {
                return "\(rival.id) is older"
            }
        }
        return nil
    }

    // MARK: Idle receives

    /// After each entry: nobody waits at a queue that could deliver.
    func checkNobodyStarves(_ step: Step, _ violations: inout ViolationLog) {
        for line in lines.indices where !lines[line].waits.isEmpty && lines[line].exists {
            expectNothing(line, step, &violations)
        }
    }

    private func expectNothing(_ line: Int, _ step: Step, _ violations: inout ViolationLog) {
        guard !lines[line].isConsumePaused, limits.deliveriesPerCommand >= 1_024 else { return }
        var inFlight = 0
        var deliverable: MessageID?
        for position in lines[line].live {
            let message = messages[position]
            if message.place == .inFlight { inFlight += 1 }
            guard message.place == .ready, message.content.key.byteCount == 0, deliverable == nil,
                message.expires == 0 || message.expires > step.stamp
            else { continue }
            deliverable = message.id
        }
        guard let deliverable, inFlight < limits.inFlightPerQueue else { return }
        violations.report(
            .queueRules,
            report("\(deliverable) of \(lines[line].name) could be delivered to a receive that got nothing", step)
        )
    }
}
