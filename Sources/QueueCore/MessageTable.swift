// SPDX-License-Identifier: Apache-2.0
import Primitives

/// The index entry of one message: 24 bytes, and all there is of a plain one beside its 8 bytes in a line.
struct MessageRecord: Sendable {
    /// `MessageID.rawValue`.
    let id: UInt64
    /// Publish stamp in the high 48 bits, then a flag, four bits of priority and the state in the low four.
    private var meta: UInt64
    /// The slot of the extra record when the message has one, else its bytes.
    private var word: UInt32
    /// Slot of its queue, and the tenant's place there.
    var queue: UInt16
    var tenant: UInt16

    private static let extraFlag: UInt64 = 1 << 8

    init(id: UInt64, published: UInt64, priority: UInt8, bytes: UInt32, queue: UInt16, tenant: UInt16) {
        self.id = id
        meta = published << 16 | UInt64(priority & 15) << 4 | UInt64(MessageState.ready.rawValue)
        word = bytes
        self.queue = queue
        self.tenant = tenant
    }

    var published: UInt64 { meta >> 16 }

    var priority: Int { Int(meta >> 4 & 15) }

    /// Nil once the message is no more.
    var state: MessageState? {
        get { MessageState(rawValue: UInt8(truncatingIfNeeded: meta & 15)) }
        set { meta = meta & ~15 | UInt64(newValue?.rawValue ?? 0) }
    }

    var isGone: Bool { meta & 15 == 0 }

    /// `noSlot` when it has none.
    var extra: Slot {
        get { meta & Self.extraFlag == 0 ? noSlot : Slot(bitPattern: word) }
        set {
            meta |= Self.extraFlag
            word = UInt32(bitPattern: newValue)
        }
    }

    /// Meaningful only without an extra record, which has the number then.
    var plainBytes: UInt32 { word }
}

/// All messages of a shard in the order of their ids, in chunks. Ids rise, so a message is appended at the end and
/// found by two binary searches; no hash index is needed. What refers to a message does so by id, so chunks may be
/// rewritten: one that has become three quarters empty is.
struct MessageTable: Sendable {
    private struct Chunk: Sendable {
        var first: UInt64
        var live: Int
        var records: [MessageRecord]
    }

    /// Where a record is, until the next removal.
    struct Position {
        fileprivate var chunk: Int
        fileprivate var offset: Int
    }

    private static var capacity: Int { 512 }

    private var chunks: [Chunk] = []
    /// Chunks without a live record; they leave the directory when they are half of it.
    private var emptied = 0
    private(set) var count = 0

    subscript(position: Position) -> MessageRecord {
        _read { yield chunks[position.chunk].records[position.offset] }
        _modify { yield &chunks[position.chunk].records[position.offset] }
    }

    /// The live record with this id.
    func find(_ id: UInt64) -> Position? {
        let chunk = chunk(of: id)
        guard chunk >= 0 else { return nil }
        return chunks[chunk].records.withUnsafeBufferPointer { records in
            var low = 0
            var high = records.count
            while low < high {
                let middle = (low + high) / 2
                if records[middle].id < id { low = middle + 1 } else { high = middle }
            }
            guard low < records.count, records[low].id == id, !records[low].isGone else { return nil }
            return Position(chunk: chunk, offset: low)
        }
    }

    /// The last chunk that begins at or before the id; -1 when there is none.
    private func chunk(of id: UInt64) -> Int {
        chunks.withUnsafeBufferPointer { chunks in
            // New messages are asked for most.
            if let last = chunks.last, last.first <= id { return chunks.count - 1 }
            var low = 0
            var high = chunks.count
            while low < high {
                let middle = (low + high) / 2
                if chunks[middle].first <= id { low = middle + 1 } else { high = middle }
            }
            return low - 1
        }
    }

    /// The highest id still in the table, live or lately removed; zero when there is none.
    var lastID: UInt64 { chunks.last?.records.last?.id ?? 0 }

    /// The id must be above all before it.
    mutating func append(_ record: MessageRecord) {
        if chunks.isEmpty || chunks[chunks.count - 1].records.count >= Self.capacity
            || chunks[chunks.count - 1].live == 0
        {
            var records: [MessageRecord] = []
            records.reserveCapacity(Self.capacity)
            chunks.append(Chunk(first: record.id, live: 0, records: records))
        }
        let last = chunks.count - 1
        invariant(chunks[last].records.last.map { $0.id < record.id } ?? true, "a message id that does not rise")
        chunks[last].records.append(record)
        chunks[last].live += 1
        count += 1
    }

    mutating func remove(_ position: Position) {
        let chunk = position.chunk
        chunks[chunk].records[position.offset].state = nil
        chunks[chunk].live -= 1
        count -= 1
        let live = chunks[chunk].live
        if live == 0 {
            chunks[chunk].records = []
            emptied += 1
            if emptied * 2 > chunks.count + 16 {
                chunks.removeAll { $0.live == 0 }
                emptied = 0
            }
        } else if chunks[chunk].records.count >= 64, live * 4 < chunks[chunk].records.count, chunk < chunks.count - 1 {
            chunks[chunk].records = chunks[chunk].records.filter { !$0.isGone }
        }
    }

    /// Live records in the order of their ids, from `id` on, while `body` says true.
    func forEach(from id: UInt64 = 0, _ body: (MessageRecord) -> Bool) {
        for chunk in chunks[max(chunk(of: id), 0)...] where chunk.live > 0 {
            for record in chunk.records where record.id >= id && !record.isGone {
                guard body(record) else { return }
            }
        }
    }

    /// Bytes reserved for records.
    var reservedBytes: Int {
        chunks.reduce(0) { $0 + $1.records.capacity * MemoryLayout<MessageRecord>.stride + 64 }
    }
}
