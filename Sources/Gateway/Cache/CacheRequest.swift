// SPDX-License-Identifier: Apache-2.0
package import CacheCore

/// What one command of a front end asks of the cache.
package enum CacheRequest: Sendable, Equatable {
    case read(CacheKey)
    /// Answered in the order of the keys, each on its own: no picture of all at one moment.
    case readMany([CacheKey])
    case write(CacheKey, CacheOperation, CacheWriteOptions)
    /// Each on its own; carried out in this order where keys are the same.
    case writeMany([CacheWrite])
    case scan(CacheScan)
    /// All keys that match, as far as the bound allows.
    case keys(KeyPattern)
    case count
    case removeAll
    case inspect(CacheKey)
    case statistics
    case flush(everywhere: Bool)
    case evict(CacheKey)

    /// It looks at or changes more than the keys it names, so nothing of the same client may be in flight beside it.
    var isAboutAll: Bool {
        switch self {
        case .read, .readMany, .write, .writeMany: false
        case .scan, .keys, .count, .removeAll, .inspect, .statistics, .flush, .evict: true
        }
    }
}

package struct CacheWrite: Sendable, Equatable {
    package var key: CacheKey
    package var operation: CacheOperation

    package init(_ key: CacheKey, _ operation: CacheOperation) {
        self.key = key
        self.operation = operation
    }
}

package struct CacheScan: Sendable, Equatable {
    package static let defaultCount = 10
    package static let maxCount = 10_000

    package var cursor: UInt64
    package var count = CacheScan.defaultCount
    /// Nil: every key.
    package var pattern: KeyPattern?
    /// A type that no value of the cache has: nothing matches.
    package var isNothing = false

    package init(cursor: UInt64) { self.cursor = cursor }
}

package struct CacheWritten: Sendable, Equatable {
    package var answer: CacheAnswer
    package var version: CacheVersion

    package init(_ answer: CacheAnswer, _ version: CacheVersion) {
        self.answer = answer
        self.version = version
    }
}

package enum CacheResult: Sendable, Equatable {
    case read(CacheRead)
    case reads([CacheRead])
    case written(CacheAnswer, version: CacheVersion)
    case writes([CacheWritten])
    case page(CachePage)
    case keys([CacheKey])
    case count(UInt64)
    case removedAll
    case line(LineReport)
    case statistics(CacheStatistics)
    case flushed(Int)
    case evicted(Bool)
    case failed(RefusalText)

    /// What it may take in memory while it waits for its turn, roughly.
    var weight: Int {
        switch self {
        case .read(let read): read.value?.count ?? 0
        case .reads(let reads): reads.reduce(0) { $0 + ($1.value?.count ?? 0) }
        case .written(.value(let value, _), _): value?.count ?? 0
        case .page(let page): page.keys.reduce(0) { $0 + $1.bytes.count }
        case .keys(let keys): keys.reduce(0) { $0 + $1.bytes.count }
        default: 0
        }
    }
}
