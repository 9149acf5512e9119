// SPDX-License-Identifier: Apache-2.0

/// What the planner knows of a table.
package struct LineSummary: Sendable, Equatable {
    package var bytes = 0
    /// Of them, those of the small queue of S3-FIFO.
    package var smallBytes = 0
    package var count = 0
    /// Stamps of the lines that each queue would give up first; `none` if it has no line.
    package var oldestSmall = LineSummary.none
    package var oldestMain = LineSummary.none

    package static let none = UInt64.max

    package init() {}

    package func oldest(_ queue: LineQueue) -> UInt64 { queue == .main ? oldestMain : oldestSmall }
}

extension LineTable {
    package var summary: LineSummary {
        var summary = LineSummary()
        summary.bytes = tallies.bytes
        summary.smallBytes = tallies.smallBytes
        summary.count = count
        if small.oldest != LineSlabs.none { summary.oldestSmall = slabs.block(small.oldest).stamp }
        if main.oldest != LineSlabs.none { summary.oldestMain = slabs.block(main.oldest).stamp }
        return summary
    }

    /// Of S3-FIFO: `EvictionPlanner.ghostWindow`.
    package var ghostWindow: GhostWindow {
        get { ghosts.window }
        set { ghosts.window = newValue }
    }

    private static var stepsAtOnce: Int { 64 }

    /// The line to give up next, if it is this table's turn: it is clean, not pinned, and queued no later than the
    /// order's bound. Tell its home, then `evict` it; or leave it and pin it. Nil: nothing to give up, but the table
    /// may have changed its queues; the planner has to hear of it either way.
    ///
    /// Lines that may not be dropped leave their queue when their turn comes, and return when they may. So no line is
    /// passed over twice.
    package mutating func victim(_ order: EvictionOrder) -> LineSlot? {
        ghosts.window = order.ghosts
        for _ in 0..<Self.stepsAtOnce {
            let reference = queue(order.queue).oldest
            guard reference != LineSlabs.none else { return nil }
            let block = slabs.block(reference)
            guard block.stamp <= order.bound else { return nil }
            let word = block.word
            if policy == .s3fifo, word.uses > (order.queue == .small ? 1 : 0) {
                requeue(reference, block, order)
            } else if word.isEvictable {
                return LineSlot(reference: reference, edition: edition)
            } else {
                unlink(block)
            }
        }
        return nil
    }

    /// Removes a victim.
    package mutating func evict(_ slot: LineSlot) {
        let block = block(slot)
        if block.word.queue == .small { ghosts.insert(block.hash) }
        remove(slot)
    }

    /// From the small queue to the main one, where its uses count from zero; or once more through the main queue, for
    /// one use less.
    private mutating func requeue(_ reference: UInt32, _ block: LineBlock, _ order: EvictionOrder) {
        unlink(block)
        var word = block.word
        if order.queue == .small {
            word.uses = 0
            word.queue = .main
            tallies.smallBytes -= cost(LineShape(word))
        } else {
            word.uses -= 1
        }
        block.word = word
        advance(to: order.tick)
        block.stamp = lastTick
        linkNewest(reference, block)
    }
}
