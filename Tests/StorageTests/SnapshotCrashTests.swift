// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import RaftCore
import Testing
import Wire

@testable import Storage

/// Every system call of a snapshot, an installation and the removals after them fails once, and is the last one once.
@Suite struct SnapshotCrashTests {
    private static let shard = ShardID(2)

    /// A recorded snapshot on a disk that can fail, and what comes next.
    private struct Setting {
        let directory = TestDirectory()
        let disk = FaultyDisk()
        var snapshots: SnapshotDirectory?
        var before: (metadata: SnapshotMetadata, bodies: BodyManifest, model: QueueModel)
        /// What the next snapshot holds.
        var model: QueueModel
        /// Of the next snapshot, when it comes from a leader.
        var arriving: SnapshotMetadata?
        var arrivingFiles: [String] = []
        /// What the log names in the end.
        var recorded: (metadata: SnapshotMetadata, bodies: BodyManifest, model: QueueModel)

        init() throws {
            let snapshots = SnapshotDirectory(try directory.open(calls: disk.calls), settings: .small)
            model = QueueModel(seed: 31)
            model.publish(110, bytes: 20...40)
            let first = try snapshots.take(shard, model, previous: .empty)
            before = (first.metadata, first.bodies, model)
            recorded = before
            model.recorded()
            self.snapshots = snapshots
        }

        /// The next snapshot drops, rewrites, joins and keeps segments.
        static func taking() throws -> Setting {
            var setting = try Setting()
            setting.model.acknowledge(100, from: 0, to: 0.4)
            setting.model.acknowledge(70, from: 0.7)
            setting.model.publish(20, bytes: 20...40)
            return setting
        }

        /// The next snapshot has arrived, in several segments.
        static func receiving() throws -> Setting {
            var setting = try Setting()
            let source = TestDirectory()
            let leader = SnapshotDirectory(try source.open(calls: .unsynced), settings: .small)
            setting.model.publish(60, bytes: 20...40)
            // The leader's segments are its own, so none of them is here.
            var whole = setting.model
            whole.relog()
            let (metadata, bodies) = try leader.take(shard, whole, previous: .empty)
            #expect(bodies.segments.count > 2)
            let names = bodies.infos.map(\.name.fileName)
            setting.arrivingFiles = names + names.map { $0 + ".part" }
            let (bytes, checksum) = try leader.readChunk(shard, metadata, offset: 0, limit: 1 << 20)
            let chunk = SnapshotChunk(term: Term(1), snapshot: metadata, offset: 0, bytes: bytes, checksum: checksum)
            #expect(try setting.snapshots?.store(shard, chunk) == metadata.size)
            setting.arriving = metadata
            return setting
        }

        /// What a node does: the snapshot, its record in the log, the removal. True when no call failed.
        mutating func run(_ fault: FaultyDisk.Fault) throws -> Bool {
            let snapshots = try #require(snapshots)
            disk.set(fault)
            defer { disk.set(nil) }
            do throws(StorageError) {
                if let arriving {
                    let (state, bodies) = try snapshots.install(shard, arriving)
                    #expect(state == model.state)
                    recorded = (arriving, bodies, model)
                } else {
                    let taken = try snapshots.take(shard, model, previous: before.bodies)
                    #expect(taken.bodies.infos.contains { before.bodies.infos.contains($0) }, "one is kept")
                    recorded = (taken.metadata, taken.bodies, model)
                }
                try snapshots.removeOlder(shard, than: recorded.metadata)
                #expect(!disk.hasTripped, "a failure is told")
                return true
            } catch {
                guard case .io = error, disk.hasTripped else { throw error }
                return false
            }
        }

        mutating func end() { snapshots = nil }
    }

    // MARK: The last call

    /// After a restart the recorded snapshot is there, all of it, and no file that nobody needs.
    private func expectWhole(_ directory: TestDirectory, _ setting: Setting, _ comment: Comment) throws {
        let snapshots = SnapshotDirectory(try directory.open(calls: .unsynced), settings: .small)
        let recorded = setting.recorded
        let (state, bodies) = try snapshots.load(Self.shard, recorded.metadata)
        #expect(state == recorded.model.state, comment)
        try recorded.model.expectReadable(in: bodies, comment)
        try snapshots.removeOrphans(Self.shard, keeping: recorded.metadata)
        var present = try snapshots.presentNames(Self.shard)
        if present.contains("receiving.partial") {
            // The reception can go on, so what belongs to it stays.
            #expect(recorded.metadata == setting.before.metadata, comment)
            present.removeAll { $0 == "receiving.partial" || setting.arrivingFiles.contains($0) }
        }
        #expect(present == snapshots.expectedNames(Self.shard, recorded.metadata, bodies), comment)
    }

    private func stopEverywhere(_ make: () throws -> Setting) throws -> Int {
        for at in 0... {
            var setting = try make()
            let isDone = try setting.run(.stop(at: at))
            setting.end()
            let cut = try setting.directory.copy()
            let folder = setting.directory.folder(Self.shard).path
            try setting.disk.leave(folder, in: cut.folder(Self.shard).path)
            try expectWhole(cut, setting, "power cut at call \(at)")
            try expectWhole(setting.directory, setting, "stopped at call \(at)")
            if isDone { return at }
        }
        return 0
    }

    @Test("stopped at any call of a snapshot, the one before or the new one is there whole") func stoppedTaking() throws
    {
        #expect(try stopEverywhere(Setting.taking) > 20)
    }

    @Test("stopped at any call of an installation, the one before or the new one is there whole")
    func stoppedInstalling() throws {
        #expect(try stopEverywhere(Setting.receiving) > 8)
    }

    // MARK: A call that fails

    private func failEverywhere(_ code: Int32, _ make: () throws -> Setting) throws -> Int {
        for at in 0... {
            var setting = try make()
            let isDone = try setting.run(.fail(at: at, code: code))
            if isDone { return at }
            let snapshots = try #require(setting.snapshots)
            try setting.recorded.model.expectReadable(in: setting.recorded.bodies, "call \(at)")
            _ = try snapshots.load(Self.shard, setting.recorded.metadata)
            // Once there is room again the next snapshot succeeds and clears up.
            setting.arriving = nil
            setting.before = setting.recorded
            setting.model.relog()
            setting.model.acknowledge(0)
            setting.model.publish(3, bytes: 20...40)
            let next = try snapshots.take(Self.shard, setting.model, previous: setting.before.bodies)
            try snapshots.removeOlder(Self.shard, than: next.metadata)
            try setting.model.expectReadable(in: next.bodies, "call \(at)")
            let names = snapshots.expectedNames(Self.shard, next.metadata, next.bodies)
            #expect(try snapshots.presentNames(Self.shard) == names, "call \(at)")
        }
        return 0
    }

    @Test("when any call of a snapshot fails, nothing is lost and the next one succeeds", arguments: [ENOSPC, EIO])
    func failedTaking(code: Int32) throws {
        #expect(try failEverywhere(code, Setting.taking) > 20)
    }

    @Test("when any call of an installation fails, nothing is lost and the next snapshot succeeds")
    func failedInstalling() throws {
        #expect(try failEverywhere(ENOSPC, Setting.receiving) > 8)
    }

    @Test("a disk that is full for a while costs no more than the snapshot") func fullDisk() throws {
        let setting = try Setting.taking()
        let snapshots = try #require(setting.snapshots)
        let names = try snapshots.presentNames(Self.shard)
        for at in 0..<6 {
            setting.disk.set(.full(from: at))
            #expect(throws: StorageError.self) {
                try snapshots.take(Self.shard, setting.model, previous: setting.before.bodies)
            }
            setting.disk.set(nil)
            #expect(try snapshots.presentNames(Self.shard) == names, "full at write \(at)")
        }
        try setting.before.model.expectReadable(in: setting.before.bodies)
        let taken = try snapshots.take(Self.shard, setting.model, previous: setting.before.bodies)
        try setting.model.expectReadable(in: taken.bodies)
    }
}
