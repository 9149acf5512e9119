// SPDX-License-Identifier: Apache-2.0

extension Cache {
    /// When a write is acknowledged.
    public enum Durability: String, Sendable, Hashable, Codable, CaseIterable {
        /// It is on the disks of a majority of the shard's replicas.
        case replicated
        /// That, and the memory below the cache has it.
        case through
        /// On the disk of the node that owns the line.
        case local
        /// In the memory of the node that owns the line; written back a moment later.
        case volatile
    }

    /// What must hold of a key for a value to be set.
    public enum Condition: Sendable, Hashable {
        case always
        /// There is none.
        case absent
        /// There is any.
        case present
        /// There is this value.
        case equals([UInt8])
        /// There is a value, and it is of this version, as ``CacheLine`` tells it. Never creates a key.
        case version(String)
    }

    /// How a value is set.
    public struct SetOptions: Sendable, Hashable {
        /// How long it lives; nil: for ever, or as ``keepsTTL`` says. Counted in whole milliseconds.
        public var ttl: Duration?
        /// It expires when the value before would have.
        public var keepsTTL = false
        public var condition = Condition.always
        /// nil: as the cluster's settings say.
        public var durability: Durability?
        /// Done only while this is the lock's latest token.
        public var lock: LockGrant?

        public init() {}
    }

    /// How long a key has left.
    public enum TimeToLive: Sendable, Hashable {
        /// There is no such key.
        case absent
        case forever
        case left(Duration)
    }
}

/// What every node holds of one key.
public struct CacheLine: Sendable, Hashable, Codable {
    /// The state of a line at one node, by the MESI protocol.
    public enum State: String, Sendable, Hashable, Codable, CaseIterable {
        /// The only copy, newer than the memory.
        case modified = "M"
        /// The only copy, as the memory has it.
        case exclusive = "E"
        /// One of several copies that are all the same.
        case shared = "S"
        /// None.
        case invalid = "I"
    }

    public struct Node: Sendable, Hashable, Codable {
        public let node: String
        public let state: State
        /// nil when it holds none.
        public let version: String?
        /// How long it may still answer from its lines; nil when it may not.
        public let leaseMilliseconds: Int?
        /// False: it did not answer, so its state is not known.
        public let isReachable: Bool

        enum CodingKeys: String, CodingKey {
            case node, state, version
            case leaseMilliseconds = "lease_ms"
            case isReachable = "reachable"
        }
    }

    public let shard: Int
    /// The node that keeps the directory of the key; nil when none is known.
    public let home: String?
    /// Raft term of the home.
    public let epoch: Int
    public let nodes: [Node]
}

/// Figures of one node's cache.
public struct CacheStats: Sendable, Hashable, Encodable {
    /// By the names that nodes give them, such as `hits_total` and `bytes`.
    public let figures: [String: Int]
    /// Lines held, by state.
    public let lines: [String: Int]
    /// Changes of state, such as `IS`.
    public let transitions: [String: Int]

    public var hits: Int { figures["hits_total"] ?? 0 }
    public var misses: Int { figures["misses_total"] ?? 0 }
    /// Hits in all reads; nil before the first.
    public var hitRatio: Double? { hits + misses == 0 ? nil : Double(hits) / Double(hits + misses) }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Name.self)
        for (name, value) in figures { try container.encode(value, forKey: Name(name)) }
        try container.encode(lines, forKey: Name("lines"))
        try container.encode(transitions, forKey: Name("transitions"))
    }

    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.init(stringValue) }
        init?(intValue: Int) { nil }
    }
}
