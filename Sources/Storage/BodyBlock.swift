// SPDX-License-Identifier: Apache-2.0
import Primitives
import Wire

/// Bodies that stand together: `CRC-32C u32 · length u32 · count u32`, then `length` bytes of records
/// `id varint · length varint · bytes`. The first id is whole, the others are differences to the one before. The
/// checksum covers everything behind it.
enum BodyBlockFormat {
    static let headerBytes = 12
    /// The longest body: with its block it must stay within what four bytes can count.
    static let maxBodyBytes = 1 << 30
}

/// A block ready to be written.
struct EncodedBodyBlock: Sendable {
    var bytes: [UInt8]
    var firstID: UInt64
    var lastID: UInt64
    var count: Int
    var bodyBytes: Int
    var checksum: UInt32
}

/// Gathers bodies, ascending by id, into one block after the other.
struct BodyBlockBuilder {
    private let blockBytes: Int
    private var writer = ByteWriter()
    private var firstID: UInt64 = 0
    private var lastID: UInt64 = 0
    private var count = 0
    private var bodyBytes = 0

    init(blockBytes: Int) { self.blockBytes = blockBytes }

    var isEmpty: Bool { count == 0 }

    /// Whether a body of this length should wait for the next block.
    func isFull(for length: Int) -> Bool {
        // An id and a length take up to ten bytes each; mostly less.
        count > 0 && writer.count + length + 20 > blockBytes
    }

    mutating func append(_ id: UInt64, _ body: some Collection<UInt8>) {
        if count == 0 {
            writer = ByteWriter(capacity: max(blockBytes, body.count + 32))
            writer.raw(repeatElement(0, count: BodyBlockFormat.headerBytes))
            firstID = id
            writer.varint(id)
        } else {
            invariant(id > lastID, "bodies come ascending by id")
            writer.varint(id - lastID)
        }
        writer.varint(UInt64(body.count))
        // Not `raw`: its generic form is slow across modules.
        writer.bytes.append(contentsOf: body)
        lastID = id
        count += 1
        bodyBytes += body.count
    }

    /// The block so far; the next body begins another.
    mutating func take() -> EncodedBodyBlock {
        writer.patch32(UInt32(writer.count - BodyBlockFormat.headerBytes), at: 4)
        writer.patch32(UInt32(count), at: 8)
        let checksum = Checksum.crc32c(writer.bytes, from: 4, to: writer.count)
        writer.patch32(checksum, at: 0)
        defer { self = BodyBlockBuilder(blockBytes: blockBytes) }
        return EncodedBodyBlock(
            bytes: writer.bytes,
            firstID: firstID,
            lastID: lastID,
            count: count,
            bodyBytes: bodyBytes,
            checksum: checksum
        )
    }
}

/// A block that was read and checked.
package struct BodyBlock: Sendable {
    private let bytes: [UInt8]
    /// The ids of its messages, ascending.
    package let ids: [UInt64]
    /// Where each body lies in `bytes`; four bytes each, for there may be thousands in a cache.
    private let starts: [UInt32]
    private let ends: [UInt32]

    /// Checks that the bytes are the block that the footer describes.
    init(_ bytes: [UInt8], _ entry: BodyBlockEntry) throws(DecodingError) {
        try Self.check(bytes, entry)
        var reader = ByteReader(bytes, from: BodyBlockFormat.headerBytes, to: bytes.count)
        var ids: [UInt64] = []
        var starts: [UInt32] = []
        var ends: [UInt32] = []
        // A record takes two bytes at least.
        let capacity = min(entry.count, reader.remaining / 2)
        ids.reserveCapacity(capacity)
        starts.reserveCapacity(capacity)
        ends.reserveCapacity(capacity)
        for position in 0..<entry.count {
            let delta = try reader.varint()
            let (id, overflow) = (ids.last ?? 0).addingReportingOverflow(delta)
            guard !overflow, position == 0 || delta > 0 else { throw .invalidValue(what: "message id") }
            let length = try reader.count(limit: reader.remaining, "body")
            ids.append(id)
            starts.append(UInt32(reader.offset))
            try reader.skip(length)
            ends.append(UInt32(reader.offset))
        }
        try reader.expectEnd()
        guard ids.first == entry.firstID, ids.last == entry.lastID else { throw .invalidValue(what: "block range") }
        self.bytes = bytes
        self.ids = ids
        self.starts = starts
        self.ends = ends
    }

    /// Checks the bytes alone, not what they mean.
    static func check(_ bytes: [UInt8], _ entry: BodyBlockEntry) throws(DecodingError) {
        guard bytes.count == entry.length, bytes.count >= BodyBlockFormat.headerBytes else { throw .truncated }
        var reader = ByteReader(bytes, from: 0, to: BodyBlockFormat.headerBytes)
        let checksum = try reader.u32()
        guard checksum == entry.checksum, Checksum.crc32c(bytes, from: 4, to: bytes.count) == checksum else {
            throw .invalidValue(what: "block checksum")
        }
        guard Int(try reader.u32()) == bytes.count - BodyBlockFormat.headerBytes, Int(try reader.u32()) == entry.count
        else { throw .invalidValue(what: "block header") }
    }

    /// Nil when the message is not in this block.
    package func body(of id: UInt64) -> [UInt8]? {
        var low = 0
        var high = ids.count
        while low < high {
            let middle = low + (high - low) / 2
            if ids[middle] < id { low = middle + 1 } else { high = middle }
        }
        return low < ids.count && ids[low] == id ? Array(self[low]) : nil
    }

    /// The body at this position of `ids`.
    subscript(position: Int) -> ArraySlice<UInt8> { bytes[Int(starts[position])..<Int(ends[position])] }

    /// Memory that it holds, in bytes: for a cache's limit.
    package var cost: Int { bytes.count + 16 * ids.count + 128 }
}
