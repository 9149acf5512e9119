// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import Synchronization
import Testing

@testable import Storage

@Suite struct JournalThreadTests {
    private let directory = TestDirectory()

    /// What the journal's thread reported.
    private final class Reports: Sendable {
        private let state = Mutex<[(batch: UInt64, segment: Result<UInt64, StorageError>)]>([])
        private let removals = Mutex<[(segment: UInt64, isGone: Bool)]>([])

        func add(_ batch: UInt64, _ segment: Result<UInt64, StorageError>) {
            state.withLock { $0.append((batch, segment)) }
        }

        func removed(_ segment: UInt64, _ isGone: Result<Bool, StorageError>) {
            removals.withLock { $0.append((segment, (try? isGone.get()) ?? false)) }
        }

        var batches: [UInt64] { state.withLock { $0.map(\.batch) } }
        var last: UInt64 { batches.last ?? 0 }
        var segments: [UInt64] { state.withLock { $0.compactMap { try? $0.segment.get() } } }
        var errors: [StorageError] {
            state.withLock { reports in
                reports.compactMap { if case .failure(let error) = $0.segment { error } else { nil } }
            }
        }
        var gone: [UInt64] { removals.withLock { $0.filter(\.isGone).map(\.segment) } }
        var kept: [UInt64] { removals.withLock { $0.filter { !$0.isGone }.map(\.segment) } }
    }

    private func start(
        _ reports: Reports,
        segmentBytes: Int = 64 << 10,
        calls: FileSystemCalls = .unsynced
    ) throws -> JournalThread {
        let opened = try directory.open(calls: calls)
        let journal = try Journal.open(opened, settings: JournalTests.settings(segmentBytes)).journal
        return JournalThread(journal, onRemoval: { reports.removed($0, $1) }, completion: { reports.add($0, $1) })
    }

    private func recovered() throws -> [String] {
        let opened = try directory.open(calls: .unsynced)
        let recovery = try Journal.open(opened, settings: JournalTests.settings()).recovery
        return recovery.segments.flatMap { $0.bodies.dropFirst() }.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test("what arrives during one sync shares the next, and nothing is reported before its sync")
    func groupCommit() throws {
        let gate = Monitor(false)
        let syncs = Monitor(0)
        var calls = FileSystemCalls.unsynced
        calls.fdatasync = { _ in
            _ = gate.wait { $0 ? true : nil }
            syncs.update { $0 += 1 }
            return 0
        }
        let reports = Reports()
        do {
            let thread = try start(reports, calls: calls)
            #expect(thread.submit([Array("1".utf8)]) == 1)
            for number in 2...50 as ClosedRange<UInt64> {
                #expect(thread.submit([Array("\(number)".utf8)]) == number)
            }
            #expect(reports.batches.isEmpty && thread.queuedBytes > 49)
            gate.update { $0 = true }
            #expect(eventually("all are durable") { reports.last == 50 })
            // The file's own, the first batch's, and one or two for all the others.
            #expect(reports.batches.count <= 3 && syncs.read { $0 } <= 4)
            #expect(eventually("the queue is empty") { thread.queuedBytes == 0 })
            thread.shutdown()
        }
        #expect(try recovered() == (1...50).map { "\($0)" })
    }

    @Test("a segment with records that nobody was told of stays, others go; an end leaves what was handed over")
    func removals() throws {
        let reports = Reports()
        do {
            let thread = try start(reports)
            thread.submit([[1], [2]])
            #expect(eventually("it is durable") { reports.last == 1 })
            thread.remove(1, records: 1)
            #expect(eventually("it is kept") { reports.kept == [1] })
            thread.remove(1, records: 2)
            #expect(eventually("it is gone") { reports.gone == [1] })
            #expect(thread.bytes == 0)
            thread.submit([Array("last".utf8)])
            thread.shutdown()
            thread.shutdown()
        }
        #expect(reports.segments == [1, 2])
        #expect(try recovered() == ["last"])
    }

    @Test("a full disk refuses what comes then, and nothing after it; a failed sync all that comes later")
    func failures() throws {
        let (full, broken) = (FaultSwitch(), FaultSwitch())
        var calls = FileSystemCalls.unsynced
        calls.pwrite = { full.trips ? -1 : Glibc.pwrite($0, $1.baseAddress, $1.count, off_t($2)) }
        calls.fdatasync = { _ in broken.trips ? -1 : 0 }
        let reports = Reports()
        let thread = try start(reports, calls: calls)
        full.fail(with: ENOSPC)
        thread.submit([[1]])
        #expect(eventually("it is refused") { reports.last == 1 })
        full.fail(with: nil)
        thread.submit([[2]])
        #expect(eventually("the next is taken") { reports.last == 2 })
        #expect(reports.segments == [1])
        broken.fail(with: EIO)
        thread.submit([[3]])
        #expect(eventually("the failure is reported") { reports.last == 3 })
        broken.fail(with: nil)
        thread.submit([[4]])
        #expect(eventually("and again") { reports.last == 4 })
        #expect(reports.segments == [1])
        let kinds = reports.errors.map { error in
            switch error {
            case .full: "full"
            case .fatal: "fatal"
            default: "other"
            }
        }
        #expect(kinds == ["full", "fatal", "fatal"])
        thread.shutdown()
    }
}
