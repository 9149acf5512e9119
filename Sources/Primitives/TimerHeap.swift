// SPDX-License-Identifier: Apache-2.0

/// A binary min-heap of deadlines. Ties come out in the order they went in, so a run can be replayed.
package struct TimerHeap<Payload> {
    fileprivate struct Node {
        var deadline: Instant
        var order: UInt64
        var payload: Payload
    }

    private var nodes: [Node] = []
    private var nextOrder: UInt64 = 0

    package init() {}

    package var count: Int { nodes.count }

    package var earliest: Instant? { nodes.first?.deadline }

    package mutating func insert(_ payload: Payload, at deadline: Instant) {
        nodes.append(Node(deadline: deadline, order: nextOrder, payload: payload))
        nextOrder += 1
        siftUp(nodes.count - 1)
    }

    /// The payload with the earliest deadline, if that deadline is not after `now`.
    package mutating func popDue(_ now: Instant) -> Payload? {
        guard let first = nodes.first, first.deadline <= now else { return nil }
        let last = nodes.removeLast()
        if !nodes.isEmpty {
            nodes[0] = last
            siftDown(0)
        }
        return first.payload
    }

    package mutating func removeAll() { nodes.removeAll() }

    /// Keeps the payloads that `isKept` wants, in time proportional to their number.
    package mutating func filter(_ isKept: (Payload) -> Bool) {
        nodes.removeAll { !isKept($0.payload) }
        for index in stride(from: nodes.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        (nodes[left].deadline, nodes[left].order) < (nodes[right].deadline, nodes[right].order)
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard precedes(index, parent) else { return }
            nodes.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        while true {
            var smallest = index
            for child in [2 * index + 1, 2 * index + 2] where child < nodes.count && precedes(child, smallest) {
                smallest = child
            }
            guard smallest != index else { return }
            nodes.swapAt(index, smallest)
            index = smallest
        }
    }
}

extension TimerHeap: Sendable where Payload: Sendable {}
extension TimerHeap.Node: Sendable where Payload: Sendable {}
