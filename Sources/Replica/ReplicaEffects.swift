// SPDX-License-Identifier: Apache-2.0
package import LockCore
package import Primitives
package import RaftCore

package enum ReplicaInput: Sendable {
    /// Time has passed. Due at least every half heartbeat interval.
    case tick
    case message(from: NodeID, RaftMessage)
    case digest(from: NodeID, index: LogIndex, hash: UInt64)
    /// A request of this node's own clients (`from` is this node) or forwarded by a peer.
    case request(from: NodeID, RoutedRequest)
    case persisted(mark: UInt64)
    case peerConnected(NodeID)
    case peerDisconnected(NodeID)
    case transferLeadership(to: NodeID?)
    /// The snapshot of an earlier `SnapshotJob` is durable.
    case snapshotTaken(SnapshotMetadata)
    /// It could not be written; another may be asked for.
    case snapshotFailed
    case snapshotChunkRead(to: NodeID, SnapshotMetadata, offset: UInt64, bytes: [UInt8], checksum: UInt32)
    case snapshotChunkStored(from: NodeID, SnapshotMetadata, nextOffset: UInt64)
    /// A received snapshot is checked, durable and installed on disk; these are its bytes.
    case snapshotInstalled(from: NodeID, SnapshotMetadata, bytes: [UInt8])
    /// The disk has no room for another log segment (true), or has again: what needs more room is refused meanwhile,
    /// what gives room back goes on.
    case storageFull(Bool)
    /// The node wants its log shortened: take a snapshot now even if the log is small.
    case snapshotWanted
    /// To the system shard: the waits of declared owners on a shard, and answers to its questions about them.
    case ownerWaits(from: NodeID, ShardID, Term, [OwnerWait])
    case waitsConfirmed(ShardID, query: UInt64, [RequestID])
    /// The cross-namespace deadlock detector at the system shard's leader has spoken.
    case confirmWaits(from: NodeID, query: UInt64, [RequestID])
    case abortWait(RequestID, cycle: [CycleEdge])
}

package struct ReplyEnvelope: Sendable, Equatable {
    package var to: NodeID
    package var id: RequestID
    package var reply: RoutedReply

    package init(to: NodeID, id: RequestID, reply: RoutedReply) {
        self.to = to
        self.id = id
        self.reply = reply
    }
}

/// What the cross-namespace deadlock detector says to a shard's leader.
package enum DetectorMessage: Sendable, Equatable {
    case confirm(ShardID, query: UInt64, [RequestID])
    case abort(ShardID, RequestID, cycle: [CycleEdge])
}

/// A value copy of the state machine, to be encoded and written away from the loop.
package struct SnapshotJob: Sendable {
    package var index: LogIndex
    package var term: Term
    package var voters: [NodeID]
    package var state: ShardState

    /// The snapshot's bytes. Takes time proportional to the state; call it off the loop.
    package func encode() -> [UInt8] { state.encoded() }
}

/// What a step asks of the shell, in the order of the duties; see `RaftEffects` for the meaning of the first four.
package struct ReplicaEffects: Sendable {
    package var persist: [PersistOperation] = []
    package var persistMark: UInt64?
    package var sendNow: [Envelope] = []
    package var sendAfterPersist: [Envelope] = []
    package var replies: [ReplyEnvelope] = []
    package var events: [LockEvent] = []
    /// Whether the replica led when the turn was flushed.
    package var isLeading = false
    package var roleChange: RoleChange?
    /// Tell every other replica of this shard.
    package var digests: [(index: LogIndex, hash: UInt64)] = []
    package var snapshotJob: SnapshotJob?
    package var snapshotReads: [SnapshotRead] = []
    package var snapshotChunks: [SnapshotStore] = []
    /// For the system shard's leader: the waits of declared owners on this shard, when they changed.
    package var ownerWaits: (term: Term, waits: [OwnerWait])?
    package var waitsConfirmed: [(to: NodeID, query: UInt64, waits: [RequestID])] = []
    /// From the system shard's leader to the leaders of other shards.
    package var detector: [DetectorMessage] = []
    /// This replica differs from its peers, or met an entry it does not know: it must stop. The text says why.
    package var halted: String?

    package init() {}

    package mutating func removeAll() {
        persist.removeAll(keepingCapacity: true)
        persistMark = nil
        sendNow.removeAll(keepingCapacity: true)
        sendAfterPersist.removeAll(keepingCapacity: true)
        replies.removeAll(keepingCapacity: true)
        events.removeAll(keepingCapacity: true)
        roleChange = nil
        digests.removeAll(keepingCapacity: true)
        snapshotJob = nil
        snapshotReads.removeAll(keepingCapacity: true)
        snapshotChunks.removeAll(keepingCapacity: true)
        ownerWaits = nil
        waitsConfirmed.removeAll(keepingCapacity: true)
        detector.removeAll(keepingCapacity: true)
        halted = nil
    }
}
