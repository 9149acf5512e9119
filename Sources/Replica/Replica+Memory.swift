// SPDX-License-Identifier: Apache-2.0
package import CacheCore
package import Primitives

/// With Redis as memory: what the leader hears of it, and what it says in the log.
extension Replica {
    /// Cluster time of the shard, in milliseconds; of a leader.
    package func cacheStamp(_ now: Instant) -> UInt64 { stampBase.stamp(at: now) }

    mutating func memory(_ input: MemoryInput, _ now: Instant, _ effects: inout ReplicaEffects) {
        switch input {
        case .fetched(let fill, let fetch):
            guard fill.epoch == home.epoch else { return }
            let current: CacheCurrent? =
                switch fetch {
                case .found(let data): state.cache.current(found: data, stamp: stampBase.stamp(at: now))
                case .unreachable: nil
                }
            home.filled(fill.key, number: fill.number, current, homeContext(now), into: &homeEffects)
        case .stored(let entries):
            proposeInternal(.cache(.flushed(entries)), now, &effects)
            if !storeWaiters.isEmpty { noteStored(entries, &effects) }
        case .released(let entries): proposeInternal(.cache(.released(entries)), now, &effects)
        case .changed(let mark): proposeInternal(.cache(.memoryChanged(mark)), now, &effects)
        case .fenced(let mark): proposeInternal(.cache(.memoryFenced(mark)), now, &effects)
        case .cleared(let version): proposeInternal(.cache(.memoryCleared(version)), now, &effects)
        case .lost: home.memoryWasLost()
        case .walked(let walk, let result):
            let response: Response
            switch result {
            case .count(let count): response = .cache(.count(UInt64(state.cache.store.count) &+ count))
            case .page(let keys, let next):
                let fresh = keys.filter { !state.cache.holds($0) }
                response = .cache(.page(fresh, next: next == 0 ? 0 : CacheInquiry.memoryCursor + next))
            case .failed(let reason): response = .unavailable(.notDone, reason: reason)
            }
            reply(.answer(response), walk.id, to: walk.node, &effects)
        }
        emitHome(now, &effects)
    }

    // MARK: Mode through

    /// How long a caller is kept; whoever still wants to know asks again.
    private static let storeWait = Interval.milliseconds(5_000)
    private static let maxStoreWaiters = 4_096

    mutating func awaitStore(_ waiter: StoreWaiter, _ effects: inout ReplicaEffects) {
        guard isWaiting(waiter) else { return reply(.answer(.cache(.done)), waiter.id, to: waiter.node, &effects) }
        storeWaiters.removeAll { $0.id == waiter.id }
        guard storeWaiters.count < Self.maxStoreWaiters else {
            let reason = "too many writes wait for the memory"
            return reply(.answer(.busy(reason: reason)), waiter.id, to: waiter.node, &effects)
        }
        storeWaiters.append(waiter)
    }

    /// What is not held, or not dirty, has reached the memory.
    private func isWaiting(_ waiter: StoreWaiter) -> Bool {
        state.cache.store.entry(waiter.key, hash: waiter.key.hash)?.isDirty ?? false
    }

    private mutating func noteStored(_ entries: [CacheKeyVersion], _ effects: inout ReplicaEffects) {
        var stored = LookupTable<CacheKey, CacheVersion>()
        for entry in entries { stored[entry.key] = entry.version }
        settleStoreWaiters(&effects) { waiter in stored[waiter.key].map { $0 >= waiter.version } ?? false }
    }

    /// On each tick: of keys that were removed, or written back by an earlier leader, nothing else is heard.
    mutating func answerStoreWaiters(_ now: Instant, _ effects: inout ReplicaEffects) {
        guard !storeWaiters.isEmpty else { return }
        let state = state.cache.store
        settleStoreWaiters(&effects) { state.entry($0.key, hash: $0.key.hash)?.isDirty != true }
        for waiter in storeWaiters where now.since(waiter.since) >= Self.storeWait {
            reply(.interrupted, waiter.id, to: waiter.node, &effects)
        }
        storeWaiters.removeAll { now.since($0.since) >= Self.storeWait }
    }

    private mutating func settleStoreWaiters(_ effects: inout ReplicaEffects, _ isStored: (StoreWaiter) -> Bool) {
        var left: [StoreWaiter] = []
        for waiter in storeWaiters {
            if isStored(waiter) {
                reply(.answer(.cache(.done)), waiter.id, to: waiter.node, &effects)
            } else {
                left.append(waiter)
            }
        }
        storeWaiters = left
    }
}

/// A write of mode `through` that is committed, and not answered before the memory has it.
struct StoreWaiter: Sendable {
    var id: RequestID
    var node: NodeID
    var key: CacheKey
    var version: CacheVersion
    var since: Instant

    init(_ id: RequestID, _ node: NodeID, _ key: CacheKey, _ version: CacheVersion, since: Instant) {
        self.id = id
        self.node = node
        self.key = key
        self.version = version
        self.since = since
    }
}

/// What a leader is told of Redis.
package enum MemoryInput: Sendable {
    case fetched(CacheFill, MemoryFetch)
    /// Redis has confirmed these.
    case stored([CacheKeyVersion])
    /// The state need not keep these any longer.
    case released([CacheKeyVersion])
    case changed(MemoryMark)
    /// It is what it was, behind a new fence.
    case fenced(MemoryMark)
    /// Everything up to this version was removed from Redis.
    case cleared(CacheVersion)
    /// It may have lost what it had: nothing that was granted of it may be kept.
    case lost
    case walked(MemoryWalk, MemoryWalk.Result)
}

package enum MemoryFetch: Sendable {
    /// Nil: it has nothing.
    case found(LineData?)
    case unreachable
}

/// Keys of Redis that somebody asked for.
package struct MemoryWalk: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        /// Those that the state does not hold.
        case count
        case scan(cursor: UInt64, count: Int)
    }

    package enum Result: Sendable {
        case count(UInt64)
        case page([CacheKey], next: UInt64)
        case failed(reason: String)
    }

    package var id: RequestID
    package var node: NodeID
    package var kind: Kind
}
