// SPDX-License-Identifier: Apache-2.0
import CChecksum
import Testing

@Suite struct CRC32CTests {
    private func both(_ bytes: [UInt8], seed: UInt32 = 0) -> (fast: UInt32, portable: UInt32) {
        bytes.withUnsafeBytes {
            (
                syncline_crc32c(seed, $0.baseAddress, $0.count),
                syncline_crc32c_portable(seed, $0.baseAddress, $0.count)
            )
        }
    }

    @Test(
        "the vectors of RFC 3720 appendix B.4",
        arguments: [
            (Array(repeating: 0, count: 32), 0x8a91_36aa),
            (Array(repeating: 0xff, count: 32), 0x62a8_ab43),
            (Array(0..<32), 0x46dd_794e),
            (Array((0..<32).reversed()), 0x113f_db5c),
            (Array("123456789".utf8), 0xe306_9283),
            ([], 0),
        ] as [([UInt8], UInt32)]
    )
    func vectors(bytes: [UInt8], expected: UInt32) {
        let found = both(bytes)
        #expect(found.fast == expected)
        #expect(found.portable == expected)
    }

    @Test("the instruction and the table agree for every length, alignment and seed, also in two steps")
    func agreement() {
        var state: UInt32 = 1
        let bytes = (0..<200).map { _ in
            state = state &* 1_664_525 &+ 1_013_904_223
            return UInt8(truncatingIfNeeded: state >> 24)
        }
        for start in 0..<9 {
            for end in start...bytes.count {
                let part = Array(bytes[start..<end])
                let whole = both(part, seed: UInt32(start))
                #expect(whole.fast == whole.portable)
                let middle = part.count / 2
                let first = both(Array(part[..<middle]), seed: UInt32(start)).fast
                #expect(both(Array(part[middle...]), seed: first).fast == whole.fast)
            }
        }
    }
}
