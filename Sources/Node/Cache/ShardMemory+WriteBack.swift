// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Logging
import Memory
import NIOCore
import Primitives
import Replica

/// What the state holds goes to Redis, and what Redis has may leave the state.
extension ShardMemory {
    /// The state as it is when this leader begins, or after Redis lost data: by versions, hence by age.
    func rescan(_ state: CacheState, _ now: Instant) {
        knownChanges = state.memoryChanges
        var dirty: [CacheKeyVersion] = []
        var flushed: [CacheKeyVersion] = []
        state.store.forEach { entry in
            let version = CacheKeyVersion(entry.key, entry.version)
            if entry.isDirty { dirty.append(version) } else { flushed.append(version) }
        }
        dirty.sort { $0.version < $1.version }
        flushed.sort { $0.version < $1.version }
        for entry in dirty { queue.note(entry.key, now) }
        clean = CircularBuffer(flushed)
    }

    /// Does what can be done now. Called after every change, and on each tick.
    func pump(_ state: CacheState, _ now: Instant) {
        if state.memoryChanges != knownChanges { rescan(state, now) }
        if let said {
            if said.isApplied(state) {
                self.said = nil
            } else if now.since(said.at) >= .milliseconds(1_000) {
                say(said.mark, isChange: said.isChange, now)
            }
        }
        switch fence {
        case .failed(let until):
            if now >= until { raise(now) }
        case .raising: break
        case .raised:
            if state.isMemoryToClear { clear(state, now) } else { clearing = .no }
            if !state.isMemoryToClear { push(state.store, now) }
        }
        let store = state.store
        clean.append(contentsOf: queue.settle { store.entry($0, hash: $0.hash) })
        while case let batch = queue.takeConfirmed(now), !batch.isEmpty { owner.step(shard, .stored(batch)) }
        release(store, now)
    }

    private func push(_ store: CacheStore, _ now: Instant) {
        let entries = queue.take(now) { store.entry($0, hash: $0.hash) }
        guard !entries.isEmpty else { return }
        let stamp = owner.stamp(shard, now)
        let writes = entries.map { entry in
            MemoryWrite(
                key: entry.key,
                version: entry.version,
                value: entry.value,
                remaining: entry.expiresAt == 0 ? nil : entry.expiresAt - min(stamp, entry.expiresAt)
            )
        }
        // Each on its own, so that a slow one does not hold up the next write of another key.
        for write in writes {
            memory.store(shard, epoch: epoch, [write]) { [loop = owner.loop, shard, epoch] results in
                loop.later(shard, epoch) { $0.stored(write, results.first, now) }
            }
        }
    }

    private func stored(_ write: MemoryWrite, _ result: Result<Void, MemoryError>?, _ begun: Instant) {
        let now = NodeClock.now()
        let current = owner.state(shard)?.store.entry(write.key, hash: write.key.hash)
        var failure: WriteBackQueue.Failure?
        if case .failure(let error)? = result { failure = WriteBackQueue.Failure(error) }
        owner.stored(failure, now.since(begun))
        let isQuarantined = queue.finished(write.key, write.version, failure, current: current, now)
        if isQuarantined {
            owner.log.error(
                "Redis does not take a value; it is kept, and tried again from time to time",
                metadata: [
                    "shard": "\(shard.rawValue)", "key": "\(write.key)", "reason": "\(queue.reason(write.key) ?? "")",
                ]
            )
        }
        if case .failure(let error)? = result {
            noteFailure("\(error)")
            if error == .lost, case .raised = fence { lost() }
            if case .fenced = error { fence = .failed(until: now + .milliseconds(500)) }
        } else if isFailing {
            isFailing = false
            owner.log.notice("Redis takes writes again", metadata: ["shard": "\(shard.rawValue)"])
        }
        owner.pumpLater(shard)
    }

    // MARK: Letting go

    /// Above its bound the state lets go of what Redis has, oldest first.
    private func release(_ store: CacheStore, _ now: Instant) {
        if let batch = releasing {
            let isOpen = batch.entries.contains { entry in
                let held = store.entry(entry.key, hash: entry.key.hash)
                return held?.version == entry.version && held?.isDirty == false
            }
            guard isOpen else { return releasing = nil }
            if now.since(batch.at) >= .milliseconds(1_000) {
                releasing = (batch.entries, now)
                owner.step(shard, .released(batch.entries))
            }
            return
        }
        if clean.count > 2 * store.entryCount + 1_024 {
            clean = CircularBuffer(clean.filter { store.entry($0.key, hash: $0.key.hash)?.version == $0.version })
        }
        var excess = store.bytes - owner.storeLimit
        var batch: [CacheKeyVersion] = []
        while excess > 0, batch.count < CacheCommand.maxBatch, let next = clean.popFirst() {
            guard let held = store.entry(next.key, hash: next.key.hash), held.version == next.version, !held.isDirty
            else {
                continue
            }
            batch.append(next)
            excess -= next.key.bytes.count + (held.value?.count ?? 0) + CacheEntry.overhead
        }
        guard !batch.isEmpty else { return }
        releasing = (batch, now)
        owner.step(shard, .released(batch))
    }

    /// FLUSHALL: once nothing of before is under way any more, Redis is emptied too. Until then, and ever after, what
    /// it has of before counts as absent.
    private func clear(_ state: CacheState, _ now: Instant) {
        switch clearing {
        case .underWay: return
        case .waiting(let until): guard now >= until else { return }
        case .no: break
        }
        guard queue.inFlightCount == 0 else { return }
        clearing = .underWay
        let through = CacheVersion(index: state.clearedThrough, minor: .max)
        memory.removeAll(shard, epoch: epoch, through: through) { [loop = owner.loop, shard, epoch] result in
            loop.later(shard, epoch) { $0.cleared(result.map { _ in CacheVersion(index: through.index) }) }
        }
    }

    private func cleared(_ result: Result<CacheVersion, MemoryError>) {
        clearing = .waiting(until: NodeClock.now() + .milliseconds(500))
        switch result {
        case .success(let version): owner.step(shard, .cleared(version))
        case .failure(let error):
            noteFailure("\(error)")
            if error == .lost, case .raised = fence { lost() }
        }
    }
}

extension WriteBackQueue.Failure {
    init(_ error: MemoryError) {
        switch error {
        case .outOfMemory: self = .full
        case .refused, .tooLarge: self = .entry("\(error)")
        case .down, .busy, .fenced, .lost, .readOnly, .loading, .misconfigured: self = .server("\(error)")
        }
    }
}
