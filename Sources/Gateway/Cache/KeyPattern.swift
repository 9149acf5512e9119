// SPDX-License-Identifier: Apache-2.0

/// A pattern of keys by Redis' rules: `*`, `?`, `[a-z]`, `[^x]` and `\` before a byte that is meant as it stands.
package struct KeyPattern: Sendable, Equatable {
    package let bytes: [UInt8]
    /// It matches everything, as most patterns of `KEYS` and `SCAN` do.
    private let isAll: Bool

    package init(_ bytes: [UInt8]) {
        self.bytes = bytes
        isAll = bytes == [UInt8(ascii: "*")]
    }

    package func matches(_ text: [UInt8]) -> Bool {
        if isAll { return true }
        return bytes.withUnsafeBufferPointer { pattern in
            text.withUnsafeBufferPointer { Self.matches(pattern, $0) }
        }
    }

    /// Where a `*` stands, the shortest run is tried first; when the rest does not fit, only the latest `*` takes one
    /// byte more: an earlier one could gain nothing. So the time is at most the product of both lengths.
    private static func matches(_ pattern: UnsafeBufferPointer<UInt8>, _ text: UnsafeBufferPointer<UInt8>) -> Bool {
        var place = 0
        var position = 0
        var retry: (place: Int, position: Int)?
        while true {
            if place < pattern.count, pattern[place] == UInt8(ascii: "*") {
                place += 1
                retry = (place, position)
                continue
            }
            if position == text.count, place == pattern.count { return true }
            if position < text.count, place < pattern.count,
                let next = step(pattern, place, text[position])
            {
                place = next
                position += 1
                continue
            }
            guard let last = retry, last.position < text.count else { return false }
            place = last.place
            position = last.position + 1
            retry = (place, position)
        }
    }

    /// The place behind what stands at `place` if that matches `byte`.
    private static func step(_ pattern: UnsafeBufferPointer<UInt8>, _ place: Int, _ byte: UInt8) -> Int? {
        switch pattern[place] {
        case UInt8(ascii: "?"): return place + 1
        case UInt8(ascii: "["): return group(pattern, place + 1, byte)
        case UInt8(ascii: "\\") where place + 1 < pattern.count:
            return pattern[place + 1] == byte ? place + 2 : nil
        case let wanted: return wanted == byte ? place + 1 : nil
        }
    }

    /// A group that is not closed reaches to the end.
    private static func group(_ pattern: UnsafeBufferPointer<UInt8>, _ start: Int, _ byte: UInt8) -> Int? {
        var place = start
        let isNegated = place < pattern.count && pattern[place] == UInt8(ascii: "^")
        if isNegated { place += 1 }
        var isMember = false
        while place < pattern.count, pattern[place] != UInt8(ascii: "]") {
            if pattern[place] == UInt8(ascii: "\\"), place + 1 < pattern.count {
                if pattern[place + 1] == byte { isMember = true }
                place += 2
            } else if place + 2 < pattern.count, pattern[place + 1] == UInt8(ascii: "-") {
                let (low, high) = (pattern[place], pattern[place + 2])
                if byte >= min(low, high), byte <= max(low, high) { isMember = true }
                place += 3
            } else {
                if pattern[place] == byte { isMember = true }
                place += 1
            }
        }
        guard isMember != isNegated else { return nil }
        return min(place + 1, pattern.count)
    }
}
