// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore

/// A replica's log as an observer rebuilds it from the persist operations the replica hands out.
struct ShadowLog {
    private(set) var snapshot = LogIndex.zero
    private(set) var snapshotTerm = Term.zero
    /// Entries after the snapshot.
    private(set) var entries: [Entry] = []
    /// Index of the first of `entries`, less one. Behind `snapshot` until dead entries are dropped in bulk.
    private var base = LogIndex.zero
    private(set) var hardState = HardState()

    var last: LogIndex { base + UInt64(entries.count) }

    func entry(at index: LogIndex) -> Entry? {
        guard index > base, index <= last else { return nil }
        return entries[Int(index - base) - 1]
    }

    /// Nil when the index is not in the log, or dead.
    func term(at index: LogIndex) -> Term? {
        if index == snapshot { return snapshotTerm }
        return entry(at: index)?.term
    }

    /// Whether the log, its snapshot included, holds this entry.
    func contains(_ index: LogIndex, _ term: Term) -> Bool { index <= snapshot || self.term(at: index) == term }

    /// Whether the operation would leave a gap in the log.
    func leavesGap(_ operation: PersistOperation) -> Bool {
        guard case .entries(let new) = operation, let first = new.first else { return false }
        return first.index > last.next
    }

    mutating func apply(_ operation: PersistOperation) {
        switch operation {
        case .hardState(let state): hardState = state
        case .entries(let new):
            guard let first = new.first else { return }
            if first.index <= base {
                entries.removeAll()
                base = first.index.previous
            } else if first.index <= last {
                entries.removeLast(Int(last - first.index) + 1)
            }
            entries.append(contentsOf: new)
        case .snapshot(let metadata): restore(metadata)
        case .reset(let metadata):
            entries.removeAll()
            base = metadata.index
            snapshot = metadata.index
            snapshotTerm = metadata.term
        }
    }

    /// The first index that this operation would remove from the log, if any.
    func removal(by operation: PersistOperation) -> LogIndex? {
        switch operation {
        case .hardState: return nil
        case .entries(let new): return new.first.flatMap { $0.index <= last ? $0.index : nil }
        case .snapshot(let metadata):
            guard metadata.index > snapshot, entry(at: metadata.index)?.term != metadata.term else { return nil }
            return snapshot < last ? snapshot.next : nil
        case .reset(let metadata): return metadata.index < last ? metadata.index.next : nil
        }
    }

    /// The log begins after this snapshot. Entries that continue it stay, others are dead.
    mutating func restore(_ metadata: SnapshotMetadata) {
        guard metadata.index > snapshot else { return }
        let agrees = entry(at: metadata.index)?.term == metadata.term
        snapshot = metadata.index
        snapshotTerm = metadata.term
        if agrees {
            let dead = Int(metadata.index - base)
            // Dropping from the front moves the rest: worth it only in bulk.
            if dead >= 256 || dead == entries.count {
                entries.removeFirst(dead)
                base = metadata.index
            }
        } else {
            entries.removeAll()
            base = metadata.index
        }
    }
}

/// What the observer knows of one replica's life, from one process start to its end.
struct ReplicaShadow {
    var log = ShadowLog()
    var role = Role.follower
    var term = Term.zero
    var commit = LogIndex.zero
    /// Committed entries up to here have been compared with the witness.
    var verified = LogIndex.zero
    var applied = LogIndex.zero
    /// How much of the current effects has been looked at.
    var persistSeen = 0
    var repliesSeen = 0
    /// Last index when this replica became leader of `term`.
    var leaderFrom = LogIndex.zero
}

extension Entry {
    /// Of kind and payload.
    var contentHash: UInt64 {
        var hash = StableHash.combine(UInt64(kind.rawValue), UInt64(payload.count))
        payload.withUnsafeBytes { bytes in
            var offset = 0
            while offset + 8 <= bytes.count {
                hash = StableHash.combine(hash, bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                offset += 8
            }
            var rest: UInt64 = 0
            while offset < bytes.count {
                rest = rest << 8 | UInt64(bytes[offset])
                offset += 1
            }
            hash = StableHash.combine(hash, rest)
        }
        return hash
    }
}
