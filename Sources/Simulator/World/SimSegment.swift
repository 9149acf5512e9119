// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore
import Wire

/// The write-ahead log's file, in the format of the real one.
struct SimSegment {
    private(set) var writer: ByteWriter
    private let framer: LogRecordFramer
    private var sequence: UInt64 = 1

    /// A new segment that begins with what is alive.
    init(number: UInt64, node: NodeID, salt: UInt64, checkpoint: [ShardCheckpoint], entries: [[Entry]]) {
        let header = SegmentHeader(
            number: number,
            firstSequence: 1,
            node: node,
            clusterID: Array(repeating: 7, count: 16),
            salt: salt
        )
        framer = LogRecordFramer(header)
        writer = ByteWriter()
        writer.raw(header.encoded())
        var records: [LogRecord] = [.checkpoint(checkpoint)]
        for (position, shard) in entries.enumerated() where !shard.isEmpty {
            records.append(.entries(checkpoint[position].shard, shard))
        }
        append(records)
    }

    var count: Int { writer.count }

    var bytes: [UInt8] { writer.bytes }

    mutating func append(_ batch: [(shard: Int, operation: PersistOperation)]) {
        append(
            batch.map { shard, operation in
                let id = ShardID(UInt16(shard))
                return switch operation {
                case .hardState(let state): .hardState(id, state)
                case .entries(let entries): .entries(id, entries)
                case .snapshot(let metadata): .snapshot(id, metadata)
                case .reset(let metadata): .reset(id, metadata)
                }
            }
        )
    }

    private mutating func append(_ records: [LogRecord]) {
        for (place, record) in records.enumerated() {
            do throws(WireError) {
                try framer.append(record, sequence: sequence, placeInBatch: UInt32(place), to: &writer)
            } catch {
                invariantFailure("a simulated record is refused: \(error)")
            }
            sequence += 1
        }
    }

    // MARK: Accidents

    mutating func truncate(to length: Int) { writer.bytes.removeLast(writer.count - length) }

    mutating func flip(bit: UInt8, of position: Int) { writer.bytes[position] ^= 1 << bit }

    mutating func zero(_ range: Range<Int>) {
        for position in range { writer.bytes[position] = 0 }
    }

    // MARK: Recovery

    struct Contents {
        var operations: [(shard: Int, operation: PersistOperation)] = []
        var validLength = 0
        var tail = SegmentTail.clean
        /// Nothing of it can be trusted.
        var isUnreadable = false
    }

    /// Reads everything back, as recovery does.
    mutating func read() -> Contents {
        var contents = Contents()
        do throws(WireError) {
            var reader = try LogSegmentReader(writer.bytes)
            while let record = try reader.next() { Self.expand(record, into: &contents.operations) }
            contents.validLength = reader.offset
            contents.tail = reader.tail()
            sequence = reader.nextSequence
        } catch {
            contents.isUnreadable = true
        }
        return contents
    }

    private static func expand(_ record: LogRecord, into operations: inout [(shard: Int, operation: PersistOperation)])
    {
        switch record {
        case .hardState(let shard, let state): operations.append((Int(shard.rawValue), .hardState(state)))
        case .entries(let shard, let entries): operations.append((Int(shard.rawValue), .entries(entries)))
        case .snapshot(let shard, let metadata): operations.append((Int(shard.rawValue), .snapshot(metadata)))
        case .reset(let shard, let metadata): operations.append((Int(shard.rawValue), .reset(metadata)))
        case .checkpoint(let shards):
            for shard in shards {
                operations.append((Int(shard.shard.rawValue), .hardState(shard.hardState)))
                if let snapshot = shard.snapshot { operations.append((Int(shard.shard.rawValue), .snapshot(snapshot))) }
            }
        case .closed: break
        }
    }
}
