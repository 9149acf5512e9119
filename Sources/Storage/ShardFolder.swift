// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import RaftCore

/// The names of one shard's files.
struct ShardFolder: Sendable {
    static let snapshotSuffix = ".snap"
    static let partSuffix = BodySegmentName.suffix + ".part"

    let shard: ShardID
    let path: String
    let files: FileSystem

    /// A snapshot's state.
    func snapshot(_ metadata: SnapshotMetadata) -> String { path + "/" + name(metadata) }

    /// The index is padded, so that names sort by it. The checksum is there because two snapshots of one index, one
    /// taken and one received, may have their bodies in different segments.
    func name(_ metadata: SnapshotMetadata) -> String {
        let index = Self.padded("\(metadata.index)", to: Self.indexDigits)
        let checksum = Self.padded(String(metadata.checksum, radix: 16), to: 8)
        return "\(index)-\(metadata.term)-\(checksum)\(Self.snapshotSuffix)"
    }

    private static let indexDigits = 20

    /// The index in a snapshot's file name; nil for other names.
    static func index(ofName name: String) -> LogIndex? {
        guard name.hasSuffix(snapshotSuffix) else { return nil }
        return UInt64(name.prefix(indexDigits)).map { LogIndex($0) }
    }

    private static func padded(_ text: String, to count: Int) -> String {
        String(repeating: "0", count: max(0, count - text.utf8.count)) + text
    }

    func bodies(_ name: BodySegmentName) -> String { path + "/" + name.fileName }

    /// A state that is being received.
    var partial: String { path + "/receiving.partial" }

    /// A body segment that is being received.
    func part(_ name: BodySegmentName) -> String { bodies(name) + ".part" }

    /// Empty when there is no folder yet.
    func names() throws(FileFailure) -> [String] {
        do throws(FileFailure) {
            return try files.list(path)
        } catch {
            if error.code == ENOENT { return [] }
            throw error
        }
    }

    /// Removes these files durably, in order.
    func remove(_ names: [String]) throws(FileFailure) {
        guard !names.isEmpty else { return }
        for name in names { try files.remove(path + "/" + name) }
        try files.syncDirectory(path)
    }
}
