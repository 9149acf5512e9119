// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import QueueCore
import RaftCore
import Replica

/// First chaos, in which only safety is checked; then a majority is healed, and everything that was begun has to
/// finish.
extension Simulation {
    func beginChaos() {
        queue.schedule(.nemesis, at: now + .milliseconds(500) + nemesis.random.interval(from: .zero, to: swarm.calmMax))
        queue.schedule(.phaseCheck, at: .zero + swarm.chaos)
    }

    func checkPhase() {
        switch phase {
        case .chaos: heal()
        case .healing:
            if isAtRest() {
                checkFinalStates()
                checkFinalCache()
                phase = .finished
            } else {
                violations.expect(
                    now.since(healedAt) < swarm.livenessBudget,
                    .liveness,
                    "\(now.since(healedAt)) after healing: \(whatIsMissing())"
                )
            }
        case .finished: return
        }
        checkStandingDeadlocks()
        queue.schedule(.phaseCheck, at: now + .milliseconds(100))
    }

    private func heal() {
        phase = .healing
        healedAt = now
        trace.note(13, now.nanoseconds, 0)
        for position in nemesis.activePositions {
            guard var fault = nemesis.fault(position) else { continue }
            nemesis.end(position)
            undo(&fault)
        }
        for client in clients.indices { clients[client].pausedUntil = .zero }
        leaveDead()
        for node in nodes where node.condition == .down && !node.staysDead { start(node) }
    }

    /// A minority may stay dead; what was lost on the way counts towards it.
    private func leaveDead() {
        guard swarm.leaveMinorityDead else { return }
        let lost = nodes.filter { $0.condition == .lost || $0.isDamaged }.count
        for _ in 0..<max(0, (nodes.count - 1) / 2 - lost) {
            let node = nodes[Int(nemesis.random.below(UInt64(nodes.count)))]
            guard node.condition != .lost, !node.isDamaged, !node.staysDead else { continue }
            node.staysDead = true
            kill(node)
        }
    }

    // MARK: Coming to rest

    private var living: [SimNode] { nodes.filter { $0.condition == .running } }

    private func isAtRest() -> Bool {
        guard
            clients.allSatisfy({
                $0.outstanding.isEmpty && $0.active.isEmpty && $0.agent?.active.isEmpty ?? true
            })
        else { return false }
        guard isCacheAtRest else { return false }
        let living = living
        guard living.count > nodes.count / 2 else { return false }
        for shard in 0..<swarm.shards {
            let last = checkers.witnesses[shard].last
            guard living.contains(where: { $0.replicas[shard].replica.isReadyLeader }) else { return false }
            for node in living where node.replicas[shard].replica.state.applied < last { return false }
            guard checkers.witnesses[shard].state.locks.sessionCount == 0 else { return false }
            let queues = checkers.witnesses[shard].state.queues
            guard queues.messageCount == 0, queues.consumerCount == 0, queues.waiterCount == 0 else { return false }
        }
        return true
    }

    private func whatIsMissing() -> String {
        var missing: [String] = []
        for client in clients where !client.outstanding.isEmpty {
            for position in client.outstanding {
                missing.append("client \(client.index) waits for the answer to \(operations[position].request)")
            }
        }
        missing += whatIsMissingInCache
        for client in clients where !client.active.isEmpty {
            missing.append("client \(client.index) has \(client.active.count) open sessions")
        }
        for shard in 0..<swarm.shards {
            let witness = checkers.witnesses[shard]
            if !living.contains(where: { $0.replicas[shard].replica.isReadyLeader }) {
                missing.append("shard \(shard) has no leader")
            }
            for node in living where node.replicas[shard].replica.state.applied < witness.last {
                missing.append("node \(node.index) is behind in shard \(shard)")
            }
            let queues = witness.state.queues
            if queues.messageCount + queues.consumerCount + queues.waiterCount > 0 {
                missing.append(
                    "shard \(shard) has \(queues.messageCount) messages, \(queues.consumerCount) consumers and "
                        + "\(queues.waiterCount) waiting receives left"
                )
            }
            if witness.state.locks.sessionCount > 0 {
                missing.append("shard \(shard) has \(witness.state.locks.sessionCount) sessions left")
            }
        }
        return missing.joined(separator: "; ")
    }

    /// With all sessions gone nothing is held and nobody waits, and all replicas hold the same bytes.
    private func checkFinalStates() {
        for (shard, witness) in checkers.witnesses.enumerated() {
            violations.expect(
                witness.state.locks.waiterCount == 0,
                .liveness,
                "shard \(shard) keeps \(witness.state.locks.waiterCount) waiting requests of sessions that have ended"
            )
            let expected = witness.state.encoded()
            for node in living where node.replicas[shard].replica.state.applied == witness.last {
                violations.expect(
                    node.replicas[shard].replica.state.encoded() == expected,
                    .replicaDigest,
                    "the state of shard \(shard) on node \(node.index) has other bytes than the other replicas'"
                )
            }
        }
    }

    /// In calm a deadlock across shards is found and broken soon.
    private func checkStandingDeadlocks() {
        let isCalm = swarm.faults.isEmpty || phase == .healing
        guard isCalm, let oldest = checkers.deadlocks.oldestStanding else { return }
        let budget = swarm.deadlockBudget > .zero ? swarm.deadlockBudget : .milliseconds(20_000)
        let since = phase == .healing ? max(oldest, healedAt) : oldest
        violations.expect(
            now.since(since) < budget,
            .deadlock,
            "a deadlock across shards has stood for \(now.since(since))"
        )
    }
}
