// SPDX-License-Identifier: Apache-2.0
import Primitives

// How waits end other than by a grant, and how a retry finds the wait it belongs to.

extension LockState {
    mutating func cancel(_ request: RequestID, _ context: ApplyContext, into effects: inout LockEffects) {
        let wait = findWait(request)
        if let wait { endWait(wait, .refused(.cancelled), into: &effects) }
        respond(.cancelled(found: wait != nil), context, into: &effects)
    }

    mutating func timeoutWait(
        _ request: RequestID,
        term: Term,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) {
        defer { respond(.noted, context, into: &effects) }
        guard term == context.term, let wait = findWait(request) else { return }
        let holders = holderViews(blockedObject(of: wait), stamp: context.stamp, except: waits[wait].session)
        endWait(wait, .notAcquired(holders: holders), into: &effects)
    }

    /// The first object of a waiting request that keeps it waiting.
    private func blockedObject(of wait: Slot) -> Slot {
        var place = waits[wait].firstPlace
        while place != noSlot {
            let object = places[place].object
            if places[place].isInLine, objects[object].holdCount > 0 || places[place].previous != noSlot {
                return object
            }
            place = places[place].nextInWait
        }
        return places[waits[wait].firstPlace].object
    }

    /// The detector of cycles across shards has confirmed this one with every shard that has a part in it.
    mutating func abortWait(
        _ request: RequestID,
        cycle: [CycleEdge],
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) {
        if let wait = findWait(request) { abort(wait, cycle: cycle, into: &effects) }
        respond(.noted, context, into: &effects)
    }

    /// Ends a wait as a deadlock's victim.
    mutating func abort(_ wait: Slot, cycle: [CycleEdge], into effects: inout LockEffects) {
        let cycle = Array(cycle.prefix(LockLimits.reportedCycle))
        let namespace = namespaces[sessions[waits[wait].session].namespace].name
        effects.events.append(.deadlock(namespace: namespace, cycle: cycle, victim: waits[wait].request))
        endWait(wait, .refused(.deadlock(cycle)), into: &effects)
    }

    // Retries

    /// Deals with a numbered request that was seen before: its result is repeated, or it takes over the wait that the
    /// first try began. Then the new request is the one to be answered, because its client is the one still there, and
    /// the old one is answered `cancelled`; the place in line and the age stay, and a timed wait starts anew. A retry
    /// that does not wait ends the wait.
    mutating func answersRetry(
        _ session: Slot,
        _ sequence: UInt64,
        _ patience: Wait,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) -> Bool {
        guard sequence > 0 else { return false }
        var wait = sessions[session].firstWait
        while wait != noSlot {
            if waits[wait].sequence == sequence {
                reattach(wait, patience, context, into: &effects)
                return true
            }
            wait = waits[wait].nextInSession
        }
        switch sessions[session].results.find(sequence) {
        case .unknown: return false
        case .stale: respond(.refused(.staleSequence), context, into: &effects)
        case .known(let response): respond(response, context, into: &effects)
        }
        return true
    }

    private mutating func reattach(
        _ wait: Slot,
        _ patience: Wait,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) {
        let old = waits[wait].request
        guard context.request != old else { return }
        guard context.request != .internal, findWait(context.request) == nil else {
            respond(.refused(.invalid("the request id is that of a waiting request")), context, into: &effects)
            return
        }
        if waits[wait].milliseconds > 0 { effects.timers.append(.waitEnded(old)) }
        unindexWait(wait)
        waits[wait].request = context.request
        indexWait(wait)
        switch patience {
        case .none, .milliseconds(0):
            // Its client no longer waits.
            let holders = holderViews(blockedObject(of: wait), stamp: context.stamp, except: waits[wait].session)
            waits[wait].milliseconds = 0
            endWait(wait, .notAcquired(holders: holders), into: &effects)
            effects.responses.append((old, .refused(.cancelled)))
            return
        case .milliseconds(let count): waits[wait].milliseconds = count
        case .forever: waits[wait].milliseconds = 0
        }
        if waits[wait].milliseconds > 0 {
            effects.timers.append(.waitBegan(context.request, milliseconds: waits[wait].milliseconds))
        }
        if ownedWaits > 0 { ownerWaitsVersion &+= 1 }
        effects.responses.append((old, .refused(.cancelled)))
    }
}
