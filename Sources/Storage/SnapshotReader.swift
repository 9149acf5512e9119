// SPDX-License-Identifier: Apache-2.0
import Glibc
package import Primitives
package import RaftCore
import Synchronization
import Wire

/// One snapshot as the stream that a follower fetches: state section, then the segment files in order. Its files stay
/// readable when they are removed meanwhile.
final class SnapshotReader: Sendable {
    private let shard: ShardID
    private let metadata: SnapshotMetadata
    private let path: String
    private let state: SharedFile
    private let segments: [BodySegment]
    /// Where in the stream each segment begins, and where the last one ends.
    private let starts: [Int]
    /// A block longer than a chunk is read once only.
    private let lastBlock = Mutex<(block: BodyBlockKey, bytes: [UInt8])?>(nil)

    /// - Throws: `.damagedSnapshot`; `.io`, with ENOENT when the snapshot is gone.
    init(_ directory: SnapshotDirectory, _ shard: ShardID, _ metadata: SnapshotMetadata) throws(StorageError) {
        let folder = directory.folder(shard)
        let path = folder.snapshot(metadata)
        let file = try io { () throws(FileFailure) in try File(path, O_RDONLY, calls: folder.files.calls) }
        let header = try io { () throws(FileFailure) in try file.read(SnapshotFile.headerBytes, at: 0) }
        guard SnapshotFile.metadata(header, shard: shard) == metadata,
            let (infos, _) = try io({ () throws(FileFailure) in try SnapshotFile.readManifest(file, metadata) })
        else { throw .damagedSnapshot(path: path, shard: shard, reason: "its header or list of body segments") }
        self.shard = shard
        self.metadata = metadata
        self.path = path
        segments = try directory.manifest(folder, infos).segments
        starts = segments.reduce(into: [Int(metadata.stateBytes)]) {
            $0.append(($0.last ?? 0) + Int($1.info.fileBytes))
        }
        state = SharedFile(file)
    }

    /// These bytes of the stream, each checked; the range must lie within it.
    func read(_ range: Range<Int>) throws(StorageError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
        let stateEnd = starts.first ?? 0
        if range.lowerBound < stateEnd {
            bytes += try readState(range.lowerBound..<min(range.upperBound, stateEnd))
        }
        for (position, segment) in segments.enumerated()
        where starts[position] < range.upperBound && starts[position + 1] > range.lowerBound {
            let start = starts[position]
            let from = max(range.lowerBound, start) - start
            let to = min(range.upperBound, starts[position + 1]) - start
            try read(segment, from..<to, into: &bytes)
        }
        return bytes
    }

    private func readState(_ range: Range<Int>) throws(StorageError) -> [UInt8] {
        let firstChunk = range.lowerBound / SnapshotFile.chunkBytes
        let start = firstChunk * SnapshotFile.chunkBytes
        let chunks = (range.upperBound - start + SnapshotFile.chunkBytes - 1) / SnapshotFile.chunkBytes
        let stateBytes = Int(metadata.stateBytes)
        let end = min(start + chunks * SnapshotFile.chunkBytes, stateBytes)
        let (covering, table) = try io { () throws(FileFailure) in
            (
                try state.file.read(end - start, at: SnapshotFile.headerBytes + start),
                try state.file.read(
                    SnapshotFile.tableBytes(size: end - start),
                    at: SnapshotFile.headerBytes + stateBytes + 4 * firstChunk
                )
            )
        }
        guard covering.count == end - start, SnapshotFile.table(covering) == table else {
            throw .damagedSnapshot(path: path, shard: shard, reason: "a chunk's checksum")
        }
        return Array(covering[(range.lowerBound - start)..<(range.upperBound - start)])
    }

    /// Header and footer are made anew from what was checked when the segment was opened.
    private func read(_ segment: BodySegment, _ range: Range<Int>, into bytes: inout [UInt8]) throws(StorageError) {
        var at = range.lowerBound
        if at < BodySegmentFormat.headerBytes {
            let end = min(range.upperBound, BodySegmentFormat.headerBytes)
            bytes += BodySegmentFormat.header(shard, segment.info.name)[at..<end]
            at = end
        }
        while at < range.upperBound, let position = segment.index.block(atByte: at) {
            let block = segment.index.blocks[position]
            let end = min(range.upperBound, block.offset + block.length)
            bytes += try raw(segment, position)[(at - block.offset)..<(end - block.offset)]
            at = end
        }
        if at < range.upperBound {
            let tailStart = segment.index.blocksEnd
            bytes += segment.index.tail().bytes[(at - tailStart)..<(range.upperBound - tailStart)]
        }
    }

    private func raw(_ segment: BodySegment, _ position: Int) throws(StorageError) -> [UInt8] {
        let key = BodyBlockKey(segment: segment.info.name, position: position)
        if let last = lastBlock.withLock({ $0 }), last.block == key { return last.bytes }
        let bytes = try segment.readRaw(position)
        lastBlock.withLock { $0 = (key, bytes) }
        return bytes
    }
}

/// The snapshots that followers are fetching.
final class SnapshotReaders: Sendable {
    private struct Entry {
        var shard: ShardID
        var metadata: SnapshotMetadata
        var reader: SnapshotReader
        var lastUse: UInt64
    }

    private let settings: SnapshotSettings
    private let entries = Mutex<[Entry]>([])

    init(_ settings: SnapshotSettings) { self.settings = settings }

    func reader(
        _ shard: ShardID,
        _ metadata: SnapshotMetadata,
        in directory: SnapshotDirectory
    ) throws(StorageError) -> SnapshotReader {
        release()
        let now = settings.clock()
        let found: SnapshotReader? = entries.withLock { entries in
            guard let position = entries.firstIndex(where: { $0.shard == shard && $0.metadata == metadata })
            else { return nil }
            entries[position].lastUse = now
            return entries[position].reader
        }
        if let found { return found }
        let reader = try SnapshotReader(directory, shard, metadata)
        entries.withLock { $0.append(Entry(shard: shard, metadata: metadata, reader: reader, lastUse: now)) }
        return reader
    }

    /// Lets go of those that nobody reads any more.
    func release() {
        let now = settings.clock()
        let released = entries.withLock { entries -> [Entry] in
            var kept: [Entry] = []
            var released: [Entry] = []
            for entry in entries {
                let isSuperseded = entries.contains {
                    $0.shard == entry.shard && $0.metadata.index > entry.metadata.index
                }
                let limit = isSuperseded ? settings.supersededIdleNanoseconds : settings.readerIdleNanoseconds
                if now &- entry.lastUse > limit { released.append(entry) } else { kept.append(entry) }
            }
            entries = kept
            return released
        }
        // Their files close here, outside the lock.
        _ = consume released
    }

    var count: Int { entries.withLock { $0.count } }
}

extension SnapshotDirectory {
    /// Part of a snapshot for a follower: `limit` bytes from `offset`, fewer only at the end, and their CRC-32C. Empty
    /// when `offset` is the end, or when the snapshot is gone because a newer one took its place before the transfer
    /// began; one that has begun goes on.
    ///
    /// - Throws: `.damagedSnapshot` or `.damaged` when the bytes on disk are not those that were written.
    package func readChunk(
        _ shard: ShardID,
        _ metadata: SnapshotMetadata,
        offset: UInt64,
        limit: Int
    ) throws(StorageError) -> (bytes: [UInt8], checksum: UInt32) {
        guard offset < metadata.size, limit > 0 else { return ([], 0) }
        do throws(StorageError) {
            let reader = try readers.reader(shard, metadata, in: self)
            let start = Int(offset)
            let bytes = try reader.read(start..<(start + min(limit, Int(metadata.size) - start)))
            return (bytes, Checksum.crc32c(bytes))
        } catch .io(let failure) where failure.code == ENOENT {
            return ([], 0)
        } catch {
            // Its segments go right after the snapshot itself.
            if case .damagedSnapshot = error, access(folder(shard).snapshot(metadata), F_OK) != 0 { return ([], 0) }
            throw error
        }
    }

    /// Lets go of the files of transfers that have ended or come to rest. Every other call on transfers does it too, so
    /// this is for a timer, lest the last one keep removed files' room.
    package func releaseIdleReaders() { readers.release() }
}
