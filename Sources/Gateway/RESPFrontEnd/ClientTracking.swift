// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Synchronization

/// How many keys all connections of the node may have tracked together.
final class TrackingBudget: Sendable {
    let limit: Int
    private let used = Atomic<Int>(0)

    init(limit: Int) { self.limit = limit }

    /// One connection's part of it.
    var connectionLimit: Int { max(1, limit / 4) }

    func take() -> Bool {
        let before = used.wrappingAdd(1, ordering: .relaxed).oldValue
        guard before >= limit else { return true }
        giveBack(1)
        return false
    }

    func giveBack(_ count: Int) { used.wrappingSubtract(count, ordering: .relaxed) }

    var count: Int { used.load(ordering: .relaxed) }
}

/// What a connection has asked for by `CLIENT TRACKING ON`.
struct TrackingTerms: Equatable {
    var isBroadcast = false
    var isOptIn = false
    var isOptOut = false
    var isNoLoop = false
    /// The connection that is told instead; zero: this one.
    var redirect: UInt64 = 0
    var prefixes: [[UInt8]] = []
}

/// A connection's tracking of the keys that its client keeps copies of: which reads count, what is to be told when, and
/// which changes are its own.
struct ClientTracking {
    /// A key that this connection changes under NOLOOP.
    struct OwnWrite {
        var inFlight = 0
        /// The latest change; nil: unknown, so that nothing passes as this connection's.
        var version: CacheVersion?
        /// It was invalidated meanwhile, by this connection or by another.
        var isInvalidated = false
    }

    /// An invalidation that a reply on its way makes necessary once more, as soon as that is written.
    struct Delayed: Hashable {
        var slot: UInt64
        /// Nil: everything.
        var key: CacheKey?
    }

    /// Own changes that are remembered; more are forgotten, and told like those of others.
    static let maxOwnWrites = 1_024
    /// Invalidations that wait for replies. Where there would be more, everything is invalidated instead.
    static let maxDelayed = 4_096

    var terms: TrackingTerms
    var isRedirectBroken = false
    /// The slot that `CLIENT CACHING` is about, and what it says.
    private(set) var caching: (slot: UInt64, isYes: Bool)?
    /// Keys that the port will tell of, unless by prefix.
    private(set) var keys: Set<CacheKey> = []
    /// The latest read of a key whose reply may not be written yet, by the key's hash.
    private var reads: [UInt64: UInt64] = [:]
    /// When those are looked through that are done with; twice what was left the last time, as one command may bring
    /// tens of thousands that are not.
    private var readsBound = 4_096
    private var ownWritesBound = Self.maxOwnWrites
    /// Each once, however often the key is invalidated before the reply is written.
    private(set) var delayed: Set<Delayed> = []
    private(set) var ownWrites: [CacheKey: OwnWrite] = [:]

    init(_ terms: TrackingTerms) { self.terms = terms }

    // MARK: Which reads count

    mutating func setCaching(_ isYes: Bool, slot: UInt64) { caching = (slot, isYes) }

    /// Commands about the client itself do not use it up.
    mutating func keepCaching(past slot: UInt64) {
        if let caching, caching.slot == slot { self.caching = (slot + 1, caching.isYes) }
    }

    func tracksReads(of slot: UInt64) -> Bool {
        guard !terms.isBroadcast else { return false }
        if terms.isOptIn { return caching?.slot == slot && caching?.isYes == true }
        if terms.isOptOut { return !(caching?.slot == slot && caching?.isYes == false) }
        return true
    }

    // MARK: Keys

    /// False when the key was tracked already.
    mutating func insert(_ key: CacheKey) -> Bool { keys.insert(key).inserted }

    mutating func remove(_ key: CacheKey) -> Bool { keys.remove(key) != nil }

    mutating func removeAllKeys() -> Int {
        defer { keys = [] }
        return keys.count
    }

    // MARK: Replies on their way

    /// - Parameter written: slots below it have their replies written.
    mutating func noteRead(_ key: CacheKey, slot: UInt64, written: UInt64) {
        if reads.count >= readsBound {
            reads = reads.filter { $0.value >= written }
            readsBound = max(4_096, 2 * reads.count)
        }
        reads[key.hash] = slot
    }

    /// A reply that is on its way may carry what was just invalidated.
    mutating func delay(_ key: CacheKey?, written: UInt64) {
        guard !reads.isEmpty else { return }
        let slot = key.map { reads[$0.hash] } ?? reads.values.max()
        guard let slot, slot >= written else { return }
        guard key == nil || delayed.count < Self.maxDelayed else {
            // Behind each of those replies, so that none of them leaves a copy that nobody vouches for.
            delayed = Set(delayed.map { Delayed(slot: $0.slot, key: nil) })
            delayed.insert(Delayed(slot: slot, key: nil))
            return
        }
        guard !delayed.contains(Delayed(slot: slot, key: nil)) else { return }
        delayed.insert(Delayed(slot: slot, key: key))
    }

    /// The keys whose replies have been written, each once; nil alone: everything.
    mutating func takeDelayed(written: UInt64) -> [CacheKey?] {
        guard !delayed.isEmpty else { return [] }
        let due = delayed.filter { $0.slot < written }
        delayed.subtract(due)
        if due.contains(where: { $0.key == nil }) { return [nil] }
        return Set(due.compactMap(\.key)).sorted()
    }

    mutating func allWritten() { if !reads.isEmpty { reads.removeAll(keepingCapacity: true) } }

    // MARK: Own changes

    mutating func beginWrite(_ key: CacheKey) {
        if ownWrites.count >= ownWritesBound {
            ownWrites = ownWrites.filter { $0.value.inFlight > 0 }
            ownWritesBound = max(Self.maxOwnWrites, 2 * ownWrites.count)
        }
        ownWrites[key, default: OwnWrite()].inFlight += 1
    }

    /// - Parameter version: of the change; nil when it is not known, or none was made.
    /// - Returns: True if the key was invalidated while this connection changed it.
    mutating func endWrite(_ key: CacheKey, version: CacheVersion?) -> Bool {
        guard var own = ownWrites[key] else { return false }
        own.inFlight -= 1
        if let version { own.version = max(own.version ?? version, version) }
        guard own.inFlight == 0 else {
            ownWrites[key] = own
            return false
        }
        let isInvalidated = own.isInvalidated
        own.isInvalidated = false
        ownWrites[key] = own.version == nil ? nil : own
        return isInvalidated
    }

    enum Cause {
        /// Somebody else changed the key.
        case other
        /// Perhaps this connection did; told when its change has ended.
        case undecided
        /// This connection did if the key still has this version.
        case own(CacheVersion)
    }

    mutating func cause(of key: CacheKey) -> Cause {
        guard let own = ownWrites[key] else { return .other }
        if own.inFlight > 0 {
            ownWrites[key]?.isInvalidated = true
            return .undecided
        }
        return own.version.map { .own($0) } ?? .other
    }

    mutating func forgetOwnWrite(_ key: CacheKey) { ownWrites[key] = nil }
}
