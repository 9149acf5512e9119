// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Primitives
import Replica
import Telemetry
import Testing
import Transport
import Wire

@Suite("Strangers at the peer port", .timeLimit(.minutes(1)))
struct HostileTests {
    /// A node whose only peer `b` is never there.
    private func lonelyNode(_ change: (inout TransportConfiguration) -> Void = { _ in }) async throws -> TestNode {
        var configuration = testConfiguration()
        change(&configuration)
        return try await TestNode(hello("a"), peers: [address("b", 1)], configuration: configuration)
    }

    @Test(
        "bytes of another protocol close the connection at once",
        arguments: [
            "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "*1\r\n$4\r\nPING\r\n", "PING\r\n", "SYNCSYNCSYNC",
            "\u{0}\u{0}\u{0}\u{0}\u{9}\u{0}\u{0}\u{0}\u{0}",
        ]
    )
    func garbage(text: String) async throws {
        // The ticks, which would end a silent handshake, are too far apart to have done it.
        let node = try await lonelyNode()
        let stranger = try await RawPeer(port: node.port)
        await stranger.send(Array(text.utf8))
        try await stranger.awaitClose()
        #expect(stranger.bytes.isEmpty)
        try await eventually("the reason is told") { node.recorder.rejections.count == 1 }
        guard case .rejected(nil, .violation) = node.recorder.events[0] else {
            Issue.record("\(node.recorder.events)")
            return
        }
        try await node.shutdown()
    }

    @Test(
        "a hello that does not fit is refused with the reason",
        arguments: [
            (hello("b", cluster: [UInt8](repeating: 8, count: 16)), HandshakeRefusal.wrongCluster(own: clusterID)),
            (hello("b", version: 2), .wrongVersion(min: 1, max: 1)),
            (hello("c"), .unknownNode(name: "c")),
            (hello("a"), .sameNode(name: "a")),
            (hello("b", shards: 8), .shardCountDiffers(16)),
            (hello("b", agreement: 6), .agreementDiffers),
        ]
    )
    func refusals(hello: Hello, refusal: HandshakeRefusal) async throws {
        let node = try await lonelyNode()
        let stranger = try await RawPeer(port: node.port)
        try await stranger.send(hello)
        #expect(try await stranger.awaitReply() == .refused(refusal))
        try await stranger.awaitClose()
        try await eventually("the reason is told") { node.recorder.rejections == [.refused(refusal)] }
        #expect(node.metrics.rejected.value == 1)
        try await node.shutdown()
    }

    @Test("a peer that comes back with less than it had is refused, and told what to do")
    func stale() async throws {
        let node = try await lonelyNode()
        let before = try await RawPeer(port: node.port)
        try await before.send(hello("b", incarnation: 5))
        guard case .accepted = try await before.awaitReply() else {
            Issue.record("not accepted")
            return
        }
        let after = try await RawPeer(port: node.port)
        try await after.send(hello("b", incarnation: 1))
        #expect(try await after.awaitReply() == .refused(.staleData(lastMet: 5)))
        #expect(HandshakeRefusal.staleData(lastMet: 5).description.contains("--accept-data-loss"))
        try await node.shutdown()
    }

    @Test("after a good hello a broken frame closes the link and nothing of it is delivered")
    func brokenFrames() async throws {
        let node = try await lonelyNode { $0.maxFrameBytes = 10_000 }
        var writer = ByteWriter()
        try PeerFrame.encode([digest(1)], into: &writer)
        let good = writer.bytes
        var corrupt = good
        corrupt[corrupt.count - 1] ^= 1
        var unknown = good
        unknown[4] = 77
        var hello = ByteWriter()
        try Handshake.encode(TransportTests.hello("b"), into: &hello)
        let oversized: [UInt8] = [0x11, 0x27, 0, 0, 3, 0, 0, 0, 0]
        for (count, bytes) in [corrupt, unknown, oversized, hello.bytes].enumerated() {
            let peer = try await RawPeer(port: node.port)
            try await peer.send(TransportTests.hello("b"))
            guard case .accepted(1, let answer) = try await peer.awaitReply() else {
                Issue.record("not accepted")
                return
            }
            #expect(answer.nodeName == "a")
            await peer.send(good)
            try await eventually("the good frame is delivered") { node.recorder.messages.count == count + 1 }
            await peer.send(bytes)
            try await peer.awaitClose()
            try await eventually("the reason is told") { node.recorder.rejections.count == count + 1 }
        }
        let expected: [LinkFailure] = node.recorder.rejections
        #expect(expected[1] == .violation(.unknownFrameType(77)))
        #expect(expected[2] == .violation(.frameTooLarge(length: 10_001, limit: 10_000)))
        #expect(expected[3] == .violation(.unexpectedFrame(.hello)))
        guard case .violation(.checksumMismatch) = expected[0] else {
            Issue.record("\(expected[0])")
            return
        }
        #expect(node.recorder.messages.allSatisfy { $0 == digest(1) })
        try await node.shutdown()
    }

    @Test("an older process of a connected node is refused, a newer one replaces it")
    func incarnations() async throws {
        let node = try await lonelyNode()
        let second = try await RawPeer(port: node.port)
        try await second.send(hello("b", incarnation: 2))
        _ = try await second.awaitReply()
        let first = try await RawPeer(port: node.port)
        try await first.send(hello("b", incarnation: 1))
        try await first.awaitClose()
        try await eventually("the reason is told") {
            node.recorder.rejections == [.refused(.staleData(lastMet: 2))]
        }
        #expect(!second.isClosed)
        let third = try await RawPeer(port: node.port)
        try await third.send(hello("b", incarnation: 3))
        _ = try await third.awaitReply()
        try await second.awaitClose()
        #expect(!third.isClosed)
        try await node.shutdown()
        try await third.awaitClose()
    }

    @Test("a connection that says nothing, or only half a hello, is closed in time")
    func handshakeTimeout() async throws {
        let node = try await lonelyNode {
            $0.pingInterval = .milliseconds(40)
            $0.handshakeTimeout = .milliseconds(100)
        }
        let silent = try await RawPeer(port: node.port)
        let slow = try await RawPeer(port: node.port)
        var writer = ByteWriter()
        try Handshake.encode(hello("b"), into: &writer)
        await slow.send(Array(writer.bytes.dropLast()))
        try await silent.awaitClose()
        try await slow.awaitClose()
        try await node.shutdown()
    }

    @Test("connections that have not shaken hands are limited, and the limit frees itself")
    func floods() async throws {
        let node = try await lonelyNode { $0.maxPendingHandshakes = 4 }
        var strangers: [RawPeer] = []
        for _ in 0..<4 { strangers.append(try await RawPeer(port: node.port)) }
        let fifth = try await RawPeer(port: node.port)
        try await fifth.awaitClose()
        #expect(strangers.allSatisfy { !$0.isClosed })
        await strangers[0].close()
        try await eventually("there is room again") {
            let next = try await RawPeer(port: node.port)
            try await next.send(hello("b"))
            try await eventually("answered or closed") { next.isClosed || !next.bytes.isEmpty }
            return !next.bytes.isEmpty
        }
        #expect(node.recorder.rejections.contains(.tooManyHandshakes(limit: 4)))
        try await node.shutdown()
    }

    @Test("nodes of two clusters keep apart and both say why")
    func twoClusters() async throws {
        let other = [UInt8](repeating: 8, count: 16)
        let pair = try await Pair(b: hello("b", cluster: other), isConnecting: false)
        try await eventually("both sides told") {
            pair.a.recorder.rejections.contains(.refused(.wrongCluster(own: clusterID)))
                && pair.a.recorder.rejections.contains(.refusedByPeer(.wrongCluster(own: other)))
                && pair.b.recorder.rejections.contains(.refusedByPeer(.wrongCluster(own: clusterID)))
        }
        #expect(pair.a.recorder.connections.isEmpty && pair.b.recorder.connections.isEmpty)
        try await pair.shutdown()
    }

    @Test("an address that leads to another peer than the one meant is not used")
    func wrongAddress() async throws {
        let c = try await TestNode(hello("c"), peers: [address("a", 1)])
        let a = try await TestNode(hello("a"), peers: [address("b", c.port), address("c", 1)])
        try await eventually("the mistake is told") {
            a.recorder.rejections.contains(.refused(.unknownNode(name: "c")))
        }
        #expect(try await a.isConnected(NodeID(name: "b")) == false)
        try await a.shutdown()
        try await c.shutdown()
    }
}
