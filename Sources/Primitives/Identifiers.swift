// SPDX-License-Identifier: Apache-2.0

/// The identity of a node inside the cores: a stable 64-bit hash of the name its operator chose.
///
/// Names (`node-0`) live at the edges; cores compare and order the number only.
package struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let rawValue: UInt64

    package init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// The id of the node with this name (FNV-1a, 64 bits).
    package init(name: String) { self.rawValue = StableHash.fnv1a(name.utf8) }

    package static func < (left: NodeID, right: NodeID) -> Bool { left.rawValue < right.rawValue }

    package var description: String { "n\(rawValue)" }
}

/// The unit of replication: one Raft group. Shard 0 is the system shard.
package struct ShardID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let rawValue: UInt16

    package init(_ rawValue: UInt16) { self.rawValue = rawValue }

    package static let system = ShardID(0)

    package static func < (left: ShardID, right: ShardID) -> Bool { left.rawValue < right.rawValue }

    package var description: String { "s\(rawValue)" }
}

/// A Raft term (Ongaro, dissertation §3.3). Zero is before the first election.
package struct Term: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: UInt64

    package init(_ rawValue: UInt64) { self.rawValue = rawValue }

    package static let zero = Term(0)

    package var next: Term { Term(rawValue + 1) }

    package static func < (left: Term, right: Term) -> Bool { left.rawValue < right.rawValue }

    package var description: String { "\(rawValue)" }
}

/// A position in one shard's Raft log. The first entry has index 1; zero is "before the log".
package struct LogIndex: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: UInt64

    package init(_ rawValue: UInt64) { self.rawValue = rawValue }

    package static let zero = LogIndex(0)

    package var next: LogIndex { LogIndex(rawValue + 1) }

    /// The index before this one; zero stays zero.
    package var previous: LogIndex { LogIndex(rawValue == 0 ? 0 : rawValue - 1) }

    package static func < (left: LogIndex, right: LogIndex) -> Bool { left.rawValue < right.rawValue }

    /// `left - right` as a count; `left` must not be smaller.
    package static func - (left: LogIndex, right: LogIndex) -> UInt64 {
        invariant(left.rawValue >= right.rawValue, "log index difference below zero")
        return left.rawValue - right.rawValue
    }

    package static func + (left: LogIndex, right: UInt64) -> LogIndex { LogIndex(left.rawValue + right) }

    package var description: String { "\(rawValue)" }
}

/// Names one client request across retries and nodes: the node incarnation it entered at and a number that
/// rises by one with each request of that incarnation (RIFL, SOSP'15, calls it an RPC identifier).
package struct RequestID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let origin: UInt64
    package let number: UInt64

    package init(origin: UInt64, number: UInt64) {
        self.origin = origin
        self.number = number
    }

    /// Used by commands that the leader itself proposes; never retried, never deduplicated.
    package static let `internal` = RequestID(origin: 0, number: 0)

    package static func < (left: RequestID, right: RequestID) -> Bool {
        (left.origin, left.number) < (right.origin, right.number)
    }

    package var description: String { "\(origin):\(number)" }
}
