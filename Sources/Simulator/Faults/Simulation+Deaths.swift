// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Faults that end processes or harm disks. What a majority has synced always stays intact: whatever is lost beyond
/// that would be lost in any system, and what is lost although it stays intact is a bug.
extension Simulation {
    func inflictDeath(_ kind: FaultKind) -> Bool {
        let running = nodes.filter(\.isUp)
        guard !running.isEmpty else { return false }
        switch kind {
        case .clusterPowerCut:
            for node in running {
                powerOff(node, tear: drawTear())
                scheduleRestart(node)
            }
            return true
        case .damage: return damageDisk()
        case .oldDisk: return setBackDisk()
        default: break
        }
        var node = running[Int(nemesis.random.below(UInt64(running.count)))]
        if kind == .killLeader {
            let shard = Int(nemesis.random.below(UInt64(swarm.shards)))
            node = running.first { $0.leads(shard) } ?? node
        }
        switch kind {
        case .powerCut: powerOff(node, tear: .prefix)
        case .tornWrite: powerOff(node, tear: drawTear())
        default: kill(node)
        }
        scheduleRestart(node)
        return true
    }

    private func drawTear() -> SimDisk.Tear {
        SimDisk.Tear.allCases[Int(nemesis.random.below(UInt64(SimDisk.Tear.allCases.count)))]
    }

    func scheduleRestart(_ node: SimNode) {
        let wait = nemesis.random.interval(from: .milliseconds(20), to: .milliseconds(2_500))
        queue.schedule(.restart(node: node.index), at: now + wait)
    }

    /// How many more nodes may be lost for good.
    private var expendable: Int { (nodes.count - 1) / 2 - nemesis.lost }

    private func damageDisk() -> Bool {
        guard expendable > 0 else { return false }
        let node = nodes[Int(nemesis.random.below(UInt64(nodes.count)))]
        guard node.isUp else { return false }
        kill(node)
        if node.disk.damage(&diskRandom) {
            nemesis.lost += 1
            node.isDamaged = true
        }
        scheduleRestart(node)
        return true
    }

    /// First remembers a disk, later puts it back. Raft cannot survive any lost promise, so it is done to a node
    /// whose entries all others have too, and nothing else happens until it has caught up again: then it must do no
    /// harm.
    private func setBackDisk() -> Bool {
        guard expendable > 0, nodes.count > 2, nemesis.activeCount == 0, nodes.allSatisfy({ $0.condition == .running })
        else { return false }
        guard let image = nemesis.diskImage else {
            let node = nodes[Int(nemesis.random.below(UInt64(nodes.count)))]
            nemesis.diskImage = (node.index, node.disk, now)
            return false
        }
        let node = nodes[image.node]
        guard now.since(image.taken) > .milliseconds(1_500), othersHaveEverything(but: node) else { return false }
        kill(node)
        node.disk = image.disk
        node.diskGeneration += 1
        probes.hit(.oldDiskRestored)
        nemesis.diskImage = nil
        nemesis.quietUntil = now + .milliseconds(6_000)
        queue.schedule(.restart(node: node.index), at: now + .milliseconds(50))
        return true
    }

    private func othersHaveEverything(but node: SimNode) -> Bool {
        for (shard, witness) in checkers.witnesses.enumerated() {
            guard !node.leads(shard), let term = witness.term(at: witness.last) else { return false }
            for other in nodes where other !== node {
                guard other.disk.durable[shard].contains(witness.last, term) else { return false }
            }
        }
        return true
    }
}
