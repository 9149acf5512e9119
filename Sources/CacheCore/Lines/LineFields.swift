// SPDX-License-Identifier: Apache-2.0

/// What a table keeps of a line beside its key and value.
package struct LineFields: Sendable, Equatable {
    /// Never `.invalid`: such lines are not in the table.
    package var state: LineState
    package var version: CacheVersion
    /// The home's number of the grant that the line came with.
    package var gid: UInt64
    /// Nanoseconds of a monotonic clock; zero: never.
    package var expiresAt: UInt64
    /// False: a negative line, whose key is known to be absent.
    package var exists: Bool
    package var durability: CacheDurability
    package var flags: LineFlags
    /// When the line became dirty (the caller's unit, for example tenths of a second). Nil: it is clean.
    package var dirtySince: UInt32?

    package init(
        state: LineState,
        version: CacheVersion,
        gid: UInt64 = 0,
        expiresAt: UInt64 = 0,
        exists: Bool = true,
        durability: CacheDurability = .replicated,
        flags: LineFlags = [],
        dirtySince: UInt32? = nil
    ) {
        self.state = state
        self.version = version
        self.gid = gid
        self.expiresAt = expiresAt
        self.exists = exists
        self.durability = durability
        self.flags = flags
        self.dirtySince = dirtySince
    }

    package var isDirty: Bool { dirtySince != nil }

    /// Whether eviction may drop the line.
    var isEvictable: Bool { dirtySince == nil && !flags.contains(.pinned) }
}

/// Thirteen bits. The table knows only `pinned`; bits 1 to 12 are the protocol's.
package struct LineFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Must not be evicted.
    package static let pinned = LineFlags(rawValue: 1)

    static let mask: UInt16 = 0x1fff
}

/// Names a line inside its table until the table next moves lines: `remove`, `evict`, and a `store` or `setFields` that
/// changes how much room a line takes, end the validity of every other slot (the one passed in stays valid). Insertion
/// and `touch` do not. Use of a slot that has ended its validity is caught.
package struct LineSlot: Sendable, Equatable {
    let reference: UInt32
    let edition: UInt32
}

/// Where a walk over a table stands.
package struct LineCursor: Sendable, Equatable {
    var sizeClass = 0
    /// One above the next line's place in its class.
    var end = Int.max

    package init() {}
}

package enum EvictionPolicy: UInt8, Sendable, CaseIterable {
    /// The line whose last use is the longest ago.
    case leastRecentlyUsed = 0
    /// Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023.
    case s3fifo = 1
}
