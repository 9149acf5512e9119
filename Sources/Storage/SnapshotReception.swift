// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import RaftCore

/// A snapshot that arrives, as far as it is on disk: the state section in `receiving.partial`, each segment in a part
/// file of its own. Made from the files again after a restart.
struct SnapshotReception: Sendable {
    struct Part: Sendable {
        var info: BodySegmentInfo
        /// In the stream.
        var start: UInt64
        /// Bytes of it that are here, from its beginning.
        var held: UInt64
        /// It is here already, from an earlier snapshot.
        var isPlaced: Bool
    }

    let metadata: SnapshotMetadata
    private(set) var stateHeld: UInt64
    /// Nil until the state section is whole.
    private(set) var parts: [Part]?
    /// The first byte that is not here.
    private(set) var wanted: UInt64

    /// What the files hold of this snapshot; nil when what they hold is another.
    ///
    /// - Throws: `.badChunk` when the state section is whole and names no segments that make up the stream.
    static func resume(
        _ metadata: SnapshotMetadata?,
        _ folder: ShardFolder,
        _ bodies: BodyFiles
    ) throws(StorageError) -> SnapshotReception? {
        let found = try io { () throws(FileFailure) -> (SnapshotMetadata, UInt64)? in
            guard let header = try folder.files.readStart(of: folder.partial, SnapshotFile.headerBytes),
                let found = SnapshotFile.metadata(header, shard: folder.shard), metadata ?? found == found
            else { return nil }
            let file = try File(folder.partial, O_RDONLY, calls: folder.files.calls)
            let held = UInt64(max(0, try file.size() - SnapshotFile.headerBytes))
            // Behind the section there may be a table already.
            return (found, min(held, found.stateBytes))
        }
        guard let (metadata, held) = found else { return nil }
        var reception = SnapshotReception(metadata: metadata, stateHeld: held)
        if held == metadata.stateBytes { try reception.layOut(folder, bodies) }
        return reception
    }

    /// Begins anew. Parts of segments stay: another snapshot of the shard may name them too, and equal names mean equal
    /// bytes.
    static func begin(_ metadata: SnapshotMetadata, _ folder: ShardFolder) throws(StorageError) -> SnapshotReception {
        try io { () throws(FileFailure) in
            try folder.files.makeDirectories(folder.path)
            let file = try File(folder.partial, O_RDWR | O_CREAT, calls: folder.files.calls)
            try file.truncate(to: 0)
            try file.write(SnapshotFile.header(folder.shard, metadata), at: 0)
        }
        return SnapshotReception(metadata: metadata, stateHeld: 0)
    }

    private init(metadata: SnapshotMetadata, stateHeld: UInt64) {
        self.metadata = metadata
        self.stateHeld = stateHeld
        wanted = stateHeld
    }

    var isWhole: Bool { parts != nil && wanted == metadata.size }

    /// File names of the segments that it is known to need.
    var segmentNames: [String] { (parts ?? []).map(\.info.name.fileName) }

    /// Stores what is new of these bytes of the stream.
    mutating func store(
        _ bytes: [UInt8],
        at offset: UInt64,
        _ folder: ShardFolder,
        _ bodies: BodyFiles
    ) throws(StorageError) {
        let end = offset + UInt64(bytes.count)
        if wanted == metadata.stateBytes, parts == nil { try layOut(folder, bodies) }
        while offset <= wanted, wanted < end {
            let start = Int(wanted - offset)
            let count: Int
            if stateHeld < metadata.stateBytes {
                count = Int(min(end, metadata.stateBytes) - wanted)
                try write(
                    bytes,
                    start..<(start + count),
                    folder.partial,
                    SnapshotFile.headerBytes + Int(stateHeld),
                    folder
                )
                stateHeld += UInt64(count)
                wanted = stateHeld
                if stateHeld == metadata.stateBytes { try layOut(folder, bodies) }
            } else {
                guard let position = parts?.firstIndex(where: { $0.held < $0.info.fileBytes }),
                    let part = parts?[position]
                else { return }
                count = Int(min(end, part.start + part.info.fileBytes) - wanted)
                try write(bytes, start..<(start + count), folder.part(part.info.name), Int(part.held), folder)
                parts?[position].held += UInt64(count)
                findWanted()
            }
        }
    }

    private func write(
        _ bytes: [UInt8],
        _ range: Range<Int>,
        _ path: String,
        _ offset: Int,
        _ folder: ShardFolder
    ) throws(StorageError) {
        try io { () throws(FileFailure) in
            let file = try File(path, O_WRONLY | O_CREAT, calls: folder.files.calls)
            try file.write(bytes, range, at: offset)
        }
    }

    /// Learns the segments from the state section, and how much of them is here.
    private mutating func layOut(_ folder: ShardFolder, _ bodies: BodyFiles) throws(StorageError) {
        let infos = try io { () throws(FileFailure) in
            let file = try File(folder.partial, O_RDONLY, calls: folder.files.calls)
            return try SnapshotFile.readManifest(file, metadata)?.infos
        }
        guard let infos else { throw .badChunk(shard: folder.shard, reason: "the list of body segments is not valid") }
        var parts: [Part] = []
        var start = metadata.stateBytes
        for info in infos {
            let isPlaced = (try? bodies.segment(folder.shard, info, path: folder.bodies(info.name))) != nil
            let held = isPlaced ? info.fileBytes : try partBytes(info, folder)
            parts.append(Part(info: info, start: start, held: held, isPlaced: isPlaced))
            start += info.fileBytes
        }
        self.parts = parts
        findWanted()
    }

    private func partBytes(_ info: BodySegmentInfo, _ folder: ShardFolder) throws(StorageError) -> UInt64 {
        try io { () throws(FileFailure) in
            do throws(FileFailure) {
                let file = try File(folder.part(info.name), O_RDWR, calls: folder.files.calls)
                let size = UInt64(try file.size())
                if size <= info.fileBytes { return size }
                try file.truncate(to: 0)
                return 0
            } catch {
                guard error.code == ENOENT else { throw error }
                return 0
            }
        }
    }

    private mutating func findWanted() {
        wanted = parts?.first { $0.held < $0.info.fileBytes }.map { $0.start + $0.held } ?? metadata.size
    }
}
