// SPDX-License-Identifier: Apache-2.0
import CacheCore
import LockCore
package import Primitives
import QueueCore
import RaftCore

// The forms in which requests and answers travel between nodes. Tags are never reused; a new case gets a new one.

/// Numbers that count requests stay below this, so that adding one to a peer's number cannot overflow.
private let numberLimit: UInt64 = 1 << 62

extension ByteReader {
    fileprivate mutating func requestNumber() throws(DecodingError) -> UInt64 {
        let value = try varint()
        guard value < numberLimit else { throw .invalidValue(what: "request number") }
        return value
    }

    fileprivate mutating func readMode() throws(DecodingError) -> ReadMode {
        let value = try u8()
        guard let mode = ReadMode(rawValue: value) else { throw .unknownTag(what: "read mode", value: UInt64(value)) }
        return mode
    }

    fileprivate mutating func reason() throws(DecodingError) -> String { try text("reason") }
}

extension Request {
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .command(let command):
            writer.u8(1)
            command.encode(into: &writer)
        case .query(let query, let mode):
            writer.u8(2)
            writer.u8(mode.rawValue)
            query.encode(into: &writer)
        case .renew(let session):
            writer.u8(3)
            writer.text(session.name.text)
        case .queue(let command):
            writer.u8(4)
            command.encode(into: &writer)
        case .queueQuery(let query, let mode):
            writer.u8(5)
            writer.u8(mode.rawValue)
            query.encode(into: &writer)
        case .renewConsumer(let consumer):
            writer.u8(6)
            writer.text(consumer.text)
        case .cache(let inquiry):
            writer.u8(7)
            inquiry.encode(into: &writer)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let tag = try reader.u8()
        switch tag {
        case 1:
            self = .command(try LockCommand(decoding: &reader))
        case 2:
            let mode = try reader.readMode()
            self = .query(try LockQuery(decoding: &reader), mode)
        case 3:
            self = .renew(SessionID(try reader.text("session")))
        case 4:
            self = .queue(try QueueCommand(decoding: &reader))
        case 5:
            let mode = try reader.readMode()
            self = .queueQuery(try QueueQuery(decoding: &reader), mode)
        case 6:
            self = .renewConsumer(Name(try reader.text("consumer")))
        case 7:
            self = .cache(try CacheInquiry(decoding: &reader))
        default:
            throw .unknownTag(what: "request", value: UInt64(tag))
        }
    }
}

extension QueueAnswer {
    /// Messages of one answer; far above what a receive or a page may ask for.
    private static let maxContents = 1 << 16

    fileprivate func encode(into writer: inout ByteWriter) {
        response.encode(into: &writer)
        writer.varint(UInt64(contents.count))
        for content in contents {
            writer.bool(content != nil)
            if let content { writer.blob(content.bytes) }
        }
    }

    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(try QueueResponse(decoding: &reader))
        for _ in 0..<(try reader.count(limit: Self.maxContents, "messages")) {
            contents.append(try reader.bool() ? StoredMessage(bytes: try reader.blob("message")) : nil)
        }
    }
}

extension Response {
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .lock(let response):
            writer.u8(1)
            response.encode(into: &writer)
        case .unavailable(let outcome, let reason):
            writer.u8(2)
            writer.u8(outcome.rawValue)
            writer.text(reason)
        case .busy(let reason):
            writer.u8(3)
            writer.text(reason)
        case .queue(let answer):
            writer.u8(4)
            answer.encode(into: &writer)
        case .cache(let information):
            writer.u8(5)
            information.encode(into: &writer)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let tag = try reader.u8()
        switch tag {
        case 1:
            self = .lock(try LockResponse(decoding: &reader))
        case 2:
            let value = try reader.u8()
            guard let outcome = Outcome(rawValue: value) else {
                throw .unknownTag(what: "outcome", value: UInt64(value))
            }
            self = .unavailable(outcome, reason: try reader.reason())
        case 3:
            self = .busy(reason: try reader.reason())
        case 4:
            self = .queue(try QueueAnswer(decoding: &reader))
        case 5:
            self = .cache(try CacheInformation(decoding: &reader))
        default:
            throw .unknownTag(what: "response", value: UInt64(tag))
        }
    }
}

extension RoutedRequest {
    package func encode(into writer: inout ByteWriter) {
        writer.u16(shard.rawValue)
        writer.u64(id.origin)
        writer.varint(id.number)
        writer.varint(acknowledgedBelow)
        writer.varint(UInt64(acknowledged.count))
        for number in acknowledged { writer.varint(number) }
        request.encode(into: &writer)
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let shard = ShardID(try reader.u16())
        let id = RequestID(origin: try reader.u64(), number: try reader.requestNumber())
        let below = try reader.requestNumber()
        let count = try reader.count(limit: RoutedRequest.maxAcknowledged, "acknowledged requests")
        var acknowledged: [UInt64] = []
        acknowledged.reserveCapacity(count)
        for _ in 0..<count { acknowledged.append(try reader.requestNumber()) }
        let request = try Request(decoding: &reader)
        self.init(shard: shard, id: id, acknowledgedBelow: below, acknowledged: acknowledged, request: request)
    }
}

extension RoutedReply {
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .answer(let response):
            writer.u8(1)
            response.encode(into: &writer)
        case .notLeader(.some(let hint)):
            writer.u8(2)
            writer.u64(hint.rawValue)
        case .notLeader(.none):
            writer.u8(3)
        case .interrupted:
            writer.u8(4)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let tag = try reader.u8()
        switch tag {
        case 1: self = .answer(try Response(decoding: &reader))
        case 2: self = .notLeader(hint: NodeID(try reader.u64()))
        case 3: self = .notLeader(hint: nil)
        case 4: self = .interrupted
        default: throw .unknownTag(what: "routed reply", value: UInt64(tag))
        }
    }
}
