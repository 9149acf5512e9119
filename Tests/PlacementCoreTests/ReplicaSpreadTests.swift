// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import PlacementCore

@Suite("ReplicaSpread")
struct ReplicaSpreadTests {
    private func spread(_ leaders: [Int], _ capacities: [Int], replicas: Int) throws -> [[Int]] {
        let members = capacities.indices.map { HashRing.Member(name: Name("node-\($0)")) }
        let ring = try HashRing(members: members, virtualNodes: 4)
        var spread = ReplicaSpread(ring: ring, leaders: leaders, capacities: capacities)
        for shard in leaders.indices { spread.fill(shard, to: replicas) }
        return spread.holders
    }

    @Test("wherever some choice of second replicas keeps the capacities, it is found", arguments: [(3, 4), (4, 3)])
    func exhaustive(nodes: Int, shards: Int) throws {
        var feasible = 0
        for leaders in sequences(of: shards, below: nodes) {
            // Exactly as many places as replicas: there is nothing to spare.
            for capacities in sequences(of: nodes, below: shards + 1) where capacities.reduce(0, +) == 2 * shards {
                guard isFeasible(leaders, capacities) else { continue }
                feasible += 1
                let holders = try spread(leaders, capacities, replicas: 2)
                #expect(zip(holders, leaders).allSatisfy { $0.count == 2 && $0[0] == $1 && $0[1] != $1 })
                #expect(capacities.indices.map { node in holders.count { $0.contains(node) } } == capacities)
            }
        }
        #expect(feasible > 300)
    }

    private func sequences(of length: Int, below bound: Int) -> [[Int]] {
        (0..<length).reduce([[]]) { sequences, _ in sequences.flatMap { head in (0..<bound).map { head + [$0] } } }
    }

    private func isFeasible(_ leaders: [Int], _ capacities: [Int]) -> Bool {
        var room = capacities
        for leader in leaders { room[leader] -= 1 }
        guard room.allSatisfy({ $0 >= 0 }) else { return false }
        return canFollow(leaders[...], room)
    }

    private func canFollow(_ leaders: ArraySlice<Int>, _ room: [Int]) -> Bool {
        guard let leader = leaders.first else { return true }
        for node in room.indices where node != leader && room[node] > 0 {
            var rest = room
            rest[node] -= 1
            if canFollow(leaders.dropFirst(), rest) { return true }
        }
        return false
    }

    @Test("capacities below the demand are exceeded before a shard goes without its copies")
    func tooSmall() throws {
        let holders = try spread([0, 1, 0], [2, 1, 0], replicas: 3)
        #expect(holders.map { $0.sorted() } == [[0, 1, 2], [0, 1, 2], [0, 1, 2]])
        #expect(holders.map { $0[0] } == [0, 1, 0])
    }
}
