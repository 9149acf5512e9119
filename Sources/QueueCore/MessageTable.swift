// SPDX-License-Identifier: Apache-2.0
import Primitives

/// All messages of a shard in the order of their ids, in chunks. Ids rise, so a message is appended at the end and
/// found by two binary searches; no hash index is needed. What refers to a message does so by id, so chunks may be
/// rewritten: one that has become three quarters empty is.
///
/// Chunks that change are arrays of records and stand in a ring; when the ring is full, a chunk that nobody has changed
/// since the clock hand came by last is packed. Reading leaves a packed chunk as it is. A record that changes becomes
/// *loose*: it stands for the one that is packed. When many have, the chunk is unpacked, as it is when a delivery front
/// reaches it; changes here and there in a large backlog do not unpack a chunk each.
struct MessageTable: Sendable {
    private struct Chunk: Sendable {
        /// Not above the first id.
        var first: UInt64
        var live: Int32 = 0
        /// In the ring; -1 when packed or empty.
        var place: Int32 = -1
        /// Changed since the hand came by.
        var isTouched = true
        /// Of a packed chunk the loose ones.
        var records: [MessageRecord]
        /// Records that were live when they were packed.
        var packed: ColdBlock?
    }

    /// Where a record is, until another record changes.
    struct Position: Sendable {
        fileprivate var chunk: Int
        /// Among the chunk's records, or its packed ones.
        fileprivate var offset: Int
        fileprivate var isPacked = false
    }

    let layout: IndexLayout
    private var chunks: [Chunk] = []
    /// Messages that the last chunk still takes. Counted by what was appended, so that where chunks begin does not
    /// depend on when a snapshot dropped what was gone.
    private var room = 0
    /// Chunks without a live record; they leave the directory when they are half of it.
    private var emptied = 0
    /// The unpacked chunks, the last among them.
    private var ring: [Int32] = []
    private var hand = 0
    private(set) var count = 0
    /// Where a record was added or changed last, which is asked for again at once. It may stand elsewhere by now.
    private var recent = Position(chunk: 0, offset: 0)

    init(layout: IndexLayout = IndexLayout()) { self.layout = layout }

    subscript(position: Position) -> MessageRecord {
        _read {
            let place = resolve(position)
            if place.isPacked, let packed = chunks[place.chunk].packed {
                yield packed.withBytes { PackedRecords($0).record(at: place.offset) }
            } else {
                yield chunks[place.chunk].records[place.offset]
            }
        }
        _modify {
            var place = resolve(position)
            if place.isPacked { place = loosen(place) }
            chunks[place.chunk].isTouched = true
            recent = place
            yield &chunks[place.chunk].records[place.offset]
        }
    }

    /// The live record with this id.
    func find(_ id: UInt64) -> Position? {
        if isRecent(id) { return recent }
        let chunk = chunk(of: id)
        guard chunk >= 0 else { return nil }
        let offset = Self.lowerBound(id, chunks[chunk].records)
        if offset < chunks[chunk].records.count, chunks[chunk].records[offset].id == id {
            return chunks[chunk].records[offset].isGone ? nil : Position(chunk: chunk, offset: offset)
        }
        return chunks[chunk].packed?.withBytes { bytes in
            let records = PackedRecords(bytes)
            let offset = records.lowerBound(id)
            guard offset < records.count, records.id(at: offset) == id else { return nil }
            return Position(chunk: chunk, offset: offset, isPacked: true)
        }
    }

    /// Where a record that was packed is now: it may have become loose, or its chunk unpacked, when it changed.
    private func resolve(_ position: Position) -> Position {
        guard position.isPacked else { return position }
        guard let packed = chunks[position.chunk].packed else {
            return Position(chunk: position.chunk, offset: position.offset)
        }
        let loose = chunks[position.chunk].records
        guard !loose.isEmpty else { return position }
        let id = packed.withBytes { PackedRecords($0).id(at: position.offset) }
        let offset = Self.lowerBound(id, loose)
        return offset < loose.count && loose[offset].id == id
            ? Position(chunk: position.chunk, offset: offset) : position
    }

    private static func lowerBound(_ id: UInt64, _ records: [MessageRecord]) -> Int {
        records.withUnsafeBufferPointer { records in
            var low = 0
            var high = records.count
            while low < high {
                let middle = (low + high) / 2
                if records[middle].id < id { low = middle + 1 } else { high = middle }
            }
            return low
        }
    }

    private func isRecent(_ id: UInt64) -> Bool {
        guard recent.chunk < chunks.count, recent.offset < chunks[recent.chunk].records.count else { return false }
        let record = chunks[recent.chunk].records[recent.offset]
        return record.id == id && !record.isGone
    }

    /// The last chunk that begins at or before the id; -1 when there is none.
    private func chunk(of id: UInt64) -> Int {
        guard !chunks.isEmpty else { return -1 }
        return chunks.withUnsafeBufferPointer { chunks in
            // New messages are asked for most.
            if let base = chunks.baseAddress, base[chunks.count - 1].first <= id { return chunks.count - 1 }
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
    var lastID: UInt64 {
        guard let last = chunks.last else { return 0 }
        if let packed = last.packed {
            return packed.withBytes { bytes in
                let records = PackedRecords(bytes)
                return records.id(at: records.count - 1)
            }
        }
        return last.records.last?.id ?? 0
    }

    /// The id must be above all before it.
    mutating func append(_ record: MessageRecord) {
        if room == 0 {
            var records: [MessageRecord] = []
            records.reserveCapacity(layout.chunkRecords)
            chunks.append(Chunk(first: record.id, records: records))
            enterRing(chunks.count - 1)
            room = layout.chunkRecords
        }
        room -= 1
        let last = chunks.count - 1
        invariant(chunks[last].records.last.map { $0.id < record.id } ?? true, "a message id that does not rise")
        recent = Position(chunk: last, offset: chunks[last].records.count)
        chunks[last].records.append(record)
        chunks[last].live += 1
        chunks[last].isTouched = true
        count += 1
    }

    mutating func remove(_ position: Position) {
        let chunk = position.chunk
        self[position].state = nil
        chunks[chunk].live -= 1
        count -= 1
        let live = Int(chunks[chunk].live)
        if live == 0 {
            chunks[chunk].records = []
            chunks[chunk].packed = nil
            leaveRing(chunk)
            if chunk == chunks.count - 1 { room = 0 }
            emptied += 1
            if emptied * 2 > chunks.count + 16 { dropEmptied() }
        } else if chunks[chunk].packed == nil, chunks[chunk].records.count >= 64,
            live * 4 < chunks[chunk].records.count, chunk < chunks.count - 1
        {
            chunks[chunk].records = chunks[chunk].records.filter { !$0.isGone }
        }
    }

    private mutating func dropEmptied() {
        chunks.removeAll { $0.live == 0 }
        emptied = 0
        for chunk in chunks.indices where chunks[chunk].place >= 0 {
            ring[Int(chunks[chunk].place)] = Int32(truncatingIfNeeded: chunk)
        }
    }

    /// Live records in the order of their ids, from `id` on, while `body` says true.
    func forEach(from id: UInt64 = 0, _ body: (MessageRecord) -> Bool) {
        for chunk in chunks[max(chunk(of: id), 0)...] where chunk.live > 0 {
            let goesOn =
                if let packed = chunk.packed {
                    packed.withBytes { Self.forEach(in: PackedRecords($0), loose: chunk.records, from: id, body) }
                } else {
                    chunk.records.allSatisfy { $0.id < id || $0.isGone || body($0) }
                }
            guard goesOn else { return }
        }
    }

    /// False when `body` said so.
    private static func forEach(
        in records: PackedRecords,
        loose: [MessageRecord],
        from id: UInt64,
        _ body: (MessageRecord) -> Bool
    ) -> Bool {
        let fields = records.fields
        var next = lowerBound(id, loose)
        for index in records.lowerBound(id)..<records.count {
            var record = fields.record(at: index)
            if next < loose.count, loose[next].id == record.id {
                record = loose[next]
                next += 1
                if record.isGone { continue }
            }
            guard body(record) else { return false }
        }
        return true
    }
}

// MARK: Packing

extension MessageTable {
    /// Places stay as they were: what is gone stays too.
    private mutating func unpack(_ chunk: Int) {
        guard let packed = chunks[chunk].packed else { return }
        var records = packed.withBytes { PackedRecords($0).unpacked() }
        for record in chunks[chunk].records { records[Self.lowerBound(record.id, records)] = record }
        chunks[chunk].records = records
        chunks[chunk].packed = nil
        enterRing(chunk)
    }

    /// Makes a packed record one that may be changed.
    private mutating func loosen(_ position: Position) -> Position {
        let chunk = position.chunk
        guard chunks[chunk].records.count < layout.looseRecords, let packed = chunks[chunk].packed else {
            unpack(chunk)
            return Position(chunk: chunk, offset: position.offset)
        }
        let record = packed.withBytes { PackedRecords($0).record(at: position.offset) }
        let place = Self.lowerBound(record.id, chunks[chunk].records)
        chunks[chunk].records.insert(record, at: place)
        return Position(chunk: chunk, offset: place)
    }

    /// The live records.
    private static func live(_ chunk: Chunk) -> [MessageRecord] {
        guard let packed = chunk.packed else {
            return chunk.records.count == Int(chunk.live) ? chunk.records : chunk.records.filter { !$0.isGone }
        }
        var records: [MessageRecord] = []
        records.reserveCapacity(Int(chunk.live))
        _ = packed.withBytes {
            forEach(in: PackedRecords($0), loose: chunk.records, from: 0) { record in
                records.append(record)
                return true
            }
        }
        return records
    }

    private mutating func pack(_ chunk: Int) {
        let live = Self.live(chunks[chunk])
        chunks[chunk].packed = PackedRecords.pack(live).withUnsafeBytes { layout.makeBlock($0) }
        chunks[chunk].records = []
    }

    private mutating func enterRing(_ chunk: Int) {
        let room = max(layout.hotChunks, chunks.count / IndexLayout.hotShare, 2)
        while ring.count >= room { packColdest() }
        chunks[chunk].place = Int32(truncatingIfNeeded: ring.count)
        chunks[chunk].isTouched = true
        ring.append(Int32(truncatingIfNeeded: chunk))
    }

    private mutating func leaveRing(_ chunk: Int) {
        let place = Int(chunks[chunk].place)
        guard place >= 0 else { return }
        chunks[chunk].place = -1
        let moved = ring.removeLast()
        guard place < ring.count else { return }
        ring[place] = moved
        chunks[Int(moved)].place = Int32(truncatingIfNeeded: place)
    }

    /// The ring has at least two chunks, so one beside the last.
    private mutating func packColdest() {
        while true {
            if hand >= ring.count { hand = 0 }
            let chunk = Int(ring[hand])
            if chunks[chunk].isTouched || chunk == chunks.count - 1 {
                chunks[chunk].isTouched = false
                hand += 1
                continue
            }
            pack(chunk)
            leaveRing(chunk)
            // What took its place came last.
            hand += 1
            return
        }
    }

    /// Bytes reserved for records, and how many of them are in blocks.
    var reservedBytes: (all: Int, inBlocks: Int) {
        let blocks = chunks.reduce(0) { $0 + ($1.packed?.count ?? 0) }
        let objects = chunks.reduce(0) { objects, chunk in
            objects + ((chunk.packed == nil ? 0 : 1) + (chunk.records.capacity == 0 ? 0 : 1)) * Self.objectBytes
        }
        let records = chunks.reduce(0) { $0 + $1.records.capacity * MemoryLayout<MessageRecord>.stride }
        return (blocks + objects + records + chunks.capacity * MemoryLayout<Chunk>.stride, blocks)
    }

    /// About what the header of an array or block takes on the heap.
    static var objectBytes: Int { 64 }

    /// What is wrong with the chunks; nil when nothing is.
    func fault() -> String? {
        var live = 0
        var last: UInt64 = 0
        var unpacked = 0
        for (index, chunk) in chunks.enumerated() {
            var records = chunk.records
            if let packed = chunk.packed {
                guard packed.withBytes({ PackedRecords.isSound($0) }) else { return "chunk \(index) is unreadable" }
                records = packed.withBytes { PackedRecords($0).unpacked() }
                guard records.allSatisfy({ !$0.isGone }) else { return "chunk \(index) holds what is gone" }
                for loose in chunk.records {
                    guard let place = records.firstIndex(where: { $0.id == loose.id }) else {
                        return "a loose record of chunk \(index) stands for none"
                    }
                    records[place] = loose
                }
                guard chunk.records.count <= layout.looseRecords,
                    zip(chunk.records, chunk.records.dropFirst()).allSatisfy({ $0.id < $1.id })
                else { return "the loose records of chunk \(index) are out of order" }
            }
            guard records.lazy.filter({ !$0.isGone }).count == Int(chunk.live) else {
                return "chunk \(index) counts its records wrongly"
            }
            for record in records {
                guard record.id > last, record.id >= chunk.first else { return "ids in chunk \(index) do not rise" }
                last = record.id
            }
            live += Int(chunk.live)
            let isUnpacked = chunk.packed == nil && !chunk.records.isEmpty
            guard (chunk.place >= 0) == isUnpacked else { return "chunk \(index) is lost" }
            guard chunk.place >= 0 else { continue }
            unpacked += 1
            guard Int(chunk.place) < ring.count, Int(ring[Int(chunk.place)]) == index else {
                return "chunk \(index) is not in the ring"
            }
        }
        guard live == count, unpacked == ring.count else { return "messages or unpacked chunks are counted wrongly" }
        guard room == 0 || chunks.last?.packed == nil else { return "messages are to go to a packed chunk" }
        return nil
    }
}

// MARK: Snapshots

extension MessageTable {
    /// Each chunk as it is packed, or would be.
    func encode(into writer: inout ByteWriter) {
        writer.varint(UInt64(room))
        writer.varint(UInt64(chunks.lazy.filter { $0.live > 0 }.count))
        for chunk in chunks where chunk.live > 0 {
            if let packed = chunk.packed, chunk.records.isEmpty {
                writer.varint(UInt64(packed.count))
                packed.withBytes { writer.raw($0) }
            } else {
                writer.blob(PackedRecords.pack(Self.live(chunk)))
            }
        }
    }

    /// Reads what `encode` wrote and checks that each record can be one: ids and stamps rise, no stamp is above
    /// `stamp`. What records refer to is for the caller to check.
    init(decoding reader: inout ByteReader, layout: IndexLayout, stamp: UInt64) throws(DecodingError) {
        self.init(layout: layout)
        room = try reader.count(limit: PackedRecords.limit, "room in a chunk")
        var last: (id: UInt64, published: UInt64) = (0, 0)
        for _ in 0..<(try reader.varint()) {
            let bytes = try reader.blob(limit: PackedRecords.byteLimit, "packed chunk")
            guard bytes.withUnsafeBytes({ PackedRecords.isSound($0) }) else {
                throw .invalidValue(what: "queue snapshot: packed chunk")
            }
            let block = bytes.withUnsafeBytes { layout.makeBlock($0) }
            let (isValid, first, live) = block.withBytes { bytes in
                let records = PackedRecords(bytes)
                let isValid = Self.forEach(in: records, loose: [], from: 0) { record in
                    defer { last = (record.id, record.published) }
                    return record.id > last.id && record.published >= last.published && record.isValid
                }
                return (isValid, records.id(at: 0), records.count)
            }
            guard isValid, last.published <= stamp else { throw .invalidValue(what: "queue snapshot: message") }
            chunks.append(Chunk(first: first, live: Int32(live), records: [], packed: block))
            count += live
        }
        guard room + Int(chunks.last?.live ?? 0) <= PackedRecords.limit, room == 0 || !chunks.isEmpty else {
            throw .limitExceeded(what: "room in a chunk")
        }
        guard room > 0 else { return }
        unpack(chunks.count - 1)
        chunks[chunks.count - 1].records.reserveCapacity(layout.chunkRecords)
    }
}
