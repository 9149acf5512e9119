// SPDX-License-Identifier: Apache-2.0
import Primitives

// Conversions. Two rules keep them out of trouble (DESIGN §5, after Gray and Reuter, §8.4):
//
// * Two shared holders that both want more wait for each other to let go. The second is refused at once as a deadlock,
//   whatever the priorities: the first has been promised its turn.
// * Update mode is the promise that its upgrade to exclusive meets no such deadlock. Shared holders that wait to
//   convert while the update holder upgrades could never be granted before it, nor it before them: they are the
//   victims.

extension LockState {
    mutating func convert(_ command: Convert, _ context: ApplyContext, into effects: inout LockEffects) {
        guard let session = findSession(command.session) else {
            respond(.refused(.noSession(command.session)), context, into: &effects)
            return
        }
        let sequence = command.sequence ?? 0
        if answersRetry(session, sequence, command.wait, context, into: &effects) { return }
        let response = attempt(command, session, context, into: &effects)
        if let response { answer(session, sequence, response, context, into: &effects) }
    }

    /// Nil when the request now waits.
    private mutating func attempt(
        _ command: Convert,
        _ session: Slot,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) -> LockResponse? {
        guard let object = findObject(sessions[session].namespace, command.name) else {
            return .refused(.notHeld(command.name))
        }
        guard objects[object].kind == .lock else { return .refused(.wrongKind(command.name, objects[object].kind)) }
        if waits(session, on: object) {
            return .refused(.reentry("the session waits for \(command.name) already"))
        }
        guard let hold = hold(of: session, on: object) else { return .refused(.notHeld(command.name)) }
        if holds[hold].mode == command.mode { return .converted(token: holds[hold].token) }
        if holds[hold].mode.covers(command.mode) {
            setMode(hold, command.mode, context, into: &effects)
            return .converted(token: holds[hold].token)
        }
        return upgrade(command, hold, context, into: &effects)
    }

    private mutating func upgrade(
        _ command: Convert,
        _ hold: Slot,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) -> LockResponse? {
        let object = holds[hold].object
        let session = holds[hold].session
        let detail = objects[object].detail
        let rival = detail == noSlot ? noSlot : details[detail].lastConversion
        let own = CycleEdge(
            session: command.session,
            label: sessions[session].label,
            name: command.name,
            mode: command.mode,
            request: context.request
        )

        if holds[hold].mode == .shared, let other = waitingUpgrade(on: object) {
            let cycle = [own, edge(of: other)]
            let namespace = namespaces[objects[object].namespace].name
            effects.events.append(.deadlock(namespace: namespace, cycle: cycle, victim: context.request))
            return .refused(.deadlock(cycle))
        }
        if rival == noSlot, admits(command.mode, on: object, own: hold) {
            setMode(hold, command.mode, context, into: &effects)
            // Requests in line may wait for this session in a way they did not before.
            if hasLine(object) { breakDeadlocks(through: session, context, into: &effects) }
            return .converted(token: holds[hold].token)
        }
        if command.wait == .none || command.wait == .milliseconds(0) {
            return .notAcquired(holders: holderViews(object, stamp: context.stamp, except: session))
        }
        if let refusal = mayWait(session, context) ?? hasRoom(object) { return .refused(refusal) }
        if holds[hold].mode == .update { endSharedUpgrades(on: object, own: own, into: &effects) }

        let wait = addWait(
            WaitRecord(
                request: context.request,
                session: session,
                index: context.index,
                since: context.stamp,
                priority: 0,
                milliseconds: Self.milliseconds(command.wait),
                sequence: command.sequence ?? 0,
                permits: 0,
                kind: .lock,
                isConversion: true,
                value: []
            ),
            into: &effects
        )
        let place = places.insert(
            PlaceRecord(wait: wait, object: object, hold: hold, mode: command.mode, isConversion: true)
        )
        waits[wait].firstPlace = place
        enterLine(place)
        reportQueued(place, into: &effects)
        breakDeadlocks(through: session, context, into: &effects)
        return nil
    }

    /// The place of a conversion to exclusive that waits on this object.
    private func waitingUpgrade(on object: Slot) -> Slot? {
        let detail = objects[object].detail
        guard detail != noSlot, details[detail].lastConversion != noSlot else { return nil }
        var place = details[detail].firstPlace
        while place != noSlot, places[place].isConversion {
            if places[place].mode == .exclusive { return place }
            place = places[place].next
        }
        return nil
    }

    private mutating func endSharedUpgrades(on object: Slot, own: CycleEdge, into effects: inout LockEffects) {
        let detail = objects[object].detail
        guard detail != noSlot else { return }
        var place = details[detail].firstPlace
        while place != noSlot, places[place].isConversion {
            let next = places[place].next
            if holds[places[place].hold].mode == .shared {
                abort(places[place].wait, cycle: [edge(of: place), own], into: &effects)
            }
            place = next
        }
    }
}
