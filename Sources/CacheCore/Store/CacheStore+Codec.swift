// SPDX-License-Identifier: Apache-2.0
package import Primitives

// How a snapshot holds a store: what kind it is, its floor, then the entries in the order of the hashes.

extension CacheStore {
    private static let dirtyMark: UInt8 = 1
    private static let tombstoneMark: UInt8 = 2

    package func encode(into writer: inout ByteWriter) {
        writer.bool(isWrittenBack)
        writer.varint(floor)
        writer.varint(UInt64(entryCount))
        forEach { entry in
            writer.u8((entry.isDirty ? Self.dirtyMark : 0) | (entry.value == nil ? Self.tombstoneMark : 0))
            writer.blob(entry.key.bytes)
            entry.version.encode(into: &writer)
            writer.varint(entry.expiresAt)
            if let value = entry.value { writer.blob(value) }
        }
        // Recomputed by the reader: no entry can be changed unseen.
        writer.u64(digest)
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(isWrittenBack: try reader.bool())
        let floor = try reader.varint()
        // An entry takes more than one byte, so the count cannot ask for more work than there are bytes.
        let count = try reader.count(limit: reader.remaining, "cache entries")
        var last: CacheEntry?
        for _ in 0..<count {
            let entry = try Self.decodeEntry(&reader, isWrittenBack: isWrittenBack)
            if let last {
                guard last.hash < entry.hash || (last.hash == entry.hash && last.key < entry.key) else {
                    throw .invalidValue(what: "order of cache entries")
                }
            }
            last = entry
            adopt(entry)
        }
        self.floor = floor
        guard try reader.u64() == digest else { throw .invalidValue(what: "digest of cache entries") }
    }

    private static func decodeEntry(
        _ reader: inout ByteReader,
        isWrittenBack: Bool
    ) throws(DecodingError) -> CacheEntry {
        let marks = try reader.u8()
        guard marks <= dirtyMark | tombstoneMark, marks == 0 || isWrittenBack else {
            throw .invalidValue(what: "marks of a cache entry")
        }
        let key = try reader.cacheKey()
        let version = try CacheVersion(decoding: &reader)
        let expiresAt = try reader.varint()
        let isTombstone = marks & tombstoneMark != 0
        guard !isTombstone || expiresAt == 0 else { throw .invalidValue(what: "expiry of a tombstone") }
        return CacheEntry(
            hash: key.hash,
            key: key,
            value: isTombstone ? nil : try reader.cacheValue(),
            version: version,
            expiresAt: expiresAt,
            isDirty: marks & dirtyMark != 0
        )
    }
}
