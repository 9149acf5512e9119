// SPDX-License-Identifier: Apache-2.0
import Primitives

// Giving and taking single holds. Deciding who gets one is `LockState+Lines`' business.

extension LockState {
    /// The session's hold of the object, found along the shorter of the two lists it is in.
    func hold(of session: Slot, on object: Slot) -> Slot? {
        if objects[object].holdCount <= sessions[session].holdCount {
            var hold = objects[object].firstHold
            while hold != noSlot {
                if holds[hold].session == session { return hold }
                hold = holds[hold].nextInObject
            }
        } else {
            var hold = sessions[session].firstHold
            while hold != noSlot {
                if holds[hold].object == object { return hold }
                hold = holds[hold].nextInSession
            }
        }
        return nil
    }

    /// Could a hold in this mode be given now, as far as other holds and the lock-delay go? `own` is the asker's.
    func admits(_ mode: LockMode, on object: Slot, own: Slot = noSlot) -> Bool {
        let detail = objects[object].detail
        if detail != noSlot, details[detail].delayMilliseconds > 0 { return false }
        let ownMode = own == noSlot ? nil : holds[own].mode
        switch mode {
        case .exclusive: return objects[object].holdCount == (own == noSlot ? 0 : 1)
        case .update:
            return (!objects[object].hasUpdate || ownMode == .update)
                && (!objects[object].hasExclusive || ownMode == .exclusive)
        case .shared: return !objects[object].hasExclusive || ownMode == .exclusive
        }
    }

    func hasPermits(_ permits: UInt64, on object: Slot) -> Bool {
        let detail = objects[object].detail
        guard detail != noSlot else { return true }
        return details[detail].permitsInUse + permits <= details[detail].limit
    }

    func hasLine(_ object: Slot) -> Bool {
        let detail = objects[object].detail
        return detail != noSlot && details[detail].waiterCount > 0
    }

    func token(_ context: ApplyContext) -> UInt64 {
        #if PLANTED_BUGS
            if limits.plantedBug == .tokenNotRising { return context.index.rawValue / 8 * 8 }
        #endif
        return context.index.rawValue
    }

    @discardableResult
    mutating func addHold(
        _ session: Slot,
        _ object: Slot,
        _ mode: LockMode,
        count: UInt32,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) -> Slot {
        let token = token(context)
        var record = HoldRecord(
            object: object,
            session: session,
            token: token,
            since: context.stamp,
            count: count,
            mode: mode
        )
        record.nextInSession = sessions[session].firstHold
        let hold = holds.insert(record)

        if record.nextInSession != noSlot { holds[record.nextInSession].previousInSession = hold }
        sessions[session].firstHold = hold
        sessions[session].holdCount += 1

        let first = objects[object].firstHold
        if first == noSlot {
            objects[object].firstHold = hold
            holds[hold].previousInObject = hold
        } else {
            let last = holds[first].previousInObject
            holds[last].nextInObject = hold
            holds[hold].previousInObject = last
            holds[first].previousInObject = hold
        }
        objects[object].holdCount += 1
        if hasLine(object) { sessions[session].contendedHolds += 1 }
        setFlags(object, mode, true)
        if objects[object].kind == .semaphore {
            let detail = detail(of: object)
            details[detail].permitsInUse += UInt64(count)
        }
        noteHoldersChanged(object)
        reportGrant(hold, into: &effects)
        return hold
    }

    func reportGrant(_ hold: Slot, into effects: inout LockEffects) {
        let object = holds[hold].object
        effects.events.append(
            .granted(
                namespace: namespaces[objects[object].namespace].name,
                name: objects[object].name,
                session: sessions[holds[hold].session].id,
                mode: holds[hold].mode,
                token: holds[hold].token
            )
        )
    }

    /// Ends a hold, and the waits that build on it; its line will be moved.
    mutating func removeHold(_ hold: Slot, into effects: inout LockEffects) {
        endWaits(buildingOn: hold, covering: nil, into: &effects)
        let record = holds[hold]
        let object = record.object

        if record.previousInSession == noSlot {
            sessions[record.session].firstHold = record.nextInSession
        } else {
            holds[record.previousInSession].nextInSession = record.nextInSession
        }
        if record.nextInSession != noSlot {
            holds[record.nextInSession].previousInSession = record.previousInSession
        }
        sessions[record.session].holdCount -= 1

        let first = objects[object].firstHold
        if hold == first {
            objects[object].firstHold = record.nextInObject
            if record.nextInObject != noSlot { holds[record.nextInObject].previousInObject = record.previousInObject }
        } else {
            holds[record.previousInObject].nextInObject = record.nextInObject
            let after = record.nextInObject == noSlot ? first : record.nextInObject
            holds[after].previousInObject = record.previousInObject
        }
        objects[object].holdCount -= 1
        if hasLine(object) { sessions[record.session].contendedHolds -= 1 }
        setFlags(object, record.mode, false)
        if objects[object].kind == .semaphore {
            details[objects[object].detail].permitsInUse -= UInt64(record.count)
        }
        holds.remove(hold)
        noteHoldersChanged(object)
        dirty.append(object)
        effects.events.append(
            .released(
                namespace: namespaces[objects[object].namespace].name,
                name: objects[object].name,
                session: sessions[record.session].id
            )
        )
    }

    /// Changes a hold's mode in place. A stronger mode is a new grant and takes a new token.
    mutating func setMode(
        _ hold: Slot,
        _ mode: LockMode,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) {
        let object = holds[hold].object
        let isStronger = !holds[hold].mode.covers(mode)
        setFlags(object, holds[hold].mode, false)
        holds[hold].mode = mode
        setFlags(object, mode, true)
        if isStronger {
            holds[hold].token = token(context)
        } else {
            endWaits(buildingOn: hold, covering: mode, into: &effects)
            dirty.append(object)
        }
        noteHoldersChanged(object)
        reportGrant(hold, into: &effects)
    }

    private mutating func setFlags(_ object: Slot, _ mode: LockMode, _ value: Bool) {
        switch mode {
        case .shared: break
        case .update: objects[object].hasUpdate = value
        case .exclusive: objects[object].hasExclusive = value
        }
    }

    private mutating func noteHoldersChanged(_ object: Slot) {
        if ownedWaits > 0, hasLine(object) { ownerWaitsVersion &+= 1 }
    }

    /// A conversion, or a set that counts on a name its session held already, cannot go on without that hold (or, after
    /// a downgrade, without its mode): the wait ends with `notHeld`.
    private mutating func endWaits(buildingOn hold: Slot, covering mode: LockMode?, into effects: inout LockEffects) {
        var wait = sessions[holds[hold].session].firstWait
        while wait != noSlot {
            let next = waits[wait].nextInSession
            var place = waits[wait].firstPlace
            while place != noSlot {
                if places[place].hold == hold, !(mode?.covers(places[place].mode) ?? false) {
                    let name = objects[places[place].object].name
                    endWait(wait, .refused(.notHeld(name)), into: &effects)
                    break
                }
                place = places[place].nextInWait
            }
            wait = next
        }
    }
}
