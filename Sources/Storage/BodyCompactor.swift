// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Makes the body segments of a new snapshot out of those of the one before and the bodies that are still in the log.
///
/// Memory: one block, and fresh blocks up to `mergeBytes`, because it takes that many to know that they are not to be
/// joined with the segment before them.
final class BodyCompactor {
    private let shard: ShardID
    private let previous: [BodySegment]
    private let contents: SnapshotContents
    private let settings: SnapshotSettings
    private let writer: BodySegmentWriter
    private var result: [BodySegment] = []
    /// Every live id below this has its body in `previous` or was met.
    private var cursor: UInt64?

    private var live: [Int] = []
    private var batch: [(id: UInt64, body: Range<Int>)] = []
    private var batchBytes: [UInt8] = []
    private var builder: BodyBlockBuilder
    /// Blocks of fresh bodies, before `placeOld`.
    private var waiting: [EncodedBodyBlock] = []
    private var waitingBytes = 0
    private var isOldPlaced = false

    init(
        _ shard: ShardID,
        previous: BodyManifest,
        _ contents: SnapshotContents,
        _ settings: SnapshotSettings,
        _ writer: BodySegmentWriter
    ) {
        self.shard = shard
        self.previous = previous.segments
        self.contents = contents
        self.settings = settings
        self.writer = writer
        builder = BodyBlockBuilder(blockBytes: settings.blockBytes)
    }

    /// The new segments are durable on return, except their names.
    ///
    /// - Throws: `.missingBody`; `.damaged` when a segment that is to be rewritten is; `.io`.
    func run() throws(StorageError) -> [BodySegment] {
        try countLive()
        let lastOld = previous.last?.info.lastID
        if let lastOld { cursor = lastOld == .max ? nil : lastOld + 1 } else { cursor = 0 }
        try contents.forEachFresh { (id, body) throws(StorageError) in
            // The log may keep a tail of entries that the snapshot before covers.
            if let lastOld, id <= lastOld { return }
            try self.addFresh(id, body)
        }
        try flushBatch(through: .max)
        if !builder.isEmpty { try emit(builder.take()) }
        if !isOldPlaced { try placeOld(freshBytes: waitingBytes) }
        try endSegment()
        return result
    }

    // MARK: What lives

    /// Counts each old segment's live messages, and checks that a block may hold each.
    private func countLive() throws(StorageError) {
        live = Array(repeating: 0, count: previous.count)
        guard let lastOld = previous.last?.info.lastID else { return }
        var missing: UInt64?
        var segment = 0
        var block = 0
        var inBlock = 0
        contents.forEachLive(0) { id in
            guard id <= lastOld else { return false }
            while previous[segment].info.lastID < id { (segment, block, inBlock) = (segment + 1, 0, 0) }
            let blocks = previous[segment].index.blocks
            while blocks[block].lastID < id { (block, inBlock) = (block + 1, 0) }
            guard blocks[block].firstID <= id, inBlock < blocks[block].count else {
                missing = id
                return false
            }
            inBlock += 1
            live[segment] += 1
            return true
        }
        if let missing { throw .missingBody(shard: shard, id: missing) }
    }

    /// Positions of those of `ids` that live. Every live message from `start` through `last` must be among them.
    private func livePositions(
        _ ids: [UInt64],
        from start: UInt64,
        through last: UInt64
    ) throws(StorageError) -> [Int] {
        var positions: [Int] = []
        var position = 0
        var missing: UInt64?
        contents.forEachLive(start) { id in
            guard id <= last else { return false }
            while position < ids.count, ids[position] < id { position += 1 }
            guard position < ids.count, ids[position] == id else {
                missing = id
                return false
            }
            positions.append(position)
            position += 1
            return true
        }
        if let missing { throw .missingBody(shard: shard, id: missing) }
        return positions
    }

    // MARK: Old segments

    private func placeOld(freshBytes: Int) throws(StorageError) {
        isOldPlaced = true
        var segments: [CompactionPlan.Segment] = []
        for (segment, live) in zip(previous, live) {
            segments.append(
                CompactionPlan.Segment(
                    fileBytes: Int(segment.info.fileBytes),
                    messages: Int(segment.info.messages),
                    live: live
                )
            )
        }
        let actions = CompactionPlan.actions(segments, freshBytes: freshBytes, mergeBytes: settings.mergeBytes)
        var rewritten = BodyBlockBuilder(blockBytes: settings.blockBytes)
        for (segment, action) in zip(previous, actions) {
            switch action {
            case .drop: break
            case .keep:
                if !rewritten.isEmpty { try writer.append(rewritten.take()) }
                try endSegment()
                result.append(segment)
            case .rewrite: try rewrite(segment, &rewritten)
            }
        }
        if !rewritten.isEmpty { try writer.append(rewritten.take()) }
        for block in waiting { try writer.append(block) }
        waiting = []
    }

    private func rewrite(_ segment: BodySegment, _ rewritten: inout BodyBlockBuilder) throws(StorageError) {
        for position in segment.index.blocks.indices {
            let entry = segment.index.blocks[position]
            var isLive = false
            contents.forEachLive(entry.firstID) { id in
                isLive = id <= entry.lastID
                return false
            }
            guard isLive else { continue }
            let block = try segment.readBlock(position)
            for kept in try livePositions(block.ids, from: entry.firstID, through: entry.lastID) {
                let body = block[kept]
                if rewritten.isFull(for: body.count) { try writer.append(rewritten.take()) }
                rewritten.append(block.ids[kept], body)
            }
        }
    }

    /// What was written so far comes before what follows.
    private func endSegment() throws(StorageError) {
        try writer.finish()
        result.append(contentsOf: writer.takeFinished())
    }

    // MARK: Fresh bodies

    private func addFresh(_ id: UInt64, _ body: UnsafeRawBufferPointer) throws(StorageError) {
        guard body.count <= BodyBlockFormat.maxBodyBytes else { throw .recordTooLarge(bytes: UInt64(body.count)) }
        if let last = batch.last?.id { invariant(id > last, "fresh bodies come ascending by id") }
        let start = batchBytes.count
        batchBytes.append(contentsOf: body)
        batch.append((id, start..<batchBytes.count))
        if batchBytes.count >= settings.blockBytes || batch.count >= Self.maxBatch { try flushBatch(through: id) }
    }

    /// Bounds the memory for bodies that are empty.
    private static let maxBatch = 8192

    /// Takes the live ones of the batch. Those that died since may be left out; one that lives may not be missing.
    private func flushBatch(through last: UInt64) throws(StorageError) {
        defer {
            batch.removeAll(keepingCapacity: true)
            batchBytes.removeAll(keepingCapacity: true)
        }
        guard let cursor else { return }
        for position in try livePositions(batch.map(\.id), from: cursor, through: last) {
            let (id, range) = batch[position]
            if builder.isFull(for: range.count) { try emit(builder.take()) }
            builder.append(id, batchBytes[range])
        }
        self.cursor = last == .max ? nil : last + 1
    }

    private func emit(_ block: EncodedBodyBlock) throws(StorageError) {
        if isOldPlaced { return try writer.append(block) }
        waiting.append(block)
        waitingBytes += block.bytes.count
        if waitingBytes > settings.mergeBytes { try placeOld(freshBytes: waitingBytes) }
    }
}
