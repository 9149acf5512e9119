// SPDX-License-Identifier: Apache-2.0
import Glibc
package import Primitives
package import RaftCore
import Synchronization
import Wire

extension SnapshotDirectory {
    /// Adds a chunk of a leader's snapshot to the files it gathers in and returns the offset wanted next, which is the
    /// snapshot's size when all is here. A chunk that was had before changes nothing; one that leaves a gap is not
    /// taken. Segments that this node has already are passed over. An empty chunk only asks. The files outlive a broken
    /// connection and a restart; a chunk of another snapshot starts it over, without those segments that both name.
    ///
    /// - Throws: `.badChunk`; `.io`, after which the same chunk may be given again.
    package func store(_ shard: ShardID, _ chunk: SnapshotChunk) throws(StorageError) -> UInt64 {
        guard Checksum.crc32c(chunk.bytes) == chunk.checksum else {
            throw .badChunk(shard: shard, reason: "its checksum is wrong")
        }
        let metadata = chunk.snapshot
        guard chunk.offset <= metadata.size, UInt64(chunk.bytes.count) <= metadata.size - chunk.offset,
            SnapshotFile.fileBytes(metadata) != nil, metadata.size < 1 << 48
        else { throw .badChunk(shard: shard, reason: "it reaches past the snapshot's end") }
        let folder = folder(shard)
        return try activity(shard).state.withLock { (state) throws(StorageError) -> UInt64 in
            do throws(StorageError) {
                var reception = try resumed(metadata, folder, state.reception)
                // After a failure the files know best what is there.
                state.reception = nil
                try reception.store(chunk.bytes, at: chunk.offset, folder, bodies)
                state.reception = reception
                return reception.wanted
            } catch .badChunk(let shard, let reason) {
                state.reception = nil
                try discard(folder)
                throw .badChunk(shard: shard, reason: reason)
            }
        }
    }

    private func resumed(
        _ metadata: SnapshotMetadata,
        _ folder: ShardFolder,
        _ current: SnapshotReception?
    ) throws(StorageError) -> SnapshotReception {
        if let current, current.metadata == metadata { return current }
        if current == nil, let found = try SnapshotReception.resume(metadata, folder, bodies) { return found }
        return try SnapshotReception.begin(metadata, folder)
    }

    /// Throws away what was received. The segments of earlier snapshots stay.
    private func discard(_ folder: ShardFolder) throws(StorageError) {
        try io { () throws(FileFailure) in
            try folder.files.remove(folder.partial)
            try folder.remove(try folder.names().filter { $0.hasSuffix(ShardFolder.partSuffix) })
        }
    }

    /// Checks a completely received snapshot, every block of it that was not here before, and gives it its place
    /// durably. Not for a loop: it waits for the disk.
    ///
    /// - Throws: `.badChunk` when the whole does not add up: what was received is thrown away, and the next `store`
    ///   asks from the beginning.
    package func install(
        _ shard: ShardID,
        _ metadata: SnapshotMetadata
    ) throws(StorageError) -> (state: [UInt8], bodies: BodyManifest) {
        let folder = folder(shard)
        do throws(StorageError) {
            guard let reception = try SnapshotReception.resume(metadata, folder, bodies), reception.isWhole,
                let parts = reception.parts
            else { throw .badChunk(shard: shard, reason: "it is not complete") }
            let state = try complete(folder, metadata)
            var segments: [BodySegment] = []
            for part in parts { segments.append(try check(part, folder)) }
            try place(folder, metadata, parts)
            for segment in segments { bodies.register(segment) }
            return (state, BodyManifest(segments: segments))
        } catch .badChunk(let shard, let reason) {
            try activity(shard).state.withLock { (state) throws(StorageError) in
                state.reception = nil
                try discard(folder)
            }
            throw .badChunk(shard: shard, reason: reason)
        }
    }

    /// Checks the state section and adds its table; durable on return.
    private func complete(_ folder: ShardFolder, _ metadata: SnapshotMetadata) throws(StorageError) -> [UInt8] {
        let outcome = try io { () throws(FileFailure) in
            let file = try File(folder.partial, O_RDWR, calls: folder.files.calls)
            let outcome = try SnapshotFile.read(file, metadata, isComplete: false)
            if case .success(let content) = outcome {
                let manifest = BodyManifestCodec.encode(content.infos)
                let table = SnapshotFile.table(manifest, content.state)
                let end = SnapshotFile.headerBytes + Int(metadata.stateBytes)
                try file.write(table, at: end)
                try file.truncate(to: end + table.count)
                try file.sync()
            }
            return outcome
        }
        switch outcome {
        case .success(let content): return content.state
        case .failure(let fault): throw .badChunk(shard: folder.shard, reason: fault.reason)
        }
    }

    /// One segment, durable but for its name.
    private func check(_ part: SnapshotReception.Part, _ folder: ShardFolder) throws(StorageError) -> BodySegment {
        let path = folder.bodies(part.info.name)
        let source = folder.part(part.info.name)
        do throws(StorageError) {
            if part.isPlaced { return try bodies.segment(folder.shard, part.info, path: path) }
            let segment = try BodySegment.open(folder.shard, part.info, at: source, path: path, files: bodies)
            let file = try io { () throws(FileFailure) in try File(source, O_RDWR, calls: folder.files.calls) }
            for block in segment.index.blocks {
                let bytes = try io { () throws(FileFailure) in try file.read(block.length, at: block.offset) }
                do throws(DecodingError) {
                    _ = try BodyBlock(bytes, block)
                } catch {
                    throw StorageError.badChunk(shard: folder.shard, reason: "a block of message bodies: \(error)")
                }
            }
            try io { () throws(FileFailure) in try file.sync() }
            return segment
        } catch .damagedSnapshot(_, let shard, let reason) {
            throw .badChunk(shard: shard, reason: "a body segment: \(reason)")
        }
    }

    /// Gives the files their names, that of the state last: until then the reception names the others.
    private func place(
        _ folder: ShardFolder,
        _ metadata: SnapshotMetadata,
        _ parts: [SnapshotReception.Part]
    ) throws(StorageError) {
        try activity(folder.shard).state.withLock { (state) throws(StorageError) in
            state.reception = nil
            try io { () throws(FileFailure) in
                for part in parts where !part.isPlaced {
                    try folder.files.rename(folder.part(part.info.name), to: folder.bodies(part.info.name))
                }
                // One sync for all the names: none of them counts before the log's record.
                try folder.files.renameDurably(folder.partial, to: folder.snapshot(metadata))
            }
        }
    }
}
