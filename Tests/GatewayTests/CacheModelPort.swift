// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Gateway
import Primitives

/// A cache of one node in memory: what a front end meets when nothing goes wrong, and what a test makes go wrong.
final class CacheModelPort: CachePort {
    struct Entry {
        var value: [UInt8]
        var version: CacheVersion
        var expiresAt: UInt64
    }

    /// A call whose completion waits. What it does was done when it was submitted.
    struct Held {
        var text: String
        var finish: () -> Void
    }

    struct Tracking {
        weak var tracker: (any CacheTracker)?
        var prefix: [UInt8]?
        var key: CacheKey?
    }

    /// Milliseconds, for expiry.
    var clock: () -> UInt64
    /// Whether keys that are there, or known to be absent, are hits.
    var hasHits = false
    /// Whether this node owns every line in a mode that is not logged.
    var isOwner = false
    var holds = false
    var failure: CacheFailure?
    /// Of writes of single keys.
    var failures: [CacheKey: CacheFailure] = [:]
    var refusals: [CacheKey: CacheRefusal] = [:]
    var refusal: CacheRefusal?
    var held: [Held] = []
    /// Calls in their order, such as `read a`.
    var calls: [String] = []
    var hits = 0
    var figures = CacheStatistics()
    var report = LineReport(shard: ShardID(3), home: "node-1", epoch: 7, nodes: [])
    /// Where the next page begins, if not where this one ended.
    var next: UInt64?
    private(set) var entries: [CacheKey: Entry] = [:] {
        didSet { sorted = nil }
    }
    /// For walks over many keys.
    private var sorted: [CacheKey]?
    private(set) var options: [CacheWriteOptions] = []
    private(set) var trackings: [Tracking] = []
    private var index: UInt64 = 0

    init(clock: @escaping () -> UInt64 = { 1_000_000 }) { self.clock = clock }

    private func current(_ key: CacheKey) -> Entry? {
        guard let entry = entries[key] else { return nil }
        return entry.expiresAt != 0 && entry.expiresAt <= clock() ? nil : entry
    }

    private func deliver(_ text: String, _ finish: @escaping () -> Void) {
        calls.append(text)
        if holds { held.append(Held(text: text, finish: finish)) } else { finish() }
    }

    /// Completes the held call that was submitted as number `position` of those still held.
    func complete(_ position: Int = 0) { held.remove(at: position).finish() }

    func completeAll() { while !held.isEmpty { complete() } }

    // MARK: Hits

    func withHit(_ key: UnsafeRawBufferPointer, _ body: (CacheHit) -> Void) -> Bool {
        guard hasHits else { return false }
        hits += 1
        guard let entry = current(CacheKey([UInt8](key))) else {
            let none = UnsafeRawBufferPointer(start: nil, count: 0)
            body(CacheHit(value: none, exists: false, version: .zero, state: .shared, remaining: nil))
            return true
        }
        entry.value.withUnsafeBytes {
            body(CacheHit(value: $0, exists: true, version: entry.version, state: .shared, remaining: nil))
        }
        return true
    }

    func setHit(
        _ key: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer,
        _ durability: CacheDurability?
    ) -> Bool {
        guard isOwner else { return false }
        hits += 1
        store(CacheKey([UInt8](key)), [UInt8](value), expiresAt: 0)
        return true
    }

    // MARK: Reads and writes

    func read(_ key: CacheKey, _ options: CacheReadOptions, completion: @escaping (CacheReadResult) -> Void) {
        let found = current(key)
        let remaining = found.flatMap { $0.expiresAt == 0 ? nil : $0.expiresAt - clock() }
        let read = CacheRead(
            value: found?.value,
            version: found?.version ?? .zero,
            remaining: remaining,
            state: .shared
        )
        let failure = failure
        deliver("read \(key)") { completion(failure.map { .failed($0) } ?? .found(read)) }
    }

    func write(
        _ key: CacheKey,
        _ operation: CacheOperation,
        _ options: CacheWriteOptions,
        completion: @escaping (CacheWriteResult) -> Void
    ) {
        self.options.append(options)
        if let failure = failure ?? failures[key] {
            return deliver("write \(key)") { completion(.failed(failure)) }
        }
        if let refusal = refusal ?? refusals[key] {
            return deliver("write \(key)") { completion(.answered(.refused(refusal), version: .zero)) }
        }
        let found = current(key)
        let change = operation.evaluate(
            CacheCurrent(value: found?.value, version: found?.version ?? .zero, expiresAt: found?.expiresAt ?? 0),
            now: clock()
        )
        switch change.effect {
        case .none: break
        case .store(let value, let expiresAt): store(key, value, expiresAt: expiresAt)
        case .remove: remove(key)
        }
        let version = entries[key]?.version ?? CacheVersion(index: index)
        deliver("write \(key)") { completion(.answered(change.answer, version: version)) }
    }

    /// As another client would.
    func store(_ key: CacheKey, _ value: [UInt8], expiresAt: UInt64 = 0) {
        index += 1
        entries[key] = Entry(value: value, version: CacheVersion(index: index), expiresAt: expiresAt)
        changed(key)
    }

    func remove(_ key: CacheKey) {
        index += 1
        entries[key] = nil
        changed(key)
    }

    // MARK: The node

    func inspect(_ key: CacheKey, completion: @escaping (Result<LineReport, CacheFailure>) -> Void) {
        let report = report
        deliver("inspect \(key)") { completion(.success(report)) }
    }

    var statistics: CacheStatistics { figures }

    func flush(everywhere: Bool, completion: @escaping (Result<Int, CacheFailure>) -> Void) {
        let failure = failure
        deliver("flush \(everywhere)") { completion(failure.map { .failure($0) } ?? .success(everywhere ? 9 : 4)) }
    }

    func evict(_ key: CacheKey, completion: @escaping (Result<Bool, CacheFailure>) -> Void) {
        let isHeld = current(key) != nil
        let failure = failure
        deliver("evict \(key)") { completion(failure.map { .failure($0) } ?? .success(isHeld)) }
    }

    /// The cursor is a place in the order of the keys.
    func scan(cursor: UInt64, count: Int, completion: @escaping (Result<CachePage, CacheFailure>) -> Void) {
        let all = sorted ?? entries.keys.sorted()
        sorted = all
        let start = min(Int(clamping: cursor), all.count)
        let end = min(start + count, all.count)
        let keys = all[start..<end].filter { current($0) != nil }
        let page = CachePage(keys: keys, next: next ?? (end == all.count ? 0 : UInt64(end)))
        let failure = failure
        deliver("scan \(cursor) \(count)") { completion(failure.map { .failure($0) } ?? .success(page)) }
    }

    func count(completion: @escaping (Result<UInt64, CacheFailure>) -> Void) {
        let count = entries.keys.count { current($0) != nil }
        let failure = failure
        deliver("count") { completion(failure.map { .failure($0) } ?? .success(UInt64(count))) }
    }

    func removeAll(completion: @escaping (CacheFailure?) -> Void) {
        let failure = failure
        if failure == nil {
            entries = [:]
            tellAll()
        }
        deliver("removeAll") { completion(failure) }
    }

    // MARK: Trackers

    func track(_ key: CacheKey, _ tracker: any CacheTracker) {
        guard !trackings.contains(where: { $0.key == key && $0.tracker === tracker }) else { return }
        trackings.append(Tracking(tracker: tracker, key: key))
    }

    func trackPrefix(_ prefix: [UInt8], _ tracker: any CacheTracker) {
        trackings.append(Tracking(tracker: tracker, prefix: prefix))
    }

    func untrack(_ tracker: any CacheTracker) { trackings.removeAll { $0.tracker === tracker } }

    private func changed(_ key: CacheKey) {
        let told = trackings.filter { $0.key == key || $0.prefix.map { key.bytes.starts(with: $0) } == true }
        trackings.removeAll { $0.key == key }
        for tracking in told { tracking.tracker?.invalidate(key) }
    }

    /// As when the node lost its lease.
    func tellAll() {
        var told: [any CacheTracker] = []
        for tracker in trackings.compactMap(\.tracker) where !told.contains(where: { $0 === tracker }) {
            told.append(tracker)
        }
        trackings.removeAll { $0.key != nil }
        for tracker in told { tracker.invalidateAll() }
    }
}
