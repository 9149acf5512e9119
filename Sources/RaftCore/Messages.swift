// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// What an entry of the log carries.
package enum EntryKind: UInt8, Sendable {
    /// Appended by a new leader so that it can commit entries of earlier terms (Raft §8).
    case noop = 0
    /// A command of the shard's state machine.
    case command = 1
    /// A membership change; refused by this version, its place is kept in the format.
    case configuration = 2
}

/// One entry of a shard's log.
package struct Entry: Sendable, Equatable {
    package var term: Term
    package var index: LogIndex
    package var kind: EntryKind
    package var payload: [UInt8]

    package init(term: Term, index: LogIndex, kind: EntryKind, payload: [UInt8]) {
        self.term = term
        self.index = index
        self.kind = kind
        self.payload = payload
    }

    /// The bytes counted against batch, window and uncommitted limits.
    package var cost: Int { payload.count + 32 }
}

/// What must be on disk before a vote or an append is answered (Raft figure 2, "persistent state").
package struct HardState: Sendable, Equatable {
    package var term: Term
    package var vote: NodeID?

    package init(term: Term = .zero, vote: NodeID? = nil) {
        self.term = term
        self.vote = vote
    }
}

/// The log position a snapshot stands for, and how its bytes can be checked.
package struct SnapshotMetadata: Sendable, Equatable {
    package var index: LogIndex
    package var term: Term
    package var voters: [NodeID]
    /// Length of the stream that a follower fetches: the state, then the message bodies that the state refers to.
    package var size: UInt64
    /// Length of the state, with which the stream begins; at most `size`.
    package var stateBytes: UInt64
    /// CRC-32C of the state; the bodies carry checksums of their own.
    package var checksum: UInt32

    /// - Parameter stateBytes: nil when the stream is nothing but the state.
    package init(
        index: LogIndex,
        term: Term,
        voters: [NodeID],
        size: UInt64,
        stateBytes: UInt64? = nil,
        checksum: UInt32
    ) {
        self.index = index
        self.term = term
        self.voters = voters
        self.size = size
        self.stateBytes = stateBytes ?? size
        self.checksum = checksum
    }
}

package enum RaftMessage: Sendable, Equatable {
    case preVote(VoteRequest)
    case preVoteReply(VoteReply)
    case vote(VoteRequest)
    case voteReply(VoteReply)
    case append(AppendRequest)
    case appendReply(AppendReply)
    case heartbeat(Heartbeat)
    case heartbeatReply(HeartbeatReply)
    case snapshotChunk(SnapshotChunk)
    case snapshotReply(SnapshotReply)
    case timeoutNow(term: Term)

    package var term: Term {
        switch self {
        case .preVote(let request), .vote(let request): request.term
        case .preVoteReply(let reply), .voteReply(let reply): reply.term
        case .append(let request): request.term
        case .appendReply(let reply): reply.term
        case .heartbeat(let beat): beat.term
        case .heartbeatReply(let reply): reply.term
        case .snapshotChunk(let chunk): chunk.term
        case .snapshotReply(let reply): reply.term
        case .timeoutNow(let term): term
        }
    }
}

package struct VoteRequest: Sendable, Equatable {
    /// The term the candidate would lead; in a PreVote it has not entered it yet.
    package var term: Term
    package var lastIndex: LogIndex
    package var lastTerm: Term
    /// Set when the old leader itself asked for this election (TimeoutNow): voters then ignore that they
    /// heard from a leader a moment ago (dissertation §3.10).
    package var transfer: Bool

    package init(term: Term, lastIndex: LogIndex, lastTerm: Term, transfer: Bool) {
        self.term = term
        self.lastIndex = lastIndex
        self.lastTerm = lastTerm
        self.transfer = transfer
    }
}

package struct VoteReply: Sendable, Equatable {
    /// For a granted PreVote the term asked about; otherwise the voter's term.
    package var term: Term
    package var granted: Bool

    package init(term: Term, granted: Bool) {
        self.term = term
        self.granted = granted
    }
}

package struct AppendRequest: Sendable, Equatable {
    package var term: Term
    package var previousIndex: LogIndex
    package var previousTerm: Term
    package var entries: [Entry]
    package var commit: LogIndex

    package init(term: Term, previousIndex: LogIndex, previousTerm: Term, entries: [Entry], commit: LogIndex) {
        self.term = term
        self.previousIndex = previousIndex
        self.previousTerm = previousTerm
        self.entries = entries
        self.commit = commit
    }
}

package struct AppendReply: Sendable, Equatable {
    package var term: Term
    package var accepted: Bool
    /// Accepted: everything up to here equals the leader's log and is on this follower's disk.
    /// Refused: the previous index that did not match.
    package var index: LogIndex
    /// Refused: the follower's best guess where the logs agree (last index whose term is at most the one asked for).
    package var hintIndex: LogIndex
    package var hintTerm: Term

    package init(term: Term, accepted: Bool, index: LogIndex, hintIndex: LogIndex = .zero, hintTerm: Term = .zero) {
        self.term = term
        self.accepted = accepted
        self.index = index
        self.hintIndex = hintIndex
        self.hintTerm = hintTerm
    }
}

/// Sent on every heartbeat tick, and at once when a read waits for its quorum round.
package struct Heartbeat: Sendable, Equatable {
    package var term: Term
    /// min(leader's commit, what this follower is known to have).
    package var commit: LogIndex
    /// Rises with each round; a quorum of replies to a round that began after a read arrived confirms leadership
    /// for it (ReadIndex, dissertation §6.4). Never reused within a term.
    package var round: UInt64

    package init(term: Term, commit: LogIndex, round: UInt64) {
        self.term = term
        self.commit = commit
        self.round = round
    }
}

package struct HeartbeatReply: Sendable, Equatable {
    package var term: Term
    package var round: UInt64
    /// The follower would refuse new work as a leader, because its disk is full.
    package var declinesLeadership: Bool

    package init(term: Term, round: UInt64, declinesLeadership: Bool = false) {
        self.term = term
        self.round = round
        self.declinesLeadership = declinesLeadership
    }
}

package struct SnapshotChunk: Sendable, Equatable {
    package var term: Term
    package var snapshot: SnapshotMetadata
    package var offset: UInt64
    /// Empty in a probe that only asks how far the follower has come (resumption after a broken link).
    package var bytes: [UInt8]
    /// CRC-32C of `bytes`.
    package var checksum: UInt32

    package init(term: Term, snapshot: SnapshotMetadata, offset: UInt64, bytes: [UInt8], checksum: UInt32) {
        self.term = term
        self.snapshot = snapshot
        self.offset = offset
        self.bytes = bytes
        self.checksum = checksum
    }
}

package struct SnapshotReply: Sendable, Equatable {
    package var term: Term
    package var index: LogIndex
    /// The next byte the follower wants of this snapshot.
    package var nextOffset: UInt64
    /// True once the whole snapshot is checked, on disk and installed (or the follower already had that much log).
    package var installed: Bool

    package init(term: Term, index: LogIndex, nextOffset: UInt64, installed: Bool) {
        self.term = term
        self.index = index
        self.nextOffset = nextOffset
        self.installed = installed
    }
}
