// SPDX-License-Identifier: Apache-2.0
import Glibc
package import Primitives
import Wire

/// What a crash left behind the last complete record and recovery removed. Nobody had been told that it was durable.
package struct TornTail: Equatable, Sendable {
    package var path: String
    package var offset: Int
    package var bytes: Int
}

package struct LogRecovery: Sendable {
    /// In the order of their ids; shards without any record are not among them.
    package var shards: [RecoveredShard]
    package var tornTail: TornTail?
    package var segments: Int
    package var records: UInt64
}

extension WriteAheadLog {
    /// Opens the directory's log, or begins one, and reads all of it.
    ///
    /// - Throws: `.damaged` when bytes that were durable are not valid, `.logMissing` when there must be a log and is
    ///   none; the files are then untouched.
    package static func open(
        _ directory: DataDirectory,
        settings: LogSettings = LogSettings()
    ) throws(StorageError) -> (log: WriteAheadLog, recovery: LogRecovery) {
        let board = LogStatusBoard()
        let preparer = SegmentPreparer(
            directory: directory.logPath,
            settings: settings,
            files: directory.files,
            board: board
        )
        var scan = try LogScan.run(directory, LogReplay())
        guard let last = scan.last else {
            return try create(directory, settings, board, preparer)
        }
        try directory.noteLog()
        let position = try last.reopen(directory)
        try preparer.start()
        scan.recovery.tornTail = last.tornTail
        let log = WriteAheadLog(
            directory: directory,
            settings: settings,
            board: board,
            preparer: preparer,
            position: position,
            tracker: scan.tracker
        )
        preparer.request()
        return (log, scan.recovery)
    }

    /// Reads the log once more and keeps the entries of one shard above `index`, which later snapshots cover.
    ///
    /// - Throws: `.damaged` when the log does not reach back that far.
    package func reread(_ shard: ShardID, keepingAbove index: LogIndex) throws(StorageError) -> RecoveredShard? {
        let scan = try LogScan.run(directory, LogReplay(shard: shard, keepingAbove: index))
        return scan.recovery.shards.first { $0.shard == shard }
    }

    private static func create(
        _ directory: DataDirectory,
        _ settings: LogSettings,
        _ board: LogStatusBoard,
        _ preparer: SegmentPreparer
    ) throws(StorageError) -> (log: WriteAheadLog, recovery: LogRecovery) {
        guard !directory.identity.hasLog else { throw .logMissing(path: directory.logPath) }
        try preparer.start()
        var isBegun = false
        defer {
            if !isBegun { preparer.stop() }
        }
        let prepared = try preparer.take(minimum: 0)
        let position = try io { () throws(FileFailure) in
            try SegmentFile.activate(prepared, number: 1, firstSequence: 1, checkpoint: .checkpoint([]), in: directory)
        }
        try directory.noteLog()
        isBegun = true
        var tracker = LogTracker()
        tracker.beginSegment(1)
        let log = WriteAheadLog(
            directory: directory,
            settings: settings,
            board: board,
            preparer: preparer,
            position: position,
            tracker: tracker
        )
        preparer.request()
        return (log, LogRecovery(shards: [], tornTail: nil, segments: 1, records: 1))
    }
}

/// One pass over all segments.
struct LogScan {
    /// The end of the newest segment.
    struct End {
        var path: String
        var header: SegmentHeader
        var fileBytes: Int
        var offset: Int
        var nextSequence: UInt64
        var tail: SegmentTail

        var tornTail: TornTail? {
            guard case .torn(let bytes) = tail else { return nil }
            return TornTail(path: path, offset: offset, bytes: bytes)
        }
    }

    var recovery = LogRecovery(shards: [], tornTail: nil, segments: 0, records: 0)
    var tracker = LogTracker()
    var last: End?
    private var replay: LogReplay

    private init(_ replay: LogReplay) { self.replay = replay }

    static func run(_ directory: DataDirectory, _ replay: LogReplay) throws(StorageError) -> LogScan {
        var scan = LogScan(replay)
        let numbers = try segmentNumbers(directory)
        for number in numbers { try scan.read(number, isLast: number == numbers.last, directory) }
        switch scan.replay.finish() {
        case .success(let shards): scan.recovery.shards = shards
        case .failure(let problem):
            throw .damaged(path: directory.logPath, offset: 0, reason: problem.reason)
        }
        return scan
    }

    /// In order, without a gap.
    private static func segmentNumbers(_ directory: DataDirectory) throws(StorageError) -> [UInt64] {
        let names = try io { () throws(FileFailure) in try directory.files.list(directory.logPath) }
        let numbers = names.compactMap(SegmentFile.number(ofName:)).sorted()
        for (earlier, later) in zip(numbers, numbers.dropFirst()) where later != earlier + 1 {
            throw .damaged(
                path: SegmentFile.path(earlier + 1, in: directory),
                offset: 0,
                reason: "this segment is missing between \(earlier) and \(later)"
            )
        }
        return numbers
    }

    private mutating func read(_ number: UInt64, isLast: Bool, _ directory: DataDirectory) throws(StorageError) {
        let path = SegmentFile.path(number, in: directory)
        let bytes = try io { () throws(FileFailure) in try directory.files.readFile(path) } ?? []
        var reader = try open(bytes, path, number, directory)
        tracker.beginSegment(number)
        recovery.segments += 1
        while let record = try next(&reader, path) {
            if let reason = replay.apply(record) { throw .damaged(path: path, offset: reader.offset, reason: reason) }
            tracker.note(record)
            recovery.records += 1
        }
        let tail = reader.tail()
        if case .damaged(let later) = tail {
            throw .damaged(
                path: path,
                offset: reader.offset,
                reason: "record \(reader.nextSequence) is not valid, but \(later), written after it was durable, is"
            )
        }
        guard reader.nextSequence > reader.header.firstSequence else {
            throw .damaged(path: path, offset: reader.offset, reason: "the segment's first record is not valid")
        }
        if !isLast, tail != .clean {
            throw .damaged(
                path: path,
                offset: reader.offset,
                reason: "record \(reader.nextSequence) is not valid, but a later segment exists"
            )
        }
        last = End(
            path: path,
            header: reader.header,
            fileBytes: bytes.count,
            offset: reader.offset,
            nextSequence: reader.nextSequence,
            tail: tail
        )
    }

    private func open(
        _ bytes: [UInt8],
        _ path: String,
        _ number: UInt64,
        _ directory: DataDirectory
    ) throws(StorageError) -> LogSegmentReader {
        let reader = try LogSegmentReader(bytes, .log, of: path, number, directory)
        if let last, reader.header.firstSequence != last.nextSequence {
            throw .damaged(
                path: last.path,
                offset: last.offset,
                reason: "it ends before record \(last.nextSequence); the next segment begins at "
                    + "\(reader.header.firstSequence)"
            )
        }
        return reader
    }

    private func next(_ reader: inout LogSegmentReader, _ path: String) throws(StorageError) -> LogRecord? {
        do throws(WireError) {
            return try reader.next()
        } catch {
            throw .newerFormat(
                path: path,
                detail: "record \(reader.nextSequence) at byte \(reader.offset) is unknown: \(error)"
            )
        }
    }
}

extension LogScan.End {
    /// Removes a torn tail and makes durable what was read: a killed process leaves bytes that only the kernel's
    /// memory holds, and the shards are about to rely on them.
    fileprivate func reopen(_ directory: DataDirectory) throws(StorageError) -> LogPosition {
        let bytes: Int = if case .torn(let bytes) = tail { bytes } else { 0 }
        return try io { () throws(FileFailure) in
            let file = try File(path, O_RDWR, calls: directory.files.calls)
            if bytes > 0 { try file.write([UInt8](repeating: 0, count: bytes), at: offset) }
            try file.syncData()
            try directory.files.syncDirectory(directory.logPath)
            return LogPosition(
                file: file,
                header: header,
                capacity: fileBytes,
                offset: offset,
                nextSequence: nextSequence
            )
        }
    }
}
