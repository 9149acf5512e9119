// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Writes blocks, ascending by id, into one segment after the other.
final class BodySegmentWriter {
    private let folder: ShardFolder
    private let files: BodyFiles
    private let settings: SnapshotSettings
    private let newName: () -> BodySegmentName
    private var current: Unfinished?
    /// Blocks in it, in bytes.
    private var currentBytes = 0
    private var finished: [BodySegment] = []

    private struct Unfinished: ~Copyable {
        var name: BodySegmentName
        var file: PacedFile
        var index = BodyIndex()
    }

    /// - Parameter newName: called for each file before it is made.
    init(
        _ folder: ShardFolder,
        _ files: BodyFiles,
        _ settings: SnapshotSettings,
        newName: @escaping () -> BodySegmentName
    ) {
        self.folder = folder
        self.files = files
        self.settings = settings
        self.newName = newName
    }

    func append(_ block: EncodedBodyBlock) throws(StorageError) {
        if currentBytes > 0, currentBytes + block.bytes.count > settings.segmentBytes { try finish() }
        try io { () throws(FileFailure) in
            if current == nil { current = try begin() }
            try current?.file.append(block.bytes)
            current?.index.add(block)
            currentBytes += block.bytes.count
        }
    }

    /// Ends the segment; durable on return, except its name. No-op when there is none.
    func finish() throws(StorageError) {
        guard var ended = current.take() else { return }
        currentBytes = 0
        let (tail, footerChecksum) = ended.index.tail()
        try io { () throws(FileFailure) in
            try ended.file.append(tail)
            try ended.file.finish()
        }
        guard let first = ended.index.blocks.first, let last = ended.index.blocks.last else { return }
        let info = BodySegmentInfo(
            name: ended.name,
            fileBytes: UInt64(ended.file.length),
            firstID: first.firstID,
            lastID: last.lastID,
            messages: ended.index.messages,
            messageBytes: ended.index.messageBytes,
            footerChecksum: footerChecksum
        )
        let path = folder.bodies(ended.name)
        finished.append(BodySegment(folder.shard, info, path: path, index: ended.index, files: files))
    }

    /// The segments that were finished since the last call, in order.
    func takeFinished() -> [BodySegment] {
        defer { finished = [] }
        return finished
    }

    private func begin() throws(FileFailure) -> Unfinished {
        let name = newName()
        var file = try PacedFile(folder.bodies(name), settings, calls: folder.files.calls)
        try file.append(BodySegmentFormat.header(folder.shard, name))
        return Unfinished(name: name, file: file)
    }
}
