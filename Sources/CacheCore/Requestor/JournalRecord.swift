// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// What stands in the journal of a node (mode `local`), record by record.
package enum JournalRecord: Sendable, Equatable {
    /// First of each file: what the node's clock, which counts from the machine's start, and the wall clock showed at
    /// one time, in milliseconds. Only the latter goes on over a start of the machine.
    case clock(JournalClock)
    /// `expiresAt`: by the node's clock, in milliseconds; nil: never.
    case write(CacheKey, value: [UInt8]?, CacheVersion, expiresAt: UInt64?)

    package func encoded() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .clock(let clock):
            writer.u8(1)
            writer.blob(clock.boot)
            writer.u64(clock.uptime)
            writer.u64(clock.wall)
        case .write(let key, let value, let version, let expiresAt):
            writer.u8(2)
            writer.blob(key.bytes)
            writer.optionalBlob(value)
            version.encode(into: &writer)
            writer.bool(expiresAt != nil)
            if let expiresAt { writer.u64(expiresAt) }
        }
        return writer.bytes
    }

    package init(decoding bytes: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(bytes)
        switch try reader.u8() {
        case 1:
            self = .clock(
                JournalClock(
                    boot: try reader.blob(limit: JournalClock.maxBootBytes, "boot id"),
                    uptime: try reader.u64(),
                    wall: try reader.u64()
                )
            )
        case 2:
            self = .write(
                try reader.cacheKey(),
                value: try reader.optionalCacheValue(),
                try CacheVersion(decoding: &reader),
                expiresAt: try reader.bool() ? try reader.u64() : nil
            )
        case let tag: throw .unknownTag(what: "journal record", value: UInt64(tag))
        }
        try reader.expectEnd()
    }
}

package struct JournalClock: Sendable, Equatable {
    package static let maxBootBytes = 64

    /// Names the machine's latest start; empty: unknown.
    package var boot: [UInt8]
    package var uptime: UInt64
    package var wall: UInt64

    package init(boot: [UInt8], uptime: UInt64, wall: UInt64) {
        self.boot = boot
        self.uptime = uptime
        self.wall = wall
    }

    /// Milliseconds that are left until a time by the clock of a journal.
    /// - Parameter written: what that clock showed when the journal was begun; this one is of now.
    package func remaining(until time: UInt64, written: JournalClock) -> UInt64 {
        let gone: UInt64
        if !boot.isEmpty, boot == written.boot {
            gone = uptime
        } else {
            // By the wall clock; one that was set back since does not make anything last longer.
            let (sum, overflow) = written.uptime.addingReportingOverflow(wall > written.wall ? wall - written.wall : 0)
            gone = overflow ? .max : sum
        }
        return time > gone ? time - gone : 0
    }
}

/// The latest that a journal's files say of each key, oldest file first.
package struct JournalReplay: Sendable {
    package struct Found: Sendable, Equatable {
        package var data: LineData
        /// Which file has it.
        package var segment: UInt64
    }

    /// In the order in which they were first written.
    package private(set) var keys: [CacheKey] = []
    private var latest = LookupTable<CacheKey, Found>()
    private let now: JournalClock
    private var written: JournalClock

    package init(now: JournalClock) {
        self.now = now
        written = now
    }

    package subscript(key: CacheKey) -> Found? { latest[key] }

    package mutating func read(_ bytes: [UInt8], segment: UInt64) throws(DecodingError) {
        switch try JournalRecord(decoding: bytes) {
        case .clock(let clock): written = clock
        case .write(let key, let value, let version, let expiresAt):
            let known = latest[key]
            if known == nil { keys.append(key) }
            if let known, known.data.version > version { return }
            var data = LineData(value: value, version: version)
            if let expiresAt {
                data.remaining = now.remaining(until: expiresAt, written: written)
                // Its time has come meanwhile. The log still has what stood there before, which must not come back.
                if data.remaining == 0 { data = LineData(value: nil, version: version) }
            }
            latest[key] = Found(data: data, segment: segment)
        }
    }
}
