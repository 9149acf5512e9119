// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
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
        var statistics = ReplicaStatistics()
    }

    static let interval = Interval.milliseconds(250)

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
        metrics.raft.proposals.increment(by: totals.statistics.proposals - last.statistics.proposals)
        metrics.raft.proposalsRefused.increment(by: totals.statistics.refusals - last.statistics.refusals)
        metrics.raft.readRounds.increment(by: totals.statistics.reads - last.statistics.reads)
        metrics.raft.committed.increment(by: totals.statistics.applied - last.statistics.applied)
        last = totals
        if loop.index == 0 {
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
            guard hosted.replica.isReadyLeader else { continue }
            totals.sessions += hosted.replica.state.locks.sessionCount
            totals.objects += hosted.replica.state.locks.objectCount
            totals.waiters += hosted.replica.state.locks.waiterCount
        }
        return totals
    }
}
