// SPDX-License-Identifier: Apache-2.0
import Primitives

/// What can be delivered of one queue, tenant and priority: a set of message ids whose first is the lowest.
///
/// Ids mostly come in rising order and go to the end: an array, of which full stretches are packed, to a few bits per
/// id or to none when the ids are evenly spaced. They are read where they are; nothing is unpacked when the front gets
/// to them. The few ids that come back take a heap. A message that leaves other than from the front only lowers
/// `live`: its id stays behind and is passed over when it comes up. Nothing outside can see those leftovers, so they
/// are not part of the replicated state.
struct IDLine: Sendable {
    /// Ids that are packed. Has none once the front has passed it.
    private struct Stretch: Sendable {
        var ids: PackedIDs
        var count: Int
        /// Nil when the ids have no residuals.
        var bits: ColdBlock?

        func id(at index: Int) -> UInt64 {
            guard let bits else { return ids.id(at: index) }
            return bits.withBytes { bytes in bytes.baseAddress.map { ids.id(at: index, $0) } ?? 0 }
        }
    }

    /// Which messages are in the line: those for which `MessageStore.isOffered` says so.
    struct Key {
        var queue: Slot
        var tenant: Int
        var priority: Int
    }

    /// Ids that are in the line.
    private(set) var live = 0
    private var stretches: [Stretch] = []
    /// After the stretches.
    private var tail: [UInt64] = []
    /// The stretch of the first id; their count when it is in the tail. Its place there is `offset`.
    private var head = 0
    private var offset = 0
    private var stored = 0
    private var last: UInt64 = 0
    private var heap: [UInt64] = []

    /// The id must not be in the line.
    mutating func insert(_ id: UInt64, _ store: borrowing MessageStore) {
        live += 1
        guard stored == 0 || id > last else {
            heap.append(id)
            siftUp(heap.count - 1)
            return
        }
        if tail.count >= store.table.layout.lineIDs { packTail(store.table.layout) }
        tail.append(id)
        stored += 1
        last = id
    }

    /// A message that was in the line is no more.
    mutating func leave(_ store: borrowing MessageStore, _ key: Key) {
        live -= 1
        if live == 0 {
            clear()
        } else if stored + heap.count > 4 * live + 1_024 {
            rebuild(store, key)
        }
    }

    /// The lowest id that is in the line; leftovers before it are let go.
    mutating func first(_ store: borrowing MessageStore, _ key: Key) -> UInt64? {
        guard live > 0 else { return nil }
        while true {
            let front = stored > 0 ? stored(at: offset, of: head) : nil
            let id: UInt64
            switch (front, heap.first) {
            case (nil, nil): return nil
            case (let front?, nil): id = front
            case (nil, let top?): id = top
            case (let front?, let top?): id = min(front, top)
            }
            if store.isOffered(id, key) { return id }
            if front == id { popFront() } else { popHeap() }
        }
    }

    /// The first ids in order, at most `limit`; looks at no more than `visits`.
    func prefix(_ limit: Int, _ store: borrowing MessageStore, _ key: Key, visits: Int) -> [UInt64] {
        var found: [UInt64] = []
        var seen = 0
        var stretch = head
        var place = offset
        while found.count < limit, seen < min(visits, stored) {
            let id = stored(at: place, of: stretch)
            if store.isOffered(id, key) { found.append(id) }
            seen += 1
            place += 1
            if stretch < stretches.count, place == stretches[stretch].count {
                stretch += 1
                place = 0
            }
        }
        // Best first through the heap: children are never below their parent.
        var open: [Int] = heap.isEmpty ? [] : [0]
        var returned: [UInt64] = []
        while !open.isEmpty, returned.count < limit, seen < visits {
            let best = open.indices.min { heap[open[$0]] < heap[open[$1]] } ?? 0
            let node = open.remove(at: best)
            seen += 1
            if store.isOffered(heap[node], key), returned.last != heap[node] { returned.append(heap[node]) }
            for child in [2 * node + 1, 2 * node + 2] where child < heap.count { open.append(child) }
        }
        let merged = (found + returned).sorted()
        var result: [UInt64] = []
        for id in merged where result.last != id && result.count < limit { result.append(id) }
        return result
    }

    /// Bytes reserved, and how many of them are in blocks.
    var reservedBytes: (all: Int, inBlocks: Int) {
        let blocks = stretches.reduce(0) { $0 + ($1.bits?.count ?? 0) }
        let objects = stretches.reduce(0) { $0 + ($1.bits == nil ? 0 : MessageTable.objectBytes) }
        let arrays = (heap.capacity + tail.capacity) * 8 + stretches.capacity * MemoryLayout<Stretch>.stride
        return (blocks + objects + arrays, blocks)
    }

    private func stored(at place: Int, of stretch: Int) -> UInt64 {
        stretch < stretches.count ? stretches[stretch].id(at: place) : tail[place]
    }

    /// A short line keeps its memory: queues that are nearly empty are emptied with every message.
    private mutating func clear() {
        guard stretches.isEmpty, tail.capacity <= 64, heap.capacity <= 64 else {
            self = IDLine()
            return
        }
        tail.removeAll(keepingCapacity: true)
        heap.removeAll(keepingCapacity: true)
        offset = 0
        stored = 0
    }

    /// Makes room in a full tail: of what has left the line, or by packing it.
    private mutating func packTail(_ layout: IndexLayout) {
        if head == stretches.count, offset > 0 {
            tail.removeFirst(offset)
            offset = 0
            guard tail.count * 2 > layout.lineIDs else { return }
        }
        let stretch = Self.pack(tail, layout)
        tail.removeAll(keepingCapacity: true)
        if let before = stretches.last, head < stretches.count,
            before.ids.isContinued(after: before.count, by: stretch.ids)
        {
            stretches[stretches.count - 1].count += stretch.count
        } else {
            stretches.append(stretch)
        }
    }

    private static func pack(_ ids: [UInt64], _ layout: IndexLayout) -> Stretch {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: ids.count) { keys in
            for (place, id) in ids.enumerated() { keys.initializeElement(at: place, to: id) }
            let packed = PackedIDs(keys)
            guard packed.column.width > 0 else { return Stretch(ids: packed, count: ids.count) }
            let size = packed.column.byteCount(ids.count) + PackedColumn.padding
            let block = withUnsafeTemporaryAllocation(byteCount: size, alignment: 1) { bytes in
                bytes.initializeMemory(as: UInt8.self, repeating: 0)
                if let start = bytes.baseAddress { packed.column.write(UnsafeBufferPointer(keys), to: start) }
                return layout.makeBlock(UnsafeRawBufferPointer(bytes))
            }
            return Stretch(ids: packed, count: ids.count, bits: block)
        }
    }

    private mutating func popFront() {
        offset += 1
        stored -= 1
        if stored == 0 {
            stretches = []
            tail = []
            head = 0
            offset = 0
        } else if head < stretches.count, offset == stretches[head].count {
            stretches[head].bits = nil
            head += 1
            offset = 0
            if head >= 64, head * 2 > stretches.count {
                stretches.removeFirst(head)
                head = 0
            }
        }
    }

    private mutating func popHeap() {
        let end = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = end
        var index = 0
        while true {
            var smallest = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count && heap[child] < heap[smallest] {
                smallest = child
            }
            guard smallest != index else { return }
            heap.swapAt(index, smallest)
            index = smallest
        }
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard heap[index] < heap[parent] else { return }
            heap.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func rebuild(_ store: borrowing MessageStore, _ key: Key) {
        let ids = offered(store, key)
        let live = live
        self = IDLine()
        for id in ids { insert(id, store) }
        // The message that is about to join may have left an id behind by an earlier life in this line. It is counted
        // when it joins; one id too many is passed over like any that stayed behind.
        self.live = live
    }

    /// All ids that are in the line, in order.
    private func offered(_ store: borrowing MessageStore, _ key: Key) -> [UInt64] {
        var ids: [UInt64] = []
        for id in heap where store.isOffered(id, key) { ids.append(id) }
        var stretch = head
        var place = offset
        for _ in 0..<stored {
            let id = stored(at: place, of: stretch)
            if store.isOffered(id, key) { ids.append(id) }
            place += 1
            if stretch < stretches.count, place == stretches[stretch].count {
                stretch += 1
                place = 0
            }
        }
        ids.sort()
        var unique: [UInt64] = []
        for id in ids where unique.last != id { unique.append(id) }
        return unique
    }

    /// What is wrong with the line; nil when nothing is.
    func fault(_ store: borrowing MessageStore, _ key: Key) -> String? {
        guard offered(store, key).count == live else { return "a line lacks ids" }
        let packed = stretches.dropFirst(head).reduce(tail.count) { $0 + $1.count }
        guard packed - offset == stored, head <= stretches.count else { return "a line counts its ids wrongly" }
        for stretch in stretches.dropFirst(head) {
            let size = stretch.bits.map { $0.count } ?? PackedColumn.padding
            guard stretch.ids.isSound, size == stretch.ids.column.byteCount(stretch.count) + PackedColumn.padding else {
                return "a stretch of a line is packed wrongly"
            }
        }
        return nil
    }
}
