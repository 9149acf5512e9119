// SPDX-License-Identifier: Apache-2.0
import Primitives

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Ranks with Zipf's frequencies: rank `i` comes in proportion to `1 / (i + 1)^exponent`. One draw costs two table
/// look-ups (the alias method of Walker, built as Vose has it).
struct ZipfSampler: Sendable {
    private let shares: [Double]
    private let aliases: [Int]

    init(count: Int, exponent: Double) {
        let weights = (0..<count).map { pow(Double($0 + 1), -exponent) }
        let sum = weights.reduce(0, +)
        var scaled = weights.map { $0 / sum * Double(count) }
        var aliases = Array(0..<count)
        var small = scaled.indices.filter { scaled[$0] < 1 }
        var large = scaled.indices.filter { scaled[$0] >= 1 }
        while let poor = small.popLast(), let rich = large.last {
            aliases[poor] = rich
            scaled[rich] -= 1 - scaled[poor]
            guard scaled[rich] < 1 else { continue }
            large.removeLast()
            small.append(rich)
        }
        shares = scaled
        self.aliases = aliases
    }

    func sample(_ random: inout SeededRandom) -> Int {
        let column = Int(random.below(UInt64(shares.count)))
        // 53 bits, as many as a double has.
        return Double(random.next() >> 11) * 0x1p-53 < shares[column] ? column : aliases[column]
    }
}
