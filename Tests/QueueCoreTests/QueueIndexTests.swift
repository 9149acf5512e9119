// SPDX-License-Identifier: Apache-2.0
import Primitives
import Synchronization
import Testing

@testable import QueueCore

extension IndexLayout {
    /// Packs whatever it can.
    static var tiny: IndexLayout {
        var layout = IndexLayout()
        layout.chunkRecords = 4
        layout.hotChunks = 2
        layout.looseRecords = 2
        layout.lineIDs = 3
        return layout
    }
}

/// Counts the blocks that are alive, and overwrites those that are freed.
private final class BlockLedger: ColdBlockOwner {
    let alive = Mutex(0)
    let made = Mutex(0)

    func block(_ bytes: UnsafeRawBufferPointer) -> ColdBlock {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        copy.copyMemory(from: bytes)
        alive.withLock { $0 += 1 }
        made.withLock { $0 += 1 }
        return ColdBlock(UnsafeRawBufferPointer(copy), owner: self)
    }

    func release(_ bytes: UnsafeRawBufferPointer) {
        let bytes = UnsafeMutableRawBufferPointer(mutating: bytes)
        for place in bytes.indices { bytes[place] = 0xa5 }
        bytes.deallocate()
        alive.withLock { $0 -= 1 }
    }
}

@Suite("Queue index")
struct QueueIndexTests {
    /// Records as far apart, and of as many kinds, as the numbers given say.
    private static func records(_ random: inout SeededRandom, _ count: Int) -> [MessageRecord] {
        func bits(_ most: UInt64) -> UInt64 { random.next() & (1 << random.below(most + 1) - 1) }
        let gap = random.below(40)
        let ordinals = random.below(13)
        let spread = (0..<5).map { _ in random.below(4) == 0 ? 64 : random.below(20) }
        func some(_ column: Int) -> UInt64 {
            spread[column] == 64 ? random.next() : random.next() & (1 << spread[column] - 1)
        }
        var entry = random.below(2) == 0 ? 0 : bits(51)
        var published = bits(46)
        var last: UInt64 = 0
        var made: [MessageRecord] = []
        while made.count < count {
            let ordinal = random.next() & (1 << ordinals - 1)
            if entry << 12 | ordinal <= last { entry += 1 + (random.next() & (1 << gap - 1)) }
            guard entry < 1 << 52 else { return made }
            last = entry << 12 | ordinal
            published += some(0) & 0xffff
            let kind = UInt16(truncatingIfNeeded: some(1) & 0x1f0) | UInt16(1 + random.below(4))
            made.append(
                MessageRecord(
                    id: last,
                    published: published,
                    kind: kind,
                    word: UInt32(truncatingIfNeeded: some(2)),
                    queue: UInt16(truncatingIfNeeded: some(3)),
                    tenant: UInt16(truncatingIfNeeded: some(4))
                )
            )
        }
        return made
    }

    @Test("records come out of a packed chunk as they went in, each by itself too", arguments: 0..<200)
    func roundTrip(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed) &* 6_151 &+ 11)
        let count = seed < 20 ? seed + 1 : 1 + Int(random.below(600))
        let records = Self.records(&random, count)
        guard !records.isEmpty else { return }
        let bytes = PackedRecords.pack(records)
        bytes.withUnsafeBytes { bytes in
            #expect(PackedRecords.isSound(bytes))
            #expect(!PackedRecords.isSound(UnsafeRawBufferPointer(rebasing: bytes.dropLast())))
            let packed = PackedRecords(bytes)
            let unpacked = packed.unpacked()
            #expect(unpacked == records)
            #expect(PackedRecords.pack(unpacked) == Array(bytes))
            for (place, record) in records.enumerated() {
                #expect(packed.id(at: place) == record.id)
                #expect(packed.lowerBound(record.id) == place)
                #expect(packed.lowerBound(record.id + 1) == place + 1)
            }
            #expect(packed.record(at: records.count / 2) == records[records.count / 2])
            #expect(packed.lowerBound(0) == 0)
        }
    }

    @Test("a column takes as many bits as its numbers stray from a line")
    func widths() {
        func column(_ values: [UInt64], isSloped: Bool = true) -> PackedColumn {
            values.withUnsafeBufferPointer { PackedColumn($0, isSloped: isSloped) }
        }
        #expect(column([7]).width == 0)
        #expect(column((0..<500).map { 1_000 + 4_096 * $0 }).width == 0)
        #expect(column((0..<500).map { $0 / 10 }).width <= 2)
        #expect(column([0, 1, 2, 1_000], isSloped: false).width == 10)
        #expect(column([0, 1 << 56 - 1], isSloped: false).width == 56)
        #expect(column([0, 1 << 56], isSloped: false).width == 64)
        for values in [[0, .max, 1, 1 << 63], [.max, 0, 5], [1 << 56, 3, 0, 1 << 57 - 1]] as [[UInt64]] {
            for isSloped in [true, false] {
                let column = column(values, isSloped: isSloped)
                var bits = [UInt8](repeating: 0, count: column.byteCount(values.count) + PackedColumn.padding)
                bits.withUnsafeMutableBytes { bits in
                    guard let start = bits.baseAddress else { return }
                    values.withUnsafeBufferPointer { column.write($0, to: start) }
                    #expect(values.indices.map { column.value(at: $0, start) } == values)
                }
            }
        }
    }

    @Test("the table agrees with a plain array through any changes", arguments: 0..<6)
    func table(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed) &* 31 &+ 5)
        var layout = IndexLayout.tiny
        layout.chunkRecords = [1, 4, 7][seed % 3]
        layout.hotChunks = 2 + seed
        layout.looseRecords = [0, 2, 3, 9][seed % 4]
        var table = MessageTable(layout: layout)
        var model: [MessageRecord] = []
        var next: UInt64 = 1
        for step in 0..<1_500 {
            switch random.below(step < 1_000 ? 10 : 14) {
            case 0..<5:
                next += 1 + (random.chance(1, in: 3) ? random.below(9_000) : 0)
                let record = MessageRecord(
                    id: next,
                    published: UInt64(step),
                    priority: 3,
                    bytes: UInt32(random.below(50)),
                    queue: UInt16(random.below(3)),
                    tenant: 0
                )
                table.append(record)
                model.append(record)
            case 5..<7 where !model.isEmpty:
                let place = Int(random.below(UInt64(model.count)))
                let position = try #require(table.find(model[place].id))
                table[position].state = .delayed
                table[position].extra = Slot(step)
                model[place].state = .delayed
                model[place].extra = Slot(step)
            case 7:
                var writer = ByteWriter()
                table.encode(into: &writer)
                var reader = ByteReader(writer.bytes)
                table = try MessageTable(decoding: &reader, layout: layout, stamp: 10_000)
                #expect(reader.isAtEnd)
            case 8:
                let from = random.below(next + 2)
                let visits = Int(random.below(20))
                var seen: [MessageRecord] = []
                table.forEach(from: from) { record in
                    seen.append(record)
                    return seen.count < visits
                }
                let wanted = model.filter { $0.id >= from }.prefix(max(1, visits))
                #expect(seen == Array(wanted))
            case 9...:
                guard !model.isEmpty else { continue }
                let front = random.chance(1, in: 2) ? 0 : Int(random.below(UInt64(model.count)))
                let id = model.remove(at: front).id
                table.remove(try #require(table.find(id)))
                #expect(table.find(id) == nil)
            default: break
            }
            if step % 8 == 0 { #expect(table.fault() == nil) }
            #expect(table.count == model.count)
        }
        var seen: [MessageRecord] = []
        table.forEach { record in
            seen.append(record)
            return true
        }
        #expect(seen == model)
        #expect(model.allSatisfy { record in table.find(record.id).map { table[$0] } == record })
    }

    @Test("lines keep their order while they are packed")
    func lines() {
        var random = SeededRandom(seed: 3)
        var layout = IndexLayout.tiny
        layout.lineIDs = 16
        layout.chunkRecords = 32
        var world = QueueWorld(index: layout)
        world.checksSnapshots = false
        world.checksInvariants = false
        var waiting: [String: [MessageID]] = ["a": [], "b": []]
        for step in 0..<4_000 {
            let queue = random.chance(1, in: 3) ? "a" : "b"
            switch random.below(step < 2_000 ? 6 : 10) {
            case 0..<4: waiting[queue]? += world.publish(queue, random.chance(1, in: 3) ? 3 : 1)
            case 4:
                guard let ids = waiting[queue], !ids.isEmpty else { continue }
                let place = Int(random.below(UInt64(ids.count)))
                world.answer(.cancelMessage(Name(queue), ids[place]))
                waiting[queue]?.remove(at: place)
            default:
                let count = 1 + Int(random.below(4))
                let deliveries = world.receive(queue, UInt64(count))
                #expect(deliveries.map(\.id) == Array((waiting[queue] ?? []).prefix(count)))
                if random.chance(1, in: 5) {
                    world.nack(queue, deliveries)
                } else {
                    world.settle(queue, deliveries)
                    waiting[queue]?.removeFirst(deliveries.count)
                }
            }
            if step % 100 == 0 { world.state.checkInvariants() }
        }
        world.state.checkInvariants()
        world.checkSnapshot()
    }

    @Test("a copy reads what the original has let go, and no block outlives them")
    func copies() async {
        let ledger = BlockLedger()
        var layout = IndexLayout(makeBlock: { ledger.block($0) })
        layout.chunkRecords = 16
        layout.hotChunks = 4
        layout.lineIDs = 8
        do {
            var random = SeededRandom(seed: 9)
            var world = QueueWorld(index: layout)
            world.checksSnapshots = false
            world.checksInvariants = false
            for _ in 0..<2_000 { world.publish(random.chance(1, in: 2) ? "a" : "b", 1 + Int(random.below(3))) }
            for _ in 0..<6 {
                let expected = world.encoded()
                let copy = world.state.encodable
                let encoding = Task.detached {
                    var all = true
                    for _ in 0..<5 {
                        var writer = ByteWriter()
                        copy.encode(into: &writer)
                        all = all && writer.bytes == expected
                    }
                    return all
                }
                for _ in 0..<150 {
                    let queue = random.chance(1, in: 2) ? "a" : "b"
                    world.settle(queue, world.receive(queue, 3))
                    world.publish(queue)
                }
                #expect(await encoding.value)
                world.state.checkInvariants()
            }
            world.apply(.purge("a"))
            world.apply(.purge("b"))
            world.advance(1)
            #expect(world.state.messageCount == 0)
            #expect(ledger.made.withLock { $0 } > 100)
        }
        #expect(ledger.alive.withLock { $0 } == 0)
    }

    @Test("a damaged packed chunk is refused or is another lawful state, and never a trap")
    func damage() {
        var world = QueueWorld(index: .tiny)
        world.checksSnapshots = false
        for size in 1...9 { world.publish("q", 2) { $0.body = Array(repeating: 1, count: size * 40) } }
        world.settle("q", world.receive("q", 3))
        _ = world.receive("q", 2)
        let bytes = world.encoded()
        var random = SeededRandom(seed: 8)
        var refused = 0
        for place in bytes.indices {
            var damaged = bytes
            damaged[place] ^= UInt8(1 + random.below(255))
            var reader = ByteReader(damaged)
            if let state = try? QueueState(decoding: &reader, index: .tiny) {
                state.checkInvariants()
            } else {
                refused += 1
            }
        }
        #expect(refused > bytes.count / 2)
        for end in stride(from: 0, to: bytes.count, by: 7) {
            var reader = ByteReader(bytes, from: 0, to: end)
            #expect(throws: DecodingError.self) { try QueueState(decoding: &reader, index: .tiny) }
        }
    }
}
