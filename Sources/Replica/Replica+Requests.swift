// SPDX-License-Identifier: Apache-2.0
import CacheCore
import LockCore
import Primitives
import QueueCore
import RaftCore

/// A request that waits until leadership is confirmed for it.
enum PendingRead: Sendable {
    case query(LockQuery, RequestID, from: NodeID)
    case renew(SessionID, RequestID, from: NodeID)
    case queueQuery(QueueQuery, RequestID, from: NodeID)
    case renewConsumer(Name, RequestID, from: NodeID)
    /// The deadlock detector's question whether these waits still stand.
    case confirmWaits(UInt64, [RequestID], from: NodeID)
    case inquiry(CacheInquiry, RequestID, from: NodeID)
    /// The home's own: whether this replica still leads, for the member that the node is.
    case confirmHome(HomeTicket)
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
        if let command = routed.request.command {
            propose(command, routed, from: from, now, &effects)
        } else if callers.count < configuration.maxCallers {
            read(routed, from: from, now, &effects)
        } else {
            refuse(routed, to: from, Self.full, &effects)
        }
    }

    private mutating func propose(
        _ command: ShardCommand,
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
        case .done(let answer):
            reply(answer, routed.id, to: from, &effects)
            return
        case .forgotten:
            return
        }
        guard callers.count < configuration.maxCallers else { return refuse(routed, to: from, Self.full, &effects) }
        if let refusal = state.validate(command) {
            reply(refusal, routed.id, to: from, &effects)
            return
        }
        if storageIsFull && command.needsRoom {
            let reason = "the disk of the shard's leader is full; what gives room back is still served"
            return refuse(routed, to: from, reason, &effects)
        }
        if case .queue(.publish(let publish)) = command, isCrowded(publish.queue) {
            let reason = "too many bytes published to \(publish.queue) wait to be committed"
            return refuse(routed, to: from, reason, &effects)
        }
        let envelope = CommandEnvelope(
            stamp: stampBase.stamp(at: now),
            request: routed.id,
            acknowledgedBelow: routed.acknowledgedBelow,
            acknowledged: routed.acknowledged,
            command: command
        )
        let payload = envelope.encoded()
        switch append(payload, now, &effects) {
        case .appended:
            callers.note(routed.id, node: from)
            if case .queue(.publish(let publish)) = command { publishing[publish.queue, default: 0] += payload.count }
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
        case .queueQuery(let query, let mode): read(.queueQuery(query, routed.id, from: from), mode, now, &effects)
        case .renewConsumer(let consumer):
            read(.renewConsumer(consumer, routed.id, from: from), .readIndex, now, &effects)
        case .cache(let inquiry): inquire(inquiry, routed.id, from: from, now, &effects)
        case .command, .queue: break
        }
    }

    /// A command that the leader proposes on its own account.
    @discardableResult
    mutating func proposeInternal(
        _ command: ShardCommand,
        _ now: Instant,
        _ effects: inout ReplicaEffects
    ) -> Bool {
        let envelope = CommandEnvelope(stamp: stampBase.stamp(at: now), request: .internal, command: command)
        if case .appended = append(envelope.encoded(), now, &effects) { return true }
        return false
    }

    mutating func append(
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
            case .query(_, let request, let from), .renew(_, let request, let from),
                .queueQuery(_, let request, let from), .renewConsumer(_, let request, let from),
                .inquiry(_, let request, let from):
                reply(.notLeader(hint: raft.leader), request, to: from, &effects)
            case .confirmHome: isConfirmingHome = false
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
        case .queueQuery(let query, let id, let from):
            var response = state.queues.query(query, stamp: stampBase.stamp(at: now))
            if case .consumer(.some(var view)) = response {
                view.remainingMilliseconds = queueTimekeeper.remaining(view.id, now: now)?.milliseconds
                response = .consumer(view)
            }
            reply(.queue(response), id, to: from, &effects)
        case .renewConsumer(let consumer, let id, let from): renew(consumer, id, from: from, now, &effects)
        case .inquiry(let inquiry, let id, let from): answer(inquiry, id, from: from, now, &effects)
        case .confirmHome(let ticket): homeIsConfirmed(ticket, now, &effects)
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

    private mutating func renew(
        _ consumer: Name,
        _ id: RequestID,
        from: NodeID,
        _ now: Instant,
        _ effects: inout ReplicaEffects
    ) {
        if queueTimekeeper.isExpiring(consumer) {
            heldConsumerRenewals.append((consumer, id, from))
        } else if let granted = queueTimekeeper.renew(consumer, now: now) {
            reply(.queue(.renewed(milliseconds: granted)), id, to: from, &effects)
        } else {
            reply(.queue(.refused(.noConsumer(consumer))), id, to: from, &effects)
        }
    }

    /// After the log has decided about sessions and consumers whose expiry was proposed.
    mutating func answerHeldRenewals(_ now: Instant, _ effects: inout ReplicaEffects) {
        guard !heldRenewals.isEmpty || !heldConsumerRenewals.isEmpty else { return }
        let held = heldRenewals
        heldRenewals.removeAll()
        for renewal in held { renew(renewal.session, renewal.id, from: renewal.from, now, &effects) }
        let consumers = heldConsumerRenewals
        heldConsumerRenewals.removeAll()
        for renewal in consumers { renew(renewal.consumer, renewal.id, from: renewal.from, now, &effects) }
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
