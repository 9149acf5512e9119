// SPDX-License-Identifier: Apache-2.0
import Primitives

/// The entries of the turn, copied out of the log once and shared by the disk and all followers that are level.
struct OutgoingBatch: Sendable {
    private var first = LogIndex.zero
    private var last = LogIndex.zero
    private var entries: [Entry] = []

    mutating func take(_ first: LogIndex, through last: LogIndex, of log: RaftLog) -> [Entry] {
        guard first <= last else { return [] }
        if first != self.first || last != self.last {
            entries = Array(log.slice(first, through: last))
            self.first = first
            self.last = last
        }
        return entries
    }
}

// Log replication (Raft §5.3, dissertation §3.5) and commitment (§5.4.2, dissertation §3.6).
extension Raft {
    // MARK: Proposals

    mutating func propose(_ payload: [UInt8], _ effects: inout RaftEffects) {
        guard role == .leader else {
            effects.proposal = .notLeader(hint: leader)
            return
        }
        // Another is about to lead: whoever asks should look again, and not be told of a limit.
        guard handover.transfer == nil else {
            effects.proposal = .notLeader(hint: nil)
            return
        }
        let cost = Entry(term: term, index: .zero, kind: .command, payload: payload).cost
        // One entry is always let in, or one larger than the limit could never be.
        let full = uncommitted > 0 && uncommitted + cost > configuration.maxUncommittedBytes
        guard !full else {
            effects.proposal = .busy
            return
        }
        appendOwn(.command, payload)
        effects.proposal = .appended(log.lastIndex, term)
    }

    mutating func appendOwn(_ kind: EntryKind, _ payload: [UInt8]) {
        let entry = Entry(term: term, index: log.lastIndex.next, kind: kind, payload: payload)
        log.append(entry)
        uncommitted += entry.cost
        bytesSinceSnapshot += entry.cost
    }

    // MARK: Disk

    /// Hands the entries appended since the last time to the disk, as one operation.
    mutating func persistLog(_ batch: inout OutgoingBatch, _ effects: inout RaftEffects) {
        let first = persistence.nextToPersist
        guard first <= log.lastIndex else { return }
        if persistence.hardStateDirty { persistHardState(&effects) }
        effects.persist.append(.entries(batch.take(first, through: log.lastIndex, of: log)))
        persistence.handedEntries(through: log.lastIndex)
    }

    mutating func persistHardState(_ effects: inout RaftEffects) {
        effects.persist.append(.hardState(HardState(term: term, vote: vote)))
        persistence.handedHardState()
    }

    // MARK: Sending

    /// Sends one follower what it lacks and its window has room for.
    mutating func feed(_ position: Int, _ now: Instant, _ batch: inout OutgoingBatch, _ effects: inout RaftEffects) {
        guard followers[position].connected else { return }
        if followers[position].state != .snapshot && followers[position].next <= log.baseIndex {
            guard let snapshot else { invariantFailure("the log was compacted without a snapshot") }
            followers[position].becomeSnapshot(snapshot, now: now)
        }
        switch followers[position].state {
        case .probe:
            guard !followers[position].probeSent else { return }
            let first = followers[position].next
            let last = log.batchEnd(from: first, maximumBytes: configuration.maxBatchBytes)
            sendAppend(first, through: last, to: followers[position].id, &batch, &effects)
            followers[position].sentProbe(now: now)
        case .replicate: pipeline(position, now, &batch, &effects)
        case .snapshot: feedSnapshot(position, now, &effects)
        }
    }

    private mutating func pipeline(
        _ position: Int,
        _ now: Instant,
        _ batch: inout OutgoingBatch,
        _ effects: inout RaftEffects
    ) {
        while followers[position].next <= log.lastIndex,
            followers[position].hasRoom(maximumBytes: configuration.maxInflightBytes)
        {
            let first = followers[position].next
            let last = log.batchEnd(from: first, maximumBytes: configuration.maxBatchBytes)
            sendAppend(first, through: last, to: followers[position].id, &batch, &effects)
            let bytes = log.cost(first, through: last)
            followers[position].sentAppend(through: last, bytes: bytes, now: now)
            followers[position].sentNudge()
        }
        guard followers[position].nudgeDue else { return }
        let next = followers[position].next
        sendAppend(next, through: next.previous, to: followers[position].id, &batch, &effects)
        followers[position].sentNudge()
    }

    /// Mutating only in name: a call that merely reads makes the optimiser copy the whole replica around it.
    private mutating func sendAppend(
        _ first: LogIndex,
        through last: LogIndex,
        to follower: NodeID,
        _ batch: inout OutgoingBatch,
        _ effects: inout RaftEffects
    ) {
        guard let previousTerm = log.term(at: first.previous) else {
            invariantFailure("the entry before \(first) is not in the log")
        }
        let request = AppendRequest(
            term: term,
            previousIndex: first.previous,
            previousTerm: previousTerm,
            entries: batch.take(first, through: last, of: log),
            commit: commitIndex
        )
        effects.sendNow.append(Envelope(to: follower, message: .append(request)))
    }

    /// What was in flight to this follower may be lost with its connection: ask again where the logs agree.
    mutating func restartFeed(_ position: Int) {
        if followers[position].state == .snapshot {
            followers[position].transfer?.probeSent = false
        } else {
            followers[position].becomeProbe(next: followers[position].match.next)
        }
    }

    /// On each heartbeat: a follower that is alive and yet has not moved for two intervals may have lost a message.
    mutating func retryLostMessages(_ now: Instant) {
        for position in followers.indices {
            let bySnapshot = followers[position].state == .snapshot
            let patience = bySnapshot ? configuration.electionMax * 2 : configuration.heartbeatInterval * 2
            if followers[position].isOverdue(patience, now: now) { followers[position].retry(now: now) }
        }
    }

    // MARK: Followers

    mutating func handleAppend(
        _ request: AppendRequest,
        from sender: NodeID,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) {
        guard request.isConsecutive, followLeader(sender, now, &effects) else { return }
        var previous = (index: request.previousIndex, term: request.previousTerm)
        var entries = request.entries[...]
        if previous.index < commitIndex {
            // Committed entries equal the leader's; what this append says about them is old news.
            let known = min(UInt64(entries.count), commitIndex - previous.index)
            entries = entries.dropFirst(Int(clamping: known))
            previous = (commitIndex, log.term(at: commitIndex) ?? .zero)
        } else if log.term(at: previous.index) != previous.term {
            return refuseAppend(previous.index, previous.term, to: sender, &effects)
        }
        let last = previous.index + UInt64(entries.count)
        store(entries, of: request, &effects)
        matchedIndex = max(matchedIndex, last)
        advanceCommit(to: min(request.commit, last), &effects)
        let accepted = RaftMessage.appendReply(AppendReply(term: term, accepted: true, index: last))
        #if PLANTED_BUGS
            if configuration.plantedBug == .ackBeforeFsync {
                effects.sendNow.append(Envelope(to: sender, message: accepted))
                return
            }
        #endif
        effects.sendAfterPersist.append(Envelope(to: sender, message: accepted))
    }

    /// "If an existing entry conflicts with a new one (same index but different terms), delete the existing entry and
    /// all that follow it" (Raft figure 2); what is there already stays.
    private mutating func store(
        _ entries: ArraySlice<Entry>,
        of request: AppendRequest,
        _ effects: inout RaftEffects
    ) {
        guard let start = entries.firstIndex(where: { log.term(at: $0.index) != $0.term }) else { return }
        let fresh = entries[start...]
        let first = entries[start].index
        if first <= log.lastIndex {
            bytesSinceSnapshot -= log.cost(first, through: log.lastIndex)
            persistence.truncate(from: first, precedingTerm: log.term(at: first.previous) ?? .zero)
            log.truncate(from: first)
            matchedIndex = min(matchedIndex, first.previous)
        }
        log.append(contentsOf: fresh)
        bytesSinceSnapshot += fresh.reduce(0) { $0 + $1.cost }
        if persistence.hardStateDirty { persistHardState(&effects) }
        effects.persist.append(.entries(fresh.count == request.entries.count ? request.entries : Array(fresh)))
        persistence.handedEntries(through: log.lastIndex)
    }

    /// Says where to look next: this log's last index whose term is at most the one asked for.
    private func refuseAppend(
        _ index: LogIndex,
        _ previousTerm: Term,
        to sender: NodeID,
        _ effects: inout RaftEffects
    ) {
        let bound = min(index.previous, log.lastIndex)
        let hint = max(log.lastIndex(notAbove: bound, term: previousTerm), commitIndex)
        let refusal = AppendReply(
            term: term,
            accepted: false,
            index: index,
            hintIndex: hint,
            hintTerm: log.term(at: hint) ?? .zero
        )
        reply(.appendReply(refusal), to: sender, &effects)
    }

    mutating func handleHeartbeat(
        _ beat: Heartbeat,
        from sender: NodeID,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) {
        guard followLeader(sender, now, &effects) else { return }
        advanceCommit(to: min(beat.commit, matchedIndex), &effects)
        let answer = HeartbeatReply(term: term, round: beat.round, declinesLeadership: declinesLeadership)
        reply(.heartbeatReply(answer), to: sender, &effects)
        // The leader counts on entries that this process has not seen match: it restarted since, perhaps on an older
        // disk. Say so, or an idle leader would never send an append again.
        if beat.commit > matchedIndex && beat.commit > commitIndex {
            refuseAppend(beat.commit, log.lastTerm, to: sender, &effects)
        }
    }

    // MARK: Replies

    mutating func handleAppendReply(
        _ reply: AppendReply,
        from sender: NodeID,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) {
        guard role == .leader, let position = hear(sender, now), reply.index <= log.lastIndex else { return }
        guard reply.accepted else { return appendRefused(reply, position, now) }
        followers[position].accepted(reply.index, now: now)
        switch followers[position].state {
        case .probe: followers[position].becomeReplicate(now: now)
        case .replicate: break
        case .snapshot:
            if followers[position].match >= log.baseIndex { followers[position].becomeReplicate(now: now) }
        }
        advanceCommit(&effects)
        continueTransfer(&effects)
    }

    private mutating func appendRefused(_ reply: AppendReply, _ position: Int, _ now: Instant) {
        let next = followers[position].next
        switch followers[position].state {
        case .snapshot: return
        case .probe where reply.index != next.previous && reply.index > followers[position].match:
            return  // An answer to an earlier probe, overtaken or repeated.
        case .probe, .replicate: break
        }
        // Entries it once acknowledged are refused now: its disk was set back. They no longer count for commitment.
        if reply.index <= followers[position].match {
            followers[position].forget(above: min(reply.hintIndex, reply.index.previous))
        }
        let agreed = log.lastIndex(notAbove: min(reply.hintIndex, log.lastIndex), term: reply.hintTerm)
        let guess = reply.hintIndex < log.baseIndex ? reply.hintIndex : agreed
        followers[position].becomeProbe(next: min(guess, reply.index.previous).next)
    }

    /// Any answer of the current term shows that the follower is there. Returns its position.
    mutating func hear(_ sender: NodeID, _ now: Instant) -> Int? {
        guard role == .leader, let position = followerPosition(sender) else { return nil }
        followers[position].lastHeard = now
        if !followers[position].connected {
            followers[position].connected = true
            disconnected.removeAll { $0 == sender }
            restartFeed(position)
        }
        return position
    }

    // MARK: Commitment

    /// "A leader commits only entries of its own term by counting replicas" (Raft §5.4.2); earlier ones follow.
    mutating func advanceCommit(_ effects: inout RaftEffects) {
        let agreed = quorum.agreed { [followers, own = persistence.durableIndex] id in
            followers.position(of: id).map { followers[$0].match } ?? own
        }
        guard agreed > commitIndex else { return }
        #if PLANTED_BUGS
            if configuration.plantedBug == .commitOldTermByCounting { return advanceCommit(to: agreed, &effects) }
        #endif
        guard log.term(at: agreed) == term else { return }
        advanceCommit(to: agreed, &effects)
    }

    mutating func advanceCommit(to index: LogIndex, _ effects: inout RaftEffects) {
        guard index > commitIndex else { return }
        invariant(index <= log.lastIndex, "commit index \(index) is past the log")
        let newly = log.slice(commitIndex.next, through: index)
        if role == .leader { uncommitted -= newly.reduce(0) { $0 + $1.cost } }
        effects.committed.append(contentsOf: newly)
        commitIndex = index
        matchedIndex = max(matchedIndex, index)
    }
}

extension AppendRequest {
    /// The entries follow the previous one without a gap, their terms never fall and none is above the sender's.
    fileprivate var isConsecutive: Bool {
        guard previousTerm <= term else { return false }
        var last = (index: previousIndex, term: previousTerm)
        for entry in entries {
            guard entry.index == last.index.next, entry.term >= last.term, entry.term <= term else { return false }
            last = (entry.index, entry.term)
        }
        return true
    }
}
