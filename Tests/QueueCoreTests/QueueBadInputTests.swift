// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import Testing

/// Each has an error of its own, before or after it reaches the log, and none changes anything.
@Suite("Queue bad input")
struct QueueBadInputTests {
    private func publish(_ change: (inout PublishMessage) -> Void) -> QueueCommand {
        var message = PublishMessage(body: [1])
        change(&message)
        return .publish(Publish(queue: "q", messages: [message]))
    }

    private func settle(_ settlement: Settlement, _ receipts: [Receipt]) -> QueueCommand {
        .settle(Settle(queue: "q", receipts: receipts, settlement: settlement))
    }

    private func isInvalid(_ command: QueueCommand) -> Bool {
        let state = QueueState(shard: ShardID(7))
        guard case .invalid = state.validate(command) else { return false }
        // A log that contains it all the same does no harm.
        var world = QueueWorld()
        guard case .refused(.invalid) = world.answer(command) else { return false }
        return world.state.queueCount == 0 && world.state.messageCount == 0
    }

    @Test("empty and oversized bodies are refused with the limit")
    func bodies() {
        var limits = QueueLimits()
        limits.bodyBytes = 10
        limits.publishBytes = 25
        let state = QueueState(shard: ShardID(7), limits: limits)
        #expect(state.validate(publish { $0.body = [] }) == .emptyBody)
        #expect(state.validate(publish { $0.body = Array(repeating: 0, count: 10) }) == nil)
        #expect(state.validate(publish { $0.body = Array(repeating: 0, count: 11) }) == .tooLarge(limit: 10))
        let three = Array(repeating: PublishMessage(body: Array(repeating: 0, count: 9)), count: 3)
        #expect(state.validate(.publish(Publish(queue: "q", messages: three))) == .tooLarge(limit: 25))
    }

    @Test("a publish has 1 to 4,096 messages")
    func counts() {
        #expect(isInvalid(.publish(Publish(queue: "q", messages: []))))
        let many = Array(repeating: PublishMessage(body: [1]), count: 4_097)
        #expect(isInvalid(.publish(Publish(queue: "q", messages: many))))
    }

    @Test("names are 1 to 512 bytes, and # is followed by a lane")
    func names() {
        let long = Name(String(repeating: "n", count: 513))
        for name in [long, "", "q#", "q#x", "#1", "q#01", "q#1024", "q#1#2"] {
            #expect(isInvalid(.declare(name, QueueSettings())), "\(name.text.prefix(10))")
            #expect(isInvalid(.purge(name)))
            #expect(isInvalid(.receive(Receive(queue: name))))
        }
        #expect(isInvalid(publish { $0.key = long }))
        #expect(isInvalid(publish { $0.tenant = Name(String(repeating: "t", count: 129)) }))
        #expect(isInvalid(publish { $0.dedup = long }))
        #expect(isInvalid(.closeConsumer("")))
        let tooLong = Name(String(repeating: "n", count: QueueLimits.consumerBytes + 1))
        #expect(isInvalid(.openConsumer(OpenConsumer(id: tooLong, ttlMilliseconds: 5_000))))
        let state = QueueState(shard: ShardID(7))
        #expect(state.validate(.purge("orders#1023")) == nil)
    }

    @Test("an unknown queue is told by its name")
    func unknownQueue() {
        var world = QueueWorld()
        let receipt = Receipt(shard: ShardID(7), lane: 0, line: 1, message: .zero, delivery: 1)
        for command in [
            .receive(Receive(queue: "q")), settle(.ack, [receipt]), .purge("q"), .delete("q"),
            .update("q", QueueSettings()),
            .pause("q", .publish), .redrive(Redrive(queue: "q")), .cancelRedrive("q"), .cancelMessage("q", .zero),
        ] {
            #expect(world.answer(command) == .refused(.noQueue("q")))
        }
    }

    @Test("receipts forged, replayed, late, or of another queue or shard each have their outcome")
    func receipts() {
        var world = QueueWorld()
        world.publish("q", 3)
        world.publish("other", 1)
        let mine = world.receive("q", 2)
        let other = world.receive("other")
        var forged = mine[0].receipt
        forged.message = MessageID(entry: LogIndex(99), ordinal: 0)
        var early = mine[0].receipt
        early.delivery = 7
        var zero = mine[0].receipt
        zero.delivery = 0
        var elsewhere = mine[0].receipt
        elsewhere.shard = ShardID(8)
        var undelivered = mine[0].receipt
        undelivered.message = MessageID(entry: LogIndex(1), ordinal: 2)
        let answer = world.answer(
            settle(.ack, [forged, early, zero, elsewhere, other[0].receipt, undelivered])
        )
        #expect(answer == .settled([.forged, .forged, .forged, .foreign, .foreign, .forged]))
        #expect(world.settle("q", [mine[0], mine[0]]) == [.done, .gone])
        #expect(world.settle("q", [mine[0]]) == [.gone], "a double ack")
        #expect(world.nack("q", [mine[0]]) == [.gone])
        world.advance(30_000)
        #expect(world.settle("q", [mine[1]]) == [.stale], "an ack after expiry")
        let again = world.receive("q")
        #expect(world.settle("q", [mine[1]]) == [.stale], "a replayed receipt")
        #expect(world.settle("q", again) == [.done])
        #expect(isInvalid(settle(.ack, [])))
    }

    @Test("a receipt's text is read strictly")
    func receiptText() {
        let receipt = Receipt(shard: ShardID(0xab), lane: 3, line: .max, message: MessageID(rawValue: 77), delivery: 9)
        #expect(Receipt(receipt.description) == receipt)
        #expect(receipt.description == "00ab0003000000000000004dffffffff00000009")
        for text in [
            "", "00", receipt.description + "0", receipt.description.uppercased(),
            "zz" + receipt.description.dropFirst(2),
        ] {
            #expect(Receipt(text) == nil)
        }
        let id = MessageID(entry: LogIndex(12), ordinal: 34)
        #expect(MessageID(id.description) == id && id.description == "12-34")
        for text in ["", "12", "12-", "-1", "12-4096", "012-1", "1-1-1", "18446744073709551615-0"] {
            #expect(MessageID(text) == nil, "\(text)")
        }
    }

    @Test("lanes are 1 to 1,024 and only rise")
    func lanes() {
        var settings = QueueSettings()
        settings.lanes = 0
        #expect(isInvalid(.declare("q", settings)))
        settings.lanes = 1_025
        #expect(isInvalid(.declare("q", settings)))
        var world = QueueWorld()
        settings.lanes = 4
        world.answer(.declare("q", settings))
        settings.lanes = 3
        #expect(world.answer(.update("q", settings)) == .refused(.lanesLowered(from: 4)))
        var other = settings
        other.lanes = 4
        #expect(world.answer(.declare("q", settings)) == .refused(.exists(other)))
        settings.lanes = 5
        #expect(world.answer(.update("q", settings)) == .updated)
    }

    @Test("delays are not negative, and schedules not too far ahead")
    func delays() {
        #expect(isInvalid(publish { $0.schedule = .after(milliseconds: -1) }))
        #expect(isInvalid(publish { $0.schedule = .after(milliseconds: .max) }))
        #expect(isInvalid(publish { $0.ttlMilliseconds = .max }))
        #expect(isInvalid(settle(.nack(delayMilliseconds: -5, reason: ""), [])))
        var world = QueueWorld()
        guard case .refused(.invalid) = world.answer(publish { $0.schedule = .at(stamp: .max) }) else {
            Issue.record("a schedule at the end of time was taken")
            return
        }
        #expect(world.state.messageCount == 0 && world.state.queueCount == 0)
    }

    @Test("settings, counts and times have bounds")
    func bounds() {
        func settings(_ change: (inout QueueSettings) -> Void) -> QueueCommand {
            var settings = QueueSettings()
            change(&settings)
            return .declare("q", settings)
        }
        #expect(isInvalid(settings { $0.leaseMilliseconds = 0 }))
        #expect(isInvalid(settings { $0.leaseMilliseconds = .max }))
        #expect(isInvalid(settings { $0.maxAttempts = .max }))
        #expect(isInvalid(settings { $0.maxLength = .max }))
        #expect(isInvalid(settings { $0.maxBytes = .max }))
        #expect(isInvalid(settings { $0.dedupMilliseconds = .max }))
        #expect(isInvalid(settings { $0.ttlMilliseconds = .max }))
        #expect(isInvalid(settings { $0.deadLetter = "a#b" }))
        #expect(isInvalid(settings { $0.deadLetter = "a#5" }))
        // Its lanes' names are longer: made by a dead letter, they must not be longer than any name may be.
        #expect(isInvalid(settings { $0.deadLetter = Name(String(repeating: "d", count: 508)) }))
        #expect(isInvalid(publish { $0.priority = 10 }))
        #expect(isInvalid(publish { $0.headers = Array(repeating: MessageHeader(name: "h", value: []), count: 65) }))
        #expect(isInvalid(publish { $0.headers = [MessageHeader(name: "", value: [1])] }))
        #expect(isInvalid(.receive(Receive(queue: "q", count: 0))))
        #expect(isInvalid(.receive(Receive(queue: "q", count: 1_025))))
        #expect(isInvalid(.receive(Receive(queue: "q", leaseMilliseconds: .max))))
        #expect(isInvalid(.receive(Receive(queue: "q", waitMilliseconds: .max))))
        #expect(isInvalid(.openConsumer(OpenConsumer(id: "c", ttlMilliseconds: 1))))
        #expect(isInvalid(.openConsumer(OpenConsumer(id: "c", ttlMilliseconds: 5_000, credit: 0))))
        #expect(isInvalid(.openConsumer(OpenConsumer(id: "c", ttlMilliseconds: 5_000, credit: 5_000))))
        #expect(isInvalid(.redrive(Redrive(queue: "q", rate: .max))))
    }

    @Test("a dedup id used for another body gets the first message")
    func dedupReuse() {
        var world = QueueWorld()
        let first = world.publish("q") { $0.dedup = "d" }
        let answer = world.answer(
            publish {
                $0.dedup = "d"; $0.body = [9, 9]
            }
        )
        #expect(answer == .published([Published(id: first[0], isDuplicate: true)]))
        #expect(world.view("q")?.depth.ready == 1)
    }

    @Test("a stale lock token stores nothing")
    func fenced() {
        var world = QueueWorld()
        var publish = Publish(queue: "q", messages: [PublishMessage(body: [1])])
        publish.guardedBy = LockGuard(namespace: "default", name: "l", token: 4, isStale: true)
        #expect(world.answer(.publish(publish)) == .refused(.fenced))
        #expect(world.state.messageCount == 0)
    }

    @Test("bodies with NUL and bytes that are no text pass unchanged")
    func binary() throws {
        let body: [UInt8] = [0, 0xff, 0xfe, 0, 0xc0, 0x80]
        let command = publish { $0.body = body }
        var writer = ByteWriter()
        command.encode(into: &writer)
        var reader = ByteReader(writer.bytes)
        #expect(try QueueCommand.stored(0, decoding: &reader).unpacked().body == body)
        var world = QueueWorld()
        guard case .published = world.answer(command) else {
            Issue.record("refused")
            return
        }
    }

    @Test("a stamp that falls is taken for the one before it")
    func fallingStamp() {
        var world = QueueWorld()
        world.publish("q")
        world.stamp -= 50_000
        world.publish("q")
        #expect(world.peek("q", .ready).map(\.published) == [100_000, 100_000])
        #expect(world.state.stamp == 100_000)
    }

    @Test("stamps and terms at the end of their range do no harm")
    func extremes() {
        var world = QueueWorld()
        world.publish("q", 2) { $0.schedule = .after(milliseconds: 1_000) }
        world.stamp = .max - 5
        world.term = Term(.max)
        world.advance(0)
        world.publish("q") { $0.ttlMilliseconds = 5 }
        let got = world.receive("q", 9)
        #expect(got.count == 3)
        #expect(world.settle("q", got, .extend(leaseMilliseconds: 43_200_000)) == [.done, .done, .done])
        #expect(world.settle("q", got) == [.done, .done, .done])
        #expect(world.answer(.tick(term: Term(1))) == .noted)
    }
}
