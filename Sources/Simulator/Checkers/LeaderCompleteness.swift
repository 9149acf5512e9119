// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore

/// If a log entry is committed in a given term, that entry is in the logs of the leaders of all later terms (Raft
/// figure 3), and a leader counts replicas only for entries of its own term (§5.4.2).
enum LeaderCompleteness {
    /// Called when a replica becomes leader, with all that any replica ever committed.
    static func elected(
        log: ShadowLog,
        verified: LogIndex,
        witness: Witness,
        node: Int,
        shard: Int,
        term: Term,
        _ violations: inout ViolationLog
    ) {
        var index = max(verified, log.snapshot).next
        while index <= witness.last {
            guard let committed = witness.term(at: index), let commitTerm = witness.commitTerm(at: index) else {
                return
            }
            // Commit terms rise with the index. A leader that hears late of its election may know nothing of later
            // terms.
            guard commitTerm < term else { return }
            if !log.contains(index, committed) {
                violations.report(
                    .leaderCompleteness,
                    "node \(node) leads shard \(shard) in term \(term) without the committed entry "
                        + "\(index) of term \(committed)"
                )
                return
            }
            index = index.next
        }
    }

    /// A leader's commit index moved on to `commit`, further than any replica's before.
    static func leaderCommits(
        _ commit: LogIndex,
        log: ShadowLog,
        term: Term,
        node: Int,
        shard: Int,
        _ violations: inout ViolationLog
    ) {
        guard let entryTerm = log.term(at: commit) else { return }
        violations.expect(
            entryTerm == term,
            .leaderCompleteness,
            "node \(node), leader of shard \(shard) in term \(term), committed entry \(commit) of "
                + "term \(entryTerm) by counting"
        )
    }
}
