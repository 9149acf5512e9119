// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// What a file of records is a part of.
package enum SegmentKind: Sendable, Equatable {
    /// The write-ahead log.
    case log
    /// What a node's cache has acknowledged in mode `local`.
    case journal

    var magic: [UInt8] {
        switch self {
        case .log: Array("SYNCWAL\0".utf8)
        case .journal: Array("SYNCJRN\0".utf8)
        }
    }

    var text: String {
        switch self {
        case .log: "log segment"
        case .journal: "journal segment"
        }
    }
}

/// The first 64 bytes of a segment of the log, or of the cache's journal.
///
/// | bytes | field |
/// |---|---|
/// | 0–7 | magic `SYNCWAL` or `SYNCJRN`, and a zero |
/// | 8–11 | format version |
/// | 12–19 | segment number, from 1 |
/// | 20–27 | sequence of the segment's first record |
/// | 28–35 | node id |
/// | 36–51 | cluster id |
/// | 52–59 | salt: random, new for each segment |
/// | 60–63 | CRC-32C of the bytes before |
package struct SegmentHeader: Equatable, Sendable {
    package static let byteCount = 64
    package static let version: UInt32 = 1

    package var kind: SegmentKind
    package var number: UInt64
    package var firstSequence: UInt64
    package var node: NodeID
    package var clusterID: [UInt8]
    /// Without it a client that knows the format could store bytes which, after a torn write, look like a record.
    package var salt: UInt64

    package init(
        kind: SegmentKind = .log,
        number: UInt64,
        firstSequence: UInt64,
        node: NodeID,
        clusterID: [UInt8],
        salt: UInt64
    ) {
        self.kind = kind
        self.number = number
        self.firstSequence = firstSequence
        self.node = node
        self.clusterID = clusterID
        self.salt = salt
    }

    package func encoded() -> [UInt8] {
        invariant(clusterID.count == 16, "a cluster id has sixteen bytes")
        var writer = ByteWriter(capacity: Self.byteCount)
        writer.raw(kind.magic)
        writer.u32(Self.version)
        writer.u64(number)
        writer.u64(firstSequence)
        writer.nodeID(node)
        writer.raw(clusterID)
        writer.u64(salt)
        writer.u32(Checksum.crc32c(writer.bytes))
        return writer.bytes
    }

    package init(decoding bytes: [UInt8], kind: SegmentKind = .log) throws(WireError) {
        self.kind = kind
        guard bytes.count >= Self.byteCount else {
            throw .badSegmentHeader("\(bytes.count) bytes are shorter than a header")
        }
        var reader = ByteReader(bytes, from: 0, to: Self.byteCount)
        do throws(DecodingError) {
            let magic = try reader.raw(kind.magic.count)
            let version = try reader.u32()
            number = try reader.u64()
            firstSequence = try reader.u64()
            node = try reader.nodeID()
            clusterID = try reader.raw(16)
            salt = try reader.u64()
            let expected = try reader.u32()
            guard magic == kind.magic else { throw DecodingError.invalidValue(what: "magic") }
            let found = Checksum.crc32c(bytes, from: 0, to: Self.byteCount - 4)
            guard found == expected else { throw DecodingError.invalidValue(what: "checksum") }
            guard version <= Self.version else {
                throw DecodingError.unknownTag(what: "format version", value: UInt64(version))
            }
            guard firstSequence < positionLimit, number < positionLimit else {
                throw DecodingError.invalidValue(what: "position")
            }
        } catch .unknownTag(_, let version) {
            throw .newerFormat(
                what: kind.text,
                version: UInt32(truncatingIfNeeded: version),
                supported: Self.version
            )
        } catch {
            throw .badSegmentHeader("\(error)")
        }
    }

    /// Every record's checksum starts from this, so a block of another segment, node or cluster is never taken for
    /// one of this segment's. The header's own checksum is left out: with it the result would be the same constant
    /// for every header, as always when a CRC runs over bytes and their own CRC.
    var recordSeed: UInt32 { Checksum.crc32c(encoded(), from: 0, to: Self.byteCount - 4) }
}

/// Frames records for one segment.
///
/// | bytes | field |
/// |---|---|
/// | 0–3 | length of the body |
/// | 4–7 | CRC-32C of everything else, padding included, seeded by the segment's header |
/// | 8–15 | sequence: rises by one from record to record, across segments |
/// | 16–19 | place in the batch: records before `sequence − place` were durable when this one was written |
/// | 20–23 | zero |
/// | 24– | body, padded with zeros to a multiple of eight |
package struct LogRecordFramer: Sendable {
    static let headerBytes = 24
    static let alignment = 8

    /// Upper bound of one record's body: far above any batch, far below where offsets could overflow.
    package static let maxBodyBytes = 1 << 30

    /// What a `closed` record takes in the file.
    package static let maxClosedBytes = 32

    private let seed: UInt32

    package init(_ header: SegmentHeader) { seed = header.recordSeed }

    /// Appends one record.
    package func append(
        _ record: LogRecord,
        sequence: UInt64,
        placeInBatch: UInt32,
        to writer: inout ByteWriter
    ) throws(WireError) {
        try append(sequence, placeInBatch, &writer) { record.encode(into: &$0) }
    }

    /// Appends one record of a journal. - Parameter body: not empty.
    package func append(
        body: [UInt8],
        sequence: UInt64,
        placeInBatch: UInt32,
        to writer: inout ByteWriter
    ) throws(WireError) {
        invariant(!body.isEmpty, "a record of a journal says something")
        try append(sequence, placeInBatch, &writer) { $0.raw(body) }
    }

    private func append(
        _ sequence: UInt64,
        _ placeInBatch: UInt32,
        _ writer: inout ByteWriter,
        _ encode: (inout ByteWriter) -> Void
    ) throws(WireError) {
        let start = writer.count
        writer.u32(0)
        writer.u32(0)
        writer.u64(sequence)
        writer.u32(placeInBatch)
        writer.u32(0)
        encode(&writer)
        let length = writer.count - start - Self.headerBytes
        guard length <= Self.maxBodyBytes else {
            writer.bytes.removeLast(writer.count - start)
            throw .frameTooLarge(length: UInt64(length), limit: Self.maxBodyBytes)
        }
        while (writer.count - start) % Self.alignment != 0 { writer.u8(0) }
        writer.patch32(UInt32(length), at: start)
        writer.patch32(checksum(writer.bytes, start, end: writer.count), at: start + 4)
    }

    /// The checksum of the record in `bytes[start ..< end]`, all but its own field.
    func checksum(_ bytes: [UInt8], _ start: Int, end: Int) -> UInt32 {
        let length = Checksum.crc32c(bytes, from: start, to: start + 4, seed: seed)
        return Checksum.crc32c(bytes, from: start + 8, to: end, seed: length)
    }

    static func paddedBytes(body: Int) -> Int {
        (headerBytes + body + alignment - 1) / alignment * alignment
    }
}
