// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import RaftCore
import Wire

/// A snapshot on disk: a header block, the bytes, then one CRC-32C for each 256 KiB of them.
///
/// | bytes | field |
/// |---|---|
/// | 0–7 | magic `SYNCSNAP` |
/// | 8–11 | format version |
/// | 12–13 | shard |
/// | 14– | metadata, then zeros |
/// | 4,092–4,095 | CRC-32C of the bytes before |
/// | 4,096– | the snapshot's bytes |
/// | after them | CRC-32C of each chunk |
enum SnapshotFile {
    static let headerBytes = 4096
    static let chunkBytes = 256 << 10
    private static let version: UInt32 = 1
    private static let magic: [UInt8] = Array("SYNCSNAP".utf8)

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

    /// One checksum for each chunk of `bytes[start...]`.
    static func table(_ bytes: [UInt8], from start: Int = 0) -> [UInt8] {
        var writer = ByteWriter(capacity: (bytes.count - start) / chunkBytes * 4 + 4)
        var at = start
        while at < bytes.count {
            let end = min(at + chunkBytes, bytes.count)
            writer.u32(Checksum.crc32c(bytes, from: at, to: end))
            at = end
        }
        return writer.bytes
    }

    static func tableBytes(size: Int) -> Int { (size + chunkBytes - 1) / chunkBytes * 4 }

    /// The whole file, checked; or what is wrong with it.
    static func parse(_ file: [UInt8], shard: ShardID) -> Result<(SnapshotMetadata, [UInt8]), Fault> {
        guard let metadata = metadata(file, shard: shard) else { return .failure(Fault(reason: "its header")) }
        let size = file.count - headerBytes
        guard metadata.size <= UInt64(size), size - Int(metadata.size) == tableBytes(size: Int(metadata.size)) else {
            return .failure(Fault(reason: "\(file.count) bytes are not its length"))
        }
        let end = headerBytes + Int(metadata.size)
        let bytes = Array(file[headerBytes..<end])
        guard Checksum.crc32c(bytes) == metadata.checksum else { return .failure(Fault(reason: "its checksum")) }
        guard table(bytes).elementsEqual(file[end...]) else { return .failure(Fault(reason: "its chunks' checksums")) }
        return .success((metadata, bytes))
    }

    struct Fault: Error {
        var reason: String
    }
}
