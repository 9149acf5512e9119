// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import Replica

/// An independent, simple account of one shard's locks, kept from what the log brought about. It knows no lists and
/// no slots; it only checks that each event is one that the rules of DESIGN §5 allow after all the events before it.
struct LockModel {
    struct Session {
        var id: SessionID
        var owner: Name
        var isOpen: Bool
        /// Counts its openings: an id may be used again.
        var generation = 1
    }

    struct Holder {
        var session: Int
        var mode: LockMode
        var token: UInt64
        /// Semaphores: permits, known once the answer is seen.
        var permits: UInt64
    }

    struct Waiter {
        var request: RequestID
        var session: Int
        var mode: LockMode
        var isConversion: Bool
        /// Semaphores: how many it wants.
        var permits: UInt64
        /// Log index at which it entered the line.
        var position: LogIndex
    }

    struct Object {
        var namespace: Name
        var name: Name
        var kind = ObjectKind.lock
        var limit: UInt64 = 1
        var holders: [Holder] = []
        /// Oldest first; conversions are not moved to the front here.
        var waiters: [Waiter] = []
        var lastToken: UInt64 = 0
        /// A lock-delay keeps it from everybody.
        var isDelayed = false
    }

    struct ObjectKey: Hashable {
        var namespace: Name
        var name: Name
    }

    private struct SequenceKey: Hashable {
        var session: Int
        var generation: Int
        var sequence: UInt64
    }

    let shard: Int
    private(set) var sessions: [Session] = []
    private(set) var objects: [Object] = []
    /// Waiting requests, places counted.
    private(set) var waiterCount = 0
    private var sessionIndex = LookupTable<SessionID, Int>()
    private var objectIndex = LookupTable<ObjectKey, Int>()
    /// What requests asked for, until they are answered.
    private var pending = LookupTable<RequestID, LockCommand>()
    /// The first result of each numbered request.
    private var results = LookupTable<SequenceKey, LockResponse>()
    /// What this entry has granted anew, and since when the request had stood in line.
    private var fresh: [(object: Int, session: Int, position: LogIndex)] = []

    init(shard: Int) { self.shard = shard }

    func session(_ id: SessionID) -> Int? { sessionIndex[id] }

    mutating func apply(_ outcome: Witness.Outcome, _ violations: inout ViolationLog) {
        if outcome.isDuplicate {
            violations.expect(
                outcome.effects.events.isEmpty,
                .exactlyOnce,
                "the retry of request \(outcome.envelope.request) took effect again at entry \(outcome.index)"
            )
            return
        }
        fresh.removeAll(keepingCapacity: true)
        guard case .lock(let command) = outcome.envelope.command else { return }
        pending[outcome.envelope.request] = command
        for timer in outcome.effects.timers { noteDelay(timer) }
        for event in outcome.effects.events { apply(event, outcome, &violations) }
        for (request, response) in outcome.effects.responses { answered(request, response, outcome, &violations) }
        checkOrder(outcome.index, &violations)
    }

    // MARK: Events

    private mutating func apply(_ event: LockEvent, _ outcome: Witness.Outcome, _ violations: inout ViolationLog) {
        switch event {
        case .sessionOpened(let id): opened(id, outcome.lock)
        case .sessionEnded(let id, _): ended(id, &violations)
        case .queued(let namespace, let name, let session, let mode):
            queued(namespace, name, session, mode, outcome, &violations)
        case .granted(let namespace, let name, let session, let mode, let token):
            granted(namespace, name, session, mode, token, outcome, &violations)
        case .released(let namespace, let name, let session):
            released(namespace, name, session, outcome.lock, &violations)
        case .deadlock(let namespace, let cycle, let victim):
            checkCycle(namespace, cycle, victim, outcome, &violations)
            removeWaiters(victim)
        case .broken: break
        }
    }

    private mutating func opened(_ id: SessionID, _ command: LockCommand?) {
        var owner = Name("")
        if case .openSession(let open) = command { owner = Name(open.owner) }
        if let known = sessionIndex[id] {
            let generation = sessions[known].generation + 1
            sessions[known] = Session(id: id, owner: owner, isOpen: true, generation: generation)
        } else {
            sessionIndex[id] = sessions.count
            sessions.append(Session(id: id, owner: owner, isOpen: true))
        }
    }

    private mutating func ended(_ id: SessionID, _ violations: inout ViolationLog) {
        guard let session = sessionIndex[id] else { return }
        sessions[session].isOpen = false
        for object in objects where object.holders.contains(where: { $0.session == session }) {
            violations.report(.sessionRules, "session \(id) has ended and still holds \(object.name)")
        }
    }

    private mutating func released(
        _ namespace: Name,
        _ name: Name,
        _ id: SessionID,
        _ command: LockCommand?,
        _ violations: inout ViolationLog
    ) {
        let object = intern(namespace, name)
        guard let session = sessionIndex[id],
            let place = objects[object].holders.firstIndex(where: { $0.session == session })
        else {
            violations.report(.lockExclusion, "\(id) released \(name), which it did not hold")
            return
        }
        // A semaphore says so too when only some of the permits come back.
        if case .release(let release) = command, release.session == id, release.name == name,
            release.kind == .semaphore, release.permits < objects[object].holders[place].permits
        {
            return
        }
        objects[object].holders.remove(at: place)
    }

    private mutating func noteDelay(_ timer: LockTimer) {
        switch timer {
        case .lockDelayBegan(let namespace, let name, _, _): objects[intern(namespace, name)].isDelayed = true
        case .lockDelayEnded(let namespace, let name): objects[intern(namespace, name)].isDelayed = false
        default: break
        }
    }

    private mutating func queued(
        _ namespace: Name,
        _ name: Name,
        _ id: SessionID,
        _ mode: LockMode,
        _ outcome: Witness.Outcome,
        _ violations: inout ViolationLog
    ) {
        let object = intern(namespace, name)
        guard let session = sessionIndex[id], sessions[session].isOpen else {
            violations.report(.sessionRules, "session \(id), which is not open, was put into the line of \(name)")
            return
        }
        var isConversion = false
        if case .lock(.convert) = outcome.envelope.command { isConversion = true }
        var permits: UInt64 = 1
        if case .lock(.acquire(let acquire)) = outcome.envelope.command { permits = acquire.permits }
        describe(object, outcome.lock)
        objects[object].waiters.append(
            Waiter(
                request: outcome.envelope.request,
                session: session,
                mode: mode,
                isConversion: isConversion,
                permits: permits,
                position: outcome.index
            )
        )
        waiterCount += 1
    }

    private mutating func granted(
        _ namespace: Name,
        _ name: Name,
        _ id: SessionID,
        _ mode: LockMode,
        _ token: UInt64,
        _ outcome: Witness.Outcome,
        _ violations: inout ViolationLog
    ) {
        let object = intern(namespace, name)
        guard let session = sessionIndex[id], sessions[session].isOpen else {
            violations.report(.sessionRules, "\(name) was granted to session \(id), which is not open")
            return
        }
        describe(object, outcome.lock)
        let own = objects[object].holders.firstIndex { $0.session == session }
        let isDowngrade =
            own.map { objects[object].kind == .lock && objects[object].holders[$0].mode.rawValue >= mode.rawValue }
            ?? false
        if isDowngrade, let own {
            violations.expect(
                token == objects[object].holders[own].token,
                .tokenOrder,
                "the downgrade of \(name) by \(id) changed its token to \(token)"
            )
        } else {
            violations.expect(
                token == outcome.index.rawValue && token >= objects[object].lastToken,
                .tokenOrder,
                "\(name) was granted at entry \(outcome.index) with token \(token) after token "
                    + "\(objects[object].lastToken)"
            )
            objects[object].lastToken = token
            violations.expect(
                !objects[object].isDelayed,
                .sessionRules,
                "\(name) was granted to \(id) during its lock-delay"
            )
            if own == nil || objects[object].kind == .semaphore {
                let waiter = objects[object].waiters.first { $0.session == session }
                fresh.append((object, session, waiter?.position ?? outcome.index))
            }
        }
        if let own {
            objects[object].holders[own].mode = mode
            objects[object].holders[own].token = token
        } else {
            objects[object].holders.append(Holder(session: session, mode: mode, token: token, permits: 0))
        }
        checkExclusion(object, session, mode, outcome.index, &violations)
    }

    private func checkExclusion(
        _ object: Int,
        _ session: Int,
        _ mode: LockMode,
        _ index: LogIndex,
        _ violations: inout ViolationLog
    ) {
        guard objects[object].kind != .semaphore else { return }
        for other in objects[object].holders where other.session != session && Self.excludes(other.mode, mode) {
            violations.report(
                .lockExclusion,
                "entry \(index) gave \(objects[object].name) in mode \(mode) to \(sessions[session].id) while "
                    + "\(sessions[other.session].id) holds it in mode \(other.mode)"
            )
        }
    }

    /// Kept apart from the core's own table: shared goes with shared and update, nothing else with anything.
    static func excludes(_ one: LockMode, _ other: LockMode) -> Bool {
        if one == .exclusive || other == .exclusive { return true }
        return one == .update && other == .update
    }

    // MARK: Answers

    private mutating func answered(
        _ request: RequestID,
        _ response: LockResponse,
        _ outcome: Witness.Outcome,
        _ violations: inout ViolationLog
    ) {
        let asked = pending.removeValue(forKey: request)
        if let asked, case .refused(.cancelled) = response, isTakenOver(asked, by: outcome.envelope) {
            rename(request, to: outcome.envelope.request)
            return
        }
        let isRepeated = asked.map { noteResult($0, response, outcome, &violations) } ?? false
        if !isRepeated, case .refused(.deadlock(let cycle)) = response, request == outcome.envelope.request {
            checkRefusal(cycle, outcome, &violations)
        }
        removeWaiters(request)
        switch (asked, response) {
        case (.acquire(let acquire), .granted(_, let holds)) where !isRepeated && acquire.kind == .semaphore:
            if let item = acquire.items.first { setPermits(acquire.session, item.name, holds, &violations) }
        case (.release(let release), .released(let left)) where !isRepeated && release.kind == .semaphore && left > 0:
            setPermits(release.session, release.name, left, &violations)
        default: break
        }
    }

    /// The retry of a numbered request takes over the wait that its first try began.
    private func isTakenOver(_ asked: LockCommand, by envelope: CommandEnvelope) -> Bool {
        switch (asked, envelope.command) {
        case (.acquire(let old), .lock(.acquire(let new))):
            old.sequence != nil && old.sequence == new.sequence && old.session == new.session
        case (.convert(let old), .lock(.convert(let new))):
            old.sequence != nil && old.sequence == new.sequence && old.session == new.session
        default: false
        }
    }

    private mutating func rename(_ old: RequestID, to new: RequestID) {
        for object in objects.indices {
            for waiter in objects[object].waiters.indices where objects[object].waiters[waiter].request == old {
                objects[object].waiters[waiter].request = new
            }
        }
    }

    private mutating func setPermits(
        _ id: SessionID,
        _ name: Name,
        _ permits: UInt64,
        _ violations: inout ViolationLog
    ) {
        let object = intern(id.namespace, name)
        guard let session = sessionIndex[id],
            let place = objects[object].holders.firstIndex(where: { $0.session == session })
        else { return }
        objects[object].holders[place].permits = permits
        let total = objects[object].holders.reduce(0) { $0 + $1.permits }
        violations.expect(
            total <= objects[object].limit,
            .lockExclusion,
            "semaphore \(name) of size \(objects[object].limit) has \(total) permits out"
        )
    }

    private func sequenceKey(_ command: LockCommand) -> SequenceKey? {
        let named: (session: SessionID, sequence: UInt64?)
        switch command {
        case .acquire(let acquire): named = (acquire.session, acquire.sequence)
        case .convert(let convert): named = (convert.session, convert.sequence)
        case .release(let release): named = (release.session, release.sequence)
        default: return nil
        }
        guard let sequence = named.sequence, let session = sessionIndex[named.session] else { return nil }
        return SequenceKey(session: session, generation: sessions[session].generation, sequence: sequence)
    }

    /// A numbered request takes effect at most once, and its retries hear what the first try brought.
    private mutating func noteResult(
        _ command: LockCommand,
        _ response: LockResponse,
        _ outcome: Witness.Outcome,
        _ violations: inout ViolationLog
    ) -> Bool {
        guard let key = sequenceKey(command) else { return false }
        switch response {
        case .refused(.noSession), .refused(.staleSequence): return true
        default: break
        }
        guard let first = results[key] else {
            results[key] = response
            return false
        }
        violations.expect(
            first == response && outcome.effects.events.isEmpty,
            .exactlyOnce,
            "request \(key.sequence) of \(sessions[key.session].id) brought \(first), and at entry "
                + "\(outcome.index) \(response)"
        )
        return true
    }

    // MARK: Order

    /// Nobody overtakes: whoever is granted, no older request is left in the line.
    private func checkOrder(_ index: LogIndex, _ violations: inout ViolationLog) {
        for (object, session, position) in fresh {
            for waiter in objects[object].waiters where waiter.position < position {
                violations.report(
                    .lockExclusion,
                    "entry \(index) granted \(objects[object].name) to \(sessions[session].id) past the older request "
                        + "\(waiter.request) of \(sessions[waiter.session].id)"
                )
            }
        }
    }

    private mutating func removeWaiters(_ request: RequestID) {
        guard waiterCount > 0 else { return }
        for object in objects.indices where !objects[object].waiters.isEmpty {
            let before = objects[object].waiters.count
            objects[object].waiters.removeAll { $0.request == request }
            waiterCount -= before - objects[object].waiters.count
        }
    }

    // MARK: Tables

    mutating func intern(_ namespace: Name, _ name: Name) -> Int {
        let key = ObjectKey(namespace: namespace, name: name)
        if let known = objectIndex[key] { return known }
        objectIndex[key] = objects.count
        objects.append(Object(namespace: namespace, name: name))
        return objects.count - 1
    }

    /// What kind of object a name is while it exists follows from the request that made it.
    private mutating func describe(_ object: Int, _ command: LockCommand?) {
        guard objects[object].holders.isEmpty, objects[object].waiters.isEmpty, case .acquire(let acquire) = command,
            acquire.items.contains(where: { $0.name == objects[object].name })
        else { return }
        objects[object].kind = acquire.kind
        objects[object].limit = acquire.kind == .semaphore ? acquire.limit : 1
    }
}
