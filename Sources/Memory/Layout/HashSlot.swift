// SPDX-License-Identifier: Apache-2.0

/// Redis Cluster's slot of a hash tag: CRC-16/XMODEM, modulo 16,384.
enum HashSlot {
    static let count = 16_384

    static func of(_ tag: some Sequence<UInt8>) -> UInt16 { crc(tag) % UInt16(count) }

    static func crc(_ bytes: some Sequence<UInt8>) -> UInt16 {
        var crc: UInt16 = 0
        for byte in bytes {
            crc ^= UInt16(byte) << 8
            for _ in 0..<8 { crc = crc & 0x8000 == 0 ? crc << 1 : crc << 1 ^ 0x1021 }
        }
        return crc
    }
}
