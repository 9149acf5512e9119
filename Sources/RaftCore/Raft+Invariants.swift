// SPDX-License-Identifier: Apache-2.0
import Primitives

extension Raft {
    /// Checks everything that must hold between two steps. Takes time proportional to the log: for tests and the
    /// simulator, after each step.
    package func checkInvariants() {
        log.checkInvariants()
        persistence.checkInvariants(lastIndex: log.lastIndex)
        invariant(log.baseIndex <= snapshotIndex, "entries after the snapshot are missing from memory")
        invariant(log.baseIndex <= commitIndex && commitIndex <= log.lastIndex, "the commit index is outside the log")
        invariant(snapshotIndex <= commitIndex, "the snapshot is ahead of the commit index")
        invariant(commitIndex <= matchedIndex || role == .leader, "committed entries count as unmatched")
        invariant(log.lastTerm <= term, "the log is ahead of the term")
        let sinceSnapshot = log.cost(max(snapshotIndex, log.baseIndex).next, through: log.lastIndex)
        invariant(bytesSinceSnapshot == sinceSnapshot, "the bytes since the snapshot are miscounted")
        switch role {
        case .leader: checkLeaderInvariants()
        case .follower, .preCandidate, .candidate:
            invariant(followers.isEmpty && reads.count == 0, "leader's state outlived its leadership")
            invariant(handover.transfer == nil, "a transfer outlived its leadership")
            invariant(role == .follower || leader == nil, "a candidate knows a leader")
            invariant(role != .candidate || vote == configuration.id, "a candidate did not vote for itself")
            invariant(persistence.nextToPersist == log.lastIndex.next, "a follower kept entries from its disk")
        }
    }

    private func checkLeaderInvariants() {
        invariant(leader == configuration.id, "a leader follows another")
        invariant(log.term(at: noopIndex) == term || noopIndex <= log.baseIndex, "a leader lost its no-op")
        let waiting = log.cost(commitIndex.next, through: log.lastIndex)
        invariant(uncommitted == waiting, "uncommitted bytes are miscounted")
        for follower in followers { follower.checkInvariants(lastIndex: log.lastIndex) }
    }
}
