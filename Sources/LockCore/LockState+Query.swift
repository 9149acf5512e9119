// SPDX-License-Identifier: Apache-2.0
import Primitives

// Reads. None changes anything; ages are counted to `stamp`, the cluster time of the newest applied entry.

extension LockState {
    package func query(_ query: LockQuery, stamp: UInt64) -> LockResponse {
        switch query {
        case .session(let id):
            return .session(findSession(id).map { view(ofSession: $0, stamp) })
        case .sessions(let namespace, let cursor, let limit):
            return listSessions(namespace, cursor, limit, stamp)
        case .object(let namespace, let name):
            guard let object = findObject(namespace: namespace, name: name) else { return .object(nil) }
            return .object(view(of: object, stamp, limit: LockLimits.viewedHolders))
        case .list(let namespace, let prefix, let cursor, let limit):
            return list(namespace, prefix, cursor, limit, stamp)
        case .check(let namespace, let name, let token):
            return .check(isCurrent(token, namespace, name))
        case .electionLeader(let namespace, let name):
            guard let object = findObject(namespace: namespace, name: name) else { return .noElectionLeader }
            guard objects[object].kind == .election else {
                return .refused(.wrongKind(name, objects[object].kind))
            }
            let hold = objects[object].firstHold
            guard hold != noSlot else { return .noElectionLeader }
            return .electionLeader(
                sessions[holds[hold].session].id,
                value: details[objects[object].detail].value,
                token: holds[hold].token
            )
        }
    }

    private func isCurrent(_ token: UInt64, _ namespace: Name, _ name: Name) -> Bool {
        guard let object = findObject(namespace: namespace, name: name) else { return false }
        var hold = objects[object].firstHold
        while hold != noSlot {
            if holds[hold].token == token { return true }
            hold = holds[hold].nextInObject
        }
        return false
    }

    // Listings walk slots, like Redis' SCAN: what is there throughout is listed once, what comes or goes meanwhile may
    // or may not be. A page looks at a bounded number of slots, so it may be short, even empty, before the end.

    private func list(_ namespace: Name, _ prefix: String, _ cursor: UInt64, _ limit: Int, _ stamp: UInt64)
        -> LockResponse
    {
        guard let space = findNamespace(namespace) else { return .list([], cursor: 0) }
        var views: [ObjectView] = []
        let next = page(cursor, end: objects.end) { slot in
            let record = objects[slot]
            guard record.namespace == space, Self.hasPrefix(record.name, prefix) else { return true }
            views.append(view(of: slot, stamp, limit: LockLimits.viewedInList))
            return views.count < Self.pageLimit(limit)
        }
        return .list(views, cursor: next)
    }

    private func listSessions(_ namespace: Name, _ cursor: UInt64, _ limit: Int, _ stamp: UInt64) -> LockResponse {
        guard let space = findNamespace(namespace) else { return .sessions([], cursor: 0) }
        var views: [SessionView] = []
        let next = page(cursor, end: sessions.end) { slot in
            guard sessions[slot].namespace == space else { return true }
            views.append(view(ofSession: slot, stamp, limit: LockLimits.viewedInList))
            return views.count < Self.pageLimit(limit)
        }
        return .sessions(views, cursor: next)
    }

    private static func pageLimit(_ limit: Int) -> Int { min(max(limit, 1), LockLimits.pageEntries) }

    /// Visits slots from `cursor` until `body` is false, the page's bound or the end; returns where to go on, or 0.
    private func page(_ cursor: UInt64, end: Slot, _ body: (Slot) -> Bool) -> UInt64 {
        guard cursor < UInt64(end) else { return 0 }
        var slot = Slot(cursor)
        let last = min(Int(end), Int(slot) + LockLimits.pageVisits)
        while Int(slot) < last {
            let goesOn = body(slot)
            slot += 1
            if !goesOn { break }
        }
        return slot < end ? UInt64(slot) : 0
    }

    private static func hasPrefix(_ name: Name, _ prefix: String) -> Bool {
        name.text.utf8.starts(with: prefix.utf8)
    }

    // Views

    func view(ofSession session: Slot, _ stamp: UInt64, limit: Int = LockLimits.viewedHolders) -> SessionView {
        let record = sessions[session]
        var held: [Name] = []
        var hold = record.firstHold
        while hold != noSlot, held.count < limit {
            held.append(objects[holds[hold].object].name)
            hold = holds[hold].nextInSession
        }
        var waiting: [Name] = []
        var wait = record.firstWait
        while wait != noSlot, waiting.count < limit {
            var place = waits[wait].firstPlace
            while place != noSlot {
                if places[place].isInLine { waiting.append(objects[places[place].object].name) }
                place = places[place].nextInWait
            }
            wait = waits[wait].nextInSession
        }
        return SessionView(
            id: record.id,
            label: record.label,
            owner: ownerName(of: session)?.text ?? "",
            ttlMilliseconds: UInt64(record.ttlMilliseconds),
            lockDelayMilliseconds: UInt64(record.lockDelayMilliseconds),
            held: held.reversed(),
            waiting: waiting.reversed(),
            ageMilliseconds: Self.age(record.since, stamp),
            heldCount: UInt64(record.holdCount)
        )
    }

    func view(of object: Slot, _ stamp: UInt64, limit: Int) -> ObjectView {
        let record = objects[object]
        var view = ObjectView(
            namespace: namespaces[record.namespace].name,
            name: record.name,
            kind: record.kind,
            holders: holderViews(object, stamp: stamp, limit: limit),
            holderCount: UInt64(record.holdCount)
        )
        guard record.detail != noSlot else { return view }
        let detail = details[record.detail]
        view.limit = detail.limit
        view.value = detail.value
        view.isDelayed = detail.delayMilliseconds > 0
        view.waiterCount = UInt64(detail.waiterCount)
        var place = detail.firstPlace
        while place != noSlot, view.waiters.count < limit {
            let wait = places[place].wait
            let session = waits[wait].session
            view.waiters.append(
                WaiterView(
                    session: sessions[session].id,
                    label: sessions[session].label,
                    mode: places[place].mode,
                    request: waits[wait].request,
                    isConversion: places[place].isConversion,
                    ageMilliseconds: Self.age(waits[wait].since, stamp)
                )
            )
            place = places[place].next
        }
        return view
    }

    func holderViews(
        _ object: Slot,
        stamp: UInt64,
        limit: Int = LockLimits.viewedInList,
        except session: Slot = noSlot
    ) -> [HolderView] {
        var views: [HolderView] = []
        var hold = objects[object].firstHold
        while hold != noSlot, views.count < limit {
            let record = holds[hold]
            if record.session != session {
                views.append(
                    HolderView(
                        session: sessions[record.session].id,
                        label: sessions[record.session].label,
                        mode: record.mode,
                        token: record.token,
                        count: UInt64(record.count),
                        ageMilliseconds: Self.age(record.since, stamp)
                    )
                )
            }
            hold = record.nextInObject
        }
        return views
    }

    static func age(_ since: UInt64, _ stamp: UInt64) -> UInt64 { stamp > since ? stamp - since : 0 }
}
