// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import Synchronization

/// A finished body segment, its footer in memory. Readable for as long as somebody holds it.
package final class BodySegment: Sendable {
    package let info: BodySegmentInfo
    let shard: ShardID
    let path: String
    let index: BodyIndex
    private let files: BodyFiles
    /// Set when the file loses its name.
    private let pinned = Mutex<SharedFile?>(nil)

    init(_ shard: ShardID, _ info: BodySegmentInfo, path: String, index: BodyIndex, files: BodyFiles) {
        self.shard = shard
        self.info = info
        self.path = path
        self.index = index
        self.files = files
    }

    deinit { files.forget(ObjectIdentifier(self)) }

    /// Reads a segment's footer; the blocks are checked when they are read.
    ///
    /// - Parameters:
    ///   - source: the file as it is named now.
    ///   - path: its name from now on.
    /// - Throws: `.damagedSnapshot` when the file is missing or not the one that `info` describes.
    static func open(
        _ shard: ShardID,
        _ info: BodySegmentInfo,
        at source: String,
        path: String,
        files: BodyFiles
    ) throws(StorageError) -> BodySegment {
        let size: Int
        let header: [UInt8]
        var footer: [UInt8] = []
        var place: (offset: UInt64, length: UInt32)?
        do throws(FileFailure) {
            let file = try File(source, O_RDONLY, calls: files.files.calls)
            size = try file.size()
            header = try file.read(BodySegmentFormat.headerBytes, at: 0)
            let trailerStart = size - BodySegmentFormat.trailerBytes
            if UInt64(size) == info.fileBytes, trailerStart > 0 {
                place = BodySegmentFormat.footer(of: try file.read(BodySegmentFormat.trailerBytes, at: trailerStart))
            }
            if let place, place.offset <= UInt64(trailerStart),
                UInt64(place.length) == UInt64(trailerStart) - place.offset
            {
                footer = try file.read(Int(place.length), at: Int(place.offset))
            }
        } catch {
            guard error.code == ENOENT else { throw .io(error) }
            throw .damagedSnapshot(path: source, shard: shard, reason: "this body segment is missing")
        }
        guard UInt64(size) == info.fileBytes else {
            throw .damagedSnapshot(path: source, shard: shard, reason: "\(size) bytes are not its length")
        }
        guard header == BodySegmentFormat.header(shard, info.name) else {
            throw .damagedSnapshot(path: source, shard: shard, reason: "its header")
        }
        guard let place, !footer.isEmpty else {
            throw .damagedSnapshot(path: source, shard: shard, reason: "its last bytes")
        }
        let index: BodyIndex
        do throws(DecodingError) {
            index = try BodyIndex(footer: footer, at: Int(place.offset))
        } catch {
            throw .damagedSnapshot(path: source, shard: shard, reason: "its footer: \(error)")
        }
        let segment = BodySegment(shard, info, path: path, index: index, files: files)
        guard segment.matchesInfo else {
            throw .damagedSnapshot(path: source, shard: shard, reason: "it is another segment than the manifest names")
        }
        return segment
    }

    private var matchesInfo: Bool {
        index.tail().footerChecksum == info.footerChecksum && index.messages == info.messages
            && index.messageBytes == info.messageBytes && index.blocks.first?.firstID == info.firstID
            && index.blocks.last?.lastID == info.lastID
    }

    // MARK: Reading

    /// - Throws: `.damaged` when the bytes on disk are not those that were written.
    func readBlock(_ position: Int) throws(StorageError) -> BodyBlock {
        let bytes = try read(position)
        do throws(DecodingError) {
            return try BodyBlock(bytes, index.blocks[position])
        } catch {
            throw damage(position, error)
        }
    }

    /// A block's bytes, their checksum checked.
    func readRaw(_ position: Int) throws(StorageError) -> [UInt8] {
        let bytes = try read(position)
        do throws(DecodingError) {
            try BodyBlock.check(bytes, index.blocks[position])
        } catch {
            throw damage(position, error)
        }
        return bytes
    }

    private func read(_ position: Int) throws(StorageError) -> [UInt8] {
        let block = index.blocks[position]
        return try io { () throws(FileFailure) in try openFile().file.read(block.length, at: block.offset) }
    }

    private func damage(_ position: Int, _ error: DecodingError) -> StorageError {
        .damaged(path: path, offset: index.blocks[position].offset, reason: "a block of message bodies: \(error)")
    }

    // MARK: Files

    private func openFile() throws(FileFailure) -> SharedFile {
        if let file = pinned.withLock({ $0 }) { return file }
        do throws(FileFailure) {
            return try files.openFile(ObjectIdentifier(self), path)
        } catch {
            // Pinned and removed since it was looked for above.
            if error.code == ENOENT, let file = pinned.withLock({ $0 }) { return file }
            throw error
        }
    }

    /// Keeps the file open until this object goes. To be called before the file is removed.
    func pin() throws(FileFailure) {
        let file = try openFile()
        pinned.withLock { $0 = file }
        files.forget(ObjectIdentifier(self))
    }
}

/// An open file that several hold; closed when the last lets go.
final class SharedFile: Sendable {
    let file: File

    init(_ file: consuming File) { self.file = file }
}

/// The segments that somebody holds, one object each, and a bounded number of their files kept open.
final class BodyFiles: Sendable {
    private struct Key: Hashable {
        var shard: ShardID
        var fileName: String
    }

    private struct Known {
        weak var segment: BodySegment?
    }

    let files: FileSystem
    private let limit: Int
    private let known = Mutex<[Key: Known]>([:])
    /// The most recently used last.
    private let open = Mutex<[(owner: ObjectIdentifier, file: SharedFile)]>([])

    init(_ files: FileSystem, limit: Int) {
        self.files = files
        self.limit = max(1, limit)
    }

    /// The segment that `info` describes, from memory or from `path`.
    func segment(_ shard: ShardID, _ info: BodySegmentInfo, path: String) throws(StorageError) -> BodySegment {
        let key = Key(shard: shard, fileName: info.name.fileName)
        if let found = known.withLock({ $0[key]?.segment }), found.info == info { return found }
        let segment = try BodySegment.open(shard, info, at: path, path: path, files: self)
        register(segment)
        return segment
    }

    func register(_ segment: BodySegment) {
        let key = Key(shard: segment.shard, fileName: segment.info.name.fileName)
        known.withLock { known in
            known[key] = Known(segment: segment)
            // Twice the living is the most it holds.
            if known.count > 64, known.count & (known.count - 1) == 0 {
                known = known.filter { $0.value.segment != nil }
            }
        }
    }

    /// To be called before this segment's file is removed: whoever holds it can go on reading it, and nobody finds it
    /// here any more.
    func pin(_ shard: ShardID, fileName: String) throws(FileFailure) {
        let key = Key(shard: shard, fileName: fileName)
        try known.withLock({ $0.removeValue(forKey: key)?.segment })?.pin()
    }

    func openFile(_ owner: ObjectIdentifier, _ path: String) throws(FileFailure) -> SharedFile {
        let found: SharedFile? = open.withLock { open in
            guard let position = open.lastIndex(where: { $0.owner == owner }) else { return nil }
            let entry = open.remove(at: position)
            open.append(entry)
            return entry.file
        }
        if let found { return found }
        let file = SharedFile(try File(path, O_RDONLY, calls: files.calls))
        open.withLock { open in
            if open.count >= limit { open.removeFirst() }
            open.append((owner, file))
        }
        return file
    }

    func forget(_ owner: ObjectIdentifier) {
        open.withLock { $0.removeAll { $0.owner == owner } }
    }
}
