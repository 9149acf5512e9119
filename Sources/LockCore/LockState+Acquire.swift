// SPDX-License-Identifier: Apache-2.0
import Primitives

extension LockState {
    /// What stands between a session and one name it wants.
    private enum Standing {
        /// Nothing: the lock can be had now. The slot is nil while the object does not exist.
        case free(Slot?)
        /// The session holds it in a mode at least as strong.
        case held(Slot)
        case blocked(Slot)
    }

    mutating func acquire(_ command: Acquire, _ context: ApplyContext, into effects: inout LockEffects) {
        guard let session = findSession(command.session) else {
            respond(.refused(.noSession(command.session)), context, into: &effects)
            return
        }
        let sequence = command.sequence ?? 0
        if answersRetry(session, sequence, command.wait, context, into: &effects) { return }

        let response = attempt(normalised(command), session, context, into: &effects)
        if let response { answer(session, sequence, response, context, into: &effects) }
    }

    /// Answers a numbered request now, and remembers the answer for its retries.
    mutating func answer(
        _ session: Slot,
        _ sequence: UInt64,
        _ response: LockResponse,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) {
        if sequence > 0 { sessions[session].results.remember(sequence, response) }
        respond(response, context, into: &effects)
    }

    private func normalised(_ command: Acquire) -> Acquire {
        var command = command
        switch command.kind {
        case .lock: break
        case .semaphore: command.items[0].mode = .shared
        case .election: command.items[0].mode = .exclusive
        }
        return command
    }

    /// Nil when the request now waits.
    private mutating func attempt(
        _ command: Acquire,
        _ session: Slot,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) -> LockResponse? {
        var standings: [Standing] = []
        var fresh = 0
        for item in command.items {
            switch standing(of: session, item, command) {
            case .failure(let refusal): return .refused(refusal.refusal)
            case .success(let standing):
                standings.append(standing)
                if case .free(nil) = standing { fresh += 1 }
            }
        }
        if let refusal = quota(session, newHolds: command.items.count, newObjects: fresh) { return .refused(refusal) }

        var blocked: Slot?
        for case .blocked(let object) in standings where blocked == nil { blocked = object }
        guard let blocked else { return grantNow(command, standings, session, context, into: &effects) }
        if command.wait == .none || command.wait == .milliseconds(0) {
            return .notAcquired(holders: holderViews(blocked, stamp: context.stamp))
        }
        if let refusal = waitQuota(session, standings, context) { return .refused(refusal) }
        enqueue(command, standings, session, context, into: &effects)
        breakDeadlocks(through: session, context, into: &effects)
        return nil
    }

    private struct Refused: Error {
        var refusal: Refusal
        init(_ refusal: Refusal) { self.refusal = refusal }
    }

    private func standing(of session: Slot, _ item: AcquireItem, _ command: Acquire) -> Result<Standing, Refused> {
        guard let object = findObject(sessions[session].namespace, item.name) else { return .success(.free(nil)) }
        guard objects[object].kind == command.kind else {
            return .failure(Refused(.wrongKind(item.name, objects[object].kind)))
        }
        if command.kind == .semaphore {
            let limit = details[objects[object].detail].limit
            guard limit == command.limit else {
                return .failure(Refused(.invalid("the semaphore's limit is \(limit), not \(command.limit)")))
            }
        }
        if waits(session, on: object) {
            return .failure(Refused(.reentry("the session waits for \(item.name) already")))
        }
        if command.kind != .semaphore, let hold = hold(of: session, on: object) {
            guard holds[hold].mode.covers(item.mode) else {
                return .failure(Refused(.reentry("the session holds \(item.name) in a weaker mode: use CONVERT")))
            }
            guard holds[hold].count < .max else { return .failure(Refused(.limit("holds of one lock"))) }
            return .success(.held(hold))
        }
        if hasLine(object) { return .success(.blocked(object)) }
        let isFree =
            command.kind == .semaphore
            ? hasPermits(command.permits, on: object) : admits(item.mode, on: object)
        return .success(isFree ? .free(object) : .blocked(object))
    }

    /// Does the session stand in this object's line, or count on its hold of it in a set it waits for?
    func waits(_ session: Slot, on object: Slot) -> Bool {
        var wait = sessions[session].firstWait
        while wait != noSlot {
            var place = waits[wait].firstPlace
            while place != noSlot {
                if places[place].object == object, places[place].isInLine { return true }
                place = places[place].nextInWait
            }
            wait = waits[wait].nextInSession
        }
        return false
    }

    private func quota(_ session: Slot, newHolds: Int, newObjects: Int) -> Refusal? {
        guard Int(sessions[session].holdCount) + newHolds <= limits.holdsPerSession else {
            return .limit("holds of one session: \(limits.holdsPerSession)")
        }
        let used = Int(namespaces[sessions[session].namespace].objects)
        guard used + newObjects <= limits.locksPerNamespace else {
            return .limit("locks of this namespace: \(limits.locksPerNamespace)")
        }
        return nil
    }

    private func waitQuota(_ session: Slot, _ standings: [Standing], _ context: ApplyContext) -> Refusal? {
        if let refusal = mayWait(session, context) { return refusal }
        for standing in standings {
            switch standing {
            case .held, .free(nil): continue
            case .free(.some(let object)), .blocked(let object):
                if let refusal = hasRoom(object) { return refusal }
            }
        }
        return nil
    }

    func mayWait(_ session: Slot, _ context: ApplyContext) -> Refusal? {
        guard Int(sessions[session].waitCount) < limits.waitsPerSession else {
            return .limit("waits of one session: \(limits.waitsPerSession)")
        }
        guard context.request != .internal, findWait(context.request) == nil else {
            return .invalid("the request id is that of a waiting request")
        }
        return nil
    }

    func hasRoom(_ object: Slot) -> Refusal? {
        let detail = objects[object].detail
        guard detail == noSlot || Int(details[detail].waiterCount) < limits.waitersPerLock else {
            return .limit("waiters of one lock: \(limits.waitersPerLock)")
        }
        return nil
    }

    private mutating func grantNow(
        _ command: Acquire,
        _ standings: [Standing],
        _ session: Slot,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) -> LockResponse {
        var tokens: [UInt64] = []
        tokens.reserveCapacity(command.items.count)
        var count: UInt64 = 0
        for (item, standing) in zip(command.items, standings) {
            var hold: Slot
            switch standing {
            case .held(let held):
                hold = held
                // A leader that campaigns again changes what it announces; one resignation still ends its term.
                if command.kind != .election { holds[hold].count = Self.increased(holds[hold].count) }
            case .free(let found):
                let object = found ?? create(command, item, session)
                let permits = command.kind == .semaphore ? UInt32(clamping: command.permits) : 1
                hold = take(permits, object, session, item.mode, context, into: &effects)
            case .blocked: invariantFailure("a blocked item cannot be granted")
            }
            if command.kind == .election { details[detail(of: holds[hold].object)].value = command.value }
            tokens.append(holds[hold].token)
            if tokens.count == 1 { count = UInt64(holds[hold].count) }
        }
        return .granted(tokens: tokens, holds: count)
    }

    private mutating func create(_ command: Acquire, _ item: AcquireItem, _ session: Slot) -> Slot {
        let object = makeObject(sessions[session].namespace, item.name, command.kind)
        if command.kind == .semaphore { details[detail(of: object)].limit = command.limit }
        return object
    }

    private mutating func enqueue(
        _ command: Acquire,
        _ standings: [Standing],
        _ session: Slot,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) {
        let wait = addWait(
            WaitRecord(
                request: context.request,
                session: session,
                index: context.index,
                since: context.stamp,
                priority: command.priority,
                milliseconds: Self.milliseconds(command.wait),
                sequence: command.sequence ?? 0,
                permits: UInt32(clamping: command.permits),
                kind: command.kind,
                isConversion: false,
                value: command.kind == .election ? command.value : []
            ),
            into: &effects
        )
        var last = noSlot
        for (item, standing) in zip(command.items, standings) {
            var record = PlaceRecord(wait: wait, object: noSlot, mode: item.mode, isConversion: false)
            switch standing {
            case .held(let hold):
                record.hold = hold
                record.object = holds[hold].object
            case .free(let found): record.object = found ?? create(command, item, session)
            case .blocked(let object): record.object = object
            }
            let place = places.insert(record)
            if last == noSlot { waits[wait].firstPlace = place } else { places[last].nextInWait = place }
            last = place
            guard record.isInLine else { continue }
            enterLine(place)
            reportQueued(place, into: &effects)
        }
    }

    static func milliseconds(_ wait: Wait) -> UInt64 {
        if case .milliseconds(let count) = wait { count } else { 0 }
    }

    mutating func addWait(_ record: WaitRecord, into effects: inout LockEffects) -> Slot {
        let session = record.session
        let wait = waits.insert(record)
        let next = sessions[session].firstWait
        waits[wait].nextInSession = next
        if next != noSlot { waits[next].previousInSession = wait }
        sessions[session].firstWait = wait
        sessions[session].waitCount += 1
        indexWait(wait)
        if sessions[session].owner != noSlot { ownedWaits += 1 }
        if ownedWaits > 0 { ownerWaitsVersion &+= 1 }
        if record.milliseconds > 0 {
            effects.timers.append(.waitBegan(record.request, milliseconds: record.milliseconds))
        }
        return wait
    }

    func reportQueued(_ place: Slot, into effects: inout LockEffects) {
        let object = places[place].object
        effects.events.append(
            .queued(
                namespace: namespaces[objects[object].namespace].name,
                name: objects[object].name,
                session: sessions[waits[places[place].wait].session].id,
                mode: places[place].mode
            )
        )
    }
}
