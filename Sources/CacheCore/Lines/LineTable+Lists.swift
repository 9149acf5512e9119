// SPDX-License-Identifier: Apache-2.0
import Primitives

/// The ends of a list that goes through the blocks themselves.
struct LineList: Equatable {
    var newest = LineSlabs.none
    var oldest = LineSlabs.none
}

// The queues of eviction, and the list of dirty lines.
extension LineTable {
    /// Notes that the line was used.
    /// - Parameter tick: as in `insert`. Least recently used needs it, S3-FIFO does not.
    package mutating func touch(_ slot: LineSlot, tick: UInt64) {
        let block = block(slot)
        if policy == .s3fifo {
            let uses = block.word.uses
            // No write, so no cache line to fetch from another core, for a line that is known to be popular.
            if uses < 3 { block.word.uses = uses + 1 }
            return
        }
        advance(to: tick)
        block.stamp = lastTick
        if main.newest == slot.reference { return }
        unlink(block)
        linkNewest(slot.reference, block)
    }

    /// The line that has been dirty for the longest.
    package var oldestDirty: LineSlot? { slot(dirty.oldest) }

    /// The one that became dirty next.
    package func nextDirty(after slot: LineSlot) -> LineSlot? {
        let block = block(slot)
        return block.word.isDirty ? self.slot(block.dirtyPrevious) : nil
    }

    private func slot(_ reference: UInt32) -> LineSlot? {
        reference == LineSlabs.none ? nil : LineSlot(reference: reference, edition: edition)
    }

    /// Ticks of two threads may come in the wrong order by a little; a table's stamps never do.
    @inline(__always) mutating func advance(to tick: UInt64) {
        guard tick > lastTick else { return }
        if tick > LineBlock.mask48 { Self.tooLate() }
        lastTick = tick
    }

    @inline(never) private static func tooLate() -> Never { invariantFailure("ticks have 48 bits") }

    // MARK: Queues

    func queue(_ queue: LineQueue) -> LineList { queue == .main ? main : small }

    @inline(__always) mutating func linkNewest(_ reference: UInt32, _ block: LineBlock) {
        var word = block.word
        word.isLinked = true
        block.word = word
        if word.queue == .main {
            Self.push(reference, block, &main, slabs.blocks)
        } else {
            Self.push(reference, block, &small, slabs.blocks)
        }
    }

    @inline(__always) private static func push(
        _ reference: UInt32,
        _ block: LineBlock,
        _ list: inout LineList,
        _ blocks: LineSlabs.Blocks
    ) {
        let newest = list.newest
        block.previous = LineSlabs.none
        block.next = newest
        if newest == LineSlabs.none { list.oldest = reference } else { blocks[newest].previous = reference }
        list.newest = reference
    }

    /// Takes the line out of its queue, if it is in one.
    @inline(__always) mutating func unlink(_ block: LineBlock) {
        var word = block.word
        guard word.isLinked else { return }
        word.isLinked = false
        block.word = word
        if word.queue == .main {
            Self.unlink(block, &main, slabs.blocks)
        } else {
            Self.unlink(block, &small, slabs.blocks)
        }
    }

    @inline(__always) private static func unlink(
        _ block: LineBlock,
        _ list: inout LineList,
        _ blocks: LineSlabs.Blocks
    ) {
        let newer = block.previous
        let older = block.next
        if newer == LineSlabs.none { list.newest = older } else { blocks[newer].next = older }
        if older == LineSlabs.none { list.oldest = newer } else { blocks[older].previous = newer }
    }

    /// Brings a line that eviction had passed over back to the old end of its queue: it was the oldest then. Others
    /// that came back before may be older still; it goes past a few of those.
    mutating func relinkPassedOver(_ reference: UInt32, _ block: LineBlock) {
        let queue = block.word.queue
        let list = self.queue(queue)
        var older = LineSlabs.none
        var newer = list.oldest
        var steps = 0
        while newer != LineSlabs.none, steps < 8, slabs.block(newer).stamp < block.stamp {
            older = newer
            newer = slabs.block(newer).previous
            steps += 1
        }
        block.word.isLinked = true
        block.next = older
        block.previous = newer
        var changed = list
        if older == LineSlabs.none { changed.oldest = reference } else { slabs.block(older).previous = reference }
        if newer == LineSlabs.none { changed.newest = reference } else { slabs.block(newer).next = reference }
        if queue == .main { main = changed } else { small = changed }
    }

    // MARK: Dirty lines

    mutating func linkDirty(_ reference: UInt32, _ block: LineBlock) {
        let newest = dirty.newest
        block.dirtyPrevious = LineSlabs.none
        block.dirtyNext = newest
        if newest == LineSlabs.none { dirty.oldest = reference } else { slabs.block(newest).dirtyPrevious = reference }
        dirty.newest = reference
    }

    mutating func unlinkDirty(_ block: LineBlock) {
        let newer = block.dirtyPrevious
        let older = block.dirtyNext
        if newer == LineSlabs.none { dirty.newest = older } else { slabs.block(newer).dirtyNext = older }
        if older == LineSlabs.none { dirty.oldest = newer } else { slabs.block(older).dirtyPrevious = newer }
    }
}
