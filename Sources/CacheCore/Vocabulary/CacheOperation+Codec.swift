// SPDX-License-Identifier: Apache-2.0
package import Primitives

extension CacheOperation {
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .set(let value, let expiry, let condition, let wantsOld):
            writer.u8(1)
            writer.blob(value)
            expiry.encode(into: &writer)
            condition.encode(into: &writer)
            writer.bool(wantsOld)
        case .remove(let condition, let wantsOld):
            writer.u8(2)
            condition.encode(into: &writer)
            writer.bool(wantsOld)
        case .expire(let expiry, let condition, let wantsValue):
            writer.u8(3)
            expiry.encode(into: &writer)
            writer.u8(condition.rawValue)
            writer.bool(wantsValue)
        case .add(let addend):
            writer.u8(4)
            writer.u64(UInt64(bitPattern: addend))
        case .addDecimal(let addend):
            writer.u8(5)
            writer.blob(addend)
        case .append(let suffix):
            writer.u8(6)
            writer.blob(suffix)
        case .setRange(let offset, let bytes):
            writer.u8(7)
            writer.varint(offset)
            writer.blob(bytes)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        switch try reader.u8() {
        case 1:
            self = .set(
                value: try reader.cacheValue(),
                expiry: try ExpiryChange(decoding: &reader),
                condition: try CacheCondition(decoding: &reader),
                wantsOld: try reader.bool()
            )
        case 2: self = .remove(condition: try CacheCondition(decoding: &reader), wantsOld: try reader.bool())
        case 3:
            let expiry = try ExpiryChange(decoding: &reader)
            let raw = try reader.u8()
            guard let condition = ExpiryCondition(rawValue: raw) else {
                throw .unknownTag(what: "expiry condition", value: UInt64(raw))
            }
            self = .expire(expiry, condition: condition, wantsValue: try reader.bool())
        case 4: self = .add(Int64(bitPattern: try reader.u64()))
        case 5: self = .addDecimal(try reader.cacheValue())
        case 6: self = .append(try reader.cacheValue())
        case 7: self = .setRange(offset: try reader.varint(), try reader.cacheValue())
        case let tag: throw .unknownTag(what: "cache operation", value: UInt64(tag))
        }
    }
}

extension ExpiryChange {
    func encode(into writer: inout ByteWriter) {
        switch self {
        case .keep: writer.u8(0)
        case .never: writer.u8(1)
        case .after(let milliseconds):
            writer.u8(2)
            writer.u64(UInt64(bitPattern: milliseconds))
        }
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        switch try reader.u8() {
        case 0: self = .keep
        case 1: self = .never
        case 2: self = .after(Int64(bitPattern: try reader.u64()))
        case let tag: throw .unknownTag(what: "expiry", value: UInt64(tag))
        }
    }
}

extension CacheCondition {
    func encode(into writer: inout ByteWriter) {
        switch self {
        case .always: writer.u8(0)
        case .absent: writer.u8(1)
        case .present: writer.u8(2)
        case .equals(let value):
            writer.u8(3)
            writer.blob(value)
        case .differs(let value):
            writer.u8(4)
            writer.blob(value)
        case .version(let version):
            writer.u8(5)
            version.encode(into: &writer)
        }
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        switch try reader.u8() {
        case 0: self = .always
        case 1: self = .absent
        case 2: self = .present
        case 3: self = .equals(try reader.cacheValue())
        case 4: self = .differs(try reader.cacheValue())
        case 5: self = .version(try CacheVersion(decoding: &reader))
        case let tag: throw .unknownTag(what: "condition", value: UInt64(tag))
        }
    }
}

extension CacheAnswer {
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .done: writer.u8(0)
        case .notDone: writer.u8(1)
        case .count(let count):
            writer.u8(2)
            writer.u64(UInt64(bitPattern: count))
        case .value(let value, let wasApplied):
            writer.u8(3)
            writer.optionalBlob(value)
            writer.bool(wasApplied)
        case .number(let text):
            writer.u8(4)
            writer.blob(text)
        case .refused(let refusal):
            writer.u8(5)
            writer.u8(refusal.rawValue)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        switch try reader.u8() {
        case 0: self = .done
        case 1: self = .notDone
        case 2: self = .count(Int64(bitPattern: try reader.u64()))
        case 3: self = .value(try reader.optionalCacheValue(), wasApplied: try reader.bool())
        case 4: self = .number(try reader.cacheValue())
        case 5:
            let raw = try reader.u8()
            guard let refusal = CacheRefusal(rawValue: raw) else {
                throw .unknownTag(what: "cache refusal", value: UInt64(raw))
            }
            self = .refused(refusal)
        case let tag: throw .unknownTag(what: "cache answer", value: UInt64(tag))
        }
    }
}

extension CacheOutcome {
    func encode(into writer: inout ByteWriter) {
        answer.encode(into: &writer)
        version.encode(into: &writer)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        answer = try CacheAnswer(decoding: &reader)
        version = try CacheVersion(decoding: &reader)
    }
}

extension ByteWriter {
    mutating func earlier(_ operations: [CacheOperation]) {
        varint(UInt64(operations.count))
        for operation in operations { operation.encode(into: &self) }
    }

    mutating func earlier(_ outcomes: [CacheOutcome]) {
        varint(UInt64(outcomes.count))
        for outcome in outcomes { outcome.encode(into: &self) }
    }

    mutating func optionalBlob(_ value: [UInt8]?) {
        bool(value != nil)
        if let value { blob(value) }
    }
}

extension ByteReader {
    mutating func earlierOperations() throws(DecodingError) -> [CacheOperation] {
        var operations: [CacheOperation] = []
        for _ in 0..<(try count(limit: CacheWrite.maxOperations - 1, "earlier operations")) {
            operations.append(try CacheOperation(decoding: &self))
        }
        return operations
    }

    /// A lock's token stands for one operation alone.
    mutating func token(after earlier: [CacheOperation]) throws(DecodingError) -> UInt64 {
        let token = try varint()
        guard token == 0 || earlier.isEmpty else { throw .invalidValue(what: "token of several operations") }
        return token
    }

    mutating func earlierOutcomes() throws(DecodingError) -> [CacheOutcome] {
        var outcomes: [CacheOutcome] = []
        for _ in 0..<(try count(limit: CacheWrite.maxOperations - 1, "earlier outcomes")) {
            outcomes.append(try CacheOutcome(decoding: &self))
        }
        return outcomes
    }

    mutating func cacheValue() throws(DecodingError) -> [UInt8] { try blob(limit: CacheLimits.valueBytes, "value") }

    mutating func optionalCacheValue() throws(DecodingError) -> [UInt8]? { try bool() ? try cacheValue() : nil }

    mutating func cacheKey() throws(DecodingError) -> CacheKey {
        CacheKey(try blob(limit: CacheLimits.keyBytes, "key"))
    }
}
