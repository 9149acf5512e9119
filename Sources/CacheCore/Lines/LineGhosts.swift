// SPDX-License-Identifier: Apache-2.0

/// Which of the keys that the small queue of S3-FIFO gave up are remembered: those of its latest `count` victims, on
/// the whole node.
package struct GhostWindow: Sendable, Equatable {
    /// Number of the latest victim.
    package var now: UInt64 = 0
    package var count: UInt64 = 0

    package init(now: UInt64 = 0, count: UInt64 = 0) {
        self.now = now
        self.count = count
    }
}

/// The ghost queue of S3-FIFO: fingerprints of keys, with their victim's number. A bucket is one cache line of eight
/// entries. A new one takes the place of one that is forgotten, else of the oldest; when that costs too many that are
/// still remembered, the buckets double.
struct LineGhosts: ~Copyable {
    private static let perBucket = 8
    /// A line's share: nine tenths of an entry, in buckets that are about half full.
    static let share = 15
    /// Fewer buckets double rather than forget anything.
    private static let fewBuckets = 64

    var window = GhostWindow()
    private var base: UnsafeMutablePointer<UInt64>
    private var count = 1
    /// Since `displaced` was zero.
    private var inserted = 0
    private var displaced = 0

    init() { base = Self.allocate(1) }

    init(copying other: borrowing LineGhosts) {
        window = other.window
        count = other.count
        base = .allocate(capacity: count * Self.perBucket)
        base.initialize(from: other.base, count: count * Self.perBucket)
        inserted = other.inserted
        displaced = other.displaced
    }

    deinit { base.deallocate() }

    var heldBytes: Int { count * Self.perBucket * 8 }

    private static func allocate(_ count: Int) -> UnsafeMutablePointer<UInt64> {
        let base = UnsafeMutablePointer<UInt64>.allocate(capacity: count * perBucket)
        base.initialize(repeating: 0, count: count * perBucket)
        return base
    }

    private func bucket(_ fingerprint: UInt32) -> UnsafeMutablePointer<UInt64> {
        base + Int((UInt64(fingerprint) &* UInt64(count)) >> 32) * Self.perBucket
    }

    private static func fingerprint(_ hash: UInt64) -> UInt32 {
        let folded = UInt32(truncatingIfNeeded: LineIndex.mix(hash) >> 32)
        return folded == 0 ? 1 : folded
    }

    private func age(_ entry: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: window.now) &- UInt32(truncatingIfNeeded: entry)
    }

    private func remembers(_ entry: UInt64) -> Bool { entry != 0 && UInt64(age(entry)) < window.count }

    /// Whether the key is remembered, and forgets it.
    mutating func take(_ hash: UInt64) -> Bool {
        let fingerprint = Self.fingerprint(hash)
        let bucket = bucket(fingerprint)
        for place in 0..<Self.perBucket where UInt32(truncatingIfNeeded: bucket[place] >> 32) == fingerprint {
            let found = remembers(bucket[place])
            bucket[place] = 0
            if found { return true }
        }
        return false
    }

    /// Remembers a key as the window's latest victim.
    mutating func insert(_ hash: UInt64) {
        let fingerprint = Self.fingerprint(hash)
        var bucket = bucket(fingerprint)
        var place = leastNeeded(bucket)
        while remembers(bucket[place]), count < Self.fewBuckets {
            double()
            bucket = self.bucket(fingerprint)
            place = leastNeeded(bucket)
        }
        inserted += 1
        if remembers(bucket[place]) { displaced += 1 }
        bucket[place] = UInt64(fingerprint) << 32 | UInt64(UInt32(truncatingIfNeeded: window.now))
        guard inserted >= count * Self.perBucket else { return }
        if displaced * 64 > inserted { double() }
        inserted = 0
        displaced = 0
    }

    /// A place whose entry is forgotten, else the one of the oldest.
    private func leastNeeded(_ bucket: UnsafeMutablePointer<UInt64>) -> Int {
        var oldest = 0
        for place in 0..<Self.perBucket {
            guard remembers(bucket[place]) else { return place }
            if age(bucket[place]) > age(bucket[oldest]) { oldest = place }
        }
        return oldest
    }

    /// A fingerprint's share of 2³² says its bucket, so each bucket becomes two neighbours.
    private mutating func double() {
        let old = base
        let oldCount = count
        count *= 2
        base = Self.allocate(count)
        for number in 0..<oldCount * Self.perBucket where remembers(old[number]) {
            let bucket = bucket(UInt32(truncatingIfNeeded: old[number] >> 32))
            for place in 0..<Self.perBucket where bucket[place] == 0 {
                bucket[place] = old[number]
                break
            }
        }
        old.deallocate()
    }
}
