// SPDX-License-Identifier: Apache-2.0

// How a snapshot holds a slot table: its end, its free slots in the order of their reuse, then each live record behind
// its slot.

extension ByteWriter {
    /// Slots are written plus one, so that "none" is zero.
    package mutating func slot(_ slot: Slot) { varint(UInt64(UInt32(bitPattern: slot &+ 1))) }

    package mutating func slots(_ slots: [Slot]) {
        for slot in slots { self.slot(slot) }
    }

    package mutating func table<Record>(_ table: Slots<Record>, _ encode: (Record, inout ByteWriter) -> Void) {
        varint(UInt64(table.end))
        varint(UInt64(table.free.count))
        slots(table.free)
        for slot in 0..<table.end where table.contains(slot) {
            self.slot(slot)
            encode(table[slot], &self)
        }
    }
}

extension ByteReader {
    package mutating func slot() throws(DecodingError) -> Slot {
        Slot(try count(limit: Int(Slot.max), "slot")) - 1
    }

    package mutating func table<Record: SlotRecord>(
        _ what: String,
        _ decode: (inout ByteReader) throws(DecodingError) -> Record
    ) throws(DecodingError) -> Slots<Record> {
        let end = try count(limit: Int(Slot.max), what)
        let vacant = try count(limit: end, what)
        // Each live record and each free slot takes at least a byte, so a count cannot ask for more than there is.
        guard end <= remaining else { throw .truncated }
        var free: [Slot] = []
        free.reserveCapacity(vacant)
        for _ in 0..<vacant { free.append(try slot()) }
        var records = Array(repeating: Record.vacant, count: end)
        var previous = noSlot
        for _ in 0..<(end - vacant) {
            let slot = try slot()
            guard slot > previous, Int(slot) < end else { throw .invalidValue(what: what) }
            previous = slot
            records[Int(slot)] = try decode(&self)
        }
        guard let table = Slots(records: records, free: free) else { throw .invalidValue(what: what) }
        return table
    }
}
