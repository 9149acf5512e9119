// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import RaftCore
import Replica

/// What waits in a node's mailbox.
enum NodeInput {
    case tick
    case frame(from: Int, [PeerMessage])
    case peerConnected(Int)
    case peerDisconnected(Int)
    case batchSynced(UInt64)
    case snapshotWritten(shard: Int, SimDisk.Snapshot)
    case snapshotRead(shard: Int, SnapshotRead)
    case snapshotStored(shard: Int, SnapshotStore)
    case snapshotInstalled(shard: Int, from: NodeID, SimDisk.Snapshot)
    case bodiesRead(shard: Int, BodyRead)
    case transferLeadership(shard: Int)
    case clientRequest(Int)
    case clientCancel(Int)
    case cacheCall(Int)
}

extension NodeInput {
    /// Inputs of one source keep their order; peers have the numbers from 0 on.
    var source: Int {
        switch self {
        case .frame(let peer, _), .peerConnected(let peer), .peerDisconnected(let peer): peer
        case .tick, .transferLeadership: -1
        case .batchSynced, .snapshotWritten, .snapshotRead, .snapshotStored, .snapshotInstalled, .bodiesRead: -2
        case .clientRequest(let operation), .clientCancel(let operation): 1000 + operation
        case .cacheCall(let call): 1_000_000_000 + call
        }
    }
}

enum NodeCondition {
    case running
    /// Stopped as by SIGSTOP: inputs pile up, the clock goes on.
    case paused
    case down
    /// Its disk is damaged: it refuses to start until somebody replaces it.
    case lost
}

/// One node's replica of one shard, and what the observer knows of it.
///
/// Here and elsewhere in the simulator `@exclusivity(unchecked)` stands on what is touched for every event: a run
/// lives on one thread, and no property is read while it is changed.
final class SimReplica {
    let shard: Int
    @exclusivity(unchecked) var replica: Replica
    @exclusivity(unchecked) var effects = ReplicaEffects()
    @exclusivity(unchecked) var shadow: ReplicaShadow
    /// It has been stepped in this turn.
    var isTouched = false
    /// A snapshot on its way to the disk.
    var snapshotJob: SimDisk.Snapshot?
    /// A received snapshot that is being checked and given its place; no chunk is taken meanwhile.
    var installing: (from: NodeID, snapshot: SimDisk.Snapshot)?

    init(shard: Int, replica: Replica, shadow: ReplicaShadow) {
        self.shard = shard
        self.replica = replica
        self.shadow = shadow
    }
}

/// One simulated node: the shell's duties in miniature around real replicas and a real router.
final class SimNode {
    let index: Int
    let id: NodeID
    var condition = NodeCondition.down
    /// Counts process starts; events of earlier processes are void.
    var life: UInt32 = 0
    var clock: SimClock
    var disk: SimDisk
    /// Extra time of each sync.
    var syncDelay = Interval.zero
    var isDiskFull = false
    /// Its log was damaged on purpose: it must refuse to start.
    var isDamaged = false
    /// After healing: one of the minority that is left dead.
    var staysDead = false
    /// Counts the times its disk was set back to an older image, which forgets promises.
    var diskGeneration = 0

    // The process; empty while it is down.
    @exclusivity(unchecked) var replicas: [SimReplica] = []
    @exclusivity(unchecked) var router: Router?
    /// Nil too where nobody uses the cache.
    @exclusivity(unchecked) var cache: SimCache?
    @exclusivity(unchecked) var routerEffects = RouterEffects()
    @exclusivity(unchecked) var inbox: [NodeInput] = []
    var isTurnScheduled = false
    @exclusivity(unchecked) var log = LogQueue(shards: 0)
    /// Messages gathered in this turn, per node.
    @exclusivity(unchecked) var outgoing: [[PeerMessage]]
    /// What `carryOut` works on while the replica's own effects gather anew.
    @exclusivity(unchecked) var spareEffects = ReplicaEffects()

    init(index: Int, swarm: Swarm, clock: SimClock) {
        self.index = index
        id = NodeID(UInt64(index + 1))
        self.clock = clock
        disk = SimDisk(node: id, shards: swarm.shards)
        outgoing = Array(repeating: [], count: swarm.nodes)
    }

    var isUp: Bool { condition == .running || condition == .paused }

    static func index(of id: NodeID) -> Int { Int(id.rawValue) - 1 }

    /// Whether this node leads the shard, as far as it knows.
    func leads(_ shard: Int) -> Bool { isUp && replicas[shard].replica.raft.role == .leader }
}

/// The node's one write-ahead log: at most one batch is on its way to the disk, the next gathers meanwhile, and
/// messages that must not overtake their records wait here.
struct LogQueue {
    struct Held {
        var batch: UInt64
        var to: Int
        var shard: Int
        var message: RaftMessage
    }

    var open: [(shard: Int, operation: PersistOperation)] = []
    var openMarks: [(shard: Int, mark: UInt64)] = []
    var inFlightMarks: [(shard: Int, mark: UInt64)] = []
    private(set) var inFlight: UInt64?
    private(set) var completed: UInt64 = 0
    /// In the order of sending.
    private var held: [Held] = []
    /// Number of the last batch with a record of the shard.
    private var lastBatch: [UInt64]

    init(shards: Int) { lastBatch = Array(repeating: 0, count: shards) }

    private var openBatch: UInt64 { (inFlight ?? completed) + 1 }

    mutating func append(_ operations: [PersistOperation], mark: UInt64?, shard: Int) {
        for operation in operations { open.append((shard, operation)) }
        if let mark { openMarks.append((shard, mark)) }
        lastBatch[shard] = openBatch
    }

    /// Whether everything the shard has persisted so far is durable.
    func isDurable(_ shard: Int) -> Bool { lastBatch[shard] <= completed }

    mutating func hold(_ message: RaftMessage, to: Int, shard: Int) {
        held.append(Held(batch: lastBatch[shard], to: to, shard: shard, message: message))
    }

    /// The records to write now, if nothing is on its way.
    mutating func begin() -> [(shard: Int, operation: PersistOperation)]? {
        guard inFlight == nil, !open.isEmpty else { return nil }
        inFlight = completed + 1
        inFlightMarks = openMarks
        openMarks.removeAll()
        let batch = open
        open.removeAll()
        return batch
    }

    /// Gives what may be sent now.
    mutating func finish(_ batch: UInt64) -> [Held] {
        invariant(inFlight == batch, "a batch completed that was not in flight")
        inFlight = nil
        completed = batch
        guard held.contains(where: { $0.batch <= batch }) else { return [] }
        let ready = held.filter { $0.batch <= batch }
        held.removeAll { $0.batch <= batch }
        return ready
    }
}
