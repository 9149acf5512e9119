// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives

/// The search for an order of the operations on one key.
struct LinearizabilitySearch {
    enum Result {
        case order([Int])
        /// There is none; the longest that was found.
        case none(best: [Int])
        case tooLarge
    }

    /// A step that was taken, and what is needed to take it back.
    private struct Step {
        let operation: Int
        let stateBefore: Int
        let latestBefore: UInt64
        /// States that the operation can lead to from there, and how many of them have been tried.
        let choices: [Int]
        var tried: Int
    }

    /// What has been reached: a set of done operations, as 128 bits of sums over its members, and a state.
    private struct Configuration: Hashable {
        var low: UInt64 = 0
        var high: UInt64 = 0
        var state: Int = 0
    }

    private let operations: [CacheHistoryOperation]
    private let limit: Int
    private var states: LinearizabilityStates

    // Calls and returns of the operations that are not done yet, by time, in a doubly linked list. Node `i` is the call
    // of operation `i`, node `count + i` its return; the last node is both ends.
    private var next: [Int]
    private var previous: [Int]
    private let ends: Int

    private var steps: [Step] = []
    private var best: [Int] = []
    private var configuration = Configuration()
    private var seen = LookupTable<Configuration, Bool>()
    /// When the last of the done operations was called: no further one can take effect before.
    private var latest: UInt64 = 0
    /// Operations that must have a place.
    private var owed: Int

    init(_ operations: [CacheHistoryOperation], slack: UInt64, limit: Int) {
        self.operations = operations
        self.limit = limit
        states = LinearizabilityStates(operations, slack: slack)
        owed = operations.count { $0.returnedAt != nil }
        ends = 2 * operations.count
        next = Array(repeating: ends, count: ends + 1)
        previous = next
        var nodes: [(time: UInt64, isReturn: Int, node: Int)] = []
        for (index, operation) in operations.enumerated() {
            // A read that nobody saw the result of explains nothing.
            if operation.returnedAt == nil, operation.action == .read { continue }
            nodes.append((operation.invokedAt, 0, index))
            if let returnedAt = operation.returnedAt { nodes.append((returnedAt, 1, operations.count + index)) }
        }
        // Calls before returns of the same moment: what only touches is concurrent.
        nodes.sort { $0 < $1 }
        var last = ends
        for (_, _, node) in nodes {
            next[last] = node
            previous[node] = last
            last = node
        }
        next[last] = ends
        previous[ends] = last
    }

    mutating func run() -> Result {
        var node = next[ends]
        while owed > 0 {
            if node < operations.count {
                let choices = choices(node)
                let step = Step(
                    operation: node,
                    stateBefore: configuration.state,
                    latestBefore: latest,
                    choices: choices,
                    tried: 0
                )
                if take(step) {
                    guard seen.count <= limit else { return .tooLarge }
                    node = next[ends]
                } else {
                    node = next[node]
                }
                continue
            }
            // The first return: its operation had to be done by now, so something before was chosen wrongly.
            if steps.count > best.count { best = order }
            guard let step = takeBack() else { return .none(best: best) }
            if take(step) {
                guard seen.count <= limit else { return .tooLarge }
                node = next[ends]
            } else {
                node = next[step.operation]
            }
        }
        return .order(order)
    }

    private var order: [Int] { steps.map(\.operation) }

    private mutating func choices(_ index: Int) -> [Int] {
        states.successors(
            of: configuration.state,
            by: index,
            notBefore: max(latest, operations[index].invokedAt),
            notAfter: states.hasExpiry ? earliestReturn : .max
        )
    }

    /// What is done next takes effect before any operation returns that is not done.
    private var earliestReturn: UInt64 {
        var node = next[ends]
        while node < operations.count { node = next[node] }
        return node == ends ? .max : operations[node - operations.count].returnedAt ?? .max
    }

    /// Takes the step to the first state that it has not been to with the same operations done.
    private mutating func take(_ step: Step) -> Bool {
        var step = step
        while step.tried < step.choices.count {
            var reached = configuration
            // Sums of well-mixed words: the set is the same exactly if they are, but for one chance in 2^128.
            reached.low &+= StableHash.mix(UInt64(step.operation) &+ 0x517c_c1b7)
            reached.high &+= StableHash.mix(StableHash.mix(UInt64(step.operation)) &+ 0x2722_0a95)
            reached.state = step.choices[step.tried]
            step.tried += 1
            guard seen[reached] == nil else { continue }
            seen[reached] = true
            configuration = reached
            latest = max(latest, operations[step.operation].invokedAt)
            steps.append(step)
            unlink(step.operation)
            if operations[step.operation].returnedAt != nil {
                unlink(operations.count + step.operation)
                owed -= 1
            }
            return true
        }
        return false
    }

    private mutating func takeBack() -> Step? {
        guard let step = steps.popLast() else { return nil }
        // In the opposite order to that of `take`, or the neighbours would not fit.
        if operations[step.operation].returnedAt != nil {
            owed += 1
            relink(operations.count + step.operation)
        }
        relink(step.operation)
        configuration.low &-= StableHash.mix(UInt64(step.operation) &+ 0x517c_c1b7)
        configuration.high &-= StableHash.mix(StableHash.mix(UInt64(step.operation)) &+ 0x2722_0a95)
        configuration.state = step.stateBefore
        latest = step.latestBefore
        return step
    }

    private mutating func unlink(_ node: Int) {
        next[previous[node]] = next[node]
        previous[next[node]] = previous[node]
    }

    private mutating func relink(_ node: Int) {
        next[previous[node]] = node
        previous[next[node]] = node
    }
}
