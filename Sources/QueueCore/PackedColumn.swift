// SPDX-License-Identifier: Apache-2.0

/// Numbers in as few bits as their spread asks for, each readable by itself (frame of reference coding, Lemire and
/// Boytsov 2015, here around a straight line): number `i` is `base`, plus `i` times `step`, plus its residual, which
/// takes `width` bits. Numbers that rise evenly have residuals of no bits at all.
///
/// All arithmetic wraps, so bytes from elsewhere decode to some numbers and never trap.
struct PackedColumn: Sendable, Equatable {
    /// In units of 2^-16.
    private static var stepBits: UInt64 { 16 }
    /// Bytes that must follow the residuals: reading takes eight at a time.
    static var padding: Int { 8 }

    var base: UInt64
    var step: UInt64
    /// 0 to 56, or 64: a residual then never touches more than eight bytes.
    var width: UInt8

    init(base: UInt64, step: UInt64, width: UInt8) {
        self.base = base
        self.step = step
        self.width = width
    }

    /// The narrowest column for these numbers; `isSloped` when they are likely to rise.
    init(_ values: UnsafeBufferPointer<UInt64>, isSloped: Bool) {
        guard let first = values.first, let last = values.last else {
            self.init(base: 0, step: 0, width: 0)
            return
        }
        let span = last &- first
        guard isSloped, values.count > 1, span < 1 << 40 else {
            var low = first
            var high = first
            for value in values {
                low = min(low, value)
                high = max(high, value)
            }
            self.init(base: low, step: 0, width: Self.width(high - low))
            return
        }
        let step = span << Self.stepBits / UInt64(values.count - 1)
        var low: Int64 = 0
        var high: Int64 = 0
        var line: UInt64 = 0
        for value in values {
            let residual = Int64(bitPattern: value &- first &- line >> Self.stepBits)
            low = min(low, residual)
            high = max(high, residual)
            line &+= step
        }
        let spread = UInt64(bitPattern: high &- low)
        self.init(base: first &+ UInt64(bitPattern: low), step: step, width: Self.width(spread))
    }

    private static func width(_ spread: UInt64) -> UInt8 {
        let bits = UInt8(64 - spread.leadingZeroBitCount)
        return bits > 56 ? 64 : bits
    }

    var isSound: Bool { width <= 56 || width == 64 }

    /// Bytes that the residuals of so many numbers take, without the padding.
    func byteCount(_ count: Int) -> Int { (count * Int(width) + 7) / 8 }

    /// Writes the residuals to zeroed memory that ends with the padding.
    func write(_ values: UnsafeBufferPointer<UInt64>, to bits: UnsafeMutableRawPointer) {
        guard width > 0 else { return }
        var place = bits
        // Bits that are not yet written, and how many: below 64.
        var open: UInt64 = 0
        var filled: UInt64 = 0
        var line: UInt64 = 0
        for value in values {
            let residual = value &- base &- line >> Self.stepBits
            open |= residual &<< filled
            filled &+= UInt64(width)
            if filled >= 64 {
                place.storeBytes(of: open.littleEndian, as: UInt64.self)
                place += 8
                filled &-= 64
                // None when it ended with the word.
                open = filled == 0 ? 0 : residual &>> (UInt64(width) &- filled)
            }
            line &+= step
        }
        if filled > 0 { place.storeBytes(of: open.littleEndian, as: UInt64.self) }
    }

    /// Number `index`, whose residual is among these; not read when there are no bits.
    @inline(__always)
    func value(at index: Int, _ bits: UnsafeRawPointer) -> UInt64 {
        let line = value(at: index)
        guard width > 0 else { return line }
        let place = index * Int(width)
        let word = UInt64(littleEndian: bits.loadUnaligned(fromByteOffset: place >> 3, as: UInt64.self))
        let mask = UInt64.max &>> (64 &- UInt64(width))
        return line &+ word &>> UInt64(truncatingIfNeeded: place & 7) & mask
    }

    /// The same for a column without residuals.
    @inline(__always)
    func value(at index: Int) -> UInt64 {
        base &+ (UInt64(truncatingIfNeeded: index) &* step) >> Self.stepBits
    }

    /// Whether `next`, of no residuals either, goes on where `count` numbers of this one end.
    func isContinued(after count: Int, by next: PackedColumn) -> Bool {
        width == 0 && next.width == 0 && step == next.step && step & (1 << Self.stepBits - 1) == 0
            && step < 1 << 32 && count < 1 << 24 && next.base == value(at: count)
    }
}

/// Message ids, which rise, in a column: the entry's index and as many bits of the ordinal as are in use.
struct PackedIDs: Sendable, Equatable {
    var column: PackedColumn
    /// 0 to 12.
    var ordinalBits: UInt8

    init(column: PackedColumn, ordinalBits: UInt8) {
        self.column = column
        self.ordinalBits = ordinalBits
    }

    /// Leaves in `ids` what `column.write` is to be given.
    init(_ ids: UnsafeMutableBufferPointer<UInt64>) {
        var used: UInt64 = 0
        for id in ids { used |= id & 0xfff }
        let bits = UInt64(64 - used.leadingZeroBitCount)
        for place in ids.indices { ids[place] = (ids[place] >> 12) << bits | ids[place] & 0xfff }
        self.init(column: PackedColumn(UnsafeBufferPointer(ids), isSloped: true), ordinalBits: UInt8(bits))
    }

    var isSound: Bool { column.isSound && ordinalBits <= 12 }

    @inline(__always)
    private func id(_ key: UInt64) -> UInt64 {
        let bits = UInt64(ordinalBits)
        return (key &>> bits) &<< 12 | key & ~(UInt64.max &<< bits)
    }

    @inline(__always)
    func id(at index: Int, _ bits: UnsafeRawPointer) -> UInt64 { id(column.value(at: index, bits)) }

    @inline(__always)
    func id(at index: Int) -> UInt64 { id(column.value(at: index)) }

    /// As for its column.
    func isContinued(after count: Int, by next: PackedIDs) -> Bool {
        ordinalBits == next.ordinalBits && column.isContinued(after: count, by: next.column)
    }
}
