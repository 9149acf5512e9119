// SPDX-License-Identifier: Apache-2.0
import NIOCore
import NIOEmbedded
import Primitives
import QueueCore
import RESP
import Replica
import Testing

@testable import Gateway

@Suite("Queues on a RESP connection: pipelining and pushes")
struct QueuePipelineTests {
    @Test("publishes of one connection are in flight together once the queue is known")
    func publishes() throws {
        let talk = try QueueTalk()
        talk.port.isHolding = true
        for number in 0..<65 { try talk.write("QUEUE.PUBLISH", "q", "m\(number)") }
        // The first goes by a guess of the number of lanes, and nothing may overtake it.
        #expect(talk.port.heldCount == 1)
        talk.port.release()
        let first = try talk.read()
        #expect(first.count == 65)
        talk.port.isHolding = true
        for number in 0..<64 { try talk.write("QUEUE.PUBLISH", "q", "n\(number)", "KEY", "k") }
        #expect(talk.port.heldCount == 64)
        talk.port.release()
        let ids = try talk.read().compactMap { $0.string.flatMap { MessageID($0) } }
        #expect(ids.count == 64 && ids == ids.sorted())
    }

    @Test("receives and acks are in flight together; a publish after them waits its turn")
    func consuming() throws {
        let talk = try QueueTalk()
        for number in 0..<40 { _ = try talk.ask("QUEUE.PUBLISH", "q", "m\(number)") }
        let receipts =
            try talk.ask("QUEUE.RECEIVE", "q", "COUNT", "20").elements?
            .compactMap { $0["receipt"]?.string } ?? []
        #expect(receipts.count == 20)
        talk.port.isHolding = true
        for receipt in receipts {
            try talk.write("QUEUE.ACK", "q", receipt)
            try talk.write("QUEUE.RECEIVE", "q")
        }
        try talk.write("QUEUE.PUBLISH", "q", "after")
        try talk.write("QUEUE.STATS", "q")
        #expect(talk.port.heldCount == 40)
        talk.port.release()
        let replies = try talk.read()
        #expect(replies.count == 42)
        for (position, reply) in replies.prefix(40).enumerated() {
            #expect(position.isMultiple(of: 2) ? reply == .integer(1) : reply.elements?.count == 1)
        }
        #expect(replies[41]["ready"] == .integer(1) && replies[41]["acked_total"] == .integer(20))
    }

    @Test("a receive that waits holds up what follows, and CLIENT UNBLOCK ends it")
    func waiting() throws {
        let talk = try QueueTalk()
        _ = try talk.ask("QUEUE.DECLARE", "q")
        try talk.write("QUEUE.RECEIVE", "q", "WAIT", "60000")
        try talk.write("PING")
        #expect(try talk.read().isEmpty)
        talk.channel.pipeline.fireUserInboundEventTriggered(ConnectionEvent.unblock(withError: false))
        #expect(try talk.read() == [.array([]), .simple("PONG")])
        #expect(talk.port.waiterCount == 0)
        try talk.write("QUEUE.RECEIVE", "q", "WAIT", "60000")
        talk.channel.pipeline.fireUserInboundEventTriggered(ConnectionEvent.unblock(withError: true))
        guard case .error(let text) = try talk.read().first else { return #expect(Bool(false)) }
        #expect(text.hasPrefix("CANCELLED"))
    }

    @Test("what a client asked for and is not there to take goes back at once")
    func disconnect() throws {
        let talk = try QueueTalk()
        _ = try talk.ask("QUEUE.PUBLISHMANY", "q", "a", "b", "c")
        _ = try talk.ask("QUEUE.RECEIVE", "q")
        talk.port.isHolding = true
        try talk.write("QUEUE.RECEIVE", "q")
        try talk.write("QUEUE.RECEIVE", "q", "COUNT", "5")
        try talk.close()
        talk.port.release()
        // The first was answered: its lease is the client's, who may settle it on another connection.
        #expect(talk.port.view("q")?.depth.inFlight == 1)
        #expect(talk.port.view("q")?.depth.ready == 2)
    }

    // MARK: Pushes

    private func pushed(_ values: [RESPValue]) -> [RESPValue] {
        values.compactMap { value in
            guard case .push(let parts) = value, parts.count == 3, parts[0].string == "queue-message" else {
                return nil
            }
            return parts[2]
        }
    }

    private func subscribed(_ words: String...) throws -> QueueTalk {
        let talk = try QueueTalk(protocol: 3)
        _ = try talk.ask("QUEUE.DECLARE", "q")
        let reply = try talk.ask((["QUEUE.SUBSCRIBE", "q"] + words).map { Array($0.utf8) })
        #expect(reply == .integer(1))
        return talk
    }

    @Test("messages are pushed as they come, never more unsettled than the credit")
    func push() throws {
        let talk = try subscribed("CREDIT", "3")
        for number in 0..<5 { try talk.write("QUEUE.PUBLISH", "q", "m\(number)") }
        var messages = pushed(try talk.read())
        #expect(messages.compactMap { $0["body"]?.string } == ["m0", "m1", "m2"])
        #expect(talk.port.waiterCount == 0)
        let receipts = messages.compactMap { $0["receipt"]?.string }
        // An extension settles nothing.
        #expect(try talk.ask("QUEUE.EXTEND", "q", receipts[0], "LEASE", "60000") == .integer(1))
        try talk.write("QUEUE.ACK", "q", receipts[0])
        messages = pushed(try talk.read())
        #expect(messages.compactMap { $0["body"]?.string } == ["m3"])
        try talk.write("QUEUE.ACK", "q", receipts[1], receipts[2])
        messages += pushed(try talk.read())
        #expect(messages.compactMap { $0["body"]?.string } == ["m3", "m4"])
        #expect(talk.port.waiterCount == 1)
        #expect(talk.port.view("q")?.depth.inFlight == 2)
    }

    @Test("credit comes back when a lease has run out")
    func leases() throws {
        let talk = try subscribed("CREDIT", "1", "LEASE", "5000")
        try talk.write("QUEUE.PUBLISH", "q", "m0")
        try talk.write("QUEUE.PUBLISH", "q", "m1")
        #expect(pushed(try talk.read()).count == 1)
        talk.advance(milliseconds: 4_000)
        #expect(try talk.read().isEmpty)
        talk.port.advance(milliseconds: 6_000)
        talk.advance(milliseconds: 1_500)
        let again = pushed(try talk.read())
        #expect(again.count == 1 && again[0]["cause"]?.string == "lease_expired")
    }

    @Test("nothing is pushed while the client takes nothing")
    func slowClient() throws {
        let talk = try subscribed("CREDIT", "4")
        talk.channel.isWritable = false
        talk.channel.pipeline.fireChannelWritabilityChanged()
        // The receive that waited already may still be answered, no other.
        let other = QueueService(port: talk.port)
        for number in 0..<9 {
            let publish = Publish(queue: "q", messages: [PublishMessage(body: Array("m\(number)".utf8))])
            other.perform(.publish(publish), timeout: nil) { _ in }
        }
        #expect(talk.port.view("q")?.depth.inFlight == 1)
        talk.channel.isWritable = true
        talk.channel.pipeline.fireChannelWritabilityChanged()
        #expect(pushed(try talk.read()).count == 4)
    }

    @Test("when the connection ends, what it has not settled returns at once", arguments: [false, true])
    func end(byReset: Bool) throws {
        let talk = try subscribed("CREDIT", "3")
        for number in 0..<5 { try talk.write("QUEUE.PUBLISH", "q", "m\(number)") }
        let first = pushed(try talk.read())
        try talk.write("QUEUE.ACK", "q", try #require(first[0]["receipt"]?.string))
        _ = try talk.read()
        if byReset { #expect(try talk.ask("RESET") == .simple("RESET")) } else { try talk.close() }
        #expect(talk.port.view("q")?.depth.ready == 4 && talk.port.view("q")?.depth.inFlight == 0)
        #expect(talk.port.view("q")?.totals.returned == 3 && talk.port.waiterCount == 0)
    }

    @Test("unsubscribing ends the pushes and leaves what was pushed to be settled")
    func unsubscribe() throws {
        let talk = try subscribed()
        try talk.write("QUEUE.PUBLISH", "q", "m")
        let message = try #require(pushed(try talk.read()).first)
        #expect(try talk.ask("HELLO", "2") != .simple("OK"))
        #expect(try talk.ask("QUEUE.UNSUBSCRIBE", "q") == .integer(0))
        #expect(talk.port.waiterCount == 0)
        try talk.write("QUEUE.PUBLISH", "q", "n")
        #expect(pushed(try talk.read()).isEmpty)
        #expect(try talk.ask("QUEUE.ACK", "q", try #require(message["receipt"]?.string)) == .integer(1))
        #expect(try talk.ask("QUEUE.UNSUBSCRIBE", "q") == .integer(0))
    }

    @Test("a subscription to what is not there is an error; one whose queue is deleted ends with word of it")
    func gone() throws {
        let talk = try subscribed()
        #expect(try talk.ask("QUEUE.SUBSCRIBE", "none") == .error("NOQUEUE queue 'none' does not exist"))
        guard case .error(let twice) = try talk.ask("QUEUE.SUBSCRIBE", "q") else { return #expect(Bool(false)) }
        #expect(twice.hasPrefix("ERR the connection is subscribed to 'q'"))
        try talk.write("QUEUE.DELETE", "q")
        let values = try talk.read()
        let ended = values.compactMap { value -> [RESPValue]? in
            if case .push(let parts) = value { parts } else { nil }
        }
        #expect(ended.first?.map(\.string).prefix(2) == ["queue-end", "q"])
        #expect(ended.first?.last?.string?.hasPrefix("ENDED") == true)
        let two = try QueueTalk()
        _ = try two.ask("QUEUE.DECLARE", "q")
        guard case .error(let text) = try two.ask("QUEUE.SUBSCRIBE", "q") else { return #expect(Bool(false)) }
        #expect(text.hasPrefix("ERR QUEUE.SUBSCRIBE pushes messages, which needs RESP3"))
    }

    @Test("a shard without an answer is tried again")
    func retry() throws {
        let talk = try subscribed()
        talk.port.override = { request, _ in
            if case .queue(.receive) = request { .unavailable(.notDone, reason: "no leader") } else { nil }
        }
        try talk.write("QUEUE.PUBLISHMANY", "q", "a", "b", "c")
        #expect(pushed(try talk.read()).count == 3)
        try talk.write("QUEUE.PUBLISH", "q", "d")
        #expect(pushed(try talk.read()).isEmpty)
        talk.port.override = { _, _ in nil }
        talk.advance(milliseconds: 600)
        #expect(pushed(try talk.read()).count == 1)
    }
}
