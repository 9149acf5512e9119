// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Everything about one shard's Raft group that does not change while the process runs.
package struct RaftConfiguration: Sendable {
    package var id: NodeID
    package var voters: [NodeID]
    package var heartbeatInterval: Interval = .milliseconds(50)
    /// An election timeout is drawn anew each time from `electionMin ..< electionMax`.
    package var electionMin: Interval = .milliseconds(150)
    package var electionMax: Interval = .milliseconds(300)
    /// The node that should lead when it is healthy and caught up; leaders are spread over the nodes by it.
    package var preferredLeader: NodeID?
    /// Appends in flight to one follower.
    package var maxInflightAppends = 256
    package var maxInflightBytes = 8 << 20
    /// Bytes of entries in one append.
    package var maxBatchBytes = 1 << 20
    /// Bytes proposed but not yet committed; further proposals are refused as busy.
    package var maxUncommittedBytes = 64 << 20
    package var snapshotChunkBytes = 256 << 10
    /// Entries before a new snapshot that stay in memory, so that a follower slightly behind needs no snapshot:
    /// at most this many, and at most this many bytes.
    package var compactionTailEntries = 1024
    package var compactionTailBytes = 4 << 20
    /// Followers promise not to vote for `electionMin` after hearing from a leader, even when its connection resets;
    /// in return the leader may answer reads from its lease. Off: a reset connection starts an election at once.
    package var leaseReads = false
    /// Clock rate difference between two machines that the lease allows for, in parts per thousand.
    package var clockDriftPermille: UInt64 = 100
    #if PLANTED_BUGS
        /// The classic mistake this replica makes, for the simulator to find.
        package var plantedBug: PlantedRaftBug?
    #endif

    package init(id: NodeID, voters: [NodeID]) {
        self.id = id
        self.voters = voters
    }

    package struct Problem: Error, Equatable, Sendable {
        package let reason: String

        package init(reason: String) { self.reason = reason }
    }

    /// Throws when the values cannot work together.
    package func validate() throws(Problem) {
        guard !voters.isEmpty else { throw Problem(reason: "a Raft group needs at least one voter") }
        let sorted = voters.sorted()
        guard zip(sorted, sorted.dropFirst()).allSatisfy({ $0 != $1 }) else {
            throw Problem(reason: "a voter is listed twice")
        }
        guard heartbeatInterval > .zero else { throw Problem(reason: "heartbeat-ms must be at least 1") }
        guard heartbeatInterval * 2 <= electionMin else {
            throw Problem(reason: "election-min-ms must be at least twice heartbeat-ms")
        }
        guard electionMin < electionMax else { throw Problem(reason: "election-max-ms must be above election-min-ms") }
        guard maxInflightAppends > 0, maxInflightBytes > 0, maxBatchBytes > 0, maxUncommittedBytes > 0,
            snapshotChunkBytes > 0
        else { throw Problem(reason: "a Raft window or batch limit is zero") }
        guard compactionTailEntries >= 0, compactionTailBytes >= 0 else {
            throw Problem(reason: "a log tail is negative")
        }
        guard clockDriftPermille < 500 else { throw Problem(reason: "clock drift must stay below 500 permille") }
    }
}

#if PLANTED_BUGS
    /// Classic Raft mistakes, compiled into test builds only, each of which the simulator must find.
    package enum PlantedRaftBug: UInt8, Sendable, CaseIterable {
        /// A vote is answered at once and never written.
        case voteBeforePersist
        /// A leader commits an entry of an earlier term because a majority has it (Raft figure 8).
        case commitOldTermByCounting
        /// A follower acknowledges entries that are not on its disk yet.
        case ackBeforeFsync
        /// A read is confirmed by replies to a round that began before it arrived (etcd-io/raft#397).
        case staleReadIndexRetry
    }
#endif
