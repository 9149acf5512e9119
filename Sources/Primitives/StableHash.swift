// SPDX-License-Identifier: Apache-2.0

/// Hash functions whose results are the same in every process and version; `Hasher` is seeded per process.
package enum StableHash {
    /// FNV-1a, 64 bits (Fowler, Noll, Vo). For short names, not for untrusted table keys.
    package static func fnv1a(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return hash
    }

    /// The finaliser of SplitMix64: spreads every input bit over the whole result.
    package static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// Joins a value to a running hash; the order of joins matters.
    package static func combine(_ hash: UInt64, _ value: UInt64) -> UInt64 {
        mix(hash &* 0x9e37_79b9_7f4a_7c15 &+ value)
    }

    /// Of bytes in memory, eight at a time: several times the speed of `fnv1a` on keys. Not for tables that must stand
    /// up to somebody who looks for collisions.
    package static func bytes(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0x9e37_79b9_7f4a_7c15
        var offset = 0
        while offset + 8 <= bytes.count {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            hash = mix(hash ^ word)
            offset += 8
        }
        var tail: UInt64 = 0
        var shift: UInt64 = 0
        while offset < bytes.count {
            tail |= UInt64(bytes[offset]) << shift
            shift += 8
            offset += 1
        }
        return combine(mix(hash ^ tail), UInt64(truncatingIfNeeded: bytes.count))
    }
}
