// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// What a shard found on disk when its process started.
package struct RecoveredLog: Sendable {
    package var hardState: HardState
    /// The installed snapshot, if any; its bytes are loaded by the owner of the state machine.
    package var snapshot: SnapshotMetadata?
    /// Consecutive entries after the snapshot.
    package var entries: [Entry]

    package init(hardState: HardState = HardState(), snapshot: SnapshotMetadata? = nil, entries: [Entry] = []) {
        self.hardState = hardState
        self.snapshot = snapshot
        self.entries = entries
    }
}

package enum RaftInput: Sendable {
    /// Time has passed; `now` says how far. Due at least every half heartbeat interval.
    case tick
    case message(from: NodeID, RaftMessage)
    /// Append to the log. Only a leader does; otherwise, or above the uncommitted limit, `effects.proposal` says no.
    case propose(payload: [UInt8])
    /// Confirm leadership for a read; `effects.reads` answers with this id.
    case read(id: UInt64, ReadMode)
    /// Everything persisted up to and including the effects that carried this mark is durable.
    case persisted(mark: UInt64)
    /// The connection to this peer was reset or closed, or came up again.
    case peerDisconnected(NodeID)
    case peerConnected(NodeID)
    /// Hand leadership to this voter, or to the most caught-up one.
    case transferLeadership(to: NodeID?)
    /// Whether this replica had better not lead: a leader that declines hands over to a fit follower that does not,
    /// and leadership is not transferred to one that does. It still stands for election when nobody leads.
    case declineLeadership(Bool)
    /// A local snapshot of the state machine at this position is durable: earlier entries may go.
    case snapshotTaken(SnapshotMetadata)
    /// Answer to `effects.snapshotReads`. Empty bytes mean the file is gone: start over with the newest.
    case snapshotChunkRead(to: NodeID, SnapshotMetadata, offset: UInt64, bytes: [UInt8], checksum: UInt32)
    /// Answer to `effects.snapshotChunks`: how much of this snapshot the receiving file holds now.
    case snapshotChunkStored(from: NodeID, SnapshotMetadata, nextOffset: UInt64)
    /// Answer to the last chunk: the whole snapshot is checked, durable and installed.
    case snapshotInstalled(from: NodeID, SnapshotMetadata)
}

package enum ReadMode: UInt8, Sendable {
    /// A quorum round begun after the read arrived.
    case readIndex
    /// The leader's lease where `leaseReads` is on and it is valid; otherwise as `readIndex`.
    case lease
}

package enum PersistOperation: Sendable, Equatable {
    case hardState(HardState)
    /// Append; entries at or above the first index that are already stored are replaced.
    case entries([Entry])
    /// The log begins after this snapshot; earlier entries are dead, later ones stay.
    case snapshot(SnapshotMetadata)
    /// A snapshot from the leader replaces the whole log: the stored entries after it are dead too, because they
    /// need not continue from it (a suffix that diverged can carry any term).
    case reset(SnapshotMetadata)
}

package struct Envelope: Sendable, Equatable {
    package var to: NodeID
    package var message: RaftMessage

    package init(to: NodeID, message: RaftMessage) {
        self.to = to
        self.message = message
    }
}

package enum Role: UInt8, Sendable {
    case follower, preCandidate, candidate, leader
}

package struct RoleChange: Sendable, Equatable {
    package var role: Role
    package var term: Term
    package var leader: NodeID?

    package init(role: Role, term: Term, leader: NodeID?) {
        self.role = role
        self.term = term
        self.leader = leader
    }
}

package enum ProposalResult: Sendable, Equatable {
    case appended(LogIndex, Term)
    /// Not leading, or handing leadership over.
    case notLeader(hint: NodeID?)
    /// Too many uncommitted bytes: try again shortly.
    case busy
}

package enum ReadResult: Sendable, Equatable {
    /// Answer from a state that has applied at least `index`.
    case ready(id: UInt64, index: LogIndex)
    /// Leadership was lost before it could be confirmed.
    case lost(id: UInt64)
}

package struct SnapshotRead: Sendable, Equatable {
    package var to: NodeID
    package var snapshot: SnapshotMetadata
    package var offset: UInt64
    package var limit: Int

    package init(to: NodeID, snapshot: SnapshotMetadata, offset: UInt64, limit: Int) {
        self.to = to
        self.snapshot = snapshot
        self.offset = offset
        self.limit = limit
    }
}

package struct SnapshotStore: Sendable, Equatable {
    package var from: NodeID
    package var chunk: SnapshotChunk

    package init(from: NodeID, chunk: SnapshotChunk) {
        self.from = from
        self.chunk = chunk
    }
}

/// What a step asks of its caller. The order of the fields is the order of the duties: `persist` may be delayed and
/// batched; `sendNow` may go at once; `sendAfterPersist` must not leave before everything persisted so far, by this
/// or an earlier step of the shard, is durable.
package struct RaftEffects: Sendable {
    package var persist: [PersistOperation] = []
    /// Set when `persist` is not empty: report `.persisted(mark:)` once that is durable. Rises within a shard.
    package var persistMark: UInt64?
    package var sendNow: [Envelope] = []
    package var sendAfterPersist: [Envelope] = []
    /// Newly committed entries, in order, each exactly once per process life (after the recovered snapshot).
    package var committed: [Entry] = []
    package var reads: [ReadResult] = []
    /// Set by `.propose`.
    package var proposal: ProposalResult?
    /// Set when the role, the term or the known leader changed.
    package var roleChange: RoleChange?
    package var snapshotReads: [SnapshotRead] = []
    package var snapshotChunks: [SnapshotStore] = []
    /// The process must reset its state machine to this snapshot (already durable and installed) and then apply
    /// `committed`.
    package var restored: SnapshotMetadata?

    package init() {}

    package mutating func removeAll() {
        persist.removeAll(keepingCapacity: true)
        persistMark = nil
        sendNow.removeAll(keepingCapacity: true)
        sendAfterPersist.removeAll(keepingCapacity: true)
        committed.removeAll(keepingCapacity: true)
        reads.removeAll(keepingCapacity: true)
        proposal = nil
        roleChange = nil
        snapshotReads.removeAll(keepingCapacity: true)
        snapshotChunks.removeAll(keepingCapacity: true)
        restored = nil
    }
}
