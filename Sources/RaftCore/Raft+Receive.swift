// SPDX-License-Identifier: Apache-2.0
import Primitives

// The rules for every message, whatever it says: who may speak, and what its term means (Raft §5.1).
extension Raft {
    /// Ignored without an answer: messages from strangers and from numbers no honest replica reaches. Also ignored,
    /// being legal races: replies to an earlier term or role, and repeated or overtaken messages.
    mutating func receive(
        _ message: RaftMessage,
        from sender: NodeID,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) {
        guard quorum.contains(sender), sender != configuration.id, message.isPlausible else { return }
        if message.term > term {
            guard adoptTerm(of: message, from: sender, now, &effects) else { return }
        } else if message.term < term {
            return answerOldTerm(message, to: sender, &effects)
        }
        switch message {
        case .preVote(let request): handlePreVote(request, from: sender, now, &effects)
        case .preVoteReply(let reply): handlePreVoteReply(reply, from: sender, now, &effects)
        case .vote(let request): handleVote(request, from: sender, now, &effects)
        case .voteReply(let reply): handleVoteReply(reply, from: sender, now, &effects)
        case .append(let request): handleAppend(request, from: sender, now, &effects)
        case .appendReply(let reply): handleAppendReply(reply, from: sender, now, &effects)
        case .heartbeat(let beat): handleHeartbeat(beat, from: sender, now, &effects)
        case .heartbeatReply(let reply): handleHeartbeatReply(reply, from: sender, now, &effects)
        case .snapshotChunk(let chunk): handleSnapshotChunk(chunk, from: sender, now, &effects)
        case .snapshotReply(let reply): handleSnapshotReply(reply, from: sender, now, &effects)
        case .timeoutNow: handleTimeoutNow(from: sender, now, &effects)
        }
    }

    /// Sends an answer that speaks for the current term: at once if that term is on disk, otherwise after it is.
    func reply(_ message: RaftMessage, to receiver: NodeID, _ effects: inout RaftEffects) {
        if persistence.hardStateDurable {
            effects.sendNow.append(Envelope(to: receiver, message: message))
        } else {
            effects.sendAfterPersist.append(Envelope(to: receiver, message: message))
        }
    }

    mutating func becomeFollower(
        term newTerm: Term,
        leader newLeader: NodeID?,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) {
        if role == .leader { leaveLeadership(&effects) }
        if newTerm > term {
            term = newTerm
            vote = nil
            matchedIndex = commitIndex
            persistence.markHardStateDirty()
            if !configuration.leaseReads { votePromise = .zero }
        }
        role = .follower
        leader = newLeader
    }

    /// "If one server's current term is smaller than the other's, then it updates its current term to the larger
    /// value" (Raft §5.1), with two exceptions: a PreVote asks about a term that nobody has entered, and a vote asked
    /// of a replica that hears its leader is not even looked at (dissertation §4.2.3). False when the message goes no
    /// further.
    private mutating func adoptTerm(
        of message: RaftMessage,
        from sender: NodeID,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) -> Bool {
        switch message {
        case .preVote: return true
        case .preVoteReply(let reply) where reply.granted: return true
        case .vote(let request):
            if !request.transfer && hearsLeader(now) { return false }
            becomeFollower(term: message.term, leader: nil, now, &effects)
        case .append, .heartbeat, .snapshotChunk:
            becomeFollower(term: message.term, leader: sender, now, &effects)
        case .preVoteReply, .voteReply, .appendReply, .heartbeatReply, .snapshotReply, .timeoutNow:
            becomeFollower(term: message.term, leader: nil, now, &effects)
        }
        return true
    }

    /// A sender that is behind is told the current term: a deposed leader then steps down, and a replica that is ahead
    /// of its leader's term is not left out for ever (etcd-io/etcd#8501).
    private func answerOldTerm(_ message: RaftMessage, to sender: NodeID, _ effects: inout RaftEffects) {
        switch message {
        case .preVote: reply(.preVoteReply(VoteReply(term: term, granted: false)), to: sender, &effects)
        case .vote: reply(.voteReply(VoteReply(term: term, granted: false)), to: sender, &effects)
        case .append(let request):
            let refusal = AppendReply(term: term, accepted: false, index: request.previousIndex)
            reply(.appendReply(refusal), to: sender, &effects)
        case .heartbeat(let beat):
            reply(.heartbeatReply(HeartbeatReply(term: term, round: beat.round)), to: sender, &effects)
        case .snapshotChunk(let chunk):
            let refusal = SnapshotReply(term: term, index: chunk.snapshot.index, nextOffset: 0, installed: false)
            reply(.snapshotReply(refusal), to: sender, &effects)
        case .preVoteReply, .voteReply, .appendReply, .heartbeatReply, .snapshotReply, .timeoutNow: break
        }
    }

    /// The sender of an append, heartbeat or chunk of the current term leads it. False when that cannot be: there is
    /// already another leader of this term, which only a replica that lost its vote can bring about.
    mutating func followLeader(_ sender: NodeID, _ now: Instant, _ effects: inout RaftEffects) -> Bool {
        guard role != .leader, leader == nil || leader == sender else { return false }
        if role != .follower || leader == nil { becomeFollower(term: term, leader: sender, now, &effects) }
        metLeader = true
        suspicion = nil
        votePromise = now + configuration.electionMin
        electionDeadline = drawElectionDeadline(now)
        return true
    }
}

extension RaftMessage {
    /// All terms and indices are within what a replica that follows the protocol can reach.
    fileprivate var isPlausible: Bool {
        guard term.rawValue < Raft.largestNumber else { return false }
        switch self {
        case .preVote(let request), .vote(let request):
            return isPlausible(request.lastIndex, request.lastTerm) && request.term > .zero
        case .append(let request):
            return isPlausible(request.previousIndex, request.previousTerm) && isPlausible(request.commit, term)
                && request.entries.count < 1 << 32
        case .appendReply(let reply):
            return isPlausible(reply.index, reply.hintTerm) && isPlausible(reply.hintIndex, term)
        case .heartbeat(let beat): return isPlausible(beat.commit, term)
        case .snapshotChunk(let chunk): return isPlausible(chunk.snapshot.index, chunk.snapshot.term)
        case .snapshotReply(let reply): return isPlausible(reply.index, term)
        case .preVoteReply, .voteReply, .heartbeatReply, .timeoutNow: return true
        }
    }

    private func isPlausible(_ index: LogIndex, _ term: Term) -> Bool {
        index.rawValue < Raft.largestNumber && term.rawValue < Raft.largestNumber
    }
}
