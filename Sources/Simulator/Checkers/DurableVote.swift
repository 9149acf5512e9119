// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore

/// A node votes for at most one candidate in a term, crashes included, which needs the vote on disk before it is sent
/// (Raft figure 2).
struct DurableVote {
    private struct Key: Hashable {
        var shard: Int
        var node: Int
        /// A disk that was set back has forgotten its votes.
        var generation: Int
        var term: Term
    }

    private var votes = LookupTable<Key, NodeID>()

    /// A granted vote leaves the node.
    mutating func sends(
        grant term: Term,
        to candidate: NodeID,
        node: Int,
        shard: Int,
        durable: HardState,
        generation: Int,
        _ violations: inout ViolationLog
    ) {
        let key = Key(shard: shard, node: node, generation: generation, term: term)
        if let earlier = votes[key] {
            violations.expect(
                earlier == candidate,
                .durableVote,
                "node \(node) voted for \(earlier) and \(candidate) in term \(term) of shard \(shard)"
            )
        } else {
            votes[key] = candidate
        }
        let isDurable = durable.term > term || (durable.term == term && durable.vote == candidate)
        violations.expect(
            isDurable,
            .durableVote,
            "node \(node) sent its vote of term \(term) of shard \(shard) while its disk says term \(durable.term)"
        )
    }

    /// A vote is handed to the disk.
    func persists(
        _ new: HardState,
        over old: HardState,
        node: Int,
        shard: Int,
        _ violations: inout ViolationLog
    ) {
        violations.expect(
            new.term >= old.term,
            .monotonicity,
            "the term of shard \(shard) on node \(node) fell from \(old.term) to \(new.term)"
        )
        guard new.term == old.term, let vote = old.vote else { return }
        violations.expect(
            new.vote == vote,
            .durableVote,
            "node \(node) changed its vote in term \(new.term) of shard \(shard) from \(vote) to "
                + "\(new.vote?.description ?? "nobody")"
        )
    }
}
