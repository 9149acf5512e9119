// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// The name of a line: any bytes.
package struct CacheKey: Hashable, Sendable {
    package let bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package init(_ text: String) { bytes = Array(text.utf8) }

    /// Spreads keys over shards and tables; the same on every node and at every start.
    package var hash: UInt64 { bytes.withUnsafeBytes { Self.hash(of: $0) } }

    package static func hash(of bytes: UnsafeRawBufferPointer) -> UInt64 { StableHash.bytes(bytes) }

    /// - Parameter hash: `hash(of:)` of the key.
    package static func shard(hash: UInt64, count: Int) -> ShardID {
        // The high bits: tables index by the low ones.
        ShardID(UInt16(truncatingIfNeeded: (hash >> 32) % UInt64(count)))
    }
}

extension CacheKey: Comparable {
    package static func < (left: CacheKey, right: CacheKey) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }
}

extension CacheKey: CustomStringConvertible {
    package var description: String { String(decoding: bytes, as: UTF8.self) }
}
