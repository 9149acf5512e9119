// SPDX-License-Identifier: Apache-2.0

/// Which optional fields a block has, as four bits, in the order in which they stand.
enum LineExtensions {
    static let dirty: UInt8 = 1
    static let expiry: UInt8 = 2
    static let minor: UInt8 = 4
    static let high: UInt8 = 8

    /// How many bytes they take: per combination a digit, in units of four.
    @inline(__always) static func bytes(_ bits: UInt8) -> Int {
        Int((0x7452_6341_6341_5230 as UInt64) >> (UInt64(bits) &* 4) & 15) &* 4
    }

    /// Where in a block the one field stands.
    @inline(__always) static func offset(_ field: UInt8, in bits: UInt8) -> Int {
        LineBlock.headerBytes + bytes(bits & (field - 1))
    }

    static func needed(_ fields: LineFields) -> UInt8 {
        (fields.dirtySince == nil ? 0 : dirty) | (fields.expiresAt == 0 ? 0 : expiry)
            | (fields.version.minor == 0 ? 0 : minor)
            | ((fields.version.index | fields.gid) > LineBlock.mask48 ? high : 0)
    }
}

/// The first word of a block, from the lowest bit: key bytes 13, value bytes 24, state 2, durability 2, exists 1,
/// extensions 4, outside 1, in main queue 1, linked 1, uses 2, flags 13.
struct LineWord {
    var bits: UInt64

    @inline(__always) init(bits: UInt64) { self.bits = bits }

    @inline(__always) private func field(_ shift: UInt64, _ width: UInt64) -> UInt64 {
        (bits &>> shift) & ((1 &<< width) &- 1)
    }

    @inline(__always) private mutating func set(_ value: UInt64, _ shift: UInt64, _ width: UInt64) {
        bits = bits & ~(((1 &<< width) &- 1) &<< shift) | value &<< shift
    }

    var keyCount: Int {
        @inline(__always) get { Int(field(0, 13)) }
        set { set(UInt64(newValue), 0, 13) }
    }

    var valueCount: Int {
        @inline(__always) get { Int(field(13, 24)) }
        set { set(UInt64(newValue), 13, 24) }
    }

    var state: LineState {
        @inline(__always) get { LineState(rawValue: UInt8(field(37, 2))).unsafelyUnwrapped }
        set { set(UInt64(newValue.rawValue), 37, 2) }
    }

    var durability: CacheDurability {
        @inline(__always) get { CacheDurability(rawValue: UInt8(field(39, 2))).unsafelyUnwrapped }
        set { set(UInt64(newValue.rawValue), 39, 2) }
    }

    var exists: Bool {
        @inline(__always) get { field(41, 1) != 0 }
        set { set(newValue ? 1 : 0, 41, 1) }
    }

    var extensions: UInt8 {
        @inline(__always) get { UInt8(field(42, 4)) }
        set { set(UInt64(newValue), 42, 4) }
    }

    var isDirty: Bool {
        @inline(__always) get { field(42, 1) != 0 }
    }

    /// Key and value are in a block of their own.
    var isOutside: Bool {
        @inline(__always) get { field(46, 1) != 0 }
        set { set(newValue ? 1 : 0, 46, 1) }
    }

    /// The queue it is in, or comes back to.
    var queue: LineQueue {
        @inline(__always) get { field(47, 1) != 0 ? .main : .small }
        set { set(newValue == .main ? 1 : 0, 47, 1) }
    }

    /// False: eviction has passed it over, since it may not be dropped; it is in no queue until it may.
    var isLinked: Bool {
        @inline(__always) get { field(48, 1) != 0 }
        @inline(__always) set { set(newValue ? 1 : 0, 48, 1) }
    }

    /// S3-FIFO's count of uses, zero to three.
    var uses: UInt64 {
        @inline(__always) get { field(49, 2) }
        @inline(__always) set { set(newValue, 49, 2) }
    }

    var flags: LineFlags {
        @inline(__always) get { LineFlags(rawValue: UInt16(field(51, 13))) }
        set { set(UInt64(newValue.rawValue & LineFlags.mask), 51, 13) }
    }

    /// Key and value follow the header at once.
    @inline(__always) var isPlain: Bool { bits & (0x1f &<< 42) == 0 }

    @inline(__always) var isEvictable: Bool { bits & (1 &<< 42 | 1 &<< 51) == 0 }
}

/// Least recently used has only the main queue.
package enum LineQueue: UInt8, Sendable {
    case small = 0
    case main = 1
}
