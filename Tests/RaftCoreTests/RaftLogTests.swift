// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import RaftCore

struct RaftLogTests {
    private let log = RaftLog(
        baseIndex: LogIndex(10),
        baseTerm: Term(2),
        entries: [Entry(2, 11), Entry(4, 12, [1, 2]), Entry(4, 13), Entry(7, 14)]
    )

    @Test("Terms are known from the base to the last entry")
    func terms() {
        #expect((9...15).map { log.term(at: LogIndex($0))?.rawValue } == [nil, 2, 2, 4, 4, 7, nil])
        #expect(log.bytes == 4 * 32 + 2)
    }

    @Test("The last entry up to a bound whose term is not above another is found by halving")
    func lastNotAbove() {
        func last(_ bound: UInt64, _ term: UInt64) -> UInt64 {
            log.lastIndex(notAbove: LogIndex(bound), term: Term(term)).rawValue
        }
        #expect(last(14, 7) == 14 && last(99, 9) == 14 && last(13, 7) == 13)
        #expect(last(14, 6) == 13 && last(14, 3) == 11 && last(14, 1) == 10 && last(5, 9) == 10)
    }

    @Test("A batch holds as much as fits, and at least one entry")
    func batch() {
        func end(_ first: UInt64, _ bytes: Int) -> UInt64 {
            log.batchEnd(from: LogIndex(first), maximumBytes: bytes).rawValue
        }
        #expect(end(11, 1) == 11 && end(11, 65) == 11 && end(11, 66) == 12 && end(12, 1000) == 14)
        #expect(end(15, 10) == 14, "past the end there is nothing")
    }

    @Test("Appending, truncating and compacting keep count of bytes and of the base")
    func changes() {
        var log = log
        log.truncate(from: LogIndex(13))
        log.append(Entry(9, 13, [1]))
        log.compact(through: LogIndex(12))
        log.checkInvariants()
        #expect(log.baseIndex == LogIndex(12) && log.baseTerm == Term(4) && log.bytes == 33)
        log.compact(through: LogIndex(12))
        log.reset(to: LogIndex(50), term: Term(9))
        #expect(log.firstIndex == LogIndex(51) && log.lastIndex == LogIndex(50) && log.bytes == 0)
    }

    @Test("A quorum agrees on the highest value that a majority has reached")
    func quorum() {
        let three = Quorum(voters: [1, 2, 3].map { NodeID($0) })
        let five = Quorum(voters: [1, 2, 3, 4, 5].map { NodeID($0) })
        let values: [UInt64] = [9, 4, 7, 1, 7]
        #expect(three.agreed { values[Int($0.rawValue) - 1] } == 7)
        #expect(five.agreed { values[Int($0.rawValue) - 1] } == 7)
        #expect(Quorum(voters: [NodeID(1), NodeID(2)]).agreed { $0.rawValue } == 1)
        #expect(three.result { $0 == NodeID(1) ? true : nil } == .pending)
        #expect(three.result { $0 == NodeID(1) } == .lost)
        #expect(three.result { $0 != NodeID(3) } == .won)
    }
}
