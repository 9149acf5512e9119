// SPDX-License-Identifier: Apache-2.0
import CacheCore
import LockCore
import Primitives
import QueueCore
import RaftCore
import Replica

/// Processes start, die, stop and go on.
extension Simulation {
    func start(_ node: SimNode) {
        invariant(node.condition == .down, "a node that runs is started")
        let recovered = node.disk.recover(salt: random.next())
        violations.expect(
            recovered.isDamaged == node.isDamaged,
            .durability,
            "node \(node.index) starts with a log that is \(node.isDamaged ? "damaged" : "sound") "
                + "and finds it otherwise"
        )
        if recovered.isDamaged {
            probes.hit(.damageDetected)
            node.condition = .lost
            note(node.index, "refuses to start: its log is damaged")
            return
        }
        if recovered.wasTorn { probes.hit(.tornTailCut) }
        if recovered.survivedUnsynced { probes.hit(.unsyncedRecordSurvived) }
        node.life += 1
        node.condition = .running
        node.disk.incarnation += 1
        let local = node.clock.local(now)
        node.replicas.removeAll()
        for (shard, found) in recovered.shards.enumerated() {
            guard let replica = makeReplica(node, shard, found, local) else { return }
            let shadow = makeShadow(node, shard, replica)
            node.replicas.append(SimReplica(shard: shard, replica: replica, shadow: shadow))
        }
        node.log = LogQueue(shards: swarm.shards)
        node.router = Router(configuration: routerConfiguration(node))
        startCache(node)
        node.inbox.removeAll()
        node.isTurnScheduled = false
        trace.note(1, UInt64(node.index), now.nanoseconds)
        note(node.index, "starts, incarnation \(node.disk.incarnation)")
        queue.schedule(.tick(node: node.index, life: node.life), at: now)
        for other in nodes where other !== node && other.isUp { requestConnection(node.index, other.index) }
    }

    private func makeReplica(_ node: SimNode, _ shard: Int, _ found: RecoveredLog, _ local: Instant) -> Replica? {
        var snapshot: SimDisk.Snapshot?
        if let expected = found.snapshot {
            probes.hit(.recoveredFromSnapshot)
            snapshot = node.disk.snapshot(expected, shard: shard)
            guard snapshot != nil else {
                violations.report(
                    .durability,
                    "the snapshot that the log of shard \(shard) on node \(node.index) names is gone"
                )
                return nil
            }
        }
        do throws(DecodingError) {
            let replica = try Replica(
                configuration: replicaConfiguration(node, shard),
                recovered: found,
                snapshot: snapshot?.bytes,
                seed: random.next(),
                now: local
            )
            checkBodies(snapshot, replica, node, shard)
            return replica
        } catch {
            violations.report(.durability, "node \(node.index) cannot start shard \(shard): \(error)")
            return nil
        }
    }

    private func makeShadow(_ node: SimNode, _ shard: Int, _ replica: Replica) -> ReplicaShadow {
        var shadow = ReplicaShadow()
        shadow.log = node.disk.durable[shard]
        shadow.term = replica.raft.term
        shadow.commit = replica.raft.commitIndex
        shadow.verified = replica.raft.commitIndex
        shadow.applied = replica.state.applied
        return shadow
    }

    private func replicaConfiguration(_ node: SimNode, _ shard: Int) -> ReplicaConfiguration {
        var raft = RaftConfiguration(id: node.id, voters: nodes.map(\.id))
        raft.heartbeatInterval = swarm.heartbeat
        raft.electionMin = swarm.electionMin
        raft.electionMax = swarm.electionMax
        raft.leaseReads = swarm.leaseReads
        raft.clockDriftPermille = swarm.clockDriftPermille
        raft.maxInflightAppends = swarm.maxInflightAppends
        raft.maxInflightBytes = swarm.maxInflightBytes
        raft.maxBatchBytes = swarm.maxBatchBytes
        raft.maxUncommittedBytes = swarm.maxUncommittedBytes
        raft.snapshotChunkBytes = swarm.snapshotChunkBytes
        raft.compactionTailEntries = swarm.compactionTailEntries
        if swarm.preferLeaders { raft.preferredLeader = nodes[shard % nodes.count].id }
        #if PLANTED_BUGS
            raft.plantedBug = options.plantedRaftBug
        #endif
        var configuration = ReplicaConfiguration(shard: ShardID(UInt16(shard)), raft: raft)
        configuration.limits = Self.limits(swarm, options)
        configuration.snapshotLogBytes = swarm.snapshotLogBytes
        configuration.digestInterval = swarm.digestInterval
        configuration.cacheLease = swarm.cache.lease
        #if PLANTED_BUGS
            configuration.home.plantedBug = options.plantedCacheBug
        #endif
        return configuration
    }

    static func limits(_ swarm: Swarm, _ options: SimulationOptions) -> ShardLimits {
        var limits = LockLimits()
        limits.waitersPerLock = swarm.waitersPerLock
        limits.holdsPerSession = swarm.holdsPerSession
        #if PLANTED_BUGS
            limits.plantedBug = options.plantedLockBug
        #endif
        var queueLimits = swarm.queues.limits
        #if PLANTED_BUGS
            queueLimits.plantedBug = options.plantedQueueBug
        #endif
        return ShardLimits(locks: limits, queues: queueLimits)
    }

    private func routerConfiguration(_ node: SimNode) -> RouterConfiguration {
        let origin = UInt64(node.index + 1) << 32 | UInt64(node.life)
        var configuration = RouterConfiguration(
            node: node.id,
            origin: origin,
            placement: Array(repeating: nodes.map(\.id), count: swarm.shards)
        )
        configuration.requestTimeout = swarm.requestTimeout
        configuration.resendInterval = swarm.resendInterval
        configuration.waitResendInterval = swarm.waitResendInterval
        return configuration
    }

    // MARK: Dying

    /// SIGKILL: the page cache survives.
    func kill(_ node: SimNode) {
        guard node.isUp else { return }
        node.disk.processDied(&diskRandom)
        die(node, why: "is killed")
    }

    func powerOff(_ node: SimNode, tear: SimDisk.Tear) {
        guard node.isUp else { return }
        node.disk.powerFailed(tear, &diskRandom)
        // A machine that starts again has a clock with another origin.
        node.clock = SimClock(
            permille: node.clock.permille,
            origin: Instant(nanoseconds: 1_000_000 + random.below(1_000_000_000)),
            at: now
        )
        die(node, why: "loses power")
    }

    private func die(_ node: SimNode, why: String) {
        trace.note(2, UInt64(node.index), now.nanoseconds)
        note(node.index, why)
        node.condition = .down
        node.life += 1
        node.replicas.removeAll()
        node.inbox.removeAll()
        node.router = nil
        if let cache = node.cache { losesLines(cache) }
        node.cache = nil
        for other in nodes where other !== node { breakConnection(node.index, other.index) }
        loseOperations(on: node)
        loseCacheCalls(on: node)
    }

    func restart(_ node: SimNode) {
        guard node.condition == .down, !node.staysDead else { return }
        start(node)
    }

    // MARK: Stopping

    func pause(_ node: SimNode) {
        guard node.condition == .running else { return }
        note(node.index, "is stopped")
        node.condition = .paused
    }

    func resume(_ node: SimNode) {
        guard node.condition == .paused else { return }
        trace.note(3, UInt64(node.index), now.nanoseconds)
        note(node.index, "goes on, with \(node.inbox.count) inputs waiting")
        node.condition = .running
        mixInbox(node)
        scheduleTurn(node)
    }

    /// What has piled up in many sockets is read in the order in which an event loop happens to look at them: each
    /// source in its own order, the sources in any.
    private func mixInbox(_ node: SimNode) {
        var waiting = node.inbox
        node.inbox.removeAll(keepingCapacity: true)
        while !waiting.isEmpty {
            let pick = waiting[Int(random.below(UInt64(waiting.count)))].source
            guard let next = waiting.firstIndex(where: { $0.source == pick }) else { continue }
            node.inbox.append(waiting.remove(at: next))
        }
    }

    // MARK: The disk

    func diskDone(_ node: SimNode, _ life: UInt32, _ batch: UInt64) {
        guard node.life == life, node.isUp else { return }
        if node.isDiskFull {
            // The write fails for want of space: the process ends, as after any write that fails.
            kill(node)
            return
        }
        node.disk.sync()
        post(.batchSynced(batch), to: node)
    }

    func snapshotWritten(_ node: SimNode, _ life: UInt32, _ shard: Int) {
        guard node.life == life, node.isUp, let snapshot = node.replicas[shard].snapshotJob else { return }
        node.replicas[shard].snapshotJob = nil
        node.disk.install(snapshot, shard: shard)
        post(.snapshotWritten(shard: shard, snapshot), to: node)
    }

    // MARK: Mailbox

    func tick(_ node: SimNode, _ life: UInt32) {
        guard node.life == life, node.isUp else { return }
        // A process that is stopped misses its timers but has one of them due when it goes on.
        if node.condition == .running || node.inbox.isEmpty { post(.tick, to: node) }
        queue.schedule(.tick(node: node.index, life: life), at: now + node.clock.worldInterval(tickInterval))
    }

    private var tickInterval: Interval { min(swarm.heartbeat / 2, .milliseconds(20)) }

    func post(_ input: NodeInput, to node: SimNode) {
        node.inbox.append(input)
        scheduleTurn(node)
    }

    func scheduleTurn(_ node: SimNode) {
        guard !node.isTurnScheduled, node.condition == .running else { return }
        node.isTurnScheduled = true
        queue.schedule(.turn(node: node.index, life: node.life), at: now + swarm.turnDelay)
    }
}
