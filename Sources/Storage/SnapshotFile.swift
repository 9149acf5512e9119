// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import RaftCore
import Wire

/// A snapshot's state on disk: a header block, the state section, then one CRC-32C for each 256 KiB of the section.
///
/// | bytes | field |
/// |---|---|
/// | 0–7 | magic `SYNCSNAP` |
/// | 8–11 | format version |
/// | 12–13 | shard |
/// | 14– | metadata, then zeros |
/// | 4,092–4,095 | CRC-32C of the bytes before |
/// | 4,096– | state section: the manifest of the body segments (`BodyManifestCodec`), the state |
/// | after it | CRC-32C of each chunk |
enum SnapshotFile {
    static let headerBytes = 4096
    static let chunkBytes = 256 << 10
    private static let version: UInt32 = 1
    private static let magic: [UInt8] = Array("SYNCSNAP".utf8)

    struct Fault: Error {
        var reason: String
    }

    /// What a state section holds.
    struct Content {
        var infos: [BodySegmentInfo]
        var state: [UInt8]
    }

    // MARK: Header

    static func header(_ shard: ShardID, _ metadata: SnapshotMetadata) -> [UInt8] {
        var writer = ByteWriter(capacity: headerBytes)
        writer.raw(magic)
        writer.u32(version)
        writer.u16(shard.rawValue)
        metadata.encode(into: &writer)
        invariant(writer.count <= headerBytes - 4, "a snapshot's voters fit its header")
        writer.raw(repeatElement(0, count: headerBytes - 4 - writer.count))
        writer.u32(Checksum.crc32c(writer.bytes))
        return writer.bytes
    }

    /// Nil when the bytes are not a header of this shard that this version can read.
    static func metadata(_ bytes: [UInt8], shard: ShardID) -> SnapshotMetadata? {
        guard bytes.count >= headerBytes else { return nil }
        do throws(DecodingError) {
            var trailer = ByteReader(bytes, from: headerBytes - 4, to: headerBytes)
            guard try trailer.u32() == Checksum.crc32c(bytes, from: 0, to: headerBytes - 4) else { return nil }
            var reader = ByteReader(bytes, from: 0, to: headerBytes - 4)
            guard try reader.raw(magic.count) == magic, try reader.u32() == version,
                try reader.u16() == shard.rawValue
            else { return nil }
            return try SnapshotMetadata(decoding: &reader)
        } catch {
            return nil
        }
    }

    // MARK: Checksums

    static func checksum(_ manifest: [UInt8], _ state: [UInt8]) -> UInt32 {
        Checksum.crc32c(state, seed: Checksum.crc32c(manifest))
    }

    /// One checksum for each chunk of the two arrays, one behind the other.
    static func table(_ manifest: [UInt8], _ state: [UInt8] = []) -> [UInt8] {
        var writer = ByteWriter(capacity: tableBytes(size: manifest.count + state.count))
        var checksum: UInt32 = 0
        var filled = 0
        for part in [manifest, state] {
            var start = 0
            while start < part.count {
                let end = min(part.count, start + chunkBytes - filled)
                checksum = Checksum.crc32c(part, from: start, to: end, seed: checksum)
                filled += end - start
                start = end
                if filled == chunkBytes {
                    writer.u32(checksum)
                    (checksum, filled) = (0, 0)
                }
            }
        }
        if filled > 0 { writer.u32(checksum) }
        return writer.bytes
    }

    static func tableBytes(size: Int) -> Int { (size + chunkBytes - 1) / chunkBytes * 4 }

    /// Length of the whole file; nil when the metadata names more than a file can hold.
    static func fileBytes(_ metadata: SnapshotMetadata) -> Int? {
        guard metadata.stateBytes < 1 << 48 else { return nil }
        let stateBytes = Int(metadata.stateBytes)
        return headerBytes + stateBytes + tableBytes(size: stateBytes)
    }

    // MARK: Reading

    /// The body segments that the state section in this file begins with, whether or not all of it is there; nil when
    /// they cannot be read or do not make up the stream that the metadata tells of.
    static func readManifest(_ file: borrowing File, _ metadata: SnapshotMetadata) throws(FileFailure)
        -> (infos: [BodySegmentInfo], bytes: [UInt8])?
    {
        guard fileBytes(metadata) != nil else { return nil }
        let stateBytes = Int(metadata.stateBytes)
        let prefix = try file.read(BodyManifestCodec.lengthBytes, at: headerBytes)
        var reader = ByteReader(prefix)
        guard let length = try? reader.u32(),
            Int(length) <= min(try file.size() - headerBytes, stateBytes) - prefix.count
        else { return nil }
        let manifest = try file.read(Int(length), at: headerBytes + prefix.count)
        guard let infos = try? BodyManifestCodec.decode(manifest) else { return nil }
        var total = metadata.stateBytes
        for info in infos {
            let (sum, overflow) = total.addingReportingOverflow(info.fileBytes)
            guard !overflow, sum <= metadata.size else { return nil }
            total = sum
        }
        return total == metadata.size ? (infos, prefix + manifest) : nil
    }

    /// The state section, checked, without ever holding it twice.
    ///
    /// - Parameter isComplete: the table is there and must be right.
    static func read(
        _ file: borrowing File,
        _ metadata: SnapshotMetadata,
        isComplete: Bool
    ) throws(FileFailure) -> Result<Content, Fault> {
        let size = try file.size()
        guard let expected = fileBytes(metadata), isComplete ? size == expected : size <= expected,
            size >= headerBytes + Int(metadata.stateBytes)
        else { return .failure(Fault(reason: "\(size) bytes are not its length")) }
        guard let (infos, manifest) = try readManifest(file, metadata) else {
            return .failure(Fault(reason: "its list of body segments"))
        }
        let stateStart = headerBytes + manifest.count
        let stateEnd = headerBytes + Int(metadata.stateBytes)
        let state = try file.read(stateEnd - stateStart, at: stateStart)
        guard checksum(manifest, state) == metadata.checksum else { return .failure(Fault(reason: "its checksum")) }
        if isComplete, try file.read(expected - stateEnd, at: stateEnd) != table(manifest, state) {
            return .failure(Fault(reason: "its chunks' checksums"))
        }
        return .success(Content(infos: infos, state: state))
    }

    // MARK: Writing

    /// Makes the file under a name that is not its own yet; durable on return, except that name.
    static func write(
        _ path: String,
        _ shard: ShardID,
        _ metadata: SnapshotMetadata,
        manifest: [UInt8],
        state: [UInt8],
        settings: SnapshotSettings,
        calls: FileSystemCalls
    ) throws(FileFailure) {
        var file = try PacedFile(path, settings, calls: calls)
        try file.append(header(shard, metadata))
        try file.append(manifest)
        try file.append(state)
        try file.append(table(manifest, state))
        try file.finish()
    }
}
