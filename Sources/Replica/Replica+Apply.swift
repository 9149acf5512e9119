// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import QueueCore
import RaftCore

extension Replica {
    mutating func apply(_ entries: [Entry], _ now: Instant, _ effects: inout ReplicaEffects) {
        for entry in entries {
            do throws(DecodingError) {
                shardEffects.removeAll()
                let envelope = try state.apply(entry, into: &shardEffects)
                if case .queue(.publish(let publish)) = envelope?.command { published(publish, entry) }
            } catch {
                halt("entry \(entry.index) of \(shard) cannot be understood (\(error)); \(error.remedy)", &effects)
                return
            }
            deliver(now, &effects)
            if entry.index.rawValue % configuration.digestInterval == 0 { publishDigest(&effects) }
        }
        statistics.applied += entries.count
        if isLeading { answerHeldRenewals(now, &effects) }
        if isSnapshotDue { takeSnapshot(now, &effects) }
    }

    /// The log has grown, or most messages of the last snapshot are gone and their bodies only fill the disk.
    private var isSnapshotDue: Bool {
        let bytes = raft.bytesSinceSnapshot
        if bytes > configuration.snapshotLogBytes { return bytes > raft.snapshotStateBytes / 2 }
        return messagesAtSnapshot > Self.sweptMessages && state.queues.messageCount < messagesAtSnapshot / 2
    }

    private static let sweptMessages = 100_000

    /// Hands on what one applied command brought about.
    private mutating func deliver(_ now: Instant, _ effects: inout ReplicaEffects) {
        if isLeading {
            if !shardEffects.locks.timers.isEmpty { timekeeper.observe(shardEffects.locks.timers, now: now) }
            if !shardEffects.queues.timers.isEmpty { queueTimekeeper.observe(shardEffects.queues.timers, now: now) }
        }
        if isLeading { observeCache(now, &effects) }
        for (id, answer) in shardEffects.answers {
            guard let node = callers.remove(id) else { continue }
            reply(answer, id, to: node, &effects)
        }
        if !shardEffects.locks.events.isEmpty { effects.events.append(contentsOf: shardEffects.locks.events) }
        if !shardEffects.queues.events.isEmpty { effects.queueEvents.append(contentsOf: shardEffects.queues.events) }
    }

    mutating func takeSnapshot(_ now: Instant, _ effects: inout ReplicaEffects) {
        guard !snapshotInProgress, now >= snapshotPause.end, state.applied > raft.snapshotIndex else { return }
        guard let term = raft.term(at: state.applied) else { return }
        snapshotInProgress = true
        messagesInJob = state.queues.messageCount
        effects.snapshotJob = SnapshotJob(
            index: state.applied,
            term: term,
            voters: configuration.raft.voters,
            state: state.encodable,
            entries: raft.entries(after: raft.snapshotIndex, through: state.applied)
        )
    }

    mutating func install(
        _ metadata: SnapshotMetadata,
        _ bytes: [UInt8],
        from: NodeID,
        _ now: Instant,
        _ effects: inout ReplicaEffects
    ) {
        // A snapshot may arrive after the log itself has got as far: then the state is ahead of it already, or gets
        // there by the entries that the snapshot commits.
        if metadata.index > state.applied, raft.term(at: metadata.index) != metadata.term {
            do throws(DecodingError) {
                let restored = try ShardState(
                    decoding: bytes,
                    shard: configuration.shard,
                    limits: configuration.limits,
                    index: configuration.index
                )
                guard restored.applied == metadata.index else { throw .invalidValue(what: "snapshot position") }
                state = restored
                messagesAtSnapshot = restored.queues.messageCount
            } catch {
                halt("the leader's snapshot of \(shard) cannot be understood (\(error)); \(error.remedy)", &effects)
                return
            }
        }
        drive(.snapshotInstalled(from: from, metadata), now, &effects)
    }

    // MARK: Comparing replicas

    private mutating func publishDigest(_ effects: inout ReplicaEffects) {
        let hash = state.digest
        digests.note(index: state.applied, hash: hash)
        effects.digests.append((state.applied, hash))
        judge(state.applied, &effects)
    }

    mutating func compareDigest(from: NodeID, index: LogIndex, hash: UInt64, _ effects: inout ReplicaEffects) {
        guard configuration.raft.voters.contains(from) else { return }
        digests.note(index: index, hash: hash, from: from)
        judge(index, &effects)
    }

    private mutating func judge(_ index: LogIndex, _ effects: inout ReplicaEffects) {
        guard digests.isOdd(at: index, voters: configuration.raft.voters.count) else { return }
        halt("the state of \(shard) at index \(index) differs from that of the other replicas", &effects)
    }
}
