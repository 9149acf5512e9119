// SPDX-License-Identifier: Apache-2.0
package import CacheCore
import Primitives

/// What one client asked of one key, and what it was told.
package struct CacheHistoryOperation: Sendable {
    package enum Action: Sendable, Equatable {
        case read
        case change(CacheOperation)
    }

    package enum Outcome: Sendable, Equatable {
        /// Of a read. Nil: the key was absent.
        case value([UInt8]?)
        /// Of a change.
        case answer(CacheAnswer)
        /// Nobody knows the answer; without `returnedAt`, nor whether anything was done.
        case unseen
    }

    package var client: Int
    package var key: CacheKey
    package var action: Action
    /// Nanoseconds on one clock for all clients; operations whose times touch are concurrent.
    package var invokedAt: UInt64
    /// Nil: it may take effect at any time after `invokedAt`, or never.
    package var returnedAt: UInt64?
    package var outcome: Outcome
    /// The version that it saw or made.
    package var version: CacheVersion?

    package init(
        client: Int,
        key: CacheKey,
        action: Action,
        invokedAt: UInt64,
        returnedAt: UInt64?,
        outcome: Outcome,
        version: CacheVersion? = nil
    ) {
        self.client = client
        self.key = key
        self.action = action
        self.invokedAt = invokedAt
        self.returnedAt = returnedAt
        self.outcome = outcome
        self.version = version
    }
}

package enum LinearizabilityVerdict: Sendable, Equatable {
    /// For each key, in the keys' order: positions in the history in an order that explains every answer. Changes of
    /// unknown outcome that are not named need not have happened.
    case linearizable(orders: [[Int]])
    case violation(LinearizabilityViolation)
    /// Neither was found within the bound.
    case tooLarge(key: CacheKey)
}

package struct LinearizabilityViolation: Sendable, Equatable {
    package var key: CacheKey
    /// Positions of the operations of the shortest part from the beginning that has no order: everything that had begun
    /// when `culprit` returned.
    package var prefix: [Int]
    /// The one whose answer cannot be, given those that came before.
    package var culprit: Int
    /// The longest order that was found without it.
    package var order: [Int]
    /// For people: the culprit, what ran at the same time, and what last changed the key before.
    package var involved: [Int]
    package var text: String
}

/// Looks for an order of each key's operations that keeps to the clock and explains all answers: Wing and Gong's search
/// ("Testing and Verifying Concurrent Objects", 1993) with Lowe's memory of what was tried ("Testing for
/// Linearizability", 2017). It knows nothing of how the cache works but `CacheOperation.evaluate`.
///
/// Every key begins absent. One key's order says nothing of another's: linearizability is local (Herlihy and Wing).
package struct LinearizabilityChecker: Sendable {
    /// Configurations (sets of done operations with the state they lead to) to remember for one key, at some fifty
    /// bytes each.
    package var configurationLimit = 2_000_000
    /// By how much what expires may go before or after its time, in nanoseconds: clocks that drift, and leases.
    package var expirySlack: UInt64 = 0

    package init() {}

    package func check(_ history: [CacheHistoryOperation]) -> LinearizabilityVerdict {
        var orders: [[Int]] = []
        var tooLarge: CacheKey?
        for (key, positions) in CacheHistory.byKey(history) {
            let operations = positions.map { history[$0] }
            var search = LinearizabilitySearch(operations, slack: expirySlack, limit: configurationLimit)
            switch search.run() {
            case .order(let order): orders.append(order.map { positions[$0] })
            case .none(let best): return .violation(explain(key, operations, positions, best))
            case .tooLarge: tooLarge = tooLarge ?? key
            }
        }
        if let tooLarge { return .tooLarge(key: tooLarge) }
        return .linearizable(orders: orders)
    }

    // MARK: Explanation

    /// Finds the first return after which there is no order any more. A longer part cannot have one where a shorter has
    /// none, so halving finds it.
    private func explain(
        _ key: CacheKey,
        _ operations: [CacheHistoryOperation],
        _ positions: [Int],
        _ longest: [Int]
    ) -> LinearizabilityViolation {
        let returned = operations.indices.filter { operations[$0].returnedAt != nil }
            .sorted { (operations[$0].returnedAt ?? 0, $0) < (operations[$1].returnedAt ?? 0, $1) }
        func search(_ count: Int) -> (result: LinearizabilitySearch.Result, indices: [Int]) {
            let (indices, part) = cut(operations, at: operations[returned[count]].returnedAt ?? 0)
            var search = LinearizabilitySearch(part, slack: expirySlack, limit: configurationLimit)
            return (search.run(), indices)
        }
        var low = 0
        var high = returned.count - 1
        while low < high {
            let middle = (low + high) / 2
            if case .none = search(middle).result { high = middle } else { low = middle + 1 }
        }
        let culprit = returned[high]
        // The longest order of the part; of the whole, if the part alone is too large to search.
        let (result, part) = search(high)
        let best = if case .none(let order) = result { order.map { part[$0] } } else { longest }
        let involved = involved(operations, part, culprit, best)
        return LinearizabilityViolation(
            key: key,
            prefix: part.map { positions[$0] },
            culprit: positions[culprit],
            order: best.map { positions[$0] },
            involved: involved.map { positions[$0] },
            text: "no order of the operations on \(key) explains this answer: \(operations[culprit].line)\n"
                + involved.filter { $0 != culprit }.map { "  \(operations[$0].line)" }.joined(separator: "\n")
        )
    }

    /// What was known at a moment: what had begun, without the answers that came later.
    private func cut(
        _ operations: [CacheHistoryOperation],
        at moment: UInt64
    ) -> (indices: [Int], part: [CacheHistoryOperation]) {
        var indices: [Int] = []
        var part: [CacheHistoryOperation] = []
        for index in operations.indices where operations[index].invokedAt <= moment {
            var operation = operations[index]
            if let returnedAt = operation.returnedAt, returnedAt > moment {
                operation.returnedAt = nil
                operation.outcome = .unseen
            }
            indices.append(index)
            part.append(operation)
        }
        return (indices, part)
    }

    private func involved(
        _ operations: [CacheHistoryOperation],
        _ part: [Int],
        _ culprit: Int,
        _ order: [Int]
    ) -> [Int] {
        let changes = order.filter { operations[$0].action != .read && $0 != culprit }.suffix(4)
        return part.filter { index in
            let isConcurrent =
                operations[index].invokedAt <= operations[culprit].returnedAt ?? .max
                && (operations[index].returnedAt ?? .max) >= operations[culprit].invokedAt
            return index == culprit || isConcurrent || changes.contains(index)
        }
    }
}

enum CacheHistory {
    /// Positions by key, in the order of the keys.
    static func byKey(_ history: [CacheHistoryOperation]) -> [(key: CacheKey, positions: [Int])] {
        let sorted = history.indices.sorted { left, right in
            history[left].key == history[right].key ? left < right : history[left].key < history[right].key
        }
        var groups: [(key: CacheKey, positions: [Int])] = []
        for position in sorted {
            if groups.last?.key != history[position].key { groups.append((history[position].key, [])) }
            groups[groups.count - 1].positions.append(position)
        }
        return groups
    }
}

extension CacheHistoryOperation {
    /// One line for people.
    var line: String {
        let end = returnedAt.map { "\($0)" } ?? "…"
        let what =
            switch action {
            case .read: "read"
            case .change(let operation): "\(operation)"
            }
        let told =
            switch outcome {
            case .value(let value): value.map { "\"\(String(decoding: $0.prefix(64), as: UTF8.self))\"" } ?? "absent"
            case .answer(let answer): "\(answer)"
            case .unseen: "unknown"
            }
        return "client \(client) [\(invokedAt), \(end)] \(what.prefix(200)) → \(told.prefix(200))"
            + (version.map { " at version \($0)" } ?? "")
    }
}
