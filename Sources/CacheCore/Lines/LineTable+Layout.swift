// SPDX-License-Identifier: Apache-2.0
import Primitives

// Moving lines in memory.
extension LineTable {
    /// Gives a line other fields and, unless nil, another value; moves it if its size class is another then.
    mutating func rewrite(_ slot: inout LineSlot, _ fields: LineFields, value: UnsafeRawBufferPointer?) {
        let old = block(slot)
        let oldWord = old.word
        let oldShape = LineShape(oldWord)
        var word = oldWord
        if let value { word.valueCount = value.count }
        word.extensions = LineExtensions.needed(fields)
        let shape = LineShape(word)
        word.isOutside = shape.isOutside
        Self.check(keyCount: word.keyCount, valueCount: word.valueCount, fields)

        tally(oldWord, oldShape, -1)
        if oldWord.isDirty && !fields.isDirty { unlinkDirty(old) }
        var reference = slot.reference
        var block = old
        let moves = shape.sizeClass != oldShape.sizeClass
        if moves {
            reference = slabs.allocate(shape.sizeClass)
            block = slabs.block(reference)
            block.base.copyMemory(from: old.base, byteCount: LineBlock.headerBytes)
            if oldWord.isDirty && fields.isDirty {
                block.dirtyPrevious = old.dirtyPrevious
                block.dirtyNext = old.dirtyNext
            }
        }
        Self.movePayload(from: old, oldShape, to: block, word, shape, value)
        block.word = word
        block.write(fields)
        tally(block.word, shape, 1)
        if fields.isDirty && !oldWord.isDirty { linkDirty(reference, block) }
        if moves {
            relocate(reference, block, from: slot.reference)
            release(slot.reference, oldShape.sizeClass)
            slot = LineSlot(reference: reference, edition: edition)
        }
        if fields.isEvictable && !oldWord.isLinked { relinkPassedOver(slot.reference, self.block(slot)) }
    }

    /// Brings key and value to where `shape` has them. The blocks may be the same: so nothing of the header is written
    /// but an address behind it, and that last.
    private static func movePayload(
        from old: LineBlock,
        _ oldShape: LineShape,
        to block: LineBlock,
        _ word: LineWord,
        _ shape: LineShape,
        _ value: UnsafeRawBufferPointer?
    ) {
        let source = old.payload
        let inside = block.base + LineBlock.headerBytes + LineExtensions.bytes(word.extensions)
        let keepsOutside = shape.isOutside && shape.outsideBytes == oldShape.outsideBytes
        let target: UnsafeMutableRawPointer
        if keepsOutside {
            target = source
        } else if shape.isOutside {
            target = .allocate(byteCount: shape.outsideBytes, alignment: 1)
        } else {
            target = inside
        }
        if target != source {
            target.copyMemory(from: source, byteCount: word.keyCount + (value == nil ? word.valueCount : 0))
        }
        if let start = value?.baseAddress {
            (target + word.keyCount).copyMemory(from: start, byteCount: word.valueCount)
        }
        if oldShape.isOutside && !keepsOutside { source.deallocate() }
        if shape.isOutside { inside.storeBytes(of: UInt(bitPattern: target), as: UInt.self) }
    }

    /// Frees a block, fills the gap, and ends the validity of slots.
    mutating func release(_ reference: UInt32, _ sizeClass: Int) {
        if let moved = slabs.release(reference, sizeClass) {
            relocate(reference, slabs.block(reference), from: moved)
        }
        edition &+= 1
    }

    /// Makes all that named the old block name the new one.
    private mutating func relocate(_ reference: UInt32, _ block: LineBlock, from old: UInt32) {
        let word = block.word
        index.move(block.hash, from: old, to: reference)
        if word.isLinked {
            let newer = block.previous
            let older = block.next
            if newer == LineSlabs.none {
                if word.queue == .main { main.newest = reference } else { small.newest = reference }
            } else {
                slabs.block(newer).next = reference
            }
            if older == LineSlabs.none {
                if word.queue == .main { main.oldest = reference } else { small.oldest = reference }
            } else {
                slabs.block(older).previous = reference
            }
        }
        if word.isDirty {
            let newer = block.dirtyPrevious
            let older = block.dirtyNext
            if newer == LineSlabs.none { dirty.newest = reference } else { slabs.block(newer).dirtyNext = reference }
            if older == LineSlabs.none {
                dirty.oldest = reference
            } else {
                slabs.block(older).dirtyPrevious = reference
            }
        }
    }
}
