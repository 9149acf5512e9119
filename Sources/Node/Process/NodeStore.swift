// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Glibc
import Logging
import NIOCore
import Primitives
import RaftCore
import Storage
import Telemetry
import Wire

/// What a node reads from its disk before anything runs.
struct NodeStore {
    let directory: DataDirectory
    let writer: LogWriter
    let snapshots: SnapshotDirectory
    /// For the index of queued messages; nil when the disk has no room for it, and then the heap serves.
    let arena: ColdArena?
    /// Of the cache's mode `local`, and what an earlier life had put there.
    let journal: CacheJournal
    let replay: JournalReplay
    /// By shard number; nil for a shard that has no record yet.
    let recovered: [RecoveredShard?]

    static func open(
        _ settings: Settings,
        map: ClusterMap,
        group: any EventLoopGroup,
        metrics: SynclineMetrics,
        logger: Logger
    ) async throws -> NodeStore {
        let clusterID = try await clusterID(settings, map, group, logger)
        let directory = try DataDirectory.open(
            path: settings.dataDirectory,
            nodeName: settings.nodeID,
            clusterID: clusterID,
            shardCount: UInt32(settings.shards),
            agreement: map.agreement,
            acceptsLoss: settings.acceptDataLoss
        )
        if settings.acceptDataLoss {
            logger.warning(
                "peers are asked to let this node in whatever it has lost; start it without accept-data-loss next time"
            )
        }
        return try read(directory, settings, metrics, logger)
    }

    private static func read(
        _ directory: DataDirectory,
        _ settings: Settings,
        _ metrics: SynclineMetrics,
        _ logger: Logger
    ) throws -> NodeStore {
        var options = LogSettings()
        options.segmentBytes = settings.walSegmentBytes
        options.onSync = { nanoseconds, bytes in
            metrics.wal.sync.observe(nanoseconds)
            metrics.wal.bytes.increment(by: bytes)
            metrics.wal.batches.increment()
        }
        let storage = try NodeStorage.open(directory, settings: options)
        if let torn = storage.tornTail {
            logger.notice(
                "an incomplete record at the log's end was cut; it had not been confirmed to anybody",
                metadata: ["file": "\(torn.path)", "offset": "\(torn.offset)", "bytes": "\(torn.bytes)"]
            )
        }
        for warning in storage.warnings { logger.error("damage got around", metadata: ["error": "\(warning)"]) }
        var recovered = [RecoveredShard?](repeating: nil, count: settings.shards)
        for shard in storage.shards where Int(shard.shard.rawValue) < recovered.count {
            recovered[Int(shard.shard.rawValue)] = shard
        }
        let snapshots = storage.snapshots
        let onFailure: @Sendable (StorageError) -> Never = { error in
            logger.critical(
                "the disk could not be written; the process ends, so that nothing is confirmed that is not on it",
                metadata: ["error": "\(error)"]
            )
            exit(NodeExit.storageFailed)
        }
        let (journal, replay) = try CacheJournal.open(
            directory,
            metrics: metrics.cache.journal,
            logger: logger,
            onFailure: onFailure
        )
        let writer = LogWriter(
            log: storage.log,
            hasOneLoop: settings.loops == 1,
            metrics: metrics.wal,
            onFailure: onFailure
        )
        let arena = try? ColdArena(directory)
        if arena == nil { logger.warning("no file for cold memory: the index of queued messages stays in memory") }
        return NodeStore(
            directory: directory,
            writer: writer,
            snapshots: snapshots,
            arena: arena,
            journal: journal,
            replay: replay,
            recovered: recovered
        )
    }

    /// The configured id, or for an empty directory the one that the cluster's first node decides; nil when the
    /// directory knows.
    private static func clusterID(
        _ settings: Settings,
        _ map: ClusterMap,
        _ group: any EventLoopGroup,
        _ logger: Logger
    ) async throws -> [UInt8]? {
        if let configured = settings.clusterID { return configured }
        let node = NodeID(name: settings.nodeID)
        let decides = ClusterDiscovery.decides(node, in: map) && !settings.acceptDataLoss
        guard !DataDirectory.isBound(settings.dataDirectory), !decides else { return nil }
        let hello = Hello(
            clusterID: Handshake.noCluster,
            nodeName: settings.nodeID,
            incarnation: 0,
            life: 0,
            agreement: 0,
            clientAddress: "",
            httpAddress: "",
            shardCount: UInt32(settings.shards)
        )
        return try await ClusterDiscovery(hello: hello, map: map, group: group, log: logger).ask()
    }
}
