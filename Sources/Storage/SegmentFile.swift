// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import Wire

/// Where writing goes on.
struct LogPosition: ~Copyable {
    var file: File
    var header: SegmentHeader
    /// Bytes of the file; the segment ends there.
    var capacity: Int
    var offset: Int
    var nextSequence: UInt64
}

/// Names of segment files, and the step that makes a prepared file part of the log.
enum SegmentFile {
    private static let suffix = ".log"
    private static let digits = 16

    static func path(_ number: UInt64, in directory: DataDirectory) -> String {
        directory.logPath + "/" + name(number)
    }

    static func name(_ number: UInt64) -> String {
        let text = "\(number)"
        return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text + suffix
    }

    /// Nil for a file that is not a segment.
    static func number(ofName name: String) -> UInt64? {
        guard name.utf8.count == digits + suffix.utf8.count, name.hasSuffix(suffix) else { return nil }
        return UInt64(name.dropLast(suffix.utf8.count))
    }

    /// Writes the header and checkpoint, and only when they are durable gives the file its name: a segment that has
    /// its name is complete up to its first batch, and everything in the segments before it is durable.
    static func activate(
        _ prepared: (path: String, bytes: Int),
        number: UInt64,
        firstSequence: UInt64,
        checkpoint: LogRecord,
        in directory: DataDirectory
    ) throws(FileFailure) -> LogPosition {
        let identity = directory.identity
        let header = SegmentHeader(
            number: number,
            firstSequence: firstSequence,
            node: identity.node,
            clusterID: identity.clusterID,
            salt: randomBytes(8).reduce(0) { $0 << 8 | UInt64($1) }
        )
        var writer = ByteWriter(capacity: 4096)
        writer.raw(header.encoded())
        do throws(WireError) {
            try LogRecordFramer(header).append(checkpoint, sequence: firstSequence, placeInBatch: 0, to: &writer)
        } catch {
            invariantFailure("a checkpoint of at most 65,536 shards fits a record: \(error)")
        }
        var file = try File(prepared.path, O_RDWR, calls: directory.files.calls)
        try file.write(writer.bytes, at: 0)
        try file.syncData()
        try file.renameDurably(to: path(number, in: directory))
        return LogPosition(
            file: file,
            header: header,
            capacity: prepared.bytes,
            offset: writer.count,
            nextSequence: firstSequence + 1
        )
    }
}

extension LogSegmentReader {
    /// A segment that this node wrote, under its own name.
    init(
        _ bytes: [UInt8],
        _ kind: SegmentKind,
        of path: String,
        _ number: UInt64,
        _ directory: DataDirectory
    ) throws(StorageError) {
        do throws(WireError) {
            try self.init(bytes, kind: kind)
        } catch .newerFormat(let what, let version, let supported) {
            throw .newerFormat(
                path: path,
                detail: "\(what) format \(version), this server reads up to \(supported)"
            )
        } catch {
            throw .damaged(path: path, offset: 0, reason: "\(error)")
        }
        let identity = directory.identity
        guard header.clusterID == identity.clusterID, header.node == identity.node else {
            throw .damaged(path: path, offset: 0, reason: "this segment was written by another node or cluster")
        }
        guard header.number == number else {
            throw .damaged(path: path, offset: 0, reason: "this is segment \(header.number) under a false name")
        }
    }
}
