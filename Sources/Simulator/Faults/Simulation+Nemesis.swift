// SPDX-License-Identifier: Apache-2.0
import Primitives

/// The nemesis acts: between two faults there is calm, and both last a while, so that something gets done in between.
extension Simulation {
    func nemesisActs() {
        guard phase == .chaos else { return }
        if now >= nemesis.quietUntil, nemesis.activeCount < swarm.maxConcurrentFaults, !swarm.faults.isEmpty {
            let kind = swarm.faults[Int(nemesis.random.below(UInt64(swarm.faults.count)))]
            if inflict(kind) {
                nemesis.tally.hit(kind)
                trace.note(12, UInt64(kind.rawValue), now.nanoseconds)
                noteWorld("fault: \(kind.name)")
            }
        }
        queue.schedule(.nemesis, at: now + nemesis.random.interval(from: swarm.calmMin, to: swarm.calmMax))
    }

    private func anyNode() -> SimNode { nodes[Int(nemesis.random.below(UInt64(nodes.count)))] }

    private func anyLeader() -> SimNode {
        let shard = Int(nemesis.random.below(UInt64(swarm.shards)))
        return nodes.first { $0.leads(shard) } ?? anyNode()
    }

    private func faultLength() -> Interval { nemesis.random.interval(from: swarm.faultMin, to: swarm.faultMax) }

    @discardableResult
    private func begin(_ fault: ActiveFault, lasting: Interval? = nil) -> Int {
        let position = nemesis.begin(fault)
        queue.schedule(.faultEnds(position), at: now + (lasting ?? faultLength()))
        return position
    }

    private func cut(_ kind: FaultKind, _ pairs: [(from: Int, to: Int)]) -> Bool {
        guard !pairs.isEmpty else { return false }
        let holds = nemesis.random.chance(1, in: 2)
        for (from, to) in pairs { network.cut(from: from, to: to, holding: holds) }
        begin(ActiveFault(kind: kind, cuts: pairs))
        return true
    }

    /// False when the fault makes no sense now.
    private func inflict(_ kind: FaultKind) -> Bool {
        switch kind {
        case .partition, .isolateNode, .isolateLeader, .oneWay, .bridge, .swizzle: return inflictCut(kind)
        case .flapping: return flap()
        case .loss, .delay, .duplication, .reordering: return changeWeather(kind)
        case .connectionReset: return resetConnections()
        case .kill, .killLeader, .powerCut, .tornWrite, .clusterPowerCut, .damage, .oldDisk: return inflictDeath(kind)
        case .pause, .pauseLeader:
            let node = kind == .pause ? anyNode() : anyLeader()
            guard node.condition == .running else { return false }
            pause(node)
            begin(ActiveFault(kind: kind, node: node.index))
        case .slowDisk:
            let node = anyNode()
            node.syncDelay = nemesis.random.interval(from: .milliseconds(20), to: .milliseconds(2_000))
            begin(ActiveFault(kind: kind, node: node.index))
        case .fullDisk:
            let node = anyNode()
            node.isDiskFull = true
            begin(ActiveFault(kind: kind, node: node.index))
        case .clockDrift:
            let permille = 1000 - swarm.clockSpread + nemesis.random.below(2 * swarm.clockSpread + 1)
            if nemesis.random.chance(1, in: 2) {
                anyNode().clock.setRate(permille: permille, at: now)
            } else {
                let client = Int(nemesis.random.below(UInt64(clients.count)))
                clients[client].clock.setRate(permille: permille, at: now)
            }
        case .transferLeadership:
            let shard = Int(nemesis.random.below(UInt64(swarm.shards)))
            guard let leader = nodes.first(where: { $0.leads(shard) }) else { return false }
            probes.hit(.leadershipTransferred)
            post(.transferLeadership(shard: shard), to: leader)
        case .clientPause:
            let client = Int(nemesis.random.below(UInt64(clients.count)))
            clients[client].pausedUntil = now + faultLength()
        }
        return true
    }

    private func inflictCut(_ kind: FaultKind) -> Bool {
        let all = nodes.indices
        switch kind {
        case .partition:
            guard nodes.count > 1 else { return false }
            let side = all.map { _ in nemesis.random.chance(1, in: 2) }
            return cut(kind, pairs { side[$0] != side[$1] })
        case .isolateNode, .isolateLeader:
            let node = (kind == .isolateNode ? anyNode() : anyLeader()).index
            return cut(kind, pairs { $0 == node || $1 == node })
        case .oneWay:
            let node = anyLeader().index
            let isDeaf = nemesis.random.chance(1, in: 2)
            return cut(kind, pairs { isDeaf ? $1 == node : $0 == node })
        case .bridge:
            guard nodes.count > 2 else { return false }
            let bridge = anyNode().index
            let side = all.map { _ in nemesis.random.chance(1, in: 2) }
            return cut(kind, pairs { $0 != bridge && $1 != bridge && (nodes.count == 3 || side[$0] != side[$1]) })
        default:
            // Swizzle-clog: links stop one after the other, each for a time of its own.
            var isAny = false
            for pair in pairs({ _, _ in true }) where nemesis.random.chance(1, in: 2) {
                network.cut(from: pair.from, to: pair.to, holding: true)
                begin(ActiveFault(kind: kind, cuts: [pair]))
                isAny = true
            }
            return isAny
        }
    }

    private func pairs(_ isCut: (Int, Int) -> Bool) -> [(from: Int, to: Int)] {
        var result: [(from: Int, to: Int)] = []
        for from in nodes.indices {
            for to in nodes.indices where from != to && isCut(from, to) { result.append((from, to)) }
        }
        return result
    }

    private func flap() -> Bool {
        guard nodes.count > 1 else { return false }
        let one = anyNode().index
        let other = (one + 1 + Int(nemesis.random.below(UInt64(nodes.count - 1)))) % nodes.count
        var fault = ActiveFault(kind: .flapping, cuts: [(one, other), (other, one)])
        fault.flapsLeft = 4 + Int(nemesis.random.below(20))
        begin(fault, lasting: .milliseconds(50))
        return true
    }

    private func changeWeather(_ kind: FaultKind) -> Bool {
        let strength = 50 + nemesis.random.below(2_950)
        switch kind {
        case .loss: network.weather.loss = strength
        case .duplication: network.weather.duplication = strength
        case .reordering: network.weather.reordering = strength
        default: network.weather.extraDelay = nemesis.random.interval(from: .milliseconds(5), to: .milliseconds(300))
        }
        begin(ActiveFault(kind: kind))
        return true
    }

    private func resetConnections() -> Bool {
        var isAny = false
        for one in nodes.indices {
            for other in nodes.indices where one < other && nemesis.random.chance(1, in: 2) {
                breakConnection(one, other)
                isAny = true
            }
        }
        return isAny
    }

    // MARK: The end of faults

    func endFault(_ position: Int) {
        guard var fault = nemesis.fault(position) else { return }
        if fault.kind == .flapping && fault.flapsLeft > 0 && phase == .chaos {
            fault.flapsLeft -= 1
            setFlap(&fault, isCut: !fault.isCut)
            nemesis.update(position, fault)
            let wait = nemesis.random.interval(from: .milliseconds(20), to: .milliseconds(500))
            queue.schedule(.faultEnds(position), at: now + wait)
            return
        }
        nemesis.end(position)
        undo(&fault)
    }

    private func setFlap(_ fault: inout ActiveFault, isCut: Bool) {
        guard fault.isCut != isCut else { return }
        fault.isCut = isCut
        for (from, to) in fault.cuts {
            if isCut { network.cut(from: from, to: to, holding: false) } else { heal(from: from, to: to) }
        }
    }

    func undo(_ fault: inout ActiveFault) {
        switch fault.kind {
        case .flapping: setFlap(&fault, isCut: false)
        case .loss: network.weather.loss = 0
        case .duplication: network.weather.duplication = 0
        case .reordering: network.weather.reordering = 0
        case .delay: network.weather.extraDelay = .zero
        case .pause, .pauseLeader:
            if let node = fault.node { resume(nodes[node]) }
        case .slowDisk:
            if let node = fault.node { nodes[node].syncDelay = .zero }
        case .fullDisk:
            if let node = fault.node { nodes[node].isDiskFull = false }
        default:
            for (from, to) in fault.cuts { heal(from: from, to: to) }
        }
    }
}
