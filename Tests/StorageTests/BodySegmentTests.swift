// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import RaftCore
import Synchronization
import Testing
import Wire

@testable import Storage

@Suite struct BodySegmentTests {
    private let directory = TestDirectory()
    private let shard = ShardID(2)

    private func open(_ settings: SnapshotSettings = .small) throws -> SnapshotDirectory {
        SnapshotDirectory(try directory.open(calls: .unsynced), settings: settings)
    }

    // MARK: Round trips

    @Test("bodies of any length come back, and only those of the messages that are there") func roundTrip() throws {
        let snapshots = try open()
        var model = QueueModel(seed: 1)
        model.publish(40, bytes: 0...50)
        model.publish(3, bytes: 2000...9000)
        model.publish(10, bytes: 0...0)
        let (snapshot, bodies) = try snapshots.take(shard, model, previous: .empty)
        #expect(bodies.segments.count > 3)
        #expect(bodies.infos.reduce(0) { $0 + $1.messages } == UInt64(model.live.count))
        #expect(snapshot.size == snapshot.stateBytes + bodies.fileBytes)
        try model.expectReadable(in: bodies)
        let store = BodyStore(bodies)
        #expect(store.block(containing: 0) == nil)
        #expect(store.block(containing: .max) == nil)
        let first = try #require(store.block(containing: 1 << 12))
        #expect(try store.read(first).body(of: (1 << 12) + 9) == nil)

        let reopened = try directory.copy()
        let (state, loaded) = try SnapshotDirectory(try reopened.open(), settings: .small).load(shard, snapshot)
        #expect(state == model.state)
        #expect(loaded.infos == bodies.infos)
        try model.expectReadable(in: loaded)
    }

    @Test("a shard starts with the bodies of its snapshot, and what no snapshot names goes") func start() throws {
        var model = QueueModel(seed: 2)
        model.publish(60, bytes: 10...40)
        let recorded: SnapshotMetadata
        let shardFolder = directory.folder(shard)
        do {
            let opened = try directory.open(calls: .unsynced)
            let log = try WriteAheadLog.open(opened, settings: .small()).log
            let snapshots = SnapshotDirectory(opened, settings: .small)
            let first = try snapshots.take(shard, model, previous: .empty)
            recorded = first.metadata
            try log.append(shard: shard, [.hardState(HardState(term: Term(1))), .reset(recorded)])
            try log.sync()
            model.recorded()
            var later = model
            later.acknowledge(70)
            later.publish(30, bytes: 10...40)
            _ = try snapshots.take(shard, later, previous: first.bodies)
            for stray in ["1-2-3.bodies", "1-2-4.bodies.part", "x.snap.tmp"] {
                try TestDirectory.overwrite(shardFolder.path + "/" + stray, [1])
            }
        }
        let storage = try NodeStorage.open(
            try directory.open(calls: .unsynced),
            settings: .small(),
            snapshots: .small
        )
        let found = try #require(storage.shards.first)
        #expect(found.log.snapshot == recorded)
        #expect(found.snapshotBytes == model.state)
        #expect(storage.warnings.isEmpty)
        try model.expectReadable(in: found.bodies)
        #expect(
            try storage.snapshots.presentNames(shard)
                == storage.snapshots.expectedNames(shard, recorded, found.bodies)
        )
    }

    @Test("when a segment of the newest snapshot is gone or damaged, an older whole one serves") func fallback() throws
    {
        var model = QueueModel(seed: 3)
        model.publish(60, bytes: 10...40)
        let older = model
        let newSegment: String
        do {
            let opened = try directory.open(calls: .unsynced)
            let log = try WriteAheadLog.open(opened, settings: .small(64 << 10)).log
            let snapshots = SnapshotDirectory(opened, settings: .small)
            try log.append(shard: shard, [.hardState(HardState(term: Term(1))), .entries(entries(1...200))])
            let first = try snapshots.take(shard, model, previous: .empty)
            try log.append(shard: shard, [.snapshot(first.metadata)])
            model.recorded()
            model.publish(60, bytes: 10...40)
            let second = try snapshots.take(shard, model, previous: first.bodies)
            try log.append(shard: shard, [.snapshot(second.metadata)])
            try log.sync()
            newSegment = try #require(second.bodies.segments.last).path
        }
        let bytes = try directory.bytes(of: newSegment)
        var flipped = bytes
        flipped[bytes.count - 40] ^= 1
        for content in [flipped, Array(bytes.dropLast()), nil] as [[UInt8]?] {
            if let content { try TestDirectory.overwrite(newSegment, content) } else { unlink(newSegment) }
            let storage = try NodeStorage.open(
                try directory.open(calls: .unsynced),
                settings: .small(64 << 10),
                snapshots: .small
            )
            let found = try #require(storage.shards.first)
            #expect(found.log.snapshot?.index == LogIndex(older.index))
            #expect(found.log.indexes == Array(older.index + 1...200))
            #expect(storage.warnings.count == 1)
            try older.expectReadable(in: found.bodies)
        }
    }

    // MARK: Damage

    @Test("a changed bit anywhere in a segment is noticed, at the start or when it is read, and is not shipped")
    func flips() throws {
        let (snapshot, bodies, model) = try oneSegment()
        let data = try directory.open(calls: .unsynced)
        let path = try #require(bodies.segments.first).path
        let whole = try directory.bytes(of: path)
        for position in 0..<whole.count {
            var changed = whole
            changed[position] ^= 1 << UInt8(position % 8)
            try TestDirectory.overwrite(path, changed)
            switch try damage(in: snapshot, data) {
            case .damagedSnapshot(path, shard, _), .damaged(path, _, _): break
            case let other: Issue.record("byte \(position): \(String(describing: other))")
            }
        }
        for count in 0..<whole.count {
            try TestDirectory.overwrite(path, Array(whole[..<count]))
            #expect(throws: StorageError.self, "\(count) bytes") { try SnapshotDirectory(data).load(shard, snapshot) }
        }
        try TestDirectory.overwrite(path, whole)
        try model.expectReadable(in: try SnapshotDirectory(data).load(shard, snapshot).bodies)
    }

    /// What reading everything finds.
    private func damage(in snapshot: SnapshotMetadata, _ data: DataDirectory) throws -> StorageError? {
        let snapshots = SnapshotDirectory(data)
        do throws(StorageError) {
            let (_, bodies) = try snapshots.load(shard, snapshot)
            // Not reached for header, footer and trailer.
            #expect(throws: StorageError.self) { try stream(snapshots, snapshot) }
            for segment in bodies.segments {
                for block in segment.index.blocks.indices { _ = try segment.readBlock(block) }
            }
            return nil
        } catch {
            return error
        }
    }

    private func oneSegment() throws -> (SnapshotMetadata, BodyManifest, QueueModel) {
        let snapshots = try open()
        var model = QueueModel(seed: 4)
        model.publish(12, bytes: 10...60)
        let (snapshot, bodies) = try snapshots.take(shard, model, previous: .empty)
        #expect(bodies.segments.count == 1)
        #expect(bodies.segments.first?.index.blocks.count ?? 0 > 2)
        return (snapshot, bodies, model)
    }

    private func stream(_ snapshots: SnapshotDirectory, _ snapshot: SnapshotMetadata) throws -> [UInt8] {
        try snapshots.readChunk(shard, snapshot, offset: 0, limit: 1 << 20).bytes
    }

    @Test("damage in a segment that is to be rewritten stops the snapshot, and nothing else changes") func damage()
        throws
    {
        let (first, bodies, whole) = try oneSegment()
        var model = whole
        model.acknowledge(80)
        let segment = try #require(bodies.segments.first)
        var bytes = try directory.bytes(of: segment.path)
        let block = try #require(segment.index.blocks.last { entry in model.live.contains { $0.id >= entry.firstID } })
        bytes[block.offset + 20] ^= 1
        try TestDirectory.overwrite(segment.path, bytes)
        let snapshots = try open()
        let error = #expect(throws: StorageError.self) { try snapshots.take(shard, model, previous: bodies) }
        guard case .damaged(segment.path, block.offset, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(try snapshots.presentNames(shard) == snapshots.expectedNames(shard, first, bodies))
    }

    @Test("a message without a body stops the snapshot, wherever its body should have been") func missing() throws {
        let snapshots = try open()
        var model = QueueModel(seed: 5)
        model.publish(30, bytes: 10...40)
        let (first, bodies) = try snapshots.take(shard, model, previous: .empty)
        model.recorded()
        model.publish(10, bytes: 10...40)
        let last = try #require(model.live.last?.id)
        for phantom in [1, 5 << 12 | 9, 31 << 12 | 9, last + 1, .max] as [UInt64] {
            var contents = model.contents
            let ids = (model.live.map(\.id) + [phantom]).sorted()
            contents.forEachLive = { from, body in
                for id in ids where id >= from { if !body(id) { return } }
            }
            // In a segment the gap shows when its blocks are read; so half of it is acknowledged.
            if phantom == 5 << 12 | 9 {
                let sparse = ids.filter { $0 == phantom || $0 > 25 << 12 }
                contents.forEachLive = { from, body in
                    for id in sparse where id >= from { if !body(id) { return } }
                }
            }
            #expect(throws: StorageError.missingBody(shard: shard, id: phantom)) {
                try snapshots.write(
                    shard,
                    index: LogIndex(model.index),
                    term: Term(1),
                    voters: first.voters,
                    previous: bodies,
                    contents
                )
            }
            #expect(try snapshots.presentNames(shard) == snapshots.expectedNames(shard, first, bodies))
        }
    }

    // MARK: While it is in use

    @Test("whoever holds a block of a dropped segment can read it after its file is gone") func pinned() throws {
        let snapshots = try open()
        var model = QueueModel(seed: 6)
        model.publish(60, bytes: 10...40)
        let old = model
        let first = try snapshots.take(shard, model, previous: .empty)
        let store = BodyStore(first.bodies)
        let held = try #require(store.block(containing: old.live[3].id))
        model.recorded()
        model.acknowledge(100)
        model.publish(5, bytes: 10...40)
        let second = try snapshots.take(shard, model, previous: first.bodies)
        store.adopt(second.bodies)
        try snapshots.removeOlder(shard, than: second.metadata)
        #expect(access(held.segment.path, F_OK) != 0)
        #expect(try store.read(held).body(of: old.live[3].id) == old.live[3].body)
        #expect(store.block(containing: old.live[3].id) == nil)
        // A manifest alone keeps them too, whether or not their files were open.
        try old.expectReadable(in: first.bodies)
        try model.expectReadable(in: store.manifest)
    }

    @Test("a removal leaves alone what a snapshot is being made of") func concurrentRemoval() throws {
        let snapshots = try open()
        var model = QueueModel(seed: 7)
        model.publish(60, bytes: 10...40)
        let first = try snapshots.take(shard, model, previous: .empty)
        model.recorded()
        model.publish(60, bytes: 10...40)
        var contents = model.contents
        let calls = Mutex(0)
        contents.forEachLive = { [contents, shard] from, body in
            calls.withLock { $0 += 1 }
            try? snapshots.removeOlder(shard, than: first.metadata)
            contents.forEachLive(from, body)
        }
        let second = try snapshots.write(
            shard,
            index: LogIndex(model.index),
            term: Term(1),
            voters: first.metadata.voters,
            previous: first.bodies,
            contents
        )
        #expect(calls.withLock { $0 } > 5)
        // Not recorded yet, so both must be whole.
        try snapshots.removeOlder(shard, than: first.metadata)
        let copy = try directory.copy()
        let restarted = SnapshotDirectory(try copy.open(), settings: .small)
        try model.expectReadable(in: try restarted.load(shard, second.metadata).bodies)
        #expect(throws: Never.self) { try restarted.load(shard, first.metadata) }
    }
}
