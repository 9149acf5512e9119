// SPDX-License-Identifier: Apache-2.0
import Primitives

extension QueueState {
    /// Carries out what the stamp has made due, a bounded share of each queue in turn. What is left stays due, so the
    /// leader proposes another tick; commands of other queues come in between.
    mutating func tick(_ term: Term, _ context: QueueContext, into effects: inout QueueEffects) {
        defer {
            effects.timers.append(.ticked)
            respond(.noted, context, into: &effects)
        }
        guard term == context.term else { return }
        var left = limits.workPerCommand
        while left > 0, let node = dueQueues.first, node.due <= context.stamp {
            let used = work(node.slot, min(left, limits.workPerQueue), context, into: &effects)
            left -= max(used, 1)
            if queues[node.slot].declared != .zero { updateDue(node.slot, context, takesTurn: true) }
        }
        var waiting = limits.workPerCommand
        while waiting > 0, let node = waitTimers.first, node.due <= context.stamp {
            endWait(node.slot, .received([]), into: &effects)
            waiting -= 1
        }
    }

    /// Does what is due in one queue, at most `quota` messages; returns how many.
    private mutating func work(
        _ queue: Slot,
        _ quota: Int,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) -> Int {
        mark(queue)
        if queues[queue].isDoomed { return sweep(queue, quota, into: &effects) }
        var used = 0
        while used < quota, context.stamp >= leaseFloor, let node = queues[queue].leases.first,
            node.due <= context.stamp
        {
            comeBack(node.order, .leaseExpired, context, into: &effects)
            used += 1
        }
        while used < quota, let node = queues[queue].delays.first, node.due <= context.stamp {
            wake(node, context, into: &effects)
            used += 1
        }
        while used < quota, let node = queues[queue].expiries.first, node.due <= context.stamp {
            expire(node.order, into: &effects)
            used += 1
        }
        var report = RedriveJob(redrive: Redrive(queue: ""), examine: 0, left: 0, began: 0)
        used += stepRedrive(queue, quota - used, &report, context, into: &effects)
        return used
    }

    /// A delayed message is due, or its lifetime ran out first.
    private mutating func wake(_ node: DeadlineHeap.Node, _ context: QueueContext, into effects: inout QueueEffects) {
        let expires = store.extras[node.slot].expires
        if expires > 0, expires <= context.stamp { return expire(node.order, into: &effects) }
        leaveDelayed(node.order)
        // What was held back goes on where it was; what was published with a delay joins its key's end.
        let wasHeld = isBlocker(node.slot)
        if wasHeld { unblock(node.slot) }
        enterReady(node.order, atFront: wasHeld)
    }

    /// When a tick has something to do in the queue; nil when it has not.
    private func due(of queue: Slot, _ context: QueueContext) -> UInt64? {
        if queues[queue].isDoomed { return context.stamp }
        var due = UInt64.max
        if let lease = queues[queue].leases.first { due = min(due, max(lease.due, leaseFloor)) }
        if let delay = queues[queue].delays.first { due = min(due, delay.due) }
        if let expiry = queues[queue].expiries.first { due = min(due, expiry.due) }
        if let job = queues[queue].redrive { due = min(due, job.nextDue) }
        // Deliveries that were too many for one command go on in a tick.
        if budget <= 0, queues[queue].firstWait != noSlot, !queues[queue].active.isEmpty,
            !queues[queue].isConsumePaused
        {
            due = 0
        }
        return due == .max ? nil : max(due, context.stamp)
    }

    /// Puts the queue's place among those that are due right. A queue that is due already keeps its place, so that a
    /// busy one does not put itself off; one that has had its turn goes behind the others.
    mutating func updateDue(_ queue: Slot, _ context: QueueContext, takesTurn: Bool) {
        let stands = queues[queue].heapPlace >= 0
        guard let due = due(of: queue, context) else {
            if stands { dueQueues.remove(at: queues[queue].heapPlace, &queues) }
            return
        }
        if stands, !takesTurn {
            if queues[queue].dueAt == due { return }
            if queues[queue].dueAt <= context.stamp, due <= context.stamp { return }
        }
        if stands { dueQueues.remove(at: queues[queue].heapPlace, &queues) }
        turn += 1
        queues[queue].dueAt = due
        queues[queue].dueTurn = turn
        dueQueues.insert(queue, due: due, order: turn, &queues)
    }
}
