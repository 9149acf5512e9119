// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import PlacementCore

@Suite("HashRing")
struct HashRingTests {
    private func ring(_ names: [Name], virtualNodes: Int = 150) throws -> HashRing {
        try HashRing(members: names.map { HashRing.Member(name: $0) }, virtualNodes: virtualNodes)
    }

    // The vectors come from an implementation in another language. A failure here means that data moves in every
    // cluster.

    @Test(
        "keys' points are fixed",
        arguments: [
            ("", 0xf52a_15e9_a9b5_e89b), ("a", 0x02c0_bdbf_4814_20f8), ("orders", 0x4598_7d0b_68fc_7229),
            ("orders#3", 0xda95_702b_0090_2e6b), ("größe", 0xbe90_79c1_b7e5_afe8),
        ] as [(String, UInt64)]
    )
    func keyPoints(key: String, point: UInt64) { #expect(HashRing.position(of: Name(key)) == point) }

    @Test(
        "virtual nodes' points are fixed",
        arguments: [
            ("node-0", 0, 0x2ac9_debe_c0a2_7eaf), ("node-0", 1, 0xfed9_4233_1de9_df5c),
            ("node-0", 149, 0xf359_1611_3cfe_b2e4), ("node-1", 0, 0x5449_2cba_0d6b_911b),
            ("node-2", 149, 0x3a39_91a1_091b_d603),
        ] as [(String, Int, UInt64)]
    )
    func virtualNodePoints(node: String, number: Int, point: UInt64) throws {
        #expect(HashRing.position(of: Name(node), virtualNode: number) == point)
        #expect(try ring([Name(node)]).points.contains { $0.position == point })
    }

    @Test("shards' points are fixed")
    func shardPoints() {
        #expect(HashRing.position(of: ShardID(0)) == 0x4abd_c1bc_3045_8744)
        #expect(HashRing.position(of: ShardID(1)) == 0x086a_8138_f21a_7364)
        #expect(HashRing.position(of: ShardID(15)) == 0x7cde_2fcc_f453_66ac)
        #expect(HashRing.position(of: ShardID(65_535)) == 0x8201_0d82_93d9_975d)
    }

    @Test("the nodes of keys and shards on a ring of three are fixed")
    func lookups() throws {
        let ring = try ring(["node-0", "node-1", "node-2"])
        let digit = { (node: NodeID) in ring.members.firstIndex { $0.id == node }.map(String.init) ?? "?" }
        let owners = (0..<24).compactMap { ring.node(for: Name("key-\($0)")) }.map(digit).joined()
        #expect(owners == "100110000100202102212012")
        let copies = (0..<8).map { shard in
            ring.nodes(at: HashRing.position(of: ShardID(shard)), count: 3).map(digit).joined()
        }
        #expect(copies == ["210", "210", "201", "210", "201", "102", "102", "210"])
    }

    @Test("the order of insertion, and nodes that came and went, leave no trace")
    func insertionOrder() throws {
        let names: [Name] = ["node-3", "node-0", "a", "größe", "node-10", "node-1"]
        let expected = try ring(names.sorted())
        for turn in names.indices {
            var built = try HashRing()
            try built.add("gone")
            for name in names[turn...] + names[..<turn] { try built.add(name, weight: NodeWeight(2.5)) }
            try built.remove("gone")
            for name in names { try built.setWeight(name, to: .one) }
            #expect(built == expected)
        }
    }

    @Test("a lookup finds the first point at or after the key, around the circle")
    func lookupAgainstScan() throws {
        let ring = try ring((0..<7).map { Name("n\($0)") }, virtualNodes: 11)
        #expect(ring.points == ring.points.sorted())
        let edges = ring.points.flatMap { [$0.position &- 1, $0.position, $0.position &+ 1] } + [0, .max]
        for position in edges {
            let first = ring.points.first { $0.position >= position } ?? ring.points[0]
            #expect(ring.owner(at: position) == Int(first.owner))
            let copies = ring.nodes(at: position, count: 4)
            #expect(copies.first == ring.node(at: position))
            #expect(copies.count == 4 && LookupCheck.areDistinct(copies))
        }
        #expect(ring.nodes(for: "k", count: 99).sorted() == ring.members.map(\.id).sorted())
        #expect(ring.nodes(for: "k", count: 0).isEmpty)
    }

    @Test("where two points coincide, the node whose name comes first stands first")
    func ties() {
        let points = [2, 0, 1].map { HashRing.Point(position: 7, owner: $0) }
        #expect(points.sorted().map(\.owner) == [0, 1, 2])
        #expect(HashRing.Point(position: 6, owner: 9) < points[1])
    }

    @Test("an empty ring has no node, a ring of one has it for every key")
    func small() throws {
        var ring = try HashRing(virtualNodes: 1)
        #expect(ring.node(for: "k") == nil && ring.nodes(for: "k", count: 3).isEmpty && ring.shares().isEmpty)
        try ring.add("only")
        #expect(ring.node(at: 0) == NodeID(name: "only") && ring.node(at: .max) == NodeID(name: "only"))
        #expect(ring.shares() == [1])
        try ring.remove("only")
        #expect(ring.isEmpty && ring.pointCount == 0)
    }

    @Test("points follow the weight, and a change of weight moves keys from or to that node only")
    func weights() throws {
        var ring = try HashRing()
        for name in ["a", "b", "c", "d"] as [Name] { try ring.add(name) }
        let before = ring
        try ring.setWeight("c", to: NodeWeight(2.5))
        #expect(ring.pointCount == 3 * 150 + 375)
        #expect(ring.member(named: "c")?.weight.perMille == 2_500)
        var random = SeededRandom(seed: 1)
        for _ in 0..<2_000 {
            let position = random.next()
            let (old, new) = (before.node(at: position), ring.node(at: position))
            #expect(old == new || new == NodeID(name: "c"))
        }
        #expect(abs(ring.shares()[2] - 2.5 / 5.5) < 0.06)
        try ring.setWeight("c", to: NodeWeight(0.001))
        #expect(ring.pointCount == 3 * 150 + 1)
    }

    @Test("wrong members, weights and numbers are refused and change nothing")
    func refusals() throws {
        var ring = try ring(["a", "b"])
        let before = ring
        #expect(throws: PlacementError.duplicateNode("a")) { try ring.add("a") }
        #expect(throws: PlacementError.unknownNode("c")) { try ring.remove("c") }
        #expect(throws: PlacementError.unknownNode("c")) { try ring.setWeight("c", to: .one) }
        #expect(throws: PlacementError.invalidName("")) { try ring.add("") }
        let long = Name(String(repeating: "x", count: 256))
        #expect(throws: PlacementError.invalidName(long)) { try ring.add(long) }
        #expect(ring == before)
        #expect(throws: PlacementError.duplicateNode("a")) {
            try HashRing(members: [HashRing.Member(name: "a"), HashRing.Member(name: "a")])
        }
        for count in [0, -1, 10_001] {
            #expect(throws: PlacementError.self) { try HashRing(virtualNodes: count) }
        }
        for weight in [Double.nan, .infinity, -1, 0, 0.0004, 100.001, 1e300] {
            #expect(throws: PlacementError.invalidWeight) { try NodeWeight(weight) }
        }
        let heavy = try (0..<5).map { HashRing.Member(name: Name("n\($0)"), weight: try NodeWeight(99)) }
        #expect(throws: PlacementError.outOfRange(what: "points", value: 4_950_000, allowed: 0...(1 << 22))) {
            try HashRing(members: heavy, virtualNodes: 10_000)
        }
        let crowd = (0...PlacementLimits.members).map { HashRing.Member(name: Name("n\($0)")) }
        #expect(throws: PlacementError.outOfRange(what: "members", value: 1_025, allowed: 0...1_024)) {
            try HashRing(members: crowd, virtualNodes: 1)
        }
    }
}

enum LookupCheck {
    static func areDistinct(_ nodes: [NodeID]) -> Bool {
        let sorted = nodes.sorted()
        return !zip(sorted, sorted.dropFirst()).contains { $0 == $1 }
    }
}
