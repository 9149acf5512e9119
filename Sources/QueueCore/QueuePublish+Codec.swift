// SPDX-License-Identifier: Apache-2.0
import Primitives

// The parts of the commands.

extension QueueSettings {
    func encode(into writer: inout ByteWriter) {
        writer.varint(lanes)
        writer.varint(leaseMilliseconds)
        writer.varint(maxAttempts)
        writer.name(deadLetter)
        writer.varint(maxLength)
        writer.varint(maxBytes)
        writer.u8(overflow.rawValue)
        writer.varint(ttlMilliseconds)
        writer.varint(dedupMilliseconds)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init()
        lanes = try reader.varint()
        leaseMilliseconds = try reader.varint()
        maxAttempts = try reader.varint()
        deadLetter = try reader.name()
        maxLength = try reader.varint()
        maxBytes = try reader.varint()
        overflow = try reader.raw("overflow")
        ttlMilliseconds = try reader.varint()
        dedupMilliseconds = try reader.varint()
    }
}

extension Schedule {
    fileprivate func encode(into writer: inout ByteWriter) {
        switch self {
        case .immediately: writer.u8(0)
        case .after(let milliseconds):
            writer.u8(1)
            writer.signed(milliseconds)
        case .at(let stamp):
            writer.u8(2)
            writer.varint(stamp)
        }
    }

    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        switch try reader.u8() {
        case 0: self = .immediately
        case 1: self = .after(milliseconds: try reader.signed())
        case 2: self = .at(stamp: try reader.varint())
        case let tag: throw .unknownTag(what: "schedule", value: UInt64(tag))
        }
    }
}

extension PublishMessage {
    /// The fields that most messages leave empty take one byte together.
    private enum Field {
        static let key: UInt8 = 1
        static let tenant: UInt8 = 2
        static let priority: UInt8 = 4
        static let schedule: UInt8 = 8
        static let ttl: UInt8 = 16
        static let dedup: UInt8 = 32
        static let headers: UInt8 = 64
    }

    /// A varint length, then the message, so that a reader can step over it.
    fileprivate func frame(into writer: inout ByteWriter) {
        var inner = ByteWriter(capacity: body.count + 16)
        encode(into: &inner)
        writer.blob(inner.bytes)
    }

    init(framed reader: inout ByteReader) throws(DecodingError) {
        let length = try reader.count(limit: DecodeLimit.body, "message")
        let end = reader.offset + length
        guard length <= reader.remaining else { throw .truncated }
        try self.init(decoding: &reader)
        guard reader.offset == end else { throw .invalidValue(what: "message length") }
    }

    private func encode(into writer: inout ByteWriter) {
        var fields: UInt8 = 0
        if key.byteCount > 0 { fields |= Field.key }
        if tenant.byteCount > 0 { fields |= Field.tenant }
        if priority > 0 { fields |= Field.priority }
        if schedule != .immediately { fields |= Field.schedule }
        if ttlMilliseconds > 0 { fields |= Field.ttl }
        if dedup.byteCount > 0 { fields |= Field.dedup }
        if !headers.isEmpty { fields |= Field.headers }
        writer.u8(fields)
        if fields & Field.key != 0 { writer.name(key) }
        if fields & Field.tenant != 0 { writer.name(tenant) }
        if fields & Field.priority != 0 { writer.u8(priority) }
        if fields & Field.schedule != 0 { schedule.encode(into: &writer) }
        if fields & Field.ttl != 0 { writer.varint(ttlMilliseconds) }
        if fields & Field.dedup != 0 { writer.name(dedup) }
        if fields & Field.headers != 0 {
            writer.varint(UInt64(headers.count))
            for header in headers {
                writer.text(header.name)
                writer.blob(header.value)
            }
        }
        writer.blob(body)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        let fields = try reader.u8()
        guard fields < 128 else { throw .invalidValue(what: "message fields") }
        self.init(body: [])
        if fields & Field.key != 0 { key = try reader.name() }
        if fields & Field.tenant != 0 { tenant = try reader.name() }
        if fields & Field.priority != 0 { priority = try reader.u8() }
        if fields & Field.schedule != 0 { schedule = try Schedule(decoding: &reader) }
        if fields & Field.ttl != 0 { ttlMilliseconds = try reader.varint() }
        if fields & Field.dedup != 0 { dedup = try reader.name() }
        if fields & Field.headers != 0 {
            headers = try reader.list("headers") { (reader) throws(DecodingError) in
                MessageHeader(
                    name: try reader.text(limit: DecodeLimit.text, "header"),
                    value: try reader.blob(limit: DecodeLimit.body, "header")
                )
            }
        }
        body = try reader.blob(limit: DecodeLimit.body, "body")
    }
}

extension Publish {
    func encode(into writer: inout ByteWriter) {
        writer.name(queue)
        writer.u8((producer == nil ? 0 : 1) | (guardedBy == nil ? 0 : 2) | (declares ? 4 : 0))
        writer.varint(lanes)
        if let producer {
            writer.name(producer.producer)
            writer.varint(producer.sequence)
        }
        if let guardedBy {
            writer.name(guardedBy.namespace)
            writer.name(guardedBy.name)
            writer.varint(guardedBy.token)
            writer.bool(guardedBy.isStale)
        }
        writer.varint(UInt64(messages.count))
        for message in messages { message.frame(into: &writer) }
    }

    /// All but the messages.
    static func decodeHead(_ reader: inout ByteReader) throws(DecodingError) -> Publish {
        var publish = Publish(queue: try reader.name(), messages: [])
        let fields = try reader.u8()
        guard fields < 8 else { throw .invalidValue(what: "publish fields") }
        publish.lanes = try reader.varint()
        if fields & 1 != 0 {
            publish.producer = ProducerSequence(producer: try reader.name(), sequence: try reader.varint())
        }
        if fields & 2 != 0 {
            publish.guardedBy = LockGuard(
                namespace: try reader.name(),
                name: try reader.name(),
                token: try reader.varint(),
                isStale: try reader.bool()
            )
        }
        publish.declares = fields & 4 != 0
        return publish
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self = try Self.decodeHead(&reader)
        messages = try reader.list("messages") { (reader) throws(DecodingError) in try PublishMessage(framed: &reader) }
    }
}

extension Receive {
    func encode(into writer: inout ByteWriter) {
        writer.name(queue)
        writer.name(consumer)
        for number in [count, maxBytes, leaseMilliseconds, waitMilliseconds, lanes] { writer.varint(number) }
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            queue: try reader.name(),
            consumer: try reader.name(),
            count: try reader.varint(),
            maxBytes: try reader.varint(),
            leaseMilliseconds: try reader.varint(),
            waitMilliseconds: try reader.varint(),
            lanes: try reader.varint()
        )
    }
}

extension Settle {
    func encode(into writer: inout ByteWriter) {
        writer.name(queue)
        writer.receipts(receipts)
        switch settlement {
        case .ack: writer.u8(1)
        case .nack(let delay, let reason):
            writer.u8(2)
            writer.signed(delay)
            writer.text(reason)
        case .giveBack(let delay):
            writer.u8(3)
            writer.signed(delay)
        case .extend(let lease):
            writer.u8(4)
            writer.varint(lease)
        case .reject(let reason):
            writer.u8(5)
            writer.text(reason)
        }
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(queue: try reader.name(), receipts: try reader.receipts(), settlement: .ack)
        switch try reader.u8() {
        case 1: settlement = .ack
        case 2: settlement = .nack(delayMilliseconds: try reader.signed(), reason: try reader.reason())
        case 3: settlement = .giveBack(delayMilliseconds: try reader.signed())
        case 4: settlement = .extend(leaseMilliseconds: try reader.varint())
        case 5: settlement = .reject(reason: try reader.reason())
        case let tag: throw .unknownTag(what: "settlement", value: UInt64(tag))
        }
    }
}

extension OpenConsumer {
    func encode(into writer: inout ByteWriter) {
        writer.name(id)
        writer.varint(ttlMilliseconds)
        writer.varint(credit)
        writer.text(label)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            id: try reader.name(),
            ttlMilliseconds: try reader.varint(),
            credit: try reader.varint(),
            label: try reader.text(limit: DecodeLimit.text, "label")
        )
    }
}

extension Redrive {
    func encode(into writer: inout ByteWriter) {
        writer.name(queue)
        writer.varint(count)
        writer.varint(rate)
        writer.name(target)
        writer.u8(cause?.rawValue ?? 0)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            queue: try reader.name(),
            count: try reader.varint(),
            rate: try reader.varint(),
            target: try reader.name()
        )
        let tag = try reader.u8()
        guard tag > 0 else { return }
        guard let cause = DeadCause(rawValue: tag) else { throw .unknownTag(what: "cause", value: UInt64(tag)) }
        self.cause = cause
    }
}
