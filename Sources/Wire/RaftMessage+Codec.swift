// SPDX-License-Identifier: Apache-2.0
package import Primitives
package import RaftCore

private enum Tag {
    static let preVote: UInt8 = 1
    static let preVoteReply: UInt8 = 2
    static let vote: UInt8 = 3
    static let voteReply: UInt8 = 4
    static let append: UInt8 = 5
    static let appendReply: UInt8 = 6
    static let heartbeat: UInt8 = 7
    static let heartbeatReply: UInt8 = 8
    static let snapshotChunk: UInt8 = 9
    static let snapshotReply: UInt8 = 10
    static let timeoutNow: UInt8 = 11
}

extension RaftMessage {
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .preVote(let request): request.encode(Tag.preVote, into: &writer)
        case .preVoteReply(let reply): reply.encode(Tag.preVoteReply, into: &writer)
        case .vote(let request): request.encode(Tag.vote, into: &writer)
        case .voteReply(let reply): reply.encode(Tag.voteReply, into: &writer)
        case .append(let request): request.encode(into: &writer)
        case .appendReply(let reply): reply.encode(into: &writer)
        case .heartbeat(let beat):
            writer.u8(Tag.heartbeat)
            writer.term(beat.term)
            writer.logIndex(beat.commit)
            writer.varint(beat.round)
        case .heartbeatReply(let reply):
            writer.u8(Tag.heartbeatReply)
            writer.term(reply.term)
            writer.varint(reply.round)
            writer.bool(reply.declinesLeadership)
        case .snapshotChunk(let chunk): chunk.encode(into: &writer)
        case .snapshotReply(let reply):
            writer.u8(Tag.snapshotReply)
            writer.term(reply.term)
            writer.logIndex(reply.index)
            writer.varint(reply.nextOffset)
            writer.bool(reply.installed)
        case .timeoutNow(let term):
            writer.u8(Tag.timeoutNow)
            writer.term(term)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let tag = try reader.u8()
        switch tag {
        case Tag.preVote: self = .preVote(try VoteRequest(decoding: &reader))
        case Tag.preVoteReply: self = .preVoteReply(try VoteReply(decoding: &reader))
        case Tag.vote: self = .vote(try VoteRequest(decoding: &reader))
        case Tag.voteReply: self = .voteReply(try VoteReply(decoding: &reader))
        case Tag.append: self = .append(try AppendRequest(decoding: &reader))
        case Tag.appendReply: self = .appendReply(try AppendReply(decoding: &reader))
        case Tag.heartbeat:
            let term = try reader.term()
            self = .heartbeat(Heartbeat(term: term, commit: try reader.logIndex(), round: try reader.position("round")))
        case Tag.heartbeatReply:
            let term = try reader.term()
            let round = try reader.position("round")
            self = .heartbeatReply(HeartbeatReply(term: term, round: round, declinesLeadership: try reader.bool()))
        case Tag.snapshotChunk: self = .snapshotChunk(try SnapshotChunk(decoding: &reader))
        case Tag.snapshotReply:
            let term = try reader.term()
            let index = try reader.logIndex()
            let next = try reader.position("snapshot offset")
            self = .snapshotReply(
                SnapshotReply(term: term, index: index, nextOffset: next, installed: try reader.bool())
            )
        case Tag.timeoutNow: self = .timeoutNow(term: try reader.term())
        default: throw .unknownTag(what: "raft message", value: UInt64(tag))
        }
    }
}

extension VoteRequest {
    fileprivate func encode(_ tag: UInt8, into writer: inout ByteWriter) {
        writer.u8(tag)
        writer.term(term)
        writer.logIndex(lastIndex)
        writer.term(lastTerm)
        writer.bool(transfer)
    }

    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        let term = try reader.term()
        let lastIndex = try reader.logIndex()
        let lastTerm = try reader.term()
        self.init(term: term, lastIndex: lastIndex, lastTerm: lastTerm, transfer: try reader.bool())
    }
}

extension VoteReply {
    fileprivate func encode(_ tag: UInt8, into writer: inout ByteWriter) {
        writer.u8(tag)
        writer.term(term)
        writer.bool(granted)
    }

    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(term: try reader.term(), granted: try reader.bool())
    }
}

extension AppendRequest {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.u8(Tag.append)
        writer.term(term)
        writer.logIndex(previousIndex)
        writer.term(previousTerm)
        writer.logIndex(commit)
        Entry.encode(entries, into: &writer)
    }

    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        let term = try reader.term()
        let previousIndex = try reader.logIndex()
        let previousTerm = try reader.term()
        let commit = try reader.logIndex()
        let entries = try Entry.decodeList(&reader)
        if let first = entries.first, first.index != previousIndex.next {
            throw .invalidValue(what: "first entry of an append")
        }
        self.init(
            term: term,
            previousIndex: previousIndex,
            previousTerm: previousTerm,
            entries: entries,
            commit: commit
        )
    }
}

extension AppendReply {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.u8(Tag.appendReply)
        writer.term(term)
        writer.bool(accepted)
        writer.logIndex(index)
        writer.logIndex(hintIndex)
        writer.term(hintTerm)
    }

    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        let term = try reader.term()
        let accepted = try reader.bool()
        let index = try reader.logIndex()
        let hintIndex = try reader.logIndex()
        self.init(term: term, accepted: accepted, index: index, hintIndex: hintIndex, hintTerm: try reader.term())
    }
}

extension SnapshotChunk {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.u8(Tag.snapshotChunk)
        writer.term(term)
        snapshot.encode(into: &writer)
        writer.varint(offset)
        writer.u32(checksum)
        writer.blob(bytes)
    }

    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        let term = try reader.term()
        let snapshot = try SnapshotMetadata(decoding: &reader)
        let offset = try reader.position("snapshot offset")
        let checksum = try reader.u32()
        let bytes = try reader.blob("snapshot chunk")
        guard offset <= snapshot.size, UInt64(bytes.count) <= snapshot.size - offset else {
            throw .invalidValue(what: "snapshot chunk range")
        }
        self.init(term: term, snapshot: snapshot, offset: offset, bytes: bytes, checksum: checksum)
    }
}
