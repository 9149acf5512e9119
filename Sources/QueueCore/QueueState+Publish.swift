// SPDX-License-Identifier: Apache-2.0
import Primitives

extension QueueState {
    mutating func publish(_ publish: Publish, _ context: QueueContext, into effects: inout QueueEffects) {
        if let refusal = store(publish, context, into: &effects) {
            dropBodies(publish, context, into: &effects)
            respond(.refused(refusal), context, into: &effects)
        }
    }

    /// The bodies of a publish that was not stored are of no use from the start.
    func dropBodies(_ publish: Publish, _ context: QueueContext, into effects: inout QueueEffects) {
        guard !publish.messages.isEmpty else { return }
        effects.deadBodies.append(
            BodyRange(
                first: MessageID(entry: context.index, ordinal: 0),
                count: min(publish.messages.count, MessageID.perEntry)
            )
        )
    }

    func checkLanes(_ lanes: UInt64, of queue: Slot) -> QueueError? {
        let real = queues[queue].settings.lanes
        return lanes == 0 || lanes == real ? nil : .lanes(real)
    }

    /// Nil when it was answered.
    private mutating func store(
        _ publish: Publish,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) -> QueueError? {
        if publish.guardedBy?.isStale ?? false { return .fenced }
        for message in publish.messages {
            if case .at(let due) = message.schedule, due > context.stamp + QueueLimits.delayMilliseconds {
                return .invalid("a schedule is at most \(QueueLimits.delayMilliseconds) milliseconds ahead")
            }
        }
        if queueIndex[publish.queue] == nil {
            guard publish.declares else { return .noQueue(publish.queue) }
            guard makeQueue(publish.queue, QueueSettings(), context, into: &effects) != nil else {
                return .limit("queues of this shard: \(limits.queues)")
            }
        }
        guard let queue = queueIndex[publish.queue] else { return .noQueue(publish.queue) }
        if let refusal = checkLanes(publish.lanes, of: queue) { return refusal }
        if let key = publish.producer {
            switch queues[queue].producers.find(key) {
            case .known(let result):
                queues[queue].totals.duplicates += UInt64(publish.messages.count)
                totals.duplicates += UInt64(publish.messages.count)
                dropBodies(publish, context, into: &effects)
                respond(.published(result.published), context, into: &effects)
                return nil
            case .stale: return .staleSequence
            case .unknown: break
            }
        }
        if queues[queue].isPublishPaused { return .paused(.publish) }
        return admit(publish, queue, context, into: &effects)
    }

    private mutating func admit(
        _ publish: Publish,
        _ queue: Slot,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) -> QueueError? {
        let ids = identify(publish, queue, context)
        var fresh: UInt64 = 0
        var bytes: UInt64 = 0
        var remembered = 0
        for (message, published) in zip(publish.messages, ids) where !published.isDuplicate {
            fresh += 1
            bytes += UInt64(message.storedBytes)
            if message.dedup.byteCount > 0 { remembered += 1 }
        }
        guard store.table.count + Int(fresh) <= limits.messages else {
            return .limit("messages of this shard: \(limits.messages)")
        }
        if queues[queue].settings.dedupMilliseconds > 0, remembered > 0 {
            queues[queue].dedup.prune(at: context.stamp, limit: max(64, 2 * remembered))
            guard queues[queue].dedup.count + remembered <= limits.dedupPerQueue else {
                return .limit("application ids remembered by a queue: \(limits.dedupPerQueue)")
            }
        }
        if let refusal = admitNames(publish, queue, context) { return refusal }
        guard fresh == 0 || makeRoom(queue, messages: fresh, bytes: bytes, into: &effects) else {
            queues[queue].totals.rejected += fresh
            totals.rejected += fresh
            return .full(publish.queue)
        }
        for (ordinal, message) in publish.messages.enumerated() {
            if ids[ordinal].isDuplicate {
                effects.deadBodies.add(MessageID(entry: context.index, ordinal: ordinal))
            } else {
                insert(message, ids[ordinal].id, queue, context)
            }
        }
        let duplicates = UInt64(publish.messages.count) - fresh
        queues[queue].totals.duplicates += duplicates
        totals.duplicates += duplicates
        if let key = publish.producer {
            let result = ProducerTable.Result(
                sequence: key.sequence,
                first: MessageID(entry: context.index, ordinal: 0),
                count: publish.messages.count,
                ids: duplicates == 0 ? [] : ids.map(\.id)
            )
            queues[queue].producers.remember(result, of: key.producer, at: context.stamp)
        }
        mark(queue)
        respond(.published(ids), context, into: &effects)
        return nil
    }

    /// Producers and tenants are bounded too.
    private mutating func admitNames(_ publish: Publish, _ queue: Slot, _ context: QueueContext) -> QueueError? {
        var strangers: [Name] = []
        for message in publish.messages where message.tenant.byteCount > 0 {
            guard queues[queue].tenantIndex[message.tenant] == nil, !strangers.contains(message.tenant) else {
                continue
            }
            strangers.append(message.tenant)
            guard strangers.count <= limits.tenantsPerQueue else { break }
        }
        if !strangers.isEmpty {
            let known = queues[queue].tenants.dropFirst().reduce(0) { $0 + ($1.name.byteCount > 0 ? 1 : 0) }
            guard known + strangers.count <= limits.tenantsPerQueue else {
                return .limit("tenants of a queue: \(limits.tenantsPerQueue)")
            }
        }
        guard let key = publish.producer else { return nil }
        let window = queues[queue].settings.dedupMilliseconds
        let hasRoom = queues[queue].producers.makeRoom(
            for: key.producer,
            at: context.stamp,
            window: window,
            limit: limits.producersPerQueue
        )
        return hasRoom ? nil : .limit("producers remembered by a queue: \(limits.producersPerQueue)")
    }

    /// The id of each message: its own, or that of the earlier one with the same application id.
    private func identify(_ publish: Publish, _ queue: Slot, _ context: QueueContext) -> [Published] {
        let remembers = queues[queue].settings.dedupMilliseconds > 0
        var own = LookupTable<Name, MessageID>()
        var ids: [Published] = []
        ids.reserveCapacity(publish.messages.count)
        for (ordinal, message) in publish.messages.enumerated() {
            let id = MessageID(entry: context.index, ordinal: ordinal)
            guard remembers, message.dedup.byteCount > 0 else {
                ids.append(Published(id: id))
                continue
            }
            if let earlier = own[message.dedup] ?? queues[queue].dedup.find(message.dedup, at: context.stamp) {
                ids.append(Published(id: earlier, isDuplicate: true))
            } else {
                own[message.dedup] = id
                ids.append(Published(id: id))
            }
        }
        return ids
    }

    private mutating func insert(
        _ message: PublishMessage,
        _ id: MessageID,
        _ queue: Slot,
        _ context: QueueContext
    ) {
        guard let tenant = makeTenant(message.tenant, in: queue) else {
            invariantFailure("a tenant that was admitted has no place")
        }
        let bytes = UInt32(clamping: message.storedBytes)
        store.table.append(
            MessageRecord(
                id: id.rawValue,
                published: min(context.stamp, QueueLimits.stamp),
                priority: message.priority,
                bytes: bytes,
                queue: UInt16(truncatingIfNeeded: queue),
                tenant: UInt16(truncatingIfNeeded: tenant)
            )
        )
        queues[queue].tenants[tenant].live += 1
        queues[queue].bytes += UInt64(bytes)
        queues[queue].totals.published += 1
        totals.published += 1
        let settings = queues[queue].settings
        if message.dedup.byteCount > 0, settings.dedupMilliseconds > 0 {
            let expires = context.stamp + settings.dedupMilliseconds
            queues[queue].dedup.insert(.init(name: message.dedup, message: id, expires: expires))
        }
        let ttl = message.ttlMilliseconds > 0 ? message.ttlMilliseconds : settings.ttlMilliseconds
        let due: UInt64
        switch message.schedule {
        case .immediately: due = 0
        case .after(let milliseconds): due = context.stamp + UInt64(clamping: milliseconds)
        case .at(let stamp): due = stamp
        }
        if message.key.byteCount > 0 || ttl > 0 || due > context.stamp {
            let extra = makeExtra(id.rawValue)
            if ttl > 0 { store.extras[extra].expires = context.stamp + ttl }
            if message.key.byteCount > 0 { joinGroup(extra, message.key, in: queue) }
        }
        if due > context.stamp {
            enterDelayed(id.rawValue, due: due)
        } else {
            enterReady(id.rawValue, atFront: false)
        }
    }

    /// Whether so much fits, after dropping the oldest messages where the queue allows that. Drops none when it would
    /// not help.
    mutating func makeRoom(_ queue: Slot, messages: UInt64, bytes: UInt64, into effects: inout QueueEffects) -> Bool {
        if queues[queue].hasRoom(messages: messages, bytes: bytes) { return true }
        guard queues[queue].settings.overflow == .dropOldest,
            queues[queue].couldMakeRoom(messages: messages, bytes: bytes)
        else { return false }
        while !queues[queue].hasRoom(messages: messages, bytes: bytes), let id = oldestOffered(queue) {
            remove(id, into: &effects)
            queues[queue].totals.dropped += 1
            totals.dropped += 1
        }
        return true
    }

    /// The deliverable message that was published first.
    private mutating func oldestOffered(_ queue: Slot) -> UInt64? {
        var oldest: UInt64?
        for tenant in queues[queue].active {
            var mask = queues[queue].tenants[tenant].mask
            while mask != 0 {
                let priority = mask.trailingZeroBitCount
                mask &= mask - 1
                let id = firstOffered(IDLine.Key(queue: queue, tenant: tenant, priority: priority))
                oldest = min(oldest ?? id, id)
            }
        }
        return oldest
    }
}
