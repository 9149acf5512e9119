// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// The time a shard's leader keeps for its sessions, timed waits and lock-delays: its memory only, never replicated
/// (DESIGN §5, "Sessions"; the scheme is Chubby's, OSDI'06 §2.8).
///
/// Time running out changes nothing by itself: `due` hands out commands to propose. They carry the leader's term and do
/// nothing in an entry of another, so a deposed leader can end nobody's session. A command handed out and not seen
/// applied is handed out again after a second, because a proposal can get lost; applying it twice does no harm.
///
/// Renewing costs one table write: the heap keeps the old deadline and is put right when that comes up.
package struct LockTimekeeper: Sendable {
    private struct Lease {
        var deadline: Instant
        var ttl: Interval
        var opened: LogIndex
        var isExpiring = false
    }

    private struct Delay {
        var deadline: Instant
        var began: LogIndex
    }

    private struct ObjectKey: Hashable {
        var namespace: Name
        var name: Name
    }

    private enum Key {
        case session(SessionID, opened: LogIndex)
        case wait(RequestID)
        case delay(ObjectKey)
    }

    /// How long after handing out a command it is handed out again.
    private static var retryInterval: Interval { .milliseconds(1_000) }
    private static let shortestTrim = 1_024

    private var term: Term?
    private var leases = LookupTable<SessionID, Lease>()
    private var waits = LookupTable<RequestID, Instant>()
    private var delays = LookupTable<ObjectKey, Delay>()
    private var heap = TimerHeap<Key>()
    private var trimAt = Self.shortestTrim

    package init() {}

    /// Begins a term. What the last leader had granted is unknown, so everybody gets the whole time again: every
    /// session its TTL, every timed wait its wait, every lock-delay its delay.
    package mutating func lead(_ state: LockState, term: Term, now: Instant) {
        stopLeading()
        self.term = term
        state.forEachTimer { keep($0, now) }
    }

    package mutating func stopLeading() { self = LockTimekeeper() }

    package var isLeading: Bool { term != nil }

    /// Takes note of what applying brought about. Ignored while not leading.
    package mutating func observe(_ timers: [LockTimer], now: Instant) {
        guard term != nil else { return }
        for timer in timers { keep(timer, now) }
        if heap.count >= trimAt { trim() }
    }

    /// What has ended stays in the heap until its deadline, which may be days away: when that is most of it, it goes.
    private mutating func trim() {
        heap.filter { key in
            switch key {
            case .session(let session, let opened): leases[session]?.opened == opened
            case .wait(let request): waits[request] != nil
            case .delay(let object): delays[object] != nil
            }
        }
        trimAt = max(Self.shortestTrim, heap.count * 2)
    }

    /// Entries of the heap, dead ones included.
    package var heapCount: Int { heap.count }

    private mutating func keep(_ timer: LockTimer, _ now: Instant) {
        switch timer {
        case .sessionOpened(let session, let opened, let milliseconds):
            let ttl = Interval.milliseconds(milliseconds)
            leases[session] = Lease(deadline: now + ttl, ttl: ttl, opened: opened)
            heap.insert(.session(session, opened: opened), at: now + ttl)
        case .sessionEnded(let session): leases.removeValue(forKey: session)
        case .waitBegan(let request, let milliseconds):
            let deadline = now + .milliseconds(milliseconds)
            waits[request] = deadline
            heap.insert(.wait(request), at: deadline)
        case .waitEnded(let request): waits.removeValue(forKey: request)
        case .lockDelayBegan(let namespace, let name, let began, let milliseconds):
            let key = ObjectKey(namespace: namespace, name: name)
            let deadline = now + .milliseconds(milliseconds)
            delays[key] = Delay(deadline: deadline, began: began)
            heap.insert(.delay(key), at: deadline)
        case .lockDelayEnded(let namespace, let name):
            delays.removeValue(forKey: ObjectKey(namespace: namespace, name: name))
        }
    }

    /// Grants the session its TTL from `now` on and returns it in milliseconds. The caller must have confirmed its
    /// leadership for a moment not before the renewal came in. Nil when the session is unknown, and while its expiry is
    /// proposed (`isExpiring`): then wait for what comes of that before answering.
    package mutating func renew(_ session: SessionID, now: Instant) -> UInt64? {
        guard var lease = leases[session], !lease.isExpiring else { return nil }
        lease.deadline = max(lease.deadline, now + lease.ttl)
        leases[session] = lease
        return lease.ttl.milliseconds
    }

    /// Its expiry has been handed out and is not applied yet.
    package func isExpiring(_ session: SessionID) -> Bool { leases[session]?.isExpiring ?? false }

    /// The time the session has left; nil when it is unknown or no leader is asked.
    package func remaining(_ session: SessionID, now: Instant) -> Interval? {
        leases[session].map { $0.isExpiring ? .zero : $0.deadline.since(now) }
    }

    /// When `due` may have something to say; it may turn out to have nothing.
    package var nextDeadline: Instant? { heap.earliest }

    /// Appends the commands whose time has come, to be proposed.
    package mutating func due(_ now: Instant, into commands: inout [LockCommand]) {
        guard let term else { return }
        while let key = heap.popDue(now) {
            switch key {
            case .session(let session, let opened):
                guard var lease = leases[session], lease.opened == opened else { continue }
                if !lease.isExpiring, lease.deadline > now {
                    heap.insert(key, at: lease.deadline)
                    continue
                }
                lease.isExpiring = true
                leases[session] = lease
                commands.append(.expireSession(session, opened: opened, term: term))
            case .wait(let request):
                guard waits[request] != nil else { continue }
                commands.append(.timeoutWait(request, term: term))
            case .delay(let object):
                guard let delay = delays[object] else { continue }
                // A later delay of the same lock has an entry of its own.
                guard delay.deadline <= now else { continue }
                commands.append(
                    .endLockDelay(namespace: object.namespace, name: object.name, began: delay.began, term: term)
                )
            }
            heap.insert(key, at: now + Self.retryInterval)
        }
    }
}

extension LockState {
    /// What a new leader has to keep time for, in slot order.
    func forEachTimer(_ body: (LockTimer) -> Void) {
        for slot in 0..<sessions.end where sessions.contains(slot) {
            #if PLANTED_BUGS
                if sessions[slot].isEnded { continue }
            #endif
            body(
                .sessionOpened(
                    sessions[slot].id,
                    opened: sessions[slot].opened,
                    ttlMilliseconds: UInt64(sessions[slot].ttlMilliseconds)
                )
            )
        }
        for slot in 0..<waits.end where waits.contains(slot) && waits[slot].milliseconds > 0 {
            body(.waitBegan(waits[slot].request, milliseconds: waits[slot].milliseconds))
        }
        for slot in 0..<details.end where details.contains(slot) && details[slot].delayMilliseconds > 0 {
            let object = objects[details[slot].object]
            body(
                .lockDelayBegan(
                    namespace: namespaces[object.namespace].name,
                    name: object.name,
                    began: details[slot].delayBegan,
                    milliseconds: UInt64(details[slot].delayMilliseconds)
                )
            )
        }
    }
}
