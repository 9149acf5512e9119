// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import RaftCore

/// Random faults against the paper's safety properties, then healing and liveness. A seed replays exactly.
struct RandomClusterTests {
    @Test(
        "Three nodes under drops, duplicates, reordering, crashes and partitions stay safe and recover (Raft figure 3)"
    )
    func threeNodes() { for seed in 1...UInt64(140) { expectSafeAndLive(size: 3, seed: seed) } }

    @Test(
        "Five nodes under drops, duplicates, reordering, crashes and partitions stay safe and recover (Raft figure 3)"
    )
    func fiveNodes() { for seed in 1001...UInt64(1060) { expectSafeAndLive(size: 5, seed: seed) } }

    @Test("The same seed gives the same run")
    func replays() {
        let first = RandomRun(size: 3, seed: 42)
        first.disturb()
        let second = RandomRun(size: 3, seed: 42)
        second.disturb()
        #expect(first.cluster.nodes.map(\.machine) == second.cluster.nodes.map(\.machine))
        #expect(first.cluster.random.state == second.cluster.random.state)
    }

    private func expectSafeAndLive(size: UInt64, seed: UInt64) {
        let run = RandomRun(size: size, seed: seed)
        run.disturb()
        let recovered = run.healAndConverge()
        #expect(run.cluster.violations.isEmpty, "seed \(seed)")
        #expect(recovered, "seed \(seed) did not recover")
    }
}

/// One seed's faults and load.
final class RandomRun {
    let cluster: TestCluster

    init(size: UInt64, seed: UInt64, configure: (inout RaftConfiguration) -> Void = { _ in }) {
        var random = SeededRandom(seed: seed)
        let lease = random.chance(1, in: 3)
        let preferred = random.chance(1, in: 3)
        cluster = TestCluster(size: size, seed: random.next()) { configuration in
            configuration.leaseReads = lease
            configuration.preferredLeader = preferred ? NodeID(1) : nil
            configuration.compactionTailEntries = 4
            configuration.maxInflightAppends = seed % 4 == 3 ? 1 : 4
            configuration.maxBatchBytes = seed % 4 < 2 ? 120 : 1
            configure(&configuration)
        }
        cluster.faults.drop = random.below(100)
        cluster.faults.duplicate = random.below(100)
        cluster.faults.slowest = .milliseconds(random.below(20))
        cluster.faults.slowestDisk = .milliseconds(1 + random.below(15))
    }

    func disturb(steps: Int = 150) {
        for _ in 0..<steps {
            cluster.run(milliseconds: cluster.random.below(40))
            disturbOnce()
            if cluster.random.chance(1, in: 20) { cluster.checkLogMatching() }
        }
        cluster.checkLogMatching()
    }

    func healAndConverge() -> Bool {
        cluster.heal()
        cluster.faults = TestCluster.Faults()
        for node in cluster.nodes where !node.isUp { cluster.restart(node) }
        guard cluster.run(limit: 5000, until: { cluster.readyLeader != nil && cluster.leader === cluster.readyLeader })
        else { return false }
        return cluster.run(limit: 20_000) {
            if cluster.converged { return true }
            if let leader = cluster.leader, leader.raft!.uncommittedBytes == 0, cluster.random.chance(1, in: 400) {
                cluster.propose(leader)
            }
            return false
        }
    }

    private func disturbOnce() {
        let node = cluster.nodes[Int(cluster.random.below(UInt64(cluster.nodes.count)))]
        switch cluster.random.below(22) {
        case 0..<6: if let leader = cluster.leader { for _ in 0...cluster.random.below(4) { cluster.propose(leader) } }
        case 6..<9: if node.isUp { cluster.read(node, cluster.random.chance(1, in: 2) ? .lease : .readIndex) }
        case 9: for leader in cluster.nodes where leader.raft?.role == .leader { cluster.read(leader) }
        case 10: crashOrRestart(node)
        case 11: if let leader = cluster.leader, cluster.random.chance(1, in: 2) { crashOrRestart(leader) }
        case 12: cluster.snapshot(node)
        case 13: cluster.isolate(node.id.rawValue)
        case 14: cluster.cut.append((node.id, cluster.nodes[Int(cluster.random.below(UInt64(cluster.nodes.count)))].id))
        case 15: cluster.heal()
        case 16: if let leader = cluster.leader { cluster.step(leader, .transferLeadership(to: node.id)) }
        case 17: node.pausedUntil = cluster.now + .milliseconds(cluster.random.below(500))
        case 18: flapConnection(node)
        case 19: crashNewLeaders()
        case 20: powerCut()
        default:
            cluster.heal()
            for node in cluster.nodes where !node.isUp { cluster.restart(node) }
        }
    }

    private func crashOrRestart(_ node: TestNode) {
        guard node.isUp else { return cluster.restart(node) }
        cluster.crash(node)
        cluster.resetConnections(of: node)
    }

    /// Leaders that end, one after the other, between replicating what they inherited and their own first entry
    /// (Raft figure 8).
    private func crashNewLeaders() {
        if let leader = cluster.leader { cluster.propose(leader) }
        for _ in 0...cluster.random.below(4) {
            for node in cluster.nodes where !node.isUp { cluster.restart(node) }
            guard cluster.run(limit: 600, until: { cluster.leader?.raft?.isReadyLeader == false }) else { return }
            cluster.run(milliseconds: cluster.random.below(25))
            if let leader = cluster.leader { crashOrRestart(leader) }
        }
    }

    /// All processes end at once, in the middle of their writes.
    private func powerCut() {
        if let leader = cluster.leader { cluster.propose(leader) }
        cluster.run(milliseconds: cluster.random.below(5))
        for node in cluster.nodes where node.isUp { cluster.crash(node) }
        for node in cluster.nodes { cluster.restart(node) }
    }

    private func flapConnection(_ node: TestNode) {
        let other = cluster.nodes[Int(cluster.random.below(UInt64(cluster.nodes.count)))]
        guard other !== node else { return }
        cluster.step(node, .peerDisconnected(other.id))
        cluster.step(other, .peerDisconnected(node.id))
        if cluster.random.chance(1, in: 2) {
            cluster.step(node, .peerConnected(other.id))
            cluster.step(other, .peerConnected(node.id))
        }
    }
}
