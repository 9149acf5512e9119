// SPDX-License-Identifier: Apache-2.0
import Primitives

extension ByteWriter {
    fileprivate mutating func optional(_ value: UInt64?) {
        bool(value != nil)
        if let value { varint(value) }
    }
}

extension ByteReader {
    fileprivate mutating func optional() throws(DecodingError) -> UInt64? { try bool() ? try varint() : nil }
}

extension DeadLetter {
    func encode(into writer: inout ByteWriter) {
        writer.u8(cause.rawValue)
        writer.text(reason)
        writer.name(origin)
        writer.varint(attempts)
        writer.varint(died)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            cause: try reader.raw("cause"),
            reason: try reader.reason(),
            origin: try reader.name(),
            attempts: try reader.varint(),
            died: try reader.varint()
        )
    }
}

extension Delivery {
    func encode(into writer: inout ByteWriter) {
        writer.varint(id.rawValue)
        receipt.encode(into: &writer)
        writer.varint(attempt)
        writer.name(key)
        writer.u8(priority)
        writer.varint(published)
        writer.varint(bytes)
        writer.varint(leaseMilliseconds)
        writer.u8(cause.rawValue)
        writer.bool(deadLetter != nil)
        deadLetter?.encode(into: &writer)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            id: try reader.message(),
            receipt: try Receipt(decoding: &reader),
            attempt: try reader.varint(),
            key: try reader.name(),
            priority: try reader.u8(),
            published: try reader.varint(),
            bytes: try reader.varint(),
            leaseMilliseconds: try reader.varint(),
            cause: try reader.returnCause(),
            deadLetter: try reader.bool() ? try DeadLetter(decoding: &reader) : nil
        )
    }
}

extension QueueDepth {
    func encode(into writer: inout ByteWriter) {
        for number in [ready, inFlight, delayed, dead] { writer.varint(number) }
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init()
        for field in [\QueueDepth.ready, \.inFlight, \.delayed, \.dead] {
            self[keyPath: field] = try reader.varint()
            // Sums of the four must not overflow.
            guard self[keyPath: field] < 1 << 61 else { throw .limitExceeded(what: "depth") }
        }
    }
}

extension QueueTotals {
    private static var fields: [WritableKeyPath<QueueTotals, UInt64>] {
        [
            \.published, \.duplicates, \.rejected, \.acked, \.expired, \.purged, \.dropped, \.movedIn, \.movedOut,
            \.delivered, \.nacked, \.returned, \.leasesExpired, \.deadLettered, \.redriven,
        ]
    }

    func encode(into writer: inout ByteWriter) {
        for field in Self.fields { writer.varint(self[keyPath: field]) }
    }

    init(_ reader: inout ByteReader) throws(DecodingError) {
        self.init()
        for field in Self.fields {
            self[keyPath: field] = try reader.varint()
            guard self[keyPath: field] < 1 << 62 else { throw .limitExceeded(what: "total") }
        }
    }
}

extension QueueView {
    func encode(into writer: inout ByteWriter) {
        writer.name(name)
        settings.encode(into: &writer)
        depth.encode(into: &writer)
        writer.varint(bytes)
        totals.encode(into: &writer)
        writer.bool(isPublishPaused)
        writer.bool(isConsumePaused)
        writer.varint(waiters)
        writer.varint(tenants)
        writer.optional(oldestReadyMilliseconds)
        writer.optional(oldestInFlightMilliseconds)
        writer.varint(UInt64(dwell.count))
        for count in dwell { writer.varint(count) }
        writer.varint(redriveLeft)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(name: try reader.name(), settings: try QueueSettings(decoding: &reader))
        depth = try QueueDepth(decoding: &reader)
        bytes = try reader.varint()
        totals = try QueueTotals(&reader)
        isPublishPaused = try reader.bool()
        isConsumePaused = try reader.bool()
        waiters = try reader.varint()
        tenants = try reader.varint()
        oldestReadyMilliseconds = try reader.optional()
        oldestInFlightMilliseconds = try reader.optional()
        dwell = try reader.list("dwell") { (reader) throws(DecodingError) in try reader.varint() }
        redriveLeft = try reader.varint()
    }
}

extension MessageView {
    func encode(into writer: inout ByteWriter) {
        writer.varint(id.rawValue)
        writer.u8(state.rawValue)
        writer.varint(bytes)
        writer.name(key)
        writer.name(tenant)
        writer.u8(priority)
        for number in [published, failures, returns, deliveries] { writer.varint(number) }
        writer.optional(due)
        writer.optional(expires)
        writer.name(consumer)
        writer.bool(deadLetter != nil)
        deadLetter?.encode(into: &writer)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        let id = try reader.message()
        let state: MessageState = try reader.raw("state")
        self.init(id: id, state: state, bytes: try reader.varint(), published: 0)
        key = try reader.name()
        tenant = try reader.name()
        priority = try reader.u8()
        published = try reader.varint()
        failures = try reader.varint()
        returns = try reader.varint()
        deliveries = try reader.varint()
        due = try reader.optional()
        expires = try reader.optional()
        consumer = try reader.name()
        deadLetter = try reader.bool() ? try DeadLetter(decoding: &reader) : nil
    }
}

extension ConsumerView {
    func encode(into writer: inout ByteWriter) {
        writer.name(id)
        writer.text(label)
        for number in [ttlMilliseconds, credit, inFlight, waiting, ageMilliseconds] { writer.varint(number) }
        writer.optional(remainingMilliseconds)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            id: try reader.name(),
            label: try reader.text(limit: DecodeLimit.text, "label"),
            ttlMilliseconds: try reader.varint(),
            credit: try reader.varint(),
            inFlight: try reader.varint(),
            waiting: try reader.varint(),
            ageMilliseconds: try reader.varint(),
            remainingMilliseconds: try reader.optional()
        )
    }
}
