// SPDX-License-Identifier: Apache-2.0
import CacheCore
import NIOCore

/// What stands in Redis under the keys of `KeyLayout`.
enum StoredForm {
    /// Sixteen digits of the log index, eight of the minor version; the value's bytes follow.
    static let versionDigits = 24

    static func version(_ version: CacheVersion) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(versionDigits)
        Hexadecimal.append(version.index, digits: 16, to: &bytes)
        Hexadecimal.append(UInt64(version.minor), digits: 8, to: &bytes)
        return bytes
    }

    /// Nil: not written by a home.
    static func entry(_ stored: ByteBuffer, remaining: UInt64?) -> MemoryEntry? {
        var stored = stored
        guard let index = stored.readBytes(length: 16).flatMap({ Hexadecimal.parse($0) }),
            let minor = stored.readBytes(length: 8).flatMap({ Hexadecimal.parse($0) }),
            let value = stored.readBytes(length: stored.readableBytes)
        else { return nil }
        let version = CacheVersion(index: index, minor: UInt32(truncatingIfNeeded: minor))
        return MemoryEntry(value: value, version: version, remaining: remaining)
    }
}

/// The value of a shard's fence.
struct StoredFence: Equatable, Comparable {
    static let digits = 24

    var epoch: UInt64
    /// Counts the connections that a home has written the shard through. What a broken connection still carries may
    /// reach the server after it was written anew, even after it was deleted: the older generation stops it.
    var generation: UInt32

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.digits)
        Hexadecimal.append(epoch, digits: 16, to: &bytes)
        Hexadecimal.append(UInt64(generation), digits: 8, to: &bytes)
        return bytes
    }

    init(epoch: UInt64, generation: UInt32) {
        self.epoch = epoch
        self.generation = generation
    }

    /// Nil: not written by a home.
    init?(_ stored: ByteBuffer) {
        let bytes = stored.readableBytesView
        guard bytes.count == Self.digits, let epoch = Hexadecimal.parse(bytes.prefix(16)),
            let generation = Hexadecimal.parse(bytes.dropFirst(16))
        else { return nil }
        self.init(epoch: epoch, generation: UInt32(truncatingIfNeeded: generation))
    }

    static func < (left: Self, right: Self) -> Bool {
        left.epoch == right.epoch ? left.generation < right.generation : left.epoch < right.epoch
    }
}
