// SPDX-License-Identifier: Apache-2.0
import Primitives

/// What can be delivered of one queue, tenant and priority: a set of message ids whose first is the lowest.
///
/// Ids mostly come in rising order and go to the end of a chunked ring, eight bytes each; the few that come back take
/// a heap. A message that leaves other than from the front only lowers `live`: its id stays behind and is passed over
/// when it comes up. Nothing outside can see those leftovers, so they are not part of the replicated state.
struct IDLine: Sendable {
    private static var chunkSize: Int { 512 }

    /// Which messages are in the line: those for which `MessageStore.isOffered` says so.
    struct Key {
        var queue: Slot
        var tenant: Int
        var priority: Int
    }

    /// Ids that are in the line.
    private(set) var live = 0
    private var chunks: [[UInt64]] = []
    /// The first id is `chunks[head][offset]`.
    private var head = 0
    private var offset = 0
    private var stored = 0
    private var last: UInt64 = 0
    private var heap: [UInt64] = []

    /// The id must not be in the line.
    mutating func insert(_ id: UInt64) {
        live += 1
        guard stored == 0 || id > last else {
            heap.append(id)
            siftUp(heap.count - 1)
            return
        }
        if chunks.isEmpty {
            // Most lines are short: the first chunk grows as it needs.
            chunks.append([])
        } else if chunks[chunks.count - 1].count >= Self.chunkSize {
            var chunk: [UInt64] = []
            chunk.reserveCapacity(Self.chunkSize)
            chunks.append(chunk)
        }
        chunks[chunks.count - 1].append(id)
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
            let front = stored > 0 ? chunks[head][offset] : nil
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
        var chunk = head
        var place = offset
        var taken = 0
        while taken < stored, found.count < limit, seen < visits {
            let id = chunks[chunk][place]
            if store.isOffered(id, key) { found.append(id) }
            taken += 1
            seen += 1
            place += 1
            if place == chunks[chunk].count {
                chunk += 1
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

    var reservedBytes: Int {
        chunks.reduce(heap.capacity * 8) { $0 + $1.capacity * 8 + 40 }
    }

    /// A short line keeps its memory: queues that are nearly empty are emptied with every message.
    private mutating func clear() {
        guard chunks.count == 1, chunks[0].capacity <= 64, heap.capacity <= 64 else {
            self = IDLine()
            return
        }
        chunks[0].removeAll(keepingCapacity: true)
        heap.removeAll(keepingCapacity: true)
        head = 0
        offset = 0
        stored = 0
    }

    private mutating func popFront() {
        offset += 1
        stored -= 1
        if stored == 0 {
            chunks = []
            head = 0
            offset = 0
        } else if offset == chunks[head].count {
            chunks[head] = []
            head += 1
            offset = 0
            if head >= 64, head * 2 > chunks.count {
                chunks.removeFirst(head)
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
        var ids: [UInt64] = heap.filter { store.isOffered($0, key) }
        for chunk in chunks[head...] { ids += chunk.filter { store.isOffered($0, key) } }
        ids.sort()
        self = IDLine()
        var previous: UInt64?
        for id in ids where id != previous {
            insert(id)
            previous = id
        }
    }
}
