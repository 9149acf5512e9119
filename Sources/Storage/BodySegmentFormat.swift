// SPDX-License-Identifier: Apache-2.0
import Primitives
import Wire

/// A body segment on disk.
///
/// | bytes | field |
/// |---|---|
/// | 0–7 | magic `SYNCBODY` |
/// | 8–11 | format version |
/// | 12–13 | shard, then two zeros |
/// | 16–39 | name: node, life, number |
/// | 40–59 | zeros |
/// | 60–63 | CRC-32C of the bytes before |
/// | 64– | blocks, one behind the other |
/// | after them | footer: count, for each block `BodyBlockEntry`, messages, their bytes, CRC-32C |
/// | last 24 | offset and length of the footer, CRC-32C of the two, magic `BODYTAIL` |
///
/// The manifest holds the footer's checksum and the footer those of the blocks, so a snapshot's one checksum vouches
/// for every byte that belongs to it.
enum BodySegmentFormat {
    static let headerBytes = 64
    static let trailerBytes = 24
    private static let version: UInt32 = 1
    private static let magic: [UInt8] = Array("SYNCBODY".utf8)
    private static let tailMagic: [UInt8] = Array("BODYTAIL".utf8)

    static func header(_ shard: ShardID, _ name: BodySegmentName) -> [UInt8] {
        var writer = ByteWriter(capacity: headerBytes)
        writer.raw(magic)
        writer.u32(version)
        writer.u16(shard.rawValue)
        writer.u16(0)
        writer.u64(name.node)
        writer.u64(name.life)
        writer.u64(name.number)
        writer.raw(repeatElement(0, count: headerBytes - 4 - writer.count))
        writer.u32(Checksum.crc32c(writer.bytes))
        return writer.bytes
    }

    /// Where the footer is, as the file's last bytes say; nil when they are not a trailer.
    static func footer(of trailer: [UInt8]) -> (offset: UInt64, length: UInt32)? {
        guard trailer.count == trailerBytes, trailer[16...].elementsEqual(tailMagic) else { return nil }
        do throws(DecodingError) {
            var reader = ByteReader(trailer)
            let found = (try reader.u64(), try reader.u32())
            return try reader.u32() == Checksum.crc32c(trailer, from: 0, to: 12) ? found : nil
        } catch {
            return nil
        }
    }

    fileprivate static func trailer(footerOffset: Int, footerBytes: Int) -> [UInt8] {
        var writer = ByteWriter(capacity: trailerBytes)
        writer.u64(UInt64(footerOffset))
        writer.u32(UInt32(footerBytes))
        writer.u32(Checksum.crc32c(writer.bytes))
        writer.raw(tailMagic)
        return writer.bytes
    }
}

/// One block as the footer describes it.
struct BodyBlockEntry: Equatable, Sendable {
    static let encodedBytes = 36

    var firstID: UInt64
    var lastID: UInt64
    /// In the file.
    var offset: Int
    /// With its header.
    var length: Int
    /// Bodies in it.
    var count: Int
    var checksum: UInt32
}

/// The footer of a segment, held in memory: forty bytes for each block.
struct BodyIndex: Equatable, Sendable {
    private(set) var blocks: [BodyBlockEntry] = []
    private(set) var messages: UInt64 = 0
    private(set) var messageBytes: UInt64 = 0
    /// Where the next block, or in the end the footer, begins.
    private(set) var blocksEnd = BodySegmentFormat.headerBytes

    init() {}

    mutating func add(_ block: EncodedBodyBlock) {
        blocks.append(
            BodyBlockEntry(
                firstID: block.firstID,
                lastID: block.lastID,
                offset: blocksEnd,
                length: block.bytes.count,
                count: block.count,
                checksum: block.checksum
            )
        )
        blocksEnd += block.bytes.count
        messages += UInt64(block.count)
        messageBytes += UInt64(block.bodyBytes)
    }

    /// Footer and trailer: everything after the blocks. There is one way only to write them, so a reader need not keep
    /// the bytes.
    func tail() -> (bytes: [UInt8], footerChecksum: UInt32) {
        var writer = ByteWriter(capacity: 64 + BodyBlockEntry.encodedBytes * blocks.count)
        writer.u32(UInt32(blocks.count))
        for block in blocks {
            writer.u64(block.firstID)
            writer.u64(block.lastID)
            writer.u64(UInt64(block.offset))
            writer.u32(UInt32(block.length))
            writer.u32(UInt32(block.count))
            writer.u32(block.checksum)
        }
        writer.u64(messages)
        writer.u64(messageBytes)
        let checksum = Checksum.crc32c(writer.bytes)
        writer.u32(checksum)
        writer.raw(BodySegmentFormat.trailer(footerOffset: blocksEnd, footerBytes: writer.count))
        return (writer.bytes, checksum)
    }

    /// Reads a footer that begins at `offset` in a file.
    init(footer: [UInt8], at offset: Int) throws(DecodingError) {
        guard footer.count >= 4 else { throw .truncated }
        var trailer = ByteReader(footer, from: footer.count - 4, to: footer.count)
        guard try trailer.u32() == Checksum.crc32c(footer, from: 0, to: footer.count - 4) else {
            throw .invalidValue(what: "footer checksum")
        }
        var reader = ByteReader(footer, from: 0, to: footer.count - 4)
        let count = Int(try reader.u32())
        guard count > 0, count <= reader.remaining / BodyBlockEntry.encodedBytes else { throw .truncated }
        blocks.reserveCapacity(count)
        var total: UInt64 = 0
        for _ in 0..<count {
            let (firstID, lastID) = (try reader.u64(), try reader.u64())
            let position = try reader.u64()
            let block = BodyBlockEntry(
                firstID: firstID,
                lastID: lastID,
                offset: blocksEnd,
                length: Int(try reader.u32()),
                count: Int(try reader.u32()),
                checksum: try reader.u32()
            )
            guard position == UInt64(blocksEnd), firstID <= lastID, block.count > 0,
                block.length > BodyBlockFormat.headerBytes, blocks.last.map({ $0.lastID < firstID }) ?? true
            else { throw .invalidValue(what: "block") }
            blocks.append(block)
            blocksEnd += block.length
            total += UInt64(block.count)
        }
        messages = try reader.u64()
        messageBytes = try reader.u64()
        try reader.expectEnd()
        guard messages == total, blocksEnd == offset else { throw .invalidValue(what: "footer") }
    }

    /// The block whose range holds the id.
    func block(containing id: UInt64) -> Int? {
        var low = 0
        var high = blocks.count
        while low < high {
            let middle = low + (high - low) / 2
            if blocks[middle].lastID < id { low = middle + 1 } else { high = middle }
        }
        return low < blocks.count && blocks[low].firstID <= id ? low : nil
    }

    /// The block that holds this byte of the file.
    func block(atByte offset: Int) -> Int? {
        var low = 0
        var high = blocks.count
        while low < high {
            let middle = low + (high - low) / 2
            if blocks[middle].offset + blocks[middle].length <= offset { low = middle + 1 } else { high = middle }
        }
        return low < blocks.count && blocks[low].offset <= offset ? low : nil
    }
}
