// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Asks one table for one line.
package struct EvictionOrder: Sendable, Equatable {
    package let table: Int
    package let queue: LineQueue
    /// No other table has a line in this queue with an older stamp.
    package let bound: UInt64
    package let tick: UInt64
    package let ghosts: GhostWindow
}

package enum EvictionStep: Sendable, Equatable {
    /// The node is within its bound.
    case done
    case take(EvictionOrder)
    /// It is not, and all that is left is dirty or pinned: write back the lines that have been dirty for the longest.
    case blocked
}

/// Keeps the tables of a node within one bound, as if they were one: says which of them has to give up a line next. It
/// sees summaries only, so whoever carries out its orders holds one table's lock at a time:
///
///     while case .take(let order) = planner.next(tick: tick) {
///         lock table order.table: if let victim = table.victim(order) { …; table.evict(victim) }
///         planner.completed(order, evicted: …, table.summary)
///     }
///
/// A summary may be out of date. The oldest stamp of a table only grows as lines are used, so an old one makes the
/// planner ask too early, never too late, and the table then sees by the order's bound that it is not its turn.
package struct EvictionPlanner: Sendable {
    package let policy: EvictionPolicy
    package var limitBytes: Int
    /// Of all tables.
    package private(set) var bytes = 0
    private var smallBytes = 0
    private var count = 0
    private var summaries: [LineSummary]
    private var ghosts: UInt64 = 0
    /// The queue that was chosen; it is drained until it has given up a line.
    private var chosen: LineQueue?

    package init(policy: EvictionPolicy, tables: Int, limitBytes: Int) {
        self.policy = policy
        self.limitBytes = limitBytes
        summaries = Array(repeating: LineSummary(), count: tables)
    }

    /// A table has changed. Needed when its bytes have, and when lines became clean or were unpinned; that lines were
    /// used the planner need not know.
    package mutating func update(_ table: Int, _ summary: LineSummary) {
        let old = summaries[table]
        bytes += summary.bytes - old.bytes
        smallBytes += summary.smallBytes - old.smallBytes
        count += summary.count - old.count
        summaries[table] = summary
    }

    /// An order has been carried out, in vain if the table had no victim.
    package mutating func completed(_ order: EvictionOrder, evicted: Bool, _ summary: LineSummary) {
        update(order.table, summary)
        guard evicted else { return }
        chosen = nil
        if order.queue == .small { ghosts = max(ghosts, order.ghosts.now) }
    }

    /// - Parameters:
    ///   - room: what is about to be inserted will take, if it is to fit at once.
    ///   - tick: as for `LineTable.insert`.
    package mutating func next(room: Int = 0, tick: UInt64) -> EvictionStep {
        guard bytes + room > limitBytes else { return .done }
        guard policy == .s3fifo else { return order(.main, tick).map(EvictionStep.take) ?? .blocked }
        // Algorithm 1 of the paper: the small queue has a tenth of the room.
        let wanted = chosen ?? (smallBytes >= limitBytes / 10 ? .small : .main)
        for queue in [wanted, wanted == .small ? .main : .small] {
            guard let order = order(queue, tick) else { continue }
            chosen = queue
            return .take(order)
        }
        chosen = nil
        return .blocked
    }

    /// What the ghost queues of S3-FIFO remember now. Orders tell a table; one that has its `ghostWindow` set before an
    /// insert, too, remembers exactly what one queue of the whole node would.
    package var ghostWindow: GhostWindow {
        // As many as the main queue has lines when it has its nine tenths.
        GhostWindow(now: ghosts, count: UInt64(count * 9 / 10))
    }

    private func order(_ queue: LineQueue, _ tick: UInt64) -> EvictionOrder? {
        var first = LineSummary.none
        var second = LineSummary.none
        var table = 0
        for (number, summary) in summaries.enumerated() {
            let stamp = summary.oldest(queue)
            if stamp < first {
                second = first
                first = stamp
                table = number
            } else if stamp < second {
                second = stamp
            }
        }
        guard first != LineSummary.none else { return nil }
        return EvictionOrder(
            table: table,
            queue: queue,
            bound: second,
            tick: tick,
            ghosts: GhostWindow(now: ghosts + (queue == .small ? 1 : 0), count: ghostWindow.count)
        )
    }
}
