// SPDX-License-Identifier: Apache-2.0
import FaultProxy
import NIOCore
import Primitives
import RaftCore
import Replica
import Telemetry
import Testing
import Transport
import Wire

@Suite("Links between nodes", .timeLimit(.minutes(1)))
struct LinkTests {
    @Test("two nodes meet and exchange batches in order, each batch delivered whole")
    func exchange() async throws {
        let pair = try await Pair()
        #expect(
            pair.a.recorder.connections
                == [PeerInfo(name: "b", incarnation: 1, clientAddress: "b:7700", httpAddress: "b:7701")]
        )
        let batch = (1...500).map { digest($0) }
        #expect(try await pair.a.send(batch, to: pair.b.id))
        #expect(try await pair.b.send([heartbeat(9)], to: pair.a.id))
        try await eventually("both have everything") {
            pair.b.recorder.messages.count == 500 && pair.a.recorder.messages.count == 1
        }
        #expect(pair.b.recorder.messages == batch)
        #expect(pair.b.recorder.deliveries == 1)
        #expect(pair.a.metrics.framesOut.value == 1 && pair.b.metrics.framesIn.value == 1)
        #expect(pair.a.metrics.messagesOut.value == 500 && pair.b.metrics.messagesIn.value == 500)
        #expect(pair.a.metrics.connectedPeers.value == 1)
        try await eventually("nothing is pending") { pair.a.metrics.pendingBytes.value == 0 }
        #expect(try await pair.a.send([digest(1)], to: NodeID(name: "nobody")) == false)
        try await pair.shutdown()
        #expect(pair.a.metrics.connectedPeers.value == 0)
    }

    @Test("order and bytes survive chopped and delayed streams and frames of many mebibytes")
    func order() async throws {
        let pair = try await Pair()
        let faults = FaultProxy.Faults(delayMilliseconds: 0...2, maxChunkBytes: 30_000)
        try await pair.toB.apply(faults, to: .toServer).get()
        var sent: [PeerMessage] = []
        for number: UInt64 in 1...40 {
            let batch = [append(number, bytes: Int(number) * 10_000), digest(number)]
            #expect(try await pair.a.send(batch, to: pair.b.id))
            sent += batch
        }
        #expect(try await pair.a.send([append(41, bytes: 3 << 20)], to: pair.b.id))
        sent.append(append(41, bytes: 3 << 20))
        try await eventually("everything arrives") { pair.b.recorder.messages.count == sent.count }
        #expect(pair.b.recorder.messages == sent)
        try await pair.shutdown()
    }

    @Test("a peer that dies is reported once and its successor is found")
    func restart() async throws {
        var pair = try await Pair()
        try await pair.b.shutdown()
        try await eventually("the death is noticed") { pair.a.recorder.disconnections.count == 1 }
        // One direction may be noticed a moment before the other.
        try await eventually("nothing can be sent") { try await !pair.a.send([digest(1)], to: pair.b.id) }
        #expect(pair.a.metrics.dropped["not_connected"].value >= 1)
        try await pair.restartB(incarnation: 2)
        try await pair.connected()
        #expect(pair.a.recorder.connections.map(\.incarnation) == [1, 2])
        #expect(pair.a.recorder.disconnections.count == 1)
        #expect(try await pair.a.send([digest(2)], to: pair.b.id))
        try await eventually("the successor hears") { pair.b.recorder.messages == [digest(2)] }
        try await pair.shutdown()
    }

    @Test("a reset in one direction is reported by both sides, and mended")
    func cut() async throws {
        let pair = try await Pair()
        #expect(try await pair.toB.cut().get() == 1)
        try await eventually("both notice") {
            pair.a.recorder.disconnections.count == 1 && pair.b.recorder.disconnections.count == 1
        }
        try await pair.connected()
        #expect(pair.a.recorder.connections.count == 2)
        try await pair.shutdown()
    }

    @Test("a half-open link is found by either side", arguments: FaultProxy.Direction.allCases)
    func halfOpen(direction: FaultProxy.Direction) async throws {
        let pair = try await Pair(configuration: testConfiguration(ping: .milliseconds(100)))
        try await pair.toB.apply(FaultProxy.Faults(isBlackholed: true), to: direction).get()
        try await eventually("both notice") {
            !pair.a.recorder.disconnections.isEmpty && !pair.b.recorder.disconnections.isEmpty
        }
        let reasons = pair.a.recorder.disconnections + pair.b.recorder.disconnections
        #expect(reasons.contains { if case .silent(300...) = $0 { true } else { false } }, "\(reasons)")
        try await pair.toB.apply(FaultProxy.Faults(), to: direction).get()
        try await pair.connected()
        try await pair.shutdown()
    }

    @Test("an idle link lives on pings alone")
    func idle() async throws {
        var configuration = testConfiguration(ping: .milliseconds(60))
        configuration.missedPings = 30
        let pair = try await Pair(configuration: configuration)
        let before = pair.a.metrics.bytesIn.value
        try await eventually("six pings have come") {
            pair.a.metrics.bytesIn.value >= before + 6 * 2 * UInt64(PeerFrame.ping.count)
        }
        #expect(pair.a.recorder.disconnections.isEmpty && pair.b.recorder.disconnections.isEmpty)
        #expect(pair.a.recorder.deliveries == 0)
        try await pair.shutdown()
    }

    @Test("a peer that reads too slowly costs a bounded number of bytes, and heartbeats overtake")
    func slowReader() async throws {
        var configuration = testConfiguration()
        configuration.maxOutboundBytes = 8 << 20
        configuration.urgentReserveBytes = 64 << 10
        let pair = try await Pair(configuration: configuration)
        try await pair.toB.apply(FaultProxy.Faults(isBlackholed: true), to: .toServer).get()
        var accepted: UInt64 = 0
        // What the sockets on the way hold comes on top of the limit.
        while accepted < 400 {
            guard try await pair.a.send([append(accepted + 1, bytes: 256 << 10)], to: pair.b.id) else { break }
            accepted += 1
            #expect(try await pair.a.pendingBytes(pair.b.id) <= configuration.maxOutboundBytes)
        }
        #expect(accepted < 400)
        #expect(pair.a.metrics.dropped["too_much_pending"].value == 1)
        #expect(try await pair.a.send([digest(1), append(1, bytes: 1 << 20), heartbeat(1)], to: pair.b.id) == false)
        #expect(try await pair.a.pendingBytes(pair.b.id) <= configuration.maxOutboundBytes + (64 << 10))
        try await pair.toB.apply(FaultProxy.Faults(), to: .toServer).get()
        try await eventually("what was accepted arrives") {
            pair.b.recorder.messages.filter(\.isBulk).count == Int(accepted)
        }
        let messages = pair.b.recorder.messages
        let position = try #require(messages.firstIndex(of: heartbeat(1)))
        #expect(position < messages.count - 8, "at \(position) of \(messages.count)")
        #expect(messages.filter(\.isBulk) == (1...accepted).map { append($0, bytes: 256 << 10) })
        try await eventually("nothing is pending") { pair.a.metrics.pendingBytes.value == 0 }
        try await pair.shutdown()
    }

    @Test("a message above the frame limit is dropped alone")
    func tooLarge() async throws {
        var configuration = testConfiguration()
        configuration.maxFrameBytes = 100_000
        let pair = try await Pair(configuration: configuration)
        let batch = [digest(1), append(1, bytes: 200_000), digest(2)]
        #expect(try await pair.a.send(batch, to: pair.b.id) == false)
        try await eventually("the others arrive") { pair.b.recorder.messages == [digest(1), digest(2)] }
        #expect(pair.a.metrics.dropped["too_large"].value == 1)
        #expect(pair.a.recorder.disconnections.isEmpty)
        try await pair.shutdown()
    }

    @Test("a node that learns its cluster from a refusal connects at once when it says so")
    func joining() async throws {
        let none = [UInt8](repeating: 0, count: 16)
        let pair = try await Pair(b: hello("b", cluster: none), isConnecting: false)
        try await eventually("b learns the cluster") {
            pair.b.recorder.rejections.contains(.refusedByPeer(.wrongCluster(own: clusterID)))
        }
        try await pair.b.setOwn(hello("b"))
        try await pair.connected()
        try await pair.b.setOwn(hello("b", incarnation: 2))
        try await eventually("the change is told") { pair.a.recorder.connections.map(\.incarnation) == [1, 2] }
        try await pair.shutdown()
    }

    @Test("a listener that never answers is given up after the handshake timeout, and tried again")
    func silentListener() async throws {
        var configuration = testConfiguration(ping: .milliseconds(500))
        configuration.handshakeTimeout = .milliseconds(200)
        let pair = try await Pair(configuration: configuration, isConnecting: false)
        try await pair.toB.apply(FaultProxy.Faults(isBlackholed: true), to: .toClient).get()
        _ = try await pair.toB.cut().get()
        let before = pair.a.metrics.connectAttempts.value
        try await eventually("several attempts") { pair.a.metrics.connectAttempts.value >= before + 3 }
        try await pair.toB.apply(FaultProxy.Faults(), to: .toClient).get()
        try await pair.connected()
        try await pair.shutdown()
    }
}

extension PeerMessage {
    fileprivate var isBulk: Bool {
        if case .raft(_, .append) = self { true } else { false }
    }
}
