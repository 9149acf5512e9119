// SPDX-License-Identifier: Apache-2.0

/// Values under small numbers that are used again after removal; the number also carries a generation, so that a
/// late use of an old number finds nothing.
struct SlotTable<Value> {
    private struct Slot {
        var generation: UInt32
        var value: Value?
    }

    private var slots: [Slot] = []
    private var free: [UInt32] = []

    var count: Int { slots.count - free.count }

    mutating func insert(_ value: Value) -> UInt64 {
        if let index = free.popLast() {
            slots[Int(index)].value = value
            return UInt64(slots[Int(index)].generation) << 32 | UInt64(index)
        }
        slots.append(Slot(generation: 1, value: value))
        return 1 << 32 | UInt64(slots.count - 1)
    }

    mutating func remove(_ key: UInt64) -> Value? {
        let index = Int(key & 0xffff_ffff)
        guard index < slots.count, UInt64(slots[index].generation) == key >> 32, let value = slots[index].value else {
            return nil
        }
        slots[index].value = nil
        slots[index].generation &+= 1
        free.append(UInt32(index))
        return value
    }
}
