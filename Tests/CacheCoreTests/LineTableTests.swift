// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Testing

@Suite("Line tables")
struct LineTableTests {
    private static func randomFields(_ random: inout SeededRandom, exists: Bool) -> LineFields {
        let states: [LineState] = [.shared, .exclusive, .modified]
        return LineFields(
            state: states[Int(random.below(3))],
            version: CacheVersion(
                index: random.chance(1, in: 8) ? random.next() : random.below(1 << 48),
                minor: random.chance(1, in: 4) ? UInt32(truncatingIfNeeded: random.next()) : 0
            ),
            gid: random.chance(1, in: 8) ? random.next() : random.below(1 << 48),
            expiresAt: random.chance(1, in: 3) ? random.next() : 0,
            exists: exists,
            durability: CacheDurability.allCases[Int(random.below(4))],
            flags: LineFlags(rawValue: UInt16(random.below(1 << 13))),
            dirtySince: random.chance(1, in: 3) ? UInt32(truncatingIfNeeded: random.next()) : nil
        )
    }

    private static func randomBytes(_ random: inout SeededRandom, count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    private static func randomValue(_ random: inout SeededRandom) -> [UInt8] {
        let limits: [UInt64] = [1, 40, 200, 1_200, 5_000]
        return randomBytes(&random, count: Int(random.below(limits[Int(random.below(5))])))
    }

    @Test("a table is a dictionary of its lines, whatever is done to it", arguments: EvictionPolicy.allCases)
    func differential(policy: EvictionPolicy) {
        for seed in 0..<6 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            var table = LineTable(policy: policy)
            var model = LineModel()
            // Different lengths, one of them none at all.
            let keys =
                (0..<300).map { number in
                    CacheKey(Array("\(number)".utf8) + Array(repeating: 0, count: number % 50))
                } + [CacheKey([])]
            for step in 0..<6_000 as Range<UInt64> {
                Self.change(&table, &model, keys[Int(random.below(UInt64(keys.count)))], &random, tick: step)
                if step % 500 == 0 { model.check(table, "seed \(seed) step \(step)") }
            }
            model.check(table, "seed \(seed)")
            while let key = model.lines.keys.min(), let slot = table.find(key) {
                table.remove(slot)
                model.remove(key)
            }
            model.check(table, "seed \(seed) emptied")
            #expect(table.bytes == 0 && table.oldestDirty == nil)
        }
    }

    private static func change(
        _ table: inout LineTable,
        _ model: inout LineModel,
        _ key: CacheKey,
        _ random: inout SeededRandom,
        tick: UInt64
    ) {
        guard var slot = table.find(key), var line = model.lines[key] else {
            #expect(model.lines[key] == nil && table.find(key) == nil)
            let exists = !random.chance(1, in: 6)
            let value = exists ? randomValue(&random) : []
            let fields = randomFields(&random, exists: exists)
            table.insert(key, value, fields, tick: tick)
            return model.set(key, LineModel.Line(value: value, fields: fields))
        }
        switch random.below(6) {
        case 0:
            table.remove(slot)
            return model.remove(key)
        case 1:
            line.fields = randomFields(&random, exists: line.fields.exists)
            table.setFields(&slot, line.fields)
        case 2:
            line.value = randomValue(&random)
            line.fields = randomFields(&random, exists: true)
            table.store(&slot, line.value, line.fields)
        case 3:
            line.value = []
            line.fields = randomFields(&random, exists: false)
            table.store(&slot, line.value, line.fields)
        case 4 where line.fields.exists:
            line.value = randomValue(&random)
            table.replaceValue(&slot, line.value)
        default: table.touch(slot, tick: tick)
        }
        model.set(key, line)
        // The slot that was passed in is still the line's.
        #expect(Array(table.key(slot)) == key.bytes && table.find(key) == slot)
    }
}
