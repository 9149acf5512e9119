// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// The time a shard's leader keeps for its queues: its memory only, never replicated (DESIGN §6).
///
/// Time running out changes nothing by itself: `due` hands out commands to propose. They carry the leader's term and do
/// nothing in an entry of another. A command handed out and not seen applied is handed out again after a second,
/// because a proposal can get lost; applying it twice does no harm.
///
/// Consumers live by the leader's own clock, as sessions do, and a new leader grants each its whole TTL. Everything
/// else runs out by the stamps in the log, so the state knows when a tick has something to do and this only compares.
/// The first command of a new term gives all leases a grace (`QueueLimits.leaseGraceMilliseconds`).
package struct QueueTimekeeper: Sendable {
    private struct Lease {
        var deadline: Instant
        var ttl: Interval
        var opened: LogIndex
        var isExpiring = false
    }

    private struct Key {
        var consumer: Name
        var opened: LogIndex
    }

    /// How long after handing out a command it is handed out again.
    private static var retryInterval: Interval { .milliseconds(1_000) }

    /// Cluster time goes on from the last stamp in the log when leadership moves. While something is pending a tick
    /// goes into the log this often, so that a delay loses no more than this by a change of leader.
    private static var stampInterval: Interval { .milliseconds(5_000) }

    private var term: Term?
    private var leases = LookupTable<Name, Lease>()
    private var heap = TimerHeap<Key>()
    /// The first stamp at which a tick has something to do.
    private var dueStamp: UInt64?
    /// A tick handed out before this is still awaited.
    private var tickRetry: Instant?
    private var lastTick: Instant = .zero

    package init() {}

    /// Begins a term. What the last leader had granted is unknown, so every consumer gets its whole TTL again.
    package mutating func lead(_ state: QueueState, term: Term, now: Instant) {
        stopLeading()
        self.term = term
        dueStamp = state.nextDue
        lastTick = now
        state.forEachConsumer { keep($0, now) }
    }

    package mutating func stopLeading() { self = QueueTimekeeper() }

    package var isLeading: Bool { term != nil }

    /// Takes note of what applying brought about. Ignored while not leading.
    package mutating func observe(_ timers: [QueueTimer], now: Instant) {
        guard term != nil else { return }
        for timer in timers { keep(timer, now) }
    }

    private mutating func keep(_ timer: QueueTimer, _ now: Instant) {
        switch timer {
        case .consumerOpened(let consumer, let opened, let milliseconds):
            let ttl = Interval.milliseconds(milliseconds)
            leases[consumer] = Lease(deadline: now + ttl, ttl: ttl, opened: opened)
            heap.insert(Key(consumer: consumer, opened: opened), at: now + ttl)
        case .consumerEnded(let consumer): leases.removeValue(forKey: consumer)
        case .due(let stamp): dueStamp = stamp
        case .ticked:
            tickRetry = nil
            lastTick = now
        }
    }

    /// Grants the consumer its TTL from `now` on and returns it in milliseconds. The caller must have confirmed its
    /// leadership for a moment not before the renewal came in. Nil when the consumer is unknown, and while its expiry
    /// is proposed (`isExpiring`): then wait for what comes of that before answering.
    package mutating func renew(_ consumer: Name, now: Instant) -> UInt64? {
        guard var lease = leases[consumer], !lease.isExpiring else { return nil }
        lease.deadline = max(lease.deadline, now + lease.ttl)
        leases[consumer] = lease
        return lease.ttl.milliseconds
    }

    /// Its expiry has been handed out and is not applied yet.
    package func isExpiring(_ consumer: Name) -> Bool { leases[consumer]?.isExpiring ?? false }

    /// The time the consumer has left; nil when it is unknown or no leader is asked.
    package func remaining(_ consumer: Name, now: Instant) -> Interval? {
        leases[consumer].map { $0.isExpiring ? .zero : $0.deadline.since(now) }
    }

    /// When `due` may have something to say, if cluster time is `stamp` (milliseconds) at `now` and runs at the same
    /// rate; it may turn out to have nothing.
    package func nextDeadline(now: Instant, stamp: UInt64) -> Instant? {
        guard term != nil else { return nil }
        var next = heap.earliest
        if let dueStamp {
            let wait = Interval.milliseconds(dueStamp - min(dueStamp, stamp))
            let tick = tickRetry ?? min(now + wait, lastTick + Self.stampInterval)
            next = next.map { min($0, tick) } ?? tick
        }
        return next
    }

    /// Appends the commands whose time has come, to be proposed. `stamp` is cluster time at `now`: the entries will
    /// carry this or a later one.
    package mutating func due(_ now: Instant, stamp: UInt64, into commands: inout [QueueCommand]) {
        guard let term else { return }
        while let key = heap.popDue(now) {
            guard var lease = leases[key.consumer], lease.opened == key.opened else { continue }
            if !lease.isExpiring, lease.deadline > now {
                heap.insert(key, at: lease.deadline)
                continue
            }
            lease.isExpiring = true
            leases[key.consumer] = lease
            commands.append(.expireConsumer(key.consumer, opened: key.opened, term: term))
            heap.insert(key, at: now + Self.retryInterval)
        }
        guard let dueStamp, tickRetry.map({ $0 <= now }) ?? true else { return }
        guard dueStamp <= stamp || lastTick + Self.stampInterval <= now else { return }
        commands.append(.tick(term: term))
        tickRetry = now + Self.retryInterval
    }
}

extension QueueState {
    /// What a new leader has to keep time for, in slot order.
    func forEachConsumer(_ body: (QueueTimer) -> Void) {
        for slot in 0..<consumers.end where consumers.contains(slot) {
            body(
                .consumerOpened(
                    consumers[slot].id,
                    opened: consumers[slot].opened,
                    ttlMilliseconds: UInt64(consumers[slot].ttlMilliseconds)
                )
            )
        }
    }
}
