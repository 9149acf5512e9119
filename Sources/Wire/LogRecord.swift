// SPDX-License-Identifier: Apache-2.0
package import Primitives
package import RaftCore

/// One shard's position as a segment began: what a reader must know when the segments before it are gone.
package struct ShardCheckpoint: Equatable, Sendable {
    package var shard: ShardID
    package var hardState: HardState
    package var snapshot: SnapshotMetadata?

    package init(shard: ShardID, hardState: HardState, snapshot: SnapshotMetadata?) {
        self.shard = shard
        self.hardState = hardState
        self.snapshot = snapshot
    }
}

/// What the write-ahead log holds. Tags are never reused; an unknown one stops recovery (DESIGN §3 rule 7).
package enum LogRecord: Equatable, Sendable {
    case hardState(ShardID, HardState)
    /// Consecutive entries; those at or above the first index that were there before are replaced.
    case entries(ShardID, [Entry])
    /// The log begins after this snapshot; entries after it stay.
    case snapshot(ShardID, SnapshotMetadata)
    /// The log begins after this snapshot and holds nothing yet: entries after it are dead too.
    case reset(ShardID, SnapshotMetadata)
    /// First record of every segment: all shards known by then.
    case checkpoint([ShardCheckpoint])
    /// Written when the log is closed in order: everything before it was durable.
    case closed
}

extension LogRecord {
    private enum Tag {
        static let hardState: UInt8 = 1
        static let entries: UInt8 = 2
        static let snapshot: UInt8 = 3
        static let checkpoint: UInt8 = 4
        static let closed: UInt8 = 5
        static let reset: UInt8 = 6
    }

    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .hardState(let shard, let state):
            writer.u8(Tag.hardState)
            writer.shard(shard)
            state.encode(into: &writer)
        case .entries(let shard, let entries):
            writer.u8(Tag.entries)
            writer.shard(shard)
            Entry.encode(entries, into: &writer)
        case .snapshot(let shard, let metadata):
            writer.u8(Tag.snapshot)
            writer.shard(shard)
            metadata.encode(into: &writer)
        case .reset(let shard, let metadata):
            writer.u8(Tag.reset)
            writer.shard(shard)
            metadata.encode(into: &writer)
        case .checkpoint(let shards):
            writer.u8(Tag.checkpoint)
            writer.varint(UInt64(shards.count))
            for shard in shards {
                writer.shard(shard.shard)
                shard.hardState.encode(into: &writer)
                writer.bool(shard.snapshot != nil)
                shard.snapshot?.encode(into: &writer)
            }
        case .closed:
            writer.u8(Tag.closed)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let tag = try reader.u8()
        switch tag {
        case Tag.hardState:
            let shard = try reader.shard()
            self = .hardState(shard, try HardState(decoding: &reader))
        case Tag.entries:
            let shard = try reader.shard()
            self = .entries(shard, try Entry.decodeList(&reader))
        case Tag.snapshot:
            let shard = try reader.shard()
            self = .snapshot(shard, try SnapshotMetadata(decoding: &reader))
        case Tag.reset:
            let shard = try reader.shard()
            self = .reset(shard, try SnapshotMetadata(decoding: &reader))
        case Tag.checkpoint:
            let count = try reader.count(limit: Int(UInt16.max) + 1, "shards")
            var shards: [ShardCheckpoint] = []
            for _ in 0..<count {
                let shard = try reader.shard()
                let state = try HardState(decoding: &reader)
                let snapshot = try reader.bool() ? try SnapshotMetadata(decoding: &reader) : nil
                shards.append(ShardCheckpoint(shard: shard, hardState: state, snapshot: snapshot))
            }
            self = .checkpoint(shards)
        case Tag.closed:
            self = .closed
        default:
            throw .unknownTag(what: "log record", value: UInt64(tag))
        }
    }
}
