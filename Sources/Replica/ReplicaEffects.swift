// SPDX-License-Identifier: Apache-2.0
package import CacheCore
package import LockCore
package import Primitives
package import QueueCore
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
    /// A message that this replica must have cannot be read from its disk.
    case bodiesDamaged(String)
    /// The node wants its log shortened: take a snapshot now even if the log is small.
    case snapshotWanted
    /// To the system shard: the waits of declared owners on a shard, and answers to its questions about them.
    case ownerWaits(from: NodeID, ShardID, Term, [OwnerWait])
    case waitsConfirmed(ShardID, query: UInt64, [RequestID])
    /// The cross-namespace deadlock detector at the system shard's leader has spoken.
    case confirmWaits(from: NodeID, query: UInt64, [RequestID])
    case abortWait(RequestID, cycle: [CycleEdge])
    case cache(CacheInput)
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
    /// The log since the snapshot before: the bodies of its messages are nowhere else yet.
    package var entries: [Entry]

    /// The snapshot's bytes. Takes time proportional to the state; call it off the loop.
    package func encode() -> [UInt8] { state.encoded() }

    /// Messages of `entries` that are still there, ascending by id (`MessageID.rawValue`).
    package func forEachFreshBody<Failure>(
        _ body: (UInt64, [UInt8]) throws(Failure) -> Void
    ) throws(Failure) {
        for entry in entries where entry.kind == .command {
            var stored: [(UInt64, [UInt8])] = []
            // The entry was applied, so it can be read.
            if var reader = try? CommandEnvelope.queueCommand(in: entry.payload) {
                try? QueueCommand.forEachStored(
                    decoding: &reader,
                    where: { state.queues.isLive(MessageID(entry: entry.index, ordinal: $0)) },
                    { stored.append((MessageID(entry: entry.index, ordinal: $0).rawValue, $1.bytes)) }
                )
            }
            for (id, bytes) in stored { try body(id, bytes) }
        }
    }

    /// Ids of all live messages from `id` on, ascending, while `body` says true.
    package func forEachLiveBody(from id: UInt64, _ body: (UInt64) -> Bool) {
        state.queues.forEachLiveBody(from: MessageID(rawValue: id)) { range in
            for ordinal in 0..<UInt64(range.count) {
                guard body(range.first.rawValue + ordinal) else { return false }
            }
            return true
        }
    }
}

/// An answer that lacks messages whose bodies are on disk: the shell reads them (an id for each that is nil in the
/// answer's contents, in order) and sends it.
package struct BodyRead: Sendable, Equatable {
    package var to: NodeID
    package var id: RequestID
    package var answer: QueueAnswer
    /// Place in the contents, and `MessageID.rawValue`.
    package var missing: [Missing]

    package struct Missing: Sendable, Equatable {
        package var place: Int
        package var message: UInt64
    }
}

/// What a step asks of the shell, in the order of the duties; see `RaftEffects` for the meaning of the first four.
package struct ReplicaEffects: Sendable {
    package var persist: [PersistOperation] = []
    package var persistMark: UInt64?
    package var sendNow: [Envelope] = []
    package var sendAfterPersist: [Envelope] = []
    package var replies: [ReplyEnvelope] = []
    /// Like replies, once their messages have been read.
    package var bodyReads: [BodyRead] = []
    package var events: [LockEvent] = []
    package var queueEvents: [QueueEvent] = []
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
    /// From the home of the shard's lines to the caches, in order.
    package var cacheNotices: [CacheNoticeEnvelope] = []
    /// To be fetched from the memory.
    package var cacheFills: [CacheFill] = []
    /// Keys that the memory has to be told of.
    package var dirtyKeys: [CacheKey] = []
    /// Walks over the keys of the memory.
    package var memoryWalks: [MemoryWalk] = []
    /// Members that do not answer the home: for the system shard's leader.
    package var accusations: [CacheMember] = []
    /// From the system shard's leader to all nodes: who may hold lines.
    package var cacheView: CacheView?
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
        bodyReads.removeAll(keepingCapacity: true)
        events.removeAll(keepingCapacity: true)
        queueEvents.removeAll(keepingCapacity: true)
        roleChange = nil
        digests.removeAll(keepingCapacity: true)
        snapshotJob = nil
        snapshotReads.removeAll(keepingCapacity: true)
        snapshotChunks.removeAll(keepingCapacity: true)
        ownerWaits = nil
        waitsConfirmed.removeAll(keepingCapacity: true)
        detector.removeAll(keepingCapacity: true)
        cacheNotices.removeAll(keepingCapacity: true)
        cacheFills.removeAll(keepingCapacity: true)
        dirtyKeys.removeAll(keepingCapacity: true)
        memoryWalks.removeAll(keepingCapacity: true)
        accusations.removeAll(keepingCapacity: true)
        cacheView = nil
        halted = nil
    }
}
