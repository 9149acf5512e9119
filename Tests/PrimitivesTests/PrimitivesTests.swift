// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@Suite("Primitives")
struct PrimitivesTests {
    @Test("varints of every width come back, and an overlong one is refused")
    func varints() throws {
        for shift in 0..<64 {
            let value = UInt64(1) << UInt64(shift)
            var writer = ByteWriter()
            writer.varint(value)
            writer.varint(value - 1)
            var reader = ByteReader(writer.bytes)
            #expect(try reader.varint() == value)
            #expect(try reader.varint() == value - 1)
            try reader.expectEnd()
        }
        var overlong = ByteReader([UInt8](repeating: 0xff, count: 11))
        #expect(throws: DecodingError.self) { try overlong.varint() }
    }

    @Test("text and bytes come back; cut anywhere they are truncated, never a trap")
    func truncation() throws {
        var writer = ByteWriter()
        writer.text("héllo")
        writer.blob([1, 2, 3])
        writer.u64(9)
        for end in writer.bytes.indices {
            var reader = ByteReader(writer.bytes, from: 0, to: end)
            #expect(throws: DecodingError.self) {
                _ = try reader.text()
                _ = try reader.blob()
                _ = try reader.u64()
            }
        }
        var invalid = ByteReader([2, 0xff, 0xfe])
        #expect(throws: DecodingError.invalidText) { try invalid.text() }
        var huge = ByteReader([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])
        #expect(throws: DecodingError.truncated) { try huge.blob() }
    }

    @Test("another format's first byte is refused, with who wrote it and what to do")
    func versions() throws {
        var same = ByteReader([2, 9])
        try same.version(2, "thing")
        #expect(same.remaining == 1)
        let earlier = DecodingError.otherVersion(what: "thing", found: 1, known: 2)
        var old = ByteReader([1])
        #expect(throws: earlier) { try old.version(2, "thing") }
        #expect(earlier.remedy.contains("earlier version") && earlier.remedy.contains("start that version"))
        let later = DecodingError.otherVersion(what: "thing", found: 3, known: 2)
        var new = ByteReader([3])
        #expect(throws: later) { try new.version(2, "thing") }
        #expect(later.remedy.contains("newer version") && later.remedy.contains("upgrade"))
        var empty = ByteReader([])
        #expect(throws: DecodingError.truncated) { try empty.version(2, "thing") }
        #expect(DecodingError.truncated.remedy.contains("damaged"))
    }

    @Test("names are compared by their bytes, not by Unicode equivalence")
    func names() {
        #expect(Name("é") != Name("e\u{301}"))
        #expect(Name("a") < Name("b"))
    }

    @Test("an ordered map iterates in key order whatever the order of insertion")
    func orderedMap() {
        var map = OrderedMap<Int, Int>()
        var random = SeededRandom(seed: 1)
        var model: [Int: Int] = [:]
        for _ in 0..<2_000 {
            let key = Int(random.below(200))
            if random.chance(1, in: 3) {
                map[key] = nil
                model[key] = nil
            } else {
                map[key] = key * 2
                model[key] = key * 2
            }
        }
        #expect(map.keys == model.keys.sorted())
        #expect(map.allSatisfy { model[$0.key] == $0.value })
        map.removePrefix(below: 100)
        #expect(map.keys == model.keys.filter { $0 >= 100 }.sorted())
    }

    @Test("a timer heap gives deadlines in order, ties in the order they were set")
    func timers() {
        var heap = TimerHeap<Int>()
        var random = SeededRandom(seed: 2)
        for number in 0..<500 { heap.insert(number, at: Instant(nanoseconds: random.below(20))) }
        var last = (Instant.zero, -1)
        while let deadline = heap.earliest, let number = heap.popDue(deadline) {
            #expect((deadline, number) > last)
            last = (deadline, number)
        }
        #expect(heap.count == 0)
        #expect(heap.popDue(.distantFuture) == nil)
    }

    @Test("a bounded queue keeps order, wraps, and refuses above its limit")
    func boundedQueue() {
        var queue = BoundedQueue<Int>(limit: 40)
        var model: [Int] = []
        var random = SeededRandom(seed: 3)
        for number in 0..<5_000 {
            if random.chance(3, in: 5) {
                let accepted = queue.append(number)
                #expect(accepted == (model.count < 40))
                if accepted { model.append(number) }
            } else {
                #expect(queue.popFirst() == (model.isEmpty ? nil : model.removeFirst()))
            }
        }
        #expect(queue.count == model.count)
    }

    @Test("time saturates instead of trapping")
    func time() {
        #expect(Instant.distantFuture + .milliseconds(5) == .distantFuture)
        #expect(Interval.milliseconds(.max) == Interval(nanoseconds: .max))
        #expect(Instant.zero.since(.distantFuture) == .zero)
        #expect(Interval.milliseconds(1) - .milliseconds(5) == .zero)
    }

    @Test("FNV-1a of published vectors")
    func stableHash() {
        #expect(StableHash.fnv1a("".utf8) == 0xcbf2_9ce4_8422_2325)
        #expect(StableHash.fnv1a("a".utf8) == 0xaf63_dc4c_8601_ec8c)
        #expect(StableHash.fnv1a("foobar".utf8) == 0x8594_4171_f739_67e8)
    }
}
