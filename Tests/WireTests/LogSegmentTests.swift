// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore
import Testing

@testable import Wire

@Suite struct LogSegmentTests {
    private static let header = SegmentHeader(
        number: 4,
        firstSequence: 100,
        node: NodeID(name: "node-0"),
        clusterID: Array(1...16),
        salt: 99
    )

    /// A segment whose records were written in these batches, followed by zeros.
    private func segment(
        _ batches: [[LogRecord]],
        header: SegmentHeader = header,
        zeros: Int = 256
    ) throws -> (bytes: [UInt8], ends: [Int]) {
        let framer = LogRecordFramer(header)
        var writer = ByteWriter()
        writer.raw(header.encoded())
        var ends: [Int] = []
        var sequence = header.firstSequence
        for batch in batches {
            for (place, record) in batch.enumerated() {
                try framer.append(record, sequence: sequence, placeInBatch: UInt32(place), to: &writer)
                sequence += 1
                ends.append(writer.count)
            }
        }
        writer.raw(repeatElement(0, count: zeros))
        return (writer.bytes, ends)
    }

    private func readAll(_ bytes: [UInt8]) throws -> (records: [LogRecord], tail: SegmentTail) {
        var reader = try LogSegmentReader(bytes)
        var records: [LogRecord] = []
        while let record = try reader.next() { records.append(record) }
        return (records, reader.tail())
    }

    @Test("records come back in order, then a clean end") func roundTrip() throws {
        let (bytes, _) = try segment([Samples.records])
        let (records, tail) = try readAll(bytes)
        #expect(records == Samples.records)
        #expect(tail == .clean)
        #expect(try LogSegmentReader(bytes).header == Self.header)
    }

    @Test("a journal's segment gives its records as they were, and neither kind passes for the other")
    func journal() throws {
        var header = Self.header
        header.kind = .journal
        let framer = LogRecordFramer(header)
        var writer = ByteWriter()
        writer.raw(header.encoded())
        let bodies: [[UInt8]] = [[1], Array(repeating: 7, count: 100), Array("three".utf8)]
        for (place, body) in bodies.enumerated() {
            try framer.append(
                body: body,
                sequence: header.firstSequence + UInt64(place),
                placeInBatch: UInt32(place),
                to: &writer
            )
        }
        var reader = try LogSegmentReader(writer.bytes, kind: .journal)
        #expect(reader.header == header)
        var found: [[UInt8]] = []
        while let body = reader.nextBody() { found.append(body) }
        #expect(found == bodies)
        #expect(reader.tail() == .clean && reader.offset == writer.count)
        #expect(throws: WireError.self) { try LogSegmentReader(writer.bytes) }
        let log = try segment([Samples.records]).bytes
        #expect(throws: WireError.self) { try LogSegmentReader(log, kind: .journal) }
    }

    @Test("cut anywhere, a whole prefix is read and the rest is a torn write") func cuts() throws {
        let (bytes, ends) = try segment([Samples.records])
        for cut in SegmentHeader.byteCount..<bytes.count {
            for zeros in [0, bytes.count - cut] {
                let part = Array(bytes[..<cut]) + Array(repeating: 0, count: zeros)
                let (records, tail) = try readAll(part)
                // Zeros may complete a record whose own last bytes are zeros.
                let whole = ends.filter { $0 <= cut }.count
                #expect(records.count >= whole && records == Array(Samples.records.prefix(records.count)))
                if case .damaged = tail { Issue.record("cut at \(cut) taken for damage") }
            }
        }
    }

    @Test("a bit flipped before the last batch is damage, wherever it is; in the last batch it is a torn write")
    func flips() throws {
        let (bytes, ends) = try segment([Array(Samples.records.prefix(2)), Array(Samples.records[2..<4]), [.closed]])
        let durableEnd = ends[3]
        for position in SegmentHeader.byteCount..<ends[4] {
            for bit in [0, 7] as [UInt8] {
                var changed = bytes
                changed[position] ^= 1 << bit
                let (records, tail) = try readAll(changed)
                #expect(records == Array(Samples.records.prefix(records.count)))
                if position < durableEnd {
                    #expect(tail == .damaged(laterSequence: tail.laterSequence ?? 0), "byte \(position)")
                } else {
                    #expect(tail != .clean && tail.laterSequence == nil, "byte \(position)")
                }
            }
        }
    }

    @Test("a batch of which only the end reached the disk is a torn write, not damage") func outOfOrderPages() throws {
        let (whole, ends) = try segment([[Samples.records[0]], Array(Samples.records[1..<5])])
        var bytes = whole
        for position in ends[0]..<ends[1] { bytes[position] = 0 }
        let (records, tail) = try readAll(bytes)
        #expect(records == [Samples.records[0]])
        let torn = try #require(tail.tornBytes)
        #expect(torn > ends[3] - ends[0] && torn <= ends[4] - ends[0])
    }

    @Test("records of another segment, node, cluster or salt are not taken for this segment's")
    func misdirected() throws {
        for change in 0..<4 {
            var other = Self.header
            switch change {
            case 0: other.number = 5
            case 1: other.node = NodeID(1)
            case 2: other.clusterID[0] = 77
            default: other.salt = 98
            }
            let (foreign, _) = try segment([Samples.records], header: other)
            let bytes = Self.header.encoded() + foreign[SegmentHeader.byteCount...]
            let (records, tail) = try readAll(bytes)
            #expect(records.isEmpty)
            #expect(tail.tornBytes != nil)
        }
    }

    @Test("a header with any flipped bit is refused; a newer version is named as such") func headers() throws {
        let (bytes, _) = try segment([[.closed]])
        for position in 0..<SegmentHeader.byteCount {
            var changed = bytes
            changed[position] ^= 0x40
            #expect(throws: WireError.self) { try LogSegmentReader(changed) }
        }
        #expect(throws: WireError.self) { try LogSegmentReader(Array(bytes[..<63])) }
        var newer = Array(bytes[..<SegmentHeader.byteCount])
        newer[8] = 2
        var writer = ByteWriter()
        writer.u32(Checksum.crc32c(newer, from: 0, to: 60))
        newer.replaceSubrange(60..., with: writer.bytes)
        #expect(throws: WireError.newerFormat(what: "log segment", version: 2, supported: 1)) {
            try LogSegmentReader(newer)
        }
    }

    @Test("an unknown record stops reading, it is not skipped") func unknownRecord() throws {
        let header = Self.header
        var writer = ByteWriter()
        writer.raw(header.encoded())
        let framer = LogRecordFramer(header)
        try framer.append(.closed, sequence: 100, placeInBatch: 0, to: &writer)
        let body = SegmentHeader.byteCount + LogRecordFramer.headerBytes
        writer.bytes[body] = 200
        writer.patch32(
            framer.checksum(writer.bytes, SegmentHeader.byteCount, end: writer.count),
            at: SegmentHeader.byteCount + 4
        )
        #expect(throws: WireError.malformed(.unknownTag(what: "log record", value: 200))) {
            try readAll(writer.bytes)
        }
    }

    @Test("random segments never trap") func fuzz() throws {
        var random = SeededRandom(seed: 8)
        let (bytes, _) = try segment([Samples.records, Samples.records])
        for _ in 0..<3_000 {
            var changed = bytes
            for _ in 0...random.below(6) {
                let place = SegmentHeader.byteCount + Int(random.below(UInt64(bytes.count - SegmentHeader.byteCount)))
                changed[place] = random.chance(1, in: 2) ? 0xff : UInt8(truncatingIfNeeded: random.next())
            }
            changed.removeLast(Int(random.below(64)))
            let (records, _) = try readAll(changed)
            #expect(records == Array((Samples.records + Samples.records).prefix(records.count)))
        }
    }
}

extension SegmentTail {
    fileprivate var laterSequence: UInt64? {
        if case .damaged(let sequence) = self { sequence } else { nil }
    }

    fileprivate var tornBytes: Int? {
        if case .torn(let bytes) = self { bytes } else { nil }
    }
}
