// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import Synchronization
import Testing
import Wire

@testable import Storage

@Suite final class JournalTests {
    private let directory = TestDirectory()
    /// Open as long as the test runs, whoever reads the journal again meanwhile.
    private var opened: DataDirectory?

    static func settings(_ segmentBytes: Int = 4 << 10) -> JournalSettings {
        var settings = JournalSettings { Array("opening".utf8) }
        settings.segmentBytes = segmentBytes
        return settings
    }

    private func open(
        _ segmentBytes: Int = 4 << 10,
        calls: FileSystemCalls = .unsynced
    ) throws -> (journal: Journal, recovery: JournalRecovery) {
        let data = try opened ?? directory.open(calls: calls)
        opened = data
        return try Journal.open(data, settings: Self.settings(segmentBytes))
    }

    private func body(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func path(_ number: UInt64) -> String { directory.data + "/journal/000000000000000\(number).journal" }

    private var names: [String] {
        get throws { try FileSystem(.system).list(directory.data + "/journal") }
    }

    @Test("what was written comes back in its order, behind the opening; what is written later stands in a new file")
    func roundTrip() throws {
        do {
            let (journal, recovery) = try open()
            #expect(recovery.segments.isEmpty && recovery.tornTail == nil)
            #expect(try names.isEmpty, "nothing is made before there is something to write")
            #expect(try journal.append([body("a"), body("b")]) == 1)
            #expect(try journal.append([body("c")]) == 1)
        }
        let (journal, recovery) = try open()
        #expect(recovery.segments.map(\.bodies) == [["opening", "a", "b", "c"].map(body)])
        #expect(recovery.segments.map(\.count) == [3])
        #expect(try journal.append([body("d")]) == 2)
        #expect(try open().recovery.segments.map(\.bodies.count) == [4, 2])
    }

    @Test("a long segment is followed by another; each goes as a whole, and only if all its records are known")
    func rotation() throws {
        let (journal, _) = try open(200)
        var segments: [UInt64] = []
        for number in 0..<12 { segments.append(try journal.append([body("\(number)"), body("again")])) }
        #expect(segments.first == 1 && zip(segments, segments.dropFirst()).allSatisfy { $0 <= $1 })
        let last = try #require(segments.last)
        #expect(last >= 4)
        let before = journal.bytes
        #expect(try !journal.remove(1, records: 1))
        let count = segments.count { $0 == 1 } * 2
        #expect(try journal.remove(1, records: count))
        #expect(journal.bytes < before)
        #expect(try journal.remove(1, records: count), "it is gone already")
        #expect(try journal.remove(last, records: segments.count { $0 == last } * 2), "also the one that is written")
        #expect(try journal.append([body("next")]) == last + 1)
        #expect(try open(200).recovery.segments.map(\.number) == Array(2..<last) + [last + 1])
    }

    @Test("a torn tail is cut wherever a crash cut the last batch, and nothing that was durable with it")
    func tornTail() throws {
        do {
            let (journal, _) = try open()
            _ = try journal.append([body("kept")])
            _ = try journal.append([body("one"), body("two, a longer one"), body("three")])
        }
        let whole = try directory.bytes(of: path(1))
        let durable = SegmentHeader.byteCount + 32 + 32
        for length in durable...whole.count {
            try TestDirectory.overwrite(path(1), Array(whole.prefix(length)))
            let recovery = try open().recovery
            let found = try #require(recovery.segments.first).bodies
            #expect(found.count >= 2 && found.count <= 5, "\(length)")
            #expect(found.prefix(2) == [body("opening"), body("kept")])
            let size = try directory.bytes(of: path(1)).count
            #expect((recovery.tornTail == nil) == (size == length), "\(length)")
            #expect(try open().recovery.tornTail == nil, "it was cut")
        }
    }

    @Test("a record that was durable and is not valid stops the start, with the file named and untouched")
    func damage() throws {
        do {
            let (journal, _) = try open()
            for text in ["a", "b", "c"] { _ = try journal.append([body(text)]) }
        }
        let whole = try directory.bytes(of: path(1))
        let first = SegmentHeader.byteCount
        for position in [first + 5, first + 25, first + 32 + 26] {
            var bytes = whole
            bytes[position] ^= 0x10
            try TestDirectory.overwrite(path(1), bytes)
            let error = #expect(throws: StorageError.self) { _ = try open() }
            guard case .damaged(path(1), _, _) = error else {
                Issue.record("\(position): \(String(describing: error))")
                continue
            }
            #expect(try directory.bytes(of: path(1)) == bytes)
        }
        for position in 0..<SegmentHeader.byteCount {
            var bytes = whole
            bytes[position] ^= 0x10
            try TestDirectory.overwrite(path(1), bytes)
            #expect(throws: StorageError.self) { _ = try open() }
        }
    }

    @Test("an incomplete file with another one after it, a log's segment and another node's file are damage")
    func foreign() throws {
        do {
            let (journal, _) = try open(100)
            for text in ["a", "b"] { _ = try journal.append([body(text + String(repeating: "x", count: 100))]) }
        }
        let whole = try directory.bytes(of: path(1))
        try TestDirectory.overwrite(path(1), Array(whole.dropLast(8)))
        let error = #expect(throws: StorageError.self) { _ = try open() }
        #expect("\(String(describing: error))".contains("a later segment exists"))

        try TestDirectory.overwrite(path(1), whole)
        try TestDirectory.overwrite(path(3), whole)
        #expect(throws: StorageError.self) { _ = try open() }
        #expect(unlink(path(3)) == 0)
        _ = try open()

        let header = SegmentHeader(
            number: 3,
            firstSequence: 1,
            node: NodeID(1),
            clusterID: Array(repeating: 1, count: 16),
            salt: 1
        )
        try TestDirectory.overwrite(path(3), header.encoded())
        #expect(throws: StorageError.self) { _ = try open() }
        var other = header
        other.kind = .journal
        try TestDirectory.overwrite(path(3), other.encoded())
        let foreign = #expect(throws: StorageError.self) { _ = try open() }
        #expect("\(String(describing: foreign))".contains("another node"))
    }

    @Test("a full disk takes nothing of a batch, and goes on when there is room") func fullDisk() throws {
        let fault = FaultSwitch()
        let room = Mutex(40)
        var calls = FileSystemCalls.unsynced
        calls.pwrite = { file, bytes, offset in
            guard fault.trips else { return Glibc.pwrite(file, bytes.baseAddress, bytes.count, off_t(offset)) }
            // Part of it fits.
            let part = room.withLock { left in
                defer { left = 0 }
                return min(left, bytes.count)
            }
            if part == 0 { return -1 }
            return Glibc.pwrite(file, bytes.baseAddress, part, off_t(offset))
        }
        let (journal, _) = try open(calls: calls)
        _ = try journal.append([body("a")])
        let size = try directory.bytes(of: path(1)).count
        fault.fail(with: ENOSPC)
        let full = FileFailure(operation: "write", path: path(1), code: ENOSPC)
        #expect(throws: StorageError.full(full)) { try journal.append([body("lost"), body("lost as well")]) }
        #expect(try directory.bytes(of: path(1)).count == size)
        fault.fail(with: nil)
        #expect(try journal.append([body("b")]) == 1)
        #expect(try open().recovery.segments.map(\.bodies) == [["opening", "a", "b"].map(body)])
    }

    @Test("without room for a new file nothing is left of it") func fullDiskForFile() throws {
        let fault = FaultSwitch()
        var calls = FileSystemCalls.unsynced
        calls.pwrite = { fault.trips ? -1 : Glibc.pwrite($0, $1.baseAddress, $1.count, off_t($2)) }
        let (journal, _) = try open(calls: calls)
        fault.fail(with: EDQUOT)
        #expect(throws: StorageError.self) { try journal.append([body("a")]) }
        #expect(try names.isEmpty)
        fault.fail(with: nil)
        #expect(try journal.append([body("a")]) == 1)
        try TestDirectory.overwrite(path(2) + ".new", [1, 2, 3])
        #expect(try open().recovery.segments.count == 1)
        #expect(try names.count == 1, "what a crash left of a new file is removed")
    }

    @Test("after a failed sync or write nothing is taken any more", arguments: [false, true])
    func failure(isSync: Bool) throws {
        let fault = FaultSwitch()
        var calls = FileSystemCalls.unsynced
        if isSync {
            calls.fdatasync = { _ in fault.trips ? -1 : 0 }
        } else {
            calls.pwrite = { fault.trips ? -1 : Glibc.pwrite($0, $1.baseAddress, $1.count, off_t($2)) }
        }
        let (journal, _) = try open(calls: calls)
        _ = try journal.append([body("a")])
        fault.fail(with: EIO)
        let failed = FileFailure(operation: isSync ? "fdatasync" : "write", path: path(1), code: EIO)
        #expect(throws: StorageError.fatal(failed)) { try journal.append([body("b")]) }
        fault.fail(with: nil)
        #expect(throws: StorageError.fatal(failed)) { try journal.append([body("c")]) }
    }
}
