// SPDX-License-Identifier: Apache-2.0
import CacheCore
import NIOCore
import Primitives
import Testing

@testable import Memory

@Suite("Names and forms in Redis")
struct LayoutTests {
    @Test("the slot of a tag is CRC-16/XMODEM modulo 16,384, as in the specification of Redis Cluster")
    func slots() {
        #expect(HashSlot.crc("123456789".utf8) == 0x31c3)
        #expect(HashSlot.of("".utf8) == 0)
        // As CLUSTER KEYSLOT answers.
        #expect(HashSlot.of("foo".utf8) == 12_182)
        #expect(HashSlot.of("user1000".utf8) == 3_443)
    }

    @Test("SHA-1 gives the digests of its standard")
    func digests() {
        #expect(SHA1.hexadecimal("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(SHA1.hexadecimal("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        #expect(
            SHA1.hexadecimal("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
                == "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        )
        #expect(
            SHA1.hexadecimal(String(repeating: "a", count: 1_000)) == "291e9a6c66994949b57ba5e650361e98fc36b1ba"
        )
    }

    @Test("all names of a shard have its tag, and keys of any bytes come back from them")
    func names() {
        let layout = KeyLayout(cluster: 0xab)
        #expect(layout.fence(ShardID(12)) == Array("syncline:00000000000000ab:{12}:fence".utf8))
        #expect(layout.key(ShardID(12), CacheKey("user:7")) == Array("syncline:00000000000000ab:{12}:k:user:7".utf8))
        #expect(layout.slot(ShardID(12)) == HashSlot.of("12".utf8))
        for key in [[], [0], [0xff, 0xfe, 0], Array("{99}:k:x".utf8), Array("a*b?c[d]\r\n".utf8)] as [[UInt8]] {
            let parsed = layout.parse(layout.key(ShardID(65_535), CacheKey(key)))
            #expect(parsed?.shard == ShardID(65_535) && parsed?.key == CacheKey(key), "\(key)")
        }
        #expect(layout.parse(layout.fence(ShardID(1))) == nil)
        #expect(KeyLayout(cluster: 0xac).parse(layout.key(ShardID(1), CacheKey("a"))) == nil)
        for other in ["", "syncline:", "syncline:00000000000000ab:{", "syncline:00000000000000ab:{65536}:k:a"] {
            #expect(layout.parse(Array(other.utf8)) == nil, "\(other)")
        }
    }

    @Test("versions are twenty-four digits whose order as text is theirs")
    func versions() {
        let ordered = [
            CacheVersion(index: 0), CacheVersion(index: 0, minor: .max), CacheVersion(index: 1),
            CacheVersion(index: 0xaa), CacheVersion(index: 1 << 53), CacheVersion(index: 1 << 53 + 1),
            CacheVersion(index: .max, minor: 1), CacheVersion(index: .max, minor: .max),
        ]
        let forms = ordered.map { StoredForm.version($0) }
        #expect(forms.allSatisfy { $0.count == StoredForm.versionDigits })
        for (left, right) in zip(forms, forms.dropFirst()) { #expect(left.lexicographicallyPrecedes(right)) }
        for (version, form) in zip(ordered, forms) {
            let entry = StoredForm.entry(ByteBuffer(bytes: form + [0, 0xff]), remaining: 5)
            #expect(entry == MemoryEntry(value: [0, 0xff], version: version, remaining: 5))
        }
        for bad in ["", "0", String(repeating: "0", count: 23), String(repeating: "A", count: 24)] {
            #expect(StoredForm.entry(ByteBuffer(string: bad), remaining: nil) == nil, "\(bad)")
        }
    }

    @Test("fences order by epoch, then by generation, and other texts are none")
    func fences() {
        let fences = [
            StoredFence(epoch: 1, generation: 9), StoredFence(epoch: 2, generation: 1),
            StoredFence(epoch: 2, generation: 2), StoredFence(epoch: .max, generation: .max),
        ]
        for (left, right) in zip(fences, fences.dropFirst()) {
            #expect(left < right && left.bytes.lexicographicallyPrecedes(right.bytes))
        }
        for fence in fences { #expect(StoredFence(ByteBuffer(bytes: fence.bytes)) == fence) }
        #expect(StoredFence(ByteBuffer(string: "7")) == nil)
        #expect(StoredFence(ByteBuffer(string: String(repeating: "g", count: 24))) == nil)
    }

    @Test("a cursor counts only at the server that gave it, and leaves sixteen bits free")
    func cursors() throws {
        let cursor = try #require(ScanCursor(position: 1 << 42 - 1, runID: "a"))
        #expect(cursor.raw < 1 << 48)
        #expect(cursor.position(at: "a") == 1 << 42 - 1)
        let others = (0..<64).map { ScanCursor(raw: cursor.raw).position(at: "other \($0)") }
        #expect(others.filter { $0 == 0 }.count > 50)
        #expect(ScanCursor(position: 0, runID: "a")?.raw == 0)
        #expect(ScanCursor(position: 1 << 42, runID: "a") == nil)
    }
}
