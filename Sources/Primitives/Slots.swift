// SPDX-License-Identifier: Apache-2.0

/// A position in a `Slots` table. Four bytes instead of a pointer, and the same number on every replica.
package typealias Slot = Int32

/// No slot.
package let noSlot: Slot = -1

/// What a `Slots` table holds. A vacant record is recognised by its own fields, so no flag is stored beside it.
package protocol SlotRecord: Sendable {
    static var vacant: Self { get }
    var isVacant: Bool { get }
}

/// Records at stable small numbers, freed ones reused last freed first: which slot a record gets is a function of the
/// commands applied, so slot order is an order that replicas share (DESIGN §3 rule 1).
///
/// The storage is cut into pages. Growing never moves records, and a value copy taken for a snapshot costs only the
/// pages that change while it lives.
package struct Slots<Record: SlotRecord>: Sendable {
    private static var pageBits: Int { 8 }
    private static var pageSize: Int { 1 << pageBits }

    private var pages: [[Record]] = []
    /// One above the highest slot ever used.
    package private(set) var end: Slot = 0
    /// Vacant slots below `end`; the last is reused first.
    package private(set) var free: [Slot] = []

    package init() {}

    /// Rebuilds a table from a snapshot. Nil when `free` does not name exactly the vacant records.
    package init?(records: [Record], free: [Slot]) {
        guard records.count <= Int(Slot.max) else { return nil }
        var listed = Array(repeating: false, count: records.count)
        for slot in free {
            guard slot >= 0, Int(slot) < records.count, !listed[Int(slot)] else { return nil }
            listed[Int(slot)] = true
        }
        for (position, record) in records.enumerated() {
            guard record.isVacant == listed[position] else { return nil }
            append(record)
        }
        self.free = free
    }

    package var count: Int { Int(end) - free.count }

    package func contains(_ slot: Slot) -> Bool { slot >= 0 && slot < end && !self[slot].isVacant }

    package subscript(slot: Slot) -> Record {
        _read { yield pages[Int(slot) >> Self.pageBits][Int(slot) & (Self.pageSize - 1)] }
        _modify { yield &pages[Int(slot) >> Self.pageBits][Int(slot) & (Self.pageSize - 1)] }
    }

    package mutating func insert(_ record: Record) -> Slot {
        if let slot = free.popLast() {
            self[slot] = record
            return slot
        }
        append(record)
        return end - 1
    }

    package mutating func remove(_ slot: Slot) {
        self[slot] = .vacant
        free.append(slot)
    }

    private mutating func append(_ record: Record) {
        if Int(end) & (Self.pageSize - 1) == 0 {
            var page: [Record] = []
            page.reserveCapacity(Self.pageSize)
            pages.append(page)
        }
        pages[pages.count - 1].append(record)
        end += 1
    }
}
