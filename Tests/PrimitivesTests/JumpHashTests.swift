// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@Suite("Jump hash (Lamping, Veach)")
struct JumpHashTests {
    @Test(
        "published vectors: Guava's HashingTest and the Go and Rust ports' tests",
        arguments: [
            (1, 1, 0), (42, 57, 43), (0xdead_10cc, 1, 0), (0xdead_10cc, 666, 361), (256, 1_024, 520),
            (10_863_919_174_838_991, 11, 6), (2_016_238_256_797_177_309, 11, 3), (1_673_758_223_894_951_030, 11, 5),
            (2, 100_001, 80_343), (2_201, 100_001, 22_152), (2_202, 100_001, 15_018),
        ] as [(UInt64, Int, Int)]
    )
    func vectors(key: UInt64, count: Int, bucket: Int) { #expect(JumpHash.bucket(for: key, count: count) == bucket) }

    @Test("Guava's golden hundred")
    func golden() {
        let golden = [0, 55, 62, 8, 45, 59, 86, 97, 82, 59, 73, 37, 17, 56, 86, 21, 90, 37, 38, 83]
        #expect((0..<20).map { JumpHash.bucket(for: $0, count: 100) } == golden)
    }

    @Test("a key stays or moves to the new bucket when one is added; 1/n of them move, and buckets are even")
    func properties() {
        var random = SeededRandom(seed: 5)
        let keys = (0..<4_000).map { _ in random.next() }
        var before = keys.map { _ in 0 }
        for count in 2...16 {
            let after = keys.map { JumpHash.bucket(for: $0, count: count) }
            #expect(zip(before, after).allSatisfy { $0 == $1 || $1 == count - 1 })
            let moved = zip(before, after).count { $0 != $1 }
            #expect(abs(Double(moved) / Double(keys.count) - 1 / Double(count)) < 0.03)
            before = after
        }
        for bucket in 0..<16 { #expect(abs(before.count { $0 == bucket } - 250) < 75) }
        #expect((0...10_000_000).contains(JumpHash.bucket(for: .max, count: Int(Int32.max)) % 10_000_001))
    }
}
