// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore

/// If two logs contain an entry with the same index and term, then the logs are identical in all entries up through
/// it (Raft figure 3). By induction it is enough that such entries carry the same content and follow an entry of the
/// same term.
struct LogMatching {
    private struct Fact: Equatable {
        var term: Term
        var previousTerm: Term
        var content: UInt64
    }

    private struct Key: Hashable {
        var index: LogIndex
        var term: Term
    }

    /// The first term seen at each index; position 0 is index 1.
    private var first: [Fact] = []
    private var others = LookupTable<Key, Fact>()

    /// `log` already holds the entries.
    mutating func appended(_ entries: [Entry], node: Int, shard: Int, log: ShadowLog, _ violations: inout ViolationLog)
    {
        guard let head = entries.first else { return }
        var previousTerm = log.term(at: head.index.previous) ?? .zero
        var isPreviousKnown = head.index.previous == .zero || log.term(at: head.index.previous) != nil
        for entry in entries {
            let fact = Fact(term: entry.term, previousTerm: previousTerm, content: entry.contentHash)
            if isPreviousKnown { check(fact, at: entry.index, node, shard, &violations) }
            previousTerm = entry.term
            isPreviousKnown = true
        }
    }

    private mutating func check(
        _ fact: Fact,
        at index: LogIndex,
        _ node: Int,
        _ shard: Int,
        _ violations: inout ViolationLog
    ) {
        let position = Int(index.rawValue) - 1
        if position == first.count {
            first.append(fact)
            return
        }
        guard position >= 0, position < first.count else { return }
        let known: Fact?
        if first[position].term == fact.term {
            known = first[position]
        } else {
            let key = Key(index: index, term: fact.term)
            known = others[key]
            if known == nil { others[key] = fact }
        }
        guard let known, known != fact else { return }
        violations.report(
            .logMatching,
            "shard \(shard): entry \(index) of term \(fact.term) on node \(node) differs from another node's"
        )
    }
}

/// A leader never overwrites or deletes entries in its log; it only appends (Raft figure 3).
enum LeaderAppendOnly {
    static func persists(
        _ entries: [Entry],
        shadow: ReplicaShadow,
        node: Int,
        shard: Int,
        _ violations: inout ViolationLog
    ) {
        guard shadow.role == .leader, let first = entries.first, first.term == shadow.term else { return }
        violations.expect(
            first.index > shadow.log.last,
            .leaderAppendOnly,
            "node \(node) leads shard \(shard) in term \(shadow.term) and overwrites entry \(first.index)"
        )
    }
}
