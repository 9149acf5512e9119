// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Synchronization

/// What a node holds of one shard's lines. Its messages are handled on the shard's loop; hits come from any loop, hence
/// the lock.
final class CacheStripe: Sendable {
    let shard: ShardID
    let requestor: Mutex<CacheRequestor>

    init(shard: ShardID, configuration: RequestorConfiguration) {
        self.shard = shard
        requestor = Mutex(CacheRequestor(configuration: configuration))
    }
}

/// Which keys are written how when the writer does not say.
package struct DurabilityRules: Sendable, Equatable {
    var standard = CacheDurability.replicated
    /// By prefix of the key, the longest first.
    var namespaces: [(prefix: [UInt8], durability: CacheDurability)] = []

    package init() {}

    /// Reads `prefix=mode,…`; nil when it is something else. A prefix may hold neither comma nor equals sign.
    static func namespaces(_ text: String) -> [(prefix: [UInt8], durability: CacheDurability)]? {
        var found: [(prefix: [UInt8], durability: CacheDurability)] = []
        for part in text.split(separator: ",") {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false)
            guard sides.count == 2, !sides[0].isEmpty, let mode = CacheDurability(word: String(sides[1])) else {
                return nil
            }
            found.append((Array(sides[0].utf8), mode))
        }
        return found.sorted { $0.prefix.count > $1.prefix.count }
    }

    func durability(of key: some Collection<UInt8>) -> CacheDurability {
        for (prefix, durability) in namespaces where key.starts(with: prefix) { return durability }
        return standard
    }

    package static func == (left: DurabilityRules, right: DurabilityRules) -> Bool {
        left.standard == right.standard
            && left.namespaces.elementsEqual(right.namespaces) {
                $0.prefix == $1.prefix && $0.durability == $1.durability
            }
    }
}

/// The node's cache, shared by its loops.
final class NodeCache: Sendable {
    let node: NodeID
    let stripes: [CacheStripe]
    let rules: DurabilityRules
    let limitBytes: Int
    let journal: CacheJournal
    /// Counts uses of lines: decides which was used least recently, over all stripes.
    let clock = Atomic<UInt64>(1)
    let planner: Mutex<EvictionPlanner>
    /// Connections that keep copies, on all loops.
    let trackers = Atomic<Int>(0)
    private let isClosing = Atomic<Bool>(false)
    let leaseLosses = Atomic<UInt64>(0)

    init(
        node: NodeID,
        shards: Int,
        origin: UInt64,
        policy: EvictionPolicy,
        limitBytes: Int,
        flushInterval: Interval,
        rules: DurabilityRules,
        journal: CacheJournal
    ) {
        self.node = node
        self.journal = journal
        self.rules = rules
        self.limitBytes = limitBytes
        var configuration = RequestorConfiguration(origin: origin, policy: policy)
        configuration.flushInterval = flushInterval
        configuration.resendInterval = .milliseconds(500)
        let settings = configuration
        stripes = (0..<shards).map { CacheStripe(shard: ShardID(UInt16($0)), configuration: settings) }
        planner = Mutex(EvictionPlanner(policy: policy, tables: shards, limitBytes: limitBytes))
    }

    func stripe(_ hash: UInt64) -> CacheStripe {
        stripes[Int(CacheKey.shard(hash: hash, count: stripes.count).rawValue)]
    }

    /// From now on every write goes through the log: what is only in this node's lines is about to be flushed.
    func beginClosing() { isClosing.store(true, ordering: .sequentiallyConsistent) }

    /// - Parameter asked: what the writer says, if anything.
    func durability(_ asked: CacheDurability?, of key: some Collection<UInt8>) -> CacheDurability {
        let durability = asked ?? rules.durability(of: key)
        if isClosing.load(ordering: .relaxed) { return durability == .through ? .through : .replicated }
        // When the journal takes nothing, the write is carried out as what promises more.
        return durability == .local && !journal.isTaking ? .replicated : durability
    }

    func nextTick() -> UInt64 { clock.wrappingAdd(1, ordering: .relaxed).newValue }
}
