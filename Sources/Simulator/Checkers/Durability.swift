// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore

/// Nothing is acknowledged before it is on disk: not by a follower to its leader, and not by a commit.
enum Durability {
    /// An acceptance leaves a follower.
    static func acknowledges(
        _ reply: AppendReply,
        durable: ShadowLog,
        node: Int,
        shard: Int,
        _ violations: inout ViolationLog
    ) {
        guard reply.accepted else { return }
        // What a leader of an earlier term sent may have been replaced by a later one's before it was ever synced:
        // that is the same as if it had been synced and then replaced.
        guard durable.hardState.term == reply.term else { return }
        violations.expect(
            durable.last >= reply.index || durable.snapshot >= reply.index,
            .durability,
            "node \(node) acknowledged entry \(reply.index) of shard \(shard), its disk ends at \(durable.last)"
        )
    }

    /// An operation is handed to the disk: what is committed stays.
    static func persists(
        _ operation: PersistOperation,
        log: ShadowLog,
        witness: Witness,
        node: Int,
        shard: Int,
        _ violations: inout ViolationLog
    ) {
        violations.expect(
            !log.leavesGap(operation),
            .durability,
            "node \(node) writes entries of shard \(shard) beyond the end of its log"
        )
        guard let first = log.removal(by: operation), first <= witness.last, let entry = log.entry(at: first) else {
            return
        }
        violations.expect(
            !witness.matches(entry),
            .durability,
            "node \(node) removes the committed entry \(first) of shard \(shard) from its log"
        )
    }

    /// An entry was committed for the first time anywhere.
    static func commits(
        _ index: LogIndex,
        _ term: Term,
        copies: Int,
        nodes: Int,
        shard: Int,
        _ violations: inout ViolationLog
    ) {
        violations.expect(
            copies > nodes / 2,
            .durability,
            "entry \(index) of term \(term) of shard \(shard) was committed with \(copies) durable "
                + "copies among \(nodes) nodes"
        )
    }
}
