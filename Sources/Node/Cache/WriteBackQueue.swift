// SPDX-License-Identifier: Apache-2.0
package import CacheCore
import NIOCore
package import Primitives

/// What of one shard has to be written back to Redis, oldest first: which keys may go now, which are under way (each
/// with one version), which wait after a failure, and what Redis has confirmed and the log not yet noted.
///
/// Several changes of a key are one write: what is sent is what the state holds at that moment.
package struct WriteBackQueue {
    package struct Limits: Sendable {
        package var inFlight = 128
        /// One write may go above it.
        package var inFlightBytes = 4 << 20
        /// After a failure of the server, which stops all keys.
        package var shortestPause = Interval.milliseconds(50)
        package var longestPause = Interval.milliseconds(1_000)
        /// After a failure of one key.
        package var shortestRetry = Interval.milliseconds(100)
        package var longestRetry = Interval.milliseconds(30_000)
        /// A full server may have room again at any time.
        package var longestRetryWhenFull = Interval.milliseconds(2_000)
        /// Failures in succession that put a key into quarantine.
        package var quarantineAfter = 3
        /// A confirmation that the log has not noted by then is proposed again.
        package var patience = Interval.milliseconds(1_000)

        package init() {}
    }

    package enum Failure: Sendable, Equatable {
        /// Nothing can be written now.
        case server(String)
        /// There is no room for this value.
        case full
        /// This value is refused.
        case entry(String)
    }

    private enum Place {
        case ready
        case inFlight(CacheVersion, bytes: Int)
        case waiting(until: Instant)
        case confirmed(CacheVersion)
    }

    private struct Track {
        var since: Instant
        /// Of noting.
        var number: UInt64
        var place = Place.ready
        var failures = 0
        var reason = ""
        var isFull = false
    }

    private let limits: Limits
    private var tracks: [CacheKey: Track] = [:]
    private var ready = CircularBuffer<CacheKey>()
    /// Older than those that are ready: the server failed when they were under way.
    private var returned: [CacheKey] = []
    private var nextNumber: UInt64 = 0
    private var retries = TimerHeap<CacheKey>()
    /// Keys that found the server full.
    private var refusedForRoom: Set<CacheKey> = []
    /// By age; what is done with is dropped when it comes to the front.
    private var ages = CircularBuffer<(key: CacheKey, since: Instant)>()
    /// To be proposed, and proposed, as the log applies them.
    private var unproposed: [CacheKeyVersion] = []
    private var proposed = CircularBuffer<(entry: CacheKeyVersion, at: Instant)>()
    private var pause = Interval.zero
    private var pausedUntil = Instant.zero
    private var random: SeededRandom
    package private(set) var inFlightCount = 0
    private var inFlightBytes = 0
    package private(set) var quarantinedCount = 0

    package init(limits: Limits = Limits(), seed: UInt64) {
        self.limits = limits
        random = SeededRandom(seed: seed)
    }

    package var isIdle: Bool { tracks.isEmpty && unproposed.isEmpty && proposed.isEmpty }

    // MARK: Changes

    /// The key has a value, or a removal, that Redis has not.
    package mutating func note(_ key: CacheKey, _ now: Instant) {
        guard let track = tracks[key] else {
            tracks[key] = newTrack(now)
            noteAge(key, now)
            ready.append(key)
            return
        }
        switch track.place {
        case .ready, .inFlight: break
        // Another value may be taken where the last one was not.
        case .waiting: if !track.isFull { makeReady(key) }
        case .confirmed:
            tracks[key] = newTrack(now)
            noteAge(key, now)
            ready.append(key)
        }
    }

    private mutating func noteAge(_ key: CacheKey, _ now: Instant) {
        ages.append((key, now))
        // One key that Redis never takes would keep all that came after it.
        guard ages.count > 2 * tracks.count + 1_024 else { return }
        var left = CircularBuffer<(key: CacheKey, since: Instant)>()
        for age in ages where tracks[age.key]?.since == age.since { left.append(age) }
        ages = left
    }

    private mutating func newTrack(_ now: Instant) -> Track {
        nextNumber += 1
        return Track(since: now, number: nextNumber)
    }

    private mutating func makeReady(_ key: CacheKey) {
        tracks[key]?.place = .ready
        ready.append(key)
    }

    /// What is to be sent now. - Parameter entry: what the state holds.
    package mutating func take(_ now: Instant, entry: (CacheKey) -> CacheEntry?) -> [CacheEntry] {
        while let key = retries.popDue(now) {
            if case .waiting(let until)? = tracks[key]?.place, until <= now { makeReady(key) }
        }
        guard now >= pausedUntil else { return [] }
        returned.sort { (tracks[$0]?.number ?? 0) > (tracks[$1]?.number ?? 0) }
        for key in returned { ready.prepend(key) }
        returned.removeAll()
        var taken: [CacheEntry] = []
        while inFlightCount < limits.inFlight, inFlightBytes < limits.inFlightBytes,
            let key = ready.popFirst()
        {
            guard case .ready? = tracks[key]?.place else { continue }
            guard let entry = entry(key), entry.isDirty else {
                forget(key)
                continue
            }
            let bytes = key.bytes.count + (entry.value?.count ?? 0)
            tracks[key]?.place = .inFlight(entry.version, bytes: bytes)
            inFlightCount += 1
            inFlightBytes += bytes
            taken.append(entry)
        }
        return taken
    }

    private mutating func forget(_ key: CacheKey) {
        setFailures(key, 0)
        refusedForRoom.remove(key)
        tracks[key] = nil
    }

    private mutating func setFailures(_ key: CacheKey, _ count: Int) {
        guard let before = tracks[key]?.failures else { return }
        tracks[key]?.failures = count
        let (was, isNow) = (before >= limits.quarantineAfter, count >= limits.quarantineAfter)
        if was != isNow { quarantinedCount += isNow ? 1 : -1 }
    }

    // MARK: Outcomes

    /// - Parameter current: what the state holds by now.
    /// - Returns: whether the key has just been put into quarantine.
    @discardableResult
    package mutating func finished(
        _ key: CacheKey,
        _ version: CacheVersion,
        _ failure: Failure?,
        current: CacheEntry?,
        _ now: Instant
    ) -> Bool {
        guard let track = tracks[key], case .inFlight(let sent, let bytes) = track.place, sent == version else {
            return false
        }
        inFlightCount -= 1
        inFlightBytes -= bytes
        switch failure {
        case nil: confirm(key, version, current, now)
        case .server:
            tracks[key]?.place = .ready
            returned.append(key)
            stop(now)
        case .full: return putOff(key, "the memory is full", isFull: true, now)
        case .entry(let reason): return putOff(key, reason, isFull: false, now)
        }
        return false
    }

    private mutating func confirm(_ key: CacheKey, _ version: CacheVersion, _ current: CacheEntry?, _ now: Instant) {
        pause = .zero
        pausedUntil = .zero
        setFailures(key, 0)
        unproposed.append(CacheKeyVersion(key, version))
        if let current, current.isDirty, current.version != version {
            tracks[key] = newTrack(now)
            noteAge(key, now)
            ready.append(key)
        } else {
            tracks[key]?.place = .confirmed(version)
        }
        refusedForRoom.remove(key)
        // A removal is possible on a full server too.
        guard current?.value != nil, !refusedForRoom.isEmpty else { return }
        for key in refusedForRoom {
            if case .waiting? = tracks[key]?.place { makeReady(key) }
        }
        refusedForRoom.removeAll()
    }

    private mutating func stop(_ now: Instant) {
        guard now >= pausedUntil else { return }
        pause = pause == .zero ? limits.shortestPause : min(pause * 2, limits.longestPause)
        pausedUntil = now + random.interval(from: pause / 2, to: pause)
    }

    private mutating func putOff(_ key: CacheKey, _ reason: String, isFull: Bool, _ now: Instant) -> Bool {
        let failures = (tracks[key]?.failures ?? 0) + 1
        setFailures(key, failures)
        let longest = isFull ? limits.longestRetryWhenFull : limits.longestRetry
        let delay = min(limits.shortestRetry * (1 << UInt64(min(failures - 1, 16))), longest)
        let until = now + random.interval(from: delay / 2, to: delay)
        tracks[key]?.place = .waiting(until: until)
        tracks[key]?.reason = reason
        tracks[key]?.isFull = isFull
        if isFull { refusedForRoom.insert(key) }
        retries.insert(key, at: until)
        return failures == limits.quarantineAfter
    }

    // MARK: The log

    /// What the log should note: confirmations, those again that it has not noted for long.
    package mutating func takeConfirmed(_ now: Instant, limit: Int = CacheCommand.maxBatch) -> [CacheKeyVersion] {
        if let first = proposed.first, now.since(first.at) >= limits.patience {
            unproposed.insert(contentsOf: proposed.map(\.entry), at: 0)
            proposed.removeAll()
        }
        let batch = Array(unproposed.prefix(limit))
        unproposed.removeFirst(batch.count)
        for entry in batch { proposed.append((entry, now)) }
        return batch
    }

    /// Lets go of what the log has noted. - Returns: what the state holds and Redis has.
    package mutating func settle(entry: (CacheKey) -> CacheEntry?) -> [CacheKeyVersion] {
        var clean: [CacheKeyVersion] = []
        while let first = proposed.first?.entry {
            let held = entry(first.key)
            if let held, held.version == first.version {
                guard !held.isDirty else { break }
                clean.append(first)
            }
            proposed.removeFirst()
            if case .confirmed(first.version)? = tracks[first.key]?.place { forget(first.key) }
        }
        return clean
    }

    /// Redis may lack what it has confirmed: nothing of that may be said in the log any more.
    package mutating func memoryWasLost() {
        let confirmed = (proposed.map(\.entry) + unproposed).map(\.key)
        proposed.removeAll()
        unproposed.removeAll()
        for key in confirmed {
            if case .confirmed? = tracks[key]?.place { makeReady(key) }
        }
    }

    // MARK: Figures

    /// Since when the oldest of them waits.
    package mutating func oldest() -> Instant? {
        while let first = ages.first, tracks[first.key]?.since != first.since { ages.removeFirst() }
        return ages.first?.since
    }

    package func reason(_ key: CacheKey) -> String? { tracks[key]?.reason }
}
