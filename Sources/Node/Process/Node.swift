// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Gateway
import LockCore
import Logging
import Memory
import NIOCore
import NIOPosix
import PlacementCore
import Primitives
import QueueCore
import RaftCore
import Replica
import ServiceLifecycle
import Storage
import Synchronization
import Telemetry
import Transport
import UnixSignals
import Wire

/// The parts of a running node, built bottom-up: disk, loops with their shards, links, front ends.
struct Node: Sendable {
    let settings: Settings
    let context: NodeContext
    let store: NodeStore
    let administrator: NodeAdministrator
    let resp: RESPServer
    let http: HTTPGateway
    let httpGroup: MultiThreadedEventLoopGroup
    /// The transport refers to it weakly.
    let relay: PeerRelay
    let memory: RedisMemory?
    let logger: Logger

    static func build(
        _ settings: Settings,
        group: MultiThreadedEventLoopGroup,
        pools: (helper: NIOThreadPool, readers: NIOThreadPool),
        metrics: SynclineMetrics,
        logger: Logger
    ) async throws -> Node {
        let map = try ClusterMap(settings)
        let store = try await NodeStore.open(settings, map: map, group: group, metrics: metrics, logger: logger)
        let identity = store.directory.identity
        let context = NodeContext(
            node: identity.node,
            map: map,
            metrics: metrics,
            log: logger,
            writer: store.writer,
            snapshots: store.snapshots,
            tickInterval: min(.milliseconds(10), settings.heartbeat / 4),
            segmentBytes: settings.walSegmentBytes,
            pool: pools.helper,
            readers: pools.readers
        )
        let loops = makeLoops(settings, group, context)
        context.adopt(loops)
        try await attachCache(settings, store, context)
        try await hostShards(settings, store, context)
        let memory = try await attachMemory(settings, identity, context)
        let addresses = MemberAddresses()
        let relay = try await connect(settings, store.directory, context, addresses)
        let administrator = NodeAdministrator(
            context: context,
            identity: NodeAdministrator.Identity(
                name: identity.nodeName,
                clusterID: identity.clusterText,
                incarnation: identity.incarnation,
                dataDirectory: settings.dataDirectory
            ),
            addresses: addresses
        )
        return Node(
            settings: settings,
            context: context,
            store: store,
            administrator: administrator,
            resp: makeRESP(settings, group, context, administrator, metrics, logger),
            http: makeHTTP(settings, context, administrator, metrics, logger),
            httpGroup: MultiThreadedEventLoopGroup(numberOfThreads: 1),
            relay: relay,
            memory: memory,
            logger: logger
        )
    }

    private static func makeLoops(
        _ settings: Settings,
        _ group: MultiThreadedEventLoopGroup,
        _ context: NodeContext
    ) -> [ShardLoop] {
        group.makeIterator().enumerated().map { index, loop in
            // Request ids must never repeat, also not after a disk was replaced: nothing kept on a disk decides them.
            var configuration = RouterConfiguration(
                node: context.node,
                origin: .random(in: 1 ... .max),
                placement: context.map.placement
            )
            configuration.requestTimeout = settings.requestTimeout
            return ShardLoop(loop: loop, index: index, context: context, router: Router(configuration: configuration))
        }
    }

    /// The node's cache: its lines are spread over the loops as the shards are.
    private static func attachCache(
        _ settings: Settings,
        _ store: NodeStore,
        _ context: NodeContext
    ) async throws {
        let identity = store.directory.identity
        let cache = NodeCache(
            node: context.node,
            shards: context.map.placement.count,
            origin: .random(in: 1 ... .max),
            policy: settings.cacheEviction,
            limitBytes: settings.cacheBytes,
            flushInterval: settings.cacheFlush,
            rules: settings.cacheRules,
            journal: store.journal
        )
        for key in store.replay.keys {
            guard let found = store.replay[key] else { continue }
            cache.stripe(key.hash).requestor.withLock { $0.putBack(key, found.data) }
        }
        context.cacheCounts.withLock { $0 = Array(repeating: LoopCacheCounts(), count: context.loops.count) }
        context.homeStatistics.withLock { $0 = Array(repeating: HomeStatistics(), count: context.loops.count) }
        for loop in context.loops {
            try await loop.loop.submit {
                let door = LoopCache(loop: loop, cache: cache)
                if loop.index == 0 {
                    door.keeper = LeaseKeeper(
                        node: context.node,
                        incarnation: identity.incarnation << 20,
                        duration: LeaseKeeper.duration(ofLease: Self.cacheLease, drift: Self.clockDrift),
                        interval: .milliseconds(500)
                    )
                }
                loop.cache = door
            }.get()
        }
    }

    /// Nil: the memory is the cluster.
    private static func attachMemory(
        _ settings: Settings,
        _ identity: NodeIdentity,
        _ context: NodeContext
    ) async throws -> RedisMemory? {
        guard let address = settings.redis.address else { return nil }
        let cluster = identity.clusterID.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let memory = try RedisMemory(
            address,
            cluster: cluster,
            configuration: settings.redis.configuration,
            eventLoop: context.loops[0].loop,
            logger: context.log
        ) { [unowned context] loss in
            for loop in context.loops { loop.post(.perform { $0.memory?.lost(loss) }) }
        }
        context.memoryFigures.withLock { $0 = Array(repeating: MemoryFigures(), count: context.loops.count) }
        let storeLimit = settings.cacheStoreBytes / max(1, context.map.placement.count)
        for loop in context.loops {
            try await loop.loop.submit {
                loop.memory = LoopMemory(loop: loop, memory: memory, storeLimit: storeLimit)
            }.get()
        }
        return memory
    }

    private static let cacheLease = Interval.milliseconds(2_500)
    /// In permille; clocks that are disciplined by NTP stay below one.
    private static let clockDrift: UInt64 = 100

    private static func hostShards(_ settings: Settings, _ store: NodeStore, _ context: NodeContext) async throws {
        var limits = LockLimits()
        limits.sessionsPerNamespace = settings.maxSessions
        limits.locksPerNamespace = settings.maxLocks
        limits.waitersPerLock = settings.maxWaiters
        var queues = QueueLimits()
        queues.bodyBytes = settings.maxMessageBytes
        queues.publishBytes = max(queues.publishBytes, 2 * settings.maxMessageBytes)
        let now = NodeClock.now()
        for (index, holders) in context.map.placement.enumerated() where holders.contains(context.node) {
            let shard = ShardID(UInt16(index))
            var raft = RaftConfiguration(id: context.node, voters: holders)
            raft.heartbeatInterval = settings.heartbeat
            raft.electionMin = settings.electionMin
            raft.electionMax = settings.electionMax
            raft.leaseReads = settings.leaseReads
            raft.preferredLeader = holders.first
            try raft.validate()
            var configuration = ReplicaConfiguration(
                shard: shard,
                raft: raft,
                limits: ShardLimits(
                    locks: limits,
                    queues: queues,
                    isCacheWrittenBack: settings.redis.isMemory
                )
            )
            configuration.cacheLease = Self.cacheLease
            configuration.maxCacheBytes = settings.cacheStoreBytes / max(1, context.map.placement.count)
            configuration.maxDirtyCacheBytes = settings.cacheDirtyBytes / max(1, context.map.placement.count)
            configuration.snapshotLogBytes = settings.snapshotLogBytes
            if let arena = store.arena { configuration.index = IndexLayout(makeBlock: { arena.block($0) }) }
            if shard == .system { configuration.proposedPlacement = context.map.table }
            let recovered = store.recovered[index]
            let replica = try NodeStartError.naming(shard) { () throws(DecodingError) in
                try Replica(
                    configuration: configuration,
                    recovered: recovered?.log ?? RecoveredLog(),
                    snapshot: recovered?.snapshotBytes,
                    seed: .random(in: .min ... .max),
                    now: now
                )
            }
            if let stored = replica.state.placement, stored != context.map.table {
                throw NodeStartError.placementDiffers(stored: stored.version)
            }
            guard let loop = context.loop(ofShard: shard) else { continue }
            context.board.hosts(shard)
            let bodies = BodyStore(recovered?.bodies ?? .empty)
            try await loop.loop.submit { loop.host(replica, bodies) }.get()
        }
        context.metrics.raft.shards.set(context.map.placement.filter { $0.contains(context.node) }.count)
    }

    private static func connect(
        _ settings: Settings,
        _ directory: DataDirectory,
        _ context: NodeContext,
        _ addresses: MemberAddresses
    ) async throws -> PeerRelay {
        let (identity, peers, log) = (directory.identity, directory.peers, context.log)
        let host = context.map.member(named: settings.nodeID)?.host ?? settings.host
        let hello = Hello(
            clusterID: identity.clusterID,
            nodeName: identity.nodeName,
            incarnation: identity.incarnation,
            life: identity.life,
            agreement: context.map.agreement.hash,
            clientAddress: HostPort.text(host, settings.clientPort),
            httpAddress: HostPort.text(host, settings.httpPort),
            shardCount: UInt32(settings.shards)
        )
        let first = context.loops[0]
        addresses.note(context.node, client: hello.clientAddress, http: hello.httpAddress)
        let relay = PeerRelay(loops: context.loops, addresses: addresses, log: context.log)
        try await first.loop.submit {
            let transport = try PeerTransport(
                eventLoop: first.loop,
                own: hello,
                peers: context.map.members.map {
                    Transport.PeerAddress(id: $0.id, name: $0.name, host: $0.host, port: $0.port)
                },
                met: peers.lives,
                onMet: { life in
                    do throws(StorageError) {
                        try peers.note(life)
                    } catch {
                        // Full disks must not keep nodes apart; a later meeting notes it.
                        log.error("a peer's start could not be noted", metadata: ["error": "\(error)"])
                    }
                },
                configuration: TransportConfiguration(seed: .random(in: .min ... .max)),
                metrics: context.metrics.transport,
                logger: context.log
            )
            transport.delegate = relay
            context.transport = transport
        }.get()
        return relay
    }

    private static func makeRESP(
        _ settings: Settings,
        _ group: any EventLoopGroup,
        _ context: NodeContext,
        _ administrator: NodeAdministrator,
        _ metrics: SynclineMetrics,
        _ logger: Logger
    ) -> RESPServer {
        var configuration = RESPServerConfiguration(host: settings.host, port: settings.clientPort)
        configuration.pipelineDepth = settings.pipelineDepth
        configuration.maximumClients = settings.maxClients
        configuration.idleTimeout = settings.idleTimeout.map { .nanoseconds(Int64($0.nanoseconds)) }
        configuration.requestTimeout = settings.requestTimeout
        configuration.sessionTTL = settings.sessionTTL.milliseconds
        return RESPServer(
            configuration: configuration,
            identity: ServerIdentity(nodeName: settings.nodeID, version: SynclineVersion.current),
            group: group,
            administration: administrator,
            observer: GatewayMetricsObserver(metrics: metrics.gateway),
            logger: logger,
            cache: { context.port(on: $0).cache }
        ) { context.port(on: $0) }
    }

    private static func makeHTTP(
        _ settings: Settings,
        _ context: NodeContext,
        _ administrator: NodeAdministrator,
        _ metrics: SynclineMetrics,
        _ logger: Logger
    ) -> HTTPGateway {
        var configuration = HTTPConfiguration(host: settings.host, port: settings.httpPort)
        configuration.sessionTTL = settings.sessionTTL.milliseconds
        return HTTPGateway(
            configuration: configuration,
            identity: ServerIdentity(nodeName: settings.nodeID, version: SynclineVersion.current),
            requests: AsyncRequests(
                loops: context.loops.map(\.loop),
                timeout: settings.requestTimeout,
                cache: { context.port(on: $0).cache }
            ) { context.port(on: $0) },
            administration: administrator,
            observer: GatewayMetricsObserver(metrics: metrics.gateway),
            logger: logger
        ) { metrics.registry.prometheusText() }
    }

    /// Serves until it is told to stop. The group stops its services in the opposite order: first leaderships are
    /// handed over and RESP clients let go, and HTTP answers until then.
    func run() async throws {
        for loop in context.loops { try await loop.loop.submit { loop.start() }.get() }
        let (context, settings) = (context, settings)
        try await NodeStartError.naming("peer-port", settings.host, settings.peerPort) {
            _ = try await context.loops[0].loop.flatSubmit {
                context.transport.start(bindHost: settings.host, port: settings.peerPort)
            }.get()
        }
        try await NodeStartError.naming("client-port", settings.host, settings.clientPort) {
            try await resp.start()
        }
        announce()
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(service: http.application(group: httpGroup)),
                    .init(
                        service: HandOverService(
                            context: context,
                            administrator: administrator,
                            resp: resp,
                            logger: logger
                        )
                    ),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger
            )
        )
        try await NodeStartError.naming("http-port", settings.host, settings.httpPort) { try await group.run() }
    }

    func close() async {
        for loop in context.loops { try? await loop.loop.submit { loop.stop() }.get() }
        try? await memory?.stop().get()
        let context = context
        let transport = context.loops[0].loop.flatSubmit { context.transport.shutdown() }
        try? await transport.get()
        store.journal.close()
        context.writer.close()
        try? await httpGroup.shutdownGracefully()
    }

    private func announce() {
        logger.notice(
            "node started",
            metadata: [
                "node": "\(settings.nodeID)", "version": "\(SynclineVersion.current)",
                "cluster": "\(store.directory.identity.clusterText)",
                "incarnation": "\(store.directory.identity.incarnation)",
                "client": "\(HostPort.text(settings.host, settings.clientPort))",
                "http": "\(HostPort.text(settings.host, settings.httpPort))",
                "peer": "\(HostPort.text(settings.host, settings.peerPort))", "data": "\(settings.dataDirectory)",
                "log-level": "\(settings.logLevel)",
            ]
        )
    }
}

/// Waits for the signal to stop, then writes back what only this node's lines have and hands over, while the HTTP front
/// end still answers.
private struct HandOverService: Service {
    let context: NodeContext
    let administrator: NodeAdministrator
    let resp: RESPServer
    let logger: Logger

    func run() async throws {
        try await gracefulShutdown()
        await flushLines(within: .milliseconds(1_500))
        await administrator.handOver(within: .milliseconds(1_500))
        await resp.stop()
        // What was on its way when the first began.
        await flushLines(within: .milliseconds(500))
    }

    private func flushLines(within limit: Interval) async {
        let loop = context.loops[0]
        let result = await withCheckedContinuation { (continuation: CheckedContinuation<String?, Never>) in
            loop.loop.execute {
                guard let cache = loop.cache else { return continuation.resume(returning: nil) }
                cache.cache.beginClosing()
                cache.flush(within: limit) { result in
                    if case .failure(let failure) = result { return continuation.resume(returning: "\(failure)") }
                    continuation.resume(returning: nil)
                }
            }
        }
        if let result { logger.error("values that only this node has are lost", metadata: ["reason": "\(result)"]) }
    }
}
