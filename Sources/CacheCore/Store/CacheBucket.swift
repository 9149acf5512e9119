// SPDX-License-Identifier: Apache-2.0

/// All buckets, in pages: what is copied when a copy of the store lives and one of them changes is a list of pages, a
/// page and the bucket, so that no write waits for long.
struct CacheBuckets: Sendable {
    private static let pageBits = CacheBucket.bits / 2
    private static let pageSize = 1 << pageBits

    /// Empty pages are one page, shared, until something is written to them.
    private var pages = Array(
        repeating: Array(repeating: CacheBucket(), count: pageSize),
        count: CacheBucket.number >> pageBits
    )

    subscript(index: Int) -> CacheBucket {
        _read { yield pages[index >> Self.pageBits][index & (Self.pageSize - 1)] }
        _modify { yield &pages[index >> Self.pageBits][index & (Self.pageSize - 1)] }
    }
}

/// Entries whose hashes begin with the same bits, sorted by hash and, where those are equal, by key.
struct CacheBucket: Sendable {
    static let bits = 12
    static let number = 1 << bits

    var entries: [CacheEntry] = []

    static func index(_ hash: UInt64) -> Int { Int(hash >> UInt64(64 - bits)) }

    func entry(_ key: CacheKey, _ hash: UInt64) -> CacheEntry? {
        let (position, isFound) = search(key, hash)
        return isFound ? entries[position] : nil
    }

    func current(_ key: CacheKey, _ hash: UInt64) -> CacheCurrent? {
        let (position, isFound) = search(key, hash)
        guard isFound else { return nil }
        return CacheCurrent(
            value: entries[position].value,
            version: entries[position].version,
            expiresAt: entries[position].expiresAt
        )
    }

    /// Where the key is, or belongs.
    func search(_ key: CacheKey, _ hash: UInt64) -> (position: Int, isFound: Bool) {
        var position = firstNotBelow(hash)
        guard position < entries.count, entries[position].hash == hash else { return (position, false) }
        if entries[position].key == key { return (position, true) }
        // Different keys with one hash. Halving, since somebody may have looked for many such keys.
        var end = entries.count
        while position < end {
            let middle = (position + end) / 2
            if entries[middle].hash == hash, entries[middle].key < key {
                position = middle + 1
            } else {
                end = middle
            }
        }
        let isFound = position < entries.count && entries[position].hash == hash && entries[position].key == key
        return (position, isFound)
    }

    /// Hashes are evenly spread, so where one belongs can be guessed to within a few entries; from there the search
    /// doubles its steps until it has passed the place, and then halves.
    func firstNotBelow(_ hash: UInt64) -> Int {
        let count = entries.count
        guard count > 0 else { return 0 }
        let guess = Int((hash << UInt64(Self.bits)).multipliedFullWidth(by: UInt64(count)).high)
        var low = 0
        var high = count
        var step = 4
        if entries[guess].hash < hash {
            low = guess + 1
            while low < count {
                let next = min(low + step, count) - 1
                if entries[next].hash >= hash {
                    high = next
                    break
                }
                low = next + 1
                step *= 2
            }
        } else {
            high = guess
            while high > 0 {
                let next = max(high - step, 0)
                if entries[next].hash < hash {
                    low = next + 1
                    break
                }
                high = next
                step *= 2
            }
        }
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].hash < hash { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func remove(at position: Int) {
        entries.remove(at: position)
        // An array never gives room back by itself.
        guard entries.capacity > 64, entries.count * 4 < entries.capacity else { return }
        var smaller: [CacheEntry] = []
        smaller.reserveCapacity(entries.count * 2)
        smaller.append(contentsOf: entries)
        entries = smaller
    }
}
