// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Gateway
import NIOCore
import Primitives
import Replica
import Synchronization

/// `LINE`, statistics, and what concerns many keys.
extension LoopCache {
    // MARK: LINE

    private static let inspectionTime = Interval.milliseconds(500)

    func inspect(_ key: CacheKey, completion: @escaping (Result<LineReport, CacheFailure>) -> Void) {
        let context = loop.context
        let shard = CacheKey.shard(hash: key.hash, count: cache.stripes.count)
        let ticket = nextTicket
        nextTicket += 1
        let others = context.map.members.map(\.id).filter { $0 != context.node }
        let (home, epoch) = cache.stripes[Int(shard.rawValue)].requestor.withLock { ($0.home, $0.epoch) }
        var inspection = Inspection(
            key: key,
            deadline: NodeClock.now() + Self.inspectionTime,
            waiting: Set(others),
            found: [context.node: look(key)]
        ) { found in
            let nodes = context.map.members.map { member in
                NodeLine(
                    node: member.name,
                    state: found[member.id]?.state ?? .invalid,
                    version: found[member.id]?.version,
                    leaseRemaining: found[member.id]?.leaseRemaining,
                    isReachable: found[member.id] != nil
                )
            }
            let name = home.flatMap { context.map.name(of: $0) }
            completion(.success(LineReport(shard: shard, home: name, epoch: epoch.term, nodes: nodes)))
        }
        if others.isEmpty { return inspection.completion(inspection.found) }
        for node in others { loop.enqueue(.inspectLine(ticket: ticket << 16 | UInt64(loop.index), key), to: node) }
        inspection.waiting = Set(others)
        inspections[ticket] = inspection
        loop.scheduleTurn()
    }

    func look(_ key: CacheKey) -> LineInspection {
        let now = NodeClock.now()
        return cache.stripe(key.hash).requestor.withLock { requestor in
            let slot = key.bytes.withUnsafeBytes { requestor.hit(key.hash, $0, now: now) }
            return LineInspection(
                state: slot.map { requestor.lines.state($0) } ?? .invalid,
                version: slot.map { requestor.lines.version($0) },
                leaseRemaining: requestor.leaseEnd > now ? requestor.leaseEnd.since(now).milliseconds : nil
            )
        }
    }

    func inspected(_ ticket: UInt64, _ inspection: LineInspection, from node: NodeID) {
        let number = ticket >> 16
        guard inspections[number]?.waiting.remove(node) != nil else { return }
        inspections[number]?.found[node] = inspection
        guard inspections[number]?.waiting.isEmpty == true, let done = inspections.removeValue(forKey: number) else {
            return
        }
        done.completion(done.found)
    }

    func expireInspections(_ now: Instant) {
        guard !inspections.isEmpty else { return }
        for (number, inspection) in inspections where inspection.deadline <= now {
            inspections[number] = nil
            inspection.completion(inspection.found)
        }
    }

    // MARK: Statistics

    var statistics: CacheStatistics {
        var sum = CacheStatistics()
        for other in loop.context.loops {
            // Other loops' counts are as old as their last publication.
            let counts = other === loop ? counts : other.context.cacheCounts.withLock { $0[other.index] }
            sum.hits += counts.hits
            sum.misses += counts.misses
            sum.writes += counts.writes
            sum.ownedWrites += counts.ownedWrites
            sum.staleReads += counts.staleReads
        }
        let now = NodeClock.now()
        for stripe in cache.stripes { stripe.requestor.withLock { Self.add($0, to: &sum, now) } }
        sum.limitBytes = UInt64(cache.limitBytes)
        sum.leaseLosses = cache.leaseLosses.load(ordering: .relaxed)
        for home in loop.context.homeStatistics.withLock({ $0 }) {
            sum.invalidationsSent += home.invalidations
            sum.invalidationsAcknowledged += home.acknowledged
            sum.invalidationsExpired += home.expired
            sum.recalls += home.recalls
            sum.expirations += home.expirations
            sum.staleMessages += home.staleMessages
        }
        var memory = MemoryFigures()
        for figures in loop.context.memoryFigures.withLock({ $0 }) { memory.add(figures) }
        sum.memory = CacheStatistics.Memory(memory)
        sum.journal = cache.journal.statistics
        return sum
    }

    private static func add(_ requestor: borrowing CacheRequestor, to sum: inout CacheStatistics, _ now: Instant) {
        for state in LineState.allCases {
            sum.lines[Int(state.rawValue)] += UInt64(requestor.lines.count(of: state))
        }
        sum.bytes += UInt64(requestor.lines.bytes)
        sum.dirtyLines += UInt64(requestor.unloggedCount)
        sum.dirtyBytes += UInt64(requestor.lines.dirtyBytes)
        sum.dirtyAge = max(sum.dirtyAge, requestor.dirtyAge(now))
        let counts = requestor.statistics
        for index in counts.transitions.indices { sum.transitions[index] += counts.transitions[index] }
        sum.invalidationsReceived += counts.invalidations
        sum.fills += counts.fills
        sum.writeBacks += counts.writeBacks
        sum.evictions += counts.evictions
        sum.staleMessages += counts.staleMessages
        sum.synchronisations += counts.synchronisations
        let left = requestor.leaseEnd > now ? requestor.leaseEnd.since(now).milliseconds : 0
        sum.leaseRemaining = max(sum.leaseRemaining, left)
    }

    // MARK: All shards

    func count(completion: @escaping (Result<UInt64, CacheFailure>) -> Void) {
        askAll(.count, { if case .count(let count) = $0 { count } else { nil } }) {
            completion($0.map { $0.reduce(0, +) })
        }
    }

    func removeAll(completion: @escaping (CacheFailure?) -> Void) {
        askAll(.removeAll, { if case .done = $0 { 0 } else { nil } }) { result in
            switch result {
            case .success: completion(nil)
            // Some shards may be empty by now, and others not.
            case .failure(let failure): completion(.unknown(reason: "\(failure)"))
            }
        }
    }

    private func askAll(
        _ inquiry: CacheInquiry,
        _ read: @escaping (CacheInformation) -> UInt64?,
        _ completion: @escaping (Result<[UInt64], CacheFailure>) -> Void
    ) {
        var numbers: [UInt64] = []
        var failure: CacheFailure?
        var left = cache.stripes.count
        for stripe in cache.stripes {
            loop.submit(.cache(inquiry), to: stripe.shard, timeout: nil) { response in
                if case .cache(let information) = response, let number = read(information) {
                    numbers.append(number)
                } else {
                    failure = failure ?? CacheFailure(response)
                }
                left -= 1
                if left == 0 { completion(failure.map { .failure($0) } ?? .success(numbers)) }
            }
        }
    }

    /// Shard by shard: the cursor's high bits say which.
    func scan(cursor: UInt64, count: Int, completion: @escaping (Result<CachePage, CacheFailure>) -> Void) {
        let shard = cursor >> UInt64(CacheInquiry.cursorBits)
        guard shard < UInt64(cache.stripes.count) else { return completion(.success(CachePage(keys: [], next: 0))) }
        let place = cursor & ((1 << UInt64(CacheInquiry.cursorBits)) - 1)
        let wanted = UInt32(clamping: min(count, Int(CacheInquiry.maxScanCount)))
        let id = ShardID(UInt16(shard))
        loop.submit(.cache(.scan(cursor: place, count: wanted)), to: id, timeout: nil) { response in
            guard case .cache(.page(let keys, let next)) = response else {
                return completion(.failure(CacheFailure(response)))
            }
            let last = shard + 1 == UInt64(self.cache.stripes.count)
            let after =
                next != 0
                ? shard << UInt64(CacheInquiry.cursorBits) | next
                : (last ? 0 : (shard + 1) << UInt64(CacheInquiry.cursorBits))
            completion(.success(CachePage(keys: keys, next: after)))
        }
    }
}

extension CacheStatistics.Memory {
    init(_ figures: MemoryFigures) {
        self.init()
        writes = figures.writes
        writeFailures = figures.writeFailures
        fetches = figures.fetches
        fetchFailures = figures.fetchFailures
        dirtyKeys = figures.dirtyEntries
        dirtyBytes = figures.dirtyBytes
        dirtyAge = figures.dirtyAge
        quarantinedKeys = figures.quarantined
    }
}
