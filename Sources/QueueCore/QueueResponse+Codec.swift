// SPDX-License-Identifier: Apache-2.0
package import Primitives

extension QueueResponse {
    private enum Tag: UInt8 {
        case declared = 1
        case updated
        case deleted
        case published
        case received
        case settled
        case consumerOpened
        case consumerClosed
        case consumerResumed
        case messageCancelled
        case purged
        case pausedOrResumed
        case redrive
        case waitCancelled
        case noted
        case renewed
        case queue
        case queues
        case messages
        case message
        case consumer
        case refused
    }

    private var tag: Tag {
        switch self {
        case .declared: .declared
        case .updated: .updated
        case .deleted: .deleted
        case .published: .published
        case .received: .received
        case .settled: .settled
        case .consumerOpened: .consumerOpened
        case .consumerClosed: .consumerClosed
        case .consumerResumed: .consumerResumed
        case .messageCancelled: .messageCancelled
        case .purged: .purged
        case .pausedOrResumed: .pausedOrResumed
        case .redrive: .redrive
        case .waitCancelled: .waitCancelled
        case .noted: .noted
        case .renewed: .renewed
        case .queue: .queue
        case .queues: .queues
        case .messages: .messages
        case .message: .message
        case .consumer: .consumer
        case .refused: .refused
        }
    }

    package func encode(into writer: inout ByteWriter) {
        writer.u8(tag.rawValue)
        switch self {
        case .declared(let flag), .waitCancelled(let flag): writer.bool(flag)
        case .updated, .pausedOrResumed, .noted: break
        case .deleted(let count), .consumerClosed(let count), .purged(let count), .renewed(let count):
            writer.varint(count)
        case .published(let published):
            writer.varint(UInt64(published.count))
            for one in published {
                writer.varint(one.id.rawValue)
                writer.bool(one.isDuplicate)
            }
        case .received(let deliveries):
            writer.varint(UInt64(deliveries.count))
            for delivery in deliveries { delivery.encode(into: &writer) }
        case .settled(let outcomes): writer.outcomes(outcomes)
        case .consumerOpened(let id, let ttl):
            writer.name(id)
            writer.varint(ttl)
        case .consumerResumed(let outcomes, let returned):
            writer.outcomes(outcomes)
            writer.varint(returned)
        case .messageCancelled(let outcome): writer.u8(outcome.rawValue)
        case .redrive(let moved, let left):
            writer.varint(moved)
            writer.varint(left)
        case .queue(let view):
            writer.bool(view != nil)
            view?.encode(into: &writer)
        case .queues(let views, let next):
            writer.varint(UInt64(views.count))
            for view in views { view.encode(into: &writer) }
            writer.name(next)
        case .messages(let views):
            writer.varint(UInt64(views.count))
            for view in views { view.encode(into: &writer) }
        case .message(let view):
            writer.bool(view != nil)
            view?.encode(into: &writer)
        case .consumer(let view):
            writer.bool(view != nil)
            view?.encode(into: &writer)
        case .refused(let error): error.encode(into: &writer)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let tag: Tag = try reader.raw("queue response")
        switch tag {
        case .declared: self = .declared(created: try reader.bool())
        case .updated: self = .updated
        case .deleted: self = .deleted(messages: try reader.varint())
        case .published:
            self = .published(
                try reader.list("published") { (reader) throws(DecodingError) in
                    Published(id: try reader.message(), isDuplicate: try reader.bool())
                }
            )
        case .received:
            self = .received(
                try reader.list("deliveries") { (reader) throws(DecodingError) in try Delivery(decoding: &reader) }
            )
        case .settled: self = .settled(try reader.outcomes())
        case .consumerOpened: self = .consumerOpened(try reader.name(), ttlMilliseconds: try reader.varint())
        case .consumerClosed: self = .consumerClosed(returned: try reader.varint())
        case .consumerResumed: self = .consumerResumed(try reader.outcomes(), returned: try reader.varint())
        case .messageCancelled: self = .messageCancelled(try reader.raw("outcome"))
        case .purged: self = .purged(messages: try reader.varint())
        case .pausedOrResumed: self = .pausedOrResumed
        case .redrive: self = .redrive(moved: try reader.varint(), left: try reader.varint())
        case .waitCancelled: self = .waitCancelled(found: try reader.bool())
        case .noted: self = .noted
        case .renewed: self = .renewed(milliseconds: try reader.varint())
        case .queue: self = .queue(try reader.bool() ? try QueueView(decoding: &reader) : nil)
        case .queues:
            let views = try reader.list("queues") { (reader) throws(DecodingError) in try QueueView(decoding: &reader) }
            self = .queues(views, next: try reader.name())
        case .messages:
            self = .messages(
                try reader.list("messages") { (reader) throws(DecodingError) in try MessageView(decoding: &reader) }
            )
        case .message: self = .message(try reader.bool() ? try MessageView(decoding: &reader) : nil)
        case .consumer: self = .consumer(try reader.bool() ? try ConsumerView(decoding: &reader) : nil)
        case .refused: self = .refused(try QueueError(decoding: &reader))
        }
    }
}

extension ByteWriter {
    fileprivate mutating func outcomes(_ values: [SettleOutcome]) {
        varint(UInt64(values.count))
        for outcome in values { u8(outcome.rawValue) }
    }
}

extension ByteReader {
    fileprivate mutating func outcomes() throws(DecodingError) -> [SettleOutcome] {
        try list("outcomes") { (reader) throws(DecodingError) in try reader.raw("outcome") }
    }
}

extension QueueError {
    package func encode(into writer: inout ByteWriter) {
        func head(_ tag: UInt8, _ name: Name? = nil) {
            writer.u8(tag)
            if let name { writer.name(name) }
        }
        switch self {
        case .noQueue(let name): head(1, name)
        case .exists(let settings):
            head(2)
            settings.encode(into: &writer)
        case .lanesLowered(let lanes):
            head(3)
            writer.varint(lanes)
        case .emptyBody: head(4)
        case .tooLarge(let limit):
            head(5)
            writer.varint(limit)
        case .full(let name): head(6, name)
        case .paused(let side):
            head(7)
            writer.u8(side.rawValue)
        case .fenced: head(8)
        case .noConsumer(let name): head(9, name)
        case .consumerExists(let name): head(10, name)
        case .noCredit(let name): head(11, name)
        case .staleSequence: head(12)
        case .redriving: head(13)
        case .limit(let text): head(14, Name(text))
        case .invalid(let text): head(15, Name(text))
        case .cancelled: head(16)
        case .ended: head(17)
        case .lanes(let lanes):
            head(18)
            writer.varint(lanes)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        switch try reader.u8() {
        case 1: self = .noQueue(try reader.name())
        case 2: self = .exists(try QueueSettings(decoding: &reader))
        case 3: self = .lanesLowered(from: try reader.varint())
        case 4: self = .emptyBody
        case 5: self = .tooLarge(limit: try reader.varint())
        case 6: self = .full(try reader.name())
        case 7: self = .paused(try reader.raw("side"))
        case 8: self = .fenced
        case 9: self = .noConsumer(try reader.name())
        case 10: self = .consumerExists(try reader.name())
        case 11: self = .noCredit(try reader.name())
        case 12: self = .staleSequence
        case 13: self = .redriving
        case 14: self = .limit(try reader.reason())
        case 15: self = .invalid(try reader.reason())
        case 16: self = .cancelled
        case 17: self = .ended
        case 18: self = .lanes(try reader.varint())
        case let tag: throw .unknownTag(what: "queue error", value: UInt64(tag))
        }
    }
}
