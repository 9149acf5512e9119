// SPDX-License-Identifier: Apache-2.0
import Logging
import NIOCore
import NIOSSL
import Primitives
import RESP

/// All servers of one Redis, single or cluster: sends each command where its shard is, and again where it was told to.
/// Confined to its event loop.
final class RedisClient {
    static let redirectLimit = 8

    let address: RedisAddress
    let layout: KeyLayout
    let configuration: RedisConfiguration
    let eventLoop: any EventLoop
    let tls: NIOSSLContext?
    let logger: Logger
    let limits: RESPLimits
    let board: StateBoard
    let onLoss: @Sendable (MemoryLoss) -> Void
    var random: SeededRandom

    var servers: [RedisAddress.Host: RedisServer] = [:]
    /// Empty until a server was asked; not used for a single server.
    var slots = SlotMap()
    var isAskingSlots = false
    var slotsTimer: Scheduled<Void>?
    var lastSlotsRequest: NIODeadline?

    var fences: [ShardID: RaisedFence] = [:]
    var losses: [MemoryLoss] = []
    var openChecks = 0
    private var heartbeat: Scheduled<Void>?

    /// In the order of their deadlines, since all have the same time.
    private var open = CircularBuffer<RedisRequest>()
    private var deadlineTimer: Scheduled<Void>?
    private var lastConnection: RedisConnection.ID = 0
    private(set) var isStopped = false

    init(_ settings: RedisMemory.Settings, eventLoop: any EventLoop, board: StateBoard) {
        address = settings.address
        layout = KeyLayout(cluster: settings.cluster)
        configuration = settings.configuration
        tls = settings.tls
        logger = settings.logger
        onLoss = settings.onLoss
        random = SeededRandom(seed: settings.configuration.seed)
        // A page of SCAN may have many keys; a value has its version before it.
        limits = RESPLimits(bulkBytes: 16 << 20)
        self.eventLoop = eventLoop
        self.board = board
    }

    func start() {
        for host in address.hosts { addServer(host) }
        beatLater()
        publish()
    }

    func stop() {
        isStopped = true
        let reason = "the node is shutting down"
        for timer in [heartbeat, deadlineTimer, slotsTimer] { timer?.cancel() }
        for server in orderedServers { server.stop(reason) }
        for request in open { request.finish(.failed(.down(reason: reason))) }
        open.removeAll()
        publish()
        servers = [:]
    }

    // MARK: Servers

    /// In an order that is always the same.
    var orderedServers: [RedisServer] {
        servers.values.sorted { ($0.host.name, $0.host.port) < ($1.host.name, $1.host.port) }
    }

    func addServer(_ host: RedisAddress.Host) {
        guard servers[host] == nil, !isStopped else { return }
        let server = RedisServer(host, client: self)
        servers[host] = server
        server.dial()
    }

    func nextConnectionID() -> RedisConnection.ID {
        lastConnection += 1
        return lastConnection
    }

    func connected(_ server: RedisServer) {
        board.count { $0.connections += 1 }
        publish()
        if address.isCluster { askSlots() }
        check(server)
    }

    func disconnected(_ server: RedisServer) {
        publish()
        guard address.isCluster else { return }
        if !servers.values.contains(where: { $0.connection != nil }) {
            for host in address.hosts + slots.replicas { addServer(host) }
        }
        askSlots()
    }

    private func beatLater() {
        heartbeat = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(configuration.heartbeat)) {
            guard !self.isStopped else { return }
            if self.openChecks == 0 { for server in self.orderedServers { self.check(server) } }
            if self.address.isCluster { self.askSlots() }
            self.beatLater()
        }
    }

    // MARK: Requests

    /// - Parameter server: nil: the one that has the shard.
    func submit(
        _ command: RedisRequest.Command,
        to server: RedisServer? = nil,
        isInternal: Bool = false,
        completion: @escaping (RedisRequest.Outcome) -> Void
    ) {
        if !isInternal { board.count { ($0.commands, $0.inFlight) = ($0.commands + 1, $0.inFlight + 1) } }
        let board = board
        let deadline = NIODeadline.now() + TimeAmount(configuration.commandTimeout)
        let request = RedisRequest(command, deadline: deadline, isInternal: isInternal) { outcome in
            if !isInternal {
                board.count {
                    $0.inFlight -= 1
                    if case .failed = outcome { $0.failures += 1 }
                }
            }
            completion(outcome)
        }
        guard !isStopped else { return request.finish(.failed(.down(reason: "the node is shutting down"))) }
        open.append(request)
        watchDeadlines()
        dispatch(request, to: server)
    }

    private func dispatch(_ request: RedisRequest, to fixed: RedisServer?) {
        guard let server = fixed ?? request.shard.flatMap({ self.server(of: $0) }) else {
            askSlots()
            let cause = lastError.map { ": \($0)" } ?? ""
            return request.finish(.failed(.down(reason: "no server is known for the shard\(cause)")))
        }
        if let error = server.admit(request) { return request.finish(.failed(error)) }
        server.send(request, generation: generation(of: request, on: server))
    }

    private var lastError: String? { orderedServers.lazy.compactMap(\.lastError).first }

    func answered(_ request: RedisRequest, _ value: RESPValue, _ server: RedisServer, _ source: RedisRequest.Source) {
        switch value {
        case .error(let text): refused(request, text, server)
        // Of a generation that the same home overtook while the command was on its way.
        case .array(let parts) where request.isGuarded && parts.first?.string == "STALE":
            repeatLater(request, "the connection was changed", nil)
        default: request.finish(.answered(value, source))
        }
        while open.first?.isDone == true { open.removeFirst() }
    }

    private func refused(_ request: RedisRequest, _ text: String, _ server: RedisServer) {
        if text.hasPrefix("NOSCRIPT"), !request.carriesScript {
            request.carriesScript = true
            return dispatch(request, to: server)
        }
        if address.isCluster, let redirection = Redirection(reply: text, asked: server.host) {
            return follow(redirection, request, text, server)
        }
        server.note(error: text)
        publish()
        request.finish(.failed(MemoryError(reply: text)))
    }

    private func follow(_ redirection: Redirection, _ request: RedisRequest, _ text: String, _ server: RedisServer) {
        switch redirection {
        case .tryAgain:
            // What was asked for by ASK is asked for at the slot's owner again.
            request.isAsking = false
            askSlots()
            return repeatLater(request, text, request.shard == nil ? server : nil)
        case .moved(let slot, let host):
            request.isAsking = false
            slots.move(slot, to: host)
            askSlots()
            redirect(request, text, to: host)
        case .ask(let host):
            request.isAsking = true
            redirect(request, text, to: host)
        }
    }

    private func redirect(_ request: RedisRequest, _ text: String, to host: RedisAddress.Host) {
        request.redirects += 1
        board.count { $0.redirects += 1 }
        guard request.redirects <= Self.redirectLimit else { return request.finish(.failed(.down(reason: text))) }
        addServer(host)
        guard let server = servers[host] else { return request.finish(.failed(.down(reason: text))) }
        // A server just heard of needs a moment to be connected.
        guard server.connection != nil else { return repeatLater(request, text, server) }
        dispatch(request, to: server)
    }

    /// Waits longer each time, but not beyond the deadline.
    /// - Parameter server: nil: the one that has the shard by then.
    private func repeatLater(_ request: RedisRequest, _ reason: String, _ server: RedisServer?) {
        let delay = min(Interval.milliseconds(5) * (1 << min(request.repetitions, 6)), .milliseconds(200))
        request.repetitions += 1
        guard NIODeadline.now() + TimeAmount(delay) < request.deadline else {
            return request.finish(.failed(.down(reason: reason)))
        }
        eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(delay)) {
            guard !request.isDone else { return }
            if let server, server.connection == nil { return self.repeatLater(request, reason, server) }
            self.dispatch(request, to: server)
        }
    }

    // MARK: Deadlines

    private func watchDeadlines() {
        guard deadlineTimer == nil, let first = open.first else { return }
        deadlineTimer = eventLoop.assumeIsolated().scheduleTask(deadline: first.deadline) {
            guard !self.isStopped else { return }
            self.deadlineTimer = nil
            self.expire()
            self.watchDeadlines()
        }
    }

    private func expire() {
        let now = NIODeadline.now()
        while let first = open.first, first.isDone || first.deadline <= now {
            open.removeFirst()
            guard !first.isDone else { continue }
            board.count { $0.timeouts += 1 }
            // Waiting to be sent again, it says nothing about any server.
            let server = first.server
            let place = server.map { " from \($0.host)" } ?? ""
            // First the breaker: who is told of this failure may ask for the state.
            server?.timedOut()
            first.finish(.failed(.down(reason: "no answer\(place) in \(configuration.commandTimeout)")))
        }
    }

    // MARK: State

    func publish() {
        let servers = orderedServers
        let states = servers.map(\.state)
        let isConnected = !isStopped && hasServerForEverySlot
        board.publish(
            MemoryState(
                isConnected: isConnected,
                breaker: states.map(\.breaker).max() ?? .closed,
                runID: address.isCluster ? nil : states.first?.runID,
                lastError: states.lazy.compactMap(\.lastError).first,
                servers: states,
                counts: MemoryCounts()
            )
        )
    }
}
