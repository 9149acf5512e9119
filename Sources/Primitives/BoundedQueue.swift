// SPDX-License-Identifier: Apache-2.0

/// A first-in-first-out queue in a ring buffer that refuses to grow past a named limit (DESIGN §3 rule 3).
package struct BoundedQueue<Element> {
    private var slots: [Element?]
    private var head = 0
    package private(set) var count = 0
    package let limit: Int

    package init(limit: Int) {
        invariant(limit > 0, "a bounded queue needs room for one element")
        self.limit = limit
        self.slots = Array(repeating: nil, count: Swift.min(limit, 16))
    }

    package var isEmpty: Bool { count == 0 }

    package var isFull: Bool { count == limit }

    package var first: Element? { count == 0 ? nil : slots[head] }

    /// False, and nothing changed, when the queue is full.
    package mutating func append(_ element: Element) -> Bool {
        guard count < limit else { return false }
        if count == slots.count { grow() }
        slots[(head + count) % slots.count] = element
        count += 1
        return true
    }

    package mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = slots[head]
        slots[head] = nil
        head = (head + 1) % slots.count
        count -= 1
        return element
    }

    package mutating func removeAll() { self = BoundedQueue(limit: limit) }

    private mutating func grow() {
        var larger: [Element?] = []
        larger.reserveCapacity(Swift.min(limit, slots.count * 2))
        for offset in 0..<count { larger.append(slots[(head + offset) % slots.count]) }
        while larger.count < Swift.min(limit, slots.count * 2) { larger.append(nil) }
        slots = larger
        head = 0
    }
}

extension BoundedQueue: Sendable where Element: Sendable {}
