// SPDX-License-Identifier: Apache-2.0
package import CacheCore
package import LockCore
package import Primitives
package import QueueCore
package import RaftCore

/// What a client may ask of a shard, whichever front end it came through.
package enum Request: Sendable, Equatable {
    /// A change; goes through the log. Boxed, like the other large payloads of the data path: a request is handed on a
    /// dozen times, and copying a box is one reference count.
    indirect case command(LockCommand)
    /// A read of applied state.
    indirect case query(LockQuery, ReadMode)
    /// Prolong a session: answered from the leader's memory once its leadership is confirmed, never logged.
    case renew(SessionID)
    /// The same three of queues. Those that name no line are addressed to a shard by whoever asks.
    indirect case queue(QueueCommand)
    indirect case queueQuery(QueueQuery, ReadMode)
    case renewConsumer(Name)
    /// Of the cache; never in the log by itself.
    case cache(CacheInquiry)

    /// What decides the shard; nil when the request does not say.
    package var placementKey: Name? {
        switch self {
        case .command(let command): command.namespace
        case .query(let query, _): query.namespace
        case .renew(let session): session.namespace
        case .queue(let command): command.line.map(LaneMap.placementKey(of:))
        case .queueQuery(let query, _): query.line.map(LaneMap.placementKey(of:))
        case .renewConsumer: nil
        case .cache: nil
        }
    }

    /// The change that it proposes; nil for a read.
    package var command: ShardCommand? {
        switch self {
        case .command(let command): .lock(command)
        case .queue(let command): .queue(command)
        case .query, .renew, .queueQuery, .renewConsumer, .cache: nil
        }
    }

    /// Whether the answer may be put off until there is a lock or a message.
    package var mayWait: Bool {
        switch self {
        case .command(let command): command.mayWait
        case .queue(let command): command.mayWait
        case .query, .renew, .queueQuery, .renewConsumer, .cache: false
        }
    }

    /// Whether an unanswered request may have changed something.
    package var isMutation: Bool {
        switch self {
        case .command, .queue: true
        case .query, .renew, .queueQuery, .renewConsumer, .cache: false
        }
    }
}

/// What became of a request that got no answer from the state machine (DESIGN §3 rule 2).
package enum Outcome: UInt8, Sendable {
    /// Certainly nothing changed.
    case notDone = 0
    /// It may or may not have been carried out.
    case unknown = 1
}

/// An answer about queues, with the messages that it hands out.
package struct QueueAnswer: Sendable, Equatable {
    /// What the messages of one answer may have together in bytes, unless a single one is larger: receives are to ask
    /// for no more (`Receive.maxBytes`).
    package static let maxBytes = 8 << 20

    package var response: QueueResponse
    /// For `received`, `messages` and `message`, in their order: nil for a message that is no more by now. Otherwise
    /// empty.
    package var contents: [StoredMessage?]

    package init(_ response: QueueResponse, contents: [StoredMessage?] = []) {
        self.response = response
        self.contents = contents
    }
}

package enum Response: Sendable, Equatable {
    case lock(LockResponse)
    case queue(QueueAnswer)
    case cache(CacheInformation)
    /// No answer from a leader with a quorum in time.
    case unavailable(Outcome, reason: String)
    /// A bound was reached; nothing was done; try again shortly.
    case busy(reason: String)
}

/// A request with the identity that makes its retries harmless.
package struct RoutedRequest: Sendable, Equatable {
    package var shard: ShardID
    /// Numbers count up from 1 for each (origin, shard).
    package var id: RequestID
    /// The origin has the answers of all requests of this shard below this number: they may be forgotten.
    package var acknowledgedBelow: UInt64
    /// Numbers of answered changes above that (at most `maxAcknowledged`): a request that waits for hours for a lock
    /// holds the floor back, and must not keep all later answers with it.
    package var acknowledged: [UInt64]
    package var request: Request

    package static let maxAcknowledged = 64

    package init(
        shard: ShardID,
        id: RequestID,
        acknowledgedBelow: UInt64,
        acknowledged: [UInt64] = [],
        request: Request
    ) {
        self.shard = shard
        self.id = id
        self.acknowledgedBelow = acknowledgedBelow
        self.acknowledged = acknowledged
        self.request = request
    }
}

/// A replica's answer to a routed request.
package enum RoutedReply: Sendable, Equatable {
    case answer(Response)
    /// Ask this node instead, or anyone when it is nil; nothing was done.
    case notLeader(hint: NodeID?)
    /// The leader that had taken the request lost its office before an answer: ask again, with the same id.
    case interrupted
}

/// What a node holds of a key.
package struct LineInspection: Sendable, Equatable {
    package var state: LineState
    package var version: CacheVersion?
    /// Milliseconds that the node's lease is still good for; nil: it has none.
    package var leaseRemaining: UInt64?

    package init(state: LineState, version: CacheVersion?, leaseRemaining: UInt64?) {
        self.state = state
        self.version = version
        self.leaseRemaining = leaseRemaining
    }
}

/// What a node has written back of its lines.
package struct CacheFlushReport: Sendable, Equatable {
    /// Those that were to be, and how many of them time did not suffice for.
    package var lines: Int
    package var left: Int

    package init(lines: Int, left: Int) {
        self.lines = lines
        self.left = left
    }
}

/// What nodes say to each other. One frame carries many.
package enum PeerMessage: Sendable, Equatable {
    case raft(ShardID, RaftMessage)
    /// The hash of the applied state at an agreed index (DESIGN §3 rule 8).
    case digest(ShardID, index: LogIndex, hash: UInt64)
    case request(RoutedRequest)
    case reply(ShardID, RequestID, RoutedReply)
    /// Waits across namespaces, for deadlock detection by owner: from a shard's leader to the system shard's leader.
    case ownerWaits(ShardID, Term, [OwnerWait])
    /// A node without a replica of the shard wants its events (true), or no longer (false).
    case watch(ShardID, Bool)
    case events(ShardID, [LockEvent])
    /// The detector asks whether these waits still stand, and the answer: those that do.
    case confirmWaits(ShardID, query: UInt64, [RequestID])
    case waitsConfirmed(ShardID, query: UInt64, [RequestID])
    /// The confirmed victim's wait is to be ended.
    case abortWait(ShardID, RequestID, cycle: [CycleEdge])
    /// From a cache to a shard's home, and back (docs/CACHE.md).
    case cacheRequest(ShardID, from: CacheMember, CacheEpoch, HomeRequest)
    case cacheNotice(ShardID, CacheNoticeEnvelope)
    /// Who may hold lines, from the system shard's leader.
    case cacheView(CacheView)
    /// What does this node hold of the key, and the answer.
    case inspectLine(ticket: UInt64, CacheKey)
    case lineInspected(ticket: UInt64, LineInspection)
    /// Write back what you have written without the log, in so many milliseconds, and the answer.
    case flushLines(ticket: UInt64, within: UInt64)
    case linesFlushed(ticket: UInt64, CacheFlushReport)
}
