// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// One life of a node's cache. A node that lost its lease, or was restarted, comes back as another incarnation with an
/// empty cache.
package struct CacheMember: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var node: NodeID
    package var incarnation: UInt64

    package init(node: NodeID, incarnation: UInt64) {
        self.node = node
        self.incarnation = incarnation
    }

    package static func < (left: CacheMember, right: CacheMember) -> Bool {
        left.node == right.node ? left.incarnation < right.incarnation : left.node < right.node
    }

    package var description: String { "\(node)/\(incarnation)" }

    package func encode(into writer: inout ByteWriter) {
        writer.u64(node.rawValue)
        writer.varint(incarnation)
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(node: NodeID(try reader.u64()), incarnation: try reader.varint())
    }
}

/// Who may hold lines, as the system shard's log has it. Views are totally ordered by their version; a member that is
/// not in a later view has lost its lease for certain.
package struct CacheView: Sendable, Equatable {
    package private(set) var version: UInt64 = 0
    /// Ascending; one incarnation of each node at most.
    package private(set) var members: [CacheMember] = []

    package static let maxMembers = 1_024

    package init() {}

    package init(version: UInt64, members: [CacheMember]) {
        self.version = version
        self.members = members.sorted()
    }

    package func contains(_ member: CacheMember) -> Bool { members.contains(member) }

    package func member(_ node: NodeID) -> CacheMember? { members.first { $0.node == node } }

    /// Takes the place of an earlier incarnation of the same node.
    /// - Returns: false, with nothing changed, for one that is in or is older than the one that is.
    package mutating func join(_ member: CacheMember) -> Bool {
        if let present = self.member(member.node), present.incarnation >= member.incarnation { return false }
        guard members.count < Self.maxMembers else { return false }
        members.removeAll { $0.node == member.node }
        let place = members.firstIndex { member < $0 } ?? members.endIndex
        members.insert(member, at: place)
        version += 1
        return true
    }

    package mutating func remove(_ member: CacheMember) -> Bool {
        guard let place = members.firstIndex(of: member) else { return false }
        members.remove(at: place)
        version += 1
        return true
    }

    package func encode(into writer: inout ByteWriter) {
        writer.varint(version)
        writer.varint(UInt64(members.count))
        for member in members { member.encode(into: &writer) }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        version = try reader.varint()
        let count = try reader.count(limit: Self.maxMembers, "cache members")
        for _ in 0..<count {
            let member = try CacheMember(decoding: &reader)
            if let last = members.last, last.node >= member.node { throw .invalidValue(what: "order of members") }
            members.append(member)
        }
    }
}

/// One reign of a home: the Raft term it leads in, and which time in that term it began anew.
package struct CacheEpoch: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var term: UInt64
    package var round: UInt64

    package init(term: UInt64, round: UInt64) {
        self.term = term
        self.round = round
    }

    package static let none = CacheEpoch(term: 0, round: 0)

    package static func < (left: CacheEpoch, right: CacheEpoch) -> Bool {
        left.term == right.term ? left.round < right.round : left.term < right.term
    }

    package var description: String { "\(term).\(round)" }

    package func encode(into writer: inout ByteWriter) {
        writer.varint(term)
        writer.varint(round)
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(term: try reader.varint(), round: try reader.varint())
    }
}
