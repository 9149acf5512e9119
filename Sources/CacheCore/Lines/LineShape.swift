// SPDX-License-Identifier: Apache-2.0

/// What a line takes, given the counts and extensions in its word.
struct LineShape: Equatable {
    let sizeClass: Int
    /// Of the block outside that holds key and value; zero: they are inside.
    let outsideBytes: Int
    /// All of it: the share of the page and of the index, and what is outside.
    let cost: Int

    /// A line's share of the index: 64 bytes for twelve entries of which 60 to 75 % are taken.
    private static let indexShare = 8
    private static let allocatorPage = 4_096
    /// From here on the allocator takes whole pages for a block.
    private static let allocatorThreshold = 128 << 10

    init(_ word: LineWord) {
        let header = LineBlock.headerBytes + LineExtensions.bytes(word.extensions)
        let payload = word.keyCount + word.valueCount
        if header + payload <= LineSlabs.largestBlock {
            sizeClass = LineSlabs.sizeClass(bytes: header + payload)
            outsideBytes = 0
            cost = LineSlabs.share(sizeClass) + Self.indexShare
            return
        }
        sizeClass = LineSlabs.sizeClass(bytes: header + MemoryLayout<UInt>.size)
        // Rounded as the allocator rounds, with its own words before the block.
        let taken: Int
        if payload < Self.allocatorThreshold {
            taken = (payload + 8 + 15) & ~15
            outsideBytes = taken - 8
        } else {
            taken = (payload + 16 + Self.allocatorPage - 1) & ~(Self.allocatorPage - 1)
            outsideBytes = taken - 16
        }
        cost = LineSlabs.share(sizeClass) + Self.indexShare + taken
    }

    var isOutside: Bool { outsideBytes > 0 }
}

extension LineTable {
    /// What a line would add to `bytes`.
    package func cost(keyCount: Int, valueCount: Int, _ fields: LineFields) -> Int {
        var word = LineWord(bits: 0)
        word.keyCount = keyCount
        word.valueCount = valueCount
        word.extensions = LineExtensions.needed(fields)
        return cost(LineShape(word))
    }

    /// What is taken from the allocator for all of this: `bytes`, and what is begun and not yet filled.
    package var heldBytes: Int {
        var held = slabs.heldBytes + index.heldBytes + ghosts.heldBytes
        forEachBlock { _, block in held += block.word.isOutside ? LineShape(block.word).outsideBytes + 8 : 0 }
        return held
    }

    func cost(_ shape: LineShape) -> Int { policy == .s3fifo ? shape.cost + LineGhosts.share : shape.cost }

    func forEachBlock(_ body: (UInt32, LineBlock) -> Void) {
        for number in slabs.classes.indices {
            for place in 0..<slabs.classes[number].count {
                let reference = slabs.reference(number, place)
                body(reference, slabs.block(reference))
            }
        }
    }

    /// Goes on to the next line, in an order that depends only on the changes made so far. A walk meets every line that
    /// was there throughout and did not change its size, also when lines come and go on the way: the line met last may
    /// be removed. It may meet one twice.
    package func next(_ cursor: inout LineCursor) -> LineSlot? {
        // From the end of a class to its start: what fills a gap comes from behind.
        while cursor.sizeClass < slabs.classes.count {
            let place = min(cursor.end, slabs.classes[cursor.sizeClass].count) - 1
            if place >= 0 {
                cursor.end = place
                return LineSlot(reference: slabs.reference(cursor.sizeClass, place), edition: edition)
            }
            cursor.sizeClass += 1
            cursor.end = Int.max
        }
        return nil
    }
}
