// SPDX-License-Identifier: Apache-2.0
import Glibc
package import Primitives
package import RaftCore
import Wire

/// One node's log for all its shards.
///
/// `append` frames records into memory, `sync` writes and syncs them together: one disk round for whatever was
/// appended since the last. Not for concurrent use; `LogWriterThread` gives it a thread of its own.
///
/// A batch is written only after the one before it is durable. Recovery relies on that to tell a torn write from
/// damage (`LogSegmentReader.tail`).
package final class WriteAheadLog {
    /// Entries of one append are cut into records of about this many bytes.
    private static let targetRecordBytes = 1 << 20
    /// Kept between batches, so that a steady load allocates nothing.
    private static let keptBufferBytes = 4 << 20

    package let board: LogStatusBoard
    package let settings: LogSettings
    let directory: DataDirectory
    let preparer: SegmentPreparer

    /// The segment being written.
    private var file: File
    private var capacity: Int
    private(set) var offset: Int
    private var framer: LogRecordFramer
    private var tracker: LogTracker

    private var pending = ByteWriter(capacity: 64 << 10)
    private var nextSequence: UInt64
    /// First record of the batch that is being gathered.
    private var batchStart: UInt64
    private var mayRelease = false
    private var failure: StorageError?

    init(
        directory: DataDirectory,
        settings: LogSettings,
        board: LogStatusBoard,
        preparer: SegmentPreparer,
        position: consuming LogPosition,
        tracker: LogTracker
    ) {
        self.directory = directory
        self.settings = settings
        self.board = board
        self.preparer = preparer
        self.tracker = tracker
        capacity = position.capacity
        offset = position.offset
        framer = LogRecordFramer(position.header)
        nextSequence = position.nextSequence
        batchStart = position.nextSequence
        file = position.file
        publish()
    }

    deinit { preparer.stop() }

    /// Sequence of the last durable record.
    package var durableSequence: UInt64 { batchStart - 1 }

    // MARK: Writing

    /// Gathers the operations for the next `sync`.
    ///
    /// - Throws: `.full`, with nothing taken over, when they need a segment that cannot be had; they may be appended
    ///   again later. `.fatal` when the log has failed.
    package func append(shard: ShardID, _ operations: [PersistOperation]) throws(StorageError) {
        try ensureRoom(Self.estimate(operations))
        for operation in operations {
            switch operation {
            case .hardState(let state): try append(.hardState(shard, state))
            case .snapshot(let metadata):
                try append(.snapshot(shard, metadata))
                mayRelease = true
            case .reset(let metadata):
                try append(.reset(shard, metadata))
                mayRelease = true
            case .entries(let entries): try appendEntries(shard, entries)
            }
        }
    }

    /// Makes everything appended so far durable. Does nothing when that is the case.
    ///
    /// - Throws: `.fatal`: the process must end.
    package func sync() throws(StorageError) {
        try ensureUsable()
        guard pending.count > 0 else { return preparer.poll() }
        let bytes = pending.count
        let began = MonotonicClock.nanoseconds()
        do throws(FileFailure) {
            try file.write(pending.bytes, at: offset)
            try file.syncData()
        } catch {
            throw fail(error)
        }
        offset += bytes
        if pending.bytes.capacity > Self.keptBufferBytes {
            pending = ByteWriter(capacity: 64 << 10)
        } else {
            pending.bytes.removeAll(keepingCapacity: true)
        }
        batchStart = nextSequence
        let took = MonotonicClock.nanoseconds() - began
        settings.onSync?(took, bytes)
        board.update { status in
            status.durableSequence = durableSequence
            status.lastSyncNanoseconds = took
        }
        if mayRelease { release() }
        preparer.poll()
    }

    /// Syncs, notes that the log was closed in order, and ends its background work. The log is unusable afterwards.
    package func close() throws(StorageError) {
        defer {
            preparer.stop()
            if failure == nil { failure = .closed }
        }
        try sync()
        // With this record behind it even the last batch is known to have been durable, so damage in it is noticed.
        if offset + LogRecordFramer.maxClosedBytes <= capacity {
            try append(.closed)
            try sync()
        }
    }

    /// Whether about this many bytes can be appended, waiting for the next segment if it is being prepared.
    ///
    /// - Throws: `.full` when they cannot, `.fatal` when the log has failed.
    package func ensureRoom(_ bytes: Int) throws(StorageError) {
        try ensureUsable()
        if offset + pending.count + bytes > capacity, bytes <= settings.segmentBytes { try preparer.ensureReady() }
    }

    /// Whether about this many bytes fit the current segment, so that appending them neither waits nor fails for want
    /// of space.
    package func hasRoom(_ bytes: Int) -> Bool {
        failure == nil && offset + pending.count + bytes <= capacity
    }

    /// Upper bound of what the operations take in the log, in bytes.
    package static func estimate(_ operations: [PersistOperation]) -> Int {
        var bytes = 0
        for operation in operations {
            switch operation {
            case .hardState: bytes += 64
            case .snapshot(let metadata), .reset(let metadata): bytes += 96 + 8 * metadata.voters.count
            case .entries(let entries): bytes += entries.reduce(64) { $0 + $1.cost }
            }
        }
        return bytes
    }

    /// The newest snapshot of this shard cannot be read; `metadata` is the older one that is used instead.
    package func lowerSnapshot(_ shard: ShardID, to metadata: SnapshotMetadata?) {
        tracker.lowerSnapshot(shard, to: metadata)
        publish()
    }

    // MARK: Records

    private func appendEntries(_ shard: ShardID, _ entries: [Entry]) throws(StorageError) {
        var start = entries.startIndex
        while start < entries.endIndex {
            var end = start
            var bytes = 0
            repeat {
                bytes += entries[end].cost
                end += 1
            } while end < entries.endIndex && bytes + entries[end].cost <= Self.targetRecordBytes
            let isWhole = start == entries.startIndex && end == entries.endIndex
            try append(.entries(shard, isWhole ? entries : Array(entries[start..<end])))
            start = end
        }
    }

    private func append(_ record: LogRecord) throws(StorageError) {
        let start = pending.count
        try frame(record)
        if offset + pending.count > capacity {
            let bytes = pending.count - start
            pending.bytes.removeLast(bytes)
            try beginSegment(fitting: bytes)
            try frame(record)
        }
        nextSequence += 1
        tracker.note(record)
    }

    private func frame(_ record: LogRecord) throws(StorageError) {
        let place = UInt32(clamping: nextSequence - batchStart)
        do throws(WireError) {
            try framer.append(record, sequence: nextSequence, placeInBatch: place, to: &pending)
        } catch {
            if case .frameTooLarge(let length, _) = error { throw .recordTooLarge(bytes: length) }
            throw .recordTooLarge(bytes: 0)
        }
    }

    // MARK: Segments

    /// Makes the current segment's records durable and goes on in a new one.
    private func beginSegment(fitting bytes: Int) throws(StorageError) {
        try sync()
        let checkpoint = LogRecord.checkpoint(tracker.checkpoint)
        let overhead = SegmentHeader.byteCount + 64 + tracker.checkpointBytes
        let prepared = try preparer.take(minimum: bytes + overhead)
        let number = tracker.lastNumber + 1
        do throws(FileFailure) {
            let next = try SegmentFile.activate(
                prepared,
                number: number,
                firstSequence: nextSequence,
                checkpoint: checkpoint,
                in: directory
            )
            capacity = next.capacity
            offset = next.offset
            framer = LogRecordFramer(next.header)
            nextSequence = next.nextSequence
            file = next.file
        } catch {
            throw fail(error)
        }
        batchStart = nextSequence
        tracker.beginSegment(number)
        publish()
        preparer.request()
    }

    private func release() {
        mayRelease = false
        let dead = tracker.releaseDead()
        if !dead.isEmpty { preparer.remove(dead.map { SegmentFile.path($0, in: directory) }) }
        publish()
    }

    private func publish() {
        let count = tracker.segments.count
        let pins = tracker.pins
        let durable = durableSequence
        board.update { status in
            status.segments = count
            status.pins = pins
            status.durableSequence = durable
        }
    }

    // MARK: Failure

    private func ensureUsable() throws(StorageError) {
        if let failure { throw failure }
    }

    private func fail(_ cause: FileFailure) -> StorageError {
        let error = StorageError.fatal(cause)
        failure = error
        board.update { $0.failed = true }
        return error
    }
}
