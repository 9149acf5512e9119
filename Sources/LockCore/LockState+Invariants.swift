// SPDX-License-Identifier: Apache-2.0
import Primitives

extension LockState {
    /// Ends the process when the state contradicts itself. Time proportional to the state: for tests and simulation,
    /// between commands.
    package func checkInvariants() {
        if let fault = inconsistency() { invariantFailure("lock state: \(fault)") }
        for slot in 0..<waits.end where waits.contains(slot) {
            var graph = WaitGraph(self, around: waits[slot].session)
            invariant(graph.cycle(self) == nil, "lock state: an undetected deadlock")
        }
    }

    /// What is wrong with the state; nil when nothing is. Safe on any content, so that snapshots are checked with it.
    func inconsistency() -> String? {
        faultyReference() ?? faultyObjects() ?? faultySessions() ?? faultyWaits() ?? faultyLines() ?? faultyCounts()
            ?? stuckLine()
    }

    /// Every slot that a record names is that of a live record, or none where none is allowed.
    private func faultyReference() -> String? {
        func orNone<Record>(_ slot: Slot, _ table: Slots<Record>) -> Bool { slot == noSlot || table.contains(slot) }
        for slot in 0..<objects.end where objects.contains(slot) {
            let record = objects[slot]
            guard namespaces.contains(record.namespace), orNone(record.firstHold, holds), record.holdCount >= 0 else {
                return "object \(slot) refers to nothing"
            }
            guard orNone(record.detail, details), record.detail == noSlot || details[record.detail].object == slot
            else {
                return "object \(slot) and its detail disagree"
            }
        }
        for slot in 0..<details.end where details.contains(slot) {
            let record = details[slot]
            guard objects.contains(record.object), objects[record.object].detail == slot,
                orNone(record.firstPlace, places), orNone(record.lastPlace, places),
                orNone(record.lastConversion, places)
            else { return "detail \(slot) refers to nothing" }
        }
        for slot in 0..<holds.end where holds.contains(slot) {
            let record = holds[slot]
            guard objects.contains(record.object), sessions.contains(record.session),
                orNone(record.nextInObject, holds),
                holds.contains(record.previousInObject), orNone(record.nextInSession, holds),
                orNone(record.previousInSession, holds), record.count > 0
            else { return "hold \(slot) refers to nothing" }
        }
        for slot in 0..<sessions.end where sessions.contains(slot) {
            let record = sessions[slot]
            guard namespaces.contains(record.namespace), orNone(record.owner, owners),
                orNone(record.nextOfOwner, sessions), orNone(record.previousOfOwner, sessions),
                orNone(record.firstHold, holds), orNone(record.firstWait, waits)
            else { return "session \(slot) refers to nothing" }
        }
        for slot in 0..<waits.end where waits.contains(slot) {
            let record = waits[slot]
            guard sessions.contains(record.session), places.contains(record.firstPlace),
                orNone(record.nextInSession, waits), orNone(record.previousInSession, waits)
            else { return "wait \(slot) refers to nothing" }
        }
        for slot in 0..<places.end where places.contains(slot) {
            let record = places[slot]
            guard waits.contains(record.wait), objects.contains(record.object), orNone(record.hold, holds),
                orNone(record.next, places), orNone(record.previous, places), orNone(record.nextInWait, places),
                !record.isConversion || record.hold != noSlot
            else { return "place \(slot) refers to nothing" }
        }
        for slot in 0..<owners.end where owners.contains(slot) {
            guard sessions.contains(owners[slot].firstSession) else { return "owner \(slot) refers to nothing" }
        }
        return nil
    }

    /// The holds of each object form its list, are compatible, and agree with its flags and counts.
    private func faultyObjects() -> String? {
        var seen = 0
        for slot in 0..<objects.end where objects.contains(slot) {
            let object = objects[slot]
            var shared: Int32 = 0
            var update: Int32 = 0
            var exclusive: Int32 = 0
            var permits: UInt64 = 0
            var previous = noSlot
            var hold = object.firstHold
            while hold != noSlot {
                let record = holds[hold]
                seen += 1
                guard record.object == slot, seen <= holds.count,
                    previous == noSlot || record.previousInObject == previous
                else { return "holds of object \(slot) are linked wrongly" }
                switch record.mode {
                case .shared: shared += 1
                case .update: update += 1
                case .exclusive: exclusive += 1
                }
                permits &+= UInt64(record.count)
                previous = hold
                hold = record.nextInObject
            }
            guard object.firstHold == noSlot || holds[object.firstHold].previousInObject == previous else {
                return "the last hold of object \(slot) is linked wrongly"
            }
            guard shared + update + exclusive == object.holdCount, update <= 1, exclusive <= 1,
                exclusive == 0 || object.holdCount == 1
            else { return "object \(slot) has conflicting holders" }
            guard object.hasUpdate == (update == 1), object.hasExclusive == (exclusive == 1) else {
                return "object \(slot) has wrong flags"
            }
            if let fault = faultyDetail(slot, permits) { return fault }
        }
        return seen == holds.count ? nil : "a hold is in no object's list"
    }

    private func faultyDetail(_ slot: Slot, _ permits: UInt64) -> String? {
        let object = objects[slot]
        guard object.detail != noSlot else {
            if object.kind != .lock { return "object \(slot) lacks its detail" }
            return object.holdCount > 0 ? nil : "object \(slot) is idle and not freed"
        }
        let detail = details[object.detail]
        if object.kind == .semaphore, detail.permitsInUse != permits || permits > detail.limit {
            return "semaphore \(slot) has given \(permits) permits of \(detail.limit)"
        }
        let isNeeded =
            detail.waiterCount > 0 || detail.delayMilliseconds > 0 || (object.kind != .lock && object.holdCount > 0)
        return isNeeded ? nil : "object \(slot) keeps a detail it does not need"
    }

    private func faultySessions() -> String? {
        var seenHolds = 0
        var seenWaits = 0
        for slot in 0..<sessions.end where sessions.contains(slot) {
            var previous = noSlot
            var hold = sessions[slot].firstHold
            var count: Int32 = 0
            var contended: Int32 = 0
            while hold != noSlot {
                seenHolds += 1
                count += 1
                if hasLine(holds[hold].object) { contended += 1 }
                guard holds[hold].session == slot, holds[hold].previousInSession == previous, seenHolds <= holds.count
                else { return "holds of session \(slot) are linked wrongly" }
                previous = hold
                hold = holds[hold].nextInSession
            }
            guard count == sessions[slot].holdCount, contended == sessions[slot].contendedHolds else {
                return "session \(slot) counts its holds wrongly"
            }
            previous = noSlot
            count = 0
            var wait = sessions[slot].firstWait
            while wait != noSlot {
                seenWaits += 1
                count += 1
                guard waits[wait].session == slot, waits[wait].previousInSession == previous, seenWaits <= waits.count
                else { return "waits of session \(slot) are linked wrongly" }
                previous = wait
                wait = waits[wait].nextInSession
            }
            guard count == sessions[slot].waitCount else { return "session \(slot) counts its waits wrongly" }
        }
        return seenHolds == holds.count && seenWaits == waits.count ? nil : "a hold or wait is in no session's list"
    }

    private func faultyWaits() -> String? {
        var seen = 0
        for slot in 0..<waits.end where waits.contains(slot) {
            let wait = waits[slot]
            var place = wait.firstPlace
            var inLine = 0
            while place != noSlot {
                let record = places[place]
                seen += 1
                guard record.wait == slot, seen <= places.count, record.isConversion == wait.isConversion else {
                    return "places of wait \(slot) are linked wrongly"
                }
                if record.isInLine { inLine += 1 }
                if record.hold != noSlot,
                    holds[record.hold].session != wait.session || holds[record.hold].object != record.object
                {
                    return "wait \(slot) builds on another's hold"
                }
                guard objects[record.object].kind == wait.kind,
                    objects[record.object].namespace == sessions[wait.session].namespace
                else { return "wait \(slot) waits for another kind of object" }
                place = record.nextInWait
            }
            let isSingle = wait.isConversion || wait.kind != .lock
            guard inLine > 0, !isSingle || places[wait.firstPlace].nextInWait == noSlot else {
                return "wait \(slot) has \(inLine) places in lines"
            }
            guard wait.kind != .semaphore || wait.permits > 0 else { return "wait \(slot) wants no permits" }
        }
        return seen == places.count ? nil : "a place belongs to no wait"
    }

    /// Lines are linked both ways, conversions in front; every place that stands in a line stands in its object's.
    private func faultyLines() -> String? {
        var seen = 0
        for slot in 0..<details.end where details.contains(slot) {
            let detail = details[slot]
            var previous = noSlot
            var lastConversion = noSlot
            var count: Int32 = 0
            var place = detail.firstPlace
            while place != noSlot {
                let record = places[place]
                seen += 1
                count += 1
                guard record.object == detail.object, record.previous == previous, record.isInLine, seen <= places.count
                else { return "the line of object \(detail.object) is linked wrongly" }
                if record.isConversion {
                    guard lastConversion == previous else { return "a conversion stands behind a plain request" }
                    lastConversion = place
                }
                previous = place
                place = record.next
            }
            guard detail.lastPlace == previous, detail.lastConversion == lastConversion, detail.waiterCount == count
            else {
                return "the line of object \(detail.object) is counted wrongly"
            }
        }
        var inLine = 0
        for slot in 0..<places.end where places.contains(slot) && places[slot].isInLine { inLine += 1 }
        return seen == inLine ? nil : "a place stands in no line"
    }

    private func faultyCounts() -> String? {
        var sessionCounts = Array(repeating: Int32(0), count: Int(namespaces.end))
        var objectCounts = sessionCounts
        var owned = 0
        for slot in 0..<sessions.end where sessions.contains(slot) {
            sessionCounts[Int(sessions[slot].namespace)] += 1
            if sessions[slot].owner != noSlot { owned += 1 }
        }
        for slot in 0..<objects.end where objects.contains(slot) { objectCounts[Int(objects[slot].namespace)] += 1 }
        for slot in 0..<namespaces.end where namespaces.contains(slot) {
            let record = namespaces[slot]
            guard record.sessions == sessionCounts[Int(slot)], record.objects == objectCounts[Int(slot)],
                record.sessions > 0 || record.objects > 0
            else { return "namespace \(slot) is counted wrongly" }
        }
        var seen = 0
        for slot in 0..<owners.end where owners.contains(slot) {
            var previous = noSlot
            var session = owners[slot].firstSession
            while session != noSlot {
                seen += 1
                guard sessions[session].owner == slot, sessions[session].previousOfOwner == previous, seen <= owned
                else { return "sessions of owner \(slot) are linked wrongly" }
                previous = session
                session = sessions[session].nextOfOwner
            }
        }
        return seen == owned ? nil : "a session is in no owner's list"
    }

    /// Nobody waits who could be served.
    private func stuckLine() -> String? {
        for slot in 0..<objects.end where objects.contains(slot) && grantableHead(of: slot) != nil {
            return "the head of the line of object \(slot) could be granted"
        }
        return dirty.isEmpty ? nil : "lines were left unmoved"
    }
}
