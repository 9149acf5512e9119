// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives

/// The keys of a run's cache, what has been promised of them, and whether the nodes keep to it.
///
/// At every moment: an owner is alone, sharers agree, and no line that is still read is older than what somebody was
/// told is written. At the end: the whole history has an order, and the memory holds what that order leaves.
struct CacheModel {
    enum Kind {
        case text, number, mortal
    }

    struct Key {
        let key: CacheKey
        let hash: UInt64
        let kind: Kind
        let shard: ShardID
        let durability: CacheDurability
        /// The newest version that was certainly made, by what callers were told.
        var floor = CacheVersion.zero
        /// A node has gone that had written it without the log: what callers were told of it may be void.
        var hasLostOwner = false
    }

    /// What a node would answer a read from.
    struct Line {
        var node: Int
        var state: LineState
        var version: CacheVersion
        var exists: Bool
        var valueHash: UInt64
    }

    private(set) var keys: [Key] = []
    private var byShard: [[Int]]
    /// The lines of one key that were seen so far.
    private var lines: [Line] = []

    init(swarm: Swarm) {
        byShard = Array(repeating: [], count: swarm.shards)
        guard swarm.cache.clients > 0 else { return }
        // Numbers and texts take turns, so that both are among the hot ones.
        for place in 0..<max(swarm.cache.texts, swarm.cache.numbers) {
            if place < swarm.cache.texts { add("t\(place)", .text, swarm) }
            if place < swarm.cache.numbers { add("n\(place)", .number, swarm) }
        }
        for place in 0..<swarm.cache.mortals { add("x\(place)", .mortal, swarm) }
    }

    private mutating func add(_ name: String, _ kind: Kind, _ swarm: Swarm) {
        let key = CacheKey(name)
        let shard = CacheKey.shard(hash: key.hash, count: swarm.shards)
        // The same keys in every run of a seed, whichever they are.
        let isVolatile = StableHash.combine(key.hash, swarm.cache.volatile) % 100 < swarm.cache.volatile
        byShard[Int(shard.rawValue)].append(keys.count)
        keys.append(
            Key(
                key: key,
                hash: key.hash,
                kind: kind,
                shard: shard,
                durability: isVolatile ? .volatile : .replicated
            )
        )
    }

    func keys(of shard: ShardID) -> [Int] { byShard[Int(shard.rawValue)] }

    mutating func losesOwner(of number: Int) { keys[number].hasLostOwner = true }

    /// Whether what callers were told of the key stands for good.
    func isKept(_ number: Int) -> Bool { !keys[number].hasLostOwner }

    // MARK: What was promised

    /// A node has told a caller so.
    mutating func told(_ operation: CacheOperation?, _ number: Int, _ result: CacheCallResult) {
        switch (operation, result) {
        case (nil, .read(let data, _)) where data.value != nil: raise(number, data.version)
        case (let operation?, .written(let answer, let version)) where operation.changes(answer):
            raise(number, version)
        default: break
        }
    }

    private mutating func raise(_ number: Int, _ version: CacheVersion) {
        keys[number].floor = max(keys[number].floor, version)
    }

    // MARK: Lines

    mutating func beginLines() { lines.removeAll(keepingCapacity: true) }

    mutating func add(_ line: Line, _ number: Int, _ violations: inout ViolationLog) {
        let key = keys[number].key
        if isKept(number) {
            violations.expect(
                line.version >= keys[number].floor,
                .cacheLines,
                "node \(line.node) reads \(key) at version \(line.version) although \(keys[number].floor) is done"
            )
        }
        for other in lines {
            violations.expect(
                line.state == .shared && other.state == .shared,
                .cacheLines,
                "node \(line.node) holds \(key) as \(line.state.letter) at \(line.version), and node \(other.node) as "
                    + "\(other.state.letter) at \(other.version)"
            )
            let isSame = line.exists == other.exists && line.valueHash == other.valueHash
            violations.expect(
                isSame && (!line.exists || line.version == other.version),
                .cacheLines,
                "nodes \(line.node) and \(other.node) share \(key) and differ: \(line.version) and \(other.version)"
            )
        }
        lines.append(line)
    }

    // MARK: The end

    /// Looks for an order of everything that was asked, in two ways.
    func checkHistory(_ history: [CacheHistoryOperation], _ violations: inout ViolationLog) {
        if let found = LinearizabilityWitness().check(history) {
            violations.report(.cacheHistory, "\(found.text)")
        }
        var checker = LinearizabilityChecker()
        checker.configurationLimit = 50_000
        // The cluster's clock stands still while it has no leader, so a key that expires may be there or not at almost
        // any time, and the search would find out little.
        let mortals = keys.filter { $0.kind == .mortal }.map(\.key)
        if case .violation(let found) = checker.check(history.filter { !mortals.contains($0.key) }) {
            violations.report(.cacheHistory, "key \(found.key): \(found.text)")
        }
    }

    /// What the memory holds when everything has come to rest.
    func checkMemory(_ number: Int, _ current: CacheCurrent?, _ violations: inout ViolationLog) {
        guard isKept(number), let current else { return }
        violations.expect(
            current.version >= keys[number].floor,
            .cacheDurability,
            "the memory has \(keys[number].key) at version \(current.version), and \(keys[number].floor) was done"
        )
    }
}

extension CacheOperation {
    /// Whether a write with this answer has made a version.
    func changes(_ answer: CacheAnswer) -> Bool {
        switch (self, answer) {
        case (.set, .done), (.set, .value(_, wasApplied: true)): true
        case (.remove, .count(1)), (.remove, .value(_, wasApplied: true)): true
        case (.add, .count), (.append, .count), (.addDecimal, .number), (.setRange, .count): true
        case (.expire, .count(1)): true
        default: false
        }
    }
}
