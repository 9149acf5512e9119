// SPDX-License-Identifier: Apache-2.0
import Primitives
import Synchronization
package import Wire

/// In which life each peer was last met, on disk.
///
/// A peer that comes back with older data, or with none, has forgotten votes it gave and entries it confirmed. Raft
/// counts on its memory, so it must not be let in as if nothing had happened.
package final class PeerMemory: Sendable {
    private static let magic: [UInt8] = Array("SYNCPEER".utf8)
    private static let version: UInt32 = 1
    private static let maxPeers: UInt64 = 1024

    private let path: String
    private let files: FileSystem
    private let known: Mutex<[PeerLife]>

    package var lives: [PeerLife] { known.withLock { $0 } }

    init(path: String, files: FileSystem) throws(StorageError) {
        self.path = path
        self.files = files
        let bytes = try io { () throws(FileFailure) in try files.readFile(path) }
        known = Mutex(try bytes.map { bytes throws(StorageError) in try Self.decode(bytes, path: path) } ?? [])
    }

    /// Durable on return.
    package func note(_ life: PeerLife) throws(StorageError) {
        let lives = lives.filter { $0.node != life.node } + [life]
        let bytes = Self.encode(lives)
        try io { () throws(FileFailure) in try files.replaceFile(path, with: bytes) }
        known.withLock { $0 = lives }
    }

    private static func encode(_ lives: [PeerLife]) -> [UInt8] {
        var writer = ByteWriter(capacity: 64)
        writer.raw(magic)
        writer.u32(version)
        writer.varint(UInt64(lives.count))
        for life in lives {
            writer.u64(life.node.rawValue)
            writer.u64(life.incarnation)
            writer.u64(life.life)
        }
        writer.u32(Checksum.crc32c(writer.bytes))
        return writer.bytes
    }

    private static func decode(_ bytes: [UInt8], path: String) throws(StorageError) -> [PeerLife] {
        guard bytes.count > 4, bytes.starts(with: magic) else {
            throw .damagedIdentity(path: path, reason: "not a file of peers")
        }
        let body = bytes.count - 4
        do throws(DecodingError) {
            var trailer = ByteReader(bytes, from: body, to: bytes.count)
            guard try trailer.u32() == Checksum.crc32c(bytes, from: 0, to: body) else {
                throw DecodingError.invalidValue(what: "checksum")
            }
            var reader = ByteReader(bytes, from: magic.count, to: body)
            let found = try reader.u32()
            guard found <= version else { throw DecodingError.unknownTag(what: "version", value: UInt64(found)) }
            let count = try reader.varint()
            guard count <= maxPeers else { throw DecodingError.invalidValue(what: "peers") }
            var lives: [PeerLife] = []
            for _ in 0..<count {
                lives.append(
                    PeerLife(node: NodeID(try reader.u64()), incarnation: try reader.u64(), life: try reader.u64())
                )
            }
            return lives
        } catch .unknownTag(_, let found) {
            throw .newerFormat(path: path, detail: "format version \(found), this server reads up to \(version)")
        } catch {
            throw .damagedIdentity(path: path, reason: "\(error)")
        }
    }
}
