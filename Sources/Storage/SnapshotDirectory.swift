// SPDX-License-Identifier: Apache-2.0
import Glibc
package import Primitives
package import RaftCore
import Wire

/// The snapshots of all shards on disk: `<shard>/<index>-<term>.snap`, and `receiving.partial` while one arrives.
///
/// Holds no state of its own, so any thread may call it; calls that change the same shard must not overlap.
/// No failure here endangers what is acknowledged: the log still holds it until a snapshot is safely there.
package struct SnapshotDirectory: Sendable {
    private let path: String
    private let files: FileSystem

    package init(_ directory: DataDirectory) {
        path = directory.snapshotPath
        files = directory.files
    }

    // MARK: Own snapshots

    /// Stores a snapshot; durable on return. The one before stays: remove it with `removeOlder` once the log's record
    /// of this one is durable.
    package func write(_ shard: ShardID, _ metadata: SnapshotMetadata, _ bytes: [UInt8]) throws(StorageError) {
        invariant(metadata.size == UInt64(bytes.count), "a snapshot's metadata gives its size")
        try io { () throws(FileFailure) in
            try files.makeDirectories(folder(shard))
            let path = file(shard, metadata)
            let temporary = path + ".tmp"
            do throws(FileFailure) {
                let file = try File(temporary, O_WRONLY | O_CREAT | O_TRUNC, calls: files.calls)
                try file.write(SnapshotFile.header(shard, metadata), at: 0)
                try file.write(bytes, at: SnapshotFile.headerBytes)
                try file.write(SnapshotFile.table(bytes), at: SnapshotFile.headerBytes + bytes.count)
                try file.sync()
            } catch {
                unlink(temporary)
                throw error
            }
            try files.renameDurably(temporary, to: path)
        }
    }

    /// Part of a snapshot for a follower: up to `limit` bytes from `offset`, and their CRC-32C. Empty when the file is
    /// gone, because a newer one took its place, or when `offset` is its end.
    ///
    /// - Throws: `.damagedSnapshot` when the bytes on disk are not those that were written.
    package func readChunk(
        _ shard: ShardID,
        _ metadata: SnapshotMetadata,
        offset: UInt64,
        limit: Int
    ) throws(StorageError) -> (bytes: [UInt8], checksum: UInt32) {
        guard offset < metadata.size, limit > 0 else { return ([], 0) }
        let path = file(shard, metadata)
        let start = Int(offset)
        let end = start + min(limit, Int(metadata.size) - start)
        let firstChunk = start / SnapshotFile.chunkBytes
        let chunkStart = firstChunk * SnapshotFile.chunkBytes
        let chunksEnd = (end + SnapshotFile.chunkBytes - 1) / SnapshotFile.chunkBytes * SnapshotFile.chunkBytes
        let chunkEnd = min(chunksEnd, Int(metadata.size))
        let covering: [UInt8]
        let table: [UInt8]
        do throws(FileFailure) {
            let file = try File(path, O_RDONLY, calls: files.calls)
            covering = try file.read(chunkEnd - chunkStart, at: SnapshotFile.headerBytes + chunkStart)
            table = try file.read(
                SnapshotFile.tableBytes(size: chunkEnd - chunkStart),
                at: SnapshotFile.headerBytes + Int(metadata.size) + 4 * firstChunk
            )
        } catch {
            if error.code == ENOENT { return ([], 0) }
            throw .io(error)
        }
        guard covering.count == chunkEnd - chunkStart, SnapshotFile.table(covering) == table else {
            throw .damagedSnapshot(path: path, shard: shard, reason: "a chunk's checksum")
        }
        let bytes = Array(covering[(start - chunkStart)..<(end - chunkStart)])
        return (bytes, Checksum.crc32c(bytes))
    }

    /// The bytes of this snapshot, checked.
    package func load(_ shard: ShardID, _ metadata: SnapshotMetadata) throws(StorageError) -> [UInt8] {
        let path = file(shard, metadata)
        guard let file = try io({ () throws(FileFailure) in try files.readFile(path) }) else {
            throw .damagedSnapshot(path: path, shard: shard, reason: "the file is missing")
        }
        switch SnapshotFile.parse(file, shard: shard) {
        case .failure(let fault): throw .damagedSnapshot(path: path, shard: shard, reason: fault.reason)
        case .success(let (found, bytes)):
            guard found == metadata else {
                throw .damagedSnapshot(path: path, shard: shard, reason: "it is another snapshot than the log names")
            }
            return bytes
        }
    }

    /// What the readable snapshots of a shard say of themselves, newest first. Headers only are checked.
    package func list(_ shard: ShardID) throws(StorageError) -> [SnapshotMetadata] {
        let found = try io { () throws(FileFailure) -> [SnapshotMetadata] in
            var found: [SnapshotMetadata] = []
            for name in try names(shard) where name.hasSuffix(Self.suffix) {
                let file = try File(folder(shard) + "/" + name, O_RDONLY, calls: files.calls)
                let header = try file.read(SnapshotFile.headerBytes, at: 0)
                if let metadata = SnapshotFile.metadata(header, shard: shard) { found.append(metadata) }
            }
            return found
        }
        return found.sorted { $0.index > $1.index }
    }

    /// Removes snapshots below this one, and half-written and half-received files that it makes useless. Call it once
    /// the log's record of this one is durable.
    package func removeOlder(_ shard: ShardID, than metadata: SnapshotMetadata) throws(StorageError) {
        let kept = name(metadata)
        try io { () throws(FileFailure) in
            for name in try names(shard) where name.hasSuffix(".tmp") || (name.hasSuffix(Self.suffix) && name < kept) {
                try files.removeDurably(folder(shard) + "/" + name)
            }
            if let header = try files.readStart(of: partial(shard), SnapshotFile.headerBytes) {
                let receiving = SnapshotFile.metadata(header, shard: shard)
                if receiving?.index ?? .zero <= metadata.index { try files.removeDurably(partial(shard)) }
            }
        }
    }

    // MARK: Receiving

    /// Adds a chunk of a leader's snapshot to the file it gathers in and returns the offset wanted next. A chunk that
    /// was had before changes nothing; one that leaves a gap is not taken. An empty chunk only asks. The file outlives
    /// a broken connection and a restart; a chunk of another snapshot starts it over.
    package func store(_ shard: ShardID, _ chunk: SnapshotChunk) throws(StorageError) -> UInt64 {
        guard Checksum.crc32c(chunk.bytes) == chunk.checksum else {
            throw .badChunk(shard: shard, reason: "its checksum is wrong")
        }
        guard chunk.offset <= chunk.snapshot.size, UInt64(chunk.bytes.count) <= chunk.snapshot.size - chunk.offset
        else { throw .badChunk(shard: shard, reason: "it reaches past the snapshot's end") }
        return try io { () throws(FileFailure) in
            try files.makeDirectories(folder(shard))
            let file = try File(partial(shard), O_RDWR | O_CREAT, calls: files.calls)
            var held = UInt64(max(0, try file.size() - SnapshotFile.headerBytes))
            if SnapshotFile.metadata(try file.read(SnapshotFile.headerBytes, at: 0), shard: shard) != chunk.snapshot {
                try file.truncate(to: 0)
                try file.write(SnapshotFile.header(shard, chunk.snapshot), at: 0)
                held = 0
            }
            let end = chunk.offset + UInt64(chunk.bytes.count)
            guard chunk.offset <= held, end > held else { return min(held, chunk.snapshot.size) }
            try file.write(chunk.bytes, at: SnapshotFile.headerBytes + Int(chunk.offset))
            return end
        }
    }

    /// Checks a completely received snapshot, gives it its place durably and returns its bytes.
    ///
    /// - Throws: `.badChunk` when the whole does not add up: what was received is thrown away, and the next `store`
    ///   asks from the beginning.
    package func install(_ shard: ShardID, _ metadata: SnapshotMetadata) throws(StorageError) -> [UInt8] {
        let path = partial(shard)
        let received = try io { () throws(FileFailure) in try files.readFile(path) } ?? []
        let size = received.count - SnapshotFile.headerBytes
        guard SnapshotFile.metadata(received, shard: shard) == metadata, UInt64(max(0, size)) == metadata.size,
            Checksum.crc32c(received, from: SnapshotFile.headerBytes, to: received.count) == metadata.checksum
        else {
            try io { () throws(FileFailure) in try files.removeDurably(path) }
            throw .badChunk(shard: shard, reason: "the whole snapshot's checksum is wrong")
        }
        try io { () throws(FileFailure) in
            let file = try File(path, O_RDWR, calls: files.calls)
            try file.write(
                SnapshotFile.table(received, from: SnapshotFile.headerBytes),
                at: received.count
            )
            try file.sync()
            try files.renameDurably(path, to: self.file(shard, metadata))
        }
        return Array(received[SnapshotFile.headerBytes...])
    }

    // MARK: Names

    private static let suffix = ".snap"

    private func folder(_ shard: ShardID) -> String { "\(path)/\(shard.rawValue)" }

    private func partial(_ shard: ShardID) -> String { folder(shard) + "/receiving.partial" }

    private func file(_ shard: ShardID, _ metadata: SnapshotMetadata) -> String {
        folder(shard) + "/" + name(metadata)
    }

    /// Padded, so that names sort by index.
    private func name(_ metadata: SnapshotMetadata) -> String {
        let index = "\(metadata.index)"
        let zeros = String(repeating: "0", count: max(0, 20 - index.utf8.count))
        return "\(zeros)\(index)-\(metadata.term)\(Self.suffix)"
    }

    private func names(_ shard: ShardID) throws(FileFailure) -> [String] {
        do throws(FileFailure) {
            return try files.list(folder(shard))
        } catch {
            if error.code == ENOENT { return [] }
            throw error
        }
    }
}
