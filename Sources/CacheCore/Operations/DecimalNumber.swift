// SPDX-License-Identifier: Apache-2.0

/// A decimal number, exactly: INCRBYFLOAT must give the same digits on every replica, whatever its processor makes of a
/// `long double`.
///
/// Redis adds in 64 bits of mantissa (on x86) and prints 17 fractional digits. Up to about 64 that shows the exact sum,
/// rounded, which is what this computes everywhere; further up Redis begins to show its rounding error in the last
/// digits, and this does not.
struct DecimalNumber {
    enum Parsed {
        case finite(DecimalNumber)
        case infinite
    }

    var isNegative: Bool
    /// The most significant first, none of the outer ones zero; empty: zero.
    var digits: [UInt8]
    /// The value is the digits, read as a whole number, times ten to this.
    var exponent: Int

    static let zero = DecimalNumber(isNegative: false, digits: [], exponent: 0)

    /// What is printed behind the point.
    private static let fractionDigits = 17
    /// Bytes of the longest `text`: sign, 4,933 digits, point, fraction.
    static let textLimit = 4_935 + fractionDigits

    init(isNegative: Bool, digits: [UInt8], exponent: Int) {
        let first = digits.firstIndex { $0 != 0 } ?? digits.count
        let end = (digits.lastIndex { $0 != 0 } ?? first - 1) + 1
        self.isNegative = isNegative && first < end
        self.digits = Array(digits[first..<end])
        self.exponent = first < end ? exponent + digits.count - end : 0
    }

    // MARK: Range

    /// The value is 0.ddd… times ten to this.
    private var magnitude: Int { digits.count + exponent }

    /// 2^16384: the first that an 80-bit or 128-bit `long double` cannot hold.
    var isTooLarge: Bool {
        if magnitude != 4_933 { return magnitude > 4_933 }
        return !digits.lexicographicallyPrecedes(Self.largest)
    }

    /// At most half of the smallest 80-bit `long double`, 2^-16446, and not zero: what `strtold` reads as zero, and
    /// Redis refuses.
    var isTooSmall: Bool {
        if digits.isEmpty { return false }
        if magnitude != -4_950 { return magnitude < -4_950 }
        return digits.lexicographicallyPrecedes(Self.smallest)
    }

    private static let largest: [UInt8] = [1, 1, 8, 9, 7, 3, 1, 4, 9, 5, 3, 5, 7, 2, 3, 1, 7, 6, 5, 0, 8, 5, 7, 5, 9]
    private static let smallest: [UInt8] = [1, 8, 2, 2, 5, 9, 9, 7, 6, 5, 9, 4, 1, 2, 3, 7, 3, 0, 1, 2, 6]

    // MARK: Sum

    static func + (left: DecimalNumber, right: DecimalNumber) -> DecimalNumber {
        let exponent = min(left.exponent, right.exponent)
        let first = left.wholeDigits(exponent)
        let second = right.wholeDigits(exponent)
        if left.isNegative == right.isNegative {
            return DecimalNumber(isNegative: left.isNegative, digits: sum(first, second), exponent: exponent)
        }
        if isLess(first, second) {
            return DecimalNumber(isNegative: right.isNegative, digits: difference(second, first), exponent: exponent)
        }
        return DecimalNumber(isNegative: left.isNegative, digits: difference(first, second), exponent: exponent)
    }

    /// The digits of the value in units of ten to `exponent`, which is not above its own; the least significant first.
    private func wholeDigits(_ exponent: Int) -> [UInt8] {
        digits.isEmpty ? [] : Array(repeating: 0, count: self.exponent - exponent) + digits.reversed()
    }

    private static func sum(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(max(left.count, right.count) + 1)
        var carry: UInt8 = 0
        for position in 0..<max(left.count, right.count) {
            let total =
                carry + (position < left.count ? left[position] : 0)
                + (position < right.count ? right[position] : 0)
            result.append(total % 10)
            carry = total / 10
        }
        result.append(carry)
        return result.reversed()
    }

    /// Neither begins (ends, in this order) with a zero.
    private static func isLess(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count == right.count
            ? left.reversed().lexicographicallyPrecedes(right.reversed()) : left.count < right.count
    }

    private static func difference(_ larger: [UInt8], _ smaller: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(larger.count)
        var borrow: UInt8 = 0
        for position in larger.indices {
            let taken = borrow + (position < smaller.count ? smaller[position] : 0)
            borrow = larger[position] < taken ? 1 : 0
            result.append(larger[position] + 10 * borrow - taken)
        }
        return result.reversed()
    }

    // MARK: Text

    /// With as many fractional digits as it has, at most 17; half of the last goes to the even one.
    var text: [UInt8] {
        let number = rounded
        guard !number.digits.isEmpty else { return [UInt8(ascii: "0")] }
        var text: [UInt8] = number.isNegative ? [UInt8(ascii: "-")] : []
        let characters = number.digits.map { $0 + UInt8(ascii: "0") }
        let whole = number.magnitude
        if whole > 0 {
            text += characters.prefix(whole)
            text += repeatElement(UInt8(ascii: "0"), count: max(0, number.exponent))
        } else {
            text.append(UInt8(ascii: "0"))
        }
        if number.exponent < 0 {
            text.append(UInt8(ascii: "."))
            text += repeatElement(UInt8(ascii: "0"), count: max(0, -whole))
            text += characters.dropFirst(max(0, whole))
        }
        return text
    }

    private var rounded: DecimalNumber {
        let dropped = -Self.fractionDigits - exponent
        guard dropped > 0 else { return self }
        guard dropped <= digits.count else { return .zero }
        let kept = Array(digits.dropLast(dropped))
        let rest = digits.suffix(dropped)
        let isHalf = rest.first == 5 && rest.count == 1
        let isUp = isHalf ? (kept.last ?? 0) % 2 == 1 : (rest.first ?? 0) >= 5
        let value = DecimalNumber(isNegative: isNegative, digits: kept, exponent: -Self.fractionDigits)
        guard isUp else { return value }
        return value + DecimalNumber(isNegative: isNegative, digits: [1], exponent: -Self.fractionDigits)
    }
}

extension DecimalNumber {
    /// What `strtold` reads to its end, and Redis therefore takes: a sign, digits with a point among them, an exponent;
    /// or infinity. Nil for anything else, hexadecimal numbers included, and for what is too large or too small.
    static func parse(_ text: [UInt8]) -> Parsed? {
        // Redis copies it to a buffer of this size.
        guard text.count < 5_120 else { return nil }
        var position = 0
        var isNegative = false
        if let first = text.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
            isNegative = first == UInt8(ascii: "-")
            position = 1
        }
        let word = text.dropFirst(position).map { $0 | 0x20 }
        if word == Array("inf".utf8) || word == Array("infinity".utf8) { return .infinite }
        var digits: [UInt8] = []
        digits.reserveCapacity(text.count)
        var pointAt: Int?
        while position < text.count {
            if let digit = digit(text[position]) {
                digits.append(digit)
            } else if text[position] == UInt8(ascii: "."), pointAt == nil {
                pointAt = digits.count
            } else {
                break
            }
            position += 1
        }
        guard !digits.isEmpty, let exponent = exponent(text[position...]) else { return nil }
        let number = DecimalNumber(
            isNegative: isNegative,
            digits: digits,
            exponent: exponent - (digits.count - (pointAt ?? digits.count))
        )
        return number.isTooLarge || number.isTooSmall ? nil : .finite(number)
    }

    /// Nothing, or an `e` and a whole number, kept within what any number in range can need.
    private static func exponent(_ text: ArraySlice<UInt8>) -> Int? {
        guard let letter = text.first else { return 0 }
        guard letter | 0x20 == UInt8(ascii: "e") else { return nil }
        var rest = text.dropFirst()
        var sign = 1
        if let first = rest.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
            sign = first == UInt8(ascii: "-") ? -1 : 1
            rest = rest.dropFirst()
        }
        guard !rest.isEmpty else { return nil }
        var value = 0
        for character in rest {
            guard let digit = digit(character) else { return nil }
            value = min(value * 10 + Int(digit), 1_000_000)
        }
        return sign * value
    }

    private static func digit(_ character: UInt8) -> UInt8? {
        character >= UInt8(ascii: "0") && character <= UInt8(ascii: "9") ? character - UInt8(ascii: "0") : nil
    }
}
