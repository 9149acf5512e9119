// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Who must agree: a majority of the voters. Every decision that needs agreement (an election, a commit, a read round,
/// CheckQuorum) asks this type and nothing else.
struct Quorum: Sendable {
    enum VoteResult: Sendable {
        case won, lost, pending
    }

    let voters: [NodeID]

    var majority: Int { voters.count / 2 + 1 }

    func contains(_ id: NodeID) -> Bool { voters.contains(id) }

    /// The highest value that a quorum has reached. Quadratic in the number of voters, which is small, so that nothing
    /// is allocated or sorted on the way of each reply.
    func agreed<Value: Comparable>(_ value: (NodeID) -> Value) -> Value {
        invariant(!voters.isEmpty, "a quorum of nobody")
        var best: Value?
        for voter in voters {
            let candidate = value(voter)
            if let best, candidate <= best { continue }
            var reached = 0
            for other in voters where value(other) >= candidate { reached += 1 }
            if reached >= majority { best = candidate }
        }
        // The lowest value is reached by all, so there is always one.
        return best ?? value(voters[0])
    }

    func result(_ vote: (NodeID) -> Bool?) -> VoteResult {
        var granted = 0
        var refused = 0
        for voter in voters {
            switch vote(voter) {
            case true: granted += 1
            case false: refused += 1
            case nil: break
            }
        }
        if granted >= majority { return .won }
        return voters.count - refused < majority ? .lost : .pending
    }
}

/// The answers to one election, PreVote or real.
struct VoteTally: Sendable {
    private var answers: [(voter: NodeID, granted: Bool)] = []

    mutating func reset() { answers.removeAll(keepingCapacity: true) }

    /// A voter's later answer replaces its earlier one.
    mutating func record(_ voter: NodeID, granted: Bool) {
        if let position = answers.firstIndex(where: { $0.voter == voter }) {
            answers[position].granted = granted
        } else {
            answers.append((voter, granted))
        }
    }

    func answer(of voter: NodeID) -> Bool? { answers.first { $0.voter == voter }?.granted }
}
