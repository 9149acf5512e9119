// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Synchronization

/// Writes of the mode `local`: in the owner's line already, and answered when the node's disk has them.
extension LoopCache {
    /// A write that the disk had no room for. The log will have it shortly, as all that stands in lines alone.
    struct Unjournalled {
        var version: CacheVersion
        var token: UInt64
        var result: CacheCallResult
    }

    func journal(_ writes: [JournalledWrite], of stripe: CacheStripe) {
        for write in writes { unanswered[write.token] = write.deadline }
        cache.journal.write(writes, of: stripe, for: loop)
    }

    /// - Parameter segment: of the journal; nil: its disk is full.
    func journalled(_ writes: [JournalledWrite], of stripe: CacheStripe, in segment: UInt64?) {
        for write in writes {
            let isOwed = stripe.requestor.withLock { $0.owes(write.key, write.data.version) }
            if let segment {
                cache.journal.note(write, in: segment, isOwed: isOwed)
                answer(write.token, write.result)
            } else if isOwed {
                unjournalled[write.key, default: []].append(
                    Unjournalled(version: write.data.version, token: write.token, result: write.result)
                )
            } else {
                let reason = "the disk is full, and the value has left this node's line before the write was confirmed"
                answer(write.token, .failed(.unknown(reason: reason)))
            }
        }
        guard segment == nil else { return }
        cache.journal.wasFull()
        step(stripe) { $0.flush(now: NodeClock.now(), olderThan: .zero, into: &$1) }
    }

    func settle(_ settled: [(key: CacheKey, version: CacheVersion, isStored: Bool)]) {
        for (key, version, isStored) in settled {
            cache.journal.settle(key, upTo: version, isStored: isStored)
            guard !unjournalled.isEmpty, let waiting = unjournalled.removeValue(forKey: key) else { continue }
            let left = waiting.filter { $0.version > version }
            if !left.isEmpty { unjournalled[key] = left }
            for write in waiting where write.version <= version {
                let reason = "the disk is full, and somebody else has written the key meanwhile"
                answer(write.token, isStored ? write.result : .failed(.unknown(reason: reason)))
            }
        }
    }

    private func answer(_ token: UInt64, _ result: CacheCallResult) {
        guard unanswered.removeValue(forKey: token) != nil else { return }
        callers.remove(token)?(result)
    }

    /// Due on each tick of the loop.
    func tickJournal(_ now: Instant) {
        if !unanswered.isEmpty {
            let reason = "the node's disk has not confirmed the write in time"
            for (token, deadline) in unanswered where deadline <= now {
                answer(token, .failed(.unknown(reason: reason)))
            }
        }
        if cache.journal.wantsFlush {
            for stripe in cache.stripes where owner(stripe.shard) === loop {
                step(stripe) { $0.flush(now: now, olderThan: .zero, into: &$1) }
            }
        }
        if loop.index == 0 { cache.journal.removeUnneeded() }
    }
}
