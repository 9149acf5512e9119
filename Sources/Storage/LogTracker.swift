// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore
import Wire

/// Knows which segments still hold something that a restart would need. Pure; fed with every record in order.
struct LogTracker: Sendable {
    struct Segment: Sendable {
        var number: UInt64
        /// The highest live index of each shard whose entries the segment holds.
        var highest = OrderedMap<ShardID, LogIndex>()
    }

    /// Oldest first; the last one is being written.
    private(set) var segments: [Segment] = []
    private var shards = OrderedMap<ShardID, ShardCheckpoint>()
    private var lastIndex = OrderedMap<ShardID, LogIndex>()

    /// For the first record of a new segment.
    var checkpoint: [ShardCheckpoint] { shards.values }

    /// Upper bound of the checkpoint's size in the log, in bytes.
    var checkpointBytes: Int {
        shards.reduce(16) { $0 + 64 + 8 * ($1.value.snapshot?.voters.count ?? 0) }
    }

    /// The segment being written; zero before the first.
    var lastNumber: UInt64 { segments.last?.number ?? 0 }

    mutating func beginSegment(_ number: UInt64) { segments.append(Segment(number: number)) }

    mutating func note(_ record: LogRecord) {
        switch record {
        case .hardState(let shard, let state):
            touch(shard)
            shards.modify(shard) { $0.hardState = state }
        case .snapshot(let shard, let metadata):
            noteSnapshot(shard, metadata)
        case .reset(let shard, let metadata):
            noteSnapshot(shard, metadata)
            for position in segments.indices {
                segments[position].highest.modify(shard) { $0 = min($0, metadata.index) }
            }
            lastIndex[shard] = metadata.index
        case .entries(let shard, let entries):
            guard let first = entries.first, let last = entries.last else { return }
            touch(shard)
            noteEntries(shard, first.index, last.index)
        case .checkpoint(let checkpoints):
            for checkpoint in checkpoints {
                touch(checkpoint.shard)
                shards.modify(checkpoint.shard) { $0.hardState = checkpoint.hardState }
                if let snapshot = checkpoint.snapshot { noteSnapshot(checkpoint.shard, snapshot) }
            }
        case .closed:
            return
        }
    }

    /// The snapshot of this shard turned out to be unusable and an older one took its place.
    mutating func lowerSnapshot(_ shard: ShardID, to metadata: SnapshotMetadata?) {
        shards.modify(shard) { $0.snapshot = metadata }
    }

    /// Takes the dead segments off the front and returns their numbers. The last segment always stays.
    mutating func releaseDead() -> [UInt64] {
        var dead: [UInt64] = []
        while segments.count > 1, let first = segments.first, pins(of: first).isEmpty {
            dead.append(first.number)
            segments.removeFirst()
        }
        return dead
    }

    var pins: [SegmentPin] {
        guard segments.count > 1, let first = segments.first else { return [] }
        return pins(of: first)
    }

    private func pins(of segment: Segment) -> [SegmentPin] {
        segment.highest.compactMap { shard, highest in
            let compacted = shards[shard]?.snapshot?.index ?? .zero
            return highest > compacted ? SegmentPin(shard: shard, upTo: highest) : nil
        }
    }

    private mutating func touch(_ shard: ShardID) {
        if shards[shard] == nil {
            shards[shard] = ShardCheckpoint(shard: shard, hardState: HardState(), snapshot: nil)
        }
    }

    private mutating func noteSnapshot(_ shard: ShardID, _ metadata: SnapshotMetadata) {
        touch(shard)
        shards.modify(shard) { checkpoint in
            if metadata.index > (checkpoint.snapshot?.index ?? .zero) { checkpoint.snapshot = metadata }
        }
    }

    private mutating func noteEntries(_ shard: ShardID, _ first: LogIndex, _ last: LogIndex) {
        // Entries from `first` on that older segments hold are replaced, so they keep nothing alive.
        if first <= lastIndex[shard] ?? .zero {
            for position in segments.indices {
                segments[position].highest.modify(shard) { $0 = min($0, first.previous) }
            }
        }
        lastIndex[shard] = last
        guard !segments.isEmpty else { return }
        segments[segments.count - 1].highest[shard] = last
    }
}
