// SPDX-License-Identifier: Apache-2.0
import Primitives

extension QueueState {
    mutating func receive(_ receive: Receive, _ context: QueueContext, into effects: inout QueueEffects) {
        guard let queue = queueIndex[receive.queue] else {
            return respond(.refused(.noQueue(receive.queue)), context, into: &effects)
        }
        if let refusal = checkLanes(receive.lanes, of: queue) {
            return respond(.refused(refusal), context, into: &effects)
        }
        var consumer = noSlot
        if receive.consumer.byteCount > 0 {
            guard let found = consumerIndex[receive.consumer] else {
                return respond(.refused(.noConsumer(receive.consumer)), context, into: &effects)
            }
            guard hasCredit(found) else {
                return respond(.refused(.noCredit(receive.consumer)), context, into: &effects)
            }
            consumer = found
        }
        let wait = WaitRecord(
            request: context.request,
            queue: queue,
            consumer: consumer,
            count: receive.count,
            maxBytes: receive.maxBytes,
            leaseMilliseconds: receive.leaseMilliseconds,
            deadline: context.stamp + receive.waitMilliseconds,
            index: context.index.rawValue
        )
        // Whoever waits already goes first, and would have been served.
        if canServe(queue), queues[queue].firstWait == noSlot {
            let deliveries = take(wait, context, into: &effects)
            if !deliveries.isEmpty || receive.waitMilliseconds == 0 {
                return respond(.received(deliveries), context, into: &effects)
            }
        } else if receive.waitMilliseconds == 0 {
            return respond(.received([]), context, into: &effects)
        }
        guard Int(queues[queue].waits) < limits.waitersPerQueue else {
            return respond(
                .refused(.limit("waiting receives of a queue: \(limits.waitersPerQueue)")),
                context,
                into: &effects
            )
        }
        // A command without a caller could not be answered, nor found again to be cancelled.
        guard context.request != .internal, waitIndex[context.request] == nil else { return }
        beginWait(wait)
    }

    private func hasCredit(_ consumer: Slot) -> Bool {
        UInt32(clamping: consumers[consumer].inFlight) < consumers[consumer].credit
    }

    private func canServe(_ queue: Slot) -> Bool {
        !queues[queue].isConsumePaused && !queues[queue].isDoomed && !queues[queue].active.isEmpty && budget > 0
            && queues[queue].depth.inFlight < UInt64(limits.inFlightPerQueue)
    }

    /// Hands what can be delivered to the receives that wait, first come first served.
    mutating func serve(_ queue: Slot, _ context: QueueContext, into effects: inout QueueEffects) {
        while queues[queue].firstWait != noSlot, canServe(queue) {
            let slot = queues[queue].firstWait
            let wait = waits[slot]
            guard wait.consumer == noSlot || hasCredit(wait.consumer) else {
                endWait(slot, .refused(.noCredit(consumers[wait.consumer].id)), into: &effects)
                continue
            }
            let deliveries = take(wait, context, into: &effects)
            guard !deliveries.isEmpty else { return }
            endWait(slot, .received(deliveries), into: &effects)
        }
    }

    /// Delivers to a receive what there is for it.
    private mutating func take(
        _ wait: WaitRecord,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) -> [Delivery] {
        var deliveries: [Delivery] = []
        var bytes: UInt64 = 0
        let queue = wait.queue
        let lease = wait.leaseMilliseconds > 0 ? wait.leaseMilliseconds : queues[queue].settings.leaseMilliseconds
        while UInt64(deliveries.count) < wait.count, canServe(queue),
            wait.consumer == noSlot || hasCredit(wait.consumer), let id = nextOffered(queue)
        {
            budget -= 1
            let record = record(id)
            if record.extra != noSlot {
                let expires = store.extras[record.extra].expires
                if expires > 0, expires <= context.stamp {
                    expire(id, into: &effects)
                    continue
                }
            }
            let size = store.bytes(record)
            if wait.maxBytes > 0, !deliveries.isEmpty, bytes + size > wait.maxBytes { break }
            bytes += size
            chargeTenant(queue, size)
            deliveries.append(deliver(id, wait.consumer, lease, context))
        }
        return deliveries
    }

    /// The message whose turn it is: of the tenant at the front if it may take that much in this round, else of the
    /// next (deficit round robin; one quantum covers any message, so this ends).
    private mutating func nextOffered(_ queue: Slot) -> UInt64? {
        while let tenant = queues[queue].active.first {
            let id = firstOffered(queue, tenant)
            if queues[queue].active.count == 1 { return id }
            let cost = Self.cost(store.bytes(record(id)))
            if queues[queue].tenants[tenant].deficit >= cost { return id }
            queues[queue].tenants[tenant].deficit += QueueLimits.tenantQuantum
            queues[queue].active.removeFirst()
            queues[queue].active.append(tenant)
        }
        return nil
    }

    private mutating func chargeTenant(_ queue: Slot, _ bytes: UInt64) {
        guard queues[queue].active.count > 1, let tenant = queues[queue].active.first else { return }
        queues[queue].tenants[tenant].deficit -= Self.cost(bytes)
    }

    private static func cost(_ bytes: UInt64) -> Int64 {
        min(QueueLimits.tenantQuantum, QueueLimits.messageCost + Int64(clamping: bytes))
    }

    private mutating func deliver(
        _ id: UInt64,
        _ consumer: Slot,
        _ leaseMilliseconds: UInt64,
        _ context: QueueContext
    ) -> Delivery {
        let extra = makeExtra(id)
        leaveReady(id, blocks: true)
        enterInFlight(id, consumer: consumer, due: context.stamp + leaseMilliseconds, context)
        let record = record(id)
        let details = store.extras[extra]
        let queue = Slot(record.queue)
        queues[queue].totals.delivered += 1
        totals.delivered += 1
        return Delivery(
            id: MessageID(rawValue: id),
            receipt: Receipt(
                shard: shard,
                lane: queues[queue].lane,
                line: queues[queue].tag,
                message: MessageID(rawValue: id),
                delivery: details.deliveries
            ),
            attempt: UInt64(details.failures) + 1,
            key: details.group == noSlot ? "" : store.groups[details.group].key,
            priority: UInt8(truncatingIfNeeded: record.priority),
            published: record.published,
            bytes: UInt64(details.bytes),
            leaseMilliseconds: leaseMilliseconds,
            cause: details.cause,
            deadLetter: details.dead == noSlot ? nil : deads[details.dead].letter
        )
    }

    // MARK: The waiting line

    private mutating func beginWait(_ wait: WaitRecord) {
        let queue = wait.queue
        let slot = waits.insert(wait)
        waitIndex[wait.request] = slot
        waitTimers.insert(slot, due: wait.deadline, order: wait.index, &waits)
        let last = queues[queue].lastWait
        waits[slot].previous = last
        if last == noSlot { queues[queue].firstWait = slot } else { waits[last].next = slot }
        queues[queue].lastWait = slot
        queues[queue].waits += 1
        guard wait.consumer != noSlot else { return }
        let first = consumers[wait.consumer].firstWait
        waits[slot].nextOfConsumer = first
        if first != noSlot { waits[first].previousOfConsumer = slot }
        consumers[wait.consumer].firstWait = slot
        consumers[wait.consumer].waits += 1
    }

    mutating func endWait(_ slot: Slot, _ response: QueueResponse, into effects: inout QueueEffects) {
        let wait = waits[slot]
        waitTimers.remove(at: wait.heapPlace, &waits)
        waitIndex.removeValue(forKey: wait.request)
        if wait.next == noSlot {
            queues[wait.queue].lastWait = wait.previous
        } else {
            waits[wait.next].previous = wait.previous
        }
        if wait.previous == noSlot {
            queues[wait.queue].firstWait = wait.next
        } else {
            waits[wait.previous].next = wait.next
        }
        queues[wait.queue].waits -= 1
        if wait.consumer != noSlot {
            if wait.nextOfConsumer != noSlot { waits[wait.nextOfConsumer].previousOfConsumer = wait.previousOfConsumer }
            if wait.previousOfConsumer == noSlot {
                consumers[wait.consumer].firstWait = wait.nextOfConsumer
            } else {
                waits[wait.previousOfConsumer].nextOfConsumer = wait.nextOfConsumer
            }
            consumers[wait.consumer].waits -= 1
        }
        waits.remove(slot)
        mark(wait.queue)
        effects.responses.append((wait.request, response))
    }

    mutating func cancelWait(_ request: RequestID, _ context: QueueContext, into effects: inout QueueEffects) {
        let slot = waitIndex[request]
        if let slot { endWait(slot, .refused(.cancelled), into: &effects) }
        respond(.waitCancelled(found: slot != nil), context, into: &effects)
    }
}
