// SPDX-License-Identifier: Apache-2.0
import Primitives

/// The stable lines (S, E, M) of one part of a node's keys, in memory of its own: no object per line, nothing that is
/// counted by reference, and about 48 bytes a line beyond key and value. Who shares it guards it by a lock.
///
/// `bytes` is what the lines take, their share of pages and index included; a node's bound is on the sum of its tables'
/// `bytes` (`EvictionPlanner`).
///
/// Hashes are `CacheKey.hash(of:)` of the key, since the table computes them again when it moves lines.
///
/// All of it is behind one pointer: a borrowed struct of many words is copied to the stack for each call from another
/// module.
package struct LineTable: ~Copyable {
    let memory: UnsafeMutablePointer<LineTableMemory>

    package init(policy: EvictionPolicy = .leastRecentlyUsed) {
        memory = .allocate(capacity: 1)
        memory.initialize(to: LineTableMemory(policy))
    }

    private init(copying other: borrowing LineTable) {
        memory = .allocate(capacity: 1)
        memory.initialize(to: LineTableMemory(copying: other.memory.pointee))
        forEachBlock { _, block in if block.word.isOutside { block.copyOutside() } }
    }

    deinit {
        forEachBlock { _, block in if block.word.isOutside { block.payload.deallocate() } }
        memory.deinitialize(count: 1)
        memory.deallocate()
    }

    /// A table that shares nothing with this one and holds the same, in the same order. Slots of this one are valid in
    /// it as well.
    package borrowing func clone() -> LineTable { LineTable(copying: self) }

    // MARK: Reading

    package var count: Int { index.count }

    package func count(of state: LineState) -> Int {
        switch state {
        case .invalid: 0
        case .shared: tallies.shared
        case .exclusive: tallies.exclusive
        case .modified: tallies.modified
        }
    }

    package var bytes: Int { tallies.bytes }
    package var dirtyCount: Int { tallies.dirtyCount }
    /// Of all dirty lines together.
    package var dirtyBytes: Int { tallies.dirtyBytes }

    package func find(_ hash: UInt64, _ key: UnsafeRawBufferPointer) -> LineSlot? {
        let blocks = slabs.blocks
        guard let reference = index.find(hash, where: { blocks[$0].hasKey(key) }) else { return nil }
        return LineSlot(reference: reference, edition: edition)
    }

    package func find(_ key: CacheKey) -> LineSlot? {
        key.bytes.withUnsafeBytes { find(CacheKey.hash(of: $0), $0) }
    }

    package func fields(_ slot: LineSlot) -> LineFields { block(slot).fields }

    package func state(_ slot: LineSlot) -> LineState { block(slot).word.state }
    package func version(_ slot: LineSlot) -> CacheVersion { block(slot).version }
    package func gid(_ slot: LineSlot) -> UInt64 { block(slot).gid }
    package func expiresAt(_ slot: LineSlot) -> UInt64 { block(slot).expiresAt }
    package func exists(_ slot: LineSlot) -> Bool { block(slot).word.exists }
    package func durability(_ slot: LineSlot) -> CacheDurability { block(slot).word.durability }
    package func flags(_ slot: LineSlot) -> LineFlags { block(slot).word.flags }
    package func dirtySince(_ slot: LineSlot) -> UInt32? { block(slot).dirtySince }

    /// Valid for as long as the slot is, and the line keeps its value.
    package func key(_ slot: LineSlot) -> UnsafeRawBufferPointer { block(slot).key }
    /// Valid for as long as the slot is, and the line keeps its value. The bytes stay where they are when the line is
    /// touched.
    package func value(_ slot: LineSlot) -> UnsafeRawBufferPointer { block(slot).value }

    /// What the line adds to `bytes`.
    package func bytes(_ slot: LineSlot) -> Int { cost(LineShape(block(slot).word)) }

    @inline(__always) func block(_ slot: LineSlot) -> LineBlock {
        if slot.edition != edition { Self.stale() }
        return slabs.block(slot.reference)
    }

    @inline(never) private static func stale() -> Never {
        invariantFailure("a line's slot was used after its table had moved lines")
    }

    // MARK: Changing

    /// Puts a line into the table, which must hold none of this key. Other slots stay valid.
    /// - Parameter tick: goes up from call to call over all tables of the node; says when the line was used.
    @discardableResult
    package mutating func insert(
        _ hash: UInt64,
        key: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer,
        _ fields: LineFields,
        tick: UInt64
    ) -> LineSlot {
        Self.check(keyCount: key.count, valueCount: value.count, fields)
        var word = LineWord(bits: 0)
        word.keyCount = key.count
        word.valueCount = value.count
        word.extensions = LineExtensions.needed(fields)
        word.queue = policy == .s3fifo && !ghosts.take(hash) ? .small : .main
        let shape = LineShape(word)
        word.isOutside = shape.isOutside
        let reference = slabs.allocate(shape.sizeClass)
        let block = slabs.block(reference)
        block.word = word
        if shape.isOutside { block.payload = .allocate(byteCount: shape.outsideBytes, alignment: 1) }
        let payload = block.payload
        if let start = key.baseAddress { payload.copyMemory(from: start, byteCount: key.count) }
        if let start = value.baseAddress { (payload + key.count).copyMemory(from: start, byteCount: value.count) }
        block.write(fields)
        tally(block.word, shape, 1)
        let blocks = slabs.blocks
        index.insert(hash, reference) { blocks[$0].hash }
        advance(to: tick)
        block.stamp = lastTick
        linkNewest(reference, block)
        if fields.isDirty { linkDirty(reference, block) }
        return LineSlot(reference: reference, edition: edition)
    }

    package mutating func setFields(_ slot: inout LineSlot, _ fields: LineFields) {
        rewrite(&slot, fields, value: nil)
    }

    /// A new value, which must not be in this table's own memory, and what comes with it.
    package mutating func store(_ slot: inout LineSlot, value: UnsafeRawBufferPointer, _ fields: LineFields) {
        rewrite(&slot, fields, value: value)
    }

    /// The value must not be in this table's own memory.
    package mutating func replaceValue(_ slot: inout LineSlot, _ value: UnsafeRawBufferPointer) {
        rewrite(&slot, block(slot).fields, value: value)
    }

    package mutating func remove(_ slot: LineSlot) {
        let block = block(slot)
        let word = block.word
        let shape = LineShape(word)
        let blocks = slabs.blocks
        index.remove(block.hash, slot.reference) { blocks[$0].hash }
        tally(word, shape, -1)
        unlink(block)
        if word.isDirty { unlinkDirty(block) }
        if word.isOutside { block.payload.deallocate() }
        release(slot.reference, shape.sizeClass)
    }

    static func check(keyCount: Int, valueCount: Int, _ fields: LineFields) {
        invariant(
            keyCount <= CacheLimits.keyBytes && valueCount <= CacheLimits.valueBytes,
            "a line's key or value is longer than any may be"
        )
        invariant(fields.state != .invalid, "an invalid line has no place in a table")
        invariant(fields.exists || valueCount == 0, "a negative line has no value")
    }

    /// Counts a line in, or with -1 out.
    mutating func tally(_ word: LineWord, _ shape: LineShape, _ sign: Int) {
        let cost = sign * cost(shape)
        tallies.bytes += cost
        if word.queue == .small { tallies.smallBytes += cost }
        if word.isDirty {
            tallies.dirtyCount += sign
            tallies.dirtyBytes += cost
        }
        switch word.state {
        case .invalid: break
        case .shared: tallies.shared += sign
        case .exclusive: tallies.exclusive += sign
        case .modified: tallies.modified += sign
        }
    }
}

/// Its memory is its own, and it cannot be copied: who has it has it alone.
extension LineTable: @unchecked Sendable {}
