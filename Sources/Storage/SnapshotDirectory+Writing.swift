// SPDX-License-Identifier: Apache-2.0
package import Primitives
package import RaftCore
import Synchronization
import Wire

/// What a snapshot is made of. All of it stands for one moment of the shard's state.
package struct SnapshotContents: Sendable {
    /// Takes a message's id and body; the bytes are valid during the call only.
    package typealias TakeBody = (UInt64, UnsafeRawBufferPointer) throws(StorageError) -> Void

    /// The state machine, encoded.
    package var state: [UInt8]
    /// The bodies of the messages that stand in the log after the snapshot before, ascending by id. Messages that do
    /// not live any more, and those of older entries, may be among them; they are left out.
    package var forEachFresh: @Sendable (TakeBody) throws(StorageError) -> Void
    /// The ids of all live messages of the shard, fresh ones included, ascending from the first that is not below the
    /// given one, until the body returns false. Called once for each block, also from within `forEachFresh`, so
    /// finding the beginning must be quick.
    package var forEachLive: @Sendable (UInt64, (UInt64) -> Bool) -> Void

    package init(
        state: [UInt8],
        forEachFresh: @escaping @Sendable (TakeBody) throws(StorageError) -> Void = { _ throws(StorageError) in },
        forEachLive: @escaping @Sendable (UInt64, (UInt64) -> Bool) -> Void = { _, _ in }
    ) {
        self.state = state
        self.forEachFresh = forEachFresh
        self.forEachLive = forEachLive
    }
}

extension SnapshotDirectory {
    /// Stores a snapshot; durable on return. Adopt the manifest (`BodyStore.adopt`) before the log lets go of anything.
    /// The snapshot before stays whole: call `removeOlder` once the log's record of this one is durable. Not for a
    /// loop: it waits for the disk. Not beside an `install` or `removeOlder` of the same shard either, or a segment
    /// that is about to be named may be removed.
    ///
    /// Bodies move from the log into new segments. Old segments are kept, dropped when nothing in them lives, or
    /// written anew (`CompactionPlan`).
    ///
    /// - Parameter previous: the bodies of the shard's recorded snapshot.
    /// - Throws: `.missingBody`, `.damaged` (a segment that is to be written anew), `.recordTooLarge`, `.io`; the new
    ///   files are then of no use, and the snapshot before stays.
    package func write(
        _ shard: ShardID,
        index: LogIndex,
        term: Term,
        voters: [NodeID],
        previous: BodyManifest,
        _ contents: SnapshotContents
    ) throws(StorageError) -> (metadata: SnapshotMetadata, bodies: BodyManifest) {
        let folder = folder(shard)
        let activity = activity(shard)
        activity.state.withLock { $0.writers += 1 }
        var made: [String] = []
        defer {
            activity.state.withLock { state in
                state.writers -= 1
                state.unnamed.subtract(made)
            }
        }
        var isNamed = false
        let writer = BodySegmentWriter(folder, bodies, settings) { [names] in
            let name = names.next()
            made.append(name.fileName)
            activity.state.withLock { _ = $0.unnamed.insert(name.fileName) }
            return name
        }
        do throws(StorageError) {
            try io { () throws(FileFailure) in try folder.files.makeDirectories(folder.path) }
            let segments = try BodyCompactor(shard, previous: previous, contents, settings, writer).run()
            let metadata = try writeState(folder, index, term, voters, segments, contents.state)
            isNamed = true
            // One sync for all the names: none of them counts before the log's record.
            try io { () throws(FileFailure) in try folder.files.syncDirectory(folder.path) }
            for segment in segments { bodies.register(segment) }
            return (metadata, BodyManifest(segments: segments))
        } catch {
            // Segments that a snapshot file names go with it, when a later one is recorded or at the next start; and
            // so does what cannot be removed now.
            for name in made where !isNamed { _ = folder.files.calls.unlink(folder.path + "/" + name) }
            throw error
        }
    }

    /// The state file has its name on return, but not yet durably.
    private func writeState(
        _ folder: ShardFolder,
        _ index: LogIndex,
        _ term: Term,
        _ voters: [NodeID],
        _ segments: [BodySegment],
        _ state: [UInt8]
    ) throws(StorageError) -> SnapshotMetadata {
        let manifest = BodyManifestCodec.encode(segments.map(\.info))
        let stateBytes = UInt64(manifest.count + state.count)
        let metadata = SnapshotMetadata(
            index: index,
            term: term,
            voters: voters,
            size: segments.reduce(stateBytes) { $0 + $1.info.fileBytes },
            stateBytes: stateBytes,
            checksum: SnapshotFile.checksum(manifest, state)
        )
        let path = folder.snapshot(metadata)
        let temporary = path + ".tmp"
        try io { () throws(FileFailure) in
            do throws(FileFailure) {
                try SnapshotFile.write(
                    temporary,
                    folder.shard,
                    metadata,
                    manifest: manifest,
                    state: state,
                    settings: settings,
                    calls: folder.files.calls
                )
                try folder.files.rename(temporary, to: path)
            } catch {
                _ = folder.files.calls.unlink(temporary)
                throw error
            }
        }
        return metadata
    }
}
