// SPDX-License-Identifier: Apache-2.0
import Primitives

extension LockState {
    mutating func release(_ command: Release, _ context: ApplyContext, into effects: inout LockEffects) {
        guard let session = findSession(command.session) else {
            respond(.refused(.noSession(command.session)), context, into: &effects)
            return
        }
        let sequence = command.sequence ?? 0
        if answersRetry(session, sequence, .none, context, into: &effects) { return }
        let response = attempt(command, session, into: &effects)
        answer(session, sequence, response, context, into: &effects)
    }

    private mutating func attempt(
        _ command: Release,
        _ session: Slot,
        into effects: inout LockEffects
    ) -> LockResponse {
        guard let object = findObject(sessions[session].namespace, command.name) else {
            return .refused(.notHeld(command.name))
        }
        guard objects[object].kind == command.kind else {
            return .refused(.wrongKind(command.name, objects[object].kind))
        }
        guard let hold = hold(of: session, on: object) else { return .refused(.notHeld(command.name)) }
        let given = command.kind == .semaphore ? UInt32(clamping: command.permits) : 1
        guard given <= holds[hold].count else {
            return .refused(.invalid("the session holds \(holds[hold].count) permits"))
        }
        guard given < holds[hold].count else {
            removeHold(hold, into: &effects)
            return .released(left: 0)
        }
        holds[hold].count -= given
        if command.kind == .semaphore {
            details[objects[object].detail].permitsInUse -= UInt64(given)
            dirty.append(object)
            if ownedWaits > 0 { ownerWaitsVersion &+= 1 }
            effects.events.append(
                .released(
                    namespace: namespaces[objects[object].namespace].name,
                    name: command.name,
                    session: command.session
                )
            )
        }
        return .released(left: UInt64(holds[hold].count))
    }

    /// Forced release: whoever holds it holds it no longer, a lock-delay ends, and the line moves on under higher
    /// tokens. Those who wait keep their places, except a holder that waited to convert what it has lost.
    mutating func breakLock(
        _ namespace: Name,
        _ name: Name,
        _ reason: String,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) {
        guard let object = findObject(namespace: namespace, name: name) else {
            respond(.broken(holders: 0), context, into: &effects)
            return
        }
        let count = UInt64(objects[object].holdCount)
        effects.events.append(.broken(namespace: namespace, name: name, reason: reason))
        while objects[object].firstHold != noSlot { removeHold(objects[object].firstHold, into: &effects) }
        endDelay(object, into: &effects)
        respond(.broken(holders: count), context, into: &effects)
    }
}
