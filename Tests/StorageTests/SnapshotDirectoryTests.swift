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

    /// What a follower fetches: a list of no body segments, then the state.
    private static let stream = BodyManifestCodec.encode([]) + content
    private static let size = stream.count

    private func file(_ metadata: SnapshotMetadata) -> String { directory.folder(shard).snapshot(metadata) }

    private func chunk(_ metadata: SnapshotMetadata, _ range: Range<Int>) -> SnapshotChunk {
        let bytes = Array(Self.stream[range])
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
        let snapshot = try snapshots.take(shard, 900, term: 4, Self.content)
        #expect(snapshot == metadata(900, term: 4, bytes: Self.stream))
        #expect(try snapshots.load(shard, snapshot).state == Self.content)
        #expect(try snapshots.load(shard, snapshot).bodies.segments.isEmpty)
        #expect(try snapshots.list(shard) == [snapshot])
        for (offset, limit) in [(0, 1), (0, 262_144), (262_143, 2), (300_000, 1 << 20), (Self.size - 1, 9)] {
            let read = try snapshots.readChunk(shard, snapshot, offset: UInt64(offset), limit: limit)
            #expect(read.bytes == Array(Self.stream[offset..<min(offset + limit, Self.size)]))
            #expect(read.checksum == Checksum.crc32c(read.bytes))
        }
        #expect(try snapshots.readChunk(shard, snapshot, offset: UInt64(Self.size), limit: 9).bytes == [])
        #expect(try snapshots.readChunk(shard, metadata(5, bytes: [1]), offset: 0, limit: 9).bytes == [])
        let empty = try snapshots.take(shard, 901, term: 4, [])
        #expect(try snapshots.load(shard, empty).state == [])
    }

    @Test("damage anywhere in the file is noticed, by the whole and by the chunk it is in") func damage() throws {
        let snapshots = SnapshotDirectory(try directory.open())
        let snapshot = try snapshots.take(shard, 900, Self.content)
        let bytes = try directory.bytes(of: file(snapshot))
        for position in [
            0, 13, 30, 4000, 4095, 4096, 4100, 300_000, 4095 + Self.size, 4096 + Self.size, bytes.count - 1,
        ] {
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
        for count in [0, 100, 4096, 4098, bytes.count - 1] {
            try TestDirectory.overwrite(file(snapshot), Array(bytes[..<count]))
            #expect(throws: StorageError.self) { try snapshots.load(shard, snapshot) }
        }
    }

    @Test("chunks gather in any order of delivery, across a restart, and are installed when complete")
    func receiving() throws {
        let snapshot = metadata(900, term: 4, bytes: Self.stream)
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
        #expect(try snapshots.store(shard, chunk(snapshot, 150_000..<Self.size)) == snapshot.size)
        #expect(try snapshots.install(shard, snapshot).state == Self.content)
        #expect(try snapshots.load(shard, snapshot).state == Self.content)
        #expect(try snapshots.readChunk(shard, snapshot, offset: 15, limit: 5).bytes == Array(Self.stream[15..<20]))
    }

    @Test("a chunk of another snapshot starts over, and a whole that does not add up is thrown away")
    func refused() throws {
        let snapshots = SnapshotDirectory(try directory.open())
        let first = metadata(900, bytes: Self.stream)
        var wrong = metadata(901, bytes: Self.stream)
        wrong.checksum ^= 1
        #expect(try snapshots.store(shard, chunk(first, 0..<100_000)) == 100_000)
        #expect(try snapshots.store(shard, chunk(wrong, 0..<50_000)) == 50_000)
        #expect(throws: StorageError.self, "not complete") { try snapshots.install(shard, wrong) }
        #expect(try snapshots.store(shard, chunk(wrong, 0..<Self.size)) == wrong.size)
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
        var large = first
        large.size = 1 << 61
        large.stateBytes = 1 << 61
        #expect(throws: StorageError.self) { try snapshots.store(shard, chunk(large, 0..<10)) }
    }

    @Test("older snapshots and half-written files go, newer ones and a running reception stay") func removal() throws {
        let snapshots = SnapshotDirectory(try directory.open())
        let all = try [9, 100, 101].map { try snapshots.take(shard, $0, [1, 2]) }
        try TestDirectory.overwrite(file(all[0]) + ".tmp", [1])
        let receiving = metadata(500, bytes: Self.stream)
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
        let old = try snapshots.take(shard, 9, [1])
        fault.fail(with: ENOSPC)
        #expect(throws: StorageError.self) { try snapshots.take(shard, 10, [2]) }
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
        try log.append(shard: shard, [.hardState(state(1)), .entries(entries(1...10))])
        let older = try snapshots.take(shard, 4, [4, 4])
        try log.append(shard: shard, [.snapshot(older)])
        let newer = try snapshots.take(shard, 8, [8, 8, 8])
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
