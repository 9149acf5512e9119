// SPDX-License-Identifier: Apache-2.0
package import CacheCore
package import Primitives

/// Which segments of the journal are still needed: those that hold the newest record of a key that the log may lack.
package struct JournalLedger: Sendable {
    private struct Segment: Sendable {
        /// Records that its writers have been told of.
        var records = 0
        /// Keys whose newest record it holds.
        var live = 0
        /// Of an earlier life: what it holds is put back already.
        var isOld = false
        var isAsked = false
    }

    private struct Entry: Sendable {
        var version: CacheVersion
        var segment: UInt64
        var isOld: Bool
    }

    package struct Removal: Sendable, Equatable {
        package var segment: UInt64
        package var records: Int
    }

    /// The segment that is written is begun anew when it holds nothing that is needed, and nobody has written for so
    /// long.
    private static let idle = Interval.milliseconds(1_000)

    private var segments: [UInt64: Segment] = [:]
    private var entries: [CacheKey: Entry] = [:]
    private var newest: UInt64 = 0
    private var lastWrite = Instant.zero

    package init() {}

    package var keyCount: Int { entries.count }

    // MARK: An earlier life

    package mutating func adopt(_ segment: UInt64, records: Int) {
        segments[segment] = Segment(records: records, isOld: true)
        newest = max(newest, segment)
    }

    package mutating func adopt(_ key: CacheKey, _ version: CacheVersion, in segment: UInt64) {
        entries[key] = Entry(version: version, segment: segment, isOld: true)
        segments[segment, default: Segment()].live += 1
    }

    // MARK: This life

    /// A record is on disk. - Parameter isOwed: the log may lack it, and it will be settled.
    package mutating func note(
        _ key: CacheKey,
        _ version: CacheVersion,
        in segment: UInt64,
        isOwed: Bool,
        now: Instant
    ) {
        newest = max(newest, segment)
        lastWrite = max(lastWrite, now)
        segments[segment, default: Segment()].records += 1
        guard isOwed else { return }
        if let entry = entries[key] {
            guard entry.version < version else { return }
            segments[entry.segment]?.live -= 1
        }
        entries[key] = Entry(version: version, segment: segment, isOld: false)
        segments[segment]?.live += 1
    }

    package enum Settled: Sendable, Equatable {
        case nothing
        case own
        /// Of an earlier life.
        case old
    }

    /// Up to this version the key need not be kept.
    package mutating func settle(_ key: CacheKey, upTo version: CacheVersion) -> Settled {
        guard let entry = entries[key], entry.version <= version else { return .nothing }
        entries[key] = nil
        segments[entry.segment]?.live -= 1
        return entry.isOld ? .old : .own
    }

    /// A segment that is written no longer holds what is still in its owner's line alone: the sooner the log has it,
    /// the sooner the file can go.
    package var wantsFlush: Bool {
        segments.contains { number, segment in number < newest && !segment.isOld && segment.live > 0 }
    }

    /// What may go. Each is named once, until `kept`. - Parameter now: nil: whatever is not needed.
    package mutating func removable(now: Instant?) -> [Removal] {
        let mayGo = now.map { $0 >= lastWrite + Self.idle } ?? true
        let found = segments.filter { number, segment in
            segment.live == 0 && !segment.isAsked && (number < newest || mayGo)
        }
        for number in found.keys { segments[number]?.isAsked = true }
        return found.map { Removal(segment: $0.key, records: $0.value.records) }.sorted { $0.segment < $1.segment }
    }

    package mutating func removed(_ segment: UInt64) { segments[segment] = nil }

    /// It held more than was known of: to be asked for again.
    package mutating func kept(_ segment: UInt64) { segments[segment]?.isAsked = false }
}
