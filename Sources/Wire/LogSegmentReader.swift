// SPDX-License-Identifier: Apache-2.0
import Primitives

/// What follows the last valid record of a segment.
package enum SegmentTail: Equatable, Sendable {
    /// Zeros only, or nothing.
    case clean
    /// Bytes that no write could have left complete: a write that a crash cut short. Everything in them was written
    /// after the last completed sync, so nobody was told that it is durable.
    case torn(bytes: Int)
    /// A record that was durable once is not valid any more: a later record, at `laterSequence`, proves it.
    case damaged(laterSequence: UInt64)
}

/// Reads the records of one segment, held in memory, in order.
package struct LogSegmentReader: Sendable {
    package let header: SegmentHeader
    /// Where the next record should begin; the end of the valid records once `next` returned nil.
    package private(set) var offset = SegmentHeader.byteCount
    /// The sequence that the next record must have.
    package private(set) var nextSequence: UInt64
    private let bytes: [UInt8]
    private let framer: LogRecordFramer

    package init(_ bytes: [UInt8], kind: SegmentKind = .log) throws(WireError) {
        header = try SegmentHeader(decoding: bytes, kind: kind)
        nextSequence = header.firstSequence
        framer = LogRecordFramer(header)
        self.bytes = bytes
    }

    /// The next record, or nil where the valid records end; `tail` then says how.
    ///
    /// - Throws: when a record passes its checksum and yet cannot be decoded: it was written by a newer version.
    package mutating func next() throws(WireError) -> LogRecord? {
        guard let frame = frame(at: offset), frame.sequence == nextSequence else { return nil }
        let body = offset + LogRecordFramer.headerBytes
        var reader = ByteReader(bytes, from: body, to: body + frame.bodyBytes)
        do throws(DecodingError) {
            let record = try LogRecord(decoding: &reader)
            try reader.expectEnd()
            offset = frame.end
            nextSequence += 1
            return record
        } catch {
            throw .malformed(error)
        }
    }

    /// As `next`, of a journal, whose records are what its writer makes of them.
    package mutating func nextBody() -> [UInt8]? {
        guard let frame = frame(at: offset), frame.sequence == nextSequence else { return nil }
        let body = offset + LogRecordFramer.headerBytes
        offset = frame.end
        nextSequence += 1
        return Array(bytes[body..<(body + frame.bodyBytes)])
    }

    /// Classifies what lies at `offset`. Meant for after `next` returned nil.
    ///
    /// A crash may leave any part of the last batch on disk, its end without its beginning too: the kernel writes
    /// pages in any order. A later valid record therefore proves damage only when the invalid one lies before the
    /// batch of the later one, for a batch is written only after the sync of the one before.
    package func tail() -> SegmentTail {
        guard let lastNonZero = lastNonZero() else { return .clean }
        var at = offset + LogRecordFramer.alignment
        while at <= lastNonZero {
            if let frame = frame(at: at), frame.sequence > nextSequence {
                if frame.batchStart > nextSequence { return .damaged(laterSequence: frame.sequence) }
                at = frame.end
            } else {
                at += LogRecordFramer.alignment
            }
        }
        return .torn(bytes: lastNonZero + 1 - offset)
    }

    private func lastNonZero() -> Int? {
        bytes.withUnsafeBufferPointer { bytes in
            var at = bytes.count - 1
            while at >= offset, bytes[at] == 0 { at -= 1 }
            return at >= offset ? at : nil
        }
    }

    private struct Frame {
        var bodyBytes: Int
        var sequence: UInt64
        var batchStart: UInt64
        var end: Int
    }

    /// The frame at `start` if it is valid, whatever its sequence.
    private func frame(at start: Int) -> Frame? {
        guard bytes.count - start >= LogRecordFramer.headerBytes else { return nil }
        let length = Int(word32(start))
        guard length > 0, length <= LogRecordFramer.maxBodyBytes else { return nil }
        let padded = LogRecordFramer.paddedBytes(body: length)
        guard padded <= bytes.count - start else { return nil }
        let sequence = UInt64(word32(start + 8)) | UInt64(word32(start + 12)) << 32
        let place = UInt64(word32(start + 16))
        // Cheap tests first: a scan through damaged bytes must not checksum at every step.
        guard sequence >= nextSequence, sequence < positionLimit, place <= sequence, word32(start + 20) == 0 else {
            return nil
        }
        let end = start + padded
        guard framer.checksum(bytes, start, end: end) == word32(start + 4) else { return nil }
        return Frame(bodyBytes: length, sequence: sequence, batchStart: sequence - place, end: end)
    }

    private func word32(_ at: Int) -> UInt32 {
        UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16 | UInt32(bytes[at + 3]) << 24
    }
}
