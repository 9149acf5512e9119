// SPDX-License-Identifier: Apache-2.0
import Primitives

// Snapshots (Raft §7, dissertation §5): compaction after a local one, and sending one to a follower that needs
// entries which are gone.
extension Raft {
    // MARK: Compaction

    /// Ignored when the snapshot is older than the newest or is not of this log: its job was overtaken by an
    /// installed one.
    mutating func snapshotTaken(_ taken: SnapshotMetadata, _ effects: inout RaftEffects) {
        guard taken.index > snapshotIndex, taken.index <= commitIndex, log.term(at: taken.index) == taken.term
        else { return }
        adoptSnapshot(taken, &effects)
    }

    private mutating func adoptSnapshot(_ taken: SnapshotMetadata, _ effects: inout RaftEffects) {
        var batch = OutgoingBatch()
        persistLog(&batch, &effects)
        snapshot = taken
        bytesSinceSnapshot = log.cost(taken.index.next, through: log.lastIndex)
        persistence.snapshotDurable(through: taken.index)
        effects.persist.append(.snapshot(taken))
        persistence.handedSnapshot()
        log.compact(through: compactionPoint(taken.index))
    }

    /// The last entry that need not stay in memory. A short tail before the snapshot always stays; a longer one, up to
    /// four times as long, while a follower that is being fed still needs it.
    private func compactionPoint(_ snapshotIndex: LogIndex) -> LogIndex {
        var needed = snapshotIndex
        for follower in followers where follower.connected {
            needed = min(needed, max(follower.match, follower.transfer?.snapshot.index ?? .zero))
        }
        var point = snapshotIndex
        var entries = 0
        var bytes = 0
        while point > log.baseIndex {
            entries += 1
            bytes += log.cost(point, through: point)
            let short = entries <= configuration.compactionTailEntries && bytes <= configuration.compactionTailBytes
            let bounded =
                (entries - 1) / 4 < configuration.compactionTailEntries
                && (bytes - 1) / 4 < configuration.compactionTailBytes
            guard short || (point > needed && bounded) else { break }
            point = point.previous
        }
        return point
    }

    // MARK: Sending

    /// First asks how much the follower has of it, then reads and sends from there, a few chunks at a time.
    mutating func feedSnapshot(_ position: Int, _ now: Instant, _ effects: inout RaftEffects) {
        let follower = followers[position].id
        guard let transfer = followers[position].transfer else { return }
        if !transfer.probeSent {
            followers[position].transfer?.probe()
            let question = SnapshotChunk(term: term, snapshot: transfer.snapshot, offset: 0, bytes: [], checksum: 0)
            effects.sendNow.append(Envelope(to: follower, message: .snapshotChunk(question)))
        }
        while let piece = followers[position].transfer?.nextRead(chunkBytes: configuration.snapshotChunkBytes) {
            effects.snapshotReads.append(
                SnapshotRead(to: follower, snapshot: transfer.snapshot, offset: piece.offset, limit: piece.limit)
            )
        }
    }

    mutating func snapshotChunkRead(
        _ chunk: SnapshotChunk,
        to peer: NodeID,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) {
        guard role == .leader, let position = followerPosition(peer), followers[position].connected,
            followers[position].transfer?.snapshot == chunk.snapshot
        else { return }
        if chunk.bytes.isEmpty {
            // The file is gone. A newer snapshot is begun at once, the same one not before the next retry.
            guard let snapshot, snapshot != chunk.snapshot else { return }
            followers[position].becomeSnapshot(snapshot, now: now)
            return
        }
        effects.sendNow.append(Envelope(to: peer, message: .snapshotChunk(chunk)))
    }

    mutating func handleSnapshotReply(
        _ reply: SnapshotReply,
        from sender: NodeID,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) {
        guard let position = hear(sender, now), let sent = followers[position].transfer?.snapshot,
            reply.index == sent.index
        else { return }
        if reply.installed {
            followers[position].accepted(reply.index, now: now)
            followers[position].becomeProbe(next: reply.index.next)
            advanceCommit(&effects)
        } else if reply.nextOffset <= sent.size {
            if followers[position].transfer?.followerStored(reply.nextOffset) == true {
                followers[position].lastAdvance = now
            }
        }
    }

    // MARK: Receiving

    mutating func handleSnapshotChunk(
        _ chunk: SnapshotChunk,
        from sender: NodeID,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) {
        guard chunk.snapshot.term <= term, followLeader(sender, now, &effects) else { return }
        if log.term(at: chunk.snapshot.index) == chunk.snapshot.term {
            // The same entry, so the same log up to it (Raft §5.3), and a snapshot holds committed entries only.
            advanceCommit(to: chunk.snapshot.index, &effects)
        }
        if chunk.snapshot.index <= commitIndex {
            replyInstalled(chunk.snapshot, to: sender, &effects)
        } else {
            effects.snapshotChunks.append(SnapshotStore(from: sender, chunk: chunk))
        }
    }

    mutating func snapshotChunkStored(
        _ stored: SnapshotMetadata,
        from sender: NodeID,
        nextOffset: UInt64,
        _ effects: inout RaftEffects
    ) {
        guard role == .follower, leader == sender else { return }
        let answer = SnapshotReply(term: term, index: stored.index, nextOffset: nextOffset, installed: false)
        reply(.snapshotReply(answer), to: sender, &effects)
    }

    /// The log is kept where it agrees with the snapshot and replaced where it does not (Raft §7: "if instead the
    /// snapshot describes a prefix of its log, then entries following the snapshot are still valid").
    mutating func snapshotInstalled(
        _ installed: SnapshotMetadata,
        from sender: NodeID,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) {
        if installed.index > commitIndex {
            if log.term(at: installed.index) == installed.term {
                advanceCommit(to: installed.index, &effects)
            } else {
                replaceLog(by: installed, now, &effects)
            }
        }
        if installed.index > snapshotIndex, log.term(at: installed.index) == installed.term {
            adoptSnapshot(installed, &effects)
        }
        if role == .follower && leader == sender { replyInstalled(installed, to: sender, &effects) }
    }

    private mutating func replaceLog(
        by installed: SnapshotMetadata,
        _ now: Instant,
        _ effects: inout RaftEffects
    ) {
        if role == .leader { becomeFollower(term: term, leader: nil, now, &effects) }
        persistence.reset(to: installed.index, term: installed.term)
        log.reset(to: installed.index, term: installed.term)
        bytesSinceSnapshot = 0
        snapshot = installed
        commitIndex = installed.index
        matchedIndex = installed.index
        // Whatever an earlier step of this turn committed is part of the snapshot.
        effects.committed.removeAll()
        effects.restored = installed
        if persistence.hardStateDirty { persistHardState(&effects) }
        effects.persist.append(.reset(installed))
        persistence.handedSnapshot()
    }

    private func replyInstalled(_ snapshot: SnapshotMetadata, to sender: NodeID, _ effects: inout RaftEffects) {
        let answer = SnapshotReply(
            term: term,
            index: snapshot.index,
            nextOffset: snapshot.size,
            installed: true
        )
        effects.sendAfterPersist.append(Envelope(to: sender, message: .snapshotReply(answer)))
    }
}
