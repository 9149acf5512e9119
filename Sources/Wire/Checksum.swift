// SPDX-License-Identifier: Apache-2.0
import CChecksum

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), the checksum of every frame, log record and snapshot chunk.
package enum Checksum {
    /// The checksum of all of `bytes`. `seed` is the checksum of what came before them; 0 to begin.
    package static func crc32c(_ bytes: [UInt8], seed: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { syncline_crc32c(seed, $0.baseAddress, $0.count) }
    }

    /// The checksum of `bytes[start ..< end]`, which must lie within the array.
    package static func crc32c(_ bytes: [UInt8], from start: Int, to end: Int, seed: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { whole in
            let part = UnsafeRawBufferPointer(rebasing: whole[start..<end])
            return syncline_crc32c(seed, part.baseAddress, part.count)
        }
    }
}
