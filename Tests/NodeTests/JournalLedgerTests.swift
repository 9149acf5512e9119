// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Testing

@testable import Node

@Suite("Which files of the journal are needed")
struct JournalLedgerTests {
    private var ledger = JournalLedger()
    private let start = Instant(nanoseconds: 5_000_000_000)

    private func version(_ minor: UInt32, _ index: UInt64 = 7) -> CacheVersion {
        CacheVersion(index: index, minor: minor)
    }

    private mutating func note(_ key: String, _ minor: UInt32, _ segment: UInt64, isOwed: Bool = true) {
        ledger.note(CacheKey(key), version(minor), in: segment, isOwed: isOwed, now: start)
    }

    private mutating func settle(_ key: String, _ minor: UInt32) -> JournalLedger.Settled {
        ledger.settle(CacheKey(key), upTo: version(minor))
    }

    @Test("a segment goes when the log has each of its keys, as new as it has them")
    mutating func settled() {
        note("a", 1, 1)
        note("b", 1, 1)
        note("c", 1, 2)
        #expect(ledger.wantsFlush && ledger.keyCount == 3)
        #expect(settle("a", 1) == .own && settle("a", 1) == .nothing)
        #expect(ledger.removable(now: start).isEmpty)
        #expect(settle("b", 0) == .nothing, "the log has an older one")
        #expect(ledger.removable(now: start).isEmpty)
        #expect(settle("b", 5) == .own)
        #expect(ledger.removable(now: start) == [.init(segment: 1, records: 2)])
        #expect(ledger.removable(now: start).isEmpty, "once is enough")
        ledger.kept(1)
        #expect(ledger.removable(now: start) == [.init(segment: 1, records: 2)])
        ledger.removed(1)
        #expect(!ledger.wantsFlush && ledger.keyCount == 1)
    }

    @Test("a newer record of the same key frees the older one's segment, an older one does not")
    mutating func superseded() {
        note("a", 1, 1)
        note("a", 2, 2)
        #expect(ledger.removable(now: start) == [.init(segment: 1, records: 1)])
        note("a", 1, 3)
        #expect(ledger.removable(now: start).isEmpty, "segment 2 has the newest")
        #expect(settle("a", 2) == .own)
        #expect(ledger.removable(now: start) == [.init(segment: 2, records: 1)])
    }

    @Test("what the log had before the disk is not waited for, and counts among the records")
    mutating func early() {
        note("a", 1, 1, isOwed: false)
        note("b", 1, 2)
        #expect(ledger.removable(now: start) == [.init(segment: 1, records: 1)])
    }

    @Test("the segment that is written goes when nothing in it is needed and nobody writes, or at the end")
    mutating func idle() {
        note("a", 1, 1)
        #expect(settle("a", 1) == .own)
        #expect(ledger.removable(now: start + .milliseconds(999)).isEmpty)
        var closing = ledger
        #expect(closing.removable(now: nil) == [.init(segment: 1, records: 1)])
        #expect(ledger.removable(now: start + .milliseconds(1_000)) == [.init(segment: 1, records: 1)])
    }

    @Test("an earlier life's segments stay until each of their keys was offered and answered")
    mutating func earlier() {
        ledger.adopt(3, records: 4)
        ledger.adopt(4, records: 1)
        ledger.adopt(CacheKey("a"), version(2), in: 3)
        ledger.adopt(CacheKey("b"), version(1), in: 4)
        #expect(!ledger.wantsFlush, "they stand in no line")
        note("c", 1, 5)
        #expect(settle("b", 1) == .old)
        #expect(ledger.removable(now: start) == [.init(segment: 4, records: 1)])
        #expect(settle("a", 1) == .nothing && settle("a", 2) == .old)
        #expect(ledger.removable(now: start) == [.init(segment: 3, records: 4)])
        #expect(ledger.keyCount == 1)
    }
}
