// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore
import Replica
import Testing

@testable import Wire

@Suite struct PeerFrameTests {
    /// All frames in `bytes`, as a connection would read them.
    private func decodeAll(_ bytes: [UInt8]) throws -> [[PeerMessage]] {
        var frames: [[PeerMessage]] = []
        var offset = 0
        while let header = try PeerFrame.header(bytes, at: offset) {
            let start = offset + FrameHeader.byteCount
            offset = start + header.bodyBytes
            frames.append(try PeerFrame.decode(header, body: Array(bytes[start..<offset])))
        }
        #expect(offset == bytes.count)
        return frames
    }

    @Test("every message comes back as it was, many in one frame") func roundTrip() throws {
        var writer = ByteWriter()
        try PeerFrame.encode(Samples.messages, into: &writer)
        let frames = try decodeAll(writer.bytes)
        #expect(frames == [Samples.messages])
    }

    @Test("no messages make no frame") func empty() throws {
        var writer = ByteWriter()
        try PeerFrame.encode([], into: &writer)
        #expect(writer.count == 0)
        #expect(try PeerFrame.header(writer.bytes) == nil)
    }

    @Test("a frame is closed once it is large, and what exceeds the cap goes into the next") func splitting() throws {
        let append = RaftMessage.append(
            AppendRequest(
                term: Term(9),
                previousIndex: LogIndex(7),
                previousTerm: Term(2),
                entries: Samples.entries(3, bytes: 200 << 10),
                commit: .zero
            )
        )
        let messages = (0..<9).map { PeerMessage.raft(ShardID($0), append) }
        var writer = ByteWriter()
        try PeerFrame.encode(messages, into: &writer)
        let frames = try decodeAll(writer.bytes)
        #expect(frames.flatMap { $0 } == messages)
        #expect(frames.map(\.count) == [3, 3, 3])

        var capped = ByteWriter()
        try PeerFrame.encode(messages, into: &capped, maxFrameBytes: 900 << 10)
        #expect(try decodeAll(capped.bytes).map(\.count) == Array(repeating: 2, count: 4) + [1])

        var small = ByteWriter()
        #expect(throws: WireError.self) { try PeerFrame.encode(messages, into: &small, maxFrameBytes: 1000) }
        #expect(small.count == 0)
    }

    @Test("the cap is checked from the header alone") func cap() {
        // What a lost HTTP client sends: its first four bytes are a length of 542 MB.
        #expect(throws: WireError.frameTooLarge(length: 0x2054_4547, limit: 64 << 20)) {
            try PeerFrame.header(Array("GET / HTTP/1.1\r\n".utf8))
        }
        #expect(throws: WireError.unknownFrameType(9)) { try PeerFrame.header([1, 0, 0, 0, 9, 0, 0, 0, 0]) }
        #expect(throws: Never.self) { try PeerFrame.header([0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0]) }
    }

    @Test("a flipped bit anywhere in a frame is noticed") func bitFlips() throws {
        var writer = ByteWriter()
        try PeerFrame.encode(Array(Samples.messages.prefix(4)), into: &writer)
        for position in writer.bytes.indices {
            var bytes = writer.bytes
            bytes[position] ^= 0x10
            let messages = try? decodeLenient(bytes)
            #expect(messages == nil, "byte \(position)")
        }
    }

    /// Nil or an error when the frame is not whole and right.
    private func decodeLenient(_ bytes: [UInt8]) throws -> [PeerMessage]? {
        guard let header = try PeerFrame.header(bytes) else { return nil }
        return try PeerFrame.decode(header, body: Array(bytes[FrameHeader.byteCount...]))
    }

    @Test("a message that is cut short anywhere is an error, never a trap") func truncation() {
        for message in Samples.messages {
            var writer = ByteWriter()
            message.encode(into: &writer)
            for count in 0..<writer.count {
                #expect(throws: DecodingError.self, "\(message)") {
                    var reader = ByteReader(writer.bytes, from: 0, to: count)
                    _ = try PeerMessage(decoding: &reader)
                }
            }
        }
    }

    @Test("mutated and random messages decode to something or fail, and never trap") func fuzz() {
        var random = SeededRandom(seed: 41)
        let encoded = Samples.messages.map { message in
            var writer = ByteWriter()
            message.encode(into: &writer)
            return writer.bytes
        }
        for round in 0..<20_000 {
            var bytes: [UInt8]
            if round % 4 == 0 {
                bytes = (0..<Int(random.below(64))).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            } else {
                bytes = encoded[Int(random.below(UInt64(encoded.count)))]
                for _ in 0...random.below(3) {
                    let value: UInt8 = random.chance(1, in: 2) ? 0xff : UInt8(truncatingIfNeeded: random.next())
                    bytes[Int(random.below(UInt64(bytes.count)))] = value
                }
            }
            var reader = ByteReader(bytes)
            if let message = try? PeerMessage(decoding: &reader) {
                var writer = ByteWriter()
                message.encode(into: &writer)
                var again = ByteReader(writer.bytes)
                #expect((try? PeerMessage(decoding: &again)) == message)
            }
        }
    }

    @Test("numbers that a core could overflow on, and entries that do not continue the log, are refused")
    func hostileNumbers() {
        for message in [
            RaftMessage.timeoutNow(term: Term(1 << 62)),
            .heartbeat(Heartbeat(term: Term(1), commit: LogIndex(.max), round: 1)),
            .append(
                AppendRequest(
                    term: Term(1),
                    previousIndex: LogIndex(3),
                    previousTerm: Term(1),
                    entries: Samples.entries(2),
                    commit: .zero
                )
            ),
        ] {
            var writer = ByteWriter()
            message.encode(into: &writer)
            #expect(throws: DecodingError.self) {
                var reader = ByteReader(writer.bytes)
                _ = try RaftMessage(decoding: &reader)
            }
        }
    }
}
