// SPDX-License-Identifier: Apache-2.0
import Primitives

// Deadlock detection (DESIGN §5): exact, at the moment a wait begins, over edges derived from the table.
//
// **Who waits for whom.** A waiting request waits for
//  * every session whose hold conflicts with what it wants, to let go;
//  * the request before it in the line, to be granted, because only the head is; and the sessions of conflicting
//    requests further in front, to be granted and to let go;
//  * for a semaphore: the request before it, and as many holders as it takes to have enough permits. A session is one
//    agent: it lets go of nothing while a request of its own waits. Sessions that declare the same owner in different
//    namespaces are one agent too; in the same namespace they are two.
//
// **What a deadlock is.** The largest set of waiting requests none of which could be granted even if every session
// outside the set let go of everything. For locks alone that is a cycle. With semaphores a request counts only when the
// permits held outside the set do not suffice (the "k out of n" model: Holt 1972; Knapp 1987, §2).
//
// **When to look.** Between commands no deadlock exists. Every command that adds edges adds them to or from one
// session: the one that begins to wait, or whose hold becomes stronger in front of a line. All others (grants, which
// turn an edge to a request in front into one to a holder, releases, cancels, breaks, downgrades) take edges away. So
// a search from that session finds every deadlock, and usually nobody waits for the session, which is seen without a
// search.

extension LockState {
    /// Finds deadlocks that pass through this session and ends one victim's wait for each, until there is none.
    mutating func breakDeadlocks(
        through session: Slot,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) {
        while isWaitedFor(session) {
            var graph = WaitGraph(self, around: session)
            guard let cycle = graph.cycle(self) else { return }
            let edges = cycle.map { edge(of: $0) }
            var victim = places[cycle[0]].wait
            for place in cycle.dropFirst() where isBetterVictim(places[place].wait, than: victim) {
                victim = places[place].wait
            }
            abort(victim, cycle: edges, into: &effects)
        }
    }

    /// Lowest declared priority first, then the youngest request.
    private func isBetterVictim(_ wait: Slot, than other: Slot) -> Bool {
        if waits[wait].priority != waits[other].priority { return waits[wait].priority < waits[other].priority }
        return waits[wait].index > waits[other].index
    }

    func edge(of place: Slot) -> CycleEdge {
        let wait = places[place].wait
        let session = waits[wait].session
        return CycleEdge(
            session: sessions[session].id,
            label: sessions[session].label,
            name: objects[places[place].object].name,
            mode: places[place].mode,
            request: waits[wait].request
        )
    }

    /// Can anybody be waiting for this session or one that is the same agent? Without such there is no cycle.
    private func isWaitedFor(_ session: Slot) -> Bool {
        var found = false
        forEachOfAgent(session) { found = found || hasFollowers($0) }
        return found
    }

    private func hasFollowers(_ session: Slot) -> Bool {
        if sessions[session].contendedHolds > 0 { return true }
        var wait = sessions[session].firstWait
        while wait != noSlot {
            var place = waits[wait].firstPlace
            while place != noSlot {
                if places[place].next != noSlot { return true }
                place = places[place].nextInWait
            }
            wait = waits[wait].nextInSession
        }
        return false
    }

    /// The session itself, and those of the same owner in other namespaces of this shard.
    private func forEachOfAgent(_ session: Slot, _ body: (Slot) -> Void) {
        body(session)
        guard sessions[session].owner != noSlot else { return }
        var other = owners[sessions[session].owner].firstSession
        while other != noSlot {
            if sessions[other].namespace != sessions[session].namespace { body(other) }
            other = sessions[other].nextOfOwner
        }
    }

    /// The requests for which this session's agent waits.
    func forEachWaitOfAgent(_ session: Slot, _ body: (Slot) -> Void) {
        forEachOfAgent(session) { agent in
            var wait = sessions[agent].firstWait
            while wait != noSlot {
                body(wait)
                wait = waits[wait].nextInSession
            }
        }
    }

    /// What a request waits for at one of its places.
    enum Blocker {
        /// To be granted.
        case request(Slot)
        /// To let go.
        case session(Slot)
    }

    /// The blockers of one place in a line. Looking forward stops at the first request that conflicts with at least all
    /// that this one conflicts with: its own blockers are the rest. So a whole line costs about two looks per request.
    /// For a semaphore all holders and all in front are named; `WaitGraph` weighs them.
    func forEachBlocker(of place: Slot, _ body: (Blocker) -> Void) {
        guard places[place].isInLine else { return }
        let object = places[place].object
        let mode = places[place].mode
        let session = waits[places[place].wait].session
        let isSemaphore = objects[object].kind == .semaphore
        let hasStrong = objects[object].hasExclusive || (mode == .update && objects[object].hasUpdate)
        if isSemaphore || mode == .exclusive || hasStrong {
            var hold = objects[object].firstHold
            while hold != noSlot {
                let record = holds[hold]
                if isSemaphore || (record.session != session && !record.mode.isCompatible(with: mode)) {
                    body(.session(record.session))
                }
                hold = record.nextInObject
            }
        }
        var front = places[place].previous
        if front != noSlot { body(.request(places[front].wait)) }
        while front != noSlot {
            if isSemaphore || !places[front].mode.isCompatible(with: mode) {
                body(.session(waits[places[front].wait].session))
            }
            if !isSemaphore, places[front].mode.covers(mode) { break }
            front = places[front].previous
        }
    }
}
