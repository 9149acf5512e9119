// SPDX-License-Identifier: Apache-2.0
import RESP

/// A client of a Syncline cluster.
///
/// It needs the addresses of some of the nodes, not of all: any node serves any request. It connects when it is first
/// used, moves to another node when one fails, and sends again what can be sent again without a second effect.
///
/// ```swift
/// let client = SynclineClient(endpoints: [Endpoint(host: "127.0.0.1", port: 7700)])
/// let session = try await client.openSession(ttl: .seconds(10), label: "report")
/// try await session.withLock("reports/daily") { grant in
///     try await writeReport(fencingToken: grant.token)
/// }
/// try await session.close()
/// await client.close()
/// ```
public final class SynclineClient: Sendable {
    /// Deadlines and limits, all finite.
    public struct Configuration: Sendable, Hashable {
        /// For one attempt to connect to one node.
        public var connectTimeout: Duration = .seconds(2)
        /// For one answer of one node, after which another is tried.
        public var attemptTimeout: Duration = .seconds(3)
        /// For a request with all its attempts. What waits for a lock has its wait on top of it.
        public var requestTimeout: Duration = .seconds(10)
        /// How many requests may wait for locks or messages at the same time; each needs a connection.
        public var waitingLimit = 256
        /// How long to go on when nobody listens at any endpoint and none of them has ever answered this client, which
        /// more often means a wrong address than a cluster about to start. nil: as long as the request may take.
        public var refusalTimeout: Duration?
        /// How often a node that a wait or a watch is with is asked whether it still lives.
        var probeInterval: Duration = .seconds(5)
        /// Connects to the first endpoint first, and not to any: for programs that spread their clients themselves.
        package var beginsWithFirst = false

        public init() {}
    }

    /// Where the client looks for nodes.
    public let endpoints: [Endpoint]
    public let configuration: Configuration
    /// For what is answered at once.
    let commands: CommandChannel
    /// Apart from the rest, so that nothing large or slow comes between a session and its renewal.
    let renewals: CommandChannel
    /// Apart from locks, since a node keeps the order of a connection's requests of one kind only.
    let queues: CommandChannel
    /// For the cache: apart from the rest, since its values may be large.
    let values: CommandChannel
    /// For what waits at the server.
    let waiting: WaitingConnections
    let identity = PublishIdentity()
    let selector: EndpointSelector

    /// - Parameter endpoints: some of the cluster's nodes; tried in turn, beginning anywhere.
    public init(endpoints: [Endpoint], configuration: Configuration = Configuration()) {
        self.endpoints = endpoints
        self.configuration = configuration
        let selector = EndpointSelector(
            endpoints,
            connectTimeout: configuration.connectTimeout,
            refusalTimeout: configuration.refusalTimeout,
            beginsWithFirst: configuration.beginsWithFirst
        )
        self.selector = selector
        self.commands = CommandChannel(selector: selector, attemptTimeout: configuration.attemptTimeout)
        self.renewals = CommandChannel(selector: selector, attemptTimeout: configuration.attemptTimeout)
        self.queues = CommandChannel(selector: selector, attemptTimeout: configuration.attemptTimeout)
        self.values = CommandChannel(selector: selector, attemptTimeout: configuration.attemptTimeout)
        self.waiting = WaitingConnections(selector: selector, limit: configuration.waitingLimit)
    }

    var requestDeadline: ContinuousClock.Instant { .now + configuration.requestTimeout }

    /// Closes the connections. Sessions and sequences of messages still open are not closed by it: they expire.
    public func close() async {
        await commands.close()
        await renewals.close()
        await queues.close()
        await values.close()
        waiting.close()
    }

    /// Opens a session, which is renewed in the background until it is closed or let go.
    ///
    /// - Parameters:
    ///   - ttl: how long the cluster keeps the session without hearing from it; 1 second to 1 hour.
    ///   - label: for people who look at holders and waiters.
    ///   - owner: sessions of several namespaces that name the same owner are one party in deadlock detection.
    ///   - namespace: locks of different namespaces have nothing to do with each other.
    ///   - lockDelay: how long its locks stay unavailable if it expires instead of being closed; 0 to 1 minute.
    public func openSession(
        ttl: Duration = .seconds(10),
        label: String = "",
        owner: String = "",
        namespace: String = "default",
        lockDelay: Duration = .zero
    ) async throws(SynclineError) -> Session {
        // Chosen here, so that sending it again opens no second session.
        let suffix =
            String(UInt64.random(in: .min ... .max), radix: 36) + String(UInt64.random(in: .min ... .max), radix: 36)
        let chosen = namespace == "default" ? suffix : "\(namespace)/\(suffix)"
        var command = Command("SESSION.OPEN", "ID", chosen, "TTL", "\(ttl.wholeMilliseconds)")
        if !label.isEmpty { command.append("LABEL", label) }
        if !owner.isEmpty { command.append("OWNER", owner) }
        if namespace != "default" { command.append("NAMESPACE", namespace) }
        if lockDelay > .zero { command.append("LOCKDELAY", "\(lockDelay.wholeMilliseconds)") }
        let reply = try await commands.call(command, deadline: requestDeadline)
        let id = try Reply.text(reply.value, "SESSION.OPEN")
        // Counted from the first sending: that may be the one that opened it.
        return Session(id: id, client: self, lease: SessionLease(ttl: ttl, sent: reply.firstSent), renewals: renewals)
    }

    /// What the cluster knows of a session; nil when it does not know it.
    public func sessionInfo(_ id: String) async throws(SynclineError) -> SessionInfo? {
        do throws(SynclineError) {
            let value = try await read(Command("SESSION.INFO", id))
            return value.isNull ? nil : try Reply.sessionInfo(value)
        } catch {
            if error.code == .noSession { return nil }
            throw error
        }
    }

    /// Ends any session by its id, as if its client had closed it.
    ///
    /// - Returns: how many locks, permits and elections were released.
    @discardableResult
    public func closeSession(_ id: String) async throws(SynclineError) -> Int {
        let reply = try await commands.call(Command("SESSION.CLOSE", id), repeatable: .no, deadline: requestDeadline)
        return try Reply.count(reply.value, "SESSION.CLOSE")
    }

    func read(_ command: Command) async throws(SynclineError) -> RESPValue {
        try await commands.call(command, deadline: requestDeadline).value
    }
}
