// SPDX-License-Identifier: Apache-2.0
import Primitives

extension QueueState {
    /// Ends the process when the state contradicts itself. Time proportional to the state: for tests and simulation,
    /// between commands.
    package func checkInvariants() {
        if let fault = inconsistency() ?? faultyIndex() { invariantFailure("queue state: \(fault)") }
    }

    /// What is wrong with the index as it lies in memory. A snapshot's is built anew, so that need not be asked.
    private func faultyIndex() -> String? {
        if let fault = store.table.fault() { return fault }
        for slot in 0..<queues.end where queues.contains(slot) {
            for (tenant, record) in queues[slot].tenants.enumerated() {
                for (priority, line) in record.lines.enumerated() {
                    let key = IDLine.Key(queue: slot, tenant: tenant, priority: priority)
                    if let fault = line.fault(store, key) { return "queue \(slot): \(fault)" }
                }
            }
        }
        return nil
    }

    /// What is wrong with the state; nil when nothing is. Safe on any content, so that snapshots are checked with it.
    package func inconsistency() -> String? {
        faultyReference() ?? faultyCounts() ?? faultyQueueLists() ?? faultyGroups() ?? faultyConsumers()
            ?? faultyHeaps() ?? faultyLines() ?? faultyTotals()
    }

    /// Every slot and id that a record names is that of a live record, or none where none is allowed. Asked first, and
    /// before a snapshot's lines and heaps are built.
    func faultyReference() -> String? {
        func orNone<Record>(_ slot: Slot, _ table: Slots<Record>) -> Bool { slot == noSlot || table.contains(slot) }
        var fault: String?
        var withExtra = 0
        store.table.forEach { record in
            let queue = Slot(record.queue)
            if !queues.contains(queue) || Int(record.tenant) >= queues[queue].tenants.count
                || record.priority >= QueueLimits.priorities
            {
                fault = "message \(record.id) refers to nothing"
            } else if record.extra != noSlot {
                withExtra += 1
                if !store.extras.contains(record.extra) || store.extras[record.extra].id != record.id {
                    fault = "message \(record.id) and its extra record disagree"
                }
            } else if record.state != .ready {
                fault = "message \(record.id) lacks its extra record"
            }
            return fault == nil
        }
        if let fault { return fault }
        guard withExtra == store.extras.count else { return "an extra record belongs to no message" }
        for slot in 0..<store.extras.end where store.extras.contains(slot) {
            let extra = store.extras[slot]
            guard orNone(extra.consumer, consumers), orNone(extra.nextOfConsumer, store.extras),
                orNone(extra.previousOfConsumer, store.extras), orNone(extra.nextInFlight, store.extras),
                orNone(extra.previousInFlight, store.extras), orNone(extra.group, store.groups),
                orNone(extra.nextInGroup, store.extras), orNone(extra.previousInGroup, store.extras),
                orNone(extra.dead, deads), extra.dead == noSlot || deads[extra.dead].extra == slot,
                let position = store.table.find(extra.id), store.table[position].extra == slot,
                extra.group == noSlot || store.groups[extra.group].queue == Slot(store.table[position].queue)
            else { return "extra record \(slot) refers to nothing" }
        }
        for slot in 0..<store.groups.end where store.groups.contains(slot) {
            let group = store.groups[slot]
            guard queues.contains(group.queue), orNone(group.first, store.extras), orNone(group.last, store.extras),
                orNone(group.blocker, store.extras), group.live > 0
            else { return "group \(slot) refers to nothing" }
        }
        for slot in 0..<deads.end where deads.contains(slot) {
            let dead = deads[slot]
            guard store.extras.contains(dead.extra), store.extras[dead.extra].dead == slot, orNone(dead.next, deads),
                orNone(dead.previous, deads)
            else { return "dead letter \(slot) refers to nothing" }
        }
        for slot in 0..<consumers.end where consumers.contains(slot) {
            let consumer = consumers[slot]
            guard orNone(consumer.firstInFlight, store.extras), orNone(consumer.lastInFlight, store.extras),
                orNone(consumer.firstWait, waits)
            else { return "consumer \(slot) refers to nothing" }
        }
        for slot in 0..<waits.end where waits.contains(slot) {
            let wait = waits[slot]
            guard queues.contains(wait.queue), orNone(wait.consumer, consumers), orNone(wait.next, waits),
                orNone(wait.previous, waits), orNone(wait.nextOfConsumer, waits),
                orNone(wait.previousOfConsumer, waits)
            else { return "wait \(slot) refers to nothing" }
        }
        for slot in 0..<queues.end where queues.contains(slot) {
            let queue = queues[slot]
            guard orNone(queue.firstInFlight, store.extras), orNone(queue.lastInFlight, store.extras),
                orNone(queue.firstDead, deads), orNone(queue.lastDead, deads), orNone(queue.firstWait, waits),
                orNone(queue.lastWait, waits), queue.active.allSatisfy({ queue.tenants.indices.contains($0) }),
                !queue.tenants.isEmpty
            else { return "queue \(slot) refers to nothing" }
        }
        return nil
    }

    /// What queues count is what is in the table.
    private func faultyCounts() -> String? {
        struct Count {
            var depth = QueueDepth()
            var bytes: UInt64 = 0
            var readyBytes: UInt64 = 0
            var held: UInt64 = 0
            var heldBytes: UInt64 = 0
            var tenants: [UInt64] = []
        }
        var counts = (0..<max(queues.end, 0)).map {
            Count(tenants: Array(repeating: 0, count: queues[$0].tenants.count))
        }
        store.table.forEach { record in
            let queue = Int(record.queue)
            let bytes = store.bytes(record)
            counts[queue].tenants[Int(record.tenant)] += 1
            if record.state != .dead { counts[queue].bytes += bytes }
            switch record.state {
            case .ready:
                counts[queue].depth.ready += 1
                counts[queue].readyBytes += bytes
                if record.extra != noSlot, store.extras[record.extra].group != noSlot,
                    store.groups[store.extras[record.extra].group].blocker != noSlot
                {
                    counts[queue].held += 1
                    counts[queue].heldBytes += bytes
                }
            case .inFlight: counts[queue].depth.inFlight += 1
            case .delayed: counts[queue].depth.delayed += 1
            case .dead: counts[queue].depth.dead += 1
            case nil: break
            }
            return true
        }
        for slot in 0..<queues.end where queues.contains(slot) {
            let queue = queues[slot]
            let count = counts[Int(slot)]
            guard queue.depth == count.depth, queue.bytes == count.bytes, queue.readyBytes == count.readyBytes,
                queue.held == count.held, queue.heldBytes == count.heldBytes
            else { return "queue \(slot) counts its messages wrongly" }
            for (tenant, live) in zip(queue.tenants, count.tenants) {
                guard tenant.live == live else { return "queue \(slot) counts a tenant's messages wrongly" }
            }
            for (place, tenant) in queue.tenants.enumerated() where place > 0 {
                guard (tenant.live > 0) == (tenant.name.byteCount > 0),
                    tenant.live == 0 || queue.tenantIndex[tenant.name] == place
                else { return "queue \(slot) keeps a tenant without messages" }
            }
        }
        return nil
    }

    private func state(of extra: Slot) -> (state: MessageState?, queue: Slot) {
        guard let position = store.table.find(store.extras[extra].id) else { return (nil, noSlot) }
        return (store.table[position].state, Slot(store.table[position].queue))
    }

    private func faultyQueueLists() -> String? {
        for slot in 0..<queues.end where queues.contains(slot) {
            let queue = queues[slot]
            var previous = noSlot
            var seen: UInt64 = 0
            var extra = queue.firstInFlight
            while extra != noSlot {
                seen += 1
                guard state(of: extra) == (.inFlight, slot), store.extras[extra].previousInFlight == previous,
                    seen <= queue.depth.inFlight
                else { return "the flight of queue \(slot) is linked wrongly" }
                previous = extra
                extra = store.extras[extra].nextInFlight
            }
            guard seen == queue.depth.inFlight, queue.lastInFlight == previous else {
                return "the flight of queue \(slot) is counted wrongly"
            }
            previous = noSlot
            seen = 0
            var deadSeen: UInt64 = 0
            var dead = queue.firstDead
            while dead != noSlot {
                seen += 1
                let (state, of) = state(of: deads[dead].extra)
                if state == .dead { deadSeen += 1 }
                guard of == slot, state == .dead || state == .ready, deads[dead].isListed,
                    deads[dead].previous == previous, seen <= queue.listed
                else { return "the dead letters of queue \(slot) are linked wrongly" }
                previous = dead
                dead = deads[dead].next
            }
            guard seen == queue.listed, deadSeen == queue.depth.dead, queue.lastDead == previous else {
                return "the dead letters of queue \(slot) are counted wrongly"
            }
            previous = noSlot
            var waiting: Int32 = 0
            var wait = queue.firstWait
            while wait != noSlot {
                waiting += 1
                guard waits[wait].queue == slot, waits[wait].previous == previous, waiting <= queue.waits else {
                    return "the waiting line of queue \(slot) is linked wrongly"
                }
                previous = wait
                wait = waits[wait].next
            }
            guard waiting == queue.waits, queue.lastWait == previous else {
                return "the waiting line of queue \(slot) is counted wrongly"
            }
        }
        return nil
    }

    private func faultyGroups() -> String? {
        var live = Array(repeating: Int32(0), count: Int(store.groups.end))
        var ready = live
        for slot in 0..<store.extras.end where store.extras.contains(slot) {
            let group = store.extras[slot].group
            guard group != noSlot else { continue }
            live[Int(group)] += 1
            if state(of: slot).state == .ready { ready[Int(group)] += 1 }
            if state(of: slot).state == .inFlight, store.groups[group].blocker != slot {
                return "two messages of group \(group) may be in flight"
            }
        }
        for slot in 0..<store.groups.end where store.groups.contains(slot) {
            let group = store.groups[slot]
            var previous = noSlot
            var seen: Int32 = 0
            var bytes: UInt64 = 0
            var extra = group.first
            while extra != noSlot {
                seen += 1
                bytes += UInt64(store.extras[extra].bytes)
                guard store.extras[extra].group == slot, state(of: extra).state == .ready,
                    store.extras[extra].previousInGroup == previous, seen <= group.ready
                else { return "group \(slot) is linked wrongly" }
                previous = extra
                extra = store.extras[extra].nextInGroup
            }
            guard group.last == previous, seen == group.ready, ready[Int(slot)] == seen, live[Int(slot)] == group.live,
                bytes == group.readyBytes
            else { return "group \(slot) is counted wrongly" }
            guard groupIndex[GroupKey(queue: group.queue, key: group.key)] == slot else {
                return "group \(slot) is not found by its key"
            }
            guard group.blocker != noSlot else { continue }
            let blocker = state(of: group.blocker).state
            guard store.extras[group.blocker].group == slot, blocker == .inFlight || blocker == .delayed else {
                return "group \(slot) is held up by nobody"
            }
        }
        return nil
    }

    private func faultyConsumers() -> String? {
        var flying = 0
        for slot in 0..<store.extras.end
        where store.extras.contains(slot) && store.extras[slot].consumer != noSlot { flying += 1 }
        var waiting = 0
        for slot in 0..<waits.end where waits.contains(slot) && waits[slot].consumer != noSlot { waiting += 1 }
        for slot in 0..<consumers.end where consumers.contains(slot) {
            let consumer = consumers[slot]
            var previous = noSlot
            var seen: Int32 = 0
            var extra = consumer.firstInFlight
            while extra != noSlot {
                seen += 1
                flying -= 1
                guard store.extras[extra].consumer == slot, state(of: extra).state == .inFlight,
                    store.extras[extra].previousOfConsumer == previous, seen <= consumer.inFlight
                else { return "the flight of consumer \(slot) is linked wrongly" }
                previous = extra
                extra = store.extras[extra].nextOfConsumer
            }
            guard seen == consumer.inFlight, consumer.lastInFlight == previous,
                UInt32(clamping: seen) <= consumer.credit
            else { return "the flight of consumer \(slot) is counted wrongly" }
            previous = noSlot
            seen = 0
            var wait = consumer.firstWait
            while wait != noSlot {
                seen += 1
                waiting -= 1
                guard waits[wait].consumer == slot, waits[wait].previousOfConsumer == previous, seen <= consumer.waits
                else { return "the waits of consumer \(slot) are linked wrongly" }
                previous = wait
                wait = waits[wait].nextOfConsumer
            }
            guard seen == consumer.waits, consumerIndex[consumer.id] == slot else {
                return "the waits of consumer \(slot) are counted wrongly"
            }
        }
        guard flying == 0, waiting == 0 else { return "a delivery or wait is in no consumer's list" }
        return nil
    }

    private func faultyHeaps() -> String? {
        func isFaulty(_ heap: DeadlineHeap, _ check: (Int, DeadlineHeap.Node) -> Bool) -> Bool {
            for (place, node) in heap.nodes.enumerated() {
                let parent = heap.nodes[max(0, place - 1) / 2]
                guard (parent.due, parent.order) <= (node.due, node.order), check(place, node) else { return true }
            }
            return false
        }
        for slot in 0..<queues.end where queues.contains(slot) {
            let queue = queues[slot]
            func isWrong(_ heap: DeadlineHeap, _ state: MessageState, _ due: (ExtraRecord) -> UInt64) -> Bool {
                isFaulty(heap) { place, node in
                    guard store.extras.contains(node.slot) else { return false }
                    let extra = store.extras[node.slot]
                    return Int(extra.heapPlace) == place && extra.id == node.order && node.due == due(extra)
                        && self.state(of: node.slot) == (state, slot)
                }
            }
            if isWrong(queue.leases, .inFlight, { $0.due })
                || isWrong(queue.delays, .delayed, { $0.expires > 0 ? min($0.due, $0.expires) : $0.due })
                || isWrong(queue.expiries, .ready, { $0.expires })
                || UInt64(queue.leases.count) != queue.depth.inFlight
                || UInt64(queue.delays.count) != queue.depth.delayed
            {
                return "a heap of queue \(slot) is wrong"
            }
            let lease = queue.leases.first.map { max($0.due, leaseFloor) }
            let pending = [lease, queue.delays.first?.due, queue.expiries.first?.due].compactMap { $0 }.min()
            if let pending, queue.heapPlace < 0 || queue.dueAt > max(pending, stamp) {
                return "queue \(slot) is not watched"
            }
            guard queue.redrive == nil || queue.heapPlace >= 0 else { return "queue \(slot) does not go on" }
        }
        if isFaulty(waitTimers, { waits.contains($1.slot) && Int(waits[$1.slot].heapPlace) == $0 })
            || waitTimers.count != waits.count
        {
            return "the heap of waits is wrong"
        }
        if isFaulty(dueQueues, { queues.contains($1.slot) && Int(queues[$1.slot].heapPlace) == $0 }) {
            return "the heap of queues is wrong"
        }
        return nil
    }

    /// Lines hold exactly what can be delivered, and the tenants that have something stand in the ring once.
    private func faultyLines() -> String? {
        var offered: [[[Int]]] = (0..<max(queues.end, 0)).map { slot in
            queues[slot].tenants.map { _ in Array(repeating: 0, count: QueueLimits.priorities) }
        }
        var withLifetime = Array(repeating: 0, count: Int(queues.end))
        var fault: String?
        store.table.forEach { record in
            if store.isOffered(record) { offered[Int(record.queue)][Int(record.tenant)][record.priority] += 1 }
            if record.state == .ready, record.extra != noSlot, store.extras[record.extra].expires > 0 {
                withLifetime[Int(record.queue)] += 1
            }
            return true
        }
        for slot in 0..<queues.end where queues.contains(slot) {
            let queue = queues[slot]
            for (tenant, record) in queue.tenants.enumerated() {
                for priority in 0..<QueueLimits.priorities {
                    let live = priority < record.lines.count ? record.lines[priority].live : 0
                    let bit = record.mask >> UInt16(priority) & 1
                    guard live == offered[Int(slot)][tenant][priority], (live > 0) == (bit == 1) else {
                        fault = "line \(priority) of queue \(slot) counts \(live)"
                        break
                    }
                }
                let turns = queue.active.reduce(0) { $0 + ($1 == tenant ? 1 : 0) }
                guard turns == (record.mask == 0 ? 0 : 1) else { return "the ring of queue \(slot) is wrong" }
            }
            guard queue.expiries.count == withLifetime[Int(slot)] else { return "a lifetime is not watched" }
        }
        return fault
    }

    /// ready + in flight + delayed + dead = confirmed - acked - expired - purged - dropped (DESIGN §6).
    private func faultyTotals() -> String? {
        var present: UInt64 = 0
        var doomed: UInt64 = 0
        var waiting: Int = 0
        var named = 0
        for slot in 0..<queues.end where queues.contains(slot) {
            let queue = queues[slot]
            waiting += Int(queue.waits)
            if queue.isDoomed {
                doomed += queue.depth.total
                guard queue.heapPlace >= 0, queue.waits == 0 else { return "queue \(slot) is not being swept" }
                continue
            }
            named += 1
            present += queue.depth.total
            guard queueIndex[queue.name] == slot, queueNames[queue.name] == slot else {
                return "queue \(slot) is not found by its name"
            }
            guard queue.depth.total == queue.totals.balance else { return "queue \(slot) does not add up" }
        }
        guard named == queueNames.count, waiting == waits.count else { return "a queue or wait is lost" }
        guard present == totals.balance else { return "the shard does not add up" }
        guard present + doomed == UInt64(store.table.count) else { return "messages are in no queue" }
        return dirty.isEmpty ? nil : "queues were left unserved"
    }
}
