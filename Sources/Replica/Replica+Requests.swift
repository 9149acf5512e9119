// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import RaftCore

/// A request that waits until leadership is confirmed for it.
enum PendingRead: Sendable {
    case query(LockQuery, RequestID, from: NodeID)
    case renew(SessionID, RequestID, from: NodeID)
    /// The deadlock detector's question whether these waits still stand.
    case confirmWaits(UInt64, [RequestID], from: NodeID)
}

extension Replica {
    mutating func accept(
        _ routed: RoutedRequest,
        from: NodeID,
        _ now: Instant,
        _ effects: inout ReplicaEffects
    ) {
        guard raft.role == .leader else {
            reply(.notLeader(hint: raft.leader), routed.id, to: from, &effects)
            return
        }
        switch routed.request {
        case .query, .renew:
            guard callers.count < configuration.maxCallers else { return refuse(routed, to: from, Self.full, &effects) }
            read(routed, from: from, now, &effects)
        case .command(let command):
            propose(command, routed, from: from, now, &effects)
        }
    }

    private mutating func propose(
        _ command: LockCommand,
        _ routed: RoutedRequest,
        from: NodeID,
        _ now: Instant,
        _ effects: inout ReplicaEffects
    ) {
        if callers.contains(routed.id) {
            // A retry of what is in the log or in a waiting line already: only the way of the answer changes.
            callers.note(routed.id, node: from)
            return
        }
        switch state.requests.lookup(routed.id) {
        case .new: break
        case .waiting:
            callers.note(routed.id, node: from)
            return
        case .done(let response):
            reply(.answer(.lock(response)), routed.id, to: from, &effects)
            return
        case .forgotten:
            return
        }
        guard callers.count < configuration.maxCallers else { return refuse(routed, to: from, Self.full, &effects) }
        if let refusal = state.locks.validate(command) {
            reply(.answer(.lock(.refused(refusal))), routed.id, to: from, &effects)
            return
        }
        if storageIsFull && command.needsRoom {
            let reason = "the disk of the shard's leader is full; releases are still served"
            return refuse(routed, to: from, reason, &effects)
        }
        let envelope = CommandEnvelope(
            stamp: stampBase.stamp(at: now),
            request: routed.id,
            acknowledgedBelow: routed.acknowledgedBelow,
            acknowledged: routed.acknowledged,
            command: command
        )
        switch append(envelope.encoded(), now, &effects) {
        case .appended: callers.note(routed.id, node: from)
        case .notLeader(let hint): reply(.notLeader(hint: hint), routed.id, to: from, &effects)
        case .busy: refuse(routed, to: from, "too many bytes wait to be committed", &effects)
        }
    }

    private static let full = "too many requests wait for this shard"

    /// "Busy" says that nothing was done. A new leader that has not applied all of its log cannot say so of a change:
    /// an earlier leader may have put it there.
    private func refuse(_ routed: RoutedRequest, to node: NodeID, _ reason: String, _ effects: inout ReplicaEffects) {
        let isKnown = isLeading || !routed.request.isMutation
        reply(isKnown ? .answer(.busy(reason: reason)) : .notLeader(hint: nil), routed.id, to: node, &effects)
    }

    private mutating func read(
        _ routed: RoutedRequest,
        from: NodeID,
        _ now: Instant,
        _ effects: inout ReplicaEffects
    ) {
        switch routed.request {
        case .query(let query, let mode): read(.query(query, routed.id, from: from), mode, now, &effects)
        case .renew(let session): read(.renew(session, routed.id, from: from), .readIndex, now, &effects)
        case .command: break
        }
    }

    /// A command that the leader proposes on its own account.
    mutating func proposeInternal(_ command: LockCommand, _ now: Instant, _ effects: inout ReplicaEffects) {
        let envelope = CommandEnvelope(stamp: stampBase.stamp(at: now), request: .internal, command: command)
        _ = append(envelope.encoded(), now, &effects)
    }

    private mutating func append(
        _ payload: [UInt8],
        _ now: Instant,
        _ effects: inout ReplicaEffects
    ) -> ProposalResult {
        raft.step(.propose(payload: payload), now: now, into: &raftEffects)
        guard let result = raftEffects.proposal else { invariantFailure("a proposal was left unanswered") }
        raftEffects.proposal = nil
        if case .appended = result { statistics.proposals += 1 } else { statistics.refusals += 1 }
        return result
    }

    mutating func read(_ read: PendingRead, _ mode: ReadMode, _ now: Instant, _ effects: inout ReplicaEffects) {
        let id = nextRead
        nextRead += 1
        reads[id] = read
        drive(.read(id: id, mode), now, &effects)
    }

    mutating func finishRead(_ result: ReadResult, _ now: Instant, _ effects: inout ReplicaEffects) {
        switch result {
        case .lost(let id):
            switch reads.removeValue(forKey: id) {
            case .query(_, let request, let from), .renew(_, let request, let from):
                reply(.notLeader(hint: raft.leader), request, to: from, &effects)
            case .confirmWaits, nil: break
            }
        case .ready(let id, let index):
            guard let read = reads.removeValue(forKey: id) else { return }
            // Committed entries are applied in the step that commits them, so a confirmed read never waits.
            invariant(state.applied >= index, "a read became ready before its index was applied")
            statistics.reads += 1
            answer(read, now, &effects)
        }
    }

    private mutating func answer(_ read: PendingRead, _ now: Instant, _ effects: inout ReplicaEffects) {
        switch read {
        case .query(let query, let id, let from):
            let response = withRemainingTime(state.locks.query(query, stamp: stampBase.stamp(at: now)), now)
            reply(.answer(.lock(response)), id, to: from, &effects)
        case .renew(let session, let id, let from): renew(session, id, from: from, now, &effects)
        case .confirmWaits(let query, let requests, let from):
            // Whole and ahead of the answer, also to the asker itself: an earlier report may be lost, or be on its way
            // to a former leader.
            reportedWaits = state.locks.ownerWaitsVersion
            effects.ownerWaits = (raft.term, state.locks.ownerWaits())
            effects.waitsConfirmed.append((from, query, state.locks.standing(requests)))
        }
    }

    private mutating func renew(
        _ session: SessionID,
        _ id: RequestID,
        from: NodeID,
        _ now: Instant,
        _ effects: inout ReplicaEffects
    ) {
        if timekeeper.isExpiring(session) {
            heldRenewals.append((session, id, from))
        } else if let granted = timekeeper.renew(session, now: now) {
            reply(.answer(.lock(.renewed(milliseconds: granted))), id, to: from, &effects)
        } else {
            reply(.answer(.lock(.refused(.noSession(session)))), id, to: from, &effects)
        }
    }

    /// After the log has decided about sessions whose expiry was proposed.
    mutating func answerHeldRenewals(_ now: Instant, _ effects: inout ReplicaEffects) {
        guard !heldRenewals.isEmpty else { return }
        let held = heldRenewals
        heldRenewals.removeAll()
        for renewal in held { renew(renewal.session, renewal.id, from: renewal.from, now, &effects) }
    }

    private func withRemainingTime(_ response: LockResponse, _ now: Instant) -> LockResponse {
        switch response {
        case .session(.some(var view)):
            view.remainingMilliseconds = timekeeper.remaining(view.id, now: now)?.milliseconds
            return .session(view)
        case .sessions(var views, let cursor):
            for index in views.indices {
                views[index].remainingMilliseconds = timekeeper.remaining(views[index].id, now: now)?.milliseconds
            }
            return .sessions(views, cursor: cursor)
        default: return response
        }
    }

    func reply(_ reply: RoutedReply, _ id: RequestID, to node: NodeID, _ effects: inout ReplicaEffects) {
        effects.replies.append(ReplyEnvelope(to: node, id: id, reply: reply))
    }
}
