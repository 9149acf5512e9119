// SPDX-License-Identifier: Apache-2.0
import CacheCore
import LockCore
package import Primitives
import RaftCore
package import Replica

private enum Tag {
    static let raft: UInt8 = 1
    static let digest: UInt8 = 2
    static let request: UInt8 = 3
    static let reply: UInt8 = 4
    static let ownerWaits: UInt8 = 5
    static let watch: UInt8 = 6
    static let events: UInt8 = 7
    static let confirmWaits: UInt8 = 8
    static let waitsConfirmed: UInt8 = 9
    static let abortWait: UInt8 = 10
    static let cacheRequest: UInt8 = 11
    static let cacheNotice: UInt8 = 12
    static let cacheView: UInt8 = 13
    static let inspectLine: UInt8 = 14
    static let lineInspected: UInt8 = 15
    static let flushLines: UInt8 = 16
    static let linesFlushed: UInt8 = 17
}

extension PeerMessage {
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .raft(let shard, let message):
            writer.begin(Tag.raft, shard)
            message.encode(into: &writer)
        case .digest(let shard, let index, let hash):
            writer.begin(Tag.digest, shard)
            writer.logIndex(index)
            writer.u64(hash)
        case .request(let request):
            writer.u8(Tag.request)
            request.encode(into: &writer)
        case .reply(let shard, let id, let reply):
            writer.begin(Tag.reply, shard)
            writer.requestID(id)
            reply.encode(into: &writer)
        case .ownerWaits(let shard, let term, let waits):
            writer.begin(Tag.ownerWaits, shard)
            writer.term(term)
            writer.varint(UInt64(waits.count))
            for wait in waits { wait.encode(into: &writer) }
        case .watch(let shard, let wanted):
            writer.begin(Tag.watch, shard)
            writer.bool(wanted)
        case .events(let shard, let events):
            writer.begin(Tag.events, shard)
            writer.varint(UInt64(events.count))
            for event in events { LockEventCodec.encode(event, into: &writer) }
        case .confirmWaits(let shard, let query, let waits):
            writer.waits(Tag.confirmWaits, shard, query, waits)
        case .waitsConfirmed(let shard, let query, let waits):
            writer.waits(Tag.waitsConfirmed, shard, query, waits)
        case .abortWait(let shard, let request, let cycle):
            writer.begin(Tag.abortWait, shard)
            writer.requestID(request)
            writer.varint(UInt64(cycle.count))
            for edge in cycle { edge.encode(into: &writer) }
        case .cacheRequest(let shard, let from, let epoch, let request):
            writer.begin(Tag.cacheRequest, shard)
            from.encode(into: &writer)
            epoch.encode(into: &writer)
            request.encode(into: &writer)
        case .cacheNotice(let shard, let envelope):
            writer.begin(Tag.cacheNotice, shard)
            envelope.to.encode(into: &writer)
            envelope.epoch.encode(into: &writer)
            envelope.notice.encode(into: &writer)
        case .cacheView(let view):
            writer.u8(Tag.cacheView)
            view.encode(into: &writer)
        case .inspectLine(let ticket, let key):
            writer.u8(Tag.inspectLine)
            writer.varint(ticket)
            writer.blob(key.bytes)
        case .lineInspected(let ticket, let inspection):
            writer.u8(Tag.lineInspected)
            writer.varint(ticket)
            inspection.encode(into: &writer)
        case .flushLines(let ticket, let milliseconds):
            writer.u8(Tag.flushLines)
            writer.varint(ticket)
            writer.varint(milliseconds)
        case .linesFlushed(let ticket, let report):
            writer.u8(Tag.linesFlushed)
            writer.varint(ticket)
            writer.varint(UInt64(report.lines))
            writer.varint(UInt64(report.left))
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let tag = try reader.u8()
        switch tag {
        case Tag.raft:
            let shard = try reader.shard()
            self = .raft(shard, try RaftMessage(decoding: &reader))
        case Tag.digest:
            let shard = try reader.shard()
            self = .digest(shard, index: try reader.logIndex(), hash: try reader.u64())
        case Tag.request:
            self = .request(try RoutedRequest(decoding: &reader))
        case Tag.reply:
            let shard = try reader.shard()
            let id = try reader.requestID()
            self = .reply(shard, id, try RoutedReply(decoding: &reader))
        case Tag.ownerWaits:
            self = try PeerMessage.ownerWaits(from: &reader)
        case Tag.watch:
            self = .watch(try reader.shard(), try reader.bool())
        case Tag.events:
            self = try PeerMessage.events(from: &reader)
        case Tag.confirmWaits:
            let shard = try reader.shard()
            self = .confirmWaits(shard, query: try reader.u64(), try reader.requestIDs())
        case Tag.waitsConfirmed:
            let shard = try reader.shard()
            self = .waitsConfirmed(shard, query: try reader.u64(), try reader.requestIDs())
        case Tag.abortWait:
            let shard = try reader.shard()
            let id = try reader.requestID()
            self = .abortWait(shard, id, cycle: try LockEventCodec.cycle(from: &reader))
        default: self = try PeerMessage.cache(tag, from: &reader)
        }
    }

    private static func cache(_ tag: UInt8, from reader: inout ByteReader) throws(DecodingError) -> PeerMessage {
        switch tag {
        case Tag.cacheRequest:
            return .cacheRequest(
                try reader.shard(),
                from: try CacheMember(decoding: &reader),
                try CacheEpoch(decoding: &reader),
                try HomeRequest(decoding: &reader)
            )
        case Tag.cacheNotice:
            return .cacheNotice(
                try reader.shard(),
                CacheNoticeEnvelope(
                    to: try CacheMember(decoding: &reader),
                    epoch: try CacheEpoch(decoding: &reader),
                    notice: try CacheNotice(decoding: &reader)
                )
            )
        case Tag.cacheView: return .cacheView(try CacheView(decoding: &reader))
        case Tag.inspectLine:
            return .inspectLine(
                ticket: try reader.varint(),
                CacheKey(try reader.blob(limit: CacheLimits.keyBytes, "key"))
            )
        case Tag.lineInspected:
            return .lineInspected(ticket: try reader.varint(), try LineInspection(decoding: &reader))
        case Tag.flushLines: return .flushLines(ticket: try reader.varint(), within: try reader.varint())
        case Tag.linesFlushed:
            let ticket = try reader.varint()
            let (lines, left) = (try reader.varint(), try reader.varint())
            guard left <= lines, lines <= UInt64(Int32.max) else { throw .invalidValue(what: "flushed lines") }
            return .linesFlushed(ticket: ticket, CacheFlushReport(lines: Int(lines), left: Int(left)))
        default: throw .unknownTag(what: "peer message", value: UInt64(tag))
        }
    }

    private static func ownerWaits(from reader: inout ByteReader) throws(DecodingError) -> PeerMessage {
        let shard = try reader.shard()
        let term = try reader.term()
        let count = try reader.elementCount("owner waits")
        var waits: [OwnerWait] = []
        for _ in 0..<count { waits.append(try OwnerWait(decoding: &reader)) }
        return .ownerWaits(shard, term, waits)
    }

    private static func events(from reader: inout ByteReader) throws(DecodingError) -> PeerMessage {
        let shard = try reader.shard()
        let count = try reader.elementCount("events")
        var events: [LockEvent] = []
        for _ in 0..<count { events.append(try LockEventCodec.decode(&reader)) }
        return .events(shard, events)
    }
}

extension ByteWriter {
    fileprivate mutating func begin(_ tag: UInt8, _ id: ShardID) {
        u8(tag)
        shard(id)
    }

    fileprivate mutating func waits(_ tag: UInt8, _ id: ShardID, _ query: UInt64, _ waits: [RequestID]) {
        begin(tag, id)
        u64(query)
        varint(UInt64(waits.count))
        for wait in waits { requestID(wait) }
    }
}

extension ByteReader {
    fileprivate mutating func requestIDs() throws(DecodingError) -> [RequestID] {
        let count = try elementCount("requests")
        var ids: [RequestID] = []
        for _ in 0..<count { ids.append(try requestID()) }
        return ids
    }
}
