// SPDX-License-Identifier: Apache-2.0
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Primitives
import RESP

/// One server: the connection to it, made again whenever it breaks, and the breaker before it.
final class RedisServer {
    private enum Dialling {
        /// A connection is there.
        case idle
        case connecting
        case waiting(Scheduled<Void>)
        case stopped
    }

    let host: RedisAddress.Host
    private let client: RedisClient
    private var dialling = Dialling.idle
    /// May still be in its handshake.
    private var current: RedisConnection?
    /// Has passed its handshake.
    private(set) var connection: RedisConnection?
    private var breaker: Breaker
    private var backoff: Backoff
    private(set) var lastError: String?
    /// The same failure again is not logged again.
    private var loggedError: String?

    init(_ host: RedisAddress.Host, client: RedisClient) {
        self.host = host
        self.client = client
        breaker = Breaker(threshold: client.configuration.breakerThreshold)
        backoff = Backoff(min: client.configuration.backoffMin, max: client.configuration.backoffMax)
    }

    var state: MemoryState.Server {
        MemoryState.Server(
            address: "\(host)",
            isConnected: connection != nil,
            breaker: breaker.state,
            runID: connection?.info.runID,
            version: connection?.info.version,
            evictionPolicy: connection?.info.evictionPolicy,
            lastError: lastError
        )
    }

    // MARK: Commands

    /// Why a command may not go now; nil: it goes, and must be sent.
    func admit(_ request: RedisRequest) -> MemoryError? {
        guard let connection else {
            return .down(reason: "not connected to \(host)\(lastError.map { ": \($0)" } ?? "")")
        }
        if request.isInternal { return nil }
        let configuration = client.configuration
        guard connection.requests < configuration.inFlightLimit else {
            return .busy(reason: "\(configuration.inFlightLimit) commands are under way to \(host)")
        }
        // One alone may always go, however long.
        guard connection.requests == 0 || connection.requestBytes + request.cost <= configuration.inFlightBytes else {
            return .busy(reason: "\(configuration.inFlightBytes) bytes are under way to \(host)")
        }
        guard breaker.admits() else { return .down(reason: "\(host) does not answer; trying whether it does again") }
        return nil
    }

    func send(_ request: RedisRequest, generation: UInt32) {
        request.server = self
        connection?.send(request, layout: client.layout, generation: generation)
    }

    func answered(_ request: RedisRequest, _ value: RESPValue, _ connection: RedisConnection) {
        let before = breaker.state
        breaker.answered()
        backoff.reset()
        if breaker.state != before { client.publish() }
        guard !request.isDone else { return }
        request.server = nil
        let source = RedisRequest.Source(
            connection: connection.id,
            runID: connection.info.runID,
            host: host,
            isAsked: request.isAsking
        )
        client.answered(request, value, self, source)
    }

    /// A command had no answer in time.
    func timedOut() {
        breaker.failed()
        lastError = "no answer in \(client.configuration.commandTimeout)"
        if breaker.state == .open { current?.close("it did not answer in time, several times in succession") }
        client.publish()
    }

    func note(error: String) { lastError = error }

    // MARK: Connection

    func dial() {
        switch dialling {
        case .connecting, .stopped: return
        case .waiting(let timer): timer.cancel()
        case .idle: break
        }
        guard current == nil else { return }
        dialling = .connecting
        bootstrap()
            .connect(host: host.name, port: host.port)
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .success(let channel): self.begin(channel)
                case .failure(let error):
                    guard case .connecting = self.dialling else { return }
                    self.failed("cannot connect: \(ConnectError.text(error))")
                }
            }
    }

    private func bootstrap() -> ClientBootstrap {
        let tls = client.tls
        // An address is no server name; it is compared with those in the certificate.
        let isAddress = (try? SocketAddress(ipAddress: host.name, port: host.port)) != nil
        let serverName = isAddress ? nil : host.name
        return ClientBootstrap(group: client.eventLoop)
            .connectTimeout(TimeAmount(client.configuration.connectTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let tls else { return }
                    let handler = try NIOSSLClientHandler(context: tls, serverHostname: serverName)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
    }

    private func begin(_ channel: any Channel) {
        guard case .connecting = dialling else { return channel.close(promise: nil) }
        dialling = .idle
        let connection = RedisConnection(
            id: client.nextConnectionID(),
            channel: channel,
            server: self,
            address: client.address,
            limits: client.limits
        )
        current = connection
        do {
            try channel.pipeline.syncOperations.addHandler(connection)
        } catch {
            return connection.close(ConnectError.text(error))
        }
        guard channel.isActive else { return connection.close("the server closed the connection") }
        connection.begin(timeout: TimeAmount(client.configuration.handshakeTimeout))
    }

    func connected(_ connection: RedisConnection) {
        self.connection = connection
        lastError = nil
        loggedError = nil
        breaker.connected()
        client.logger.info("connected to Redis", metadata: ["address": "\(host)"])
        if let policy = connection.info.evictionPolicy {
            client.logger.warning(
                "Redis removes values when it is full, and they will read as absent; set maxmemory-policy noeviction",
                metadata: ["address": "\(host)", "policy": "\(policy)"]
            )
        }
        client.connected(self)
    }

    func disconnected(_ connection: RedisConnection, _ reason: String) {
        guard connection === current else { return }
        current = nil
        self.connection = nil
        failed(reason)
    }

    private func failed(_ reason: String) {
        if case .stopped = dialling { return }
        breaker.failed()
        lastError = reason
        if reason != loggedError {
            loggedError = reason
            client.logger.warning("no connection to Redis", metadata: ["address": "\(host)", "reason": "\(reason)"])
        }
        let delay = TimeAmount(backoff.next(&client.random))
        dialling = .waiting(
            client.eventLoop.assumeIsolated().scheduleTask(in: delay) {
                // A timer that is due runs even if it was cancelled earlier in the same turn of the loop.
                guard case .waiting = self.dialling else { return }
                self.dialling = .idle
                self.dial()
            }
        )
        client.disconnected(self)
    }

    func stop(_ reason: String) {
        if case .waiting(let timer) = dialling { timer.cancel() }
        dialling = .stopped
        current?.close(reason)
    }
}

extension TimeAmount {
    init(_ interval: Interval) { self = .nanoseconds(Int64(clamping: interval.nanoseconds)) }
}
