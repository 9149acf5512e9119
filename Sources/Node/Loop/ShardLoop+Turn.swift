// SPDX-License-Identifier: Apache-2.0
import CacheCore
import LockCore
import Logging
import NIOCore
import Primitives
import RaftCore
import Replica
import Storage
import Telemetry
import Transport

/// The order of a turn: step everything, send what may go at once, write one batch for all shards, and only when it is
/// durable send what had to wait for it.
extension ShardLoop {
    /// When the loop itself syncs the log, one turn can take a proposal of a single-node shard all the way; the bound
    /// keeps a turn from holding the loop when work begets work.
    static let maxRounds = 8
    /// Messages that wait for one batch to be durable.
    static let maxHeldMessages = 1 << 14

    func runTurn() {
        loop.preconditionInEventLoop()
        turnIsScheduled = false
        isInTurn = true
        var rounds = 0
        repeat {
            drainRouter()
            let batch = collect()
            drainRouter()
            transmit()
            if let batch { write(batch) }
            rounds += 1
        } while !dirty.isEmpty && rounds < Self.maxRounds
        drainRouter()
        transmit()
        isInTurn = false
        if !dirty.isEmpty { scheduleTurn() }
    }

    /// Flushes every replica that has something to say and sorts its effects: messages to outboxes, replies to their
    /// callers, records to one batch.
    private func collect() -> (operations: [ShardPersist], batch: LogBatch)? {
        let now = NodeClock.now()
        let work = dirty
        dirty.removeAll(keepingCapacity: true)
        var operations: [ShardPersist] = []
        var batch = LogBatch(number: 0, marks: [], messages: [], snapshots: [])
        for hosted in work {
            hosted.isDirty = false
            hosted.replica.flush(now: now, into: &hosted.gathered)
            // Carrying out may step the same shard: what comes of that is for the next round.
            swap(&hosted.gathered, &hosted.effects)
            gather(hosted, &operations, &batch)
            carryOut(hosted, now)
            hosted.effects.removeAll()
        }
        guard operations.isEmpty else { return (operations, batch) }
        // Nothing new to write, but an earlier write may still be on its way: keep behind it.
        if inFlight.isEmpty {
            for (shard, envelope) in batch.messages { enqueue(.raft(shard, envelope.message), to: envelope.to) }
        } else {
            let last = inFlight.index(before: inFlight.endIndex)
            // On a disk that stands still these are the same few answers over and over, and Raft repeats what is lost.
            let room = max(0, Self.maxHeldMessages - inFlight[last].messages.count)
            inFlight[last].messages.append(contentsOf: batch.messages.prefix(room))
        }
        return nil
    }

    private func gather(_ hosted: HostedReplica, _ operations: inout [ShardPersist], _ batch: inout LogBatch) {
        let shard = hosted.shard
        if !hosted.effects.persist.isEmpty {
            operations.append(ShardPersist(shard: shard, operations: hosted.effects.persist))
            for operation in hosted.effects.persist {
                switch operation {
                case .snapshot(let metadata), .reset(let metadata): batch.snapshots.append((shard, metadata))
                case .hardState, .entries: break
                }
            }
        }
        if let mark = hosted.effects.persistMark { batch.marks.append((shard, mark)) }
        for envelope in hosted.effects.sendNow { enqueue(.raft(shard, envelope.message), to: envelope.to) }
        for envelope in hosted.effects.sendAfterPersist { batch.messages.append((shard, envelope)) }
    }

    private func carryOut(_ hosted: HostedReplica, _ now: Instant) {
        let shard = hosted.shard
        for envelope in hosted.effects.replies { deliver(envelope, shard, now) }
        for read in hosted.effects.bodyReads { completeAnswer(read, hosted) }
        if !hosted.effects.events.isEmpty { publish(hosted.effects.events, of: hosted, now) }
        if !hosted.effects.queueEvents.isEmpty {
            log.audit(hosted.effects.queueEvents, isLeader: hosted.effects.isLeading)
        }
        for (index, hash) in hosted.effects.digests {
            for node in context.map.placement[Int(shard.rawValue)] where node != context.node {
                enqueue(.digest(shard, index: index, hash: hash), to: node)
            }
        }
        carryCache(hosted, shard)
        memory?.carry(hosted, now)
        if let change = hosted.effects.roleChange { roleChanged(change, shard) }
        if let job = hosted.effects.snapshotJob { takeSnapshot(job, shard) }
        for read in hosted.effects.snapshotReads { readSnapshot(read, shard) }
        for store in hosted.effects.snapshotChunks { storeSnapshot(store, shard) }
        if hosted.effects.ownerWaits != nil || !hosted.effects.detector.isEmpty
            || !hosted.effects.waitsConfirmed.isEmpty
        {
            carryDetection(hosted.effects, shard)
        }
        if let reason = hosted.effects.halted {
            context.metrics.raft.halted.add(1)
            log.critical("replica stopped", metadata: ["shard": "\(shard.rawValue)", "reason": "\(reason)"])
        }
    }

    private func write(_ pass: (operations: [ShardPersist], batch: LogBatch)) {
        var batch = pass.batch
        batch.number = nextBatch
        nextBatch += 1
        inFlight.append(batch)
        context.writer.write(pass.operations, batch: batch.number, for: self)
        isGathering = !inFlight.isEmpty && context.writer.isFast
    }

    /// The log holds everything up to and including this batch.
    func batchIsDurable(_ number: UInt64) {
        while let batch = inFlight.first, batch.number <= number {
            inFlight.removeFirst()
            for (shard, envelope) in batch.messages { enqueue(.raft(shard, envelope.message), to: envelope.to) }
            for (shard, mark) in batch.marks { step(shard, .persisted(mark: mark)) }
            for (shard, metadata) in batch.snapshots { context.snapshotIsRecorded(shard, metadata) }
        }
        isGathering = isGathering && !inFlight.isEmpty
        scheduleTurn()
    }

    /// What the home of the shard's lines has to say, in order.
    private func carryCache(_ hosted: HostedReplica, _ shard: ShardID) {
        let effects = hosted.effects
        for envelope in effects.cacheNotices {
            if envelope.to.node == context.node {
                cache?.receive(envelope, shard, from: context.node)
            } else {
                enqueue(.cacheNotice(shard, envelope), to: envelope.to.node)
            }
        }
        for member in effects.accusations {
            log.warning("a cache does not answer", metadata: ["member": "\(member)", "shard": "\(shard.rawValue)"])
            submit(.cache(.accuse(member)), to: .system, timeout: nil) { _ in }
        }
        if let view = effects.cacheView {
            for member in context.map.members where member.id != context.node {
                enqueue(.cacheView(view), to: member.id)
            }
            context.loops[0].post(.perform { $0.cache?.learn(view) })
        }
    }

    // MARK: Messages

    func enqueue(_ message: PeerMessage, to node: NodeID) {
        outboxes[node, default: []].append(message)
    }

    private func transmit() {
        guard !outboxes.isEmpty else { return }
        for (node, messages) in outboxes where !messages.isEmpty { context.send(messages, to: node, from: self) }
        outboxes.removeAll(keepingCapacity: true)
    }

    func deliver(_ envelope: ReplyEnvelope, _ shard: ShardID, _ now: Instant) {
        guard envelope.to == context.node else {
            enqueue(.reply(shard, envelope.id, envelope.reply), to: envelope.to)
            return
        }
        let owner = context.loop(ofOrigin: envelope.id.origin)
        if owner === self {
            router.receive(
                envelope.reply,
                shard: shard,
                id: envelope.id,
                from: context.node,
                now: now,
                into: &routerEffects
            )
        } else {
            owner?.post(.reply(shard, envelope.id, envelope.reply, from: context.node))
        }
    }

    private func roleChanged(_ change: RoleChange, _ shard: ShardID) {
        context.board.roleChanged(shard, change)
        for other in context.loops {
            if other === self {
                router.leaderChanged(shard, to: change.leader, now: NodeClock.now(), into: &routerEffects)
            } else {
                other.post(.leader(shard, change.leader))
            }
        }
        log.info(
            "role changed",
            metadata: [
                "shard": "\(shard.rawValue)", "role": "\(change.role)", "term": "\(change.term)",
                "leader": "\(change.leader.flatMap { context.map.name(of: $0) } ?? "none")",
            ]
        )
    }
}
