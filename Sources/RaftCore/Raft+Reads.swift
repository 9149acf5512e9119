// SPDX-License-Identifier: Apache-2.0
import Primitives

// Linearizable reads without a log entry: ReadIndex rounds and the lease (dissertation §6.4).
extension Raft {
    mutating func read(_ id: UInt64, _ mode: ReadMode, _ now: Instant, _ effects: inout RaftEffects) {
        guard role == .leader else { return effects.reads.append(.lost(id: id)) }
        let alone = followers.isEmpty
        if isReadyLeader && (alone || (mode == .lease && holdsLease(now))) {
            return effects.reads.append(.ready(id: id, index: commitIndex))
        }
        if !reads.add(id) { effects.reads.append(.lost(id: id)) }
    }

    /// A quorum promised, when it answered the newest confirmed round, not to elect another leader for `electionMin`.
    /// Counted from the moment the round was sent, which is before any of them heard it, and cut by the rate at which
    /// the clocks may differ. Asking a follower to take over (TimeoutNow) releases all of them from that promise, and
    /// the message may arrive at any time later, so there is no lease for the rest of the term.
    private func holdsLease(_ now: Instant) -> Bool {
        guard configuration.leaseReads, !handover.timeoutNowSent, let since = reads.confirmedSince else { return false }
        let drift = min(configuration.clockDriftPermille, 1000)
        let length = configuration.electionMin / 1000 * (1000 - drift)
        return now < since + length
    }

    /// One round for all the reads of the turn.
    mutating func beginRoundForReads(_ now: Instant, _ effects: inout RaftEffects) {
        guard reads.hasFresh, isReadyLeader else { return }
        #if PLANTED_BUGS
            if configuration.plantedBug == .staleReadIndexRetry {
                reads.attachFresh(index: commitIndex)
                return serveReads(&effects)
            }
        #endif
        beginRound(now, &effects)
    }

    /// Sends a heartbeat with a fresh number to everyone; confirms leadership, keeps it, and carries the commit index.
    mutating func beginRound(_ now: Instant, _ effects: inout RaftEffects) {
        let round = reads.beginRound(
            index: commitIndex,
            now: now,
            takeFresh: isReadyLeader,
            remember: configuration.leaseReads
        )
        for position in followers.indices {
            let beat = Heartbeat(term: term, commit: min(commitIndex, followers[position].match), round: round)
            effects.sendNow.append(Envelope(to: followers[position].id, message: .heartbeat(beat)))
        }
        if followers.isEmpty { serveReads(&effects) }
    }

    mutating func handleHeartbeatReply(
        _ reply: HeartbeatReply,
        from sender: NodeID,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) {
        guard reply.round <= reads.round, let position = hear(sender, now) else { return }
        guard reply.round > followers[position].confirmedRound else { return }
        followers[position].confirmedRound = reply.round
        followers[position].declinesLeadership = reply.declinesLeadership
        serveReads(&effects)
    }

    private mutating func serveReads(_ effects: inout RaftEffects) {
        let confirmed = quorum.agreed { [followers, own = reads.round] id in
            followers.position(of: id).map { followers[$0].confirmedRound } ?? own
        }
        reads.confirm(confirmed, into: &effects.reads)
    }
}
