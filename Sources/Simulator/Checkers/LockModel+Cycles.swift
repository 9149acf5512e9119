// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import Replica

/// Every deadlock that is reported has to be one: each session of the cycle waits for the next.
extension LockModel {
    /// A victim was chosen among waiting requests, or the request of this entry itself.
    func checkCycle(
        _ namespace: Name,
        _ cycle: [CycleEdge],
        _ victim: RequestID,
        _ outcome: Witness.Outcome,
        _ violations: inout ViolationLog
    ) {
        // A cycle through several shards is judged with the others' accounts (`DeadlockCheck`).
        if case .lock(.abortWait) = outcome.envelope.command { return }
        violations.expect(
            cycle.contains { $0.request == victim },
            .deadlock,
            "entry \(outcome.index): the victim \(victim) has no part in the reported cycle"
        )
        checkEdges(cycle, outcome, &violations)
    }

    /// A request was refused as a deadlock before it began to wait.
    func checkRefusal(_ cycle: [CycleEdge], _ outcome: Witness.Outcome, _ violations: inout ViolationLog) {
        let isReported = outcome.effects.events.contains {
            if case .deadlock(_, _, let victim) = $0 { victim == outcome.envelope.request } else { false }
        }
        if !isReported { checkEdges(cycle, outcome, &violations) }
    }

    private func checkEdges(_ cycle: [CycleEdge], _ outcome: Witness.Outcome, _ violations: inout ViolationLog) {
        violations.expect(!cycle.isEmpty, .deadlock, "entry \(outcome.index): a deadlock of nobody")
        for (position, edge) in cycle.enumerated() {
            let next = cycle[(position + 1) % cycle.count]
            if !isReal(edge, next: next.session, newcomer: outcome.envelope.request) {
                violations.report(
                    .deadlock,
                    "entry \(outcome.index): \(edge.session) does not wait for \(next.session) on \(edge.name), "
                        + "as the reported cycle says"
                )
                return
            }
        }
    }

    /// Does the request of this edge wait, and does `next` (or a session that is the same agent) stand in its way?
    private func isReal(_ edge: CycleEdge, next: SessionID, newcomer: RequestID) -> Bool {
        guard let waiting = session(edge.session), let following = session(next) else { return false }
        guard let object = objects.first(where: { $0.name == edge.name && $0.namespace == edge.session.namespace })
        else {
            return false
        }
        let place = object.waiters.firstIndex { $0.request == edge.request }
        guard place != nil || edge.request == newcomer else { return false }
        for holder in object.holders {
            // With permits of its own a session can stand in its own way.
            if holder.session == waiting && object.kind != .semaphore { continue }
            if object.kind != .semaphore && !Self.excludes(holder.mode, edge.mode) { continue }
            if isSameAgent(holder.session, following) { return true }
        }
        // Conversions overtake everything that is not one, so whoever is not this request may stand in front.
        for waiter in object.waiters where waiter.request != edge.request {
            if isSameAgent(waiter.session, following) { return true }
        }
        return false
    }

    /// Sessions of one owner in different namespaces are one agent.
    private func isSameAgent(_ one: Int, _ other: Int) -> Bool {
        if one == other { return true }
        let (first, second) = (sessions[one], sessions[other])
        return !first.owner.text.isEmpty && first.owner == second.owner && first.id.namespace != second.id.namespace
    }
}
