// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// A message's identity and the address of its body: the log entry that published it and its place in that entry.
/// Ids rise in the order of publishing, and none is ever given out twice.
package struct MessageID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Messages of one entry: the low twelve bits of an id.
    package static let perEntry = 4_096
    private static let ordinalBits: UInt64 = 12

    /// The log index in the high 52 bits, the ordinal in the low 12.
    package let rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    package init(entry: LogIndex, ordinal: Int) {
        rawValue = entry.rawValue << Self.ordinalBits | UInt64(truncatingIfNeeded: ordinal) & 0xfff
    }

    /// Reads `description`; nil for anything else.
    package init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let entry = UInt64(parts[0]), let ordinal = UInt64(parts[1]),
            entry < 1 << 52, ordinal < UInt64(Self.perEntry)
        else { return nil }
        self.init(entry: LogIndex(entry), ordinal: Int(ordinal))
        guard description == text else { return nil }
    }

    package var entry: LogIndex { LogIndex(rawValue >> Self.ordinalBits) }

    package var ordinal: Int { Int(rawValue & 0xfff) }

    package static let zero = MessageID(rawValue: 0)

    package static func < (left: MessageID, right: MessageID) -> Bool { left.rawValue < right.rawValue }

    package var description: String { "\(entry)-\(ordinal)" }
}

/// Bodies of one log entry whose ordinals follow each other.
package struct BodyRange: Hashable, Sendable, CustomStringConvertible {
    package var first: MessageID
    package var count: Int

    package init(first: MessageID, count: Int) {
        self.first = first
        self.count = count
    }

    /// True when `id` is the next ordinal of the same entry.
    func isFollowed(by id: MessageID) -> Bool {
        id.rawValue == first.rawValue &+ UInt64(truncatingIfNeeded: count) && id.entry == first.entry
    }

    package var description: String { count == 1 ? "\(first)" : "\(first)+\(count)" }
}

extension [BodyRange] {
    /// Adds one body, lengthening the last range where it can.
    mutating func add(_ id: MessageID) {
        if let last, last.isFollowed(by: id) {
            self[count - 1].count += 1
        } else {
            append(BodyRange(first: id, count: 1))
        }
    }
}

/// What a consumer shows to settle a delivery. It is fenced by `delivery`: each delivery of a message has a higher
/// number, so the receipt of an earlier one is refused whatever became of the message since.
package struct Receipt: Hashable, Sendable, CustomStringConvertible {
    package var shard: ShardID
    /// The lane that the message was received from, so that a receipt routes itself; 0 for a queue of one lane.
    package var lane: UInt16
    /// Tells lines apart; see `Receipt.tag`.
    package var line: UInt32
    package var message: MessageID
    /// How often the message had been delivered, this time included.
    package var delivery: UInt32

    package init(shard: ShardID, lane: UInt16, line: UInt32, message: MessageID, delivery: UInt32) {
        self.shard = shard
        self.lane = lane
        self.line = line
        self.message = message
        self.delivery = delivery
    }

    /// The tag of a line's name: a receipt shown to another queue is known by it.
    package static func tag(of line: Name) -> UInt32 {
        UInt32(truncatingIfNeeded: StableHash.mix(StableHash.fnv1a(line.text.utf8)))
    }

    private static let textBytes = 40

    /// Forty lower-case hexadecimal digits.
    package var description: String {
        String(unsafeUninitializedCapacity: Self.textBytes) { digits in
            var place = 0
            func put(_ value: UInt64, _ count: UInt64) {
                for shift in stride(from: Int(4 * count) - 4, through: 0, by: -4) {
                    let digit = UInt8(truncatingIfNeeded: value >> UInt64(shift)) & 0xf
                    digits.initializeElement(at: place, to: digit < 10 ? 0x30 + digit : 0x57 + digit)
                    place += 1
                }
            }
            put(UInt64(shard.rawValue) << 16 | UInt64(lane), 8)
            put(message.rawValue, 16)
            put(UInt64(line) << 32 | UInt64(delivery), 16)
            return Self.textBytes
        }
    }

    /// Reads `description`; nil for anything else.
    package init?(_ text: String) {
        var text = text
        guard let receipt = text.withUTF8({ Receipt(UnsafeRawBufferPointer($0)) }) else { return nil }
        self = receipt
    }

    /// The same from bytes.
    package init?(_ text: UnsafeRawBufferPointer) {
        guard text.count == Self.textBytes else { return nil }
        func number(_ places: Range<Int>) -> UInt64? {
            var value: UInt64 = 0
            for place in places {
                let byte = text[place]
                switch byte {
                case 0x30...0x39: value = value << 4 | UInt64(byte - 0x30)
                case 0x61...0x66: value = value << 4 | UInt64(byte - 0x57)
                default: return nil
                }
            }
            return value
        }
        guard let place = number(0..<8), let message = number(8..<24), let rest = number(24..<40) else { return nil }
        self.init(
            shard: ShardID(UInt16(truncatingIfNeeded: place >> 16)),
            lane: UInt16(truncatingIfNeeded: place),
            line: UInt32(truncatingIfNeeded: rest >> 32),
            message: MessageID(rawValue: message),
            delivery: UInt32(truncatingIfNeeded: rest)
        )
    }
}
