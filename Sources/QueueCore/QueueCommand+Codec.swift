// SPDX-License-Identifier: Apache-2.0
package import Primitives

// The encodings stand in the log: a tag, once given out, keeps its meaning for ever.
//
// Decoding bounds what it allocates but does not judge: a name too long for `QueueState.validate` still decodes, so
// that its sender gets a refusal with a reason and not a broken link.

enum DecodeLimit {
    static let text = 65_536
    static let entries = 65_536
    /// A body, or a message with its headers.
    static let body = 67_108_864
}

extension ByteWriter {
    mutating func name(_ value: Name) { text(value.text) }

    mutating func request(_ value: RequestID) {
        varint(value.origin)
        varint(value.number)
    }

    mutating func signed(_ value: Int64) {
        // Zigzag: small magnitudes of either sign are short.
        varint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }

    mutating func receipts(_ values: [Receipt]) {
        varint(UInt64(values.count))
        for receipt in values { receipt.encode(into: &self) }
    }
}

extension ByteReader {
    mutating func name() throws(DecodingError) -> Name { Name(try text(limit: DecodeLimit.text, "name")) }

    mutating func request() throws(DecodingError) -> RequestID {
        RequestID(origin: try varint(), number: try varint())
    }

    mutating func index() throws(DecodingError) -> LogIndex { LogIndex(try varint()) }

    mutating func message() throws(DecodingError) -> MessageID { MessageID(rawValue: try varint()) }

    mutating func reason() throws(DecodingError) -> String { try text(limit: DecodeLimit.text, "reason") }

    mutating func signed() throws(DecodingError) -> Int64 {
        let value = try varint()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    mutating func raw<Value: RawRepresentable>(_ what: String) throws(DecodingError) -> Value
    where Value.RawValue == UInt8 {
        let tag = try u8()
        guard let value = Value(rawValue: tag) else { throw .unknownTag(what: what, value: UInt64(tag)) }
        return value
    }

    mutating func returnCause() throws(DecodingError) -> ReturnCause { try raw("return cause") }

    /// Reads a count, then that many elements. Memory grows with what is really there, not with what the count claims.
    mutating func list<Element>(
        _ what: String,
        _ element: (inout ByteReader) throws(DecodingError) -> Element
    ) throws(DecodingError) -> [Element] {
        let total = try count(limit: DecodeLimit.entries, what)
        var elements: [Element] = []
        elements.reserveCapacity(Swift.min(total, remaining))
        for _ in 0..<total { elements.append(try element(&self)) }
        return elements
    }

    mutating func receipts() throws(DecodingError) -> [Receipt] {
        try list("receipts") { (reader) throws(DecodingError) in try Receipt(decoding: &reader) }
    }
}

extension Receipt {
    package func encode(into writer: inout ByteWriter) {
        writer.u16(shard.rawValue)
        writer.u16(lane)
        writer.u32(line)
        writer.varint(message.rawValue)
        writer.varint(UInt64(delivery))
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            shard: ShardID(try reader.u16()),
            lane: try reader.u16(),
            line: try reader.u32(),
            message: try reader.message(),
            delivery: UInt32(try reader.count(limit: Int(UInt32.max), "delivery"))
        )
    }
}

extension QueueCommand {
    private enum Tag: UInt8 {
        case declare = 1
        case update
        case delete
        case publish
        case receive
        case settle
        case openConsumer
        case closeConsumer
        case resumeConsumer
        case cancelMessage
        case purge
        case pause
        case resume
        case redrive
        case cancelRedrive
        case cancelWait
        case tick
        case expireConsumer
    }

    private var tag: Tag {
        switch self {
        case .declare: .declare
        case .update: .update
        case .delete: .delete
        case .publish: .publish
        case .receive: .receive
        case .settle: .settle
        case .openConsumer: .openConsumer
        case .closeConsumer: .closeConsumer
        case .resumeConsumer: .resumeConsumer
        case .cancelMessage: .cancelMessage
        case .purge: .purge
        case .pause: .pause
        case .resume: .resume
        case .redrive: .redrive
        case .cancelRedrive: .cancelRedrive
        case .cancelWait: .cancelWait
        case .tick: .tick
        case .expireConsumer: .expireConsumer
        }
    }

    package func encode(into writer: inout ByteWriter) {
        writer.u8(tag.rawValue)
        switch self {
        case .declare(let name, let settings), .update(let name, let settings):
            writer.name(name)
            settings.encode(into: &writer)
        case .delete(let name), .closeConsumer(let name), .purge(let name), .cancelRedrive(let name):
            writer.name(name)
        case .publish(let publish): publish.encode(into: &writer)
        case .receive(let receive): receive.encode(into: &writer)
        case .settle(let settle): settle.encode(into: &writer)
        case .openConsumer(let open): open.encode(into: &writer)
        case .resumeConsumer(let name, let receipts):
            writer.name(name)
            writer.receipts(receipts)
        case .cancelMessage(let name, let id):
            writer.name(name)
            writer.varint(id.rawValue)
        case .pause(let name, let side), .resume(let name, let side):
            writer.name(name)
            writer.u8(side.rawValue)
        case .redrive(let redrive): redrive.encode(into: &writer)
        case .cancelWait(let request): writer.request(request)
        case .tick(let term): writer.varint(term.rawValue)
        case .expireConsumer(let name, let opened, let term):
            writer.name(name)
            writer.varint(opened.rawValue)
            writer.varint(term.rawValue)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let tag: Tag = try reader.raw("queue command")
        switch tag {
        case .declare: self = .declare(try reader.name(), try QueueSettings(decoding: &reader))
        case .update: self = .update(try reader.name(), try QueueSettings(decoding: &reader))
        case .delete: self = .delete(try reader.name())
        case .publish: self = .publish(try Publish(decoding: &reader))
        case .receive: self = .receive(try Receive(decoding: &reader))
        case .settle: self = .settle(try Settle(decoding: &reader))
        case .openConsumer: self = .openConsumer(try OpenConsumer(decoding: &reader))
        case .closeConsumer: self = .closeConsumer(try reader.name())
        case .resumeConsumer: self = .resumeConsumer(try reader.name(), try reader.receipts())
        case .cancelMessage: self = .cancelMessage(try reader.name(), try reader.message())
        case .purge: self = .purge(try reader.name())
        case .pause: self = .pause(try reader.name(), try reader.raw("side"))
        case .resume: self = .resume(try reader.name(), try reader.raw("side"))
        case .redrive: self = .redrive(try Redrive(decoding: &reader))
        case .cancelRedrive: self = .cancelRedrive(try reader.name())
        case .cancelWait: self = .cancelWait(try reader.request())
        case .tick: self = .tick(term: Term(try reader.varint()))
        case .expireConsumer:
            self = .expireConsumer(try reader.name(), opened: try reader.index(), term: Term(try reader.varint()))
        }
    }

    /// Whether an encoded command is a publish; the reader then stands behind its tag.
    static func isPublish(_ reader: inout ByteReader) throws(DecodingError) -> Bool {
        try reader.u8() == Tag.publish.rawValue
    }
}
