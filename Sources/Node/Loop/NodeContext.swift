// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Glibc
import LockCore
import Logging
import NIOCore
import NIOPosix
import Primitives
import RaftCore
import Replica
import Storage
import Synchronization
import Telemetry
import Transport

/// What the loops of one node share. Written before the loops start, read-only afterwards except for the parts that
/// guard themselves; hence unchecked.
package final class NodeContext: @unchecked Sendable {
    let node: NodeID
    let map: ClusterMap
    let metrics: SynclineMetrics
    let log: Logger
    let board: StatusBoard
    let writer: LogWriter
    let snapshots: SnapshotDirectory
    let tickInterval: Interval
    let segmentBytes: Int
    /// With more segments than this the shards that hold the oldest one are snapshotted.
    let maxSegments = 8
    /// Counts of the loops' caches and homes, for whoever asks on another loop.
    let cacheCounts = Mutex<[LoopCacheCounts]>([])
    let homeStatistics = Mutex<[HomeStatistics]>([])
    let memoryFigures = Mutex<[MemoryFigures]>([])
    private let pool: NIOThreadPool
    /// Another thread, so that whoever reads an old message does not wait for a snapshot to be written.
    private let readers: NIOThreadPool
    private let watchers = Atomic<Int>(0)
    private var nextRelease = Instant.zero
    /// Set once, before anything runs.
    var loops: [ShardLoop] = []
    var transport: PeerTransport!
    private var loopOfOrigin: [UInt64: ShardLoop] = [:]

    init(
        node: NodeID,
        map: ClusterMap,
        metrics: SynclineMetrics,
        log: Logger,
        writer: LogWriter,
        snapshots: SnapshotDirectory,
        tickInterval: Interval,
        segmentBytes: Int,
        pool: NIOThreadPool,
        readers: NIOThreadPool
    ) {
        self.node = node
        self.map = map
        self.metrics = metrics
        self.log = log
        self.writer = writer
        self.snapshots = snapshots
        self.tickInterval = tickInterval
        self.segmentBytes = segmentBytes
        self.pool = pool
        self.readers = readers
        board = StatusBoard(shards: map.placement.count, metrics: metrics.raft)
    }

    func adopt(_ loops: [ShardLoop]) {
        self.loops = loops
        for loop in loops { loopOfOrigin[loop.router.configuration.origin] = loop }
    }

    func loop(ofOrigin origin: UInt64) -> ShardLoop? { loopOfOrigin[origin] }

    /// The front ends' door on one of the node's event loops.
    func port(on loop: any EventLoop) -> ShardLoop {
        guard let found = loops.first(where: { $0.loop === loop }) else {
            invariantFailure("a client connection is on a loop of the node's group")
        }
        return found
    }

    /// The loop that a shard of this node lives on; nil when this node does not hold it.
    func loop(ofShard shard: ShardID) -> ShardLoop? {
        guard Int(shard.rawValue) < map.placement.count, map.placement[Int(shard.rawValue)].contains(node) else {
            return nil
        }
        return loops[Int(shard.rawValue) % loops.count]
    }

    /// The loop that handles this node's lines of a shard, whether or not the node holds the shard.
    func loop(ofCacheShard shard: ShardID) -> ShardLoop { loops[Int(shard.rawValue) % loops.count] }

    func loop(for message: PeerMessage) -> ShardLoop? {
        switch message {
        case .cacheRequest(let shard, _, _, _): loop(ofShard: shard)
        case .cacheNotice(let shard, _): loop(ofCacheShard: shard)
        case .cacheView, .inspectLine, .flushLines: loops.first
        case .lineInspected(let ticket, _), .linesFlushed(let ticket, _): loops[Int(ticket & 0xffff) % loops.count]
        case .raft(let shard, _), .digest(let shard, _, _), .confirmWaits(let shard, _, _),
            .abortWait(let shard, _, _), .watch(let shard, _):
            loop(ofShard: shard)
        case .request(let request): loop(ofShard: request.shard) ?? loops.first
        case .ownerWaits, .waitsConfirmed: loop(ofShard: .system)
        case .reply(_, let id, _): loop(ofOrigin: id.origin)
        case .events: loops.first
        }
    }

    /// The links live on the first loop.
    func send(_ messages: [PeerMessage], to node: NodeID, from loop: ShardLoop) {
        if loop === loops[0] {
            transport.send(messages, to: node)
        } else {
            loops[0].post(.outbox(node, messages))
        }
    }

    func background(_ work: @escaping @Sendable () -> Void) {
        pool.submit { state in
            if case .active = state { work() }
        }
    }

    func readInBackground(_ work: @escaping @Sendable () -> Void) {
        readers.submit { state in
            if case .active = state { work() }
        }
    }

    var hasWatchers: Bool { watchers.load(ordering: .relaxed) > 0 }

    func watchersChanged(by count: Int) { watchers.wrappingAdd(count, ordering: .relaxed) }

    /// Files that were kept open for a follower's transfer which has ended are let go. From the first loop only.
    func releaseIdleReaders(now: Instant) {
        guard now >= nextRelease else { return }
        nextRelease = now + .milliseconds(5_000)
        background { [self] in snapshots.releaseIdleReaders() }
    }

    /// The log says that the shard begins at this snapshot: older snapshots and segments may go.
    func snapshotIsRecorded(_ shard: ShardID, _ metadata: SnapshotMetadata) {
        background { [self] in
            do {
                try snapshots.removeOlder(shard, than: metadata)
            } catch {
                log.warning("an old snapshot could not be removed", metadata: ["error": "\(error)"])
            }
        }
    }

    /// The disk cannot be trusted any more: whatever this process would answer from now on might be lost.
    func fail(_ what: String, _ error: any Error) -> Never {
        log.critical(
            "\(what); the process ends, so that nothing is confirmed that is not on disk",
            metadata: ["error": "\(error)"]
        )
        exit(NodeExit.storageFailed)
    }
}

package enum NodeExit {
    /// EX_IOERR of sysexits.h: a write or fsync failed.
    package static let storageFailed: Int32 = 74
}
