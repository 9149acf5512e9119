// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import PlacementCore

@Suite("Bounded load (Mirrokni, Thorup, Zadimoghaddam)")
struct BoundedLoadTests {
    private func positions(_ count: Int, seed: UInt64) -> [UInt64] {
        var random = SeededRandom(seed: seed)
        return (0..<count).map { _ in random.next() }
    }

    @Test(
        "each key goes to the first point whose node has room, as a plain walk finds it",
        arguments: [0, 50, 250, 5_000]
    )
    func againstWalk(slackPerMille: Int) throws {
        var ring = try HashRing(virtualNodes: 20)
        for (name, weight) in [("a", 1), ("b", 0.5), ("c", 3), ("d", 1), ("e", 0.001)] as [(Name, Double)] {
            try ring.add(name, weight: NodeWeight(weight))
        }
        let keys = positions(2_000, seed: 3)
        let assignment = try ring.assign(keys, slackPerMille: slackPerMille)
        var loads = ring.members.map { _ in 0 }
        for (key, owner) in zip(keys, assignment.owners) {
            var expected: Int?
            ring.visitOwners(from: key) { candidate in
                if loads[candidate] < assignment.capacities[candidate] { expected = candidate }
                return expected == nil
            }
            #expect(Int(owner) == expected)
            loads[Int(owner)] += 1
        }
        #expect(assignment.loads == loads)
    }

    @Test("capacity is ceil((1 + ε) × mean), by weight, and is never below what must be placed")
    func capacities() throws {
        var ring = try HashRing()
        for name in ["a", "b", "c"] as [Name] { try ring.add(name) }
        #expect(try ring.capacities(for: 10, slackPerMille: 250) == [5, 5, 5])
        #expect(try ring.capacities(for: 9, slackPerMille: 0) == [3, 3, 3])
        #expect(try ring.capacities(for: 0, slackPerMille: 0) == [0, 0, 0])
        try ring.setWeight("b", to: NodeWeight(2))
        #expect(try ring.capacities(for: 100, slackPerMille: 100) == [28, 55, 28])
        let tight = try ring.assign(positions(100, seed: 1), slackPerMille: 0)
        #expect(tight.loads == [25, 50, 25])
    }

    @Test("keys without nodes, and slack that is negative or too large, are refused")
    func refusals() throws {
        let ring = try HashRing()
        #expect(try ring.assign([]).owners.isEmpty)
        #expect(throws: PlacementError.self) { try ring.assign([1]) }
        #expect(throws: PlacementError.self) { try ring.assign([], slackPerMille: -1) }
        #expect(throws: PlacementError.self) { try ring.assign([], slackPerMille: .max) }
        #expect(throws: PlacementError.self) { try ring.capacities(for: -1, slackPerMille: 0) }
        #expect(throws: PlacementError.self) { try ring.capacities(for: .max, slackPerMille: 0) }
    }
}
