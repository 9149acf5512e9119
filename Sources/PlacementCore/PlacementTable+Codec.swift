// SPDX-License-Identifier: Apache-2.0
package import Primitives

// The table's bytes, all numbers as varints:
//
//     format (u8, 1) · version · member count · names in order (text) · shard count
//     per shard: replica count · for each replica its member's position

extension PlacementTable {
    private static var formatVersion: UInt8 { 1 }

    package func encode(into writer: inout ByteWriter) {
        writer.u8(Self.formatVersion)
        writer.varint(version)
        writer.varint(UInt64(members.count))
        for name in members { writer.text(name.text) }
        writer.varint(UInt64(assignments.count))
        for replicas in assignments {
            writer.varint(UInt64(replicas.count))
            for node in replicas {
                guard let member = position(of: node) else { invariantFailure("a replica that is no member") }
                writer.varint(UInt64(member))
            }
        }
    }

    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 16 + members.count * 16 + assignments.count * 4)
        encode(into: &writer)
        return writer.bytes
    }

    /// Reads a table and checks all that `init(version:members:assignments:)` checks, and that the names are in order.
    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        try reader.version(Self.formatVersion, "placement table")
        let version = try reader.varint()
        let memberCount = try reader.count(limit: PlacementLimits.members, "placement table: members")
        var members: [Name] = []
        for _ in 0..<memberCount {
            let name = Name(try reader.text(limit: PlacementLimits.nameBytes, "placement table: node name"))
            if let last = members.last, name <= last { throw .invalidValue(what: "placement table: order of names") }
            members.append(name)
        }
        let ids = members.map { NodeID(name: $0.text) }
        let shardCount = try reader.count(limit: PlacementLimits.shards, "placement table: shards")
        var assignments: [[NodeID]] = []
        for _ in 0..<shardCount {
            let replicaCount = try reader.count(limit: memberCount, "placement table: replicas")
            var replicas: [NodeID] = []
            for _ in 0..<replicaCount {
                let member = try reader.varint()
                guard member < UInt64(ids.count) else { throw .invalidValue(what: "placement table: replica") }
                replicas.append(ids[Int(member)])
            }
            assignments.append(replicas)
        }
        do {
            try self.init(version: version, members: members, assignments: assignments)
        } catch {
            throw .invalidValue(what: "placement table: \(error)")
        }
    }

    package init(decoding bytes: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(bytes)
        try self.init(decoding: &reader)
        try reader.expectEnd()
    }
}
