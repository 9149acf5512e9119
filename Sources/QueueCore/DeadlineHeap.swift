// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Records that know their place in a `DeadlineHeap`.
protocol HeapSlots {
    /// `place` is -1 when the record is in no heap.
    mutating func setHeapPlace(_ place: Int32, of slot: Slot)
}

/// A binary min-heap of slots keyed by (time due, order). Every record knows its place, so any of them can be taken
/// out in logarithmic time and nothing is left behind. Equal times come out by `order`, which is unique, so what comes
/// out does not depend on how the heap was built.
struct DeadlineHeap: Sendable {
    struct Node: Sendable {
        var due: UInt64
        var order: UInt64
        var slot: Slot
    }

    private(set) var nodes: [Node] = []

    var count: Int { nodes.count }

    var first: Node? { nodes.first }

    mutating func insert(_ slot: Slot, due: UInt64, order: UInt64, _ slots: inout some HeapSlots) {
        nodes.append(Node(due: due, order: order, slot: slot))
        siftUp(nodes.count - 1, &slots)
    }

    /// Takes out the node at `place`, as its record knows it.
    mutating func remove(at place: Int32, _ slots: inout some HeapSlots) {
        guard place >= 0, Int(place) < nodes.count else { return }
        let index = Int(place)
        slots.setHeapPlace(-1, of: nodes[index].slot)
        let last = nodes.removeLast()
        guard index < nodes.count else { return }
        nodes[index] = last
        siftDown(index, &slots)
        siftUp(index, &slots)
    }

    /// The first nodes in order, at most `limit`.
    func prefix(_ limit: Int) -> [Node] {
        var open: [Int] = nodes.isEmpty ? [] : [0]
        var found: [Node] = []
        while !open.isEmpty, found.count < limit {
            let best = open.indices.min { precedes(open[$0], open[$1]) } ?? 0
            let node = open.remove(at: best)
            found.append(nodes[node])
            for child in [2 * node + 1, 2 * node + 2] where child < nodes.count { open.append(child) }
        }
        return found
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        (nodes[left].due, nodes[left].order) < (nodes[right].due, nodes[right].order)
    }

    private mutating func siftUp(_ start: Int, _ slots: inout some HeapSlots) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard precedes(index, parent) else { break }
            nodes.swapAt(index, parent)
            slots.setHeapPlace(Int32(truncatingIfNeeded: index), of: nodes[index].slot)
            index = parent
        }
        slots.setHeapPlace(Int32(truncatingIfNeeded: index), of: nodes[index].slot)
    }

    private mutating func siftDown(_ start: Int, _ slots: inout some HeapSlots) {
        var index = start
        while true {
            var smallest = index
            for child in [2 * index + 1, 2 * index + 2] where child < nodes.count && precedes(child, smallest) {
                smallest = child
            }
            guard smallest != index else { break }
            nodes.swapAt(index, smallest)
            slots.setHeapPlace(Int32(truncatingIfNeeded: index), of: nodes[index].slot)
            index = smallest
        }
        slots.setHeapPlace(Int32(truncatingIfNeeded: index), of: nodes[index].slot)
    }
}
