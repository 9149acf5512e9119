// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Testing

@Suite("Store codec")
struct StoreCodecTests {
    private static func example() -> CacheStore {
        var store = CacheStore(isWrittenBack: true)
        store.put(CacheKey("a"), [1, 2, 3], 1)
        store.put(CacheKey(""), [], 300, expiresAt: 1_790_000_000_000)
        store.remove(CacheKey("gone"), 5)
        for key in StoreKeys.colliding(3) { store.put(key, Array("v".utf8), 9) }
        let key = CacheKey("a")
        store.markFlushed(key, hash: key.hash, version: CacheVersion(index: 1))
        store.apply(.store([0], expiresAt: 0), to: key, hash: key.hash, at: CacheVersion(index: 4, minor: 70_000))
        store.markFlushed(CacheKey(""), hash: CacheKey("").hash, version: CacheVersion(index: 300))
        return store
    }

    private func expectSame(_ left: CacheStore, _ right: CacheStore) {
        #expect(left.all == right.all)
        #expect(left.digest == right.digest)
        #expect(left.floor == right.floor)
        #expect(left.isWrittenBack == right.isWrittenBack)
        #expect(
            [left.count, left.tombstoneCount, left.bytes, left.dirtyCount, left.dirtyBytes]
                == [right.count, right.tombstoneCount, right.bytes, right.dirtyCount, right.dirtyBytes]
        )
    }

    @Test("a store reads back as it was written")
    func roundTrip() throws {
        for store in [Self.example(), CacheStore(), CacheStore(isWrittenBack: true)] {
            let copy = try CacheStore.decoded(store.encoded)
            expectSame(store, copy)
            #expect(copy.encoded == store.encoded)
        }
    }

    @Test("the end of the bytes is found out wherever it comes")
    func truncation() {
        let bytes = Self.example().encoded
        for length in bytes.indices {
            #expect(throws: DecodingError.self) { try CacheStore.decoded(Array(bytes.prefix(length))) }
        }
        #expect(throws: DecodingError.trailingBytes) { try CacheStore.decoded(bytes + [0]) }
    }

    @Test("no byte can be changed unseen")
    func damage() {
        let bytes = Self.example().encoded
        for position in bytes.indices {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[position] ^= 1 << UInt8(bit)
                #expect(throws: DecodingError.self, "byte \(position) bit \(bit)") {
                    try CacheStore.decoded(damaged)
                }
            }
        }
    }

    private func written(
        isWrittenBack: Bool = true,
        count: UInt64,
        _ body: (inout ByteWriter) -> Void
    ) -> [UInt8] {
        var writer = ByteWriter()
        writer.bool(isWrittenBack)
        writer.varint(0)
        writer.varint(count)
        body(&writer)
        writer.u64(0)
        return writer.bytes
    }

    private func entry(_ key: [UInt8], _ writer: inout ByteWriter, marks: UInt8 = 0, value: [UInt8]? = [1]) {
        writer.u8(marks)
        writer.blob(key)
        CacheVersion(index: 1).encode(into: &writer)
        writer.varint(0)
        if let value { writer.blob(value) }
    }

    @Test("entries out of order, twice, too many, too long or wrongly marked are refused for what they are")
    func refusals() {
        let keys = ["a", "b"].map { CacheKey($0) }.sorted { $0.hash < $1.hash }
        let rows: [([UInt8], DecodingError)] = [
            (
                written(count: 2) { writer in
                    for key in keys.reversed() { entry(key.bytes, &writer) }
                }, .invalidValue(what: "order of cache entries")
            ),
            (
                written(count: 2) { writer in
                    for _ in 0..<2 { entry([1], &writer) }
                }, .invalidValue(what: "order of cache entries")
            ),
            (
                written(count: 2) { writer in
                    for key in StoreKeys.colliding(2).sorted(by: { $1 < $0 }) { entry(key.bytes, &writer) }
                }, .invalidValue(what: "order of cache entries")
            ),
            (written(count: 1) { entry([1], &$0, marks: 4) }, .invalidValue(what: "marks of a cache entry")),
            (
                written(isWrittenBack: false, count: 1) { entry([1], &$0, marks: 1) },
                .invalidValue(what: "marks of a cache entry")
            ),
            (
                written(isWrittenBack: false, count: 1) { entry([1], &$0, marks: 2, value: nil) },
                .invalidValue(what: "marks of a cache entry")
            ),
            (
                written(count: 1) { writer in
                    writer.u8(2)
                    writer.blob([1])
                    CacheVersion.zero.encode(into: &writer)
                    writer.varint(5)
                }, .invalidValue(what: "expiry of a tombstone")
            ),
            (
                written(count: 1) { entry(Array(repeating: 0, count: CacheLimits.keyBytes + 1), &$0) },
                .limitExceeded(what: "key")
            ),
            (
                written(count: 1) { entry([1], &$0, value: Array(repeating: 0, count: CacheLimits.valueBytes + 1)) },
                .limitExceeded(what: "value")
            ),
            (written(count: .max) { entry([1], &$0) }, .limitExceeded(what: "cache entries")),
            (written(count: 1) { entry([1], &$0) }, .invalidValue(what: "digest of cache entries")),
        ]
        for (bytes, error) in rows { #expect(throws: error) { try CacheStore.decoded(bytes) } }
    }
}
