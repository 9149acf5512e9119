// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Homes that come and go, the node's lease, repetition, eviction and writing back.
extension CacheRequestor {
    // MARK: The lease

    /// What the node knows of its own membership. A new incarnation begins with an empty cache.
    package mutating func membership(
        _ view: CacheView,
        own: CacheMember?,
        leaseEnd: Instant,
        now: Instant,
        into effects: inout RequestorEffects
    ) {
        if view.version > self.view.version { self.view = view }
        if own != member {
            dropLines(now, &effects)
            member = own
            epoch = .none
            home = nil
        }
        self.leaseEnd = leaseEnd
    }

    /// Lets go of every line. What has not been logged stays until a home says what becomes of it, and what was asked
    /// for is asked again.
    private mutating func dropLines(_ now: Instant, _ effects: inout RequestorEffects) {
        var saved = OrderedMap<CacheKey, LineData>()
        var cursor = LineCursor()
        while let slot = lines.next(&cursor) {
            statistics.count(from: lines.state(slot), to: .invalid)
            if isUnlogged(slot) { saved[CacheKey([UInt8](lines.key(slot)))] = data(slot, now) }
        }
        if leavesOut(.keepLines) { return }
        lines = LineTable(policy: configuration.policy)
        flushes = OrderedMap()
        hints = []
        effects.isCleared = true
        for key in open.values {
            guard var transaction = transactions[key] else { continue }
            transaction.floor = 0
            transaction.isInvalidated = false
            transaction.sentAt = nil
            transaction.resendAt = .distantFuture
            switch transaction.kind {
            case .reading:
                guard let data = saved[key] else { break }
                transaction.kind = .putting(gid: 0, .restore, data)
                transaction.queue.insert(contentsOf: transaction.readers, at: 0)
                transaction.readers = []
            case .writing(var write):
                write.held = .nothing
                write.gid = 0
                if let data = saved[key] { write.data = data }
                transaction.kind = .writing(write)
            case .putting(_, _, let data): transaction.kind = .putting(gid: 0, .restore, data)
            }
            transactions[key] = transaction
        }
        for (key, data) in saved where transactions[key] == nil {
            transactions[key] = newTransaction(.putting(gid: 0, .restore, data), key)
        }
    }

    // MARK: Reigns

    /// EpochSync. What an earlier home granted is let go of before this one is told so.
    mutating func synchronise(
        _ from: NodeID,
        _ newEpoch: CacheEpoch,
        _ newer: CacheView,
        _ now: Instant,
        _ effects: inout RequestorEffects
    ) {
        guard newEpoch >= epoch else {
            statistics.staleMessages += 1
            return
        }
        if newer.version > view.version { view = newer }
        if newEpoch > epoch || home != from {
            statistics.synchronisations += 1
            dropLines(now, &effects)
            epoch = newEpoch
            home = from
        }
        for key in open.values {
            guard let transaction = transactions[key] else { continue }
            switch transaction.kind {
            case .putting(_, .restore, _): send(transaction, key, now, &effects)
            case .writing(let write):
                // Others' requests may come before this write: what was acknowledged has to be there by then.
                if let data = write.data { effects.send.append(.put(key, gid: 0, .restore, data)) }
            case .reading, .putting: break
            }
        }
        effects.send.append(.synchronised(view: view))
        for key in open.values {
            guard let transaction = transactions[key], transaction.sentAt == nil else { continue }
            send(transaction, key, now, &effects)
        }
    }

    /// Sends it, now or as soon as there is a home, and keeps it until it is answered.
    mutating func send(
        _ transaction: LineTransaction,
        _ key: CacheKey,
        _ now: Instant,
        _ effects: inout RequestorEffects
    ) {
        var transaction = transaction
        defer { transactions[key] = transaction }
        guard home != nil, member != nil else { return }
        guard transaction.sentAt != nil || mayAsk(transaction, now) else {
            transaction.resendAt = now
            return
        }
        transaction.sentAt = transaction.sentAt ?? now
        transaction.wasSent = true
        transaction.resendAt = now + configuration.resendInterval
        switch transaction.kind {
        case .reading(let number): effects.send.append(.read(key, number: number))
        case .writing(var write):
            write.floor = writesOpen.first?.key ?? nextWrite
            effects.send.append(.write(key, write))
        case .putting(let gid, let reason, let data): effects.send.append(.put(key, gid: gid, reason, data))
        }
    }

    /// A home that this node still follows without a lease may not be the shard's home any more.
    private func mayAsk(_ transaction: LineTransaction, _ now: Instant) -> Bool {
        if case .putting = transaction.kind { return true }
        return now < leaseEnd || leavesOut(.sendWithoutLease)
    }

    // MARK: Time

    /// Due every few tens of milliseconds.
    package mutating func tick(now: Instant, into effects: inout RequestorEffects) {
        for id in open.keys {
            guard let key = open[id], let transaction = transactions[key], transaction.id == id else { continue }
            expireCalls(transaction, key, now, &effects)
            if let left = transactions[key], left.id == id, left.resendAt <= now {
                repeatRequest(left, key, now, &effects)
            }
        }
        flush(now: now, olderThan: configuration.flushInterval, into: &effects)
        for id in flushes.keys {
            guard var flush = flushes[id], flush.resendAt <= now else { continue }
            guard let slot = lines.find(flush.key), isUnlogged(slot) else {
                // Gone another way.
                flushes[id] = nil
                continue
            }
            // What was sent may be lost. If the line was written again since, what stands there now goes in its place.
            flush.version = lines.version(slot)
            flush.resendAt = now + configuration.resendInterval
            flushes[id] = flush
            sendFlush(slot, flush.key, now, &effects)
        }
        sendHints(into: &effects)
    }

    private mutating func repeatRequest(
        _ transaction: LineTransaction,
        _ key: CacheKey,
        _ now: Instant,
        _ effects: inout RequestorEffects
    ) {
        guard case .reading = transaction.kind, transaction.sentAt == nil, home != nil, now < leaseEnd else {
            return send(transaction, key, now, &effects)
        }
        // It waited for the node's lease. Lines are good again too.
        var transaction = transaction
        transaction.queue.insert(contentsOf: transaction.readers, at: 0)
        transaction.readers = []
        close(transaction, key, now, &effects)
    }

    private mutating func expireCalls(
        _ transaction: LineTransaction,
        _ key: CacheKey,
        _ now: Instant,
        _ effects: inout RequestorEffects
    ) {
        var left = transaction
        let late = CacheCallFailure.unavailable(reason: "the key's home did not answer in time")
        left.readers.removeAll {
            isLate($0, now)
                ? {
                    complete($0, .failed(late), &effects); return true
                }($0) : false
        }
        left.queue.removeAll {
            isLate($0, now)
                ? {
                    complete($0, .failed(late), &effects); return true
                }($0) : false
        }
        switch transaction.kind {
        case .reading where left.readers.isEmpty && !transaction.readers.isEmpty:
            return close(left, key, now, &effects)
        case .writing(let write):
            for call in left.takeWriters(before: now) {
                let unknown = CacheCallFailure.unknown(reason: "the key's home did not answer in time")
                complete(call, .failed(left.wasSent ? unknown : late), &effects)
            }
            guard left.writers.allSatisfy({ $0 == nil }) else { break }
            left.writers = []
            writesOpen[write.id.number] = nil
            // The home may have carried it out, and may carry it out yet: the line is nothing to go by any more.
            let slot = lines.find(key)
            let unlogged = write.data ?? slot.flatMap { isUnlogged($0) ? data($0, now) : nil }
            if let slot { remove(slot, key, &effects) }
            if let unlogged {
                left.kind = .putting(gid: 0, .restore, unlogged)
                left.sentAt = nil
                return send(left, key, now, &effects)
            }
            return close(left, key, now, &effects)
        case .reading, .putting: break
        }
        transactions[key] = left
    }

    private func isLate(_ call: CacheCall, _ now: Instant) -> Bool { call.deadline <= now }

    // MARK: Eviction and writing back

    /// Takes a line out of the table to make room. One with unlogged data stays in memory until the home has it.
    package mutating func evict(_ slot: LineSlot, now: Instant, into effects: inout RequestorEffects) {
        let key = CacheKey([UInt8](lines.key(slot)))
        statistics.evictions += 1
        statistics.count(from: lines.state(slot), to: .invalid)
        effects.departed.append(key)
        let gid = lines.gid(slot)
        if isUnlogged(slot), transactions[key] == nil {
            let leaving = data(slot, now)
            lines.evict(slot)
            send(newTransaction(.putting(gid: gid, .evict, leaving), key), key, now, &effects)
        } else {
            hints.append((key, gid))
            lines.evict(slot)
            if hints.count >= 64 { sendHints(into: &effects) }
        }
    }

    package mutating func sendHints(into effects: inout RequestorEffects) {
        guard !hints.isEmpty else { return }
        if home != nil { effects.send.append(.hints(Array(hints.prefix(HomeRequest.maxHints)))) }
        hints = []
    }

    /// Sends the home what was written without the log that long ago, the oldest first. Lines stay, owned. So many at
    /// a time as the log takes without delay to others; each that is done makes room for the next.
    package mutating func flush(now: Instant, olderThan age: Interval, into effects: inout RequestorEffects) {
        let bound = Self.deciseconds(now) &- UInt32(truncatingIfNeeded: age.nanoseconds / 100_000_000)
        flush(now: now, through: age == .zero ? nil : bound, into: &effects)
    }

    /// The same of what was written up to a mark; nil: of everything.
    package mutating func flush(now: Instant, through mark: UInt32?, into effects: inout RequestorEffects) {
        guard home != nil else { return }
        while flushes.count < configuration.maxFlushes, let slot = lines.oldestDirty, let since = lines.dirtySince(slot)
        {
            if let mark, !Self.isThrough(since, mark) { return }
            let key = CacheKey([UInt8](lines.key(slot)))
            var flush = Flush(
                key: key,
                version: lines.version(slot),
                since: since,
                resendAt: now + configuration.resendInterval
            )
            // Nobody has confirmed what was sent before: that is a part of this one now.
            if lines.flags(slot).contains(.flushing) { absorb(into: &flush) }
            flushes[nextTransaction] = flush
            nextTransaction += 1
            sendFlush(slot, key, now, &effects)
        }
    }

    private mutating func sendFlush(
        _ slot: LineSlot,
        _ key: CacheKey,
        _ now: Instant,
        _ effects: inout RequestorEffects
    ) {
        effects.send.append(.put(key, gid: lines.gid(slot), .flush, data(slot, now)))
        var slot = slot
        var fields = lines.fields(slot)
        fields.dirtySince = nil
        fields.flags.formUnion([.flushing, .pinned])
        lines.setFields(&slot, fields)
    }

    private mutating func absorb(into flush: inout Flush) {
        for id in flushes.keys {
            guard let earlier = flushes[id], earlier.key == flush.key else { continue }
            if Self.isThrough(earlier.since, flush.since) { flush.since = earlier.since }
            flushes[id] = nil
        }
    }

    /// Names this moment for `flush` and `hasUnlogged`: all that was written before, and nothing that comes a tenth of
    /// a second later.
    package static func flushMark(_ now: Instant) -> UInt32 { deciseconds(now) }

    private static func isThrough(_ since: UInt32, _ mark: UInt32) -> Bool { Int32(bitPattern: mark &- since) >= 0 }

    /// Whether the home may lack something that was written up to the mark.
    package func hasUnlogged(through mark: UInt32) -> Bool {
        if let slot = lines.oldestDirty, let since = lines.dirtySince(slot), Self.isThrough(since, mark) { return true }
        if flushes.values.contains(where: { Self.isThrough($0.since, mark) }) { return true }
        // Lines that are gone from here, and the home has not confirmed.
        return open.values.contains { key in
            guard let transaction = transactions[key], case .putting = transaction.kind else { return false }
            return transaction.sentAt.map { Self.isThrough(Self.deciseconds($0), mark) } ?? true
        }
    }

    /// Lines whose data the home does not have yet, those on their way included.
    package var unloggedCount: Int {
        let leaving = open.values.count { key in
            if case .putting? = transactions[key]?.kind { true } else { false }
        }
        return lines.dirtyCount + flushes.count + leaving
    }
}
