// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Memory
import Primitives
import Replica
import Synchronization
import Telemetry

/// Brings the cache's figures to the metrics, a few times a second.
struct CachePublishing {
    private var last = CacheStatistics()
    private var lastLosses: UInt64 = 0

    /// Of one loop, for whoever sums them up.
    static func note(_ loop: ShardLoop) {
        guard let cache = loop.cache else { return }
        let counts = cache.counts
        var homes = HomeStatistics()
        for case .some(let hosted) in loop.hosted { homes.add(hosted.replica.home.statistics) }
        loop.memory?.note(NodeClock.now())
        loop.context.cacheCounts.withLock { $0[loop.index] = counts }
        loop.context.homeStatistics.withLock { $0[loop.index] = homes }
    }

    mutating func publish(_ loop: ShardLoop) {
        guard let cache = loop.cache else { return }
        let now = cache.statistics
        let metrics = loop.context.metrics.cache
        func add(_ counter: Counter, _ path: KeyPath<CacheStatistics, UInt64>) {
            counter.increment(by: Int(clamping: now[keyPath: path] &- min(last[keyPath: path], now[keyPath: path])))
        }
        add(metrics.hits, \.hits)
        add(metrics.misses, \.misses)
        add(metrics.writes, \.writes)
        add(metrics.ownedWrites, \.ownedWrites)
        add(metrics.staleReads, \.staleReads)
        add(metrics.evictions, \.evictions)
        add(metrics.expirations, \.expirations)
        add(metrics.fills, \.fills)
        add(metrics.writeBacks, \.writeBacks)
        add(metrics.recalls, \.recalls)
        add(metrics.invalidationsSent, \.invalidationsSent)
        add(metrics.invalidationsReceived, \.invalidationsReceived)
        add(metrics.invalidationsAcknowledged, \.invalidationsAcknowledged)
        add(metrics.invalidationsExpired, \.invalidationsExpired)
        add(metrics.staleMessages, \.staleMessages)
        add(metrics.synchronisations, \.synchronisations)
        add(metrics.leaseLosses, \.leaseLosses)
        for index in now.transitions.indices {
            let change = now.transitions[index] &- min(last.transitions[index], now.transitions[index])
            metrics.transitions[index].increment(by: Int(clamping: change))
        }
        for index in now.lines.indices { metrics.lines[index].set(Int(clamping: now.lines[index])) }
        metrics.bytes.set(Int(clamping: now.bytes))
        metrics.limitBytes.set(Int(clamping: now.limitBytes))
        metrics.dirtyLines.set(Int(clamping: now.dirtyLines))
        metrics.dirtyBytes.set(Int(clamping: now.dirtyBytes))
        metrics.dirtyAge.set(Int(clamping: now.dirtyAge / 1_000))
        publish(now.journal, metrics.journal)
        if let memory = loop.memory { publish(now.memory, memory.memory.state, metrics.memory) }
        last = now
    }

    private func publish(_ now: CacheStatistics.Journal, _ metrics: JournalMetrics) {
        metrics.records.increment(by: Int(clamping: now.records &- last.journal.records))
        metrics.writtenBytes.increment(by: Int(clamping: now.writtenBytes &- last.journal.writtenBytes))
        metrics.restored.increment(by: Int(clamping: now.restored &- last.journal.restored))
        metrics.superseded.increment(by: Int(clamping: now.superseded &- last.journal.superseded))
        metrics.keys.set(Int(clamping: now.keys))
        metrics.bytes.set(Int(clamping: now.bytes))
    }

    private mutating func publish(_ now: CacheStatistics.Memory, _ state: MemoryState, _ metrics: MemoryMetrics) {
        func add(_ counter: Counter, _ path: KeyPath<CacheStatistics.Memory, UInt64>) {
            let (before, after) = (last.memory[keyPath: path], now[keyPath: path])
            counter.increment(by: Int(clamping: after &- min(before, after)))
        }
        add(metrics.writes, \.writes)
        add(metrics.writeFailures, \.writeFailures)
        add(metrics.fetches, \.fetches)
        add(metrics.fetchFailures, \.fetchFailures)
        metrics.losses.increment(by: Int(clamping: state.counts.losses &- lastLosses))
        lastLosses = state.counts.losses
        metrics.connected.set(state.isConnected ? 1 : 0)
        metrics.dirtyKeys.set(Int(clamping: now.dirtyKeys))
        metrics.dirtyBytes.set(Int(clamping: now.dirtyBytes))
        metrics.dirtyAge.set(Int(clamping: now.dirtyAge / 1_000))
        metrics.quarantined.set(Int(clamping: now.quarantinedKeys))
    }
}

extension HomeStatistics {
    fileprivate mutating func add(_ other: HomeStatistics) {
        invalidations += other.invalidations
        acknowledged += other.acknowledged
        expired += other.expired
        recalls += other.recalls
        expirations += other.expirations
        staleMessages += other.staleMessages
    }
}
