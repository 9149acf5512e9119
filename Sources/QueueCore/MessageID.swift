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

    /// Forty lower-case hexadecimal digits.
    package var description: String {
        let low = UInt64(line) << 32 | UInt64(delivery)
        let words: [(value: UInt64, digits: UInt64)] = [
            (UInt64(shard.rawValue) << 16 | UInt64(lane), 8), (message.rawValue, 16), (low, 16),
        ]
        var digits: [UInt8] = []
        digits.reserveCapacity(40)
        for word in words {
            for place in 1...word.digits {
                let digit = UInt8(truncatingIfNeeded: word.value >> (4 * (word.digits - place)) & 0xf)
                digits.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
            }
        }
        return String(decoding: digits, as: UTF8.self)
    }

    /// Reads `description`; nil for anything else.
    package init?(_ text: String) {
        guard text.utf8.count == 40 else { return nil }
        var words: [UInt64] = [0, 0, 0]
        for (place, byte) in text.utf8.enumerated() {
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x61...0x66: digit = byte - 0x57
            default: return nil
            }
            let word = place < 8 ? 0 : place < 24 ? 1 : 2
            words[word] = words[word] << 4 | UInt64(digit)
        }
        self.init(
            shard: ShardID(UInt16(truncatingIfNeeded: words[0] >> 16)),
            lane: UInt16(truncatingIfNeeded: words[0]),
            line: UInt32(truncatingIfNeeded: words[2] >> 32),
            message: MessageID(rawValue: words[1]),
            delivery: UInt32(truncatingIfNeeded: words[2])
        )
    }
}
