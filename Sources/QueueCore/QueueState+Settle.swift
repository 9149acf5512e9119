// SPDX-License-Identifier: Apache-2.0
import Primitives

extension QueueState {
    mutating func settle(_ settle: Settle, _ context: QueueContext, into effects: inout QueueEffects) {
        guard let queue = queueIndex[settle.queue] else {
            return respond(.refused(.noQueue(settle.queue)), context, into: &effects)
        }
        var outcomes: [SettleOutcome] = []
        outcomes.reserveCapacity(settle.receipts.count)
        for receipt in settle.receipts {
            let outcome =
                receipt.line == queues[queue].tag ? judge(receipt, context) : SettleOutcome.foreign
            if outcome == .done { carryOut(settle.settlement, receipt.message.rawValue, context, into: &effects) }
            outcomes.append(outcome)
        }
        respond(.settled(outcomes), context, into: &effects)
    }

    /// Whether this delivery is under way: its message is in flight by it, and by no later one.
    package func isOutstanding(_ receipt: Receipt) -> Bool {
        guard let position = store.table.find(receipt.message.rawValue) else { return false }
        let record = store.table[position]
        return record.state == .inFlight && record.extra != noSlot
            && store.extras[record.extra].deliveries == receipt.delivery
    }

    /// Whether the delivery that this receipt was given for is under way.
    func judge(_ receipt: Receipt, _ context: QueueContext) -> SettleOutcome {
        guard receipt.shard == shard else { return .foreign }
        guard receipt.message.entry < context.index, receipt.delivery > 0 else { return .forged }
        guard let position = store.table.find(receipt.message.rawValue) else { return .gone }
        let record = store.table[position]
        let queue = Slot(record.queue)
        if queues[queue].isDoomed { return .gone }
        let delivered = record.extra == noSlot ? 0 : store.extras[record.extra].deliveries
        guard receipt.delivery <= delivered else { return .forged }
        #if PLANTED_BUGS
            if limits.plantedBug == .staleReceiptAccepted, receipt.line == queues[queue].tag,
                record.state == .inFlight
            {
                return .done
            }
        #endif
        guard receipt.line == queues[queue].tag, record.state == .inFlight, receipt.delivery == delivered else {
            return .stale
        }
        return .done
    }

    private mutating func carryOut(
        _ settlement: Settlement,
        _ id: UInt64,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) {
        let record = record(id)
        let queue = Slot(record.queue)
        switch settlement {
        case .ack:
            count(dwell: context.stamp - min(context.stamp, record.published), queue)
            leaveInFlight(id)
            discard(id, into: &effects)
            queues[queue].totals.acked += 1
            totals.acked += 1
        case .nack(let delay, let reason):
            queues[queue].totals.nacked += 1
            totals.nacked += 1
            comeBack(id, .nacked, delay: UInt64(clamping: delay), reason: reason, context, into: &effects)
        case .giveBack(let delay):
            comeBack(id, .givenBack, delay: UInt64(clamping: delay), context, into: &effects)
        case .extend(let milliseconds):
            extendLease(record.extra, queue, to: context.stamp + milliseconds)
        case .reject(let reason):
            store.extras[record.extra].countFailure()
            leaveInFlight(id)
            die(id, .rejected, reason, context, into: &effects)
        }
    }

    mutating func extendLease(_ extra: Slot, _ queue: Slot, to due: UInt64) {
        #if PLANTED_BUGS
            if limits.plantedBug == .extendIgnored { return }
        #endif
        queues[queue].leases.remove(at: store.extras[extra].heapPlace, &store.extras)
        store.extras[extra].due = due
        queues[queue].leases.insert(extra, due: due, order: store.extras[extra].id, &store.extras)
        mark(queue)
    }

    /// A message in flight comes back: to its old place, after a delay, as a dead letter, or not at all when its
    /// lifetime has run out.
    mutating func comeBack(
        _ id: UInt64,
        _ cause: ReturnCause,
        delay: UInt64 = 0,
        reason: String = "",
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) {
        let record = record(id)
        let queue = Slot(record.queue)
        let extra = record.extra
        leaveInFlight(id)
        guard !queues[queue].isDoomed else { return discard(id, into: &effects) }
        store.extras[extra].cause = cause
        if cause.isFailure {
            store.extras[extra].countFailure()
        } else {
            store.extras[extra].returns &+= 1
            queues[queue].totals.returned += 1
            totals.returned += 1
        }
        if cause == .leaseExpired {
            queues[queue].totals.leasesExpired += 1
            totals.leasesExpired += 1
        }
        let maxAttempts = queues[queue].settings.maxAttempts
        if cause.isFailure, maxAttempts > 0, UInt64(store.extras[extra].failures) >= maxAttempts {
            return die(id, .attempts, reason.isEmpty ? cause.text : reason, context, into: &effects)
        }
        let expires = store.extras[extra].expires
        if expires > 0, expires <= context.stamp {
            queues[queue].totals.expired += 1
            totals.expired += 1
            return discard(id, into: &effects)
        }
        if delay > 0 {
            #if PLANTED_BUGS
                if limits.plantedBug == .nackFreesKey {
                    let group = store.extras[extra].group
                    unblock(extra)
                    offerHead(of: group)
                }
            #endif
            enterDelayed(id, due: context.stamp + delay)
        } else {
            unblock(extra)
            enterReady(id, atFront: true)
        }
    }

    private mutating func count(dwell milliseconds: UInt64, _ queue: Slot) {
        let bucket = min(UInt64.bitWidth - milliseconds.leadingZeroBitCount, QueueLimits.dwellBuckets - 1)
        while queues[queue].dwell.count <= bucket { queues[queue].dwell.append(0) }
        queues[queue].dwell[bucket] += 1
    }

    /// Its lifetime has run out while it was ready or delayed.
    mutating func expire(_ id: UInt64, into effects: inout QueueEffects) {
        let queue = Slot(record(id).queue)
        remove(id, into: &effects)
        guard !queues[queue].isDoomed else { return }
        queues[queue].totals.expired += 1
        totals.expired += 1
    }
}

extension ReturnCause {
    /// Counts as an attempt. A lost consumer or lease may be the message's doing, so those count.
    var isFailure: Bool {
        switch self {
        case .nacked, .leaseExpired, .consumerExpired: true
        case .none, .givenBack, .consumerClosed, .notResumed, .redriven: false
        }
    }

    var text: String {
        switch self {
        case .nacked: "negatively acknowledged"
        case .leaseExpired: "the lease ran out"
        case .consumerExpired: "the consumer was lost"
        case .none, .givenBack, .consumerClosed, .notResumed, .redriven: ""
        }
    }
}
