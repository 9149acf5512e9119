// SPDX-License-Identifier: Apache-2.0
import CacheCore
package import Primitives

/// Carries out requests of one event loop on its cache port: several keys become several calls, a pattern becomes a
/// walk over all keys.
package final class CacheService {
    /// Keys that `KEYS` answers at most, and bytes of them.
    package static let listedKeys = 100_000
    package static let listedBytes = 16 << 20
    /// Bytes of values that one request for several keys answers at most.
    package static let readBytes = 64 << 20
    /// Reads of one request that are in flight together, so that large values do not all arrive at once.
    static let readWindow = 64

    private let port: any CachePort
    private let timeout: Interval?

    package init(_ port: any CachePort, timeout: Interval?) {
        self.port = port
        self.timeout = timeout
    }

    /// `completion` is called exactly once, possibly before this returns.
    package func perform(_ request: CacheRequest, completion: @escaping (CacheResult) -> Void) {
        switch request {
        case .read(let key):
            port.read(key, CacheReadOptions(timeout: timeout)) { result in
                switch result {
                case .found(let read): completion(.read(read))
                case .failed(let failure): completion(.failed(RefusalText(failure)))
                }
            }
        case .write(let key, let operation, let options):
            write(key, operation, options, completion)
        case .readMany(let keys): ReadBatch(port, timeout, keys, completion).begin()
        case .writeMany(let writes): CacheWriteBatch(writes, completion).begin(port, timeout)
        case .scan(let scan): page(scan, completion)
        case .keys(let pattern): KeyWalk(port, pattern, completion).next(0)
        case .count: port.count { completion(Self.result($0) { .count($0) }) }
        case .removeAll:
            port.removeAll { failure in
                completion(failure.map { .failed(RefusalText($0)) } ?? .removedAll)
            }
        case .inspect(let key): port.inspect(key) { completion(Self.result($0) { .line($0) }) }
        case .statistics: completion(.statistics(port.statistics))
        case .flush(let everywhere): port.flush(everywhere: everywhere) { completion(Self.result($0) { .flushed($0) }) }
        case .evict(let key): port.evict(key) { completion(Self.result($0) { .evicted($0) }) }
        }
    }

    private func write(
        _ key: CacheKey,
        _ operation: CacheOperation,
        _ options: CacheWriteOptions,
        _ completion: @escaping (CacheResult) -> Void
    ) {
        var options = options
        options.timeout = options.timeout ?? timeout
        port.write(key, operation, options) { result in
            switch result {
            case .answered(.refused(let refusal), _): completion(.failed(RefusalText(refusal)))
            case .answered(let answer, let version): completion(.written(answer, version: version))
            case .failed(let failure): completion(.failed(RefusalText(failure)))
            }
        }
    }

    private func page(_ scan: CacheScan, _ completion: @escaping (CacheResult) -> Void) {
        port.scan(cursor: scan.cursor, count: scan.count) { result in
            completion(
                Self.result(result) { page in
                    var page = page
                    if scan.isNothing {
                        page.keys = []
                    } else if let pattern = scan.pattern {
                        page.keys.removeAll { !pattern.matches($0.bytes) }
                    }
                    return .page(page)
                }
            )
        }
    }

    fileprivate static func result<Value>(
        _ result: Result<Value, CacheFailure>,
        _ body: (Value) -> CacheResult
    ) -> CacheResult {
        switch result {
        case .success(let value): body(value)
        case .failure(let failure): .failed(RefusalText(failure))
        }
    }
}

/// Reads of several keys, a window of them in flight.
private final class ReadBatch {
    private let port: any CachePort
    private let timeout: Interval?
    private let keys: [CacheKey]
    private let completion: (CacheResult) -> Void
    private var reads: [CacheRead?]
    private var begun = 0
    private var finished = 0
    private var bytes = 0
    private var isBeginning = false
    private var hasEnded = false

    init(
        _ port: any CachePort,
        _ timeout: Interval?,
        _ keys: [CacheKey],
        _ completion: @escaping (CacheResult) -> Void
    ) {
        self.port = port
        self.timeout = timeout
        self.keys = keys
        self.completion = completion
        reads = Array(repeating: nil, count: keys.count)
    }

    /// Not from within itself: a read that is answered at once must not nest the next one.
    func begin() {
        guard !isBeginning else { return }
        isBeginning = true
        defer { isBeginning = false }
        while !hasEnded, begun < keys.count, begun - finished < CacheService.readWindow {
            let index = begun
            begun += 1
            port.read(keys[index], CacheReadOptions(timeout: timeout)) { self.answered(index, $0) }
        }
    }

    private func answered(_ index: Int, _ result: CacheReadResult) {
        guard !hasEnded else { return }
        switch result {
        case .failed(let failure): return end(.failed(RefusalText(failure)))
        case .found(let read):
            bytes += read.value?.count ?? 0
            guard bytes <= CacheService.readBytes else {
                let text = "the values are more than \(CacheService.readBytes) bytes together; ask for fewer keys"
                return end(.failed(RefusalText(code: "too_large", detail: text)))
            }
            reads[index] = read
        }
        finished += 1
        if finished == keys.count { return end(.reads(reads.compactMap { $0 })) }
        begin()
    }

    private func end(_ result: CacheResult) {
        hasEnded = true
        reads = []
        completion(result)
    }
}

/// A full walk over all keys for `KEYS`. Those that come twice are named once.
private final class KeyWalk {
    private let port: any CachePort
    private let pattern: KeyPattern
    private let completion: (CacheResult) -> Void
    private var keys: [CacheKey] = []
    private var seen: Set<CacheKey> = []
    private var bytes = 0
    /// A page that arrived while the one before it was asked for, so that quick pages do not nest.
    private var isAsking = false
    private var nextCursor: UInt64?

    init(_ port: any CachePort, _ pattern: KeyPattern, _ completion: @escaping (CacheResult) -> Void) {
        self.port = port
        self.pattern = pattern
        self.completion = completion
    }

    func next(_ cursor: UInt64) {
        nextCursor = cursor
        guard !isAsking else { return }
        while let cursor = nextCursor {
            nextCursor = nil
            isAsking = true
            port.scan(cursor: cursor, count: 1_000) { self.received($0) }
            isAsking = false
        }
    }

    private func received(_ result: Result<CachePage, CacheFailure>) {
        switch result {
        case .failure(let failure): completion(.failed(RefusalText(failure)))
        case .success(let page):
            for key in page.keys where pattern.matches(key.bytes) && seen.insert(key).inserted {
                bytes += key.bytes.count
                keys.append(key)
            }
            guard keys.count <= CacheService.listedKeys, bytes <= CacheService.listedBytes else {
                let text =
                    "KEYS answers at most \(CacheService.listedKeys) keys of "
                    + "\(CacheService.listedBytes) bytes; use SCAN"
                return completion(.failed(RefusalText(code: "too_large", detail: text)))
            }
            if page.next == 0 { completion(.keys(keys)) } else { next(page.next) }
        }
    }
}
