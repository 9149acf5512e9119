// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Orders the values that a key has had. `index` is the log index of the latest logged change. `minor` counts on from
/// the first change of that entry: further ones that shared it, and what the key's owner has written since without the
/// log (modes local and volatile).
package struct CacheVersion: Hashable, Comparable, Sendable {
    package var index: UInt64
    package var minor: UInt32

    package init(index: UInt64, minor: UInt32 = 0) {
        self.index = index
        self.minor = minor
    }

    package static let zero = CacheVersion(index: 0)

    package static func < (left: CacheVersion, right: CacheVersion) -> Bool {
        left.index == right.index ? left.minor < right.minor : left.index < right.index
    }

    package func encode(into writer: inout ByteWriter) {
        writer.varint(index)
        writer.varint(UInt64(minor))
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        index = try reader.varint()
        let minor = try reader.varint()
        guard minor <= UInt64(UInt32.max) else { throw .invalidValue(what: "minor version") }
        self.minor = UInt32(minor)
    }
}

extension CacheVersion: CustomStringConvertible {
    /// `1205`, or `1205.3` after three more writes.
    package var description: String { minor == 0 ? "\(index)" : "\(index).\(minor)" }

    /// Reads what `description` writes; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, let index = UInt64(parts[0]), String(index) == parts[0] else { return nil }
        guard parts.count == 2 else {
            self.init(index: index)
            return
        }
        guard let minor = UInt32(parts[1]), minor > 0, String(minor) == parts[1] else { return nil }
        self.init(index: index, minor: minor)
    }
}
