// SPDX-License-Identifier: Apache-2.0

/// One atomic change of one key. What it does is `evaluate`, wherever it runs: at the shard's replicas, or in the
/// owner's line when the mode is not logged.
package enum CacheOperation: Sendable, Equatable {
    /// SET and its kin. Answers `done` or `notDone`; with `wantsOld`, `value` with what stood there.
    case set(value: [UInt8], expiry: ExpiryChange, condition: CacheCondition, wantsOld: Bool)
    /// DEL, GETDEL. Answers `count` 0 or 1; with `wantsOld`, `value`.
    case remove(condition: CacheCondition, wantsOld: Bool)
    /// EXPIRE, PERSIST, GETEX. Answers `count` 0 or 1; with `wantsValue`, `value`.
    case expire(ExpiryChange, condition: ExpiryCondition, wantsValue: Bool)
    /// INCR, DECR, INCRBY, DECRBY. Answers `count` with the new number.
    case add(Int64)
    /// INCRBYFLOAT; the addend as it was written. Answers `number` with the new one.
    case addDecimal([UInt8])
    /// APPEND. Answers `count` with the new length.
    case append([UInt8])
    /// SETRANGE. Answers `count` with the new length.
    case setRange(offset: UInt64, [UInt8])
}

package enum ExpiryChange: Sendable, Equatable {
    /// As it is (KEEPTTL).
    case keep
    /// Never (plain SET, PERSIST).
    case never
    /// In so many milliseconds from when the change is carried out; zero or less: at once, which removes the key.
    case after(Int64)
}

/// What must hold of the key for a change to be made.
package enum CacheCondition: Sendable, Equatable {
    case always
    /// NX
    case absent
    /// XX
    case present
    /// IFEQ: there is such a value. IFNE: there is none, or another.
    case equals([UInt8])
    case differs([UInt8])
    /// IFVERSION, HTTP If-Match: there is a value, and its version is this. Never met where there is none (RFC 9110
    /// section 13.1.1), whatever version the absent key has.
    case version(CacheVersion)
}

/// NX, XX, GT and LT of EXPIRE. A key without expiry counts as one that never expires.
package enum ExpiryCondition: UInt8, Sendable {
    case always = 0
    case hasNone = 1
    case hasOne = 2
    case greater = 3
    case less = 4
    /// XX with GT or LT: there is one, and it is earlier or later.
    case hasOneAndGreater = 5
    case hasOneAndLess = 6
}

/// What stands under a key when an operation comes.
package struct CacheCurrent: Sendable, Equatable {
    /// Nil: the key is absent.
    package var value: [UInt8]?
    package var version: CacheVersion
    /// In the clock of `evaluate`'s `now`; zero: never.
    package var expiresAt: UInt64

    package init(value: [UInt8]?, version: CacheVersion, expiresAt: UInt64 = 0) {
        self.value = value
        self.version = version
        self.expiresAt = expiresAt
    }
}

/// What an operation makes of a key.
package enum CacheEffect: Sendable, Equatable {
    case none
    case store([UInt8], expiresAt: UInt64)
    case remove
}

package struct CacheChange: Sendable, Equatable {
    package var answer: CacheAnswer
    package var effect: CacheEffect

    package init(_ answer: CacheAnswer, _ effect: CacheEffect = .none) {
        self.answer = answer
        self.effect = effect
    }
}

package enum CacheAnswer: Sendable, Equatable {
    case done
    /// A condition did not hold; nothing changed.
    case notDone
    case count(Int64)
    /// `wasApplied` tells SET … NX GET with a value from one whose condition held.
    case value([UInt8]?, wasApplied: Bool)
    case number([UInt8])
    case refused(CacheRefusal)
}

/// What one operation of several answered, with the key's version after it.
package struct CacheOutcome: Sendable, Equatable {
    package var answer: CacheAnswer
    package var version: CacheVersion

    package init(_ answer: CacheAnswer, _ version: CacheVersion) {
        self.answer = answer
        self.version = version
    }
}

/// Why nothing was done; Redis' own reasons first.
package enum CacheRefusal: UInt8, Sendable, Equatable, CaseIterable {
    /// "value is not an integer or out of range"
    case notInteger = 1
    /// "increment or decrement would overflow"
    case overflow = 2
    /// "value is not a valid float"
    case notFloat = 3
    /// "increment would produce NaN or Infinity"
    case notFinite = 4
    /// "string exceeds maximum allowed size"
    case tooLong = 5
    case keyTooLong = 6
    /// The shard's store holds as much as it may.
    case outOfMemory = 7
    /// The lock's token is not, or is no longer, its current one.
    case fenced = 8
    /// Too much waits to be written back.
    case tooDirty = 9
    /// The memory (Redis) cannot be reached and the value is nowhere else.
    case memoryDown = 10
}

/// The bounds of single keys and values; the same on every node.
package enum CacheLimits {
    package static let keyBytes = 4_096
    package static let valueBytes = 8 << 20
}
