// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import Replica

extension QueueModel {
    /// A client knows from now on that the message is done.
    mutating func acknowledged(_ id: MessageID, wasDone outcome: SettleOutcome, at time: WorldTime) {
        guard let position = index[id], outcome == .done, messages[position].ackKnown == nil else { return }
        messages[position].ackKnown = time
    }
}

/// What clients of queues rely on: the messages they were given, their leases and their consumers.
extension Simulation {
    func checkQueueClients(_ outcome: Witness.Outcome, _ shard: Int) {
        for probe in checkers.queues[shard].probes { probes.hit(probe) }
        for (id, cause) in checkers.queues[shard].redelivered { checkLease(of: id, cause, outcome, shard) }
        for case .consumerEnded(let id, .expired, _) in outcome.queueEffects.events {
            guard let owner = consumerOwners[id] else { continue }
            let consumer = agent(owner.client).consumers[owner.consumer]
            guard consumer.phase == .live || consumer.phase == .closing else { continue }
            let local = clients[owner.client].clock.local(now)
            violations.expect(
                local >= consumer.believedUntil,
                .queueRules,
                "\(id) expired at entry \(outcome.index), \(consumer.believedUntil.since(local)) before its client "
                    + "may lose it"
            )
        }
    }

    /// A message is delivered again. Whoever has it may not count on it any more.
    private func checkLease(of id: MessageID, _ cause: ReturnCause, _ outcome: Witness.Outcome, _ shard: Int) {
        for client in swarm.clients..<clients.count {
            let local = clients[client].clock.local(now)
            for held in agent(client).held
            where held.isRelied && held.receipt.message == id && Int(held.receipt.shard.rawValue) == shard {
                let isSession = held.consumer.map { agent(client).consumers[$0].believedUntil > local } ?? true
                violations.expect(
                    !isSession || local >= held.believedUntil,
                    .queueLease,
                    "entry \(outcome.index) of shard \(shard) delivers message \(id) again (\(cause)) while client "
                        + "\(client) holds it for \(held.believedUntil.since(local)) more"
                )
            }
        }
    }

    // MARK: Answers

    /// A confirmed publish is what the client meant.
    func checkPublished(_ ids: [Published], _ position: Int) {
        guard case .queue(.publish(let publish)) = operations[position].request else { return }
        for (published, message) in zip(ids, publish.messages) {
            guard let known = checkers.queues[operations[position].shard].message(published.id) else {
                violations.report(.queueDelivery, "message \(published.id) was confirmed and is nowhere")
                return
            }
            violations.expect(
                published.isDuplicate ? isSame(known.content, message, publish) : known.content == message,
                .queueDedup,
                "message \(published.id) was confirmed for \(message), but is \(known.content)"
            )
        }
    }

    private func isSame(_ known: PublishMessage, _ message: PublishMessage, _ publish: Publish) -> Bool {
        known == message || (message.dedup.byteCount > 0 && known.dedup == message.dedup)
    }

    /// Exactly the bytes that were published, and nothing whose end had been confirmed before it was asked for.
    func checkDeliveries(_ deliveries: [Delivery], _ contents: [StoredMessage?], _ position: Int) {
        let operation = operations[position]
        for (delivery, content) in zip(deliveries, contents) {
            guard content != nil, let known = checkers.queues[operation.shard].message(delivery.id),
                let acked = known.ackKnown
            else { continue }
            violations.expect(
                acked >= operation.sentAt,
                .queueDelivery,
                "client \(operation.client) was given message \(delivery.id) of shard \(operation.shard), whose ack "
                    + "was confirmed at \(acked), before it asked"
            )
        }
    }

    /// An answer leaves for its client with the bodies of its messages.
    func checkBodies(_ answer: QueueAnswer, _ operation: Operation) {
        let ids: [MessageID]
        var numbers: [UInt32] = []
        switch answer.response {
        case .received(let deliveries):
            ids = deliveries.map(\.id)
            numbers = deliveries.map(\.receipt.delivery)
        case .messages(let views): ids = views.map(\.id)
        case .message(.some(let view)): ids = [view.id]
        default: ids = []
        }
        violations.expect(
            ids.count == answer.contents.count,
            .queueBodies,
            "an answer about \(ids.count) messages has \(answer.contents.count) bodies"
        )
        for (place, (id, content)) in zip(ids, answer.contents).enumerated() {
            guard let known = checkers.queues[operation.shard].message(id) else {
                violations.report(.queueDelivery, "nobody published message \(id) of shard \(operation.shard)")
                return
            }
            guard let content else {
                // A delivery that has ended since is not handed out; once ended it stays so.
                let hasEnded =
                    place < numbers.count && (known.place != .inFlight || known.deliveries != numbers[place])
                violations.expect(
                    !known.isLive || hasEnded,
                    .queueBodies,
                    "message \(id) of shard \(operation.shard) came without its body, and it is \(known.place)"
                )
                continue
            }
            do throws(DecodingError) {
                violations.expect(
                    try content.unpacked() == known.content,
                    .queueBodies,
                    "message \(id) of shard \(operation.shard) came with the body of another"
                )
            } catch {
                violations.report(.queueBodies, "message \(id) of shard \(operation.shard) came damaged: \(error)")
            }
        }
    }
}
