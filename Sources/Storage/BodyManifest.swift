// SPDX-License-Identifier: Apache-2.0
import Primitives
import Synchronization

/// Unique over all nodes and all time: the file is never changed, so equal names mean equal bytes.
package struct BodySegmentName: Hashable, Sendable {
    /// The node that wrote it.
    package var node: UInt64
    /// `NodeIdentity.life` of the process that wrote it.
    package var life: UInt64
    /// Counts the segments of that life.
    package var number: UInt64

    static let suffix = ".bodies"

    var fileName: String { "\(Self.hex(node))-\(Self.hex(life))-\(number)\(Self.suffix)" }

    private static func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}

/// Gives out the names of one life of a node.
final class BodySegmentNames: Sendable {
    private let node: UInt64
    private let life: UInt64
    private let last = Atomic<UInt64>(0)

    init(node: UInt64, life: UInt64) {
        self.node = node
        self.life = life
    }

    func next() -> BodySegmentName {
        BodySegmentName(node: node, life: life, number: last.wrappingAdd(1, ordering: .relaxed).newValue)
    }
}

/// What a snapshot says of one of its body segments.
package struct BodySegmentInfo: Equatable, Sendable {
    package var name: BodySegmentName
    /// Length of the file.
    package var fileBytes: UInt64
    package var firstID: UInt64
    package var lastID: UInt64
    /// Bodies in it; more than are live, once some were acknowledged.
    package var messages: UInt64
    /// Length of these bodies.
    package var messageBytes: UInt64
    /// CRC-32C of the footer, which holds those of the blocks.
    package var footerChecksum: UInt32
}

/// The body segments of one snapshot of one shard, ascending and disjoint by message id.
///
/// Holding a manifest keeps its segments readable, even when their files are removed meanwhile.
package struct BodyManifest: Sendable {
    package let segments: [BodySegment]

    package static let empty = BodyManifest(segments: [])

    init(segments: [BodySegment]) { self.segments = segments }

    package var infos: [BodySegmentInfo] { segments.map(\.info) }
    package var fileBytes: UInt64 { segments.reduce(0) { $0 + $1.info.fileBytes } }
    /// The greatest id in any segment; nil when there is none.
    package var lastID: UInt64? { segments.last?.info.lastID }
}

/// How a snapshot's state section begins: `length u32`, then that many bytes of
/// `version u8 · count varint · segments`. The state follows.
enum BodyManifestCodec {
    /// Bytes before the manifest.
    static let lengthBytes = 4
    private static let version: UInt8 = 1
    /// Sizes and counts stay below this, so that sums of them cannot overflow.
    private static let limit: UInt64 = 1 << 48

    /// With its length in front.
    static func encode(_ infos: [BodySegmentInfo]) -> [UInt8] {
        var writer = ByteWriter(capacity: 16 + 80 * infos.count)
        writer.u32(0)
        writer.u8(version)
        writer.varint(UInt64(infos.count))
        for info in infos {
            writer.u64(info.name.node)
            writer.u64(info.name.life)
            writer.varint(info.name.number)
            writer.varint(info.fileBytes)
            writer.varint(info.firstID)
            writer.varint(info.lastID)
            writer.varint(info.messages)
            writer.varint(info.messageBytes)
            writer.u32(info.footerChecksum)
        }
        writer.patch32(UInt32(writer.count - lengthBytes), at: 0)
        return writer.bytes
    }

    /// Takes the bytes after the length.
    static func decode(_ bytes: [UInt8]) throws(DecodingError) -> [BodySegmentInfo] {
        var reader = ByteReader(bytes)
        try reader.version(Self.version, "manifest")
        let count = try reader.count(limit: reader.remaining, "body segments")
        var infos: [BodySegmentInfo] = []
        for _ in 0..<count {
            let info = try decodeInfo(&reader)
            if let last = infos.last, last.lastID >= info.firstID { throw .invalidValue(what: "body segment order") }
            infos.append(info)
        }
        try reader.expectEnd()
        return infos
    }

    private static func decodeInfo(_ reader: inout ByteReader) throws(DecodingError) -> BodySegmentInfo {
        let name = BodySegmentName(node: try reader.u64(), life: try reader.u64(), number: try reader.varint())
        let info = BodySegmentInfo(
            name: name,
            fileBytes: try reader.varint(),
            firstID: try reader.varint(),
            lastID: try reader.varint(),
            messages: try reader.varint(),
            messageBytes: try reader.varint(),
            footerChecksum: try reader.u32()
        )
        guard info.fileBytes < limit, info.messages < limit, info.messageBytes < limit, info.messages > 0,
            info.firstID <= info.lastID
        else { throw .invalidValue(what: "body segment") }
        return info
    }
}
