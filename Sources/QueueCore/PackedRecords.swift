// SPDX-License-Identifier: Apache-2.0

import Primitives

/// Message records in one run of bytes, column by column, each record readable by itself. Packing is a function of the
/// records alone.
///
/// ```
///   0  count u16 · ordinal bits u8 · width u8 of each of the six columns · zeros
///  16  base u64 of each column · step u64 of ids and of stamps
///  80  residuals: ids · publish stamps · kinds · words · queues · tenants, each from a whole byte on
///      eight zero bytes
/// ```
/// All numbers are little-endian.
struct PackedRecords {
    /// Records in one block.
    static let limit = 4_096
    /// Bytes that a block of so many records cannot exceed.
    static let byteLimit = residuals + columns * limit * 8 + PackedColumn.padding

    private static let columns = 6
    private static let bases = 16
    private static let steps = 64
    private static let residuals = 80

    private let start: UnsafeRawPointer
    let count: Int
    private let ids: PackedIDs

    /// The bytes must be a block that `pack` made or `isSound` accepted, and outlive this.
    init(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count >= Self.residuals + PackedColumn.padding else {
            invariantFailure("a packed chunk without a header")
        }
        self.start = start
        count = Int(UInt16(littleEndian: start.loadUnaligned(as: UInt16.self)))
        ids = PackedIDs(
            column: Self.column(0, start),
            ordinalBits: start.load(fromByteOffset: 2, as: UInt8.self)
        )
    }

    private static func number(_ start: UnsafeRawPointer, _ offset: Int) -> UInt64 {
        UInt64(littleEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    private static func column(_ column: Int, _ start: UnsafeRawPointer) -> PackedColumn {
        PackedColumn(
            base: number(start, bases + column * 8),
            step: column < 2 ? number(start, steps + column * 8) : 0,
            width: start.load(fromByteOffset: 3 + column, as: UInt8.self)
        )
    }

    /// Whether bytes from elsewhere can be read as a block. What the records say is not looked at.
    static func isSound(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress, bytes.count >= residuals + PackedColumn.padding else { return false }
        let count = Int(UInt16(littleEndian: start.loadUnaligned(as: UInt16.self)))
        guard (1...limit).contains(count), start.load(fromByteOffset: 2, as: UInt8.self) <= 12 else { return false }
        var size = residuals + PackedColumn.padding
        for column in 0..<columns {
            let column = Self.column(column, start)
            guard column.isSound else { return false }
            size += column.byteCount(count)
        }
        return size == bytes.count
    }

    // MARK: Reading

    func id(at index: Int) -> UInt64 { ids.id(at: index, start + Self.residuals) }

    /// The place of the first id that is not below this one; `count` when there is none.
    func lowerBound(_ id: UInt64) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self.id(at: middle) < id { low = middle + 1 } else { high = middle }
        }
        return low
    }

    func record(at index: Int) -> MessageRecord { fields.record(at: index) }

    /// The columns, found once for reading many records.
    var fields: Fields {
        var place = start + Self.residuals
        func next(_ column: Int) -> Fields.Field {
            let field = Fields.Field(column: Self.column(column, start), bits: place)
            place += field.column.byteCount(count)
            return field
        }
        _ = next(0)
        return Fields(
            ids: ids,
            idBits: start + Self.residuals,
            published: next(1),
            kinds: next(2),
            words: next(3),
            queues: next(4),
            tenants: next(5)
        )
    }

    struct Fields {
        struct Field {
            var column: PackedColumn
            var bits: UnsafeRawPointer

            @inline(__always)
            subscript(index: Int) -> UInt64 { column.value(at: index, bits) }
        }

        fileprivate var ids: PackedIDs
        fileprivate var idBits: UnsafeRawPointer
        fileprivate var published: Field
        fileprivate var kinds: Field
        fileprivate var words: Field
        fileprivate var queues: Field
        fileprivate var tenants: Field

        @inline(__always)
        func record(at index: Int) -> MessageRecord {
            MessageRecord(
                id: ids.id(at: index, idBits),
                published: published[index],
                kind: UInt16(truncatingIfNeeded: kinds[index]),
                word: UInt32(truncatingIfNeeded: words[index]),
                queue: UInt16(truncatingIfNeeded: queues[index]),
                tenant: UInt16(truncatingIfNeeded: tenants[index])
            )
        }
    }

    func unpacked() -> [MessageRecord] {
        let fields = fields
        return [MessageRecord](unsafeUninitializedCapacity: count) { buffer, filled in
            for index in 0..<count { buffer.initializeElement(at: index, to: fields.record(at: index)) }
            filled = count
        }
    }

    // MARK: Packing

    /// Packs 1 to `limit` records in the order of their ids.
    static func pack(_ records: [MessageRecord]) -> [UInt8] {
        invariant((1...limit).contains(records.count), "a chunk of \(records.count) records")
        var bytes = [UInt8](repeating: 0, count: residuals + PackedColumn.padding)
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: records.count) { values in
            records.withUnsafeBufferPointer { records in
                func fill(_ value: (MessageRecord) -> UInt64) {
                    for index in 0..<records.count { values.initializeElement(at: index, to: value(records[index])) }
                }
                func add(_ column: Int, _ packed: PackedColumn) {
                    append(column, packed, UnsafeBufferPointer(values), to: &bytes)
                }
                fill { $0.id }
                let ids = PackedIDs(values)
                bytes[0] = UInt8(truncatingIfNeeded: records.count)
                bytes[1] = UInt8(truncatingIfNeeded: records.count >> 8)
                bytes[2] = ids.ordinalBits
                add(0, ids.column)
                fill { $0.published }
                add(1, PackedColumn(UnsafeBufferPointer(values), isSloped: true))
                fill { UInt64($0.kind) }
                add(2, PackedColumn(UnsafeBufferPointer(values), isSloped: false))
                fill { UInt64($0.word) }
                add(3, PackedColumn(UnsafeBufferPointer(values), isSloped: false))
                fill { UInt64($0.queue) }
                add(4, PackedColumn(UnsafeBufferPointer(values), isSloped: false))
                fill { UInt64($0.tenant) }
                add(5, PackedColumn(UnsafeBufferPointer(values), isSloped: false))
            }
        }
        return bytes
    }

    /// Puts a column's header into place and its residuals at the end, before the padding.
    private static func append(
        _ column: Int,
        _ packed: PackedColumn,
        _ values: UnsafeBufferPointer<UInt64>,
        to bytes: inout [UInt8]
    ) {
        let end = bytes.count - PackedColumn.padding
        bytes.append(contentsOf: repeatElement(0, count: packed.byteCount(values.count)))
        bytes.withUnsafeMutableBytes { bytes in
            bytes[3 + column] = packed.width
            bytes.storeBytes(of: packed.base.littleEndian, toByteOffset: bases + column * 8, as: UInt64.self)
            if column < 2 {
                bytes.storeBytes(of: packed.step.littleEndian, toByteOffset: steps + column * 8, as: UInt64.self)
            }
            if packed.width > 0, let start = bytes.baseAddress { packed.write(values, to: start + end) }
        }
    }
}
