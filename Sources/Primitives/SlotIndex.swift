// SPDX-License-Identifier: Apache-2.0

/// Finds slots by a hash of their key: open addressing with linear probing and backward-shift deletion (Knuth, TAOCP 3,
/// §6.4, algorithm R). The keys stay in the records, so an entry costs eight bytes, and copying or growing the index
/// touches no key. It cannot be walked.
///
/// Callers hash with `Hasher`, whose per-process seed keeps clients from choosing names that collide; positions
/// therefore differ between replicas, and nothing outside may depend on them.
package struct SlotIndex: Sendable {
    /// Hash in the high half, slot plus one in the low half; zero is empty.
    private var buckets: [UInt64] = []
    package private(set) var count = 0

    package init() {}

    /// The slot with this hash for which `matches` holds.
    package func find(_ hash: UInt32, where matches: (Slot) -> Bool) -> Slot? {
        guard count > 0 else { return nil }
        let mask = buckets.count - 1
        var position = Int(hash) & mask
        while true {
            let bucket = buckets[position]
            if bucket == 0 { return nil }
            if UInt32(truncatingIfNeeded: bucket >> 32) == hash {
                let slot = Self.slot(bucket)
                if matches(slot) { return slot }
            }
            position = (position + 1) & mask
        }
    }

    /// The pair must not be in the index.
    package mutating func insert(_ hash: UInt32, _ slot: Slot) {
        if (count + 1) * 4 > buckets.count * 3 { resize(to: Swift.max(16, buckets.count * 2)) }
        place(UInt64(hash) << 32 | UInt64(UInt32(slot) + 1))
        count += 1
    }

    /// The pair must be in the index.
    package mutating func remove(_ hash: UInt32, _ slot: Slot) {
        guard count > 0 else { return }
        let mask = buckets.count - 1
        let wanted = UInt64(hash) << 32 | UInt64(UInt32(slot) + 1)
        var hole = Int(hash) & mask
        while buckets[hole] != wanted {
            if buckets[hole] == 0 { return }
            hole = (hole + 1) & mask
        }
        var next = (hole + 1) & mask
        while buckets[next] != 0 {
            let home = Int(buckets[next] >> 32) & mask
            // Move back only what stays reachable from its home position.
            if (next - home) & mask >= (next - hole) & mask {
                buckets[hole] = buckets[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        buckets[hole] = 0
        count -= 1
        if buckets.count > 64, count * 8 < buckets.count { resize(to: buckets.count / 2) }
    }

    private static func slot(_ bucket: UInt64) -> Slot { Slot(truncatingIfNeeded: bucket & 0xffff_ffff) - 1 }

    private mutating func place(_ bucket: UInt64) {
        let mask = buckets.count - 1
        var position = Int(bucket >> 32) & mask
        while buckets[position] != 0 { position = (position + 1) & mask }
        buckets[position] = bucket
    }

    private mutating func resize(to capacity: Int) {
        let old = buckets
        buckets = Array(repeating: 0, count: capacity)
        for bucket in old where bucket != 0 { place(bucket) }
    }
}
