// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import QueueCore
import RaftCore

/// What a leader does by itself: expiry, time-outs, and deadlock detection across namespaces.
extension Replica {
    /// How often waits across namespaces are reported anew while there are any: the detector forgets them when the
    /// system shard's leader changes.
    static let waitReportInterval = Interval.milliseconds(250)

    mutating func keepTime(_ now: Instant, _ effects: inout ReplicaEffects) {
        guard isLeading else { return }
        var due: [LockCommand] = []
        timekeeper.due(now, into: &due)
        for command in due { proposeInternal(.lock(command), now, &effects) }
        var dueInQueues: [QueueCommand] = []
        queueTimekeeper.due(now, stamp: stampBase.stamp(at: now), into: &dueInQueues)
        for command in dueInQueues { proposeInternal(.queue(command), now, &effects) }
        keepCacheTime(now, &effects)
        proposePlacement(now, &effects)
        reportWaits(now, &effects)
        emitDetection(now, &effects)
    }

    /// Once in each leadership, until one is applied: a second one changes nothing.
    private mutating func proposePlacement(_ now: Instant, _ effects: inout ReplicaEffects) {
        guard let table = configuration.proposedPlacement, state.placement == nil, !hasProposedPlacement else { return }
        hasProposedPlacement = proposeInternal(.placement(table), now, &effects)
    }

    /// Also called before the detector's questions are answered: its proof needs every change that an answer takes into
    /// account to be reported ahead of the answer.
    mutating func reportWaits(_ now: Instant, _ effects: inout ReplicaEffects) {
        let generation = state.locks.ownerWaitsVersion
        let changed = reportedWaits != generation
        guard changed || (now >= nextWaitReport && state.locks.hasOwnerWaits) else { return }
        if reportedWaits == nil && !state.locks.hasOwnerWaits {
            reportedWaits = generation
            return
        }
        reportedWaits = generation
        nextWaitReport = now + Self.waitReportInterval
        effects.ownerWaits = (raft.term, state.locks.ownerWaits())
    }

    /// A report may have been lost with the link it was sent on.
    mutating func forgetReports(of node: NodeID) {
        for shard in reporters.keys where reporters[shard] == node {
            reporters[shard] = nil
            detector.clear(shard: shard)
        }
    }

    mutating func detect(_ input: ReplicaInput, _ now: Instant, _ effects: inout ReplicaEffects) {
        guard isLeading else { return }
        switch input {
        case .ownerWaits(let from, let shard, let term, let waits):
            reporters[shard] = from
            detector.replace(shard: shard, term: term, waits: waits)
        case .waitsConfirmed(let shard, let query, let requests):
            var found = CrossShardDetector.Effects()
            detector.answered(shard: shard, query: query, standing: requests, now: now, into: &found)
            emit(found, &effects)
        case .confirmWaits(let from, let query, let requests):
            read(.confirmWaits(query, requests, from: from), .readIndex, now, &effects)
        case .abortWait(let request, let cycle):
            proposeInternal(.lock(.abortWait(request, cycle: cycle)), now, &effects)
        default: break
        }
    }

    private mutating func emitDetection(_ now: Instant, _ effects: inout ReplicaEffects) {
        guard !detector.isIdle else { return }
        var found = CrossShardDetector.Effects()
        detector.step(now: now, into: &found)
        emit(found, &effects)
    }

    private func emit(_ found: CrossShardDetector.Effects, _ effects: inout ReplicaEffects) {
        for (shard, query, requests) in found.queries {
            effects.detector.append(.confirm(shard, query: query, requests))
        }
        for (shard, request, cycle) in found.aborts { effects.detector.append(.abort(shard, request, cycle: cycle)) }
    }
}
