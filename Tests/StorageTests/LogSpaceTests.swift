// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import RaftCore
import Testing

@testable import Storage

@Suite struct LogSpaceTests {
    private let directory = TestDirectory()

    private func open(_ settings: LogSettings = .small(4 << 10), calls: FileSystemCalls = .unsynced) throws
        -> WriteAheadLog
    {
        try WriteAheadLog.open(try directory.open(calls: calls), settings: settings).log
    }

    private func write(_ log: WriteAheadLog, _ shard: UInt16, _ range: ClosedRange<UInt64>) throws {
        for index in range {
            try log.append(shard: ShardID(shard), [.entries(entries(index...index))])
            try log.sync()
        }
    }

    private var segmentFiles: [String] {
        get throws { try FileSystem(.system).list(directory.data + "/wal").filter { $0.hasSuffix(".log") } }
    }

    @Test("a segment goes when every shard's entries in it are covered by snapshots, and not before")
    func release() throws {
        try releaseSegments()
        // Vote and snapshots were in removed segments; the checkpoint has them.
        let recovery = try WriteAheadLog.open(try TestDirectory.reopened(directory), settings: .small(4 << 10)).recovery
        #expect(recovery.log(1)?.hardState == state(3, vote: 5))
        #expect(recovery.log(1)?.snapshot == metadata(3))
        #expect(recovery.log(2)?.snapshot == metadata(198))
        #expect(recovery.log(2)?.indexes == [199, 200])
    }

    @Test(
        "a segment that cannot be removed holds back later removals, but not the next segments",
        .timeLimit(.minutes(1))
    )
    func stuckRemoval() throws {
        let opened = try directory.open(calls: .unsynced)
        var settings = LogSettings.small()
        settings.preparesInBackground = true
        let preparer = SegmentPreparer(
            directory: opened.logPath,
            settings: settings,
            files: opened.files,
            board: LogStatusBoard()
        )
        try preparer.start()
        defer { preparer.stop() }
        // unlink(2) refuses a folder, whoever asks.
        let (stuck, later) = (opened.logPath + "/stuck", opened.logPath + "/later")
        #expect(mkdir(stuck, 0o700) == 0)
        try TestDirectory.overwrite(later, [1])
        preparer.remove([stuck, later])
        for number in 1...3 {
            let prepared = try preparer.take(minimum: 1)
            #expect(rename(prepared.path, opened.logPath + "/\(number)") == 0)
            preparer.request()
        }
        #expect(access(later, F_OK) == 0, "removed past a failure: a gap")
        #expect(rmdir(stuck) == 0)
        #expect(eventually("it is tried again") { access(later, F_OK) != 0 })
    }

    @Test("nobody is refused for a full disk before it is announced, nor after it is said to have space")
    func announced() throws {
        let fault = FaultSwitch()
        var calls = FileSystemCalls.unsynced
        calls.fallocate = { fault.trips ? fault.error : Glibc.posix_fallocate($0, off_t($1), off_t($2)) }
        let opened = try directory.open(calls: calls)
        let board = LogStatusBoard()
        var settings = LogSettings.small()
        settings.preparesInBackground = true
        let preparer = SegmentPreparer(
            directory: opened.logPath,
            settings: settings,
            files: opened.files,
            board: board
        )
        fault.fail(with: ENOSPC)
        let isRefused = Monitor(false)
        let appender = PosixThread {
            let outcome: Void? = try? preparer.ensureReady()
            isRefused.update { $0 = outcome == nil }
        }
        defer { preparer.stop() }
        var started = Result<Void, StorageError>.success(())
        var isEarly = false
        board.update { _ in
            // While this holds the board nothing can be announced on it.
            started = Result { () throws(StorageError) in try preparer.start() }
            isEarly = isRefused.wait(atMost: 200_000_000) { $0 ? true : nil } ?? false
        }
        try started.get()
        #expect(!isEarly, "refused while the board says that there is space")
        appender.join()
        #expect(isRefused.read { $0 })
        #expect(board.current.space != .available)
        fault.fail(with: nil)
        #expect(eventually("space is found again") { board.current.space == .available })
        try preparer.ensureReady()
    }

    private func releaseSegments() throws {
        let log = try open()
        try log.append(shard: ShardID(1), [.hardState(state(3, vote: 5))])
        try write(log, 1, 1...3)
        try write(log, 2, 1...200)
        let before = log.board.current
        #expect(before.segments > 3)
        #expect(before.pins.map(\.shard) == [ShardID(1), ShardID(2)])
        #expect(before.pins.first?.upTo == LogIndex(3))

        try log.append(shard: ShardID(2), [.snapshot(metadata(198))])
        try log.sync()
        #expect(log.board.current.pins == [SegmentPin(shard: ShardID(1), upTo: LogIndex(3))])
        #expect(try segmentFiles.count == before.segments)

        try log.append(shard: ShardID(1), [.snapshot(metadata(2))])
        try log.sync()
        #expect(log.board.current.segments == before.segments)
        try log.append(shard: ShardID(1), [.snapshot(metadata(3))])
        try log.sync()
        #expect(log.board.current.segments == 1)
        #expect(log.board.current.pins.isEmpty)
        #expect(try segmentFiles.count == 1)
        try log.close()
    }

    @Test("entries that were replaced keep no segment alive") func replaced() throws {
        let log = try open()
        try write(log, 0, 1...80)
        let first = try #require(log.board.current.pins.first?.upTo)
        try log.append(shard: ShardID(0), [.entries(entries(2...2, term: 2))])
        try write(log, 0, 3...60)
        #expect(log.board.current.pins == [SegmentPin(shard: ShardID(0), upTo: LogIndex(1))])
        #expect(first > LogIndex(1))
        try log.append(shard: ShardID(0), [.snapshot(metadata(1))])
        try log.sync()
        #expect(try !segmentFiles.contains(SegmentFile.name(1)))
        log.preparer.stop()
    }

    @Test("a reset lets go of everything before it") func reset() throws {
        let log = try open()
        try write(log, 0, 1...60)
        try log.append(shard: ShardID(0), [.reset(metadata(20, term: 4))])
        try log.sync()
        #expect(log.board.current.segments == 1)
        log.preparer.stop()
    }

    // MARK: Faults

    @Test("a failed sync is fatal, and the log refuses everything after it") func failedSync() throws {
        let fault = FaultSwitch()
        var calls = FileSystemCalls.system
        calls.fdatasync = { fault.trips ? -1 : Glibc.fdatasync($0) }
        let log = try open(calls: calls)
        try write(log, 0, 1...1)
        try log.append(shard: ShardID(0), [.entries(entries(2...2))])
        fault.fail(with: EIO)
        let failure = FileFailure(operation: "fdatasync", path: directory.segment(1), code: EIO)
        #expect(throws: StorageError.fatal(failure)) { try log.sync() }
        fault.fail(with: nil)
        #expect(throws: StorageError.fatal(failure)) { try log.sync() }
        #expect(throws: StorageError.fatal(failure)) { try log.append(shard: ShardID(0), [.hardState(state(1))]) }
        #expect(log.board.current.failed)
        #expect(log.durableSequence == 2)
        #expect(StorageError.fatal(failure).description.contains("Input/output error"))
    }

    @Test("short and interrupted writes are completed, a failed one is fatal") func writes() throws {
        let fault = FaultSwitch()
        var calls = FileSystemCalls.unsynced
        calls.pwrite = { file, bytes, offset in
            if fault.error == EINTR {
                fault.fail(with: nil)
                errno = EINTR
                return -1
            }
            if fault.trips { return -1 }
            let part = UnsafeRawBufferPointer(rebasing: bytes[..<min(bytes.count, 7)])
            return Glibc.pwrite(file, part.baseAddress, part.count, off_t(offset))
        }
        do {
            let log = try open(calls: calls)
            fault.fail(with: EINTR)
            try write(log, 0, 1...3)
            try log.append(shard: ShardID(0), [.entries(entries(4...4))])
            fault.fail(with: EIO)
            #expect(throws: StorageError.self) { try log.sync() }
            #expect(log.board.current.failed)
        }
        let recovery = try WriteAheadLog.open(try TestDirectory.reopened(directory), settings: .small(4 << 10)).recovery
        #expect(recovery.log(0)?.entries == entries(1...3))
    }

    @Test("when the next segment cannot be had, the log says full, takes what still fits, and recovers")
    func fullByFault() throws {
        let last = try fillAndRecover()
        let recovery = try WriteAheadLog.open(try TestDirectory.reopened(directory), settings: .small(4 << 10)).recovery
        #expect(recovery.log(0)?.entries == entries(1...last))
    }

    /// The last index written.
    private func fillAndRecover() throws -> UInt64 {
        let fault = FaultSwitch()
        var calls = FileSystemCalls.unsynced
        calls.fallocate = { fault.trips ? fault.error : Glibc.posix_fallocate($0, off_t($1), off_t($2)) }
        let log = try open(calls: calls)
        fault.fail(with: ENOSPC)
        var index: UInt64 = 1
        // The one prepared ahead is still there; when it is taken into use its successor fails.
        while log.board.current.space == .available {
            try write(log, 0, index...index)
            index += 1
        }
        #expect(log.board.current.segments == 2)
        var refusal: StorageError?
        while refusal == nil {
            do throws(StorageError) {
                try log.append(shard: ShardID(0), [.entries(entries(index...index)), .hardState(state(index))])
                try log.sync()
                index += 1
            } catch {
                refusal = error
            }
        }
        guard case .full(let failure) = refusal else {
            Issue.record("\(String(describing: refusal))")
            return index
        }
        #expect(failure.isOutOfSpace)
        #expect(log.offset > 3000, "the reserve was used up first")
        #expect(!log.board.current.failed)

        fault.fail(with: nil)
        try write(log, 0, index...(index + 30))
        #expect(log.board.current.space == .available)
        try log.close()
        return index + 30
    }

    @Test("on a real full disk nothing is lost and work goes on once there is space", arguments: [true, false])
    func fullDisk(isBackground: Bool) throws {
        let mount = TestDirectory()
        guard Glibc.mount("tmpfs", mount.path, "tmpfs", 0, "size=640k") == 0 else {
            let reason = String(cString: strerror(errno))
            try Test.cancel("a small filesystem cannot be mounted here: \(reason)")
        }
        defer { umount2(mount.path, Int32(MNT_DETACH)) }
        var settings = LogSettings.small(128 << 10)
        settings.preparesInBackground = isBackground
        let log = try WriteAheadLog.open(try mount.open(), settings: settings).log
        var index: UInt64 = 1
        var isRefused = false
        while !isRefused {
            do throws(StorageError) {
                try log.append(shard: ShardID(0), [.entries(entries(index...index, bytes: 3000))])
                try log.sync()
                index += 1
            } catch {
                guard case .full = error else { throw error }
                isRefused = true
            }
        }
        // Four segments of 128 KiB fit beside the metadata, and a full disk was announced before it was felt.
        #expect(index > 130)
        #expect(log.board.current.space != .available)
        #expect(log.board.current.segments >= 4)

        try log.append(shard: ShardID(0), [.snapshot(metadata(index - 1))])
        try log.sync()
        #expect(log.board.current.segments == 1)
        #expect(eventually("space is found again") { log.board.current.space == .available })
        for _ in 0..<60 {
            try log.append(shard: ShardID(0), [.entries(entries(index...index, bytes: 3000))])
            try log.sync()
            index += 1
        }
        try log.close()
    }
}

extension TestDirectory {
    /// Opens the directory of a log that is no longer used.
    static func reopened(_ directory: TestDirectory) throws(StorageError) -> DataDirectory {
        try directory.open(calls: .unsynced)
    }
}
