// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import RaftCore
import Testing
import Wire

@testable import Storage

@Suite struct RecoveryTests {
    private let directory = TestDirectory()

    /// Opens, lets `body` write, and goes away without closing, as a killed process does.
    @discardableResult
    private func run<Result>(
        _ settings: LogSettings = .small(),
        _ body: (WriteAheadLog, LogRecovery) throws -> Result
    ) throws -> Result {
        let (log, recovery) = try WriteAheadLog.open(try directory.open(calls: .unsynced), settings: settings)
        return try body(log, recovery)
    }

    private func recover(_ from: TestDirectory? = nil) throws -> LogRecovery {
        try WriteAheadLog.open(try (from ?? directory).open(calls: .unsynced), settings: .small()).recovery
    }

    @Test("what was synced comes back, shard by shard; what was only appended does not") func roundTrip() throws {
        try run { log, recovery in
            #expect(recovery.shards.isEmpty)
            try log.append(shard: ShardID(1), [.hardState(state(2, vote: 7)), .entries(entries(1...5))])
            try log.append(shard: ShardID(3), [.hardState(state(4))])
            try log.sync()
            try log.append(shard: ShardID(1), [.entries(entries(6...7))])
        }
        let recovery = try recover()
        #expect(recovery.shards.map(\.shard) == [ShardID(1), ShardID(3)])
        #expect(recovery.log(1)?.hardState == state(2, vote: 7))
        #expect(recovery.log(1)?.entries == entries(1...5))
        #expect(recovery.log(3)?.hardState == state(4))
        #expect(recovery.tornTail == nil)
    }

    @Test("a later append replaces what was there from its first index on") func conflict() throws {
        try run { log, _ in
            try log.append(shard: ShardID(0), [.entries(entries(1...9))])
            try log.sync()
            try log.append(shard: ShardID(0), [.entries(entries(4...5, term: 3))])
            try log.sync()
        }
        #expect(try recover().log(0)?.entries == entries(1...3) + entries(4...5, term: 3))
    }

    @Test("a snapshot ends the entries before it, a reset those after it too") func snapshots() throws {
        try run { log, _ in
            try log.append(shard: ShardID(0), [.entries(entries(1...9)), .snapshot(metadata(6))])
            try log.append(shard: ShardID(1), [.entries(entries(1...9)), .reset(metadata(6, term: 2))])
            try log.append(shard: ShardID(2), [.entries(entries(1...3)), .reset(metadata(20, term: 2))])
            try log.append(shard: ShardID(2), [.entries(entries(21...22, term: 2))])
            try log.sync()
        }
        let recovery = try recover()
        #expect(recovery.log(0)?.indexes == [7, 8, 9])
        #expect(recovery.log(0)?.snapshot == metadata(6))
        #expect(recovery.log(1)?.indexes == [])
        #expect(recovery.log(1)?.snapshot == metadata(6, term: 2))
        #expect(recovery.log(2)?.indexes == [21, 22])
    }

    @Test("a log over many segments comes back whole, and goes on after each restart") func manySegments() throws {
        var last: UInt64 = 0
        for round in 1...4 {
            try run(.small(4 << 10)) { log, recovery in
                #expect(recovery.log(0)?.indexes ?? [] == Array(0..<last).map { $0 + 1 })
                for _ in 0..<40 {
                    let added = entries(last + 1...last + 3)
                    try log.append(shard: ShardID(0), [.hardState(state(UInt64(round))), .entries(added)])
                    last += 3
                    try log.sync()
                }
                #expect(log.board.current.segments > round)
                #expect(log.board.current.durableSequence == log.durableSequence)
            }
        }
        let log = try #require(try recover().log(0))
        #expect(log.entries == entries(1...last))
        #expect(log.hardState == state(4))
    }

    @Test("a record larger than a segment gets one of its own") func largeRecord() throws {
        let large = entries(2...2, bytes: 50_000)
        try run { log, _ in
            try log.append(shard: ShardID(0), [.entries(entries(1...1))])
            try log.append(shard: ShardID(0), [.entries(large)])
            try log.append(shard: ShardID(0), [.entries(entries(3...3))])
            try log.sync()
        }
        #expect(try recover().log(0)?.entries == entries(1...1) + large + entries(3...3))
    }

    @Test("cut at any byte, the log comes back up to a whole record, with everything synced before the cut")
    func everyCut() throws {
        var synced: [(bytes: Int, last: UInt64)] = []
        try run { log, _ in
            for last in [3, 4, 9] as [UInt64] {
                let first = (synced.last?.last ?? 0) + 1
                try log.append(shard: ShardID(0), [.entries(entries(first...last)), .hardState(state(last))])
                try log.sync()
                synced.append((log.writtenBytes, last))
            }
        }
        let whole = try directory.bytes(of: directory.segment(1))
        let begin = try #require(synced.first).bytes - 500
        for cut in max(begin, 200)...(try #require(synced.last)).bytes {
            let promised = synced.last { $0.bytes <= cut }?.last ?? 0
            let zeros = Array(repeating: UInt8(0), count: cut % 2 * 64)
            try TestDirectory.overwrite(directory.segment(1), Array(whole[..<cut]) + zeros)
            // Now and then twice: the second time finds what the first one repaired.
            for _ in 0...(cut % 5 == 0 ? 1 : 0) {
                let log = try recover().log(0)
                let found = log?.entries ?? []
                #expect(found.count >= Int(promised), "cut at \(cut)")
                #expect(found == Array(entries(1...9).prefix(found.count)))
                #expect(log?.hardState.term.rawValue ?? 0 >= promised)
            }
        }
    }

    @Test("after a torn tail the log goes on in its place") func goesOnAfterTear() throws {
        let end = try run { log, _ in
            try log.append(shard: ShardID(0), [.entries(entries(1...2))])
            try log.sync()
            let end = log.writtenBytes
            try log.append(shard: ShardID(0), [.entries(entries(3...9))])
            try log.sync()
            return end
        }
        var bytes = try directory.bytes(of: directory.segment(1))
        for position in (end + 200)..<bytes.count { bytes[position] = 0 }
        bytes[end + 300] = 0xaa
        try TestDirectory.overwrite(directory.segment(1), bytes)
        try run { log, recovery in
            #expect(recovery.tornTail == TornTail(path: directory.segment(1), offset: end, bytes: 301))
            #expect(recovery.log(0)?.indexes == [1, 2])
            try log.append(shard: ShardID(0), [.entries(entries(3...3, term: 2))])
            try log.sync()
        }
        let recovery = try recover()
        #expect(recovery.tornTail == nil)
        #expect(recovery.log(0)?.entries == entries(1...2) + entries(3...3, term: 2))
    }

    @Test("a flipped bit before the last batch is reported as damage and nothing is changed") func everyFlip() throws {
        let (start, end) = try run { log, _ in
            let start = log.writtenBytes
            try log.append(shard: ShardID(0), [.entries(entries(1...3)), .hardState(state(1))])
            try log.sync()
            let end = log.writtenBytes
            try log.append(shard: ShardID(0), [.hardState(state(2))])
            try log.sync()
            return (start, end)
        }
        let whole = try directory.bytes(of: directory.segment(1))
        for position in 0..<end where position >= start || position < 100 {
            var changed = whole
            changed[position] ^= 1 << UInt8(position % 8)
            try TestDirectory.overwrite(directory.segment(1), changed)
            let error = #expect(throws: StorageError.self, "byte \(position)") { try recover() }
            if case .damaged(let path, _, _) = error {
                #expect(path == directory.segment(1))
            } else {
                Issue.record("byte \(position): \(String(describing: error))")
            }
            #expect(try directory.bytes(of: directory.segment(1)) == changed)
        }
    }

    @Test("a log that was closed in order notices damage in its last batch too") func closedInOrder() throws {
        let (start, end) = try run { log, _ in
            let start = log.writtenBytes
            try log.append(shard: ShardID(0), [.entries(entries(1...3))])
            try log.sync()
            let end = log.writtenBytes
            try log.close()
            #expect(throws: StorageError.closed) { try log.sync() }
            return (start, end)
        }
        var bytes = try directory.bytes(of: directory.segment(1))
        bytes[(start + end) / 2] ^= 1
        try TestDirectory.overwrite(directory.segment(1), bytes)
        #expect(throws: StorageError.self) { try recover() }
    }

    // MARK: Whole segments

    /// Three segments at least.
    private func writeThreeSegments() throws {
        try run(.small(4 << 10)) { log, _ in
            var next: UInt64 = 1
            while log.board.current.segments < 3 {
                try log.append(shard: ShardID(0), [.entries(entries(next...next))])
                try log.sync()
                next += 1
            }
        }
    }

    private func expectDamage(at number: UInt64) {
        let error = #expect(throws: StorageError.self) { try recover() }
        guard case .damaged(let path, _, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(path == directory.segment(number))
    }

    @Test("damage in an older segment is reported, even at its end") func olderSegment() throws {
        try writeThreeSegments()
        let bytes = try directory.bytes(of: directory.segment(2))
        let end = try #require(bytes.lastIndex { $0 != 0 })
        for count in [0, 10, 64, end - 20] {
            try TestDirectory.overwrite(directory.segment(2), Array(bytes[..<count]))
            expectDamage(at: 2)
        }
        for position in [3, 70, end / 2, end - 20] {
            var changed = bytes
            changed[position] ^= 2
            try TestDirectory.overwrite(directory.segment(2), changed)
            expectDamage(at: 2)
        }
    }

    @Test("a missing segment in the middle, a copied and an empty one are reported") func wrongSegments() throws {
        try writeThreeSegments()
        let second = try directory.bytes(of: directory.segment(2))
        unlink(directory.segment(2))
        expectDamage(at: 2)
        try TestDirectory.overwrite(directory.segment(2), try directory.bytes(of: directory.segment(1)))
        expectDamage(at: 2)
        try TestDirectory.overwrite(directory.segment(2), second)
        try TestDirectory.overwrite(directory.segment(4), [])
        expectDamage(at: 4)
        unlink(directory.segment(4))
        #expect(throws: Never.self) { try recover() }
    }

    @Test("a missing first segment leaves a gap, and a missing log is not a new node") func missing() throws {
        try writeThreeSegments()
        unlink(directory.segment(1))
        #expect(throws: StorageError.self) { try recover() }
        unlink(directory.segment(2))
        unlink(directory.segment(3))
        #expect(throws: StorageError.logMissing(path: directory.data + "/wal")) { try recover() }
    }

    @Test("another node's segment is reported") func foreignSegment() throws {
        try writeThreeSegments()
        let other = TestDirectory()
        do { _ = try WriteAheadLog.open(try other.open(), settings: .small()) }
        try TestDirectory.overwrite(directory.segment(1), try other.bytes(of: other.segment(1)))
        expectDamage(at: 1)
    }

    @Test("killed between any two steps, the log opens with all that was synced") func killedBetweenSteps() throws {
        let copies = Copies()
        var calls = FileSystemCalls.unsynced
        let directory = directory
        calls.rename = { from, to in
            copies.take(directory)
            let result = Glibc.rename(from, to)
            copies.take(directory)
            return result
        }
        calls.fdatasync = { _ in
            copies.take(directory)
            return 0
        }
        let (log, _) = try WriteAheadLog.open(try directory.open(calls: calls), settings: .small(4 << 10))
        for index in 1...60 as ClosedRange<UInt64> {
            try log.append(shard: ShardID(0), [.hardState(state(index)), .entries(entries(index...index))])
            if index % 5 == 0 { try log.append(shard: ShardID(0), [.snapshot(metadata(index - 3))]) }
            try log.sync()
            copies.promised = index
        }
        #expect(log.board.current.segments < 3, "segments were removed on the way")
        #expect(copies.taken.count > 60)
        for (copy, promised) in copies.taken {
            let log = try recover(copy).log(0)
            let last = log?.entries.last?.index.rawValue ?? log?.snapshot?.index.rawValue ?? 0
            #expect(last == promised || last == promised + 1)
            // A batch that goes on in the next segment has its first part made durable before.
            #expect((last...promised + 1).contains(log?.hardState.term.rawValue ?? 0))
        }
    }

    /// Copies of the data directory and what had been promised when each was made.
    private final class Copies: @unchecked Sendable {
        var taken: [(TestDirectory, promised: UInt64)] = []
        var promised: UInt64 = 0

        func take(_ directory: TestDirectory) {
            if let copy = try? directory.copy() { taken.append((copy, promised)) }
        }
    }
}
