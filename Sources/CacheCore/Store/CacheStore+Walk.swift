// SPDX-License-Identifier: Apache-2.0

/// A part of a pass over a store's keys.
package struct CacheStorePage: Sendable, Equatable {
    package var keys: [CacheKey]
    /// Where the pass goes on; zero: it has ended.
    package var next: UInt64

    package init(keys: [CacheKey], next: UInt64) {
        self.keys = keys
        self.next = next
    }
}

extension CacheStore {
    /// Cursors are below two to this, so that a front end can put a shard's number above them.
    package static var cursorBits: Int { 48 }

    /// Keys in the order of their hashes, from the cursor on. A pass from zero until `next` is zero names every key
    /// that was there all the time, each once: a cursor is a place among the hashes, which no change moves, and keys
    /// that share one are never put on two pages.
    /// - Parameters:
    ///   - count: entries to look at, which bounds the work; a page may hold fewer keys, even none, and not be last.
    ///   - now: what has lapsed by then is left out.
    package func scan(cursor: UInt64, count: Int, now: UInt64) -> CacheStorePage {
        var page = CacheStorePage(keys: [], next: 0)
        guard cursor < 1 << UInt64(Self.cursorBits) else { return page }
        let shift = UInt64(64 - Self.cursorBits)
        let first = cursor << shift
        var seen = 0
        var place = cursor
        for index in CacheBucket.index(first)..<CacheBucket.number {
            let start = seen == 0 ? buckets[index].firstNotBelow(first) : 0
            for position in start..<buckets[index].entries.count {
                let entry = buckets[index].entries[position]
                if seen >= max(1, count), entry.hash >> shift != place {
                    page.next = entry.hash >> shift
                    return page
                }
                place = entry.hash >> shift
                seen += 1
                if entry.value != nil, entry.expiresAt == 0 || entry.expiresAt > now { page.keys.append(entry.key) }
            }
        }
        return page
    }

    /// Every entry, in the order of the hashes, tombstones included: for a leader that takes over and needs to know
    /// what expires and what is to be written back.
    package func forEach(_ body: (CacheEntry) -> Void) {
        for index in 0..<CacheBucket.number {
            for entry in buckets[index].entries { body(entry) }
        }
    }
}
