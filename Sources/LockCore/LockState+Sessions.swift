// SPDX-License-Identifier: Apache-2.0
import Primitives

extension LockState {
    mutating func openSession(_ open: OpenSession, _ context: ApplyContext, into effects: inout LockEffects) {
        if let session = findSession(open.id) {
            guard settings(of: session) == open else {
                respond(.refused(.sessionExists(open.id)), context, into: &effects)
                return
            }
            // A retry is also a renewal: its client counts the TTL from when it sent it. The new position makes expiry
            // that was proposed before miss its session.
            sessions[session].opened = context.index
            effects.timers.append(
                .sessionOpened(open.id, opened: context.index, ttlMilliseconds: open.ttlMilliseconds)
            )
            respond(.sessionOpened(open.id, ttlMilliseconds: open.ttlMilliseconds), context, into: &effects)
            return
        }
        guard let namespace = makeNamespace(open.id.namespace) else {
            respond(.refused(.limit("namespaces of this shard: \(limits.namespaces)")), context, into: &effects)
            return
        }
        guard Int(namespaces[namespace].sessions) < limits.sessionsPerNamespace else {
            trimNamespace(namespace)
            respond(
                .refused(.limit("sessions of this namespace: \(limits.sessionsPerNamespace)")),
                context,
                into: &effects
            )
            return
        }
        let session = sessions.insert(
            SessionRecord(
                id: open.id,
                label: open.label,
                namespace: namespace,
                ttlMilliseconds: UInt32(clamping: open.ttlMilliseconds),
                lockDelayMilliseconds: UInt32(clamping: open.lockDelayMilliseconds),
                opened: context.index,
                since: context.stamp
            )
        )
        namespaces[namespace].sessions += 1
        indexSession(session)
        if !open.owner.isEmpty { joinOwner(session, Name(open.owner)) }
        effects.timers.append(
            .sessionOpened(open.id, opened: context.index, ttlMilliseconds: open.ttlMilliseconds)
        )
        effects.events.append(.sessionOpened(open.id))
        respond(.sessionOpened(open.id, ttlMilliseconds: open.ttlMilliseconds), context, into: &effects)
    }

    private func settings(of session: Slot) -> OpenSession {
        OpenSession(
            id: sessions[session].id,
            ttlMilliseconds: UInt64(sessions[session].ttlMilliseconds),
            label: sessions[session].label,
            owner: ownerName(of: session)?.text ?? "",
            lockDelayMilliseconds: UInt64(sessions[session].lockDelayMilliseconds)
        )
    }

    func ownerName(of session: Slot) -> Name? {
        let owner = sessions[session].owner
        return owner == noSlot ? nil : owners[owner].name
    }

    mutating func closeSession(_ id: SessionID, _ context: ApplyContext, into effects: inout LockEffects) {
        guard let session = findSession(id) else {
            respond(.refused(.noSession(id)), context, into: &effects)
            return
        }
        let released = endSession(session, .closed, context, into: &effects)
        respond(.sessionClosed(locksReleased: released), context, into: &effects)
    }

    /// Does nothing when proposed by the leader of another term, whose renewals this one knows nothing of, or when the
    /// session it saw has been closed and opened again since.
    mutating func expireSession(
        _ id: SessionID,
        opened: LogIndex,
        term: Term,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) {
        defer { respond(.noted, context, into: &effects) }
        guard isCurrent(term, context), let session = findSession(id) else { return }
        guard opened == .zero || sessions[session].opened == opened else { return }
        _ = endSession(session, .expired, context, into: &effects)
    }

    private func isCurrent(_ term: Term, _ context: ApplyContext) -> Bool {
        #if PLANTED_BUGS
            if limits.plantedBug == .expiryFromDeposedLeader { return true }
        #endif
        return term == context.term
    }

    /// Ends the waits first, so that nothing the session gives up can be granted to it. Returns how many holds it had.
    private mutating func endSession(
        _ session: Slot,
        _ end: SessionEnd,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) -> UInt64 {
        var keepsWaits = false
        #if PLANTED_BUGS
            keepsWaits = limits.plantedBug == .grantWithoutSessionCheck && sessions[session].waitCount > 0
            if keepsWaits { sessions[session].isEnded = true }
        #endif
        while !keepsWaits, sessions[session].firstWait != noSlot {
            endWait(sessions[session].firstWait, .refused(.sessionEnded(end)), into: &effects)
        }
        let released = UInt64(sessions[session].holdCount)
        let delay = end == .expired ? sessions[session].lockDelayMilliseconds : 0
        while sessions[session].firstHold != noSlot {
            let hold = sessions[session].firstHold
            let object = holds[hold].object
            removeHold(hold, into: &effects)
            if delay > 0, objects[object].kind != .semaphore { beginDelay(object, delay, context, into: &effects) }
        }
        let id = sessions[session].id
        unindexSession(session)
        effects.timers.append(.sessionEnded(id))
        effects.events.append(.sessionEnded(id, end))
        if !keepsWaits {
            let namespace = sessions[session].namespace
            leaveOwner(session)
            sessions.remove(session)
            namespaces[namespace].sessions -= 1
            trimNamespace(namespace)
        }
        return released
    }

    // Lock-delay (the term is Chubby's): after an unclean end a lock is not granted for a while, so that what its last
    // holder still has under way can arrive. Permits of a semaphore exclude nobody and come back at once.

    private mutating func beginDelay(
        _ object: Slot,
        _ milliseconds: UInt32,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) {
        let detail = detail(of: object)
        // Several holders may expire in turn: the longest delay in force counts, and it counts from the last of them.
        details[detail].delayMilliseconds = max(details[detail].delayMilliseconds, milliseconds)
        details[detail].delayBegan = context.index
        effects.timers.append(
            .lockDelayBegan(
                namespace: namespaces[objects[object].namespace].name,
                name: objects[object].name,
                began: context.index,
                milliseconds: UInt64(details[detail].delayMilliseconds)
            )
        )
    }

    mutating func endDelay(_ object: Slot, into effects: inout LockEffects) {
        let detail = objects[object].detail
        guard detail != noSlot, details[detail].delayMilliseconds > 0 else { return }
        details[detail].delayMilliseconds = 0
        details[detail].delayBegan = .zero
        effects.timers.append(
            .lockDelayEnded(namespace: namespaces[objects[object].namespace].name, name: objects[object].name)
        )
        dirty.append(object)
    }

    mutating func endLockDelay(
        _ namespace: Name,
        _ name: Name,
        began: LogIndex,
        term: Term,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) {
        defer { respond(.noted, context, into: &effects) }
        guard term == context.term, let object = findObject(namespace: namespace, name: name) else { return }
        let detail = objects[object].detail
        guard detail != noSlot, began == .zero || details[detail].delayBegan == began else { return }
        endDelay(object, into: &effects)
    }
}
