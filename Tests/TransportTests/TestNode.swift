// SPDX-License-Identifier: Apache-2.0
import FaultProxy
import Logging
import NIOCore
import NIOPosix
import Primitives
import RaftCore
import Replica
import Synchronization
import Telemetry
import Testing
import Transport
import Wire

let clusterID = [UInt8](repeating: 7, count: 16)

func hello(
    _ name: String,
    cluster: [UInt8] = clusterID,
    incarnation: UInt64 = 1,
    life: UInt64 = 1,
    agreement: UInt64 = 5,
    version: UInt16 = 1,
    shards: UInt32 = 16
) -> Hello {
    Hello(
        minVersion: version,
        maxVersion: version,
        clusterID: cluster,
        nodeName: name,
        incarnation: incarnation,
        life: life,
        agreement: agreement,
        clientAddress: "\(name):7700",
        httpAddress: "\(name):7701",
        shardCount: shards
    )
}

/// Silence counts only where a test says so: on a busy machine a process may well be silent for half a second.
func testConfiguration(ping: Interval = .milliseconds(60_000)) -> TransportConfiguration {
    var configuration = TransportConfiguration(seed: 1)
    configuration.pingInterval = ping
    configuration.backoffMax = .milliseconds(100)
    return configuration
}

struct TimedOut: Error {}

/// Looks again every few milliseconds until the condition holds; throws after ten seconds.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
    let deadline = NIODeadline.now() + .seconds(10)
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    while try await !condition() {
        guard NIODeadline.now() < deadline else {
            Issue.record("never happened: \(what)")
            throw TimedOut()
        }
        try await loop.scheduleTask(in: .milliseconds(3)) {}.futureResult.get()
    }
}

/// What a transport told its delegate.
final class Recorder: PeerTransportDelegate, Sendable {
    enum Event: Equatable {
        case connected(NodeID, PeerInfo)
        case disconnected(NodeID, LinkFailure)
        case rejected(NodeID?, LinkFailure)
    }

    struct State {
        var events: [Event] = []
        var messages: [PeerMessage] = []
        var deliveries = 0
    }

    let state = Mutex(State())

    var events: [Event] { state.withLock(\.events) }
    var messages: [PeerMessage] { state.withLock(\.messages) }
    var deliveries: Int { state.withLock(\.deliveries) }

    var disconnections: [LinkFailure] {
        events.compactMap { if case .disconnected(_, let reason) = $0 { reason } else { nil } }
    }

    var connections: [PeerInfo] {
        events.compactMap { if case .connected(_, let info) = $0 { info } else { nil } }
    }

    var rejections: [LinkFailure] {
        events.compactMap { if case .rejected(_, let reason) = $0 { reason } else { nil } }
    }

    func peerMessages(_ messages: [PeerMessage], from peer: NodeID) {
        state.withLock {
            $0.messages += messages
            $0.deliveries += 1
        }
    }

    func peerConnected(_ peer: NodeID, info: PeerInfo) { state.withLock { $0.events.append(.connected(peer, info)) } }

    func peerDisconnected(_ peer: NodeID, reason: LinkFailure) {
        state.withLock { $0.events.append(.disconnected(peer, reason)) }
    }

    func peerRejected(_ peer: NodeID?, address: String, reason: LinkFailure) {
        state.withLock { $0.events.append(.rejected(peer, reason)) }
    }
}

/// One transport on a loop of its own, with a recorder.
final class TestNode: Sendable {
    let id: NodeID
    let recorder = Recorder()
    let metrics = TransportMetrics(MetricsRegistry())
    let port: Int
    private let loop: any EventLoop
    private let transport: NIOLoopBound<PeerTransport>

    init(
        _ own: Hello,
        peers: [PeerAddress],
        configuration: TransportConfiguration = testConfiguration()
    ) async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let recorder = recorder
        let metrics = metrics
        let made = try await loop.submit {
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let transport = try PeerTransport(
                eventLoop: loop,
                own: own,
                peers: peers,
                configuration: configuration,
                metrics: metrics,
                logger: logger
            )
            transport.delegate = recorder
            return NIOLoopBound(transport, eventLoop: loop)
        }.get()
        self.id = own.node
        self.loop = loop
        self.transport = made
        self.port = try await loop.flatSubmit { made.value.start(bindHost: "127.0.0.1", port: 0) }.get()
    }

    @discardableResult
    func send(_ messages: [PeerMessage], to peer: NodeID) async throws -> Bool {
        try await onLoop { $0.send(messages, to: peer) }
    }

    func pendingBytes(_ peer: NodeID) async throws -> Int { try await onLoop { $0.pendingBytes(peer) } }

    func isConnected(_ peer: NodeID) async throws -> Bool { try await onLoop { $0.isConnected(peer) } }

    func setOwn(_ hello: Hello) async throws { try await onLoop { try $0.setOwn(hello) } }

    func shutdown() async throws {
        let transport = transport
        try await loop.flatSubmit { transport.value.shutdown() }.get()
    }

    private func onLoop<Result: Sendable>(
        _ body: @escaping @Sendable (PeerTransport) throws -> Result
    ) async throws -> Result {
        let transport = transport
        return try await loop.submit { try body(transport.value) }.get()
    }
}

/// Two nodes, `a` and `b`; `toA` is the network before `a`, `toB` the one before `b`.
struct Pair {
    var a: TestNode
    var b: TestNode
    let toA: FaultProxy
    let toB: FaultProxy
    let configuration: TransportConfiguration

    init(
        a helloA: Hello = hello("a"),
        b helloB: Hello = hello("b"),
        configuration: TransportConfiguration = testConfiguration(),
        isConnecting: Bool = true
    ) async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        toA = try await FaultProxy.start(on: group.next()).get()
        toB = try await FaultProxy.start(on: group.next()).get()
        self.configuration = configuration
        a = try await TestNode(helloA, peers: [address("b", toB.port)], configuration: configuration)
        b = try await TestNode(helloB, peers: [address("a", toA.port)], configuration: configuration)
        try await toA.setUpstream(host: "127.0.0.1", port: a.port).get()
        try await toB.setUpstream(host: "127.0.0.1", port: b.port).get()
        if isConnecting { try await connected() }
    }

    /// Both say that they are.
    func connected() async throws {
        try await eventually("both connected") {
            let left = try await a.isConnected(b.id)
            let right = try await b.isConnected(a.id)
            return left && right
        }
    }

    /// A new process in the place of `b`.
    mutating func restartB(incarnation: UInt64) async throws {
        b = try await TestNode(
            hello("b", incarnation: incarnation),
            peers: [address("a", toA.port)],
            configuration: configuration
        )
        try await toB.setUpstream(host: "127.0.0.1", port: b.port).get()
    }

    func shutdown() async throws {
        try await a.shutdown()
        try await b.shutdown()
        try await toA.shutdown().get()
        try await toB.shutdown().get()
    }
}

func address(_ name: String, _ port: Int) -> PeerAddress {
    PeerAddress(id: NodeID(name: name), name: name, host: "127.0.0.1", port: port)
}

/// A numbered message that is sent as it comes.
func digest(_ number: UInt64) -> PeerMessage { .digest(ShardID(1), index: LogIndex(number), hash: number) }

/// A numbered message that may overtake.
func heartbeat(_ number: UInt64) -> PeerMessage {
    .raft(ShardID(1), .heartbeat(Heartbeat(term: Term(1), commit: .zero, round: number)))
}

/// A numbered message of about `bytes` bytes.
func append(_ number: UInt64, bytes: Int) -> PeerMessage {
    let entry = Entry(
        term: Term(1),
        index: LogIndex(number),
        kind: .command,
        payload: [UInt8](repeating: 5, count: bytes)
    )
    return .raft(
        ShardID(1),
        .append(
            AppendRequest(
                term: Term(1),
                previousIndex: LogIndex(number - 1),
                previousTerm: Term(1),
                entries: [entry],
                commit: .zero
            )
        )
    )
}
