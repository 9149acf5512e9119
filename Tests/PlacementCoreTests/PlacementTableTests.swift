// SPDX-License-Identifier: Apache-2.0
import PlacementCore
import Primitives
import Testing

@Suite("PlacementTable")
struct PlacementTableTests {
    private let names: [Name] = ["node-1", "node-0", "node-2"]
    private var ids: [NodeID] { names.map { NodeID(name: $0.text) } }

    private func table(_ assignments: [[NodeID]]) throws(PlacementError) -> PlacementTable {
        try PlacementTable(version: 300, members: names, assignments: assignments)
    }

    @Test("answers who holds and who leads a shard")
    func queries() throws {
        let table = try table([[ids[0], ids[1]], [ids[1], ids[2]], [ids[2]]])
        #expect(table.members == ["node-0", "node-1", "node-2"])
        #expect(table.replicas(of: ShardID(1)) == [ids[1], ids[2]])
        #expect(table.replicas(of: ShardID(3)).isEmpty && table.preferredLeader(of: ShardID(3)) == nil)
        #expect(table.preferredLeader(of: ShardID(2)) == ids[2])
        #expect(table.shards(on: ids[1]) == [ShardID(0), ShardID(1)])
        #expect(table.shards(preferring: ids[1]) == [ShardID(1)])
        #expect(table.name(of: ids[2]) == "node-2" && !table.isMember(NodeID(7)) && table.name(of: NodeID(7)) == nil)
    }

    @Test("a table that makes no sense is refused with its reason")
    func validation() throws {
        let stranger = NodeID(name: "node-9")
        #expect(throws: PlacementError.unknownReplica(ShardID(1), stranger)) { try table([[ids[0]], [stranger]]) }
        #expect(throws: PlacementError.duplicateReplica(ShardID(0), ids[1])) { try table([[ids[1], ids[1]]]) }
        #expect(throws: PlacementError.outOfRange(what: "replicas of s0", value: 0, allowed: 1...3)) { try table([[]]) }
        #expect(throws: PlacementError.outOfRange(what: "replicas of s0", value: 4, allowed: 1...3)) {
            try table([ids + [ids[0]]])
        }
        #expect(throws: PlacementError.self) { try table([]) }
        #expect(throws: PlacementError.self) { try table(Array(repeating: [ids[0]], count: 65_537)) }
        #expect(throws: PlacementError.self) { try PlacementTable(version: 1, members: [], assignments: [[ids[0]]]) }
        #expect(throws: PlacementError.duplicateNode("node-0")) {
            try PlacementTable(version: 1, members: names + ["node-0"], assignments: [[ids[0]]])
        }
        #expect(throws: PlacementError.self) {
            try PlacementTable(version: 0, members: names, assignments: [[ids[0]]])
        }
    }

    @Test("the encoding comes back equal, and its bytes are fixed")
    func codec() throws {
        let table = try table([[ids[0], ids[1]], [ids[2]]])
        let text = { (name: String) in [UInt8(name.utf8.count)] + Array(name.utf8) }
        let head: [UInt8] = [1, 0xac, 2, 3] + text("node-0") + text("node-1") + text("node-2")
        #expect(table.encoded == head + [2, 2, 1, 0, 1, 2])
        #expect(try PlacementTable(decoding: table.encoded) == table)
        let largest = try PlacementPlanner.initial(members: names, shards: 65_536, replicas: 1)
        #expect(try PlacementTable(decoding: largest.encoded) == largest)
    }

    @Test("an encoding cut at any byte is truncated, and one with a byte more is too long")
    func cuts() throws {
        let bytes = try PlacementPlanner.initial(members: names, shards: 16, replicas: 3).encoded
        for length in bytes.indices {
            #expect(throws: DecodingError.truncated) { try PlacementTable(decoding: Array(bytes[..<length])) }
        }
        #expect(throws: DecodingError.trailingBytes) { try PlacementTable(decoding: bytes + [0]) }
    }

    @Test("a changed byte gives a typed error or a table that survives the round trip")
    func damage() throws {
        let bytes = try PlacementPlanner.initial(members: names, shards: 16, replicas: 2).encoded
        for position in bytes.indices {
            for value in [0, 1, 2, 3, 0x7f, 0x80, 0xff] as [UInt8] {
                var changed = bytes
                changed[position] = value
                do throws(DecodingError) {
                    let table = try PlacementTable(decoding: changed)
                    #expect(try PlacementTable(decoding: table.encoded) == table)
                } catch {}
            }
        }
    }

    @Test("formats, counts, order and replicas that are wrong are refused by name")
    func refusals() throws {
        let head: [UInt8] = [1, 1, 2, 1, 0x61, 1, 0x62]
        #expect(try PlacementTable(decoding: head + [1, 1, 0]).members == ["a", "b"])
        let cases: [([UInt8], DecodingError)] = [
            ([2], .otherVersion(what: "placement table", found: 2, known: 1)),
            ([1, 1, 0x81, 8], .limitExceeded(what: "placement table: members")),
            ([1, 1, 1, 0x80, 2], .limitExceeded(what: "placement table: node name")),
            ([1, 1, 1, 1, 0xff], .invalidText),
            ([1, 1, 2, 1, 0x62, 1, 0x61], .invalidValue(what: "placement table: order of names")),
            ([1, 1, 2, 1, 0x61, 1, 0x61], .invalidValue(what: "placement table: order of names")),
            (head + [0x81, 0x80, 4], .limitExceeded(what: "placement table: shards")),
            (head + [1, 3], .limitExceeded(what: "placement table: replicas")),
            (head + [1, 1, 2], .invalidValue(what: "placement table: replica")),
        ]
        for (bytes, expected) in cases {
            #expect(throws: expected) { try PlacementTable(decoding: bytes) }
        }
        for bytes in [head + [0], head + [1, 0], head + [1, 2, 1, 1], [1, 0, 1, 1, 0x61, 1, 1, 0]] {
            #expect(throws: DecodingError.self) { try PlacementTable(decoding: bytes) }
        }
    }
}
