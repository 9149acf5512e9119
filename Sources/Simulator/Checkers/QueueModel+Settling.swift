// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import Replica

/// Receipts, consumers, and how messages come back or die.
extension QueueModel {
    mutating func settle(
        _ settle: Settle,
        _ step: Step,
        _ state: QueueState,
        _ violations: inout ViolationLog
    ) {
        guard case .settled(let outcomes) = step.response else {
            if case .refused(.noQueue) = step.response {
                expect(line(settle.queue) == nil, "the queue is there", step, &violations)
            }
            return
        }
        guard let line = line(settle.queue), outcomes.count == settle.receipts.count else {
            return expect(false, "there is no such queue", step, &violations)
        }
        for (receipt, outcome) in zip(settle.receipts, outcomes) {
            let expected = receipt.line == lines[line].tag ? judge(receipt, step) : .foreign
            // One that died before it in this command may have had it dropped to make room.
            let isDropped = expected == .stale && outcome == .gone && !state.isLive(receipt.message)
            violations.expect(
                outcome == expected || isDropped,
                .queueReceipts,
                report("the receipt \(receipt) of message \(receipt.message) is \(expected)", step)
            )
            guard violations.isClean else { return }
            switch outcome {
            case .gone: probes.append(.settledAgain)
            case .stale: probes.append(.receiptStale)
            case .done:
                if let position = index[receipt.message] {
                    carryOut(settle.settlement, position, step, state, &violations)
                }
            case .foreign, .forged: break
            }
        }
    }

    private func judge(_ receipt: Receipt, _ step: Step) -> SettleOutcome {
        guard Int(receipt.shard.rawValue) == shard else { return .foreign }
        guard receipt.message.entry < step.outcome.index, receipt.delivery > 0 else { return .forged }
        guard let position = index[receipt.message], messages[position].isLive else { return .gone }
        let message = messages[position]
        guard receipt.delivery <= message.deliveries else { return .forged }
        let isCurrent =
            message.place == .inFlight && receipt.delivery == message.deliveries
            && receipt.line == lines[message.line].tag
        return isCurrent ? .done : .stale
    }

    private mutating func carryOut(
        _ settlement: Settlement,
        _ position: Int,
        _ step: Step,
        _ state: QueueState,
        _ violations: inout ViolationLog
    ) {
        switch settlement {
        case .ack:
            probes.append(.messageAcked)
            leaveConsumer(position)
            end(position, .acked)
        case .nack(let delay, _):
            comeBack(position, .nacked, delay: UInt64(clamping: delay), step, state, &violations)
        case .giveBack(let delay):
            comeBack(position, .givenBack, delay: UInt64(clamping: delay), step, state, &violations)
        case .extend(let lease): messages[position].due = step.stamp + lease
        case .reject:
            leaveConsumer(position)
            messages[position].failures += 1
            die(position, .rejected, step, state, &violations)
        }
    }

    // MARK: Coming back

    mutating func comeBack(
        _ position: Int,
        _ cause: ReturnCause,
        delay: UInt64 = 0,
        _ step: Step,
        _ state: QueueState,
        _ violations: inout ViolationLog
    ) {
        leaveConsumer(position)
        messages[position].cause = cause
        let settings = lines[messages[position].line].settings
        switch cause {
        case .nacked, .leaseExpired, .consumerExpired:
            messages[position].failures += 1
            if settings.maxAttempts > 0, messages[position].failures >= settings.maxAttempts {
                return die(position, .attempts, step, state, &violations)
            }
        case .none, .givenBack, .consumerClosed, .notResumed, .redriven: break
        }
        let expires = messages[position].expires
        if expires > 0, expires <= step.stamp {
            probes.append(.messageExpired)
            return end(position, .lost)
        }
        messages[position].place = delay > 0 ? .delayed : .ready
        messages[position].due = step.stamp + delay
        if delay > 0, messages[position].content.key.byteCount > 0 { probes.append(.keyHeld) }
    }

    /// Its event has to tell of it, and the state where it went.
    private mutating func die(
        _ position: Int,
        _ cause: DeadCause,
        _ step: Step,
        _ state: QueueState,
        _ violations: inout ViolationLog
    ) {
        let message = messages[position]
        let line = message.line
        probes.append(.messageDied)
        guard let event = step.died(lines[line].name, message.id), event.cause == cause else {
            return expect(false, "message \(message.id) has to die of \(cause)", step, &violations)
        }
        messages[position].letter = DeadLetter(
            cause: cause,
            reason: event.reason,
            origin: message.letter?.origin ?? lines[line].name,
            attempts: message.failures,
            died: step.stamp
        )
        messages[position].place = .dead
        guard let target = Self.deadLetterLine(of: lines[line]).flatMap({ self.line($0) }), target != line else {
            return
        }
        let isHere = Self.view(of: message.id, in: lines[line].name, state)?.deadLetter != nil
        let isThere = Self.view(of: message.id, in: lines[target].name, state) != nil
        // In neither: the same entry has dropped it again, or redriven it.
        let mayGoOn = lines[target].settings.overflow == .dropOldest || lines[target].redrive != nil
        guard isThere || (!isHere && mayGoOn) else { return }
        probes.append(.deadLetterMoved)
        messages[position].failures = 0
        move(position, to: target, step)
    }

    /// To the end of another line, or of its own.
    mutating func move(_ position: Int, to target: Int, _ step: Step) {
        let line = messages[position].line
        if let place = lines[line].live.firstIndex(of: position) { lines[line].live.remove(at: place) }
        lines[target].live.append(position)
        let ttl = lines[target].settings.ttlMilliseconds
        messages[position].line = target
        messages[position].place = .ready
        messages[position].expires = ttl > 0 ? step.stamp + ttl : 0
        messages[position].isInOrder = false
        messages[position].isAtHome = messages[position].isAtHome && target == line
    }

    static func view(of id: MessageID, in line: Name, _ state: QueueState) -> MessageView? {
        if case .message(let view) = state.query(.message(line, id), stamp: 0) { view } else { nil }
    }

    // MARK: Consumers

    mutating func changeConsumer(_ step: Step, _ state: QueueState, _ violations: inout ViolationLog) {
        if case .openConsumer(let open) = step.command { opened(open, step, &violations) }
        if case .resumeConsumer(let id, let receipts) = step.command {
            resumed(id, receipts, step, state, &violations)
        }
        for case .consumerEnded(let id, let why, let returned) in step.outcome.queueEffects.events {
            guard let consumer = consumer(id) else {
                return expect(false, "\(id) was not open", step, &violations)
            }
            switch (why, step.command) {
            case (.closed, .closeConsumer(id)): break
            case (.expired, .expireConsumer(id, _, let term)):
                probes.append(.consumerExpired)
                expect(term == step.outcome.term, "the leader of term \(term) is deposed", step, &violations)
            default: expect(false, "nobody ended \(id)", step, &violations)
            }
            expect(
                Int(returned) == consumers[consumer].inFlight,
                "\(consumers[consumer].inFlight) deliveries of \(id) have to return",
                step,
                &violations
            )
            let cause: ReturnCause = why == .closed ? .consumerClosed : .consumerExpired
            for position in flight(of: consumer) {
                if messages[position].isLive {
                    comeBack(position, cause, step, state, &violations)
                } else {
                    leaveConsumer(position)
                }
            }
            consumers[consumer].isOpen = false
        }
        if case .closeConsumer(let id) = step.command {
            expect(consumer(id) == nil, "\(id) is still open", step, &violations)
        }
    }

    /// Those of purged queues included, until they are swept.
    private func flight(of consumer: Int) -> [Int] {
        guard consumers[consumer].inFlight > 0 else { return [] }
        return messages.indices.filter { messages[$0].consumer == consumer }
    }

    private mutating func opened(_ open: OpenConsumer, _ step: Step, _ violations: inout ViolationLog) {
        switch step.response {
        case .consumerOpened:
            probes.append(.consumerOpened)
            if let known = consumer(open.id) {
                expect(consumers[known].open == open, "it is open with other settings", step, &violations)
            } else {
                consumerIndex[open.id] = consumers.count
                consumers.append(Consumer(open: open))
            }
        case .refused(.consumerExists):
            let isOther = consumer(open.id).map { consumers[$0].open != open } ?? false
            expect(isOther, "no other consumer has this name", step, &violations)
        default: break
        }
    }

    private mutating func resumed(
        _ id: Name,
        _ receipts: [Receipt],
        _ step: Step,
        _ state: QueueState,
        _ violations: inout ViolationLog
    ) {
        guard case .consumerResumed(let outcomes, let returned) = step.response else {
            if case .refused(.noConsumer) = step.response {
                expect(consumer(id) == nil, "\(id) is open", step, &violations)
            }
            return
        }
        guard let consumer = consumer(id) else { return expect(false, "\(id) is not open", step, &violations) }
        probes.append(.consumerResumed)
        var kept: [MessageID] = []
        let expected = receipts.map { receipt in
            var outcome = judge(receipt, step)
            if outcome == .done {
                if message(receipt.message)?.consumer == consumer {
                    kept.append(receipt.message)
                } else {
                    outcome = .stale
                }
            }
            return outcome
        }
        violations.expect(outcomes == expected, .queueReceipts, report("it should be \(expected)", step))
        var count: UInt64 = 0
        for position in flight(of: consumer) {
            if kept.contains(messages[position].id) {
                let lease = lines[messages[position].line].settings.leaseMilliseconds
                messages[position].due = max(messages[position].due, step.stamp + lease)
                continue
            }
            count += 1
            probes.append(.notResumed)
            if messages[position].isLive {
                comeBack(position, .notResumed, step, state, &violations)
            } else {
                leaveConsumer(position)
            }
        }
        expect(returned == count, "\(count) deliveries have to return", step, &violations)
    }
}
