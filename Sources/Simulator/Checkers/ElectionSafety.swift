// SPDX-License-Identifier: Apache-2.0
import Primitives

/// At most one leader can be elected in a given term (Raft figure 3).
struct ElectionSafety {
    private struct Key: Hashable {
        var shard: Int
        var term: Term
    }

    private var leaders = LookupTable<Key, Int>()

    mutating func leads(node: Int, shard: Int, term: Term, _ log: inout ViolationLog) {
        let key = Key(shard: shard, term: term)
        if let other = leaders[key] {
            log.expect(
                other == node,
                .electionSafety,
                "nodes \(other) and \(node) both lead shard \(shard) in term \(term)"
            )
        } else {
            leaders[key] = node
        }
    }
}
