// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Gateway
import NIOCore
import Primitives
import Replica
import Synchronization

/// `CACHE.FLUSH` and `CACHE.EVICT`.
extension LoopCache {
    private static let pollInterval = TimeAmount.milliseconds(5)

    // MARK: This node's lines

    func flush(everywhere: Bool, completion: @escaping (Result<Int, CacheFailure>) -> Void) {
        let limit = loop.router.configuration.requestTimeout
        if everywhere { return flushEverywhere(within: limit, completion) }
        flush(within: limit, completion: completion)
    }

    func flush(within limit: Interval, completion: @escaping (Result<Int, CacheFailure>) -> Void) {
        flushOwn(within: limit) { report in
            guard report.left > 0 else { return completion(.success(report.lines)) }
            let reason = "\(report.left) of \(report.lines) lines could not be written back in time"
            completion(.failure(report.left < report.lines ? .partly(reason: reason) : .unavailable(reason: reason)))
        }
    }

    func flushOwn(within limit: Interval, _ completion: @escaping (CacheFlushReport) -> Void) {
        let now = NodeClock.now()
        // What is written from now on is not waited for: writers that never rest would never let it end.
        let mark = CacheRequestor.flushMark(now)
        let lines = cache.stripes.reduce(0) { sum, stripe in sum + stripe.requestor.withLock { $0.unloggedCount } }
        waitForFlush(lines, mark, now + limit, completion)
    }

    private func waitForFlush(
        _ lines: Int,
        _ mark: UInt32,
        _ deadline: Instant,
        _ completion: @escaping (CacheFlushReport) -> Void
    ) {
        let open = cache.stripes.filter { stripe in stripe.requestor.withLock { $0.hasUnlogged(through: mark) } }
        if open.isEmpty { return completion(CacheFlushReport(lines: lines, left: 0)) }
        guard NodeClock.now() < deadline else {
            let left = open.reduce(0) { sum, stripe in sum + stripe.requestor.withLock { $0.unloggedCount } }
            return completion(CacheFlushReport(lines: max(lines, 1), left: max(1, min(left, lines))))
        }
        for stripe in open {
            onOwner(of: stripe) { cache in
                cache.step(stripe) { $0.flush(now: NodeClock.now(), through: mark, into: &$1) }
            }
        }
        loop.loop.assumeIsolated().scheduleTask(in: Self.pollInterval) {
            self.waitForFlush(lines, mark, deadline, completion)
        }
    }

    private func onOwner(of stripe: CacheStripe, _ body: @escaping @Sendable (LoopCache) -> Void) {
        let owner = owner(stripe.shard)
        if owner === loop { return body(self) }
        owner.post(.perform { loop in if let cache = loop.cache { body(cache) } })
    }

    // MARK: Those of all nodes

    /// Nodes answer a little before their asker stops waiting.
    private static let answerTime = Interval.milliseconds(300)

    private func flushEverywhere(within limit: Interval, _ completion: @escaping (Result<Int, CacheFailure>) -> Void) {
        let context = loop.context
        let names = context.map.members.map { (id: $0.id, name: $0.name) }
        let ticket = nextTicket
        nextTicket += 1
        flushes[ticket] = FlushInquiry(
            deadline: NodeClock.now() + limit,
            waiting: Set(names.map(\.id)),
            reports: [:]
        ) { reports in
            completion(FlushInquiry.result(names.map { (name: $0.name, report: reports[$0.id]) }))
        }
        let share = limit > Self.answerTime * 2 ? limit - Self.answerTime : limit / 2
        for node in names.map(\.id) where node != context.node {
            loop.enqueue(.flushLines(ticket: ticket << 16 | UInt64(loop.index), within: share.milliseconds), to: node)
        }
        loop.scheduleTurn()
        flushOwn(within: share) { self.flushed(ticket << 16, $0, from: context.node) }
    }

    func flushed(_ ticket: UInt64, _ report: CacheFlushReport, from node: NodeID) {
        let number = ticket >> 16
        guard flushes[number]?.waiting.remove(node) != nil else { return }
        flushes[number]?.reports[node] = report
        guard flushes[number]?.waiting.isEmpty == true, let done = flushes.removeValue(forKey: number) else { return }
        done.completion(done.reports)
    }

    func expireFlushes(_ now: Instant) {
        guard !flushes.isEmpty else { return }
        for (number, inquiry) in flushes where inquiry.deadline <= now {
            flushes[number] = nil
            inquiry.completion(inquiry.reports)
        }
    }

    // MARK: Dropping a line

    func evict(_ key: CacheKey, completion: @escaping (Result<Bool, CacheFailure>) -> Void) {
        evict(key, NodeClock.now() + loop.router.configuration.requestTimeout, completion)
    }

    /// A line that is being written is not let go of in the middle: it is tried again.
    private func evict(
        _ key: CacheKey,
        _ deadline: Instant,
        _ completion: @escaping (Result<Bool, CacheFailure>) -> Void
    ) {
        let token = callers.insert { result in
            switch result {
            case .written(let answer, _): return completion(.success(answer == .done))
            case .read: invariantFailure("an eviction was answered as a read")
            case .failed(let failure):
                guard NodeClock.now() < deadline else { return completion(.failure(CacheFailure(failure))) }
                self.loop.loop.assumeIsolated().scheduleTask(in: Self.pollInterval) {
                    self.evict(key, deadline, completion)
                }
            }
        }
        let stripe = cache.stripe(key.hash)
        let origin = loop
        onOwner(of: stripe) { cache in
            let result = cache.evictNow(key, stripe)
            if cache.loop === origin {
                cache.callers.remove(token)?(result)
            } else {
                origin.post(.perform { $0.cache?.callers.remove(token)?(result) })
            }
        }
    }

    private func evictNow(_ key: CacheKey, _ stripe: CacheStripe) -> CacheCallResult {
        var result = CacheCallResult.written(.notDone, .zero)
        step(stripe) { requestor, effects in
            guard let slot = requestor.lines.find(key) else { return }
            guard !requestor.isWriting(key) else {
                result = .failed(.busy(reason: "a write of the key is under way"))
                return
            }
            result = .written(.done, .zero)
            requestor.evict(slot, now: NodeClock.now(), into: &effects)
            requestor.sendHints(into: &effects)
        }
        return result
    }
}

/// `CACHE.FLUSH ALL` under way.
struct FlushInquiry {
    var deadline: Instant
    var waiting: Set<NodeID>
    var reports: [NodeID: CacheFlushReport]
    var completion: ([NodeID: CacheFlushReport]) -> Void

    /// - Parameter nodes: all of them; nil: it did not answer.
    static func result(_ nodes: [(name: String, report: CacheFlushReport?)]) -> Result<Int, CacheFailure> {
        let lines = nodes.reduce(0) { $0 + ($1.report?.lines ?? 0) }
        let left = nodes.reduce(0) { $0 + ($1.report?.left ?? 0) }
        let silent = nodes.filter { $0.report == nil }.map(\.name)
        let late = nodes.filter { $0.report?.left ?? 0 > 0 }.map { "\($0.name) (\($0.report?.left ?? 0) lines)" }
        guard !silent.isEmpty || !late.isEmpty else { return .success(lines) }
        var reasons: [String] = []
        if !silent.isEmpty { reasons.append("no answer in time from \(silent.joined(separator: ", "))") }
        if !late.isEmpty { reasons.append("not all was written back in time by \(late.joined(separator: ", "))") }
        return .failure(
            .partly(reason: "\(lines - left) lines were written back; \(reasons.joined(separator: "; "))")
        )
    }
}
