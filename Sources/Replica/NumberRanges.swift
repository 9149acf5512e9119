// SPDX-License-Identifier: Apache-2.0
import Primitives

/// A set of numbers that mostly lie side by side, kept as ascending ranges.
struct NumberRanges: Sendable, Equatable {
    private struct Span: Sendable, Equatable {
        var first: UInt64
        var last: UInt64
    }

    private var spans: [Span] = []

    init() {}

    /// The position of the first range that does not end before `number`.
    private func position(of number: UInt64) -> Int {
        var low = 0
        var high = spans.count
        while low < high {
            let middle = (low + high) / 2
            if spans[middle].last < number { low = middle + 1 } else { high = middle }
        }
        return low
    }

    func contains(_ number: UInt64) -> Bool {
        let at = position(of: number)
        return at < spans.count && spans[at].first <= number
    }

    mutating func insert(_ number: UInt64) {
        let at = position(of: number)
        if at < spans.count, spans[at].first <= number { return }
        let joinsBefore = at > 0 && spans[at - 1].last &+ 1 == number
        let joinsAfter = at < spans.count && number &+ 1 == spans[at].first
        switch (joinsBefore, joinsAfter) {
        case (true, true):
            spans[at - 1].last = spans[at].last
            spans.remove(at: at)
        case (true, false): spans[at - 1].last = number
        case (false, true): spans[at].first = number
        case (false, false): spans.insert(Span(first: number, last: number), at: at)
        }
    }

    mutating func removePrefix(below number: UInt64) {
        let at = position(of: number)
        spans.removeFirst(at)
        if !spans.isEmpty, spans[0].first < number { spans[0].first = number }
    }

    func encode(into writer: inout ByteWriter) {
        writer.varint(UInt64(spans.count))
        for span in spans {
            writer.varint(span.first)
            writer.varint(span.last)
        }
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        let count = try reader.count(limit: reader.remaining, "acknowledged ranges")
        for _ in 0..<count {
            let span = Span(first: try reader.varint(), last: try reader.varint())
            guard span.first <= span.last, spans.last.map({ $0.last < span.first }) ?? true else {
                throw .invalidValue(what: "acknowledged range")
            }
            spans.append(span)
        }
    }
}
