// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import CacheCore

@Suite("Limits of line tables")
struct LineLimitTests {
    @Test("keys and values of any allowed size are kept, and change size in place")
    func sizes() {
        var table = LineTable()
        var model = LineModel()
        let keyCounts = [0, 1, 7, 8, 900, 1_000, CacheLimits.keyBytes]
        let valueCounts = [0, 1, 100, 960, 1_016, 1_017, 131_000, 131_072, CacheLimits.valueBytes]
        for (number, keyCount) in keyCounts.enumerated() {
            let key = CacheKey((0..<keyCount).map { UInt8(truncatingIfNeeded: $0 &+ number) })
            for (step, valueCount) in (valueCounts + valueCounts.reversed()).enumerated() {
                let value = [UInt8](repeating: UInt8(step + 1), count: valueCount)
                var fields = LineFields(state: .modified, version: CacheVersion(index: UInt64(step)))
                fields.dirtySince = step % 2 == 0 ? 7 : nil
                if var slot = table.find(key) {
                    table.store(&slot, value, fields)
                } else {
                    table.insert(key, value, fields, tick: 1)
                }
                model.set(key, LineModel.Line(value: value, fields: fields))
                if step == 8 { model.check(table, "\(keyCount)") }
            }
            model.check(table, "\(keyCount)")
        }
    }

    @Test("a clone has the same lines in the same order and lives on by itself", arguments: EvictionPolicy.allCases)
    func clones(policy: EvictionPolicy) {
        var random = SeededRandom(seed: 4)
        var table = LineTable(policy: policy)
        var model = LineModel()
        for number in 0..<500 {
            let key = CacheKey("key \(number)")
            var fields = LineFields(state: .exclusive, version: CacheVersion(index: 1, minor: 2), expiresAt: 9)
            if number % 3 == 0 { fields.dirtySince = UInt32(number) }
            let value = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: Int(random.below(2_000)))
            table.insert(key, value, fields, tick: UInt64(number))
            model.set(key, LineModel.Line(value: value, fields: fields))
        }
        var clone = table.clone()
        #expect(LineModel.keys(clone) == LineModel.keys(table) && clone.summary == table.summary)
        var other = model
        for number in 0..<250 {
            let key = CacheKey("key \(number * 2)")
            guard var slot = clone.find(key) else {
                Issue.record("\(key)")
                return
            }
            if number % 2 == 0 {
                clone.remove(slot)
                other.remove(key)
            } else {
                let fields = LineFields(state: .shared, version: .zero, dirtySince: 3)
                clone.store(&slot, [1, 2, 3], fields)
                other.set(key, LineModel.Line(value: [1, 2, 3], fields: fields))
            }
        }
        model.check(table, "original")
        other.check(clone, "clone")
        let again = clone.clone()
        other.check(again, "clone of a clone")
    }

    @Test("a walk meets every line, also when it removes what it meets")
    func walks() {
        for seed in 0..<20 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            var table = LineTable()
            var model = LineModel()
            for number in 0..<Int(random.below(400)) {
                let state: LineState = random.chance(1, in: 3) ? .modified : .shared
                let value = [UInt8](repeating: 1, count: Int(random.below(300)))
                let fields = LineFields(state: state, version: .zero)
                table.insert(CacheKey("\(number)"), value, fields, tick: 0)
                model.set(CacheKey("\(number)"), LineModel.Line(value: value, fields: fields))
            }
            // What a new epoch does: Modified lines stay.
            var met: [CacheKey] = []
            var cursor = LineCursor()
            while let slot = table.next(&cursor) {
                let key = CacheKey(Array(table.key(slot)))
                met.append(key)
                guard table.state(slot) == .shared else { continue }
                table.remove(slot)
                model.remove(key)
            }
            #expect(Set(met).isSuperset(of: model.lines.keys), "seed \(seed)")
            model.check(table, "seed \(seed)")
            #expect(table.count(of: .shared) == 0 && table.count(of: .modified) == table.count)
        }
    }

    @Test("a line of a hundred bytes has at most 48 bytes beside key and value, in all that the table holds")
    func metadata() {
        var table = LineTable()
        var beside: [Double] = []
        for number in 1...200_000 {
            table.insert(numbered: number)
            guard number >= 50_000, number % 1_000 == 0 else { continue }
            #expect(Double(table.bytes) / Double(number) - 116 <= 48)
            beside.append(Double(table.heldBytes) / Double(number) - 116)
        }
        // Over all sizes, among them those at which an old and a new index are held.
        let mean = beside.reduce(0, +) / Double(beside.count)
        #expect(mean <= 48, "\(mean)")
        #expect(beside.allSatisfy { $0 <= 64 }, "\(beside.max() ?? 0)")

        // Sixteen tables have sixteen begun pages.
        var held = 0
        for part in 0..<16 {
            var table = LineTable()
            for number in 0..<6_250 { table.insert(numbered: number * 16 + part) }
            held += table.heldBytes
        }
        #expect(Double(held) / 100_000 - 116 <= 56, "\(held)")
    }

    @Test("what the lines are said to take is what is held, whatever sizes come and go")
    func accounting() {
        var random = SeededRandom(seed: 8)
        var table = LineTable()
        for phase in 0..<6 {
            // Each phase has other sizes, which a heap of fixed classes would suffer from.
            for _ in 0..<30_000 {
                let key = CacheKey("key \(random.below(8_000))")
                let value = [UInt8](repeating: 1, count: phase * 60 + Int(random.below(90)))
                if var slot = table.find(key) {
                    table.replaceValue(&slot, value)
                } else {
                    table.insert(key, value, LineFields(state: .shared, version: .zero), tick: 0)
                }
            }
            let excess = table.heldBytes - table.bytes
            #expect(excess > -table.bytes / 50 && excess < table.bytes / 20 + 300_000, "phase \(phase): \(excess)")
        }
        // And it goes back when the lines go.
        var cursor = LineCursor()
        while let slot = table.next(&cursor) { table.remove(slot) }
        #expect(table.bytes == 0 && table.heldBytes < 40_000, "\(table.heldBytes)")
    }

    @Test("looking for what is not there stays quick after many lines have come and gone")
    func churn() {
        for count in [3, 11, 40, 700, 20_000] {
            var table = LineTable()
            var random = SeededRandom(seed: UInt64(count))
            var keys = (0..<count).map { CacheKey("\($0)") }
            for key in keys { table.insert(key, [], LineCache.fields, tick: 0) }
            for step in 0..<max(5_000, count * 4) {
                let place = Int(random.below(UInt64(count)))
                guard let slot = table.find(keys[place]) else {
                    Issue.record("\(keys[place]) is missing")
                    return
                }
                table.remove(slot)
                keys[place] = CacheKey("\(count + step)")
                #expect(table.find(keys[place]) == nil)
                table.insert(keys[place], [], LineCache.fields, tick: 0)
            }
            #expect(table.index.meanWalk < 6, "\(count): \(table.index.meanWalk)")
            #expect(table.count == count)
        }
    }

    @Test("a look-up considers only entries that are there")
    func lookups() {
        for count in [5, 300, 5_000] {
            var random = SeededRandom(seed: UInt64(count))
            var index = LineIndex()
            // An entry's hash is that of its number; freed numbers come back, as blocks do.
            var hashes = (0..<count).map { _ in random.next() }
            var lives = [Bool](repeating: false, count: count)
            for _ in 0..<60_000 {
                let number = Int(random.below(UInt64(count)))
                if lives[number] {
                    index.remove(hashes[number], UInt32(number)) { hashes[Int($0)] }
                } else {
                    hashes[number] = random.next()
                    index.insert(hashes[number], UInt32(number)) { hashes[Int($0)] }
                }
                lives[number].toggle()
                var vacant = 0
                _ = index.find(random.next()) {
                    if !lives[Int($0)] { vacant += 1 }
                    return false
                }
                #expect(vacant == 0)
                #expect(index.find(hashes[number]) { Int($0) == number } == (lives[number] ? UInt32(number) : nil))
            }
        }
    }

    @Test("dirty lines stand in the order in which they became dirty; a second write does not move one")
    func dirtyOrder() {
        var table = LineTable()
        for number in 0..<10 { table.insert(CacheKey("\(number)"), [], LineCache.fields, tick: 0) }
        func set(_ key: String, dirty: UInt32?) {
            guard var slot = table.find(CacheKey(key)) else {
                Issue.record("\(key)")
                return
            }
            var fields = table.fields(slot)
            fields.dirtySince = dirty
            table.setFields(&slot, fields)
        }
        func order() -> [String] { LineModel.dirtyKeys(table).map(\.description) }
        for (time, key) in ["4", "2", "7", "1"].enumerated() { set(key, dirty: UInt32(time)) }
        #expect(order() == ["4", "2", "7", "1"])
        set("4", dirty: 9)
        #expect(order() == ["4", "2", "7", "1"])
        set("2", dirty: nil)
        set("4", dirty: nil)
        set("4", dirty: 10)
        #expect(order() == ["7", "1", "4"] && table.dirtyCount == 3)
    }

    @Test("a slot from before a removal is not taken for another line's")
    func staleSlots() async {
        await #expect(processExitsWith: .failure) {
            var table = LineTable()
            table.insert(CacheKey("a"), [1], LineCache.fields, tick: 0)
            table.insert(CacheKey("b"), [2], LineCache.fields, tick: 0)
            guard let a = table.find(CacheKey("a")), let b = table.find(CacheKey("b")) else { return }
            table.remove(a)
            _ = table.value(b)
        }
    }
}

extension LineTable {
    /// A key of sixteen bytes, a value of a hundred.
    mutating func insert(numbered number: Int) {
        let digits = String(number)
        let key = CacheKey("key:" + String(repeating: "0", count: 12 - digits.count) + digits)
        let fields = LineFields(state: .shared, version: CacheVersion(index: UInt64(number)), gid: UInt64(number))
        insert(key, [UInt8](repeating: 7, count: 100), fields, tick: UInt64(number))
    }
}
