// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Logging
import Memory
import NIOCore
import Primitives
import Replica
import Telemetry

/// One shard's way to Redis, from when this node begins to lead the shard until it does no longer: the fence first,
/// then reads of what the state does not hold, and writes of what Redis does not have.
///
/// Confined to the shard's loop.
final class ShardMemory {
    enum Fence {
        case raising
        case raised
        case failed(until: Instant)
    }

    unowned let owner: LoopMemory
    let shard: ShardID
    /// The Raft term.
    let epoch: UInt64
    var queue: WriteBackQueue
    var fence = Fence.failed(until: .zero)
    private var fenceBackoff = Interval.zero
    /// The fence was raised before in this leadership.
    private var hasServed = false
    /// Reads that wait for the fence.
    private var fills: [CacheFill] = []
    /// Said in the log, until it is applied.
    var said: SaidMark?
    /// Redis has lost data, and that is not on its way to the log yet.
    private var isLossUnsaid = false
    /// Changes of the memory whose keys the queue knows of.
    var knownChanges: UInt64 = 0
    /// What the state holds and Redis has, longest ago first.
    var clean = CircularBuffer<CacheKeyVersion>()
    var releasing: (entries: [CacheKeyVersion], at: Instant)?
    var clearing = Clearing.no
    var isFailing = false

    enum Clearing {
        case no
        case underWay
        /// To be tried, or said, again by then.
        case waiting(until: Instant)
    }

    struct SaidMark {
        var mark: MemoryMark
        /// Redis may have lost data.
        var isChange: Bool
        /// How many changes the log knew of before.
        var after: UInt64
        var at: Instant

        func isApplied(_ state: CacheState) -> Bool {
            state.memory == mark && (!isChange || state.memoryChanges > after)
        }
    }

    init(_ owner: LoopMemory, _ shard: ShardID, epoch: UInt64) {
        self.owner = owner
        self.shard = shard
        self.epoch = epoch
        queue = WriteBackQueue(seed: .random(in: .min ... .max))
    }

    var memory: any CacheMemory { owner.memory }

    // MARK: The fence

    func raise(_ now: Instant) {
        if case .raising = fence { return }
        fence = .raising
        memory.raiseFence(shard, epoch: epoch) { [loop = owner.loop, shard, epoch] result in
            loop.later(shard, epoch) { $0.raised(result) }
        }
    }

    private func raised(_ result: Result<MemoryFence, MemoryError>) {
        let now = NodeClock.now()
        switch result {
        case .success(let met):
            fence = .raised
            fenceBackoff = .zero
            let known = owner.state(shard)?.memory ?? MemoryMark()
            let mark = MemoryMark(epoch: epoch, runID: Array(met.runID.utf8))
            switch known.meeting(mark, previous: met.previous, hasServed: hasServed) {
            case _ where isLossUnsaid, .changed:
                queue.memoryWasLost()
                if hasServed { owner.step(shard, .lost) }
                isLossUnsaid = false
                say(mark, isChange: true, now)
            case .raised where said == nil: say(mark, isChange: false, now)
            case .raised, .known: break
            }
            hasServed = true
            let waiting = fills
            fills = []
            for fill in waiting { fetch(fill) }
            owner.pump(shard)
        case .failure(let error):
            fenceBackoff = min(max(fenceBackoff * 2, .milliseconds(50)), .milliseconds(1_000))
            fence = .failed(until: now + fenceBackoff)
            if case .fenced(let other) = error {
                owner.log.error(
                    "Redis is fenced by a later epoch: a later leader's, or that of another cluster with this id",
                    metadata: ["shard": "\(shard.rawValue)", "epoch": "\(epoch)", "fence": "\(other)"]
                )
            }
            noteFailure("\(error)")
            let waiting = fills
            fills = []
            for fill in waiting { answer(fill, .unreachable) }
        }
    }

    func say(_ mark: MemoryMark, isChange: Bool, _ now: Instant) {
        said = SaidMark(mark: mark, isChange: isChange, after: owner.state(shard)?.memoryChanges ?? 0, at: now)
        owner.step(shard, isChange ? .changed(mark) : .fenced(mark))
    }

    /// Redis lost data, or may have: everything that is held is written anew, and all that was read of it forgotten.
    func lost() {
        queue.memoryWasLost()
        owner.step(shard, .lost)
        // Raising the fence removes the evidence, and its answer may be lost on the way.
        isLossUnsaid = true
        fence = .failed(until: .zero)
        raise(NodeClock.now())
    }

    // MARK: Reading

    func fill(_ fill: CacheFill) {
        switch fence {
        case .raised: fetch(fill)
        case .raising: fills.append(fill)
        case .failed(let until):
            let now = NodeClock.now()
            guard now >= until else { return answer(fill, .unreachable) }
            fills.append(fill)
            raise(now)
        }
    }

    private func fetch(_ fill: CacheFill) {
        let begun = NodeClock.now()
        memory.fetch(shard, fill.key) { [loop = owner.loop, shard, epoch] result in
            loop.later(shard, epoch) { $0.fetched(fill, result, begun) }
        }
    }

    private func fetched(_ fill: CacheFill, _ result: Result<MemoryEntry?, MemoryError>, _ begun: Instant) {
        owner.fetched(result, NodeClock.now().since(begun))
        switch result {
        case .success(let entry):
            let data = entry.map { LineData(value: $0.value, version: $0.version, remaining: $0.remaining) }
            answer(fill, .found(data))
        case .failure(let error):
            if error == .lost, case .raised = fence { lost() }
            noteFailure("\(error)")
            answer(fill, .unreachable)
        }
    }

    private func answer(_ fill: CacheFill, _ fetch: MemoryFetch) { owner.step(shard, .fetched(fill, fetch)) }

    func noteFailure(_ reason: String) {
        guard !isFailing else { return }
        isFailing = true
        owner.log.warning("Redis does not serve", metadata: ["shard": "\(shard.rawValue)", "reason": "\(reason)"])
    }
}
