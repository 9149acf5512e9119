// SPDX-License-Identifier: Apache-2.0

/// Whole numbers as Redis takes them from values and arguments: the shortest spelling only, so no sign but a minus, no
/// spaces, no leading zero and no minus zero.
package enum StrictInteger {
    /// Characters of the longest number.
    static let textLimit = 20

    /// Nil for another spelling and for what does not fit.
    package static func parse(_ text: [UInt8]) -> Int64? {
        let isNegative = text.first == UInt8(ascii: "-")
        let digits = text.dropFirst(isNegative ? 1 : 0)
        guard let first = digits.first, digits.count < textLimit else { return nil }
        guard first != UInt8(ascii: "0") || text.count == 1 else { return nil }
        var number: Int64 = 0
        for character in digits {
            guard character >= UInt8(ascii: "0"), character <= UInt8(ascii: "9") else { return nil }
            let digit = Int64(character - UInt8(ascii: "0"))
            let (shifted, isTooWide) = number.multipliedReportingOverflow(by: 10)
            // Downwards for a negative number: there is one more below zero than above.
            let (next, isTooFar) =
                isNegative ? shifted.subtractingReportingOverflow(digit) : shifted.addingReportingOverflow(digit)
            guard !isTooWide, !isTooFar else { return nil }
            number = next
        }
        return number
    }
}
