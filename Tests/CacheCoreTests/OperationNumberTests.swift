// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Testing

@Suite("Numbers in values")
struct OperationNumberTests {
    private func add(_ number: Int64, to value: String?) -> CacheAnswer {
        OperationTests.evaluate(.add(number), on: value).answer
    }

    private func addDecimal(_ text: String, to value: String?) -> String {
        let change = OperationTests.evaluate(.addDecimal(Array(text.utf8)), on: value, expiresAt: 5_000_000)
        switch (change.answer, change.effect) {
        case (.number(let number), .store(let stored, expiresAt: 5_000_000)) where number == stored && value != nil:
            return String(decoding: number, as: UTF8.self)
        case (.refused(let refusal), .none): return "\(refusal)"
        default: return "\(change)"
        }
    }

    // MARK: Whole numbers

    @Test("a whole number is its shortest spelling and nothing else")
    func spelling() {
        for text in ["0", "1", "-1", "10", "9223372036854775807", "-9223372036854775808"] {
            #expect(add(0, to: text) == .count(Int64(text)!))
            #expect(StrictInteger.parse(Array(text.utf8)) == Int64(text))
        }
        for text in [
            "", "-", "+5", "-0", "00", "01", "-01", " 5", "5 ", "5\0", "1.0", "1e3", "0x10", "five",
            "9223372036854775808", "-9223372036854775809", "99999999999999999999", "18446744073709551616",
            "-99999999999999999999999",
        ] {
            #expect(add(0, to: text) == .refused(.notInteger), "\(text)")
            #expect(StrictInteger.parse(Array(text.utf8)) == nil, "\(text)")
        }
    }

    @Test("every number reads back from its text")
    func roundTrip() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<5_000 {
            let number = Int64(bitPattern: random.next()) >> Int64(random.below(64))
            #expect(StrictInteger.parse(Array(String(number).utf8)) == number)
        }
    }

    @Test("a sum that does not fit is refused and changes nothing")
    func overflow() {
        let largest = String(Int64.max)
        let smallest = String(Int64.min)
        #expect(OperationTests.evaluate(.add(1), on: largest) == CacheChange(.refused(.overflow)))
        #expect(OperationTests.evaluate(.add(.min), on: "-1") == CacheChange(.refused(.overflow)))
        #expect(add(-1, to: smallest) == .refused(.overflow))
        #expect(add(.max, to: smallest) == .count(-1))
        #expect(add(.min, to: nil) == .count(.min))
        #expect(
            OperationTests.evaluate(.add(-3), on: "10", expiresAt: 2_000_000)
                == CacheChange(.count(7), OperationTests.stored("7", expiresAt: 2_000_000))
        )
    }

    // MARK: Decimal numbers

    /// As redis-server 7.0.15 answered.
    static let recorded: [(value: String, addend: String, sum: String)] = [
        ("10.50", "0.1", "10.6"), ("5.0e3", "2.0e2", "5200"), ("0", "0", "0"), ("-0", "0", "0"), ("1", "-1", "0"),
        ("0.1", "0.2", "0.3"), ("-0.1", "-0.2", "-0.3"), ("0.3", "-0.1", "0.2"), ("3.0", "1.0", "4"),
        (".5", "5.", "5.5"), ("+.5e+1", "1E1", "15"), ("1e-2", "-.25", "-0.24"), ("0e99999999999", "1", "1"),
        ("00012", "-0003", "9"), ("1e-17", "1e-17", "0.00000000000000002"), ("1e-18", "1e-18", "0"),
        ("4e-18", "4e-18", "0.00000000000000001"), ("-4e-18", "0", "0"), ("1e19", "1", "10000000000000000001"),
        ("1234567890123456789", "0", "1234567890123456789"), ("9.99999999999999999", "1e-17", "10"),
        ("60.000001", "-60", "0.000001"), ("1", "1e-4950", "1"), ("+12", "+0.5", "12.5"),
    ]

    @Test("decimal sums are those of Redis", arguments: recorded)
    func decimal(_ row: (value: String, addend: String, sum: String)) {
        #expect(addDecimal(row.addend, to: row.value) == row.sum)
        #expect(addDecimal(row.value, to: row.addend) == row.sum)
    }

    @Test("where Redis shows the rounding of its processor, the sum is exact")
    func exact() {
        // Redis on x86: 1234.57000000000000006 and 100000000000.30000000447034836.
        #expect(addDecimal("0.01", to: "1234.56") == "1234.57")
        #expect(addDecimal("0.2", to: "100000000000.1") == "100000000000.3")
        #expect(addDecimal("-1e30", to: "1000000000000000000000000000000.5") == "0.5")
        #expect(addDecimal("1e4931", to: "1e4931") == "2" + String(repeating: "0", count: 4_931))
    }

    @Test("what is no decimal number is refused, and so is what no long double can hold")
    func refused() {
        for text in [
            "", " 1", "1 ", "\t1", "1\0", "-", "+", ".", "-.", "e5", ".e5", "1e", "1e+", "1e5.0", "1.2.3", "--1", "+-1",
            "1_0", "12abc", "nan", "-nan", "nan(1)", "in", "infinit", "infinityy", "0x10", "1e4933", "1.19e4932",
            "1e99999999999999999999999", "1e-4951", "-1e-5000", String(repeating: "0", count: 5_120),
        ] {
            #expect(addDecimal("1", to: text) == "notFloat", "\(text)")
            #expect(addDecimal(text, to: "1") == "notFloat", "\(text)")
        }
        #expect(addDecimal("1", to: String(repeating: "0", count: 5_119)) == "1")
        for text in ["inf", "-INF", "+Infinity", "iNfInItY"] {
            #expect(addDecimal("1", to: text) == "notFinite")
            #expect(addDecimal(text, to: "1") == "notFinite")
            #expect(addDecimal("x", to: text) == "notFloat")
        }
        #expect(addDecimal("1.1e4932", to: "1.1e4932") == "notFinite")
        #expect(addDecimal("-1.1e4932", to: "1.1e4932") == "0")
    }

    @Test("INCRBYFLOAT of an absent key begins at zero")
    func fromNothing() {
        #expect(
            OperationTests.evaluate(.addDecimal(Array("-3.50".utf8)), on: nil)
                == CacheChange(.number(Array("-3.5".utf8)), OperationTests.stored("-3.5"))
        )
    }

    /// Units of 10^-17 in 128 bits: another way to the same sums.
    private func spelled(_ units: Int128) -> String {
        let scale: Int128 = 100_000_000_000_000_000
        let magnitude = units.magnitude
        var fraction = String(magnitude % scale.magnitude)
        fraction = String(repeating: "0", count: 17 - fraction.count) + fraction
        while fraction.last == "0" { fraction.removeLast() }
        let whole = String(magnitude / scale.magnitude)
        return (units < 0 ? "-" : "") + (fraction.isEmpty ? whole : whole + "." + fraction)
    }

    @Test("sums agree with 128-bit arithmetic, in any order and any spelling")
    func model() {
        var random = SeededRandom(seed: 11)
        func number() -> Int128 {
            let wide = Int128(Int64(bitPattern: random.next())) * Int128(random.below(1 << 40) + 1)
            return wide >> Int128(random.below(100))
        }
        for _ in 0..<5_000 {
            let (left, right) = (number(), number())
            let sum = spelled(left + right)
            #expect(addDecimal(spelled(right), to: spelled(left)) == sum)
            #expect(addDecimal(spelled(left), to: spelled(right)) == sum)
            #expect(addDecimal("\(right)e-17", to: "\(left)000E-20") == sum)
        }
    }

    @Test("digits behind the seventeenth are rounded, half of it to the even one")
    func rounding() {
        let rows = [
            ("0.000000000000000015", "0.00000000000000002"), ("0.000000000000000025", "0.00000000000000002"),
            ("0.0000000000000000250000001", "0.00000000000000003"), ("0.000000000000000005", "0"),
            ("0.00000000000000000500000000001", "0.00000000000000001"),
            ("-0.0000000000000000149", "-0.00000000000000001"),
            ("0.999999999999999995", "1"), ("-9.999999999999999999999999", "-10"),
        ]
        for (text, sum) in rows { #expect(addDecimal(text, to: "0") == sum) }
    }
}
