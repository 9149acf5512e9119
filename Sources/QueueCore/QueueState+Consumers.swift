// SPDX-License-Identifier: Apache-2.0
import Primitives

extension QueueState {
    mutating func openConsumer(_ open: OpenConsumer, _ context: QueueContext, into effects: inout QueueEffects) {
        if let consumer = consumerIndex[open.id] {
            guard settings(of: consumer) == open else {
                return respond(.refused(.consumerExists(open.id)), context, into: &effects)
            }
            renew(consumer, context, into: &effects)
            return respond(.consumerOpened(open.id, ttlMilliseconds: open.ttlMilliseconds), context, into: &effects)
        }
        guard consumers.count < limits.consumers else {
            return respond(.refused(.limit("consumers of this shard: \(limits.consumers)")), context, into: &effects)
        }
        let consumer = consumers.insert(
            ConsumerRecord(
                id: open.id,
                label: open.label,
                ttlMilliseconds: UInt32(clamping: open.ttlMilliseconds),
                credit: UInt32(clamping: open.credit),
                opened: context.index,
                since: context.stamp
            )
        )
        consumerIndex[open.id] = consumer
        effects.events.append(.consumerOpened(open.id))
        renew(consumer, context, into: &effects)
        respond(.consumerOpened(open.id, ttlMilliseconds: open.ttlMilliseconds), context, into: &effects)
    }

    /// The new position makes an expiry that was proposed before miss its consumer.
    private mutating func renew(_ consumer: Slot, _ context: QueueContext, into effects: inout QueueEffects) {
        consumers[consumer].opened = context.index
        effects.timers.append(
            .consumerOpened(
                consumers[consumer].id,
                opened: context.index,
                ttlMilliseconds: UInt64(consumers[consumer].ttlMilliseconds)
            )
        )
    }

    private func settings(of consumer: Slot) -> OpenConsumer {
        OpenConsumer(
            id: consumers[consumer].id,
            ttlMilliseconds: UInt64(consumers[consumer].ttlMilliseconds),
            credit: UInt64(consumers[consumer].credit),
            label: consumers[consumer].label
        )
    }

    mutating func closeConsumer(_ id: Name, _ context: QueueContext, into effects: inout QueueEffects) {
        guard let consumer = consumerIndex[id] else {
            return respond(.refused(.noConsumer(id)), context, into: &effects)
        }
        let returned = end(consumer, .closed, context, into: &effects)
        respond(.consumerClosed(returned: returned), context, into: &effects)
    }

    /// Does nothing when proposed by the leader of another term, whose renewals this one knows nothing of, or when the
    /// consumer it saw has come back since.
    mutating func expireConsumer(
        _ id: Name,
        opened: LogIndex,
        term: Term,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) {
        defer { respond(.noted, context, into: &effects) }
        guard term == context.term, let consumer = consumerIndex[id] else { return }
        guard opened == .zero || consumers[consumer].opened == opened else { return }
        _ = end(consumer, .expired, context, into: &effects)
    }

    /// Ends the waits first, so that nothing it gives back can be delivered to it. Returns how many deliveries it had.
    private mutating func end(
        _ consumer: Slot,
        _ end: ConsumerEnd,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) -> UInt64 {
        while consumers[consumer].firstWait != noSlot {
            endWait(consumers[consumer].firstWait, .refused(.ended), into: &effects)
        }
        var returned: UInt64 = 0
        let cause: ReturnCause = end == .closed ? .consumerClosed : .consumerExpired
        while consumers[consumer].firstInFlight != noSlot {
            let extra = consumers[consumer].firstInFlight
            #if PLANTED_BUGS
                if limits.plantedBug == .consumerEndForgetsDeliveries {
                    leaveConsumer(extra)
                    continue
                }
            #endif
            comeBack(store.extras[extra].id, cause, context, into: &effects)
            returned += 1
        }
        let id = consumers[consumer].id
        consumerIndex.removeValue(forKey: id)
        consumers.remove(consumer)
        effects.timers.append(.consumerEnded(id))
        effects.events.append(.consumerEnded(id, end, returned: returned))
        return returned
    }

    /// What the consumer still holds is leased anew. The rest never reached it, or is lost to it: it returns at once
    /// and does not count as an attempt.
    mutating func resumeConsumer(
        _ id: Name,
        _ receipts: [Receipt],
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) {
        guard let consumer = consumerIndex[id] else {
            return respond(.refused(.noConsumer(id)), context, into: &effects)
        }
        var kept: [UInt64] = []
        var outcomes: [SettleOutcome] = []
        for receipt in receipts {
            var outcome = judge(receipt, context)
            if outcome == .done {
                let record = record(receipt.message.rawValue)
                if store.extras[record.extra].consumer == consumer { kept.append(record.id) } else { outcome = .stale }
            }
            outcomes.append(outcome)
        }
        kept.sort()
        var returned: UInt64 = 0
        var extra = consumers[consumer].firstInFlight
        while extra != noSlot {
            let next = store.extras[extra].nextOfConsumer
            let message = store.extras[extra].id
            if Self.contains(kept, message) {
                let queue = Slot(record(message).queue)
                let lease = context.stamp + queues[queue].settings.leaseMilliseconds
                extendLease(extra, queue, to: max(store.extras[extra].due, lease))
            } else {
                comeBack(message, .notResumed, context, into: &effects)
                returned += 1
            }
            extra = next
        }
        renew(consumer, context, into: &effects)
        respond(.consumerResumed(outcomes, returned: returned), context, into: &effects)
    }

    private static func contains(_ sorted: [UInt64], _ id: UInt64) -> Bool {
        var low = 0
        var high = sorted.count
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < id { low = middle + 1 } else { high = middle }
        }
        return low < sorted.count && sorted[low] == id
    }
}
