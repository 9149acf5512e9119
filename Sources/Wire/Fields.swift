// SPDX-License-Identifier: Apache-2.0
package import Primitives
package import RaftCore

/// Terms, indexes, offsets, sizes and rounds stay below this, so that no sum of two of them that a core makes of a
/// peer's or disk's numbers can overflow.
let positionLimit: UInt64 = 1 << 62

/// Voters of one Raft group.
let maxVoters = 256

extension ByteReader {
    mutating func position(_ what: String) throws(DecodingError) -> UInt64 {
        let value = try varint()
        guard value < positionLimit else { throw .invalidValue(what: what) }
        return value
    }

    mutating func term() throws(DecodingError) -> Term { Term(try position("term")) }

    mutating func logIndex() throws(DecodingError) -> LogIndex { LogIndex(try position("log index")) }

    mutating func shard() throws(DecodingError) -> ShardID { ShardID(try u16()) }

    mutating func nodeID() throws(DecodingError) -> NodeID { NodeID(try u64()) }

    mutating func optionalNodeID() throws(DecodingError) -> NodeID? { try bool() ? try nodeID() : nil }

    mutating func requestID() throws(DecodingError) -> RequestID {
        RequestID(origin: try u64(), number: try position("request number"))
    }

    /// A count of elements that take at least one byte each: never more than the bytes that are left.
    mutating func elementCount(_ what: String) throws(DecodingError) -> Int { try count(limit: remaining, what) }
}

extension ByteWriter {
    mutating func term(_ value: Term) { varint(value.rawValue) }

    mutating func logIndex(_ value: LogIndex) { varint(value.rawValue) }

    mutating func shard(_ value: ShardID) { u16(value.rawValue) }

    mutating func nodeID(_ value: NodeID) { u64(value.rawValue) }

    mutating func optionalNodeID(_ value: NodeID?) {
        bool(value != nil)
        if let value { nodeID(value) }
    }

    mutating func requestID(_ value: RequestID) {
        u64(value.origin)
        varint(value.number)
    }
}

extension HardState {
    func encode(into writer: inout ByteWriter) {
        writer.term(term)
        writer.optionalNodeID(vote)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(term: try reader.term(), vote: try reader.optionalNodeID())
    }
}

extension SnapshotMetadata {
    package func encode(into writer: inout ByteWriter) {
        writer.logIndex(index)
        writer.term(term)
        writer.varint(UInt64(voters.count))
        for voter in voters { writer.nodeID(voter) }
        writer.varint(size)
        writer.varint(stateBytes)
        writer.u32(checksum)
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let index = try reader.logIndex()
        let term = try reader.term()
        let count = try reader.count(limit: maxVoters, "voters")
        var voters: [NodeID] = []
        voters.reserveCapacity(count)
        for _ in 0..<count { voters.append(try reader.nodeID()) }
        let size = try reader.position("snapshot size")
        let stateBytes = try reader.position("snapshot state size")
        guard stateBytes <= size else { throw .invalidValue(what: "snapshot state size") }
        self.init(
            index: index,
            term: term,
            voters: voters,
            size: size,
            stateBytes: stateBytes,
            checksum: try reader.u32()
        )
    }
}

extension Entry {
    /// Writes consecutive entries; the index is written once, before the first.
    static func encode(_ entries: [Entry], into writer: inout ByteWriter) {
        writer.varint(UInt64(entries.count))
        guard let first = entries.first else { return }
        writer.logIndex(first.index)
        var expected = first.index
        for entry in entries {
            invariant(entry.index == expected, "entries written together are consecutive")
            expected = expected.next
            writer.term(entry.term)
            writer.u8(entry.kind.rawValue)
            writer.blob(entry.payload)
        }
    }

    static func decodeList(_ reader: inout ByteReader) throws(DecodingError) -> [Entry] {
        let count = try reader.elementCount("entries")
        guard count > 0 else { return [] }
        let first = try reader.position("log index")
        guard first < positionLimit - UInt64(count) else { throw .invalidValue(what: "log index") }
        var entries: [Entry] = []
        // An entry takes three bytes at least; a false count must not reserve more than the frame could hold.
        entries.reserveCapacity(Swift.min(count, reader.remaining / 3 + 1))
        for position in 0..<count {
            let term = try reader.term()
            let tag = try reader.u8()
            guard let kind = EntryKind(rawValue: tag) else {
                throw .unknownTag(what: "entry kind", value: UInt64(tag))
            }
            let payload = try reader.blob("entry")
            entries.append(Entry(term: term, index: LogIndex(first + UInt64(position)), kind: kind, payload: payload))
        }
        return entries
    }
}
