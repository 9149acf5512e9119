// SPDX-License-Identifier: Apache-2.0
package import CacheCore
package import Primitives

/// A node's settings, checked. `Settings()` holds the defaults, for a cluster of one.
package struct Settings: Sendable {
    package enum LogFormat: String, Sendable {
        /// Text on a terminal, JSON elsewhere.
        case auto
        case text
        case json
    }

    package var nodeID = "node-0"
    /// Address that all ports listen on.
    package var host = "127.0.0.1"
    package var clientPort = 7700
    package var httpPort = 7701
    package var peerPort = 7702
    package var dataDirectory = "syncline-data"
    /// Every node, this one included, in the order they were written; empty for a cluster of one.
    package var peers: [PeerAddress] = []
    /// Sixteen bytes; nil: the one on disk, or one that the cluster makes up.
    package var clusterID: [UInt8]?
    package var shards = 16
    /// At most the number of nodes.
    package var replicas = 1
    package var heartbeat = Interval.milliseconds(50)
    package var electionMin = Interval.milliseconds(150)
    package var electionMax = Interval.milliseconds(300)
    package var sessionTTL = Interval.milliseconds(10_000)
    /// Event loops, at least 1.
    package var loops = 1
    package var maxClients = 10_000
    package var pipelineDepth = 1024
    /// nil: never.
    package var idleTimeout: Interval?
    package var requestTimeout = Interval.milliseconds(5_000)
    /// A swift-log level's name.
    package var logLevel = "info"
    package var logFormat = LogFormat.auto
    package var leaseReads = false
    package var acceptDataLoss = false
    package var walSegmentBytes = 64 << 20
    package var snapshotLogBytes = 16 << 20
    package var insecure = false
    /// Of one namespace, as `maxLocks`.
    package var maxSessions = 100_000
    package var maxLocks = 1_000_000
    package var virtualNodes = 150
    /// Of one message's body; as `maxLocks`, the same on all nodes.
    package var maxMessageBytes = 1 << 20
    /// Of one lock.
    package var maxWaiters = 10_000
    package var cacheBytes = 256 << 20
    package var cacheEviction = EvictionPolicy.leastRecentlyUsed
    package var cacheRules = DurabilityRules()
    /// As it was written.
    var cacheNamespaces = ""
    package var cacheFlush = Interval.milliseconds(1_000)
    package var cacheStoreBytes = 1 << 30
    package var cacheDirtyBytes = 256 << 20
    package var redis = RedisSettings()

    /// Each setting with its text and where it came from, in the table's order; empty unless made by `resolve`.
    package internal(set) var resolved: [ResolvedSetting] = []

    package init() {}
}

extension Settings {
    /// Finds every setting's value: flag before environment before file before default.
    ///
    /// Throws everything that is wrong at once: unknown flags, variables and keys (with the nearest known one), values
    /// outside their range, and values that contradict each other.
    package static func resolve(
        flags: [String],
        environment: [String: String],
        file: SettingsFile? = nil
    ) throws(SettingsError) -> Settings {
        let table = SettingDefinition.all
        let sources = try SettingsSources(flags: flags, environment: environment, file: file, table: table)
        var resolution = try SettingsResolution(sources, table: table)
        resolution.derive()
        let settings = Settings(resolution)
        let problems = settings.contradictions(flags: flags)
        guard problems.isEmpty else { throw SettingsError(problems) }
        return settings
    }

    private init(_ values: SettingsResolution) {
        nodeID = values.text("node-id") ?? nodeID
        host = values.text("host") ?? host
        clientPort = values.integer("client-port") ?? clientPort
        httpPort = values.integer("http-port") ?? httpPort
        peerPort = values.integer("peer-port") ?? peerPort
        dataDirectory = values.text("data-dir") ?? dataDirectory
        peers = values.peers("peers")
        clusterID = values.hexadecimal("cluster-id")
        shards = values.integer("shards") ?? shards
        replicas = values.integer("replicas") ?? replicas
        heartbeat = values.interval("heartbeat-ms") ?? heartbeat
        electionMin = values.interval("election-min-ms") ?? electionMin
        electionMax = values.interval("election-max-ms") ?? electionMax
        sessionTTL = values.interval("session-ttl-ms") ?? sessionTTL
        loops = values.integer("loops").flatMap { $0 == 0 ? nil : $0 } ?? Processors.count
        maxClients = values.integer("max-clients") ?? maxClients
        pipelineDepth = values.integer("pipeline-depth") ?? pipelineDepth
        idleTimeout = values.interval("idle-timeout-ms").flatMap { $0 == .zero ? nil : $0 }
        requestTimeout = values.interval("request-timeout-ms") ?? requestTimeout
        logLevel = values.text("log-level") ?? logLevel
        logFormat = values.text("log-format").flatMap(LogFormat.init) ?? logFormat
        leaseReads = values.boolean("lease-reads") ?? leaseReads
        acceptDataLoss = values.boolean("accept-data-loss") ?? acceptDataLoss
        walSegmentBytes = values.integer("wal-segment-bytes") ?? walSegmentBytes
        snapshotLogBytes = values.integer("snapshot-log-bytes") ?? snapshotLogBytes
        insecure = values.boolean("insecure") ?? insecure
        maxSessions = values.integer("max-sessions") ?? maxSessions
        maxLocks = values.integer("max-locks") ?? maxLocks
        virtualNodes = values.integer("virtual-nodes") ?? virtualNodes
        maxMessageBytes = values.integer("max-message-bytes") ?? maxMessageBytes
        maxWaiters = values.integer("max-waiters") ?? maxWaiters
        cacheBytes = values.integer("cache-bytes") ?? cacheBytes
        cacheEviction = values.text("cache-eviction") == "s3-fifo" ? .s3fifo : .leastRecentlyUsed
        cacheFlush = values.interval("cache-flush-ms") ?? cacheFlush
        cacheStoreBytes = values.integer("cache-store-bytes") ?? cacheStoreBytes
        cacheRules.standard = values.text("cache-durability").flatMap(CacheDurability.init(word:)) ?? .replicated
        cacheDirtyBytes = values.integer("cache-dirty-bytes") ?? cacheDirtyBytes
        redis = RedisSettings(values)
        cacheNamespaces = values.text("cache-namespaces") ?? ""
        cacheRules.namespaces = DurabilityRules.namespaces(cacheNamespaces) ?? []
        resolved = values.resolved
    }
}
