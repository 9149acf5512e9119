// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Which node waits for the answer to which request. Kept in slots beside a lookup table, so that handing all callers
/// back after a lost election happens in an order that a replay repeats.
struct CallerTable: Sendable {
    private struct Slot: Sendable {
        var id: RequestID
        var node: NodeID
    }

    private var slots: [Slot?] = []
    private var free: [Int] = []
    private var index = LookupTable<RequestID, Int>()

    var count: Int { index.count }

    func contains(_ id: RequestID) -> Bool { index[id] != nil }

    /// A retry may come by way of another node: the latest caller gets the answer.
    mutating func note(_ id: RequestID, node: NodeID) {
        if let position = index[id] {
            slots[position] = Slot(id: id, node: node)
        } else if let position = free.popLast() {
            slots[position] = Slot(id: id, node: node)
            index[id] = position
        } else {
            index[id] = slots.count
            slots.append(Slot(id: id, node: node))
        }
    }

    mutating func remove(_ id: RequestID) -> NodeID? {
        guard let position = index.removeValue(forKey: id) else { return nil }
        let node = slots[position]?.node
        slots[position] = nil
        free.append(position)
        return node
    }

    /// Empties the table, giving each caller once, in slot order.
    mutating func removeAll(_ body: (RequestID, NodeID) -> Void) {
        for case .some(let slot) in slots { body(slot.id, slot.node) }
        slots.removeAll()
        free.removeAll()
        index.removeAll()
    }
}
