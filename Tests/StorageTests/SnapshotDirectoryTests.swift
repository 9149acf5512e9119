// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import RaftCore
import Testing
import Wire

@testable import Storage

@Suite struct SnapshotDirectoryTests {
    private let directory = TestDirectory()
    private let shard = ShardID(2)

    /// Longer than two chunks of the file.
    private static let content: [UInt8] = (0..<600_000).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }

    private func file(_ metadata: SnapshotMetadata) -> String {
        let index = "\(metadata.index)"
        let padded = String(repeating: "0", count: 20 - index.count) + index
        return directory.data + "/snapshots/\(shard.rawValue)/\(padded)-\(metadata.term).snap"
    }

    private func chunk(_ metadata: SnapshotMetadata, _ range: Range<Int>) -> SnapshotChunk {
        let bytes = Array(Self.content[range])
        return SnapshotChunk(
            term: Term(9),
            snapshot: metadata,
            offset: UInt64(range.lowerBound),
            bytes: bytes,
            checksum: Checksum.crc32c(bytes)
        )
    }

    @Test("a snapshot comes back whole and in chunks of any place and size") func roundTrip() throws {
        let snapshots = SnapshotDirectory(try directory.open())
        let snapshot = metadata(900, term: 4, bytes: Self.content)
        try snapshots.write(shard, snapshot, Self.content)
        #expect(try snapshots.load(shard, snapshot) == Self.content)
        #expect(try snapshots.list(shard) == [snapshot])
        for (offset, limit) in [(0, 1), (0, 262_144), (262_143, 2), (300_000, 1 << 20), (599_999, 9)] {
            let read = try snapshots.readChunk(shard, snapshot, offset: UInt64(offset), limit: limit)
            #expect(read.bytes == Array(Self.content[offset..<min(offset + limit, Self.content.count)]))
            #expect(read.checksum == Checksum.crc32c(read.bytes))
        }
        #expect(try snapshots.readChunk(shard, snapshot, offset: 600_000, limit: 9).bytes == [])
        #expect(try snapshots.readChunk(shard, metadata(5, bytes: [1]), offset: 0, limit: 9).bytes == [])
        let empty = metadata(901, term: 4)
        try snapshots.write(shard, empty, [])
        #expect(try snapshots.load(shard, empty) == [])
    }

    @Test("damage anywhere in the file is noticed, by the whole and by the chunk it is in") func damage() throws {
        let snapshots = SnapshotDirectory(try directory.open())
        let snapshot = metadata(900, bytes: Self.content)
        try snapshots.write(shard, snapshot, Self.content)
        let bytes = try directory.bytes(of: file(snapshot))
        for position in [0, 13, 30, 4000, 4095, 4096, 300_000, 604_095, 604_096, bytes.count - 1] {
            var changed = bytes
            changed[position] ^= 8
            try TestDirectory.overwrite(file(snapshot), changed)
            #expect(throws: StorageError.self, "byte \(position)") { try snapshots.load(shard, snapshot) }
        }
        var changed = bytes
        changed[4096 + 300_000] ^= 1
        try TestDirectory.overwrite(file(snapshot), changed)
        #expect(throws: StorageError.self) { try snapshots.readChunk(shard, snapshot, offset: 262_144, limit: 10) }
        #expect(throws: Never.self) { try snapshots.readChunk(shard, snapshot, offset: 0, limit: 10) }
        for count in [0, 100, 4096, bytes.count - 1] {
            try TestDirectory.overwrite(file(snapshot), Array(bytes[..<count]))
            #expect(throws: StorageError.self) { try snapshots.load(shard, snapshot) }
        }
    }

    @Test("chunks gather in any order of delivery, across a restart, and are installed when complete")
    func receiving() throws {
        let snapshot = metadata(900, term: 4, bytes: Self.content)
        do {
            let snapshots = SnapshotDirectory(try directory.open())
            #expect(try snapshots.store(shard, chunk(snapshot, 0..<0)) == 0)
            #expect(try snapshots.store(shard, chunk(snapshot, 100_000..<200_000)) == 0, "a gap is not taken")
            #expect(try snapshots.store(shard, chunk(snapshot, 0..<100_000)) == 100_000)
            #expect(try snapshots.store(shard, chunk(snapshot, 0..<100_000)) == 100_000, "had before")
            #expect(try snapshots.store(shard, chunk(snapshot, 50_000..<150_000)) == 150_000)
        }
        let snapshots = SnapshotDirectory(try directory.open())
        #expect(try snapshots.store(shard, chunk(snapshot, 0..<0)) == 150_000, "it survives a restart")
        #expect(try snapshots.store(shard, chunk(snapshot, 150_000..<600_000)) == 600_000)
        #expect(try snapshots.install(shard, snapshot) == Self.content)
        #expect(try snapshots.load(shard, snapshot) == Self.content)
        #expect(try snapshots.readChunk(shard, snapshot, offset: 5, limit: 5).bytes == Array(Self.content[5..<10]))
    }

    @Test("a chunk of another snapshot starts over, and a whole that does not add up is thrown away")
    func refused() throws {
        let snapshots = SnapshotDirectory(try directory.open())
        let first = metadata(900, bytes: Self.content)
        var wrong = metadata(901, bytes: Self.content)
        wrong.checksum ^= 1
        #expect(try snapshots.store(shard, chunk(first, 0..<100_000)) == 100_000)
        #expect(try snapshots.store(shard, chunk(wrong, 0..<50_000)) == 50_000)
        #expect(throws: StorageError.self, "not complete") { try snapshots.install(shard, wrong) }
        #expect(try snapshots.store(shard, chunk(wrong, 0..<600_000)) == 600_000)
        #expect(throws: StorageError.self, "wrong checksum") { try snapshots.install(shard, wrong) }
        #expect(try snapshots.store(shard, chunk(wrong, 0..<0)) == 0)
        var flipped = chunk(first, 0..<10)
        flipped.bytes[3] ^= 1
        #expect(throws: StorageError.badChunk(shard: shard, reason: "its checksum is wrong")) {
            try snapshots.store(shard, flipped)
        }
        var outside = chunk(first, 0..<10)
        outside.offset = .max
        #expect(throws: StorageError.self) { try snapshots.store(shard, outside) }
    }

    @Test("older snapshots and half-written files go, newer ones and a running reception stay") func removal() throws {
        let snapshots = SnapshotDirectory(try directory.open())
        let all = [9, 100, 101].map { metadata($0, bytes: [1, 2]) }
        for snapshot in all { try snapshots.write(shard, snapshot, [1, 2]) }
        try TestDirectory.overwrite(file(all[0]) + ".tmp", [1])
        let receiving = metadata(500, bytes: Self.content)
        _ = try snapshots.store(shard, chunk(receiving, 0..<10))
        try snapshots.removeOlder(shard, than: all[1])
        #expect(try snapshots.list(shard) == [all[2], all[1]])
        #expect(try snapshots.store(shard, chunk(receiving, 0..<0)) == 10)
        #expect(access(file(all[0]) + ".tmp", F_OK) != 0)
        try snapshots.removeOlder(ShardID(77), than: all[1])
    }

    @Test("a snapshot that cannot be written leaves the old one and no rest") func failedWrite() throws {
        let fault = FaultSwitch()
        var calls = FileSystemCalls.system
        calls.fsync = { fault.trips ? -1 : Glibc.fsync($0) }
        let snapshots = SnapshotDirectory(try directory.open(calls: calls))
        let old = metadata(9, bytes: [1])
        try snapshots.write(shard, old, [1])
        fault.fail(with: ENOSPC)
        #expect(throws: StorageError.self) { try snapshots.write(shard, metadata(10, bytes: [2]), [2]) }
        fault.fail(with: nil)
        #expect(try snapshots.list(shard) == [old])
        #expect(try FileSystem(.system).list(directory.data + "/snapshots/2").count == 1)
    }

    // MARK: Starting

    /// A log of ten entries with snapshots at 4 and 8.
    private func prepare() throws -> (older: SnapshotMetadata, newer: SnapshotMetadata) {
        let directory = try directory.open(calls: .unsynced)
        let log = try WriteAheadLog.open(directory, settings: .small()).log
        let snapshots = SnapshotDirectory(directory)
        let older = metadata(4, bytes: [4, 4])
        let newer = metadata(8, bytes: [8, 8, 8])
        try log.append(shard: shard, [.hardState(state(1)), .entries(entries(1...10))])
        try snapshots.write(shard, older, [4, 4])
        try log.append(shard: shard, [.snapshot(older)])
        try snapshots.write(shard, newer, [8, 8, 8])
        try log.append(shard: shard, [.snapshot(newer)])
        try log.sync()
        return (older, newer)
    }

    private func start() throws -> (RecoveredShard, warnings: [StorageError]) {
        let storage = try NodeStorage.open(try directory.open(calls: .unsynced), settings: .small())
        return (try #require(storage.shards.first), storage.warnings)
    }

    @Test("a shard starts from its newest snapshot") func newest() throws {
        let (_, newer) = try prepare()
        let (found, warnings) = try start()
        #expect(found.log.snapshot == newer)
        #expect(found.snapshotBytes == [8, 8, 8])
        #expect(found.log.indexes == [9, 10])
        #expect(warnings.isEmpty)
    }

    @Test("when it is damaged an older one serves, as long as the log has all entries after it") func older() throws {
        let (older, newer) = try prepare()
        try TestDirectory.overwrite(file(newer), [1, 2, 3])
        for _ in 0..<2 {
            let (found, warnings) = try start()
            #expect(found.log.snapshot == older)
            #expect(found.snapshotBytes == [4, 4])
            #expect(found.log.indexes == [5, 6, 7, 8, 9, 10])
            #expect(warnings.count == 1)
        }
        unlink(file(older))
        let (found, _) = try start()
        #expect(found.log.snapshot == nil)
        #expect(found.log.indexes == Array(1...10))
    }

    @Test("when the log does not reach back, damage is an error and not an empty shard") func unreachable() throws {
        let (_, newer) = try prepare()
        do {
            let log = try WriteAheadLog.open(try directory.open(calls: .unsynced), settings: .small()).log
            try log.append(shard: shard, [.reset(metadata(50, bytes: [5]))])
            try log.sync()
        }
        unlink(file(newer))
        let error = #expect(throws: StorageError.self) { try start() }
        guard case .damagedSnapshot(_, shard, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test("a writer's thread takes the log out of what was opened") func handOver() throws {
        let (_, newer) = try prepare()
        let storage = try NodeStorage.open(try directory.open(calls: .unsynced), settings: .small())
        let shards = storage.shards
        let writer = LogWriterThread(storage.log) { _, _ in }
        writer.shutdown()
        #expect(shards.first?.log.snapshot == newer)
    }
}
