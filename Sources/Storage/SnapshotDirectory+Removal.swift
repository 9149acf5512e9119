// SPDX-License-Identifier: Apache-2.0
import Glibc
package import Primitives
package import RaftCore
import Synchronization

extension SnapshotDirectory {
    /// Removes older snapshots, the body segments that no snapshot from this one on names, and half-written and
    /// half-received files that it makes useless. Call it once the log's record of this one is durable. Whoever holds a
    /// segment (`BodyManifest`, `BodyBlockRef`, a transfer) can go on reading it.
    package func removeOlder(_ shard: ShardID, than metadata: SnapshotMetadata) throws(StorageError) {
        readers.release()
        try remove(shard, keeping: metadata, isStart: false)
    }

    /// At a start, before anything runs: removes all that the recorded snapshot, nil for none, does not name.
    func removeOrphans(_ shard: ShardID, keeping metadata: SnapshotMetadata?) throws(StorageError) {
        try remove(shard, keeping: metadata, isStart: true)
    }

    /// The shard's lock is held throughout: a reception must not count on a segment that is about to go.
    private func remove(_ shard: ShardID, keeping metadata: SnapshotMetadata?, isStart: Bool) throws(StorageError) {
        let folder = folder(shard)
        try activity(shard).state.withLock { (state) throws(StorageError) in
            let garbage = try Garbage.find(folder, keeping: metadata, isStart: isStart, &state, bodies)
            try io { () throws(FileFailure) in
                // First what names segments, then these: no snapshot is left behind whose segments are gone.
                try folder.remove(garbage.snapshots)
                for name in garbage.segments { try bodies.pin(shard, fileName: name) }
                try folder.remove(garbage.segments)
            }
        }
    }
}

/// What may go from a shard's folder.
private struct Garbage {
    var snapshots: [String] = []
    var segments: [String] = []

    static func find(
        _ folder: ShardFolder,
        keeping metadata: SnapshotMetadata?,
        isStart: Bool,
        _ state: inout ShardActivity.State,
        _ bodies: BodyFiles
    ) throws(StorageError) -> Garbage {
        var garbage = Garbage()
        let names = try io { () throws(FileFailure) in try folder.names() }
        let keptName = metadata.map(folder.name)
        let keptIndex = metadata?.index ?? .zero
        var named: Set<String> = state.unnamed
        var isSure = true
        for name in names {
            if let index = ShardFolder.index(ofName: name), name != keptName, isStart || index <= keptIndex {
                garbage.snapshots.append(name)
            } else if name.hasSuffix(ShardFolder.snapshotSuffix) {
                let infos = try io { () throws(FileFailure) in try Self.segments(namedBy: name, folder) }
                if let infos { named.formUnion(infos) } else { isSure = false }
            } else if name.hasSuffix(".tmp"), state.writers == 0 {
                garbage.snapshots.append(name)
            }
        }
        var reception = state.reception
        if reception == nil, names.contains("receiving.partial") {
            do throws(StorageError) {
                reception = try SnapshotReception.resume(nil, folder, bodies)
            } catch .badChunk {
                reception = nil
            }
        }
        if let reception, reception.metadata.index > keptIndex {
            named.formUnion(reception.segmentNames)
            // Until the state section is here nobody knows which parts it wants.
            if reception.parts == nil { named.formUnion(names.filter { $0.hasSuffix(ShardFolder.partSuffix) }) }
        } else {
            state.reception = nil
            garbage.snapshots += names.filter { $0 == "receiving.partial" }
        }
        if let keptName, !names.contains(keptName) { isSure = false }
        guard isSure else { return garbage }
        garbage.segments = names.filter { name in
            if name.hasSuffix(ShardFolder.partSuffix) {
                return !named.contains(name) && !named.contains(String(name.dropLast(".part".count)))
            }
            return name.hasSuffix(BodySegmentName.suffix) && !named.contains(name)
        }
        return garbage
    }

    /// Nil when it cannot be read.
    private static func segments(namedBy name: String, _ folder: ShardFolder) throws(FileFailure) -> [String]? {
        do throws(FileFailure) {
            let file = try File(folder.path + "/" + name, O_RDONLY, calls: folder.files.calls)
            let header = try file.read(SnapshotFile.headerBytes, at: 0)
            guard let metadata = SnapshotFile.metadata(header, shard: folder.shard) else { return nil }
            return try SnapshotFile.readManifest(file, metadata)?.infos.map(\.name.fileName)
        } catch {
            if error.code == ENOENT { return nil }
            throw error
        }
    }
}
