// SPDX-License-Identifier: Apache-2.0
import Primitives
package import QueueCore

extension QueueView {
    /// Adds another lane of the same queue. Settings stay those of the first.
    mutating func add(_ lane: QueueView) {
        depth.ready += lane.depth.ready
        depth.inFlight += lane.depth.inFlight
        depth.delayed += lane.depth.delayed
        depth.dead += lane.depth.dead
        bytes += lane.bytes
        totals.add(lane.totals)
        isPublishPaused = isPublishPaused || lane.isPublishPaused
        isConsumePaused = isConsumePaused || lane.isConsumePaused
        waiters += lane.waiters
        tenants = max(tenants, lane.tenants)
        oldestReadyMilliseconds = Self.older(oldestReadyMilliseconds, lane.oldestReadyMilliseconds)
        oldestInFlightMilliseconds = Self.older(oldestInFlightMilliseconds, lane.oldestInFlightMilliseconds)
        redriveLeft += lane.redriveLeft
        while dwell.count < lane.dwell.count { dwell.append(0) }
        for (bucket, count) in lane.dwell.enumerated() { dwell[bucket] += count }
    }

    private static func older(_ one: UInt64?, _ other: UInt64?) -> UInt64? {
        guard let one, let other else { return one ?? other }
        return max(one, other)
    }

    /// How long acked messages had been there, in milliseconds: the upper end of the bucket in which `quantile` (0 to
    /// 1) of them are. Nil when none was acked.
    package func dwellMilliseconds(_ quantile: Double) -> UInt64? {
        let total = dwell.reduce(0, +)
        guard total > 0 else { return nil }
        let wanted = UInt64((Double(total) * min(max(quantile, 0), 1)).rounded(.up))
        var seen: UInt64 = 0
        for (bucket, count) in dwell.enumerated() {
            seen += count
            if seen >= max(1, wanted) { return 1 << UInt64(min(bucket, 63)) }
        }
        return nil
    }
}

extension QueueTotals {
    mutating func add(_ other: QueueTotals) {
        published += other.published
        duplicates += other.duplicates
        rejected += other.rejected
        acked += other.acked
        expired += other.expired
        purged += other.purged
        dropped += other.dropped
        movedIn += other.movedIn
        movedOut += other.movedOut
        delivered += other.delivered
        nacked += other.nacked
        returned += other.returned
        leasesExpired += other.leasesExpired
        deadLettered += other.deadLettered
        redriven += other.redriven
    }
}
