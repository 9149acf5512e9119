// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Logging
import Memory
import Primitives
import RaftCore
import Replica
import Synchronization
import Telemetry

/// What one loop does with Redis: for each shard that it leads there is a `ShardMemory`.
///
/// Confined to its loop, as `ShardLoop` is.
final class LoopMemory {
    unowned let loop: ShardLoop
    let memory: any CacheMemory
    /// What the state of one shard may hold, so far as Redis has it.
    let storeLimit: Int
    let log: Logger
    private(set) var shards: [ShardMemory?]
    private var toPump: Set<ShardID> = []
    var figures = MemoryFigures()

    init(loop: ShardLoop, memory: any CacheMemory, storeLimit: Int) {
        self.loop = loop
        self.memory = memory
        self.storeLimit = storeLimit
        log = loop.log
        shards = Array(repeating: nil, count: loop.hosted.count)
    }

    // MARK: What a shard's way needs

    func state(_ shard: ShardID) -> CacheState? { loop.hosted[Int(shard.rawValue)]?.replica.state.cache }

    func stamp(_ shard: ShardID, _ now: Instant) -> UInt64 {
        loop.hosted[Int(shard.rawValue)]?.replica.cacheStamp(now) ?? 0
    }

    func step(_ shard: ShardID, _ input: MemoryInput) { loop.step(shard, .cache(.memory(input))) }

    /// Whether this node still leads as it did.
    func isCurrent(_ found: ShardMemory) -> Bool {
        guard let hosted = loop.hosted[Int(found.shard.rawValue)] else { return false }
        return hosted.replica.isReadyLeader && hosted.replica.raft.term.rawValue == found.epoch
    }

    func pump(_ shard: ShardID) {
        guard let found = shards[Int(shard.rawValue)], isCurrent(found), let state = state(shard) else { return }
        found.pump(state, NodeClock.now())
    }

    /// After all that has come by now, so that several outcomes make one proposal.
    func pumpLater(_ shard: ShardID) {
        guard toPump.insert(shard).inserted, toPump.count == 1 else { return }
        loop.post(
            .perform { loop in
                guard let memory = loop.memory else { return }
                let shards = memory.toPump.sorted()
                memory.toPump = []
                for shard in shards { memory.pump(shard) }
            }
        )
    }

    // MARK: What the loop tells

    func tick(_ now: Instant) {
        for case .some(let hosted) in loop.hosted {
            guard let found = current(hosted, now) else { continue }
            found.pump(hosted.replica.state.cache, now)
        }
    }

    private func current(_ hosted: HostedReplica, _ now: Instant) -> ShardMemory? {
        let index = Int(hosted.shard.rawValue)
        guard hosted.replica.isReadyLeader else {
            shards[index] = nil
            return nil
        }
        let epoch = hosted.replica.raft.term.rawValue
        if let found = shards[index], found.epoch == epoch { return found }
        let made = ShardMemory(self, hosted.shard, epoch: epoch)
        shards[index] = made
        made.rescan(hosted.replica.state.cache, now)
        made.raise(now)
        return made
    }

    func carry(_ hosted: HostedReplica, _ now: Instant) {
        let effects = hosted.effects
        guard !effects.cacheFills.isEmpty || !effects.dirtyKeys.isEmpty || !effects.memoryWalks.isEmpty,
            let found = current(hosted, now)
        else { return }
        for fill in effects.cacheFills { found.fill(fill) }
        for key in effects.dirtyKeys { found.queue.note(key, now) }
        for walk in effects.memoryWalks { MemoryWalker(loop, hosted.shard, found.epoch, walk).begin(self) }
        if !effects.dirtyKeys.isEmpty { pumpLater(hosted.shard) }
    }

    func lost(_ loss: MemoryLoss) {
        for shard in loss.shards where Int(shard.rawValue) < shards.count {
            guard let found = shards[Int(shard.rawValue)], isCurrent(found) else { continue }
            found.lost()
        }
    }

    // MARK: Figures

    func fetched(_ result: Result<MemoryEntry?, MemoryError>, _ time: Interval) {
        figures.fetches += 1
        if case .failure = result { figures.fetchFailures += 1 }
        loop.context.metrics.cache.memory.fetchTime.observe(time.nanoseconds)
    }

    func stored(_ failure: WriteBackQueue.Failure?, _ time: Interval) {
        if failure == nil { figures.writes += 1 } else { figures.writeFailures += 1 }
        loop.context.metrics.cache.memory.writeTime.observe(time.nanoseconds)
    }

    func note(_ now: Instant) {
        figures.dirtyEntries = 0
        figures.dirtyBytes = 0
        figures.dirtyAge = 0
        figures.quarantined = 0
        for case .some(let found) in shards {
            guard isCurrent(found), let store = state(found.shard)?.store else { continue }
            figures.dirtyEntries += UInt64(store.dirtyCount)
            figures.dirtyBytes += UInt64(store.dirtyBytes)
            figures.quarantined += UInt64(found.queue.quarantinedCount)
            if let oldest = found.queue.oldest() {
                figures.dirtyAge = max(figures.dirtyAge, now.since(oldest).milliseconds)
            }
        }
        let figures = figures
        loop.context.memoryFigures.withLock { $0[loop.index] = figures }
    }
}

extension ShardLoop {
    /// From any thread: on this loop, unless the leadership has ended.
    func later(_ shard: ShardID, _ epoch: UInt64, _ body: @escaping @Sendable (ShardMemory) -> Void) {
        post(
            .perform { loop in
                guard let memory = loop.memory, let found = memory.shards[Int(shard.rawValue)], found.epoch == epoch,
                    memory.isCurrent(found)
                else { return }
                body(found)
            }
        )
    }
}

/// Of one loop; counts since the start, and what is now.
struct MemoryFigures: Sendable {
    var writes: UInt64 = 0
    var writeFailures: UInt64 = 0
    var fetches: UInt64 = 0
    var fetchFailures: UInt64 = 0
    var dirtyEntries: UInt64 = 0
    var dirtyBytes: UInt64 = 0
    /// Milliseconds.
    var dirtyAge: UInt64 = 0
    var quarantined: UInt64 = 0

    mutating func add(_ other: MemoryFigures) {
        writes += other.writes
        writeFailures += other.writeFailures
        fetches += other.fetches
        fetchFailures += other.fetchFailures
        dirtyEntries += other.dirtyEntries
        dirtyBytes += other.dirtyBytes
        dirtyAge = max(dirtyAge, other.dirtyAge)
        quarantined += other.quarantined
    }
}
