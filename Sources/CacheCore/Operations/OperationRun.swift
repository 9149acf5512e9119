// SPDX-License-Identifier: Apache-2.0

/// Operations on one key, one after the other, in one entry of the log.
struct OperationRun {
    private(set) var current: CacheCurrent
    /// What all of them together make of the key.
    private(set) var effect = CacheEffect.none
    /// Of the next operation that changes something.
    private var next: CacheVersion
    private let now: UInt64

    /// - Parameters:
    ///   - version: of the first change; each further one is the next minor.
    ///   - now: as in `evaluate`.
    init(_ current: CacheCurrent, _ version: CacheVersion, _ now: UInt64) {
        self.current = current
        next = version
        self.now = now
    }

    mutating func carryOut(_ operation: CacheOperation) -> CacheOutcome {
        let change = operation.evaluate(current, now: now)
        switch change.effect {
        case .none: return CacheOutcome(change.answer, current.version)
        case .store(let value, let expiresAt):
            current = CacheCurrent(value: value, version: next, expiresAt: expiresAt)
        case .remove: current = CacheCurrent(value: nil, version: next)
        }
        effect = change.effect
        next.minor += 1
        return CacheOutcome(change.answer, current.version)
    }
}
