// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore
import Wire

/// One node's disk: a write-ahead log of real encoded records, and snapshot files.
///
/// Written bytes are in the page cache: they survive the death of the process, but of the machine only once synced.
struct SimDisk {
    struct Snapshot {
        var metadata: SnapshotMetadata
        var bytes: [UInt8]
        var bodies: SnapshotBodies
    }

    /// A snapshot on its way in.
    struct Receiving {
        var metadata: SnapshotMetadata
        var bytes: [UInt8]
    }

    /// What a power cut does to the bytes that were not synced.
    enum Tear: CaseIterable {
        /// A prefix of any length survives.
        case prefix
        /// The same, and bits of it are flipped.
        case flipped
        /// Blocks reach the disk in any order: one block of the survivors is zeros.
        case hole
    }

    private let node: NodeID
    private var segment: SimSegment
    private var segmentNumber: UInt64 = 1
    /// Bytes of the segment that are synced.
    private var synced: Int
    /// Where the last synced batch begins: before it, damage can be told from a torn tail.
    private var lastBatchStart: Int
    /// Snapshot files of each shard, oldest first. One stays until the log's record of a newer one is synced.
    private var files: [[Snapshot]]
    /// Outlives the process, like the file that a snapshot gathers in.
    var receiving: [Receiving?]
    /// Rises with each start; synced at once.
    var incarnation: UInt64 = 0
    /// What is synced, as the observer knows it.
    private(set) var durable: [ShadowLog]
    /// Operations written and not yet synced.
    private var written: [(shard: Int, operation: PersistOperation)] = []

    init(node: NodeID, shards: Int) {
        self.node = node
        segment = SimSegment(number: 1, node: node, salt: 1, checkpoint: [], entries: [])
        synced = segment.count
        lastBatchStart = segment.count
        files = Array(repeating: [], count: shards)
        receiving = Array(repeating: nil, count: shards)
        durable = Array(repeating: ShadowLog(), count: shards)
    }

    mutating func write(_ batch: [(shard: Int, operation: PersistOperation)]) {
        segment.append(batch)
        written.append(contentsOf: batch)
    }

    /// Everything written is durable now.
    mutating func sync() {
        lastBatchStart = synced
        synced = segment.count
        for (shard, operation) in written {
            durable[shard].apply(operation)
            switch operation {
            case .snapshot(let recorded), .reset(let recorded):
                files[shard].removeAll { $0.metadata.index < recorded.index }
            case .hardState, .entries: break
            }
        }
        written.removeAll(keepingCapacity: true)
    }

    /// A snapshot file was written, synced and renamed into its place.
    mutating func install(_ snapshot: Snapshot, shard: Int) {
        files[shard].removeAll { $0.metadata == snapshot.metadata }
        files[shard].append(snapshot)
    }

    func snapshot(_ metadata: SnapshotMetadata, shard: Int) -> Snapshot? {
        files[shard].first { $0.metadata == metadata }
    }

    /// The one of the highest index among those that are meant.
    func newestSnapshot(of shard: Int, where isMeant: (SnapshotMetadata) -> Bool) -> Snapshot? {
        files[shard].filter { isMeant($0.metadata) }.max { $0.metadata.index < $1.metadata.index }
    }

    /// A message beside any snapshot that is still there.
    func body(of message: UInt64, shard: Int) -> [UInt8]? {
        for file in files[shard] {
            if let body = file.bodies.find(message) { return body }
        }
        return nil
    }

    // MARK: Accidents

    /// The process died in the middle of writing: what it wrote stays, up to some byte of the last batch.
    mutating func processDied(_ random: inout SeededRandom) {
        let unsynced = segment.count - synced
        if unsynced > 0 && random.chance(1, in: 2) {
            segment.truncate(to: synced + Int(random.below(UInt64(unsynced))))
        }
        written.removeAll()
    }

    mutating func powerFailed(_ tear: Tear, _ random: inout SeededRandom) {
        let kept = Int(random.below(UInt64(segment.count - synced) + 1))
        segment.truncate(to: synced + kept)
        for shard in receiving.indices { receiving[shard] = nil }
        written.removeAll()
        guard kept > 0 else { return }
        switch tear {
        case .prefix: break
        case .flipped:
            for _ in 0...random.below(3) {
                segment.flip(bit: UInt8(random.below(8)), of: synced + Int(random.below(UInt64(kept))))
            }
        case .hole:
            let start = synced + Int(random.below(UInt64(kept)))
            segment.zero(start..<min(start + 512, segment.count))
        }
    }

    /// Flips one bit of what was synced. False when there is nothing to damage that could be told from a torn tail.
    mutating func damage(_ random: inout SeededRandom) -> Bool {
        guard lastBatchStart > SegmentHeader.byteCount + 1024 else { return false }
        segment.flip(bit: UInt8(random.below(8)), of: Int(random.below(UInt64(lastBatchStart))))
        return true
    }

    // MARK: Recovery

    struct Recovered {
        var shards: [RecoveredLog]
        var wasTorn: Bool
        var survivedUnsynced: Bool
        var isDamaged: Bool
    }

    /// Reads the log back as a starting process does, cuts a torn tail and begins a new segment now and then.
    mutating func recover(salt: UInt64) -> Recovered {
        let contents = segment.read()
        var recovered = Recovered(
            shards: [],
            wasTorn: contents.validLength < segment.count,
            survivedUnsynced: contents.validLength > synced,
            isDamaged: contents.isUnreadable
        )
        if case .damaged = contents.tail { recovered.isDamaged = true }
        guard !recovered.isDamaged else { return recovered }
        invariant(contents.validLength >= synced, "synced records were taken for a torn tail")

        var shadows = Array(repeating: ShadowLog(), count: files.count)
        var bases = Array(repeating: SnapshotMetadata?.none, count: files.count)
        for (shard, operation) in contents.operations {
            shadows[shard].apply(operation)
            switch operation {
            case .snapshot(let metadata), .reset(let metadata): bases[shard] = metadata
            case .hardState, .entries: break
            }
        }
        recovered.shards = shadows.indices.map { shard in
            RecoveredLog(
                hardState: shadows[shard].hardState,
                snapshot: bases[shard],
                entries: shadows[shard].liveEntries
            )
        }
        segment.truncate(to: contents.validLength)
        if segment.count > 64 << 10 { beginSegment(recovered.shards, salt: salt) }
        synced = segment.count
        lastBatchStart = min(lastBatchStart, synced)
        durable = shadows
        return recovered
    }

    /// Writes the log anew with only what is still alive, as a real log drops old segments.
    private mutating func beginSegment(_ shards: [RecoveredLog], salt: UInt64) {
        segmentNumber += 1
        segment = SimSegment(
            number: segmentNumber,
            node: node,
            salt: salt,
            checkpoint: shards.enumerated().map { shard, found in
                ShardCheckpoint(shard: ShardID(UInt16(shard)), hardState: found.hardState, snapshot: found.snapshot)
            },
            entries: shards.map(\.entries)
        )
        lastBatchStart = SegmentHeader.byteCount
    }
}

extension ShadowLog {
    /// The entries after the snapshot.
    var liveEntries: [Entry] {
        guard let first = entries.first else { return [] }
        let dead = Int(snapshot.next.rawValue) - Int(first.index.rawValue)
        return dead <= 0 ? entries : Array(entries.dropFirst(dead))
    }
}
