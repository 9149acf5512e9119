// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Primitives
import Replica
import Testing
import Wire

@testable import Transport

@Suite("Parts of a link")
struct PartsTests {
    @Test("frames are found wherever the reads are cut")
    func splitting() throws {
        let messages = (1...3).map { digest($0) }
        var stream = PeerFrame.ping
        for message in messages { stream += try FrameBatch.encode([message], maxFrameBytes: 1 << 20)[0].bytes }
        for piece in [1, 2, 7, 9, 10, stream.count] {
            var splitter = FrameSplitter(maxFrameBytes: 1 << 20)
            var found: [[PeerMessage]] = []
            for start in stride(from: 0, to: stream.count, by: piece) {
                splitter.append(ByteBuffer(bytes: stream[start..<min(start + piece, stream.count)]))
                while let frame = try splitter.next() {
                    found.append(try PeerFrame.decode(frame.header, body: frame.body))
                }
            }
            #expect(found == [[]] + messages.map { [$0] }, "read \(piece) bytes at a time")
        }
    }

    @Test("other protocols are known by their first four bytes", arguments: ["GET ", "POST", "*1\r\n", "PING", "HTTP"])
    func otherProtocols(text: String) {
        var splitter = FrameSplitter(maxFrameBytes: Handshake.maxFrameBytes)
        splitter.append(ByteBuffer(bytes: text.utf8.prefix(3)))
        #expect(throws: Never.self) { try splitter.next() }
        splitter.append(ByteBuffer(bytes: text.utf8.suffix(1)))
        #expect(throws: WireError.self) { try splitter.next() }
    }

    @Test("a batch becomes whole frames of about a mebibyte, in order")
    func batches() throws {
        let messages = (1...10).map { append($0, bytes: 300 << 10) }
        let frames = try FrameBatch.encode(messages, maxFrameBytes: 64 << 20)
        #expect(frames.count == 3)
        #expect(frames.reduce(0) { $0 + $1.messages } == 10)
        var decoded: [PeerMessage] = []
        for frame in frames {
            let header = try #require(try PeerFrame.header(frame.bytes))
            #expect(header.bodyBytes + FrameHeader.byteCount == frame.bytes.count)
            decoded += try PeerFrame.decode(header, body: Array(frame.bytes[FrameHeader.byteCount...]))
        }
        #expect(decoded == messages)
    }

    @Test("urgent frames come out first, each lane in order")
    func lanes() {
        var queue = OutboundQueue()
        for number: UInt8 in 1...3 {
            queue.append(OutboundQueue.Frame(bytes: [number], messages: 1), urgent: false)
            queue.append(OutboundQueue.Frame(bytes: [number + 10], messages: 1), urgent: true)
        }
        #expect(queue.bytes == 6)
        var order: [UInt8] = []
        for _ in 0..<4 { order += queue.popFirst()?.bytes ?? [] }
        #expect(order == [11, 12, 13, 1])
        #expect(queue.removeAll() == 2)
        #expect(queue.isEmpty && queue.bytes == 0)
    }

    @Test("silence is met with a ping, then with the end of the link; a stalled loop blames no one")
    func clock() {
        var configuration = TransportConfiguration(seed: 1)
        configuration.handshakeTimeout = .milliseconds(5_000)
        func at(_ milliseconds: UInt64) -> Instant { .zero + .milliseconds(milliseconds) }
        var clock = LinkClock(now: .zero)
        #expect(clock.duty(at(4_999), isHandshaking: true, configuration) == .none)
        #expect(clock.duty(at(5_000), isHandshaking: true, configuration) == .close(.handshakeTimeout))
        #expect(clock.duty(at(499), isHandshaking: false, configuration) == .none)
        #expect(clock.duty(at(500), isHandshaking: false, configuration) == .ping)
        clock.didWrite(at(500))
        #expect(clock.duty(at(999), isHandshaking: false, configuration) == .none)
        #expect(
            clock.duty(at(1_500), isHandshaking: false, configuration) == .close(.silent(milliseconds: 1_500))
        )
        clock.didRead(at(600))
        #expect(clock.duty(at(1_500), isHandshaking: false, configuration) == .ping)
        clock.forgive(at(9_000))
        #expect(clock.duty(at(9_100), isHandshaking: false, configuration) == .ping)
    }
}
