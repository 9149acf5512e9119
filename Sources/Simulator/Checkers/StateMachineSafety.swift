// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore

/// If a server has applied a log entry at a given index, no other server will ever apply a different one there (Raft
/// figure 3); and commit indices never fall.
enum StateMachineSafety {
    /// Compares what `shadow` newly holds as committed with what was committed first.
    static func compare(
        shadow: inout ReplicaShadow,
        upTo commit: LogIndex,
        witness: Witness,
        node: Int,
        shard: Int,
        _ violations: inout ViolationLog
    ) {
        var index = max(shadow.verified, shadow.log.snapshot).next
        while index <= commit {
            guard let entry = shadow.log.entry(at: index) else {
                violations.report(
                    .stateMachineSafety,
                    "node \(node) committed entry \(index) of shard \(shard) without having it"
                )
                return
            }
            if !witness.matches(entry) {
                violations.report(
                    .stateMachineSafety,
                    "node \(node) committed another entry \(index) of shard \(shard) (term "
                        + "\(entry.term)) than was committed first"
                )
                return
            }
            index = index.next
        }
        shadow.verified = max(shadow.verified, commit)
    }
}

/// The state of a replica is a function of the index it has applied.
enum ReplicaDigest {
    static func applied(
        _ index: LogIndex,
        digest: UInt64,
        witness: Witness,
        node: Int,
        shard: Int,
        _ violations: inout ViolationLog
    ) {
        guard let expected = witness.digest(at: index) else {
            violations.report(
                .replicaDigest,
                "node \(node) applied entry \(index) of shard \(shard), which nobody committed"
            )
            return
        }
        violations.expect(
            digest == expected,
            .replicaDigest,
            "the state of shard \(shard) on node \(node) after entry \(index) differs from the other replicas'"
        )
    }
}
