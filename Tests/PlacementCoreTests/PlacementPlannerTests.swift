// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import PlacementCore

@Suite("PlacementPlanner")
struct PlacementPlannerTests {
    private func names(_ count: Int) -> [Name] { (0..<count).map { Name("node-\($0)") } }

    private func counts(_ table: PlacementTable) -> (leaders: [Int], replicas: [Int]) {
        let ids = table.members.map { NodeID(name: $0.text) }
        return (ids.map { table.shards(preferring: $0).count }, ids.map { table.shards(on: $0).count })
    }

    @Test("with equal weights leaders differ by one at most, and replicas keep to the bound")
    func equalWeights() throws {
        for nodes in [1, 2, 3, 4, 5, 7, 10] {
            for shards in [1, 2, 7, 16, 64] {
                for replicas in 1...min(nodes, 5) {
                    for slack in [0, 250] {
                        let table = try PlacementPlanner.initial(
                            members: names(nodes),
                            shards: shards,
                            replicas: replicas,
                            slackPerMille: slack
                        )
                        let (leaders, held) = counts(table)
                        let (most, least) = (leaders.max() ?? 0, leaders.min() ?? 0)
                        #expect(most - least <= 1, "\(nodes) nodes, \(shards) shards: leaders \(leaders)")
                        let bound = (shards * replicas * (1_000 + slack) + nodes * 1_000 - 1) / (nodes * 1_000)
                        #expect(held.allSatisfy { $0 <= bound }, "\(nodes)/\(shards)/\(replicas)/\(slack): \(held)")
                        #expect(table.assignments.allSatisfy { $0.count == replicas })
                        #expect(table.version == 1 && table.shardCount == shards)
                    }
                }
            }
        }
    }

    @Test("unequal weights share leaders by weight, and replicas keep to the bound of what a node can hold")
    func weights() throws {
        var random = SeededRandom(seed: 11)
        for _ in 0..<300 {
            let nodes = Int(random.below(7)) + 1
            let shards = Int(random.below(40)) + 1
            let replicas = Int(random.below(UInt64(nodes))) + 1
            let slack = Int(random.below(4)) * 100
            let weights = try (0..<nodes).map { _ in try NodeWeight(perMille: Int(random.below(4_000)) + 100) }
            let table = try PlacementPlanner.initial(
                members: names(nodes),
                weights: weights,
                shards: shards,
                replicas: replicas,
                slackPerMille: slack
            )
            let (leaders, held) = counts(table)
            let total = weights.reduce(0) { $0 + $1.perMille }
            for node in 0..<nodes {
                let exact = shards * weights[node].perMille
                #expect(leaders[node] >= exact / total && leaders[node] <= (exact + total - 1) / total)
            }
            let members = zip(names(nodes), weights).map { HashRing.Member(name: $0, weight: $1) }
            let bounds = PlacementPlanner.replicaCapacities(members, shards, replicas, slackPerMille: slack)
            #expect(bounds.reduce(0, +) >= shards * replicas)
            #expect(zip(held, bounds).allSatisfy { $0 <= $1 }, "\(weights) \(shards)/\(replicas)/\(slack)")
        }
    }

    @Test("a node that is heavier than it can use leaves its part to the others")
    func heavyNode() throws {
        let members = try [("a", 100), ("b", 1), ("c", 1)].map { (name: Name, weight: Double) in
            HashRing.Member(name: name, weight: try NodeWeight(weight))
        }
        #expect(PlacementPlanner.replicaCapacities(members, 16, 2, slackPerMille: 0) == [16, 8, 8])
        #expect(PlacementPlanner.replicaCapacities(members, 16, 3, slackPerMille: 0) == [16, 16, 16])
        #expect(PlacementPlanner.replicaCapacities(members, 16, 1, slackPerMille: 0) == [16, 1, 1])
    }

    @Test("the order of the members does not matter; the table for three nodes is fixed")
    func deterministic() throws {
        let forward = try PlacementPlanner.initial(members: names(3), shards: 16, replicas: 3)
        let backward = try PlacementPlanner.initial(members: names(3).reversed(), shards: 16, replicas: 3)
        #expect(forward == backward)
        let digits = forward.assignments.map { replicas in
            replicas.compactMap { forward.position(of: $0) }.map(String.init).joined()
        }
        let expected = "210 210 201 210 201 102 102 210 021 120 021 012 120 012 012 120"
        #expect(digits.joined(separator: " ") == expected)
    }

    @Test("wrong members, weights and numbers are refused")
    func refusals() throws {
        let three = names(3)
        #expect(throws: PlacementError.self) { try PlacementPlanner.initial(members: [], shards: 1, replicas: 1) }
        for replicas in [0, 4, -1, Int.max] {
            #expect(throws: PlacementError.outOfRange(what: "replicas", value: replicas, allowed: 1...3)) {
                try PlacementPlanner.initial(members: three, shards: 1, replicas: replicas)
            }
        }
        for shards in [0, -1, 65_537, Int.max] {
            #expect(throws: PlacementError.outOfRange(what: "shards", value: shards, allowed: 1...65_536)) {
                try PlacementPlanner.initial(members: three, shards: shards, replicas: 1)
            }
        }
        #expect(throws: PlacementError.weightCount(expected: 3, found: 1)) {
            try PlacementPlanner.initial(members: three, weights: [.one], shards: 1, replicas: 1)
        }
        #expect(throws: PlacementError.duplicateNode("node-0")) {
            try PlacementPlanner.initial(members: three + ["node-0"], shards: 1, replicas: 1)
        }
        #expect(throws: PlacementError.self) {
            try PlacementPlanner.initial(members: three, shards: 1, replicas: 1, slackPerMille: -1)
        }
    }

    @Test("a difference names the shards that change, who joins, who leaves and who leads")
    func difference() throws {
        let members = names(4)
        let ids = members.map { NodeID(name: $0.text) }
        let old = try PlacementTable(
            version: 1,
            members: members,
            assignments: [[ids[0], ids[1], ids[2]], [ids[1], ids[2], ids[0]], [ids[2], ids[0], ids[1]]]
        )
        let new = try PlacementTable(
            version: 2,
            members: members,
            assignments: [[ids[0], ids[3], ids[2]], [ids[1], ids[2], ids[0]], [ids[0], ids[2], ids[1]]]
        )
        let moves = try PlacementPlanner.difference(from: old, to: new)
        #expect(moves.map(\.shard) == [ShardID(0), ShardID(2)])
        #expect(moves[0].added == [ids[3]] && moves[0].removed == [ids[1]] && moves[0].newLeader == nil)
        #expect(moves[1].added.isEmpty && moves[1].removed.isEmpty && moves[1].newLeader == ids[0])
        #expect(try PlacementPlanner.difference(from: new, to: new).isEmpty)
        let smaller = try PlacementTable(version: 1, members: members, assignments: [[ids[0]]])
        #expect(throws: PlacementError.shardCountDiffers(3, 1)) {
            try PlacementPlanner.difference(from: old, to: smaller)
        }
    }
}
