// SPDX-License-Identifier: Apache-2.0

/// Which rule was broken. One checker per rule; the planted bugs name the one that has to catch them.
package enum CheckerName: String, Sendable, CaseIterable {
    case electionSafety = "election-safety"
    case leaderAppendOnly = "leader-append-only"
    case logMatching = "log-matching"
    case leaderCompleteness = "leader-completeness"
    case stateMachineSafety = "state-machine-safety"
    case monotonicity = "monotonicity"
    case durableVote = "durable-vote"
    case durability = "durability"
    case lockExclusion = "lock-exclusion"
    case tokenOrder = "token-order"
    case sessionRules = "session-rules"
    case deadlock = "deadlock"
    case exactlyOnce = "exactly-once"
    case linearizableReads = "linearizable-reads"
    case replies = "replies"
    case replicaDigest = "replica-digest"
    case queueAccounting = "queue-accounting"
    case queueBodies = "queue-bodies"
    case queueDedup = "queue-dedup"
    case queueDelivery = "queue-delivery"
    case queueLease = "queue-lease"
    case queueOrder = "queue-order"
    case queueReceipts = "queue-receipts"
    case queueRules = "queue-rules"
    case cacheLines = "cache-lines"
    case cacheHistory = "cache-history"
    case cacheDurability = "cache-durability"
    case liveness = "liveness"
}

package struct Violation: Sendable, Equatable {
    package let checker: CheckerName
    package let time: WorldTime
    package let text: String
}

/// Keeps the first violation: what follows from it is only noise.
struct ViolationLog {
    var now = WorldTime.zero
    private(set) var first: Violation?

    var isClean: Bool { first == nil }

    mutating func report(_ checker: CheckerName, _ text: @autoclosure () -> String) {
        guard first == nil else { return }
        first = Violation(checker: checker, time: now, text: text())
    }

    mutating func expect(_ condition: Bool, _ checker: CheckerName, _ text: @autoclosure () -> String) {
        if !condition { report(checker, text()) }
    }
}
