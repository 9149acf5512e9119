// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import CacheCore

@Suite("What a journal's files say")
struct JournalReplayTests {
    private static let boot = Array("boot".utf8)

    private func replay(_ now: JournalClock, _ files: [[JournalRecord]]) throws -> JournalReplay {
        var replay = JournalReplay(now: now)
        for (number, file) in files.enumerated() {
            for record in file { try replay.read(record.encoded(), segment: UInt64(number) + 1) }
        }
        return replay
    }

    private func write(_ key: String, _ value: String, _ index: UInt64, _ minor: UInt32, _ end: UInt64? = nil)
        -> JournalRecord
    {
        .write(CacheKey(key), value: Array(value.utf8), CacheVersion(index: index, minor: minor), expiresAt: end)
    }

    @Test("the newest version of each key counts, whatever the order of the records")
    func newest() throws {
        let clock = JournalClock(boot: Self.boot, uptime: 0, wall: 0)
        let replay = try replay(
            clock,
            [
                [.clock(clock), write("a", "1", 7, 1), write("b", "1", 8, 2), write("a", "2", 7, 2)],
                [.clock(clock), write("b", "0", 8, 1), write("c", "1", 3, 1), write("a", "3", 9, 1)],
            ]
        )
        #expect(replay.keys == [CacheKey("a"), CacheKey("b"), CacheKey("c")])
        let found = replay.keys.map { replay[$0] }
        #expect(found.map { $0?.data.value } == [Array("3".utf8), Array("1".utf8), Array("1".utf8)])
        #expect(found.map { $0?.data.version.minor } == [1, 2, 1])
        #expect(found.map { $0?.segment } == [2, 1, 2])
    }

    @Test("a time to live goes on while the node is down, by the machine's clock or over its start by the wall clock")
    func lifetimes() throws {
        let begun = JournalClock(boot: Self.boot, uptime: 1_000, wall: 50_000)
        let file = [JournalRecord.clock(begun), write("k", "v", 1, 1, 4_000), write("forever", "v", 2, 1)]
        func remaining(_ now: JournalClock) throws -> LineData? {
            let replay = try replay(now, [file])
            #expect(replay[CacheKey("forever")]?.data.remaining == nil)
            #expect(replay[CacheKey("forever")]?.data.value != nil)
            return replay[CacheKey("k")]?.data
        }
        #expect(try remaining(JournalClock(boot: Self.boot, uptime: 1_500, wall: 0))?.remaining == 2_500)
        let rebooted = Array("other".utf8)
        #expect(try remaining(JournalClock(boot: rebooted, uptime: 10, wall: 51_500))?.remaining == 1_500)
        #expect(try remaining(JournalClock(boot: [], uptime: 10, wall: 51_500))?.remaining == 1_500)
        #expect(try remaining(JournalClock(boot: rebooted, uptime: 10, wall: 49_000))?.remaining == 3_000)
        for late in [
            JournalClock(boot: Self.boot, uptime: 4_000, wall: 0), JournalClock(boot: rebooted, uptime: 0, wall: .max),
        ] {
            let gone = try remaining(late)
            #expect(gone == LineData(value: nil, version: CacheVersion(index: 1, minor: 1)))
        }
    }

    @Test("what a node still owes: its unlogged line, and what is on its way, but nothing newer and nothing clean")
    func owing() {
        var requestor = CacheRequestor(configuration: RequestorConfiguration(origin: 1))
        func owes(_ key: String, _ minor: UInt32) -> Bool {
            requestor.owes(CacheKey(key), CacheVersion(index: 4, minor: minor))
        }
        #expect(!owes("k", 2))
        requestor.putBack(CacheKey("k"), LineData(value: [1], version: CacheVersion(index: 4, minor: 2)))
        #expect(owes("k", 2) && owes("k", 1))
        #expect(!owes("k", 3) && !owes("other", 2))
    }
}
