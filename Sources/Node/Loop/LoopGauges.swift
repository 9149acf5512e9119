// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import QueueCore
import Replica
import Storage
import Telemetry

/// One loop's share of the node's gauges and counters, published a few times a second as differences, so that several
/// loops add up.
struct LoopGauges {
    private struct Totals {
        var sessions = 0
        var objects = 0
        var waiters = 0
        var queues = 0
        var messages = 0
        var consumers = 0
        var receives = 0
        var bodyBytes = 0
        var statistics = ReplicaStatistics()
    }

    static let interval = Interval.milliseconds(250)

    private var cache = CachePublishing()
    private var last = Totals()
    private var next = Instant.zero

    mutating func publish(_ loop: ShardLoop) {
        let now = NodeClock.now()
        guard now >= next else { return }
        next = now + Self.interval
        let totals = Self.totals(loop)
        let metrics = loop.context.metrics
        metrics.locks.sessions.add(totals.sessions - last.sessions)
        metrics.locks.objects.add(totals.objects - last.objects)
        metrics.locks.waiters.add(totals.waiters - last.waiters)
        metrics.queues.queues.add(totals.queues - last.queues)
        metrics.queues.messages.add(totals.messages - last.messages)
        metrics.queues.consumers.add(totals.consumers - last.consumers)
        metrics.queues.waiters.add(totals.receives - last.receives)
        metrics.queues.segmentBytes.add(totals.bodyBytes - last.bodyBytes)
        metrics.raft.proposals.increment(by: totals.statistics.proposals - last.statistics.proposals)
        metrics.raft.proposalsRefused.increment(by: totals.statistics.refusals - last.statistics.refusals)
        metrics.raft.readRounds.increment(by: totals.statistics.reads - last.statistics.reads)
        metrics.raft.committed.increment(by: totals.statistics.applied - last.statistics.applied)
        last = totals
        CachePublishing.note(loop)
        if loop.index == 0 {
            cache.publish(loop)
            let segments = loop.context.writer.board.current.segments
            metrics.wal.segments.set(segments)
            metrics.wal.segmentBytes.set(segments * loop.context.segmentBytes)
        }
    }

    /// Sessions and locks are counted where they are led, statistics everywhere.
    private static func totals(_ loop: ShardLoop) -> Totals {
        var totals = Totals()
        for case .some(let hosted) in loop.hosted {
            let statistics = hosted.replica.statistics
            totals.statistics.proposals += statistics.proposals
            totals.statistics.refusals += statistics.refusals
            totals.statistics.reads += statistics.reads
            totals.statistics.applied += statistics.applied
            totals.bodyBytes += Int(clamping: hosted.bodies.manifest.fileBytes)
            let counted = hosted.replica.state.queues.totals
            defer { hosted.queueTotals = counted }
            guard hosted.replica.isReadyLeader else { continue }
            loop.context.metrics.queues.count(from: hosted.queueTotals, to: counted)
            totals.queues += hosted.replica.state.queues.queueCount
            totals.messages += hosted.replica.state.queues.messageCount
            totals.consumers += hosted.replica.state.queues.consumerCount
            totals.receives += hosted.replica.state.queues.waiterCount
            totals.sessions += hosted.replica.state.locks.sessionCount
            totals.objects += hosted.replica.state.locks.objectCount
            totals.waiters += hosted.replica.state.locks.waiterCount
        }
        return totals
    }
}

extension QueueMetrics {
    /// What has been counted since the last time. The state's counts never fall, but a snapshot may skip some.
    fileprivate func count(from old: QueueTotals, to new: QueueTotals) {
        func add(_ counter: Counter, _ path: KeyPath<QueueTotals, UInt64>) {
            counter.increment(by: Int(clamping: new[keyPath: path] - min(old[keyPath: path], new[keyPath: path])))
        }
        add(published, \.published)
        add(duplicates, \.duplicates)
        add(rejected, \.rejected)
        add(delivered, \.delivered)
        add(acked, \.acked)
        add(nacked, \.nacked)
        add(returned, \.returned)
        add(leasesExpired, \.leasesExpired)
        add(deadLettered, \.deadLettered)
        add(redriven, \.redriven)
        add(expired, \.expired)
        add(purged, \.purged)
        add(dropped, \.dropped)
    }
}
