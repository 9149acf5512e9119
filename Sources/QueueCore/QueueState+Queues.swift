// SPDX-License-Identifier: Apache-2.0
import Primitives

extension QueueState {
    mutating func declare(
        _ name: Name,
        _ settings: QueueSettings,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) {
        if let queue = queueIndex[name] {
            let response: QueueResponse =
                queues[queue].settings == settings
                ? .declared(created: false) : .refused(.exists(queues[queue].settings))
            return respond(response, context, into: &effects)
        }
        guard makeQueue(name, settings, context, into: &effects) != nil else {
            return respond(.refused(.limit("queues of this shard: \(limits.queues)")), context, into: &effects)
        }
        respond(.declared(created: true), context, into: &effects)
    }

    /// Nil when there are too many.
    mutating func makeQueue(
        _ name: Name,
        _ settings: QueueSettings,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) -> Slot? {
        guard queues.count < min(limits.queues, Int(UInt16.max)) else { return nil }
        let queue = queues.insert(QueueRecord(name: name, settings: settings, declared: context.index))
        queueIndex[name] = queue
        queueNames[name] = queue
        effects.events.append(.declared(name))
        return queue
    }

    mutating func update(
        _ name: Name,
        _ settings: QueueSettings,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) {
        guard let queue = queueIndex[name] else {
            return respond(.refused(.noQueue(name)), context, into: &effects)
        }
        let lanes = queues[queue].settings.lanes
        guard settings.lanes >= lanes else {
            return respond(.refused(.lanesLowered(from: lanes)), context, into: &effects)
        }
        queues[queue].settings = settings
        mark(queue)
        respond(.updated, context, into: &effects)
    }

    mutating func delete(_ name: Name, _ context: QueueContext, into effects: inout QueueEffects) {
        guard let queue = queueIndex[name] else {
            return respond(.refused(.noQueue(name)), context, into: &effects)
        }
        while queues[queue].firstWait != noSlot {
            endWait(queues[queue].firstWait, .refused(.ended), into: &effects)
        }
        queueIndex.removeValue(forKey: name)
        queueNames.removeValue(forKey: name)
        let messages = queues[queue].depth.total
        totals.purged += messages
        effects.events.append(.deleted(name, messages: messages))
        respond(.deleted(messages: messages), context, into: &effects)
        doom(queue, into: &effects)
    }

    /// The name goes to a new record with the queue's settings and counts; the old one keeps only the messages.
    mutating func purge(_ name: Name, _ context: QueueContext, into effects: inout QueueEffects) {
        guard let old = queueIndex[name] else {
            return respond(.refused(.noQueue(name)), context, into: &effects)
        }
        let messages = queues[old].depth.total
        guard messages > 0 else { return respond(.purged(messages: 0), context, into: &effects) }
        guard queues.count < Int(UInt16.max) else {
            return respond(.refused(.limit("queues that are being swept")), context, into: &effects)
        }
        var fresh = QueueRecord(name: name, settings: queues[old].settings, declared: queues[old].declared)
        fresh.totals = queues[old].totals
        fresh.totals.purged += messages
        fresh.isPublishPaused = queues[old].isPublishPaused
        fresh.isConsumePaused = queues[old].isConsumePaused
        fresh.dwell = queues[old].dwell
        swap(&fresh.dedup, &queues[old].dedup)
        swap(&fresh.producers, &queues[old].producers)
        fresh.firstWait = queues[old].firstWait
        fresh.lastWait = queues[old].lastWait
        fresh.waits = queues[old].waits
        queues[old].firstWait = noSlot
        queues[old].lastWait = noSlot
        queues[old].waits = 0
        let queue = queues.insert(fresh)
        var wait = fresh.firstWait
        while wait != noSlot {
            waits[wait].queue = queue
            wait = waits[wait].next
        }
        queueIndex[name] = queue
        queueNames[name] = queue
        totals.purged += messages
        effects.events.append(.purged(name, messages: messages))
        respond(.purged(messages: messages), context, into: &effects)
        mark(queue)
        doom(old, into: &effects)
    }

    private mutating func doom(_ queue: Slot, into effects: inout QueueEffects) {
        queues[queue].isDoomed = true
        queues[queue].redrive = nil
        queues[queue].dedup = DedupWindow()
        queues[queue].producers = ProducerTable()
        mark(queue)
        _ = sweep(queue, limits.workPerCommand, into: &effects)
    }

    /// Removes messages of a doomed queue, at most `quota`, and at last its record. Returns how many.
    mutating func sweep(_ queue: Slot, _ quota: Int, into effects: inout QueueEffects) -> Int {
        var removed = 0
        while removed < quota {
            // What holds back others of its key is in flight or delayed, so with those gone every ready message
            // stands in a line or behind one that does.
            guard let id = anyMessage(of: queue) else {
                queues.remove(queue, takingOutOf: &dueQueues)
                return removed
            }
            remove(id, into: &effects)
            removed += 1
        }
        return removed
    }

    private mutating func anyMessage(of queue: Slot) -> UInt64? {
        if let lease = queues[queue].leases.first { return store.extras[lease.slot].id }
        if let delay = queues[queue].delays.first { return store.extras[delay.slot].id }
        if let tenant = queues[queue].active.first { return firstOffered(queue, tenant) }
        let dead = queues[queue].firstDead
        return dead == noSlot ? nil : store.extras[deads[dead].extra].id
    }

    /// The first message of a tenant that has something to deliver.
    mutating func firstOffered(_ queue: Slot, _ tenant: Int) -> UInt64 {
        var priority = queues[queue].tenants[tenant].topPriority
        #if PLANTED_BUGS
            let mask = queues[queue].tenants[tenant].mask
            if limits.plantedBug == .priorityInverted, mask.nonzeroBitCount > 2 {
                priority = mask.trailingZeroBitCount
            }
        #endif
        return firstOffered(IDLine.Key(queue: queue, tenant: tenant, priority: priority))
    }

    mutating func firstOffered(_ line: IDLine.Key) -> UInt64 {
        guard let id = queues[line.queue].tenants[line.tenant].lines[line.priority].first(store, line) else {
            invariantFailure("a line counts messages that it does not have")
        }
        return id
    }

    mutating func setPaused(
        _ name: Name,
        _ side: QueueSide,
        _ isPaused: Bool,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) {
        guard let queue = queueIndex[name] else {
            return respond(.refused(.noQueue(name)), context, into: &effects)
        }
        switch side {
        case .publish: queues[queue].isPublishPaused = isPaused
        case .consume: queues[queue].isConsumePaused = isPaused
        }
        effects.events.append(isPaused ? .paused(name, side) : .resumed(name, side))
        mark(queue)
        respond(.pausedOrResumed, context, into: &effects)
    }

    mutating func cancelMessage(
        _ name: Name,
        _ id: MessageID,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) {
        guard let queue = queueIndex[name] else {
            return respond(.refused(.noQueue(name)), context, into: &effects)
        }
        guard let position = store.table.find(id.rawValue), Slot(store.table[position].queue) == queue else {
            return respond(.messageCancelled(.notFound), context, into: &effects)
        }
        guard store.table[position].state != .inFlight else {
            return respond(.messageCancelled(.inFlight), context, into: &effects)
        }
        remove(id.rawValue, into: &effects)
        queues[queue].totals.purged += 1
        totals.purged += 1
        respond(.messageCancelled(.cancelled), context, into: &effects)
    }
}

extension Slots<QueueRecord> {
    mutating func remove(_ queue: Slot, takingOutOf heap: inout DeadlineHeap) {
        heap.remove(at: self[queue].heapPlace, &self)
        remove(queue)
    }
}
