// SPDX-License-Identifier: Apache-2.0
import Primitives

// Waiting lines: entering, leaving, and moving forward.

extension LockState {
    /// Moves every line that may have become able to move. A granted set leaves several lines, and so makes more work.
    mutating func moveLines(_ context: ApplyContext, into effects: inout LockEffects) {
        var position = 0
        while position < dirty.count {
            let object = dirty[position]
            position += 1
            guard objects.contains(object) else { continue }
            while let wait = grantableHead(of: object) { grant(wait, context, into: &effects) }
            trim(object)
        }
        dirty.removeAll(keepingCapacity: true)
    }

    /// The request at the head of the line, if it can be granted: it alone may be.
    func grantableHead(of object: Slot) -> Slot? {
        let detail = objects[object].detail
        guard detail != noSlot, details[detail].firstPlace != noSlot else { return nil }
        let wait = places[details[detail].firstPlace].wait
        var place = waits[wait].firstPlace
        while place != noSlot {
            guard !places[place].isInLine || isGrantable(place) else { return nil }
            place = places[place].nextInWait
        }
        return wait
    }

    private func isGrantable(_ place: Slot) -> Bool {
        let object = places[place].object
        guard places[place].previous == noSlot else { return false }
        if objects[object].kind == .semaphore {
            return hasPermits(UInt64(waits[places[place].wait].permits), on: object)
        }
        return admits(places[place].mode, on: object, own: places[place].hold)
    }

    private mutating func grant(_ wait: Slot, _ context: ApplyContext, into effects: inout LockEffects) {
        let session = waits[wait].session
        var tokens: [UInt64] = []
        var count: UInt64 = 0
        var place = waits[wait].firstPlace
        while place != noSlot {
            let record = places[place]
            leaveLine(place)
            var hold = record.hold
            if record.isConversion {
                setMode(hold, record.mode, context, into: &effects)
            } else if hold != noSlot {
                holds[hold].count = Self.increased(holds[hold].count)
            } else {
                let permits = waits[wait].kind == .semaphore ? waits[wait].permits : 1
                hold = take(permits, record.object, session, record.mode, context, into: &effects)
                if waits[wait].kind == .election { details[detail(of: record.object)].value = waits[wait].value }
            }
            tokens.append(holds[hold].token)
            if tokens.count == 1 { count = UInt64(holds[hold].count) }
            dirty.append(record.object)
            place = record.nextInWait
        }
        let response: LockResponse =
            waits[wait].isConversion ? .converted(token: tokens[0]) : .granted(tokens: tokens, holds: count)
        removeWait(wait, response, into: &effects)
    }

    /// Gives the session a hold, or more permits to the one it has.
    mutating func take(
        _ permits: UInt32,
        _ object: Slot,
        _ session: Slot,
        _ mode: LockMode,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) -> Slot {
        guard objects[object].kind == .semaphore, let hold = hold(of: session, on: object) else {
            return addHold(session, object, mode, count: permits, context, into: &effects)
        }
        holds[hold].count += permits
        holds[hold].token = token(context)
        details[objects[object].detail].permitsInUse += UInt64(permits)
        reportGrant(hold, into: &effects)
        return hold
    }

    static func increased(_ count: UInt32) -> UInt32 { count == .max ? count : count + 1 }

    // Entering

    /// Puts a new place into its object's line: conversions behind the last conversion, the rest at the tail.
    mutating func enterLine(_ place: Slot) {
        let detail = detail(of: places[place].object)
        let previous = places[place].isConversion ? details[detail].lastConversion : details[detail].lastPlace
        let next = previous == noSlot ? details[detail].firstPlace : places[previous].next
        places[place].previous = previous
        places[place].next = next
        if previous == noSlot { details[detail].firstPlace = place } else { places[previous].next = place }
        if next == noSlot { details[detail].lastPlace = place } else { places[next].previous = place }
        if places[place].isConversion { details[detail].lastConversion = place }
        details[detail].waiterCount += 1
        if details[detail].waiterCount == 1 { countContention(places[place].object, 1) }
    }

    /// The object's line has begun or ended.
    private mutating func countContention(_ object: Slot, _ change: Int32) {
        var hold = objects[object].firstHold
        while hold != noSlot {
            sessions[holds[hold].session].contendedHolds += change
            hold = holds[hold].nextInObject
        }
    }

    // Leaving

    mutating func leaveLine(_ place: Slot) {
        guard places[place].isInLine else { return }
        let detail = objects[places[place].object].detail
        let previous = places[place].previous
        let next = places[place].next
        if previous == noSlot { details[detail].firstPlace = next } else { places[previous].next = next }
        if next == noSlot { details[detail].lastPlace = previous } else { places[next].previous = previous }
        if details[detail].lastConversion == place { details[detail].lastConversion = previous }
        details[detail].waiterCount -= 1
        if details[detail].waiterCount == 0 { countContention(places[place].object, -1) }
    }

    /// Takes a request out of its lines and answers it; the lines will be moved.
    mutating func endWait(_ wait: Slot, _ response: LockResponse, into effects: inout LockEffects) {
        var place = waits[wait].firstPlace
        while place != noSlot {
            leaveLine(place)
            dirty.append(places[place].object)
            place = places[place].nextInWait
        }
        removeWait(wait, response, into: &effects)
    }

    /// Frees a wait whose places have left their lines.
    private mutating func removeWait(_ wait: Slot, _ response: LockResponse, into effects: inout LockEffects) {
        let record = waits[wait]
        var place = record.firstPlace
        while place != noSlot {
            let next = places[place].nextInWait
            places.remove(place)
            place = next
        }
        if record.previousInSession == noSlot {
            sessions[record.session].firstWait = record.nextInSession
        } else {
            waits[record.previousInSession].nextInSession = record.nextInSession
        }
        if record.nextInSession != noSlot {
            waits[record.nextInSession].previousInSession = record.previousInSession
        }
        sessions[record.session].waitCount -= 1
        if ownedWaits > 0 { ownerWaitsVersion &+= 1 }
        if sessions[record.session].owner != noSlot { ownedWaits -= 1 }
        unindexWait(wait)
        waits.remove(wait)

        if record.sequence > 0 { sessions[record.session].results.remember(record.sequence, response) }
        if record.milliseconds > 0 { effects.timers.append(.waitEnded(record.request)) }
        effects.responses.append((record.request, response))
    }
}
