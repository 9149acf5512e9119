// SPDX-License-Identifier: Apache-2.0
import Glibc
package import Primitives
package import RaftCore
import Synchronization

/// The snapshots of all shards on disk. Of each shard:
///
/// ```
/// <index>-<term>-<checksum>.snap the state, and which segments hold the bodies it refers to (`SnapshotFile`)
/// <node>-<life>-<number>.bodies a body segment, never changed (`BodySegmentFormat`)
/// receiving.partial             the state of a snapshot that arrives from a leader
/// ….bodies.part                 one of its segments
/// ```
///
/// A snapshot counts from the moment that the log's record of it is durable. Everything that the recorded one does not
/// name is of no use and goes: after the record (`removeOlder`) and at the next start. No failure here endangers what
/// is acknowledged, for the log still holds it until a snapshot is safely there.
///
/// Any thread may call it. Of the calls that make a snapshot, `write` and `install`, one at a time for a shard.
package final class SnapshotDirectory: Sendable {
    let settings: SnapshotSettings
    let bodies: BodyFiles
    let names: BodySegmentNames
    let readers: SnapshotReaders
    private let path: String
    private let files: FileSystem
    private let shards = Mutex<[ShardID: ShardActivity]>([:])

    package init(_ directory: DataDirectory, settings: SnapshotSettings = SnapshotSettings()) {
        path = directory.snapshotPath
        files = directory.files
        names = directory.segmentNames
        self.settings = settings
        bodies = BodyFiles(directory.files, limit: settings.openFiles)
        readers = SnapshotReaders(settings)
    }

    func folder(_ shard: ShardID) -> ShardFolder {
        ShardFolder(shard: shard, path: "\(path)/\(shard.rawValue)", files: files)
    }

    func activity(_ shard: ShardID) -> ShardActivity {
        shards.withLock { shards in
            if let found = shards[shard] { return found }
            let made = ShardActivity()
            shards[shard] = made
            return made
        }
    }

    // MARK: Reading

    /// The state and the bodies of this snapshot. The state and the segments' footers are checked, a block of bodies
    /// when it is read.
    ///
    /// - Throws: `.damagedSnapshot`, also when a segment is missing.
    package func load(
        _ shard: ShardID,
        _ metadata: SnapshotMetadata
    ) throws(StorageError) -> (state: [UInt8], bodies: BodyManifest) {
        let folder = folder(shard)
        let path = folder.snapshot(metadata)
        let outcome: Result<SnapshotFile.Content, SnapshotFile.Fault>
        do throws(FileFailure) {
            let file = try File(path, O_RDONLY, calls: files.calls)
            let header = try file.read(SnapshotFile.headerBytes, at: 0)
            if let found = SnapshotFile.metadata(header, shard: shard) {
                outcome =
                    found == metadata
                    ? try SnapshotFile.read(file, metadata, isComplete: true)
                    : .failure(SnapshotFile.Fault(reason: "it is another snapshot than the log names"))
            } else {
                outcome = .failure(SnapshotFile.Fault(reason: "its header"))
            }
        } catch {
            guard error.code == ENOENT else { throw .io(error) }
            throw .damagedSnapshot(path: path, shard: shard, reason: "the file is missing")
        }
        switch outcome {
        case .failure(let fault): throw .damagedSnapshot(path: path, shard: shard, reason: fault.reason)
        case .success(let content): return (content.state, try manifest(folder, content.infos))
        }
    }

    func manifest(_ folder: ShardFolder, _ infos: [BodySegmentInfo]) throws(StorageError) -> BodyManifest {
        var segments: [BodySegment] = []
        for info in infos { segments.append(try bodies.segment(folder.shard, info, path: folder.bodies(info.name))) }
        return BodyManifest(segments: segments)
    }

    /// What the readable snapshots of a shard say of themselves, newest first. Headers only are checked.
    package func list(_ shard: ShardID) throws(StorageError) -> [SnapshotMetadata] {
        let folder = folder(shard)
        let found = try io { () throws(FileFailure) -> [SnapshotMetadata] in
            var found: [SnapshotMetadata] = []
            for name in try folder.names() where name.hasSuffix(ShardFolder.snapshotSuffix) {
                if let header = try files.readStart(of: folder.path + "/" + name, SnapshotFile.headerBytes),
                    let metadata = SnapshotFile.metadata(header, shard: shard)
                {
                    found.append(metadata)
                }
            }
            return found
        }
        return found.sorted { $0.index > $1.index }
    }
}

/// What is going on in a shard's folder, so that a removal does not take what another thread is making.
final class ShardActivity: Sendable {
    struct State {
        /// File names of segments that no snapshot file names yet.
        var unnamed: Set<String> = []
        var writers = 0
        var reception: SnapshotReception?
    }

    let state = Mutex(State())
}
