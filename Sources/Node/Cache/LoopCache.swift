// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Gateway
import LockCore
import NIOCore
import Primitives
import RaftCore
import Replica
import Synchronization

/// One loop's door to the node's cache, and the loop's part in the protocol: it steps the requestors of its shards.
///
/// Confined to its loop, as `ShardLoop` is.
final class LoopCache {
    unowned let loop: ShardLoop
    let cache: NodeCache
    var effects = RequestorEffects()
    var callers = SlotTable<(CacheCallResult) -> Void>()
    var tracking = TrackerTable()
    var inspections: [UInt64: Inspection] = [:]
    var flushes: [UInt64: FlushInquiry] = [:]
    var nextTicket: UInt64 = 1
    var keeper: LeaseKeeper?
    var counts = LoopCacheCounts()
    var isShedding = false
    /// Writes that wait for this node's disk, and until when.
    var unanswered: [UInt64: Instant] = [:]
    /// Those of them that wait for the log, since the disk has no room.
    var unjournalled: [CacheKey: [Unjournalled]] = [:]

    init(loop: ShardLoop, cache: NodeCache) {
        self.loop = loop
        self.cache = cache
    }

    func owner(_ shard: ShardID) -> ShardLoop { loop.context.loop(ofCacheShard: shard) }

    // MARK: Steps of this loop's requestors

    /// Steps a requestor and carries out what it wants.
    func step(_ stripe: CacheStripe, _ body: (inout CacheRequestor, inout RequestorEffects) -> Void) {
        var effects = RequestorEffects()
        swap(&effects, &self.effects)
        let (summary, from, epoch, home) = stripe.requestor.withLock { requestor in
            requestor.tick = cache.clock.load(ordering: .relaxed)
            body(&requestor, &effects)
            let used = requestor.tick
            if used > cache.clock.load(ordering: .relaxed) { cache.clock.store(used, ordering: .relaxed) }
            return (requestor.lines.summary, requestor.member, requestor.epoch, requestor.home)
        }
        if let from, let home {
            for request in effects.send { send(request, stripe.shard, from, epoch, to: home) }
        }
        if effects.isCleared { tellTrackers(nil) }
        for key in effects.departed { tellTrackers(key) }
        if !effects.journal.isEmpty { journal(effects.journal, of: stripe) }
        let (completed, settled) = (effects.completed, effects.settled)
        effects.removeAll()
        swap(&effects, &self.effects)
        if !settled.isEmpty { settle(settled) }
        for (token, result) in completed { callers.remove(token)?(result) }
        let mustShed = cache.planner.withLock { planner in
            planner.update(Int(stripe.shard.rawValue), summary)
            return planner.bytes > planner.limitBytes
        }
        if mustShed { shed() }
    }

    private func send(
        _ request: HomeRequest,
        _ shard: ShardID,
        _ from: CacheMember,
        _ epoch: CacheEpoch,
        to home: NodeID
    ) {
        if home == loop.context.node {
            loop.step(shard, .cache(.request(from: from, epoch, request)))
        } else {
            loop.enqueue(.cacheRequest(shard, from: from, epoch, request), to: home)
            loop.scheduleTurn()
        }
    }

    /// Evicts until the node is within its bound, whichever stripe holds the line that was used least recently.
    private func shed() {
        guard !isShedding else { return }
        isShedding = true
        defer { isShedding = false }
        for _ in 0..<4_096 {
            let tick = cache.nextTick()
            let next = cache.planner.withLock { $0.next(tick: tick) }
            switch next {
            case .done: return
            case .blocked: return flushOldest()
            case .take(let order):
                let stripe = cache.stripes[order.table]
                let owner = owner(stripe.shard)
                guard owner === loop else {
                    owner.post(.perform { $0.cache?.evict(order) })
                    return
                }
                evict(order)
            }
        }
    }

    func evict(_ order: EvictionOrder) {
        let stripe = cache.stripes[order.table]
        var evicted = false
        step(stripe) { requestor, effects in
            guard let victim = requestor.lines.victim(order) else { return }
            evicted = true
            requestor.evict(victim, now: NodeClock.now(), into: &effects)
        }
        let summary = stripe.requestor.withLock { $0.lines.summary }
        cache.planner.withLock { $0.completed(order, evicted: evicted, summary) }
    }

    /// Nothing clean is left: what was written without the log makes room when the homes have it.
    private func flushOldest() {
        for stripe in cache.stripes where owner(stripe.shard) === loop {
            step(stripe) { $0.flush(now: NodeClock.now(), olderThan: .zero, into: &$1) }
        }
    }

    // MARK: Messages

    func receive(_ envelope: CacheNoticeEnvelope, _ shard: ShardID, from: NodeID) {
        guard Int(shard.rawValue) < cache.stripes.count else { return }
        step(cache.stripes[Int(shard.rawValue)]) { requestor, effects in
            requestor.receive(
                envelope.notice,
                from: from,
                epoch: envelope.epoch,
                to: envelope.to,
                now: NodeClock.now(),
                into: &effects
            )
        }
    }

    func tellOfWrite(_ key: CacheKey) { tellTrackers(key) }

    /// Due on each tick of the loop.
    func tick(_ now: Instant) {
        tickLease(now)
        for stripe in cache.stripes where owner(stripe.shard) === loop {
            let isIdle = stripe.requestor.withLock { $0.isIdle }
            if !isIdle { step(stripe) { $0.tick(now: now, into: &$1) } }
        }
        expireInspections(now)
        expireFlushes(now)
        tickJournal(now)
    }

    // MARK: The lease

    private func tickLease(_ now: Instant) {
        guard var keeper else { return }
        let before = (keeper.own(now: now), keeper.leaseEnd, keeper.view.version, keeper.losses)
        let request = keeper.tick(now: now)
        self.keeper = keeper
        if before != (keeper.own(now: now), keeper.leaseEnd, keeper.view.version, keeper.losses) { announceLease(now) }
        guard let request else { return }
        loop.submit(.cache(.lease(request)), to: .system, timeout: keeper.interval) { response in
            var (granted, view): (Bool?, CacheView?) = (nil, nil)
            if case .cache(.lease(let isGranted, let known)) = response { (granted, view) = (isGranted, known) }
            let now = NodeClock.now()
            self.keeper?.answered(request, isGranted: granted, view: view, now: now)
            self.announceLease(now)
        }
    }

    func learn(_ view: CacheView) {
        guard let known = keeper?.view.version, view.version > known else { return }
        let now = NodeClock.now()
        keeper?.learn(view, now: now)
        announceLease(now)
    }

    /// Tells the requestors and the homes of all loops what the node's lease is.
    private func announceLease(_ now: Instant) {
        guard let keeper else { return }
        let (view, own, end) = (keeper.view, keeper.own(now: now), keeper.leaseEnd)
        cache.leaseLosses.store(keeper.losses, ordering: .relaxed)
        for other in loop.context.loops {
            if other === loop {
                membership(view, own, end, now)
            } else {
                other.post(.perform { $0.cache?.membership(view, own, end, NodeClock.now()) })
            }
        }
    }

    func membership(_ view: CacheView, _ own: CacheMember?, _ end: Instant, _ now: Instant) {
        for stripe in cache.stripes where owner(stripe.shard) === loop {
            step(stripe) { $0.membership(view, own: own, leaseEnd: end, now: now, into: &$1) }
        }
        for case .some(let hosted) in loop.hosted {
            loop.step(hosted.shard, .cache(.membership(view, own: own, leaseEnd: end)))
        }
    }

    // MARK: Copies that clients keep

    /// - Parameter key: nil: all keys.
    private func tellTrackers(_ key: CacheKey?) {
        guard cache.trackers.load(ordering: .relaxed) > 0 else { return }
        for other in loop.context.loops {
            if other === loop {
                tellOwnTrackers(key)
            } else {
                other.post(.perform { $0.cache?.tellOwnTrackers(key) })
            }
        }
    }

    private func tellOwnTrackers(_ key: CacheKey?) {
        for tracker in tracking.take(key) {
            if let key { tracker.invalidate(key) } else { tracker.invalidateAll() }
        }
    }
}

/// Counts of one loop, since hits are too many for shared counters.
struct LoopCacheCounts {
    var hits: UInt64 = 0
    var misses: UInt64 = 0
    var writes: UInt64 = 0
    var ownedWrites: UInt64 = 0
    var staleReads: UInt64 = 0
}

/// `LINE` under way.
struct Inspection {
    var key: CacheKey
    var deadline: Instant
    var waiting: Set<NodeID>
    var found: [NodeID: LineInspection]
    var completion: ([NodeID: LineInspection]) -> Void
}
