// SPDX-License-Identifier: Apache-2.0
import Primitives

// How a message passes from one state to another. `leave…` takes it out of all that its state put it in, `enter…`
// puts it into the next; between the two it is in no list.

extension QueueState {
    func position(_ id: UInt64) -> MessageTable.Position {
        guard let position = store.table.find(id) else {
            invariantFailure("message \(MessageID(rawValue: id)) is referred to and not there")
        }
        return position
    }

    func record(_ id: UInt64) -> MessageRecord { store.table[position(id)] }

    /// The extra record of a message, made when it has none.
    mutating func makeExtra(_ id: UInt64) -> Slot {
        let position = position(id)
        let record = store.table[position]
        if record.extra != noSlot { return record.extra }
        let extra = store.extras.insert(ExtraRecord(id: id, bytes: record.plainBytes))
        store.table[position].extra = extra
        return extra
    }

    // MARK: Ready

    mutating func enterReady(_ id: UInt64, atFront: Bool) {
        let position = position(id)
        store.table[position].state = .ready
        let record = store.table[position]
        let queue = Slot(record.queue)
        let bytes = store.bytes(record)
        queues[queue].depth.ready += 1
        queues[queue].readyBytes += bytes
        mark(queue)
        guard record.extra != noSlot else { return offer(record) }
        let extra = record.extra
        let expires = store.extras[extra].expires
        if expires > 0 { queues[queue].expiries.insert(extra, due: expires, order: id, &store.extras) }
        if store.extras[extra].dead != noSlot { list(store.extras[extra].dead, in: queue) }
        let group = store.extras[extra].group
        guard group != noSlot else { return offer(record) }
        linkMember(extra, bytes, group, atFront: atFront)
        if store.groups[group].blocker != noSlot {
            queues[queue].held += 1
            queues[queue].heldBytes += bytes
        } else if store.groups[group].first == extra {
            offer(record)
        }
    }

    /// `blocks`: nothing else of its key may be delivered until `unblock`.
    mutating func leaveReady(_ id: UInt64, blocks: Bool = false) {
        let position = position(id)
        let record = store.table[position]
        let queue = Slot(record.queue)
        let bytes = store.bytes(record)
        // Not ready from here on, whatever it becomes: the line asks.
        store.table[position].state = .delayed
        queues[queue].depth.ready -= 1
        queues[queue].readyBytes -= bytes
        mark(queue)
        let extra = record.extra
        guard extra != noSlot else { return withdraw(record) }
        queues[queue].expiries.remove(at: store.extras[extra].heapPlace, &store.extras)
        if store.extras[extra].dead != noSlot { unlist(store.extras[extra].dead, in: queue) }
        let group = store.extras[extra].group
        guard group != noSlot else { return withdraw(record) }
        let isBlocked = store.groups[group].blocker != noSlot
        let wasOffered = !isBlocked && store.groups[group].first == extra
        unlinkMember(extra, bytes, group)
        if isBlocked {
            queues[queue].held -= 1
            queues[queue].heldBytes -= bytes
        } else if blocks {
            store.groups[group].blocker = extra
            queues[queue].held += UInt64(store.groups[group].ready)
            queues[queue].heldBytes += store.groups[group].readyBytes
        }
        if wasOffered {
            withdraw(record)
            if !blocks { offerHead(of: group) }
        }
    }

    /// Lets the next of its key go on, if this message held it up.
    mutating func unblock(_ extra: Slot) {
        let group = extra == noSlot ? noSlot : store.extras[extra].group
        guard group != noSlot, store.groups[group].blocker == extra else { return }
        store.groups[group].blocker = noSlot
        let queue = store.groups[group].queue
        queues[queue].held -= UInt64(store.groups[group].ready)
        queues[queue].heldBytes -= store.groups[group].readyBytes
        mark(queue)
    }

    func isBlocker(_ extra: Slot) -> Bool {
        let group = store.extras[extra].group
        return group != noSlot && store.groups[group].blocker == extra
    }

    mutating func offerHead(of group: Slot) {
        guard group != noSlot, store.groups[group].blocker == noSlot else { return }
        let first = store.groups[group].first
        guard first != noSlot else { return }
        offer(record(store.extras[first].id))
    }

    private mutating func offer(_ record: MessageRecord) {
        let queue = Slot(record.queue)
        let tenant = Int(record.tenant)
        let priority = record.priority
        while queues[queue].tenants[tenant].lines.count <= priority {
            queues[queue].tenants[tenant].lines.append(IDLine())
        }
        if queues[queue].tenants[tenant].mask == 0 { queues[queue].active.append(tenant) }
        queues[queue].tenants[tenant].mask |= 1 << UInt16(priority)
        queues[queue].tenants[tenant].lines[priority].insert(record.id, store)
    }

    private mutating func withdraw(_ record: MessageRecord) {
        let line = IDLine.Key(queue: Slot(record.queue), tenant: Int(record.tenant), priority: record.priority)
        queues[line.queue].tenants[line.tenant].lines[line.priority].leave(store, line)
        guard queues[line.queue].tenants[line.tenant].lines[line.priority].live == 0 else { return }
        queues[line.queue].tenants[line.tenant].mask &= ~(1 << UInt16(line.priority))
        guard queues[line.queue].tenants[line.tenant].mask == 0 else { return }
        queues[line.queue].tenants[line.tenant].deficit = 0
        if let turn = queues[line.queue].active.firstIndex(of: line.tenant) {
            queues[line.queue].active.remove(at: turn)
        }
    }

    // MARK: In flight

    mutating func enterInFlight(_ id: UInt64, consumer: Slot, due: UInt64, _ context: QueueContext) {
        let position = position(id)
        store.table[position].state = .inFlight
        let queue = Slot(store.table[position].queue)
        let extra = store.table[position].extra
        store.extras[extra].deliveries &+= 1
        store.extras[extra].delivered = context.stamp
        store.extras[extra].due = due
        queues[queue].leases.insert(extra, due: due, order: id, &store.extras)
        queues[queue].depth.inFlight += 1
        let last = queues[queue].lastInFlight
        store.extras[extra].previousInFlight = last
        if last == noSlot { queues[queue].firstInFlight = extra } else { store.extras[last].nextInFlight = extra }
        queues[queue].lastInFlight = extra
        mark(queue)
        guard consumer != noSlot else { return }
        let tail = consumers[consumer].lastInFlight
        store.extras[extra].consumer = consumer
        store.extras[extra].previousOfConsumer = tail
        if tail == noSlot {
            consumers[consumer].firstInFlight = extra
        } else {
            store.extras[tail].nextOfConsumer = extra
        }
        consumers[consumer].lastInFlight = extra
        consumers[consumer].inFlight += 1
    }

    mutating func leaveInFlight(_ id: UInt64) {
        let record = record(id)
        let queue = Slot(record.queue)
        let extra = record.extra
        queues[queue].leases.remove(at: store.extras[extra].heapPlace, &store.extras)
        queues[queue].depth.inFlight -= 1
        let next = store.extras[extra].nextInFlight
        let previous = store.extras[extra].previousInFlight
        if next == noSlot {
            queues[queue].lastInFlight = previous
        } else {
            store.extras[next].previousInFlight = previous
        }
        if previous == noSlot {
            queues[queue].firstInFlight = next
        } else {
            store.extras[previous].nextInFlight = next
        }
        store.extras[extra].nextInFlight = noSlot
        store.extras[extra].previousInFlight = noSlot
        mark(queue)
        leaveConsumer(extra)
    }

    mutating func leaveConsumer(_ extra: Slot) {
        let consumer = store.extras[extra].consumer
        guard consumer != noSlot else { return }
        let next = store.extras[extra].nextOfConsumer
        let previous = store.extras[extra].previousOfConsumer
        if next == noSlot {
            consumers[consumer].lastInFlight = previous
        } else {
            store.extras[next].previousOfConsumer = previous
        }
        if previous == noSlot {
            consumers[consumer].firstInFlight = next
        } else {
            store.extras[previous].nextOfConsumer = next
        }
        consumers[consumer].inFlight -= 1
        store.extras[extra].consumer = noSlot
        store.extras[extra].nextOfConsumer = noSlot
        store.extras[extra].previousOfConsumer = noSlot
    }

    // MARK: Delayed and dead

    mutating func enterDelayed(_ id: UInt64, due: UInt64) {
        let position = position(id)
        store.table[position].state = .delayed
        let queue = Slot(store.table[position].queue)
        let extra = store.table[position].extra
        store.extras[extra].due = due
        let expires = store.extras[extra].expires
        let wake = expires > 0 ? min(due, expires) : due
        queues[queue].delays.insert(extra, due: wake, order: id, &store.extras)
        queues[queue].depth.delayed += 1
        mark(queue)
    }

    mutating func leaveDelayed(_ id: UInt64) {
        let record = record(id)
        let queue = Slot(record.queue)
        queues[queue].delays.remove(at: store.extras[record.extra].heapPlace, &store.extras)
        queues[queue].depth.delayed -= 1
        mark(queue)
    }

    /// Takes the message out of whatever state it is in.
    mutating func leaveState(_ id: UInt64) {
        let record = record(id)
        switch record.state {
        case .ready: leaveReady(id)
        case .inFlight: leaveInFlight(id)
        case .delayed: leaveDelayed(id)
        case .dead: leaveDead(id)
        case nil: invariantFailure("a message without a state")
        }
    }

    // MARK: End

    /// The message is no more, in whatever state it was. The caller counts why.
    mutating func remove(_ id: UInt64, into effects: inout QueueEffects) {
        let wasDead = record(id).state == .dead
        leaveState(id)
        discard(id, countsBytes: !wasDead, into: &effects)
    }

    /// The same for a message that has left its state. Dead ones are not counted in the bytes of their queue.
    mutating func discard(_ id: UInt64, countsBytes: Bool = true, into effects: inout QueueEffects) {
        let record = record(id)
        let queue = Slot(record.queue)
        if countsBytes { queues[queue].bytes -= store.bytes(record) }
        leaveQueue(record)
        if record.extra != noSlot {
            if store.extras[record.extra].dead != noSlot { deads.remove(store.extras[record.extra].dead) }
            store.extras.remove(record.extra)
        }
        store.table.remove(position(id))
        effects.deadBodies.add(MessageID(rawValue: id))
        mark(queue)
    }

    /// Ends what ties a message to its queue: its key and its tenant.
    mutating func leaveQueue(_ record: MessageRecord) {
        let queue = Slot(record.queue)
        if record.extra != noSlot, store.extras[record.extra].group != noSlot {
            let group = store.extras[record.extra].group
            if isBlocker(record.extra) {
                unblock(record.extra)
                offerHead(of: group)
            }
            store.extras[record.extra].group = noSlot
            store.groups[group].live -= 1
            if store.groups[group].live == 0 {
                groupIndex.removeValue(forKey: GroupKey(queue: queue, key: store.groups[group].key))
                store.groups.remove(group)
            }
        }
        let tenant = Int(record.tenant)
        queues[queue].tenants[tenant].live -= 1
        if tenant > 0, queues[queue].tenants[tenant].live == 0 {
            queues[queue].tenantIndex.removeValue(forKey: queues[queue].tenants[tenant].name)
            queues[queue].tenants[tenant] = TenantRecord(name: "")
        }
    }

    /// Makes the message one of its key in this queue, at no place yet.
    mutating func joinGroup(_ extra: Slot, _ key: Name, in queue: Slot) {
        let groupKey = GroupKey(queue: queue, key: key)
        let group: Slot
        if let found = groupIndex[groupKey] {
            group = found
        } else {
            group = store.groups.insert(GroupRecord(key: key, queue: queue))
            groupIndex[groupKey] = group
        }
        store.groups[group].live += 1
        store.extras[extra].group = group
    }

    /// The place of a tenant in the queue; nil when there are too many.
    mutating func makeTenant(_ name: Name, in queue: Slot) -> Int? {
        if name.byteCount == 0 { return 0 }
        if let tenant = queues[queue].tenantIndex[name] { return tenant }
        var tenant = 1
        while tenant < queues[queue].tenants.count, queues[queue].tenants[tenant].name.byteCount > 0 { tenant += 1 }
        guard tenant <= limits.tenantsPerQueue else { return nil }
        if tenant == queues[queue].tenants.count {
            queues[queue].tenants.append(TenantRecord(name: name))
        } else {
            queues[queue].tenants[tenant] = TenantRecord(name: name)
        }
        queues[queue].tenantIndex[name] = tenant
        return tenant
    }

    // MARK: A key's list

    private mutating func linkMember(_ extra: Slot, _ bytes: UInt64, _ group: Slot, atFront: Bool) {
        let first = store.groups[group].first
        let last = store.groups[group].last
        if first == noSlot {
            store.groups[group].first = extra
            store.groups[group].last = extra
        } else if atFront {
            store.extras[extra].nextInGroup = first
            store.extras[first].previousInGroup = extra
            store.groups[group].first = extra
        } else {
            store.extras[extra].previousInGroup = last
            store.extras[last].nextInGroup = extra
            store.groups[group].last = extra
        }
        store.groups[group].ready += 1
        store.groups[group].readyBytes += bytes
    }

    private mutating func unlinkMember(_ extra: Slot, _ bytes: UInt64, _ group: Slot) {
        let next = store.extras[extra].nextInGroup
        let previous = store.extras[extra].previousInGroup
        if next == noSlot {
            store.groups[group].last = previous
        } else {
            store.extras[next].previousInGroup = previous
        }
        if previous == noSlot {
            store.groups[group].first = next
        } else {
            store.extras[previous].nextInGroup = next
        }
        store.extras[extra].nextInGroup = noSlot
        store.extras[extra].previousInGroup = noSlot
        store.groups[group].ready -= 1
        store.groups[group].readyBytes -= bytes
    }

    // MARK: Bodies

    /// The ids of all messages whose bodies are still needed, in rising order from `id` on, in ranges within one entry.
    /// `body` says whether to go on.
    package func forEachLiveBody(from id: MessageID = .zero, _ body: (BodyRange) -> Bool) {
        var open: BodyRange?
        var goesOn = true
        store.table.forEach(from: id.rawValue) { record in
            #if PLANTED_BUGS
                if limits.plantedBug == .bodiesOfDelayedDropped, record.state == .delayed { return true }
            #endif
            let id = MessageID(rawValue: record.id)
            if let range = open, range.isFollowed(by: id) {
                open?.count += 1
                return true
            }
            if let range = open { goesOn = body(range) }
            open = BodyRange(first: id, count: 1)
            return goesOn
        }
        if goesOn, let open { _ = body(open) }
    }

    package func isLive(_ id: MessageID) -> Bool { store.table.find(id.rawValue) != nil }

    /// The lowest id whose body is needed: the log below its entry holds nothing live.
    package var oldestLive: MessageID? {
        var oldest: MessageID?
        store.table.forEach { record in
            oldest = MessageID(rawValue: record.id)
            return false
        }
        return oldest
    }

    /// Bytes reserved for records and lines: what a plain queued message costs. Time proportional to the chunks.
    package var indexBytes: Int { reservedBytes.all }

    /// What of them is in blocks, which may live outside the heap.
    package var indexBlockBytes: Int { reservedBytes.inBlocks }

    private var reservedBytes: (all: Int, inBlocks: Int) {
        var bytes = store.table.reservedBytes
        for queue in 0..<queues.end where queues.contains(queue) {
            for tenant in queues[queue].tenants {
                for line in tenant.lines {
                    let more = line.reservedBytes
                    bytes = (bytes.all + more.all, bytes.inBlocks + more.inBlocks)
                }
            }
        }
        return bytes
    }
}
