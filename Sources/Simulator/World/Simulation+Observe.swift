// SPDX-License-Identifier: Apache-2.0
import CacheCore
import LockCore
import Primitives
import QueueCore
import RaftCore
import Replica

/// After each step of a replica: what did it write, say, become, commit and apply, and may it?
extension Simulation {
    func observe(_ node: SimNode, _ host: SimReplica) {
        if host.effects.persist.count > host.shadow.persistSeen { observeWrites(node, host) }
        if host.effects.replies.count > host.shadow.repliesSeen { observeReplies(node, host) }
        if let reason = host.replica.halted {
            violations.report(.replicaDigest, "node \(node.index) halted shard \(host.shard): \(reason)")
            return
        }
        let role = host.replica.raft.role
        let term = host.replica.raft.term
        if role != host.shadow.role || term != host.shadow.term {
            observeRole(node, host, role, term)
        }
        let commit = host.replica.raft.commitIndex
        if commit != host.shadow.commit { observeCommit(node, host, commit) }
        let applied = host.replica.state.applied
        if applied != host.shadow.applied && violations.isClean { observeApplied(node, host, applied) }
    }

    private func observeWrites(_ node: SimNode, _ host: SimReplica) {
        let shard = host.shard
        let count = host.effects.persist.count
        while host.shadow.persistSeen < count {
            let operation = host.effects.persist[host.shadow.persistSeen]
            host.shadow.persistSeen += 1
            Durability.persists(
                operation,
                log: host.shadow.log,
                witness: checkers.witnesses[shard],
                node: node.index,
                shard: shard,
                &violations
            )
            switch operation {
            case .hardState(let state):
                checkers.durableVote.persists(
                    state,
                    over: host.shadow.log.hardState,
                    node: node.index,
                    shard: shard,
                    &violations
                )
                host.shadow.log.apply(operation)
            case .entries(let entries):
                LeaderAppendOnly.persists(
                    entries,
                    shadow: host.shadow,
                    node: node.index,
                    shard: shard,
                    &violations
                )
                if let first = entries.first, first.index <= host.shadow.log.last {
                    probes.hit(.logConflictTruncated)
                }
                host.shadow.log.apply(operation)
                // A node alone may use a term again that it lost before its first sync: nobody else has seen it.
                if nodes.count > 1 {
                    checkers.logMatching[shard].appended(
                        entries,
                        node: node.index,
                        shard: shard,
                        log: host.shadow.log,
                        &violations
                    )
                }
            case .snapshot, .reset: host.shadow.log.apply(operation)
            }
        }
    }

    private func observeRole(_ node: SimNode, _ host: SimReplica, _ role: Role, _ term: Term) {
        let shard = host.shard
        let old = host.shadow
        violations.expect(
            term >= old.term,
            .monotonicity,
            "the term of shard \(shard) on node \(node.index) fell from \(old.term) to \(term)"
        )
        host.shadow.role = role
        host.shadow.term = term
        trace.note(8, UInt64(node.index) << 16 | UInt64(shard) << 8 | UInt64(role.rawValue), term.rawValue)
        note(node.index, "shard \(shard): \(role) in term \(term)")
        if old.role == .leader && role != .leader { probes.hit(.leaderDeposed) }
        guard role == .leader, old.role != .leader || old.term != term else { return }
        probes.hit(.leaderElected)
        violations.expect(
            probes[.leaderElected] <= swarm.maxElections,
            .liveness,
            "node \(node.index) was elected for shard \(shard) in term \(term) although no leader was cut off"
        )
        checkers.electionSafety.leads(node: node.index, shard: shard, term: term, &violations)
        LeaderCompleteness.elected(
            log: host.shadow.log,
            verified: old.verified,
            witness: checkers.witnesses[shard],
            node: node.index,
            shard: shard,
            term: term,
            &violations
        )
    }

    private func observeCommit(_ node: SimNode, _ host: SimReplica, _ commit: LogIndex) {
        let shard = host.shard
        let old = host.shadow.commit
        violations.expect(
            commit >= old,
            .monotonicity,
            "the commit index of shard \(shard) on node \(node.index) fell from \(old) to \(commit)"
        )
        host.shadow.commit = commit
        if commit > checkers.witnesses[shard].last {
            let shadow = host.shadow
            if shadow.role == .leader {
                LeaderCompleteness.leaderCommits(
                    commit,
                    log: shadow.log,
                    term: shadow.term,
                    node: node.index,
                    shard: shard,
                    &violations
                )
            }
            if let first = shadow.log.term(at: checkers.witnesses[shard].last.next), first < shadow.term {
                probes.hit(.oldTermEntryCommitted)
            }
            checkCopies(of: commit, in: shadow.log, shard)
            advanceWitness(shard, to: commit, from: shadow, node.index)
        }
        guard violations.isClean else { return }
        StateMachineSafety.compare(
            shadow: &host.shadow,
            upTo: commit,
            witness: checkers.witnesses[shard],
            node: node.index,
            shard: shard,
            &violations
        )
    }

    private func checkCopies(of index: LogIndex, in log: ShadowLog, _ shard: Int) {
        guard let term = log.term(at: index) else { return }
        var copies = 0
        for node in nodes where node.disk.durable[shard].contains(index, term) { copies += 1 }
        Durability.commits(index, term, copies: copies, nodes: nodes.count, shard: shard, &violations)
    }

    /// Entries are committed for the first time anywhere: the observer applies them.
    private func advanceWitness(_ shard: Int, to commit: LogIndex, from shadow: ReplicaShadow, _ node: Int) {
        while checkers.witnesses[shard].last < commit && violations.isClean {
            let index = checkers.witnesses[shard].last.next
            guard let entry = shadow.log.entry(at: index) else {
                violations.report(
                    .stateMachineSafety,
                    "node \(node) committed entry \(index) of shard \(shard) without having it"
                )
                return
            }
            checkers.committedCount += 1
            let outcome = checkers.witnesses[shard].apply(entry, committedIn: shadow.term, &violations)
            trace.note(9, UInt64(shard) << 48 | index.rawValue, checkers.witnesses[shard].digest(at: index) ?? 0)
            if let outcome { committed(outcome, shard) }
        }
    }

    private func observeApplied(_ node: SimNode, _ host: SimReplica, _ applied: LogIndex) {
        let shard = host.shard
        host.shadow.applied = applied
        ReplicaDigest.applied(
            applied,
            digest: host.replica.state.digest,
            witness: checkers.witnesses[shard],
            node: node.index,
            shard: shard,
            &violations
        )
    }

    /// One command took effect.
    private func committed(_ outcome: Witness.Outcome, _ shard: Int) {
        countProbes(outcome)
        noteWorld(Self.summary(outcome, shard))
        checkers.queues[shard].apply(outcome, checkers.witnesses[shard].state.queues, &violations)
        checkQueueClients(outcome, shard)
        if case .cache(.remove(let member)) = outcome.envelope.command { cacheMemberRemoved(member) }
        guard case .lock = outcome.envelope.command else { return }
        checkers.locks[shard].apply(outcome, &violations)
        checkSessions(outcome, shard)
        checkers.deadlocks.check(
            shard,
            outcome,
            checkers.locks,
            now: now,
            joins: swarm.workload.owners > 0,
            &violations
        )
    }

    /// Only a leader answers; what it says of reads must be fresh.
    private func observeReplies(_ node: SimNode, _ host: SimReplica) {
        let shard = host.shard
        let count = host.effects.replies.count
        while host.shadow.repliesSeen < count {
            let envelope = host.effects.replies[host.shadow.repliesSeen]
            host.shadow.repliesSeen += 1
            switch envelope.reply {
            case .answer(.lock), .answer(.queue): break
            default: continue
            }
            checkers.reads.answers(
                envelope.id,
                shard: shard,
                applied: host.replica.state.applied,
                node: node.index,
                &violations
            )
        }
    }
}
