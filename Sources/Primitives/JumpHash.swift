// SPDX-License-Identifier: Apache-2.0

/// Jump consistent hash (Lamping, Veach: "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014): spreads keys
/// evenly over numbered buckets without a table. When the count grows from n to n + 1, 1/(n + 1) of the keys move, all
/// of them to the new bucket. Only the last bucket can go: for numbered things such as lanes, not for nodes, which have
/// names.
package enum JumpHash {
    package static let buckets = 1...Int(Int32.max)

    /// The bucket, in `0 ..< count`, of a key that is hashed already. O(log count).
    ///
    /// The two floating-point operations are those of the paper; IEEE 754 fixes their results to the last bit.
    /// - Parameter count: within `buckets`; anything else is a bug of the caller.
    package static func bucket(for key: UInt64, count: Int) -> Int {
        invariant(buckets.contains(count), "jump hash over \(count) buckets")
        var key = key
        var bucket: Int64 = -1
        var next: Int64 = 0
        while next < Int64(count) {
            bucket = next
            key = key &* 2_862_933_555_777_941_757 &+ 1
            // At most 2^31 × 2^31, which an Int64 holds.
            next = Int64(Double(bucket + 1) * (Double(1 << 31) / Double((key >> 33) + 1)))
        }
        return Int(bucket)
    }
}
