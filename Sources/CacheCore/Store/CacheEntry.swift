// SPDX-License-Identifier: Apache-2.0
import Primitives

/// What a `CacheStore` holds of one key.
package struct CacheEntry: Sendable, Equatable {
    package let hash: UInt64
    package let key: CacheKey
    /// Nil: a tombstone, of a removed key that Redis may still have.
    package internal(set) var value: [UInt8]?
    /// Milliseconds of the cluster's clock; zero: never.
    package internal(set) var expiresAt: UInt64
    /// What this entry adds to the store's digest.
    private(set) var digest: UInt64 = 0
    package internal(set) var version: CacheVersion
    /// Still to be written back.
    package internal(set) var isDirty: Bool

    init(hash: UInt64, key: CacheKey, value: [UInt8]?, version: CacheVersion, expiresAt: UInt64, isDirty: Bool) {
        self.hash = hash
        self.key = key
        self.value = value
        self.version = version
        self.expiresAt = expiresAt
        self.isDirty = isDirty
        seal()
    }

    /// Of this structure, the headers of the arrays of key and value, what the allocator rounds them up by, and the
    /// room that a growing bucket leaves: measured with a million entries.
    package static let overhead = 160

    var bytes: Int { key.bytes.count + (value?.count ?? 0) + Self.overhead }

    /// To be called after every change.
    mutating func seal() {
        // Lengths too: short texts of different lengths may well have one hash.
        let marks = UInt64(key.bytes.count) << 2 | (isDirty ? 2 : 0) | (value == nil ? 0 : 1)
        var sum = StableHash.combine(hash, version.index)
        sum = StableHash.combine(sum, UInt64(version.minor) | marks << 32)
        sum = StableHash.combine(sum, expiresAt)
        if let value {
            sum = StableHash.combine(sum, UInt64(value.count))
            sum = StableHash.combine(sum, value.withUnsafeBytes { StableHash.bytes($0) })
        }
        digest = sum
    }
}
