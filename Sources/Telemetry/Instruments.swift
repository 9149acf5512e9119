// SPDX-License-Identifier: Apache-2.0
package import Primitives
import Synchronization

// The instruments are shared by all loops and by the scraper. Every access is relaxed: a scrape needs each value
// whole, not the values in step with each other.

/// A number that only rises while the process lives.
package final class Counter: Sendable {
    private let total = Atomic<UInt64>(0)

    package init() {}

    package func increment(by amount: Int = 1) {
        guard amount > 0 else { return }
        total.wrappingAdd(UInt64(amount), ordering: .relaxed)
    }

    package var value: UInt64 { total.load(ordering: .relaxed) }
}

/// A number that rises and falls.
package final class Gauge: Sendable {
    private let current = Atomic<Int>(0)

    package init() {}

    package func set(_ value: Int) { current.store(value, ordering: .relaxed) }

    package func add(_ amount: Int) { current.wrappingAdd(amount, ordering: .relaxed) }

    package var value: Int { current.load(ordering: .relaxed) }
}

/// Upper bounds of a histogram's buckets: `smallest`, then each twice the one before it.
package struct HistogramBuckets: Sendable {
    /// In whole steps of the unit observed, such as nanoseconds.
    package let smallest: UInt64
    /// At most 48, without the last one that has no bound.
    package let count: Int
    /// What an observed number is divided by to get the exposed unit.
    package let divisor: Double

    package init(smallest: UInt64, count: Int, divisor: Double) {
        invariant(smallest > 0 && count > 0 && count <= 48, "histogram buckets out of range")
        invariant(smallest.leadingZeroBitCount >= count, "the largest histogram bound does not fit 64 bits")
        self.smallest = smallest
        self.count = count
        self.divisor = divisor
    }

    /// 25 µs to 13.1 s, observed in nanoseconds and exposed in seconds.
    package static let seconds = HistogramBuckets(smallest: 25_000, count: 20, divisor: 1e9)

    /// 1 to 32,768 things.
    package static let sizes = HistogramBuckets(smallest: 1, count: 16, divisor: 1)

    package func bound(_ index: Int) -> UInt64 { smallest << UInt64(index) }

    /// The first bucket whose bound is not below the value; `count` when there is none.
    package func index(of value: UInt64) -> Int {
        guard value > smallest else { return 0 }
        let multiples = (value - 1) / smallest
        return min(count, UInt64.bitWidth - multiples.leadingZeroBitCount)
    }
}

/// Counts of observations by size, in fixed exponential buckets.
package final class Histogram: Sendable {
    package let buckets: HistogramBuckets
    // One object per bucket, because an array cannot hold atomics; the last is the one without a bound.
    private let counts: [Counter]
    private let total = Atomic<UInt64>(0)

    package init(_ buckets: HistogramBuckets) {
        self.buckets = buckets
        self.counts = (0...buckets.count).map { _ in Counter() }
    }

    /// `value` is in whole steps of the bucket's unit, such as nanoseconds.
    package func observe(_ value: UInt64) {
        counts[buckets.index(of: value)].increment()
        total.wrappingAdd(value, ordering: .relaxed)
    }

    /// So many observations of the same value.
    package func observe(_ value: UInt64, count: Int) {
        guard count > 0 else { return }
        counts[buckets.index(of: value)].increment(by: count)
        total.wrappingAdd(value &* UInt64(count), ordering: .relaxed)
    }

    package func observe(_ duration: Interval) { observe(duration.nanoseconds) }

    /// Observations per bucket, not yet added up.
    package var perBucket: [UInt64] { counts.map(\.value) }

    package var count: UInt64 { perBucket.reduce(0, &+) }

    /// The sum of all observations in the exposed unit.
    package var sum: Double { Double(total.load(ordering: .relaxed)) / buckets.divisor }
}

/// One counter for each of a fixed set of label values; anything else counts under `other`, so that no client can
/// make the set grow.
package final class LabelledCounters: Sendable {
    package static let other = "other"
    package let values: [String]
    private let counters: [String: Counter]
    private let rest: Counter

    package init(values: [String]) {
        let rest = Counter()
        var counters: [String: Counter] = [:]
        for value in values where value != Self.other { counters[value] = Counter() }
        counters[Self.other] = rest
        self.values = values.filter { $0 != Self.other } + [Self.other]
        self.counters = counters
        self.rest = rest
    }

    /// Read-only after `init`, so reading needs no lock.
    package subscript(value: String) -> Counter { counters[value] ?? rest }
}
