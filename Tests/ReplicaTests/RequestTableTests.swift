// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import Replica
import Testing

@Suite("Request table")
struct RequestTableTests {
    private func envelope(
        _ number: UInt64,
        below: UInt64 = 1,
        acknowledged: [UInt64] = [],
        stamp: UInt64 = 0,
        origin: UInt64 = 7
    )
        -> CommandEnvelope
    {
        CommandEnvelope(
            stamp: stamp,
            request: RequestID(origin: origin, number: number),
            acknowledgedBelow: below,
            acknowledged: acknowledged,
            command: .lock(.closeSession(SessionID("s")))
        )
    }

    @Test("a retry gets the first result until it is acknowledged")
    func remembersResults() {
        var table = RequestTable()
        let id = RequestID(origin: 7, number: 1)
        table.acknowledge(envelope(1))
        #expect(table.lookup(id) == .new)
        table.noteDone(id, .lock(.released(left: 3)))
        #expect(table.lookup(id) == .done(.lock(.released(left: 3))))
        table.acknowledge(envelope(2, below: 2))
        #expect(table.lookup(id) == .forgotten)
        #expect(table.resultCount == 0)
    }

    @Test("above an open wait what was acknowledged is forgotten, and what never arrived is not")
    func acknowledgedAboveTheFloor() {
        var table = RequestTable()
        let wait = RequestID(origin: 7, number: 1)
        table.acknowledge(envelope(1))
        table.noteWaiting(wait)
        for number in UInt64(2)...49 {
            table.acknowledge(envelope(number))
            table.noteDone(RequestID(origin: 7, number: number), .lock(.released(left: 0)))
        }
        table.acknowledge(envelope(51, acknowledged: Array(2...49)))
        #expect(table.lookup(wait) == .waiting)
        #expect(table.lookup(RequestID(origin: 7, number: 7)) == .forgotten)
        #expect(table.lookup(RequestID(origin: 7, number: 50)) == .new)
        #expect(table.resultCount == 1)
        table.noteDone(wait, .lock(.granted(tokens: [9], holds: 1)))
        #expect(table.lookup(wait) == .done(.lock(.granted(tokens: [9], holds: 1))))
        table.acknowledge(envelope(52, below: 50))
        #expect(table.lookup(wait) == .forgotten)
        #expect(table.lookup(RequestID(origin: 7, number: 50)) == .new)
        #expect(table.resultCount == 0)
    }

    @Test("a snapshot of the table behaves like the table")
    func roundTrip() throws {
        var table = RequestTable()
        table.acknowledge(envelope(1))
        table.noteDone(RequestID(origin: 7, number: 1), .lock(.check(true)))
        table.noteWaiting(RequestID(origin: 7, number: 2))
        var writer = ByteWriter()
        table.encode(into: &writer)
        var reader = ByteReader(writer.bytes)
        let copy = try RequestTable(decoding: &reader)
        #expect(copy.lookup(RequestID(origin: 7, number: 1)) == .done(.lock(.check(true))))
        #expect(copy.lookup(RequestID(origin: 7, number: 2)) == .waiting)
        #expect(copy.resultCount == 2)
        for end in writer.bytes.indices {
            var cut = ByteReader(writer.bytes, from: 0, to: end)
            #expect(throws: DecodingError.self) { try RequestTable(decoding: &cut) }
        }
    }

    @Test("an origin that fell silent is forgotten when another appears, unless it waits")
    func forgetsIdleOrigins() {
        var table = RequestTable()
        table.acknowledge(envelope(1, origin: 1))
        table.noteDone(RequestID(origin: 1, number: 1), .lock(.check(true)))
        table.acknowledge(envelope(1, origin: 2))
        table.noteWaiting(RequestID(origin: 2, number: 1))
        table.acknowledge(envelope(1, stamp: RequestTable.originLifetime + 1, origin: 3))
        #expect(table.lookup(RequestID(origin: 1, number: 1)) == .new)
        #expect(table.lookup(RequestID(origin: 2, number: 1)) == .waiting)
    }
}

@Suite("Digest history")
struct DigestHistoryTests {
    @Test("a replica is odd only against a majority of the voters")
    func oddReplica() {
        var history = DigestHistory()
        history.note(index: LogIndex(256), hash: 1)
        history.note(index: LogIndex(256), hash: 2, from: NodeID(2))
        #expect(!history.isOdd(at: LogIndex(256), voters: 3))
        history.note(index: LogIndex(256), hash: 3, from: NodeID(3))
        #expect(!history.isOdd(at: LogIndex(256), voters: 3))
        history.note(index: LogIndex(256), hash: 2, from: NodeID(3))
        #expect(history.isOdd(at: LogIndex(256), voters: 3))
        #expect(!history.isOdd(at: LogIndex(256), voters: 5))
    }
}
