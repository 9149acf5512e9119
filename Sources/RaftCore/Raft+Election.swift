// SPDX-License-Identifier: Apache-2.0
import Primitives

/// The connection to the last leader is gone, so an election is tried sooner than the usual timeout.
struct Suspicion: Sendable {
    var leader: NodeID
    /// Elections tried since; each doubles the wait for the next, up to the usual timeout.
    var attempts = 0
    /// One rival's PreVote was granted and the own attempt put off for it; that is done once only, so that a rival
    /// who can never win does not hold this replica back.
    var gaveWay = false
    /// The connection came back and one heartbeat was waited for, once only: a peer may come and go for ever.
    var awaited = false
}

// Leader election (Raft §5.2, dissertation §3.4) with PreVote (§9.6) and leader stickiness (§4.2.3).
extension Raft {
    /// A leader is alive as far as this replica knows, so nobody needs another.
    func hearsLeader(_ now: Instant) -> Bool { role == .leader || now < votePromise }

    private var isVoter: Bool { quorum.contains(configuration.id) }

    // MARK: Timeouts

    /// Drawn anew each time, so that split votes are rare and resolved quickly (Raft §5.2).
    mutating func drawElectionDeadline(_ now: Instant) -> Instant {
        let low = configuration.electionMin
        let high = configuration.electionMax
        if let suspicion, suspicion.attempts < 8 {
            let factor = UInt64(1) << UInt64(suspicion.attempts)
            let shortHigh = low * factor * 2 / 5
            if shortHigh < high { return now + random.interval(from: low * factor / 8, to: shortHigh) }
        } else if !metLeader && configuration.preferredLeader == configuration.id && !configuration.leaseReads {
            // Until there is a leader, the preferred one is ahead of the others.
            return now + random.interval(from: low / 4, to: low / 2)
        }
        return now + random.interval(from: low, to: high)
    }

    /// The connection to the leader was reset, most likely because its process ended: ask for votes almost at once
    /// instead of after a timeout. With lease reads the promise not to vote must be kept, as the leader counts on it.
    mutating func suspectLeader(_ peer: NodeID, _ now: Instant) {
        guard role == .follower, !configuration.leaseReads else { return }
        votePromise = .zero
        if suspicion?.leader != peer { suspicion = Suspicion(leader: peer) }
        let jitter = random.interval(from: configuration.electionMin / 150, to: configuration.electionMin / 10)
        electionDeadline = min(electionDeadline, now + jitter)
    }

    // MARK: Candidates

    mutating func startElection(_ now: Instant, _ effects: inout RaftEffects) {
        guard isVoter, now >= votePromise || !configuration.leaseReads else {
            electionDeadline = isVoter ? votePromise : .distantFuture
            return
        }
        electionDeadline = drawElectionDeadline(now)
        suspicion?.attempts += 1
        role = .preCandidate
        leader = nil
        tally.reset()
        tally.record(configuration.id, granted: true)
        guard quorum.result(tally.answer(of:)) == .pending else { return campaign(transfer: false, now, &effects) }
        let request = voteRequest(term: term.next, transfer: false)
        for voter in quorum.voters where voter != configuration.id {
            effects.sendNow.append(Envelope(to: voter, message: .preVote(request)))
        }
    }

    /// Enters the next term and asks for real votes. The requests wait for the disk: a candidate that forgot its own
    /// vote could give it to another in the same term.
    mutating func campaign(transfer: Bool, _ now: Instant, _ effects: inout RaftEffects) {
        role = .candidate
        leader = nil
        term = term.next
        vote = configuration.id
        matchedIndex = commitIndex
        persistence.markHardStateDirty()
        electionDeadline = drawElectionDeadline(now)
        tally.reset()
        tally.record(configuration.id, granted: true)
        guard quorum.result(tally.answer(of:)) == .pending else { return becomeLeader(now, &effects) }
        let request = voteRequest(term: term, transfer: transfer)
        for voter in quorum.voters where voter != configuration.id {
            effects.sendAfterPersist.append(Envelope(to: voter, message: .vote(request)))
        }
    }

    private func voteRequest(term: Term, transfer: Bool) -> VoteRequest {
        VoteRequest(term: term, lastIndex: log.lastIndex, lastTerm: log.lastTerm, transfer: transfer)
    }

    mutating func handlePreVoteReply(
        _ reply: VoteReply,
        from voter: NodeID,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) {
        guard role == .preCandidate, !reply.granted || reply.term == term.next else { return }
        tally.record(voter, granted: reply.granted)
        switch quorum.result(tally.answer(of:)) {
        case .won: campaign(transfer: false, now, &effects)
        case .lost: becomeFollower(term: term, leader: nil, now, &effects)
        case .pending: break
        }
    }

    mutating func handleVoteReply(
        _ reply: VoteReply,
        from voter: NodeID,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) {
        guard role == .candidate else { return }
        tally.record(voter, granted: reply.granted)
        switch quorum.result(tally.answer(of:)) {
        case .won: becomeLeader(now, &effects)
        case .lost: becomeFollower(term: term, leader: nil, now, &effects)
        case .pending: break
        }
    }

    // MARK: Voters

    /// "The voter denies its vote if its own log is more up-to-date than that of the candidate" (Raft §5.4.1).
    private func isUpToDate(_ request: VoteRequest) -> Bool {
        (request.lastTerm, request.lastIndex) >= (log.lastTerm, log.lastIndex)
    }

    /// Changes nothing but, while the leader is suspected, when this replica tries itself.
    mutating func handlePreVote(
        _ request: VoteRequest,
        from candidate: NodeID,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) {
        guard request.term > term, request.transfer || !hearsLeader(now), isUpToDate(request) else {
            // With the voter's term, which a candidate that lags behind then adopts (tikv/raft-rs#84).
            return reply(.preVoteReply(VoteReply(term: term, granted: false)), to: candidate, &effects)
        }
        if role == .follower, let suspected = suspicion, !suspected.gaveWay {
            suspicion?.gaveWay = true
            electionDeadline = max(electionDeadline, drawElectionDeadline(now))
        }
        let grant = VoteReply(term: request.term, granted: true)
        effects.sendNow.append(Envelope(to: candidate, message: .preVoteReply(grant)))
    }

    mutating func handleVote(
        _ request: VoteRequest,
        from candidate: NodeID,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) {
        // The promise that a leader's lease rests on holds for every term.
        if configuration.leaseReads, !request.transfer, vote != candidate, hearsLeader(now) { return }
        let free = vote == nil && leader == nil
        guard free || vote == candidate, isUpToDate(request) else {
            return reply(.voteReply(VoteReply(term: term, granted: false)), to: candidate, &effects)
        }
        let grant = Envelope(to: candidate, message: .voteReply(VoteReply(term: term, granted: true)))
        if role == .preCandidate { role = .follower }
        suspicion = nil
        electionDeadline = drawElectionDeadline(now)
        #if PLANTED_BUGS
            if configuration.plantedBug == .voteBeforePersist {
                vote = candidate
                persistence.dropHardState()
                effects.sendNow.append(grant)
                return
            }
        #endif
        if vote != candidate {
            vote = candidate
            persistence.markHardStateDirty()
        }
        effects.sendAfterPersist.append(grant)
    }

    // MARK: Leaders

    private mutating func becomeLeader(_ now: Instant, _ effects: inout RaftEffects) {
        role = .leader
        leader = configuration.id
        metLeader = true
        suspicion = nil
        electionDeadline = .distantFuture
        followers = quorum.voters.filter { $0 != configuration.id }.map {
            Progress(
                id: $0,
                next: log.lastIndex.next,
                connected: !disconnected.contains($0),
                now: now,
                window: configuration.maxInflightAppends
            )
        }
        uncommitted = log.cost(commitIndex.next, through: log.lastIndex)
        nextHeartbeat = now
        handover.began(now)
        noopIndex = log.lastIndex.next
        appendOwn(.noop, [])
    }

    /// Stops everything that only a leader does. What it had appended but not yet written is written now: the log in
    /// memory must never be ahead of what was handed to the disk once others may ask about it.
    mutating func leaveLeadership(_ effects: inout RaftEffects) {
        var batch = OutgoingBatch()
        persistLog(&batch, &effects)
        reads.loseAll(into: &effects.reads)
        followers.removeAll()
        uncommitted = 0
        handover.ended()
        electionDeadline = drawElectionDeadline(clock)
    }

    /// CheckQuorum (dissertation §6.2): a leader that no quorum has answered for a whole election timeout steps down
    /// and falls silent, so that nobody is kept from electing another and its clients learn of it.
    mutating func checkQuorum(_ now: Instant, _ effects: inout RaftEffects) {
        let heard = quorum.agreed { [followers] id in
            followers.position(of: id).map { followers[$0].lastHeard } ?? now
        }
        guard now.since(heard) > configuration.electionMax else { return }
        becomeFollower(term: term, leader: nil, now, &effects)
    }
}
