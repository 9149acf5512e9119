// SPDX-License-Identifier: Apache-2.0
package import CacheCore
package import Primitives

/// What a node asks of a shard's cache beside the protocol itself.
package enum CacheInquiry: Sendable, Equatable {
    /// To the system shard: prolong this member's lease, or take it in.
    case lease(CacheMember)
    /// To the system shard: a member that renews its lease and does not answer a home.
    case accuse(CacheMember)
    /// Keys of the shard, those that have lapsed included until they are removed.
    case count
    /// - Parameter cursor: zero begins; below two to the power of `cursorBits`.
    case scan(cursor: UInt64, count: UInt32)
    /// FLUSHALL, for this shard.
    case removeAll
    /// Answered once the memory (Redis) has this version of the key, or a later one.
    case stored(CacheKey, CacheVersion)

    /// Cursors from here on walk the memory, with Redis as memory.
    package static let memoryCursor: UInt64 = 1 << UInt64(CacheStore.cursorBits)
    /// All cursors are below two to this.
    package static let cursorBits = CacheStore.cursorBits + 1
    package static let maxScanCount: UInt32 = 10_000

    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .lease(let member):
            writer.u8(1)
            member.encode(into: &writer)
        case .accuse(let member):
            writer.u8(2)
            member.encode(into: &writer)
        case .count: writer.u8(3)
        case .scan(let cursor, let count):
            writer.u8(4)
            writer.varint(cursor)
            writer.u32(count)
        case .removeAll: writer.u8(5)
        case .stored(let key, let version):
            writer.u8(6)
            writer.blob(key.bytes)
            version.encode(into: &writer)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        switch try reader.u8() {
        case 1: self = .lease(try CacheMember(decoding: &reader))
        case 2: self = .accuse(try CacheMember(decoding: &reader))
        case 3: self = .count
        case 4:
            let cursor = try reader.varint()
            let count = try reader.u32()
            guard count <= Self.maxScanCount else { throw .limitExceeded(what: "scanned keys") }
            self = .scan(cursor: cursor, count: count)
        case 5: self = .removeAll
        case 6:
            self = .stored(
                CacheKey(try reader.blob(limit: CacheLimits.keyBytes, "key")),
                try CacheVersion(decoding: &reader)
            )
        case let tag: throw .unknownTag(what: "cache inquiry", value: UInt64(tag))
        }
    }
}

package enum CacheInformation: Sendable, Equatable {
    /// To `lease`. Not granted: ask again, as the member that the node is by then.
    case lease(isGranted: Bool, CacheView)
    case count(UInt64)
    case page([CacheKey], next: UInt64)
    case done

    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .lease(let isGranted, let view):
            writer.u8(1)
            writer.bool(isGranted)
            view.encode(into: &writer)
        case .count(let count):
            writer.u8(2)
            writer.varint(count)
        case .page(let keys, let next):
            writer.u8(3)
            writer.varint(UInt64(keys.count))
            for key in keys { writer.blob(key.bytes) }
            writer.varint(next)
        case .done: writer.u8(4)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        switch try reader.u8() {
        case 1: self = .lease(isGranted: try reader.bool(), try CacheView(decoding: &reader))
        case 2: self = .count(try reader.varint())
        case 3:
            var keys: [CacheKey] = []
            for _ in 0..<(try reader.count(limit: reader.remaining, "keys")) {
                keys.append(CacheKey(try reader.blob(limit: CacheLimits.keyBytes, "key")))
            }
            self = .page(keys, next: try reader.varint())
        case 4: self = .done
        case let tag: throw .unknownTag(what: "cache information", value: UInt64(tag))
        }
    }
}

extension LineInspection {
    package func encode(into writer: inout ByteWriter) {
        writer.u8(state.rawValue)
        writer.bool(version != nil)
        version?.encode(into: &writer)
        writer.varint(leaseRemaining.map { $0 &+ 1 } ?? 0)
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let raw = try reader.u8()
        guard let state = LineState(rawValue: raw) else { throw .unknownTag(what: "line state", value: UInt64(raw)) }
        let version = try reader.bool() ? try CacheVersion(decoding: &reader) : nil
        let left = try reader.varint()
        self.init(state: state, version: version, leaseRemaining: left == 0 ? nil : left - 1)
    }
}
