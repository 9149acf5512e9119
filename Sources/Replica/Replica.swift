// SPDX-License-Identifier: Apache-2.0
package import CacheCore
import LockCore
package import Primitives
import QueueCore
package import RaftCore

/// One node's copy of a shard: Raft, the state machine and what a leader keeps in memory, composed into one pure step.
///
/// The caller collects the effects of all steps of one turn, calls `flush` once, and then carries the effects out in
/// the order of their fields. Everything that is not in `Effects` stays in here: no clock, no randomness, no I/O.
package struct Replica: Sendable {
    package let configuration: ReplicaConfiguration
    package internal(set) var raft: Raft
    package internal(set) var state: ShardState
    var raftEffects = RaftEffects()
    var shardEffects = ShardEffects()

    // A leader's memory; empty on every other replica.
    var callers = CallerTable()
    var reads = LookupTable<UInt64, PendingRead>()
    var nextRead: UInt64 = 1
    /// Renewals of sessions whose expiry has been proposed; answered once the log has decided.
    var heldRenewals: [(session: SessionID, id: RequestID, from: NodeID)] = []
    var heldConsumerRenewals: [(consumer: Name, id: RequestID, from: NodeID)] = []
    var timekeeper = LockTimekeeper()
    var queueTimekeeper = QueueTimekeeper()
    /// Bytes of publishes that this leader has proposed and not applied, by line.
    var publishing = LookupTable<Name, Int>()
    var detector = CrossShardDetector()
    /// Which node sent a shard's latest report to the detector.
    var reporters = OrderedMap<ShardID, NodeID>()
    /// The directory of the shard's lines.
    package internal(set) var home: CacheHome
    var homeEffects = HomeEffects()
    var isConfirmingHome = false
    /// Who waits for FLUSHALL.
    var clearCallers: [(id: RequestID, node: NodeID)] = []
    /// Who waits for the memory to have a write (mode through).
    var storeWaiters: [StoreWaiter] = []
    var cacheTimekeeper: CacheTimekeeper
    var isLeading = false
    var stampBase = StampBase()
    var reportedWaits: UInt64?
    var hasProposedPlacement = false
    var nextWaitReport = Instant.zero

    var snapshotInProgress = false
    var snapshotPause = SnapshotPause()
    /// Messages in the newest snapshot: when most of them are gone, another lets their bodies go.
    var messagesAtSnapshot: Int
    var storageIsFull = false
    var digests = DigestHistory()
    /// Messages in the snapshot that is being written.
    var messagesInJob = 0
    package internal(set) var halted: String?
    /// Counts since the process started; never read by the replica itself.
    package internal(set) var statistics = ReplicaStatistics()

    /// - Parameter snapshot: the bytes of `recovered.snapshot`.
    /// - Throws: `DecodingError` when the snapshot's bytes are not a state of this version.
    package init(
        configuration: ReplicaConfiguration,
        recovered: RecoveredLog,
        snapshot: [UInt8]?,
        seed: UInt64,
        now: Instant
    ) throws(DecodingError) {
        self.configuration = configuration
        home = CacheHome(configuration: configuration.home)
        cacheTimekeeper = CacheTimekeeper(duration: configuration.cacheLease)
        #if PLANTED_BUGS
            cacheTimekeeper.plantedBug = configuration.home.plantedBug
        #endif
        if let snapshot {
            state = try ShardState(
                decoding: snapshot,
                shard: configuration.shard,
                limits: configuration.limits,
                index: configuration.index
            )
        } else {
            state = ShardState(
                shard: configuration.shard,
                limits: configuration.limits,
                index: configuration.index
            )
        }
        messagesAtSnapshot = state.queues.messageCount
        do {
            try recovered.validate()
        } catch {
            throw .invalidValue(what: error.reason)
        }
        let base = recovered.snapshot?.index ?? .zero
        guard state.applied == base else { throw .invalidValue(what: "snapshot position") }
        raft = Raft(configuration: configuration.raft, recovered: recovered, seed: seed, now: now)
    }

    package var shard: ShardID { configuration.shard }

    /// Whether this replica leads and has applied everything that earlier leaders committed.
    package var isReadyLeader: Bool { isLeading }

    package mutating func step(_ input: ReplicaInput, now: Instant, into effects: inout ReplicaEffects) {
        guard halted == nil else {
            if case .request(let from, let routed) = input {
                reply(.notLeader(hint: nil), routed.id, to: from, &effects)
            }
            return
        }
        switch input {
        case .tick:
            drive(.tick, now, &effects)
            keepTime(now, &effects)
        case .message(let from, let message): drive(.message(from: from, message), now, &effects)
        case .digest(let from, let index, let hash): compareDigest(from: from, index: index, hash: hash, &effects)
        case .request(let from, let request): accept(request, from: from, now, &effects)
        case .persisted(let mark): drive(.persisted(mark: mark), now, &effects)
        case .peerConnected(let node): drive(.peerConnected(node), now, &effects)
        case .peerDisconnected(let node):
            forgetReports(of: node)
            drive(.peerDisconnected(node), now, &effects)
        case .transferLeadership(let target): drive(.transferLeadership(to: target), now, &effects)
        case .storageFull(let isFull):
            storageIsFull = isFull
            drive(.declineLeadership(isFull), now, &effects)
        case .snapshotWanted: takeSnapshot(now, &effects)
        case .snapshotFailed:
            snapshotInProgress = false
            snapshotPause.failed(now)
        case .snapshotTaken(let metadata):
            snapshotInProgress = false
            snapshotPause = SnapshotPause()
            messagesAtSnapshot = messagesInJob
            drive(.snapshotTaken(metadata), now, &effects)
        case .snapshotChunkRead(let to, let metadata, let offset, let bytes, let checksum):
            drive(
                .snapshotChunkRead(to: to, metadata, offset: offset, bytes: bytes, checksum: checksum),
                now,
                &effects
            )
        case .snapshotChunkStored(let from, let metadata, let next):
            drive(.snapshotChunkStored(from: from, metadata, nextOffset: next), now, &effects)
        case .snapshotInstalled(let from, let metadata, let bytes):
            install(metadata, bytes, from: from, now, &effects)
        case .bodiesDamaged(let reason): halt("\(reason); the other replicas have what is lost here", &effects)
        case .ownerWaits, .waitsConfirmed, .confirmWaits, .abortWait: detect(input, now, &effects)
        case .cache(let input): cache(input, now, &effects)
        }
    }

    /// Sends what the turn has gathered: one append per follower, one persist for all proposals, one round for reads.
    package mutating func flush(now: Instant, into effects: inout ReplicaEffects) {
        guard halted == nil else { return }
        proposeGathered(now, &effects)
        raft.flush(now: now, into: &raftEffects)
        absorb(now, &effects)
        effects.isLeading = isLeading
    }

    /// One Raft step, and everything that follows from it.
    mutating func drive(_ input: RaftInput, _ now: Instant, _ effects: inout ReplicaEffects) {
        raft.step(input, now: now, into: &raftEffects)
        absorb(now, &effects)
    }

    private mutating func absorb(_ now: Instant, _ effects: inout ReplicaEffects) {
        if !raftEffects.persist.isEmpty { effects.persist.append(contentsOf: raftEffects.persist) }
        if let mark = raftEffects.persistMark { effects.persistMark = mark }
        if !raftEffects.sendNow.isEmpty { effects.sendNow.append(contentsOf: raftEffects.sendNow) }
        if !raftEffects.sendAfterPersist.isEmpty {
            effects.sendAfterPersist.append(contentsOf: raftEffects.sendAfterPersist)
        }
        if !raftEffects.snapshotReads.isEmpty { effects.snapshotReads.append(contentsOf: raftEffects.snapshotReads) }
        if !raftEffects.snapshotChunks.isEmpty { effects.snapshotChunks.append(contentsOf: raftEffects.snapshotChunks) }
        let committed = raftEffects.committed
        let results = raftEffects.reads
        let change = raftEffects.roleChange
        raftEffects.removeAll()

        if let change { roleChanged(change, now, &effects) }
        if !committed.isEmpty { apply(committed, now, &effects) }
        if halted == nil && !isLeading && raft.isReadyLeader { beginLeading(now) }
        for result in results { finishRead(result, now, &effects) }
    }

    private mutating func roleChanged(_ change: RoleChange, _ now: Instant, _ effects: inout ReplicaEffects) {
        effects.roleChange = change
        stampBase = StampBase(stamp: state.stamp, instant: now)
        guard change.role != .leader else { return }
        stopLeading(&effects)
    }

    private mutating func beginLeading(_ now: Instant) {
        isLeading = true
        stampBase = StampBase(stamp: state.stamp, instant: now)
        if !keepsOldTime { timekeeper.lead(state.locks, term: raft.term, now: now) }
        queueTimekeeper.lead(state.queues, term: raft.term, now: now)
        home.lead(term: raft.term.rawValue)
        isConfirmingHome = false
        cacheTimekeeper.lead(state.cache.view, now: now)
        detector = CrossShardDetector()
        reporters.removeAll()
        reportedWaits = nil
        hasProposedPlacement = false
    }

    /// Planted in test builds: the time kept for an earlier leadership goes on, as if nobody else had led meanwhile.
    private var keepsOldTime: Bool {
        #if PLANTED_BUGS
            configuration.limits.locks.plantedBug == .expiryFromDeposedLeader && timekeeper.isLeading
        #else
            false
        #endif
    }

    /// Callers are told that their leader is gone; what they asked may or may not be done, and asking again with the
    /// same id finds out.
    private mutating func stopLeading(_ effects: inout ReplicaEffects) {
        isLeading = false
        if !keepsOldTime { timekeeper.stopLeading() }
        detector = CrossShardDetector()
        queueTimekeeper.stopLeading()
        home.stopLeading()
        homeEffects.removeAll()
        cacheTimekeeper.stopLeading()
        for (id, node) in clearCallers { reply(.interrupted, id, to: node, &effects) }
        clearCallers.removeAll()
        for waiter in storeWaiters { reply(.interrupted, waiter.id, to: waiter.node, &effects) }
        storeWaiters.removeAll()
        publishing.removeAll()
        heldRenewals.removeAll()
        heldConsumerRenewals.removeAll()
        callers.removeAll { id, node in
            effects.replies.append(ReplyEnvelope(to: node, id: id, reply: .interrupted))
        }
    }

    /// From here on this replica says nothing; if it led, others elect, and who waits for it asks them.
    mutating func halt(_ reason: String, _ effects: inout ReplicaEffects) {
        halted = reason
        effects.roleChange = RoleChange(role: .follower, term: raft.term, leader: nil)
        stopLeading(&effects)
        effects.halted = reason
    }
}

/// After a snapshot that could not be written: encoding the whole state again at once would only heat the machine.
struct SnapshotPause: Sendable {
    private static let shortest = Interval.milliseconds(1_000)
    private static let longest = Interval.milliseconds(60_000)

    private var length = Interval.zero
    private(set) var end = Instant.zero

    mutating func failed(_ now: Instant) {
        length = length == .zero ? Self.shortest : min(length * 2, Self.longest)
        end = now + length
    }
}

package struct ReplicaStatistics: Sendable {
    /// Commands appended to the log here.
    package var proposals = 0
    /// Commands refused for want of leadership or room.
    package var refusals = 0
    /// Reads and renewals answered under confirmed leadership.
    package var reads = 0
    package var applied = 0

    package init() {}
}

/// Where cluster time stood when this node became leader; from there it runs at the rate of the node's own clock.
/// It neither jumps with a wall clock nor falls when leadership moves.
struct StampBase: Sendable {
    var stamp: UInt64 = 0
    var instant = Instant.zero

    func stamp(at now: Instant) -> UInt64 { stamp &+ now.since(instant).milliseconds }
}
