// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// One replica's part in one Raft group: a value that is told what happened and says what to do.
///
/// Follows Ongaro's dissertation ("Consensus: Bridging Theory and Practice", 2014): elections §3.4 with PreVote and
/// leader stickiness §4.2.3 and §9.6, replication §3.5, commitment §3.6, leadership transfer §3.10, snapshots §5,
/// reads §6.4, parallel disk writes §10.2.1. Membership is fixed; every decision by majority goes through `Quorum`.
///
///                      timeout             a quorum would vote          a quorum voted
///     follower ───────────────▶ preCandidate ─────────▶ candidate ─────────▶ leader
///        ▲                          │  ▲                    │                   │
///        │◀─────────────────────────┘  └──── timeout ───────┘                   │
///        └──────── a higher term, a leader of this term, or no quorum heard ────┘
///
/// Deviations, each for a reason: an append's own fsync does not delay its sending (the leader counts itself only
/// once its disk has answered); a follower advances its commit index by a heartbeat only as far as this leader's
/// appends have matched, so that a follower whose disk was set back cannot commit entries it never compared.
package struct Raft: Sendable {
    /// Terms and indices above this come from no replica that follows the protocol; messages with them are ignored,
    /// so that arithmetic on them cannot overflow.
    static let largestNumber: UInt64 = 1 << 62

    package let configuration: RaftConfiguration
    package internal(set) var role = Role.follower
    package internal(set) var term: Term
    package internal(set) var leader: NodeID?
    package internal(set) var commitIndex: LogIndex
    /// Cost of the log entries after the newest snapshot: what a new snapshot would let go of, on disk too.
    package internal(set) var bytesSinceSnapshot: Int

    let quorum: Quorum
    var vote: NodeID?
    var log: RaftLog
    var snapshot: SnapshotMetadata?
    var persistence: PersistenceQueue
    var random: SeededRandom
    var clock: Instant
    var reported: RoleChange

    /// Follower: the last entry known to equal the current leader's; nothing above it is committed by a heartbeat.
    var matchedIndex: LogIndex
    var electionDeadline = Instant.distantFuture
    /// Until then votes are refused, because a leader was heard from (unless that leader asks for the election).
    var votePromise = Instant.zero
    /// Set while the connection to the last leader is gone: the number of elections tried since.
    var suspicion: Suspicion?
    /// A leader was heard from since this process started.
    var metLeader = false
    var tally = VoteTally()

    var followers: [Progress] = []
    var disconnected: [NodeID] = []
    /// Leader: the no-op of its own term; until it is committed no read is served.
    var noopIndex = LogIndex.zero
    var uncommitted = 0
    var nextHeartbeat = Instant.zero
    var reads = ReadQueue()
    var handover = Handover()
    var declinesLeadership = false

    /// `recovered` must have passed `RecoveredLog.validate()`.
    package init(configuration: RaftConfiguration, recovered: RecoveredLog, seed: UInt64, now: Instant) {
        let base = recovered.snapshot
        let log = RaftLog(baseIndex: base?.index ?? .zero, baseTerm: base?.term ?? .zero, entries: recovered.entries)
        log.checkInvariants()
        self.configuration = configuration
        self.quorum = Quorum(voters: configuration.voters)
        // Entries are written after the term they carry; a log ahead of the hard state means that the term was lost.
        let lost = log.lastTerm > recovered.hardState.term
        self.term = lost ? log.lastTerm : recovered.hardState.term
        self.vote = lost ? nil : recovered.hardState.vote
        self.log = log
        self.snapshot = base
        self.commitIndex = log.baseIndex
        self.matchedIndex = log.baseIndex
        self.bytesSinceSnapshot = log.bytes
        self.persistence = PersistenceQueue(lastIndex: log.lastIndex)
        self.random = SeededRandom(seed: seed)
        self.clock = now
        self.reported = RoleChange(role: .follower, term: term, leader: nil)
        // A promise given before the restart may still be running.
        if configuration.leaseReads { votePromise = now + configuration.electionMin }
        electionDeadline = drawElectionDeadline(now)
    }

    /// The only way anything happens. Appends to `effects`; `now` never goes back.
    package mutating func step(_ input: RaftInput, now: Instant, into effects: inout RaftEffects) {
        clock = max(clock, now)
        switch input {
        case .tick: tick(clock, &effects)
        case .message(let sender, let message): receive(message, from: sender, clock, &effects)
        case .propose(let payload): propose(payload, &effects)
        case .read(let id, let mode): read(id, mode, clock, &effects)
        case .persisted(let mark): persisted(mark, &effects)
        case .peerDisconnected(let peer): peerDisconnected(peer, clock)
        case .peerConnected(let peer): peerConnected(peer, clock)
        case .transferLeadership(let target): transferLeadership(to: target, clock, &effects)
        case .declineLeadership(let declines): declinesLeadership = declines
        case .snapshotTaken(let snapshot): snapshotTaken(snapshot, &effects)
        case .snapshotChunkRead(let peer, let snapshot, let offset, let bytes, let checksum):
            let chunk = SnapshotChunk(
                term: term,
                snapshot: snapshot,
                offset: offset,
                bytes: bytes,
                checksum: checksum
            )
            snapshotChunkRead(chunk, to: peer, clock, &effects)
        case .snapshotChunkStored(let peer, let snapshot, let nextOffset):
            snapshotChunkStored(snapshot, from: peer, nextOffset: nextOffset, &effects)
        case .snapshotInstalled(let peer, let snapshot): snapshotInstalled(snapshot, from: peer, clock, &effects)
        }
        finish(&effects)
    }

    /// Sends and persists what the steps since the last flush have left. The owner calls it once at the end of a turn,
    /// so that all proposals of the turn share one write and one append, and all its reads one round.
    package mutating func flush(now: Instant, into effects: inout RaftEffects) {
        clock = max(clock, now)
        var batch = OutgoingBatch()
        persistLog(&batch, &effects)
        if role == .leader {
            beginRoundForReads(clock, &effects)
            for position in followers.indices { feed(position, clock, &batch, &effects) }
        }
        finish(&effects)
    }

    // MARK: What the owner may look at

    package var lastIndex: LogIndex { log.lastIndex }

    /// The first entry that is still in memory.
    package var firstIndex: LogIndex { log.firstIndex }

    /// The position of the newest snapshot; zero before the first.
    package var snapshotIndex: LogIndex { snapshot?.index ?? .zero }

    /// Leader: cost of the entries it has and has not committed.
    package var uncommittedBytes: Int { role == .leader ? uncommitted : 0 }

    /// Cost of the entries in memory.
    package var logBytes: Int { log.bytes }

    /// A leader that has committed an entry of its own term, and so knows of every committed entry (Raft §8).
    package var isReadyLeader: Bool { role == .leader && commitIndex >= noopIndex }

    /// Leadership is being handed over: proposals are refused until it is done or given up.
    package var isTransferring: Bool { handover.transfer != nil }

    /// When the next `.tick` will have something to do. A tick that comes later merely acts later.
    package var nextDeadline: Instant {
        guard role == .leader else { return electionDeadline }
        return handover.transfer.map { min($0.deadline, nextHeartbeat) } ?? nextHeartbeat
    }

    /// Leader: how each follower is doing; otherwise empty.
    package var progress: [ProgressView] {
        followers.map {
            ProgressView(
                id: $0.id,
                state: $0.state,
                match: $0.match,
                next: $0.next,
                connected: $0.connected,
                silentFor: clock.since($0.lastHeard)
            )
        }
    }

    // MARK: Ends of steps

    mutating func finish(_ effects: inout RaftEffects) {
        if persistence.hardStateDirty { persistHardState(&effects) }
        if let mark = persistence.seal(log) { effects.persistMark = mark }
        guard role != reported.role || term != reported.term || leader != reported.leader else { return }
        reported = RoleChange(role: role, term: term, leader: leader)
        effects.roleChange = reported
    }

    private mutating func tick(_ now: Instant, _ effects: inout RaftEffects) {
        if role == .leader {
            tickLeader(now, &effects)
        } else if now >= electionDeadline {
            startElection(now, &effects)
        }
    }

    private mutating func persisted(_ mark: UInt64, _ effects: inout RaftEffects) {
        let rose = persistence.complete(mark, log)
        if rose && role == .leader { advanceCommit(&effects) }
    }

    private mutating func peerConnected(_ peer: NodeID, _ now: Instant) {
        disconnected.removeAll { $0 == peer }
        if let suspected = suspicion, suspected.leader == peer, !suspected.awaited, role == .follower {
            // If it still leads, its next heartbeat says so; an election now would only disturb it.
            suspicion?.awaited = true
            electionDeadline = max(electionDeadline, now + configuration.heartbeatInterval * 2)
        }
        guard let position = followerPosition(peer), !followers[position].connected else { return }
        followers[position].connected = true
        restartFeed(position)
    }

    private mutating func peerDisconnected(_ peer: NodeID, _ now: Instant) {
        guard quorum.contains(peer), peer != configuration.id else { return }
        if !disconnected.contains(peer) { disconnected.append(peer) }
        if let position = followerPosition(peer) {
            followers[position].connected = false
            restartFeed(position)
        }
        if peer == leader { suspectLeader(peer, now) }
    }

    func followerPosition(_ id: NodeID) -> Int? { followers.position(of: id) }
}

extension RecoveredLog {
    /// Throws when the parts do not fit together; the disk then holds something that Raft never wrote.
    package func validate() throws(RaftConfiguration.Problem) {
        var last = (index: snapshot?.index ?? .zero, term: snapshot?.term ?? .zero)
        for entry in entries {
            guard entry.index.rawValue < Raft.largestNumber, entry.term.rawValue < Raft.largestNumber else {
                throw RaftConfiguration.Problem(reason: "entry \(entry.index) of term \(entry.term) is out of range")
            }
            guard entry.index == last.index.next else {
                throw RaftConfiguration.Problem(reason: "entry \(entry.index) follows entry \(last.index)")
            }
            guard entry.term >= last.term else {
                throw RaftConfiguration.Problem(reason: "the term falls from \(last.term) to \(entry.term)")
            }
            last = (entry.index, entry.term)
        }
        guard hardState.term.rawValue < Raft.largestNumber, last.index.rawValue < Raft.largestNumber,
            last.term.rawValue < Raft.largestNumber
        else { throw RaftConfiguration.Problem(reason: "a term or index is out of range") }
    }
}
