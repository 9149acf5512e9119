// SPDX-License-Identifier: Apache-2.0
package import Primitives
package import Wire

/// Whose data a directory holds.
package struct NodeIdentity: Equatable, Sendable {
    /// Sixteen bytes.
    package var clusterID: [UInt8]
    package var nodeName: String
    package var shardCount: UInt32
    /// Opens of this directory so far: tells one life of the node from the next.
    package var incarnation: UInt64
    /// Drawn at each open.
    package var life: UInt64
    /// Who holds the shards: cannot be changed by a setting.
    package var agreement: Agreement
    /// Set once the first log segment was made: from then on a missing log is an error, not a new node.
    var hasLog: Bool

    package var node: NodeID { NodeID(name: nodeName) }
}

extension NodeIdentity {
    private static let magic: [UInt8] = Array("SYNCNODE".utf8)
    private static let version: UInt32 = 1
    private static let maxMembers: UInt64 = 1024
    private static let maxQuotas: UInt64 = 64

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 128)
        writer.raw(Self.magic)
        writer.u32(Self.version)
        writer.raw(clusterID)
        writer.text(nodeName)
        writer.u32(shardCount)
        writer.u64(incarnation)
        writer.u64(life)
        writer.varint(UInt64(agreement.names.count))
        for name in agreement.names { writer.text(name) }
        writer.u32(agreement.copies)
        writer.varint(UInt64(agreement.quotas.count))
        for quota in agreement.quotas { writer.u64(quota) }
        writer.bool(hasLog)
        writer.u32(Checksum.crc32c(writer.bytes))
        return writer.bytes
    }

    init(decoding bytes: [UInt8], path: String) throws(StorageError) {
        guard bytes.count > 4, bytes.starts(with: Self.magic) else {
            throw .damagedIdentity(path: path, reason: "not an identity file")
        }
        let body = bytes.count - 4
        do throws(DecodingError) {
            var trailer = ByteReader(bytes, from: body, to: bytes.count)
            guard try trailer.u32() == Checksum.crc32c(bytes, from: 0, to: body) else {
                throw DecodingError.invalidValue(what: "checksum")
            }
            var reader = ByteReader(bytes, from: Self.magic.count, to: body)
            let version = try reader.u32()
            guard version <= Self.version else {
                throw DecodingError.unknownTag(what: "version", value: UInt64(version))
            }
            clusterID = try reader.raw(16)
            nodeName = try reader.text(limit: 255, "node name")
            shardCount = try reader.u32()
            incarnation = try reader.u64()
            life = try reader.u64()
            let count = try reader.varint()
            guard count <= Self.maxMembers else { throw DecodingError.invalidValue(what: "members") }
            var names: [String] = []
            for _ in 0..<count { names.append(try reader.text(limit: 255, "member")) }
            let copies = try reader.u32()
            let quotaCount = try reader.varint()
            guard quotaCount <= Self.maxQuotas else { throw DecodingError.invalidValue(what: "quotas") }
            var quotas: [UInt64] = []
            for _ in 0..<quotaCount { quotas.append(try reader.u64()) }
            agreement = Agreement(names: names, copies: copies, quotas: quotas)
            hasLog = try reader.bool()
        } catch .unknownTag(_, let version) {
            throw .newerFormat(path: path, detail: "format version \(version), this server reads up to \(Self.version)")
        } catch {
            throw .damagedIdentity(path: path, reason: "\(error)")
        }
    }
}

extension NodeIdentity {
    /// The cluster id in hexadecimal.
    package var clusterText: String { Self.hex(clusterID) }

    static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
