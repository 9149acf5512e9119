// SPDX-License-Identifier: Apache-2.0
package import Primitives

extension LineData {
    package func encode(into writer: inout ByteWriter) {
        writer.optionalBlob(value)
        version.encode(into: &writer)
        writer.varint(remaining.map { $0 &+ 1 } ?? 0)
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        value = try reader.optionalCacheValue()
        version = try CacheVersion(decoding: &reader)
        let raw = try reader.varint()
        remaining = raw == 0 ? nil : raw - 1
    }
}

extension ByteWriter {
    fileprivate mutating func optional(_ data: LineData?) {
        bool(data != nil)
        data?.encode(into: &self)
    }

    fileprivate mutating func grant(_ grant: LineGrant) {
        varint(grant.gid)
        u8(grant.state.rawValue | (grant.isSilent ? 0x10 : 0))
    }
}

extension ByteReader {
    fileprivate mutating func optionalData() throws(DecodingError) -> LineData? {
        try bool() ? try LineData(decoding: &self) : nil
    }

    fileprivate mutating func grant() throws(DecodingError) -> LineGrant {
        let gid = try varint()
        let raw = try u8()
        guard raw & 0xe0 == 0, let state = LineState(rawValue: raw & 0x0f) else {
            throw .unknownTag(what: "line state", value: UInt64(raw))
        }
        return LineGrant(gid: gid, state: state, isSilent: raw & 0x10 != 0)
    }
}

extension CacheWrite {
    package func encode(into writer: inout ByteWriter) {
        writer.u64(id.origin)
        writer.varint(id.number)
        writer.varint(floor)
        writer.earlier(earlier)
        operation.encode(into: &writer)
        writer.u8(durability.rawValue)
        writer.u8(held.rawValue)
        writer.varint(gid)
        writer.optional(data)
        writer.varint(token)
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        id = RequestID(origin: try reader.u64(), number: try reader.varint())
        floor = try reader.varint()
        earlier = try reader.earlierOperations()
        operation = try CacheOperation(decoding: &reader)
        durability = try reader.durability()
        let raw = try reader.u8()
        guard let held = HeldLine(rawValue: raw) else { throw .unknownTag(what: "held line", value: UInt64(raw)) }
        self.held = held
        gid = try reader.varint()
        data = try reader.optionalData()
        token = try reader.token(after: earlier)
    }
}

extension ByteReader {
    mutating func durability() throws(DecodingError) -> CacheDurability {
        let raw = try u8()
        guard let mode = CacheDurability(rawValue: raw) else {
            throw .unknownTag(what: "durability", value: UInt64(raw))
        }
        return mode
    }
}

extension HomeRequest {
    /// Hints that travel in one message.
    package static let maxHints = 1_024

    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .read(let key, let number):
            writer.u8(1)
            writer.blob(key.bytes)
            writer.varint(number)
        case .write(let key, let write):
            writer.u8(2)
            writer.blob(key.bytes)
            write.encode(into: &writer)
        case .hints(let hints):
            writer.u8(3)
            writer.varint(UInt64(hints.count))
            for (key, gid) in hints {
                writer.blob(key.bytes)
                writer.varint(gid)
            }
        case .put(let key, let gid, let reason, let data):
            writer.u8(4)
            writer.blob(key.bytes)
            writer.varint(gid)
            writer.u8(reason.rawValue)
            data.encode(into: &writer)
        case .ack(let key, let gid, let data, let isKept):
            writer.u8(5)
            writer.blob(key.bytes)
            writer.varint(gid)
            writer.optional(data)
            writer.bool(isKept)
        case .synchronised(let view):
            writer.u8(6)
            view.encode(into: &writer)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        switch try reader.u8() {
        case 1: self = .read(try reader.cacheKey(), number: try reader.varint())
        case 2: self = .write(try reader.cacheKey(), try CacheWrite(decoding: &reader))
        case 3:
            var hints: [(CacheKey, UInt64)] = []
            for _ in 0..<(try reader.count(limit: Self.maxHints, "hints")) {
                hints.append((try reader.cacheKey(), try reader.varint()))
            }
            self = .hints(hints)
        case 4:
            let key = try reader.cacheKey()
            let gid = try reader.varint()
            let raw = try reader.u8()
            guard let reason = PutReason(rawValue: raw) else {
                throw .unknownTag(what: "put reason", value: UInt64(raw))
            }
            self = .put(key, gid: gid, reason, try LineData(decoding: &reader))
        case 5:
            self = .ack(
                try reader.cacheKey(),
                gid: try reader.varint(),
                data: try reader.optionalData(),
                isKept: try reader.bool()
            )
        case 6: self = .synchronised(view: try CacheView(decoding: &reader))
        case let tag: throw .unknownTag(what: "cache request", value: UInt64(tag))
        }
    }
}

extension CacheNotice {
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .data(let key, let number, let grant, let data):
            writer.u8(1)
            writer.blob(key.bytes)
            writer.varint(number)
            writer.grant(grant)
            data.encode(into: &writer)
        case .written(let key, let number, let grant, let answer, let version, let earlier, let data):
            writer.u8(2)
            writer.blob(key.bytes)
            writer.varint(number)
            writer.grant(grant)
            answer.encode(into: &writer)
            version.encode(into: &writer)
            writer.earlier(earlier)
            writer.optional(data)
        case .invalidate(let key, let gid):
            writer.u8(3)
            writer.blob(key.bytes)
            writer.varint(gid)
        case .recall(let key, let gid, let toShared, let version):
            writer.u8(4)
            writer.blob(key.bytes)
            writer.varint(gid)
            writer.bool(toShared)
            version.encode(into: &writer)
        case .putDone(let key, let gid, let version, let isStored):
            writer.u8(5)
            writer.blob(key.bytes)
            writer.varint(gid)
            version.encode(into: &writer)
            writer.bool(isStored)
        case .synchronise(let view):
            writer.u8(6)
            view.encode(into: &writer)
        case .refused(let key, let number, let isWrite, let refusal):
            writer.u8(7)
            writer.blob(key.bytes)
            writer.varint(number)
            writer.bool(isWrite)
            switch refusal {
            case .busy(let reason):
                writer.u8(1)
                writer.text(reason)
            case .memoryDown(let reason):
                writer.u8(2)
                writer.text(reason)
            }
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let tag = try reader.u8()
        if tag == 6 {
            self = .synchronise(view: try CacheView(decoding: &reader))
            return
        }
        let key = try reader.cacheKey()
        switch tag {
        case 1:
            self = .data(key, number: try reader.varint(), try reader.grant(), try LineData(decoding: &reader))
        case 2:
            self = .written(
                key,
                number: try reader.varint(),
                try reader.grant(),
                try CacheAnswer(decoding: &reader),
                try CacheVersion(decoding: &reader),
                earlier: try reader.earlierOutcomes(),
                data: try reader.optionalData()
            )
        case 3: self = .invalidate(key, gid: try reader.varint())
        case 4:
            self = .recall(
                key,
                gid: try reader.varint(),
                toShared: try reader.bool(),
                try CacheVersion(decoding: &reader)
            )
        case 5:
            self = .putDone(
                key,
                gid: try reader.varint(),
                try CacheVersion(decoding: &reader),
                isStored: try reader.bool()
            )
        case 7:
            let number = try reader.varint()
            let isWrite = try reader.bool()
            let tag = try reader.u8()
            let reason = try reader.text(limit: 1_024, "reason")
            switch tag {
            case 1: self = .refused(key, number: number, isWrite: isWrite, .busy(reason: reason))
            case 2: self = .refused(key, number: number, isWrite: isWrite, .memoryDown(reason: reason))
            default: throw .unknownTag(what: "home refusal", value: UInt64(tag))
            }
        default: throw .unknownTag(what: "cache notice", value: UInt64(tag))
        }
    }
}
