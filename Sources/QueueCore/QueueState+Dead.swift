// SPDX-License-Identifier: Apache-2.0
import Primitives

extension QueueState {
    /// A message that has just left its flight becomes a dead letter. It moves to the queue named for that if there is
    /// room, else it stays in its own in state dead, and in either case its body stays where it is.
    mutating func die(
        _ id: UInt64,
        _ cause: DeadCause,
        _ reason: String,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) {
        let record = record(id)
        let queue = Slot(record.queue)
        let extra = record.extra
        guard !queues[queue].isDoomed else { return discard(id, into: &effects) }
        let origin = queues[queue].name
        var letter = DeadLetter(
            cause: cause,
            reason: reason,
            origin: origin,
            attempts: UInt64(store.extras[extra].failures),
            died: context.stamp
        )
        if store.extras[extra].dead == noSlot {
            store.extras[extra].dead = deads.insert(DeadRecord(extra: extra, letter: letter))
        } else {
            // Died again, in a dead-letter queue: where it comes from stays known.
            letter.origin = deads[store.extras[extra].dead].letter.origin
            deads[store.extras[extra].dead].letter = letter
        }
        queues[queue].totals.deadLettered += 1
        totals.deadLettered += 1
        effects.events.append(.deadLetter(origin, MessageID(rawValue: id), cause, reason: reason))
        if let target = deadLetterQueue(of: queue, context, into: &effects), target != queue,
            move(id, to: target, context, into: &effects)
        {
            store.extras[extra].failures = 0
            enterReady(id, atFront: false)
            return
        }
        let bytes = store.bytes(record)
        queues[queue].bytes -= bytes
        let group = store.extras[extra].group
        if isBlocker(extra) {
            unblock(extra)
            offerHead(of: group)
        }
        store.table[position(id)].state = .dead
        queues[queue].depth.dead += 1
        list(store.extras[extra].dead, in: queue)
        boundDead(queue, into: &effects)
    }

    private mutating func deadLetterQueue(
        of queue: Slot,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) -> Slot? {
        let settings = queues[queue].settings
        guard settings.deadLetter.byteCount > 0, let lane = LaneMap.parse(queues[queue].name)?.lane else { return nil }
        let name = LaneMap(queue: settings.deadLetter, lanes: Int(settings.lanes)).line(Int(lane))
        // A line is made here without anybody having asked for it: what could not be declared is not made either, or no
        // snapshot of the state could be read.
        guard check(name) == nil else { return nil }
        var own = QueueSettings()
        own.lanes = settings.lanes
        return queueIndex[name] ?? makeQueue(name, own, context, into: &effects)
    }

    private mutating func boundDead(_ queue: Slot, into effects: inout QueueEffects) {
        while queues[queue].depth.dead > UInt64(limits.deadPerQueue) {
            var dead = queues[queue].firstDead
            // Ready dead letters of other queues are in the list too, and are not meant.
            while dead != noSlot, record(store.extras[deads[dead].extra].id).state != .dead { dead = deads[dead].next }
            guard dead != noSlot else { return }
            remove(store.extras[deads[dead].extra].id, into: &effects)
            queues[queue].totals.dropped += 1
            totals.dropped += 1
        }
    }

    /// Moves a message that is in no state's lists to another queue, with its key, tenant and counts. False, and
    /// nothing changed, when there is no room.
    mutating func move(
        _ id: UInt64,
        to target: Slot,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) -> Bool {
        let record = record(id)
        let source = Slot(record.queue)
        let bytes = store.bytes(record)
        let tenantName = queues[source].tenants[Int(record.tenant)].name
        guard makeRoom(target, messages: 1, bytes: bytes, into: &effects) else { return false }
        // A tenant too many shares the common turn.
        let tenant = makeTenant(tenantName, in: target) ?? 0
        let extra = record.extra
        let group = store.extras[extra].group
        let key = group == noSlot ? nil : store.groups[group].key
        leaveQueue(record)
        queues[source].bytes -= bytes
        queues[source].totals.movedOut += 1
        mark(source)
        let position = position(id)
        store.table[position].queue = UInt16(truncatingIfNeeded: target)
        store.table[position].tenant = UInt16(truncatingIfNeeded: tenant)
        queues[target].tenants[tenant].live += 1
        queues[target].bytes += bytes
        queues[target].totals.movedIn += 1
        if let key { joinGroup(extra, key, in: target) }
        let ttl = queues[target].settings.ttlMilliseconds
        store.extras[extra].expires = ttl > 0 ? context.stamp + ttl : 0
        mark(target)
        return true
    }

    mutating func leaveDead(_ id: UInt64) {
        let record = record(id)
        let queue = Slot(record.queue)
        queues[queue].depth.dead -= 1
        unlist(store.extras[record.extra].dead, in: queue)
        mark(queue)
    }

    // MARK: The list of dead letters

    mutating func list(_ dead: Slot, in queue: Slot) {
        guard !deads[dead].isListed else { return }
        let last = queues[queue].lastDead
        deads[dead].isListed = true
        deads[dead].previous = last
        deads[dead].next = noSlot
        if last == noSlot { queues[queue].firstDead = dead } else { deads[last].next = dead }
        queues[queue].lastDead = dead
        queues[queue].listed += 1
    }

    mutating func unlist(_ dead: Slot, in queue: Slot) {
        guard deads[dead].isListed else { return }
        let next = deads[dead].next
        let previous = deads[dead].previous
        if next == noSlot { queues[queue].lastDead = previous } else { deads[next].previous = previous }
        if previous == noSlot { queues[queue].firstDead = next } else { deads[previous].next = next }
        deads[dead].isListed = false
        deads[dead].next = noSlot
        deads[dead].previous = noSlot
        queues[queue].listed -= 1
    }

    // MARK: Redrive

    mutating func startRedrive(_ redrive: Redrive, _ context: QueueContext, into effects: inout QueueEffects) {
        guard let queue = queueIndex[redrive.queue] else {
            return respond(.refused(.noQueue(redrive.queue)), context, into: &effects)
        }
        guard redrive.target.byteCount == 0 || queueIndex[redrive.target] != nil else {
            return respond(.refused(.noQueue(redrive.target)), context, into: &effects)
        }
        guard queues[queue].redrive == nil else { return respond(.refused(.redriving), context, into: &effects) }
        let listed = queues[queue].listed
        queues[queue].redrive = RedriveJob(
            redrive: redrive,
            examine: listed,
            left: redrive.count == 0 ? listed : min(redrive.count, listed),
            began: context.stamp
        )
        var job = RedriveJob(redrive: redrive, examine: 0, left: 0, began: context.stamp)
        _ = stepRedrive(queue, limits.workPerCommand, &job, context, into: &effects)
        mark(queue)
        respond(.redrive(moved: job.moved, left: job.left), context, into: &effects)
    }

    mutating func cancelRedrive(_ name: Name, _ context: QueueContext, into effects: inout QueueEffects) {
        guard let queue = queueIndex[name] else {
            return respond(.refused(.noQueue(name)), context, into: &effects)
        }
        guard let job = queues[queue].redrive else {
            return respond(.redrive(moved: 0, left: 0), context, into: &effects)
        }
        queues[queue].redrive = nil
        effects.events.append(.redriveEnded(name, moved: job.moved))
        mark(queue)
        respond(.redrive(moved: job.moved, left: job.left), context, into: &effects)
    }

    /// Goes on with a redrive, looking at no more than `quota` dead letters. Returns at how many it looked.
    mutating func stepRedrive(
        _ queue: Slot,
        _ quota: Int,
        _ report: inout RedriveJob,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) -> Int {
        guard var job = queues[queue].redrive else { return 0 }
        var looked = 0
        while looked < quota, job.examine > 0, job.left > 0, job.nextDue <= context.stamp {
            let dead = queues[queue].firstDead
            guard dead != noSlot else { job.examine = 0; break }
            looked += 1
            job.examine -= 1
            if redrive(dead, of: queue, job.redrive, context, into: &effects) {
                job.left -= 1
                job.moved += 1
            } else if deads[dead].isListed {
                unlist(dead, in: queue)
                list(dead, in: queue)
            }
        }
        if job.examine == 0 { job.left = 0 }
        report = job
        queues[queue].redrive = job.left == 0 ? nil : job
        if job.left == 0 { effects.events.append(.redriveEnded(queues[queue].name, moved: job.moved)) }
        return looked
    }

    /// False, with the letter where it was, when it is not meant, its target is gone, or has no room.
    private mutating func redrive(
        _ dead: Slot,
        of queue: Slot,
        _ redrive: Redrive,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) -> Bool {
        let letter = deads[dead].letter
        let extra = deads[dead].extra
        let id = store.extras[extra].id
        guard redrive.cause == nil || redrive.cause == letter.cause else { return false }
        let name = redrive.target.byteCount == 0 ? letter.origin : redrive.target
        guard let target = queueIndex[name] else { return false }
        let wasDead = record(id).state == .dead
        // Ready in its own queue: it is where it should be.
        guard wasDead || target != queue else { return false }
        let bytes = store.bytes(record(id))
        guard makeRoom(target, messages: 1, bytes: bytes, into: &effects), deads[dead].isListed,
            deads[dead].extra == extra
        else { return false }
        leaveState(id)
        if wasDead { queues[queue].bytes += bytes }
        if target != queue {
            guard move(id, to: target, context, into: &effects) else {
                invariantFailure("room that was made for a redriven message is not there")
            }
        } else {
            let ttl = queues[queue].settings.ttlMilliseconds
            store.extras[extra].expires = ttl > 0 ? context.stamp + ttl : 0
        }
        deads.remove(store.extras[extra].dead)
        store.extras[extra].dead = noSlot
        store.extras[extra].failures = 0
        store.extras[extra].cause = .redriven
        queues[queue].totals.redriven += 1
        totals.redriven += 1
        enterReady(id, atFront: false)
        return true
    }
}

extension RedriveJob {
    /// The stamp at which the next may be moved.
    var nextDue: UInt64 {
        guard redrive.rate > 0 else { return 0 }
        let (whole, overflow) = moved.multipliedReportingOverflow(by: 1_000)
        return began + (overflow ? QueueLimits.stamp : min(whole / redrive.rate, QueueLimits.stamp))
    }
}
