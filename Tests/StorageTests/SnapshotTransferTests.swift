// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import RaftCore
import Synchronization
import Testing
import Wire

@testable import Storage

/// A leader's snapshot on its way to a follower.
@Suite struct SnapshotTransferTests {
    private let leaderDirectory = TestDirectory()
    private let followerDirectory = TestDirectory()
    private let shard = ShardID(2)

    private func leader(_ settings: SnapshotSettings = .small) throws -> SnapshotDirectory {
        SnapshotDirectory(try leaderDirectory.open(calls: .unsynced), settings: settings)
    }

    private func follower() throws -> SnapshotDirectory {
        SnapshotDirectory(try followerDirectory.open(nodeName: "node-1", calls: .unsynced), settings: .small)
    }

    private func chunk(
        _ snapshot: SnapshotMetadata,
        at offset: UInt64,
        _ read: (bytes: [UInt8], checksum: UInt32)
    ) -> SnapshotChunk {
        SnapshotChunk(term: Term(1), snapshot: snapshot, offset: offset, bytes: read.bytes, checksum: read.checksum)
    }

    /// Ships up to `most` chunks from where the follower is; the bytes that went over.
    @discardableResult
    private func ship(
        _ snapshot: SnapshotMetadata,
        from leader: SnapshotDirectory,
        to follower: SnapshotDirectory,
        limit: Int = 700,
        most: Int = .max
    ) throws -> UInt64 {
        var shipped: UInt64 = 0
        var chunks = 0
        var next = try follower.store(shard, chunk(snapshot, at: 0, ([], 0)))
        while next < snapshot.size, chunks < most {
            let read = try leader.readChunk(shard, snapshot, offset: next, limit: limit)
            try #require(read.bytes.count == min(limit, Int(snapshot.size - next)), "never short but at the end")
            shipped += UInt64(read.bytes.count)
            let wanted = try follower.store(shard, chunk(snapshot, at: next, read))
            #expect(wanted >= next + UInt64(read.bytes.count))
            next = wanted
            chunks += 1
        }
        return shipped
    }

    private func install(_ snapshot: SnapshotMetadata, _ model: QueueModel, in follower: SnapshotDirectory) throws
        -> BodyManifest
    {
        let (state, bodies) = try follower.install(shard, snapshot)
        #expect(state == model.state)
        try model.expectReadable(in: bodies)
        try follower.removeOlder(shard, than: snapshot)
        #expect(try follower.presentNames(shard) == follower.expectedNames(shard, snapshot, bodies))
        let copy = try followerDirectory.copy()
        let (_, loaded) = try SnapshotDirectory(try copy.open(nodeName: "node-1")).load(shard, snapshot)
        try model.expectReadable(in: loaded)
        return bodies
    }

    @Test(
        "a snapshot with bodies arrives whole, in chunks of any size, across restarts of both sides",
        arguments: [1, 97, 700, 5000, 1 << 20]
    )
    func whole(limit: Int) throws {
        var model = QueueModel(seed: 21)
        model.publish(limit == 1 ? 4 : 120, bytes: 0...80)
        model.publish(limit == 1 ? 0 : 2, bytes: 3000...4000)
        let snapshot = try leader().take(shard, model, previous: .empty).metadata
        while try ship(snapshot, from: leader(), to: follower(), limit: limit, most: limit == 1 ? 400 : 3) > 0 {}
        _ = try install(snapshot, model, in: follower())
    }

    @Test("chunks cut and repeated anyhow add up") func overlaps() throws {
        var model = QueueModel(seed: 22)
        model.publish(100, bytes: 0...80)
        let (leader, follower) = (try leader(), try follower())
        let snapshot = try leader.take(shard, model, previous: .empty).metadata
        var held: UInt64 = 0
        while held < snapshot.size {
            let back = model.below(900)
            let offset = held > back ? held - back : 0
            let read = try leader.readChunk(shard, snapshot, offset: offset, limit: 1 + Int(model.below(2000)))
            let next = try follower.store(shard, chunk(snapshot, at: offset, read))
            #expect(next == max(held, offset + UInt64(read.bytes.count)))
            let ahead = try leader.readChunk(shard, snapshot, offset: min(next + 1, snapshot.size), limit: 50)
            #expect(try follower.store(shard, chunk(snapshot, at: min(next + 1, snapshot.size), ahead)) == next)
            held = next
        }
        _ = try install(snapshot, model, in: follower)
    }

    @Test("segments that the follower has are not shipped again, nor those of a transfer that was overtaken")
    func kept() throws {
        var model = QueueModel(seed: 23)
        model.publish(200, bytes: 20...60)
        let (leader, follower) = (try leader(), try follower())
        let first = try leader.take(shard, model, previous: .empty)
        // Most of it is here when a newer one takes its place.
        try ship(first.metadata, from: leader, to: follower, most: Int(first.metadata.size) / 700 - 4)
        model.recorded()
        model.publish(10, bytes: 20...60)
        let second = try leader.take(shard, model, previous: first.bodies)
        try leader.removeOlder(shard, than: second.metadata)
        let shipped = try ship(second.metadata, from: leader, to: follower)
        #expect(shipped < second.metadata.stateBytes + second.bodies.fileBytes / 2)
        let installed = try install(second.metadata, model, in: follower)

        model.recorded()
        model.publish(10, bytes: 20...60)
        let third = try leader.take(shard, model, previous: second.bodies)
        #expect(try ship(third.metadata, from: leader, to: follower) < third.metadata.stateBytes + 4096)
        let last = try install(third.metadata, model, in: follower)
        #expect(last.segments.contains { segment in installed.segments.contains { $0 === segment } })
    }

    @Test("a segment whose file was removed is shipped again, even while it is held") func removed() throws {
        var model = QueueModel(seed: 27)
        model.publish(100, bytes: 20...60)
        let (leader, follower) = (try leader(), try follower())
        let first = try leader.take(shard, model, previous: .empty)
        try ship(first.metadata, from: leader, to: follower)
        let held = try install(first.metadata, model, in: follower)
        // The follower's own next snapshot needs none of its segments.
        var own = model
        own.acknowledge(100)
        let second = try follower.take(shard, own, previous: held)
        try follower.removeOlder(shard, than: second.metadata)
        model.acknowledge(0)
        model.publish(1, bytes: 20...60)
        let third = try leader.take(shard, model, previous: first.bodies)
        #expect(third.bodies.infos.contains { first.bodies.infos.contains($0) })
        #expect(try ship(third.metadata, from: leader, to: follower) == third.metadata.size)
        _ = try install(third.metadata, model, in: follower)
        withExtendedLifetime(held) {}
    }

    @Test("a transfer goes on although a newer snapshot removed the files") func pinned() throws {
        var model = QueueModel(seed: 24)
        model.publish(100, bytes: 20...60)
        let old = model
        let (leader, follower) = (try leader(), try follower())
        var first: (metadata: SnapshotMetadata, bodies: BodyManifest)? = try leader.take(
            shard,
            model,
            previous: .empty
        )
        let metadata = try #require(first).metadata
        try ship(metadata, from: leader, to: follower, most: 2)
        model.recorded()
        model.acknowledge(100)
        model.publish(3, bytes: 20...60)
        let second = try leader.take(shard, model, previous: try #require(first).bodies)
        first = nil
        try leader.removeOlder(shard, than: second.metadata)
        #expect(try leader.presentNames(shard) == leader.expectedNames(shard, second.metadata, second.bodies))
        // Another follower begins with the newer one.
        _ = try leader.readChunk(shard, second.metadata, offset: 0, limit: 10)
        #expect(leader.readers.count == 2)
        try ship(metadata, from: leader, to: follower)
        _ = try install(metadata, old, in: follower)
    }

    @Test("a transfer that rests is let go, sooner once a newer one has begun; then it gets empty chunks")
    func idle() throws {
        let now = Box(Mutex<UInt64>(1_000))
        var settings = SnapshotSettings.small
        settings.clock = { now.value.withLock { $0 } }
        var model = QueueModel(seed: 25)
        model.publish(20, bytes: 20...60)
        let leader = try leader(settings)
        let first = try leader.take(shard, model, previous: .empty)
        #expect(!(try leader.readChunk(shard, first.metadata, offset: 0, limit: 10).bytes.isEmpty))
        now.value.withLock { $0 += settings.readerIdleNanoseconds }
        leader.releaseIdleReaders()
        #expect(leader.readers.count == 1)
        #expect(!(try leader.readChunk(shard, first.metadata, offset: 0, limit: 10).bytes.isEmpty))

        model.acknowledge(100)
        let second = try leader.take(shard, model, previous: first.bodies)
        try leader.removeOlder(shard, than: second.metadata)
        _ = try leader.readChunk(shard, second.metadata, offset: 0, limit: 10)
        now.value.withLock { $0 += settings.supersededIdleNanoseconds + 1 }
        leader.releaseIdleReaders()
        #expect(leader.readers.count == 1)
        #expect(try leader.readChunk(shard, first.metadata, offset: 0, limit: 10).bytes.isEmpty)
        now.value.withLock { $0 += settings.readerIdleNanoseconds + 1 }
        leader.releaseIdleReaders()
        #expect(leader.readers.count == 0)
    }

    @Test("a received snapshot with any damaged file is refused, thrown away and can be had again") func refused()
        throws
    {
        var model = QueueModel(seed: 26)
        model.publish(60, bytes: 20...60)
        let (leader, follower) = (try leader(), try follower())
        let snapshot = try leader.take(shard, model, previous: .empty).metadata
        try ship(snapshot, from: leader, to: follower)
        let folder = followerDirectory.folder(shard)
        for name in try folder.names() {
            let bytes = try followerDirectory.bytes(of: folder.path + "/" + name)
            for position in [5, 70, 4096, 4100, bytes.count / 2, bytes.count - 3] where position < bytes.count {
                var changed = try followerDirectory.bytes(of: folder.path + "/" + name)
                changed[position] ^= 4
                try TestDirectory.overwrite(folder.path + "/" + name, changed)
                let error = #expect(throws: StorageError.self) { try follower.install(shard, snapshot) }
                guard case .badChunk = error else {
                    Issue.record("\(name) byte \(position): \(String(describing: error))")
                    return
                }
                #expect(try folder.names().isEmpty)
                #expect(try follower.store(shard, chunk(snapshot, at: 0, ([], 0))) == 0)
                try ship(snapshot, from: leader, to: follower)
            }
        }
        _ = try install(snapshot, model, in: follower)
    }

    @Test("a list of segments that does not make up the stream is refused when it is here") func badManifest() throws {
        let follower = try follower()
        for (manifest, size) in [([9, 0, 0, 0] as [UInt8], 5000), ([255, 255, 255, 255], 5000), ([], 5000), ([0], 9)] {
            let bytes = manifest + Array(repeating: 1, count: 100 - manifest.count)
            var snapshot = metadata(9, bytes: bytes)
            snapshot.size = UInt64(size) + 100
            #expect(throws: StorageError.self) {
                try follower.store(shard, chunk(snapshot, at: 0, (bytes, Checksum.crc32c(bytes))))
            }
            #expect(try followerDirectory.folder(shard).names().isEmpty)
        }
    }
}

/// Shares what cannot be copied with a closure.
private final class Box: Sendable {
    let value: Mutex<UInt64>

    init(_ value: consuming Mutex<UInt64>) { self.value = value }
}
