// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import Replica

/// What clients of queues make of answers.
extension Simulation {
    func digest(_ answer: ClientAnswer, _ position: Int, _ errand: QueueErrand) {
        let client = operations[position].client
        switch answer {
        case .response(.queue(let answer)): digest(answer, position, errand)
        case .response(.lock), .response(.cache): break
        case .connectionLost, .response(.unavailable), .response(.busy): unanswered(answer, position, errand)
        }
        guard case .connectionLost = answer else { return }
        for consumer in agent(client).active { clients[client].agent?.consumers[consumer].mustResume = true }
    }

    private func digest(_ answer: QueueAnswer, _ position: Int, _ errand: QueueErrand) {
        let client = operations[position].client
        switch (errand, answer.response) {
        case (_, .refused(let refusal)): refused(refusal, position, errand)
        case (.publish(let line), .published(let ids)):
            checkPublished(ids, position)
            for published in ids { clients[client].agent?.remember(known: line, published.id) }
        case (.receive(let line, let consumer), .received(let deliveries)):
            checkDeliveries(deliveries, answer.contents, position)
            hold(deliveries, answer.contents, position, line, consumer)
        case (.settle, .settled(let outcomes)): settled(outcomes, position)
        case (.open(let consumer), .consumerOpened(_, let ttl)): prolong(client, consumer, ttl, position)
        case (.renew(let consumer), .renewed(let ttl)): prolong(client, consumer, ttl, position)
        case (.resume(let consumer), .consumerResumed(let outcomes, _)):
            prolong(client, consumer, agent(client).consumers[consumer].open.ttlMilliseconds, position)
            resumed(outcomes, position, consumer)
        case (.close(let consumer), .consumerClosed): endConsumer(client, consumer)
        case (.clear(let line), .messages(let views)):
            for view in views {
                probes.hit(.messageDrained)
                ask(client, line, .cancelMessage(lines.lines[line].name, view.id))
            }
        case (.other(let line), .declared): clients[client].agent?.isDeclared[line] = true
        case (.other(let line), .deleted): clients[client].agent?.isDeclared[line] = false
        default: break
        }
    }

    private func prolong(_ client: Int, _ position: Int, _ ttl: UInt64, _ operation: Int) {
        let consumer = agent(client).consumers[position]
        clients[client].agent?.consumers[position].isRenewing = false
        guard consumer.phase == .opening || consumer.phase == .live else { return }
        let until = operations[operation].sentLocal + ClientSession.safe(ttl)
        clients[client].agent?.consumers[position].phase = .live
        clients[client].agent?.consumers[position].believedUntil = max(consumer.believedUntil, until)
        clients[client].agent?.consumers[position].nextRenewal =
            clients[client].clock.local(now) + .milliseconds(ttl / 4)
    }

    // MARK: Deliveries

    private func hold(
        _ deliveries: [Delivery],
        _ contents: [StoredMessage?],
        _ position: Int,
        _ line: Int,
        _ consumer: Int?
    ) {
        let operation = operations[position]
        let client = operation.client
        var taken: [Receipt] = []
        for (delivery, content) in zip(deliveries, contents) {
            guard content != nil else { continue }
            taken.append(delivery.receipt)
            if let consumer, agent(client).consumers[consumer].phase == .ended { continue }
            clients[client].agent?.held.append(
                QueueAgent.Held(
                    line: line,
                    receipt: delivery.receipt,
                    consumer: consumer,
                    believedUntil: operation.sentLocal + ClientSession.safe(delivery.leaseMilliseconds),
                    isRelied: mayRely(client, consumer, since: operation.sentAt)
                )
            )
        }
        guard phase == .healing, !taken.isEmpty else { return }
        for _ in taken { probes.hit(.messageDrained) }
        clients[client].agent?.held.removeAll { taken.contains($0.receipt) }
        sendSettle(taken, line, .ack, client)
    }

    /// Whether nothing that the client began since then takes a delivery from its consumer.
    private func mayRely(_ client: Int, _ consumer: Int?, since sent: WorldTime) -> Bool {
        guard let consumer else { return true }
        let state = agent(client).consumers[consumer]
        return state.phase == .live && !state.isInDoubt && !state.isResuming && state.cleanSince <= sent
    }

    // MARK: Settlements

    private func settled(_ outcomes: [SettleOutcome], _ position: Int) {
        guard case .queue(.settle(let settle)) = operations[position].request else { return }
        let client = operations[position].client
        for (receipt, outcome) in zip(settle.receipts, outcomes) {
            if case .ack = settle.settlement, outcome == .done || outcome == .gone {
                checkers.queues[operations[position].shard].acknowledged(receipt.message, wasDone: outcome, at: now)
            }
            guard let place = agent(client).held.firstIndex(where: { $0.receipt == receipt }) else { continue }
            let held = agent(client).held[place]
            if case .extend(let lease) = settle.settlement, outcome == .done {
                let until = operations[position].sentLocal + ClientSession.safe(lease)
                clients[client].agent?.held[place].believedUntil = until
                clients[client].agent?.held[place].isRelied =
                    operations[position].attempt == 1
                    && mayRely(client, held.consumer, since: operations[position].sentAt)
                clients[client].agent?.held[place].isBusy = false
                continue
            }
            clients[client].agent?.held.remove(at: place)
            clients[client].agent?.remember(spent: held.line, receipt)
        }
    }

    private func resumed(_ outcomes: [SettleOutcome], _ position: Int, _ consumer: Int) {
        guard case .queue(.resumeConsumer(_, let receipts)) = operations[position].request else { return }
        let client = operations[position].client
        clients[client].agent?.consumers[consumer].isResuming = false
        clients[client].agent?.consumers[consumer].cleanSince = now
        for (receipt, outcome) in zip(receipts, outcomes) where outcome != .done {
            clients[client].agent?.held.removeAll { $0.receipt == receipt }
        }
    }

    // MARK: Refusals and silence

    private func refused(_ refusal: QueueError, _ position: Int, _ errand: QueueErrand) {
        let client = operations[position].client
        switch (errand, refusal) {
        case (_, .noConsumer), (.open, _):
            if let consumer = errand.consumer { lost(consumer, position) }
        case (.settle, _): freeHeld(position)
        case (.publish(let line), .lanes(let lanes)), (.receive(let line, _), .lanes(let lanes)),
            (.other(let line), .lanesLowered(let lanes)):
            clients[client].agent?.lanes[line] = lanes
        case (.other(let line), .exists(let settings)):
            clients[client].agent?.isDeclared[line] = true
            clients[client].agent?.lanes[line] = settings.lanes
        default: break
        }
        guard case .noQueue = refusal else { return }
        switch errand {
        case .publish(let line), .receive(let line, _), .settle(let line), .clear(let line), .other(let line):
            clients[client].agent?.isDeclared[line] = false
        case .open, .renew, .resume, .close: break
        }
    }

    /// The consumer is gone, which must not be before its client may have lost it.
    private func lost(_ position: Int, _ operation: Int) {
        let client = operations[operation].client
        let consumer = agent(client).consumers[position]
        if consumer.phase == .live {
            let local = clients[client].clock.local(now)
            violations.expect(
                local >= consumer.believedUntil,
                .queueRules,
                "client \(client) was told that \(consumer.open.id) is gone, "
                    + "\(consumer.believedUntil.since(local)) before it may be"
            )
        }
        endConsumer(client, position)
    }

    private func letGo(_ position: Int) {
        guard case .queue(.settle(let settle)) = operations[position].request else { return }
        clients[operations[position].client].agent?.held.removeAll { settle.receipts.contains($0.receipt) }
    }

    private func freeHeld(_ position: Int) {
        guard case .queue(.settle(let settle)) = operations[position].request else { return }
        let client = operations[position].client
        for place in agent(client).held.indices where settle.receipts.contains(agent(client).held[place].receipt) {
            clients[client].agent?.held[place].isBusy = false
        }
    }

    /// Nothing was done, or nobody knows: most is asked again, as a new request.
    private func unanswered(_ answer: ClientAnswer, _ position: Int, _ errand: QueueErrand) {
        let operation = operations[position]
        let client = operation.client
        switch answer {
        case .response(.busy): probes.hit(.answerBusy)
        case .response(.unavailable(.notDone, _)): probes.hit(.answerNotDone)
        default: probes.hit(.answerUnknown)
        }
        if case .response(.unavailable) = answer, random.chance(1, in: 3) { moveAway(client) }
        switch errand {
        case .renew(let consumer):
            clients[client].agent?.consumers[consumer].isRenewing = false
            clients[client].agent?.consumers[consumer].nextRenewal = clients[client].clock.local(now)
            return
        case .receive(_, let consumer):
            // Deliveries may be on their way to nobody.
            if let consumer { clients[client].agent?.consumers[consumer].mustResume = true }
            return
        case .other, .clear: return
        case .settle:
            // It may still be carried out: the client counts on nothing and lets the lease end.
            if operation.attempt > 3 { return letGo(position) }
        case .publish(let line):
            // The sequence has to be the same, or it would be another message.
            guard case .queue(.publish(let publish)) = operation.request, publish.producer != nil else { return }
            guard phase == .chaos, agent(client).isDeclared[line] else { return }
        case .resume(let consumer):
            clients[client].agent?.consumers[consumer].isResuming = false
            clients[client].agent?.consumers[consumer].mustResume = true
            clients[client].agent?.consumers[consumer].isInDoubt = true
            return forgetReliance(client, consumer)
        case .open(let consumer), .close(let consumer):
            guard agent(client).consumers[consumer].phase != .ended else { return }
        }
        probes.hit(.requestRetried)
        send(operation.request, client, shard: operation.shard, errand, attempt: operation.attempt + 1)
    }
}
