// SPDX-License-Identifier: Apache-2.0

/// A command's or option's name in upper case, packed into three words: found without making a `String`.
struct CommandKey: Hashable {
    var first: UInt64 = 0
    var second: UInt64 = 0
    var third: UInt64 = 0

    static let maximumLength = 24

    /// Nil when no known name can be that long.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count <= Self.maximumLength, !bytes.isEmpty else { return nil }
        for (index, byte) in bytes.enumerated() {
            let upper = byte >= 0x61 && byte <= 0x7a ? byte &- 0x20 : byte
            let shifted = UInt64(upper) << UInt64((index & 7) * 8)
            switch index >> 3 {
            case 0: first |= shifted
            case 1: second |= shifted
            default: third |= shifted
            }
        }
    }

    init?(_ name: String) {
        var name = name
        guard let key = name.withUTF8({ CommandKey(UnsafeRawBufferPointer($0)) }) else { return nil }
        self = key
    }

    var hash: Int {
        let mixed = (first ^ (second &* 31) ^ (third &* 961)) &* 0x9e37_79b9_7f4a_7c15
        return Int(truncatingIfNeeded: mixed >> 40)
    }
}

/// An open-addressed table from names to small numbers, built once.
struct CommandIndex: Sendable {
    private struct Cell: Sendable {
        var key: CommandKey
        var value: UInt8
    }

    private var cells: [Cell?]
    private let mask: Int

    /// Maps the position of each name to the name. Names that cannot be keys are our own mistake.
    init(_ names: [String]) {
        var size = 16
        while size < names.count * 3 { size *= 2 }
        cells = [Cell?](repeating: nil, count: size)
        mask = size - 1
        for (position, name) in names.enumerated() {
            guard let key = CommandKey(name), let value = UInt8(exactly: position) else { continue }
            var index = key.hash & mask
            while cells[index] != nil { index = (index + 1) & mask }
            cells[index] = Cell(key: key, value: value)
        }
    }

    func position(of bytes: UnsafeRawBufferPointer) -> Int? {
        guard let key = CommandKey(bytes) else { return nil }
        var index = key.hash & mask
        while let cell = cells[index] {
            if cell.key == key { return Int(cell.value) }
            index = (index + 1) & mask
        }
        return nil
    }
}

extension CommandKey: Sendable {}
