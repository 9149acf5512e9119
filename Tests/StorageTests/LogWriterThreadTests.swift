// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import RaftCore
import Synchronization
import Testing

@testable import Storage

@Suite struct LogWriterThreadTests {
    private let directory = TestDirectory()

    /// What the writer's thread reported.
    private final class Reports: Sendable {
        private let state = Mutex<[(batch: UInt64, error: StorageError?)]>([])

        func add(_ batch: UInt64, _ result: Result<Void, StorageError>) {
            var error: StorageError?
            if case .failure(let failure) = result { error = failure }
            state.withLock { [error] in $0.append((batch, error)) }
        }

        var all: [(batch: UInt64, error: StorageError?)] { state.withLock { $0 } }
        var last: UInt64 { all.last?.batch ?? 0 }
    }

    private func start(
        _ reports: Reports,
        settings: LogSettings = .small(),
        calls: FileSystemCalls = .unsynced
    ) throws -> LogWriterThread {
        let log = try WriteAheadLog.open(try directory.open(calls: calls), settings: settings).log
        return LogWriterThread(log) { reports.add($0, $1) }
    }

    private func persist(_ index: UInt64, shard: UInt16 = 0) -> [ShardPersist] {
        [ShardPersist(shard: ShardID(shard), operations: [.entries(entries(index...index))])]
    }

    @Test("what arrives during one sync shares the next; completions rise and follow the sync")
    func groupCommit() throws {
        let gate = Monitor(false)
        let syncs = Monitor(0)
        var calls = FileSystemCalls.system
        calls.fdatasync = { file in
            _ = gate.wait { $0 ? true : nil }
            syncs.update { $0 += 1 }
            return Glibc.fdatasync(file)
        }
        gate.update { $0 = true }
        let reports = Reports()
        var settings = LogSettings.small(64 << 10)
        let bytes = Monitor(0)
        settings.onSync = { _, count in bytes.update { $0 += count } }
        let writer = try start(reports, settings: settings, calls: calls)
        gate.update { $0 = false }
        let before = syncs.read { $0 }

        #expect(writer.submit(persist(1)) == 1)
        #expect(eventually("the first is taken") { writer.takenAll })
        for index in 2...50 as ClosedRange<UInt64> { #expect(writer.submit(persist(index)) == index) }
        #expect(reports.all.isEmpty, "nothing is reported before its sync")
        #expect(writer.queuedBytes > 49 * 40)
        gate.update { $0 = true }
        #expect(eventually("all are durable") { reports.last == 50 })
        #expect(reports.all.map(\.batch) == [1, 50])
        #expect(syncs.read { $0 } - before == 2)
        #expect(eventually("the queue is empty") { writer.queuedBytes == 0 })
        #expect(bytes.read { $0 } > 50 * 40)
        writer.shutdown()
    }

    @Test("an idle writer lets its caller write; a busy or full one, or one that stops, does not")
    func writesOnTheCallersThread() throws {
        let gate = Monitor(true)
        var calls = FileSystemCalls.unsynced
        calls.fdatasync = { _ in
            _ = gate.wait { $0 ? true : nil }
            return 0
        }
        let reports = Reports()
        do {
            let writer = try start(reports, settings: .small(64 << 10), calls: calls)
            try #require(writer.writeHere(persist(1))).get()
            #expect(reports.all.isEmpty, "the caller knows; nobody is told")

            gate.update { $0 = false }
            #expect(writer.submit(persist(2)) == 1)
            #expect(writer.writeHere(persist(3)) == nil, "entry 2 is being written, and 3 may not overtake it")
            gate.update { $0 = true }
            #expect(eventually("the second is durable") { reports.last == 1 })
            #expect(eventually("the caller may write again") { writer.writeHere(persist(3)) != nil })

            let large = { index in
                [ShardPersist(shard: ShardID(0), operations: [.entries(entries(index...index, bytes: 40 << 10))])]
            }
            try #require(writer.writeHere(large(4))).get()
            #expect(writer.writeHere(large(5)) == nil, "it needs the next segment")
            writer.submit(large(5))
            #expect(eventually("the large one is durable") { reports.last == 2 })
            writer.shutdown()
            #expect(writer.writeHere(persist(6)) == nil)
        }
        let recovery = try WriteAheadLog.open(try directory.open(calls: .unsynced), settings: .small(64 << 10)).recovery
        #expect(recovery.log(0)?.entries.map(\.index.rawValue) == [1, 2, 3, 4, 5])
    }

    @Test("shutdown writes what was submitted and ends the log in order") func drains() throws {
        let reports = Reports()
        do {
            let writer = try start(reports)
            for index in 1...200 as ClosedRange<UInt64> { writer.submit(persist(index)) }
            writer.shutdown()
            writer.shutdown()
        }
        #expect(reports.last == 200)
        #expect(reports.all.allSatisfy { $0.error == nil })
        #expect(zip(reports.all, reports.all.dropFirst()).allSatisfy { $0.batch < $1.batch })
        let recovery = try WriteAheadLog.open(try directory.open(calls: .unsynced), settings: .small()).recovery
        #expect(recovery.log(0)?.entries == entries(1...200))
    }

    @Test("a failed sync is reported for what waits and for all that comes after") func failure() throws {
        let fault = FaultSwitch()
        var calls = FileSystemCalls.unsynced
        calls.fdatasync = { _ in fault.trips ? -1 : 0 }
        let reports = Reports()
        let writer = try start(reports, calls: calls)
        writer.submit(persist(1))
        #expect(eventually("the first is durable") { reports.last == 1 })
        fault.fail(with: EIO)
        writer.submit(persist(2))
        #expect(eventually("the failure is reported") { reports.last == 2 })
        fault.fail(with: nil)
        writer.submit(persist(3))
        #expect(eventually("and again") { reports.last == 3 })
        let failed = FileFailure(operation: "fdatasync", path: directory.segment(1), code: EIO)
        #expect(reports.all.map(\.error) == [nil, .fatal(failed), .fatal(failed)])
        #expect(writer.board.current.failed)
        writer.shutdown()
    }

    @Test("on a full disk batches wait, and are written once there is room") func waitsForSpace() throws {
        let fault = FaultSwitch()
        var calls = FileSystemCalls.unsynced
        calls.fallocate = { fault.trips ? fault.error : Glibc.posix_fallocate($0, off_t($1), off_t($2)) }
        let reports = Reports()
        do {
            var settings = LogSettings.small(4 << 10)
            settings.preparesInBackground = true
            let writer = try start(reports, settings: settings, calls: calls)
            fault.fail(with: ENOSPC)
            for index in 1...150 as ClosedRange<UInt64> { writer.submit(persist(index)) }
            #expect(eventually("the disk is full") { writer.board.current.space != .available })
            #expect(reports.last < 150)
            fault.fail(with: nil)
            #expect(eventually("everything is durable") { reports.last == 150 })
            #expect(reports.all.allSatisfy { $0.error == nil })
            writer.shutdown()
        }
        let recovery = try WriteAheadLog.open(try directory.open(calls: .unsynced), settings: .small()).recovery
        #expect(recovery.log(0)?.entries == entries(1...150))
    }
}
