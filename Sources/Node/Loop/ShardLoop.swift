// SPDX-License-Identifier: Apache-2.0
import Gateway
import LockCore
import Logging
package import NIOCore
import Primitives
import QueueCore
import RaftCore
import Replica
import Storage
import Telemetry
import Transport
import Wire

/// One event loop with the shards that live on it, the router of the connections that live on it, and the order in
/// which a turn's work is carried out.
///
/// Confined to its event loop, hence unchecked: only `post` may be called from elsewhere. It is a class and not an
/// actor so that channel handlers of the same loop call it without a hop; `preconditionInEventLoop` guards the door.
package final class ShardLoop: @unchecked Sendable {
    let loop: any EventLoop
    let index: Int
    let context: NodeContext
    let mailbox = Mailbox()
    let log: Logger

    /// By shard number; nil for shards of other loops or other nodes.
    var hosted: [HostedReplica?]
    var dirty: [HostedReplica] = []
    var router: Router
    var routerEffects = RouterEffects()
    var callers = SlotTable<(Response) -> Void>()
    /// For cancellation: where a caller's request went.
    var routes: [RequestHandle: WaitRoute] = [:]
    var watches = WatchTable()
    var outboxes: [NodeID: [PeerMessage]] = [:]
    /// Batches handed to the log and not yet durable, oldest first.
    var inFlight = CircularBuffer<LogBatch>()
    var nextBatch: UInt64 = 1
    var turnIsScheduled = false
    var isInTurn = false
    /// The next turn waits for the batch in flight.
    var isGathering = false
    var storageIsFull = false
    var ticks: RepeatedTask?
    var gauges = LoopGauges()
    var bodyCache = BodyCache()
    /// Nil: the node does not serve the cache.
    var cache: LoopCache?
    /// Nil: the memory of the cache is the cluster itself.
    var memory: LoopMemory?

    init(loop: any EventLoop, index: Int, context: NodeContext, router: Router) {
        self.loop = loop
        self.index = index
        self.context = context
        self.router = router
        var log = context.log
        log[metadataKey: "loop"] = "\(index)"
        self.log = log
        hosted = Array(repeating: nil, count: context.map.placement.count)
    }

    package var eventLoop: any EventLoop { loop }

    /// From any thread.
    func post(_ mail: Mail) {
        mailbox.post(mail) { loop.execute { self.drainMailbox() } }
    }

    func host(_ replica: Replica, _ bodies: BodyStore) {
        hosted[Int(replica.shard.rawValue)] = HostedReplica(replica, bodies)
    }

    func start() {
        loop.preconditionInEventLoop()
        let interval = TimeAmount.nanoseconds(Int64(context.tickInterval.nanoseconds))
        ticks = loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in self.tick() }
    }

    func stop() {
        loop.preconditionInEventLoop()
        ticks?.cancel()
        ticks = nil
    }

    /// Feeds one input to a shard of this loop and makes sure that a turn will carry out what follows.
    func step(_ shard: ShardID, _ input: ReplicaInput) {
        guard Int(shard.rawValue) < hosted.count, let replica = hosted[Int(shard.rawValue)] else { return }
        replica.replica.step(input, now: NodeClock.now(), into: &replica.gathered)
        markDirty(replica)
    }

    func markDirty(_ replica: HostedReplica) {
        guard !replica.isDirty else { return }
        replica.isDirty = true
        dirty.append(replica)
        scheduleTurn()
    }

    /// Runs after all that this pass of the event loop has read, so that one batch covers it, and all that comes while
    /// a short sync goes on: fewer, larger batches cost every node less. A tick ends the wait.
    func scheduleTurn() {
        guard !turnIsScheduled, !isInTurn, !isGathering else { return }
        turnIsScheduled = true
        loop.execute { self.runTurn() }
    }

    private func tick() {
        for case .some(let replica) in hosted {
            replica.replica.step(.tick, now: NodeClock.now(), into: &replica.gathered)
            markDirty(replica)
        }
        router.tick(now: NodeClock.now(), into: &routerEffects)
        watches.tick(self)
        cache?.tick(NodeClock.now())
        memory?.tick(NodeClock.now())
        if index == 0 { context.releaseIdleReaders(now: NodeClock.now()) }
        watchDisk()
        gauges.publish(self)
        isGathering = false
        scheduleTurn()
    }

    /// A full disk, and shards whose old entries keep the log long.
    private func watchDisk() {
        let status = context.writer.board.current
        let isFull = status.space != .available
        if isFull != storageIsFull {
            storageIsFull = isFull
            log.warning(isFull ? "disk full: new locks and sessions are refused" : "disk has room again")
            for case .some(let replica) in hosted { step(replica.shard, .storageFull(isFull)) }
        }
        if status.segments > context.maxSegments {
            for pin in status.pins { step(pin.shard, .snapshotWanted) }
        }
    }

    private func drainMailbox() {
        for mail in mailbox.takeAll() { receive(mail) }
    }

    private func receive(_ mail: Mail) {
        switch mail {
        case .step(let shard, let input): step(shard, input)
        case .peer(let messages, let from): peerMessages(messages, from: from)
        case .reply(let shard, let id, let reply, let from):
            router.receive(reply, shard: shard, id: id, from: from, now: NodeClock.now(), into: &routerEffects)
            scheduleTurn()
        case .leader(let shard, let leader):
            router.leaderChanged(shard, to: leader, now: NodeClock.now(), into: &routerEffects)
            scheduleTurn()
        case .events(let shard, let events): tellWatchers(events, of: shard)
        case .outbox(let node, let messages): context.transport.send(messages, to: node)
        case .peerConnected(let node): connectionChanged(node, isUp: true)
        case .peerDisconnected(let node): connectionChanged(node, isUp: false)
        case .durable(let batch): batchIsDurable(batch)
        case .perform(let body): body(self)
        }
    }

    func connectionChanged(_ node: NodeID, isUp: Bool) {
        for case .some(let replica) in hosted {
            step(replica.shard, isUp ? .peerConnected(node) : .peerDisconnected(node))
        }
        if !isUp { router.peerDisconnected(node, now: NodeClock.now(), into: &routerEffects) }
        scheduleTurn()
    }
}

/// A replica with the effects that its steps of this turn have gathered. A class, so that both can be changed in one
/// call without copying either.
final class HostedReplica {
    /// Kept here too, because reading it through `replica` copies the whole value.
    let shard: ShardID
    var replica: Replica
    /// Of the steps since the last turn.
    var gathered = ReplicaEffects()
    /// Of the turn that is being carried out.
    var effects = ReplicaEffects()
    var isDirty = false
    /// Messages that have left the log.
    let bodies: BodyStore
    /// The snapshot that `bodies` belongs to.
    var bodiesIndex: LogIndex
    /// The queue counts at the last look.
    var queueTotals: QueueTotals
    /// A received snapshot is being checked and given its place on the helper thread. Until that is done its file
    /// must not change, so chunks are not taken: the leader asks again.
    var isInstalling = false
    /// Nodes without a replica that watch this shard, and until when.
    var subscribers: [NodeID: Instant] = [:]

    init(_ replica: Replica, _ bodies: BodyStore) {
        shard = replica.shard
        self.replica = replica
        self.bodies = bodies
        bodiesIndex = replica.raft.snapshotIndex
        queueTotals = replica.state.queues.totals
    }

    /// A snapshot with these bodies is complete on disk. Called before the replica hears of it and lets go of the log:
    /// at no time is a message in neither.
    func adopt(_ manifest: BodyManifest, at index: LogIndex) {
        guard index > bodiesIndex else { return }
        bodiesIndex = index
        bodies.adopt(manifest)
    }
}

/// Where a request that may wait stands in line.
struct WaitRoute {
    var shard: ShardID
    var request: RequestID
    var isQueue: Bool
}

/// What one write to the log carried for this loop.
struct LogBatch {
    var number: UInt64
    /// The marks to report back once the batch is durable.
    var marks: [(ShardID, UInt64)]
    /// Messages that must not leave before that.
    var messages: [(ShardID, Envelope)]
    /// Snapshots recorded by it; older ones may then go.
    var snapshots: [(ShardID, SnapshotMetadata)]
}
