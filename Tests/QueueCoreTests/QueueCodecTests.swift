// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import Testing

@Suite("Queue codecs")
struct QueueCodecTests {
    static let receipt = Receipt(
        shard: ShardID(3),
        lane: 5,
        line: .max,
        message: MessageID(entry: LogIndex(9), ordinal: 4_095),
        delivery: .max
    )
    static let settings: QueueSettings = {
        var settings = QueueSettings()
        settings.lanes = 9
        settings.deadLetter = "graves"
        settings.maxLength = .max
        settings.maxBytes = 7
        settings.overflow = .dropOldest
        settings.ttlMilliseconds = 8
        return settings
    }()
    static let full = PublishMessage(
        body: [0, 255, 0],
        headers: [MessageHeader(name: "h", value: [1, 0]), MessageHeader(name: "h", value: [])],
        key: "k",
        tenant: "t",
        priority: 9,
        schedule: .after(milliseconds: -7),
        ttlMilliseconds: .max,
        dedup: "d"
    )
    static let plain = PublishMessage(body: [1])
    static let letter = DeadLetter(cause: .rejected, reason: "r", origin: "o", attempts: 4, died: 5)
    static let delivery = Delivery(
        id: MessageID(entry: LogIndex(1), ordinal: 2),
        receipt: receipt,
        attempt: 3,
        key: "k",
        priority: 4,
        published: 5,
        bytes: 6,
        leaseMilliseconds: 7,
        cause: .leaseExpired,
        deadLetter: letter
    )
    static let view: QueueView = {
        var view = QueueView(name: "q", settings: settings)
        view.depth.ready = 1
        view.depth.dead = 2
        view.bytes = 3
        view.totals.published = 4
        view.totals.redriven = 5
        view.isConsumePaused = true
        view.waiters = 6
        view.tenants = 7
        view.oldestReadyMilliseconds = 0
        view.dwell = [1, 0, 9]
        view.redriveLeft = 8
        return view
    }()
    static let message: MessageView = {
        var view = MessageView(id: MessageID(rawValue: 99), state: .delayed, bytes: 1, published: 2)
        view.key = "k"
        view.tenant = "t"
        view.due = 3
        view.expires = 4
        view.consumer = "c"
        view.deadLetter = letter
        return view
    }()
    static let consumer = ConsumerView(
        id: "c",
        label: "l",
        ttlMilliseconds: 1,
        credit: 2,
        inFlight: 3,
        waiting: 4,
        ageMilliseconds: 5,
        remainingMilliseconds: 6
    )

    static let commands: [QueueCommand] = [
        .declare("q", settings), .update("q#1", QueueSettings()), .delete("q"),
        .publish(Publish(queue: "q", messages: [plain])),
        .publish(
            Publish(
                queue: "β",
                messages: [full, plain, full],
                producer: ProducerSequence(producer: "p", sequence: .max),
                guardedBy: LockGuard(namespace: "n", name: "l", token: 3, isStale: true),
                declares: false
            )
        ),
        .publish(Publish(queue: "q", messages: [PublishMessage(body: [], schedule: .at(stamp: .max))])),
        .receive(
            Receive(queue: "q", consumer: "c", count: 3, maxBytes: 4, leaseMilliseconds: 5, waitMilliseconds: .max)
        ),
        .settle(Settle(queue: "q", receipts: [receipt, receipt], settlement: .ack)),
        .settle(Settle(queue: "q", receipts: [], settlement: .nack(delayMilliseconds: -1, reason: "r"))),
        .settle(Settle(queue: "q", receipts: [receipt], settlement: .giveBack(delayMilliseconds: .min))),
        .settle(Settle(queue: "q", receipts: [receipt], settlement: .extend(leaseMilliseconds: 5))),
        .settle(Settle(queue: "q", receipts: [receipt], settlement: .reject(reason: "r"))),
        .openConsumer(OpenConsumer(id: "c", ttlMilliseconds: 2, credit: 3, label: "l")), .closeConsumer("c"),
        .resumeConsumer("c", [receipt]), .cancelMessage("q", MessageID(rawValue: .max)), .purge("q"),
        .pause("q", .publish), .resume("q", .consume), .redrive(Redrive(queue: "q")),
        .redrive(Redrive(queue: "q", count: 1, rate: 2, target: "t", cause: .attempts)), .cancelRedrive("q"),
        .cancelWait(RequestID(origin: 1, number: .max)), .tick(term: Term(5)),
        .expireConsumer("c", opened: LogIndex(3), term: Term(5)),
    ]
    static let queries: [QueueQuery] = [
        .queue("q"), .queues(prefix: "p", after: "a", limit: -1), .peek("q", .dead, limit: 7),
        .message("q", MessageID(rawValue: 9)), .consumer("c"),
    ]
    static let responses: [QueueResponse] =
        [
            .declared(created: true), .updated, .deleted(messages: 1),
            .published([Published(id: MessageID(rawValue: 7)), Published(id: .zero, isDuplicate: true)]), .received([]),
            .received([delivery, delivery]), .settled(SettleOutcome.allCases), .consumerOpened("c", ttlMilliseconds: 2),
            .consumerClosed(returned: 3), .consumerResumed([.done, .stale], returned: 4), .messageCancelled(.inFlight),
            .purged(messages: .max), .pausedOrResumed, .redrive(moved: 5, left: 6), .waitCancelled(found: false),
            .noted, .renewed(milliseconds: 7), .queue(view), .queue(nil), .queues([view, view], next: "n"),
            .messages([message, message]), .message(message), .message(nil), .consumer(consumer), .consumer(nil),
        ] + errors.map { .refused($0) }
    static let errors: [QueueError] = [
        .noQueue("q"), .exists(settings), .lanesLowered(from: 3), .emptyBody, .tooLarge(limit: 4), .full("q"),
        .paused(.consume), .fenced, .noConsumer("c"), .consumerExists("c"), .noCredit("c"), .staleSequence, .redriving,
        .limit("l"), .invalid("i"), .cancelled, .ended,
    ]

    /// Reads back what was written, and refuses every shortened form of it.
    private func check<Value: Equatable>(
        _ value: Value,
        _ encode: (Value, inout ByteWriter) -> Void,
        _ decode: (inout ByteReader) throws(DecodingError) -> Value
    ) {
        var writer = ByteWriter()
        encode(value, &writer)
        var reader = ByteReader(writer.bytes)
        #expect((try? decode(&reader)) == value)
        #expect(reader.isAtEnd)
        for end in 0..<writer.count {
            var short = ByteReader(writer.bytes, from: 0, to: end)
            #expect(throws: DecodingError.self) { try decode(&short) }
        }
        // Any change of a byte gives another value or an error, and never a trap.
        for place in 0..<writer.count {
            var bytes = writer.bytes
            bytes[place] ^= 0xff
            var damaged = ByteReader(bytes)
            if let other = try? decode(&damaged), damaged.isAtEnd { #expect(other != value) }
        }
    }

    @Test("commands survive the log", arguments: commands)
    func command(_ command: QueueCommand) {
        check(
            command,
            { $0.encode(into: &$1) },
            { (reader) throws(DecodingError) in try QueueCommand(decoding: &reader) }
        )
    }

    @Test("queries survive the wire", arguments: queries)
    func query(_ query: QueueQuery) {
        check(query, { $0.encode(into: &$1) }, { (reader) throws(DecodingError) in try QueueQuery(decoding: &reader) })
    }

    @Test("responses survive the wire", arguments: responses)
    func response(_ response: QueueResponse) {
        check(
            response,
            { $0.encode(into: &$1) },
            { (reader) throws(DecodingError) in try QueueResponse(decoding: &reader) }
        )
    }

    @Test("one message is read out of a publish without the others")
    func oneMessage() throws {
        let publish = Publish(queue: "q", messages: [Self.plain, Self.full, PublishMessage(body: [2, 3])])
        var writer = ByteWriter()
        QueueCommand.publish(publish).encode(into: &writer)
        for (ordinal, message) in publish.messages.enumerated() {
            var reader = ByteReader(writer.bytes)
            #expect(try QueueCommand.stored(ordinal, decoding: &reader).unpacked() == message)
        }
        for ordinal in [-1, 3, .max] {
            var reader = ByteReader(writer.bytes)
            #expect(throws: DecodingError.self) { try QueueCommand.stored(ordinal, decoding: &reader) }
        }
        var purge = ByteWriter()
        QueueCommand.purge("q").encode(into: &purge)
        var reader = ByteReader(purge.bytes)
        #expect(throws: DecodingError.self) { try QueueCommand.stored(0, decoding: &reader) }
    }

    @Test("counts that promise more than there is are refused before memory is taken")
    func hugeCounts() {
        for tag: UInt8 in 1...18 {
            var writer = ByteWriter()
            writer.u8(tag)
            for _ in 0..<8 { writer.varint(.max) }
            var reader = ByteReader(writer.bytes)
            _ = try? QueueCommand(decoding: &reader)
        }
    }

    /// A state with something in every table.
    private static func richWorld() -> QueueWorld {
        var world = QueueWorld()
        world.checksSnapshots = false
        world.declare("q") {
            $0.maxAttempts = 1
            $0.deadLetter = "graves"
        }
        world.open("c")
        world.publish("q", 2) { $0.key = "k" }
        world.publish("q", 2) { $0.tenant = "t" }
        world.publish("q") { $0.schedule = .after(milliseconds: 500) }
        world.publish("q") {
            $0.ttlMilliseconds = 900
            $0.dedup = "d"
        }
        world.nack("q", world.receive("q"))
        _ = world.receive("q", 2) { $0.consumer = "c" }
        world.apply(.receive(Receive(queue: "idle", waitMilliseconds: 5)))
        world.publish("idle")
        world.settle("idle", world.receive("idle"))
        world.apply(.receive(Receive(queue: "idle", consumer: "c", waitMilliseconds: 5)))
        var publish = Publish(queue: "q", messages: [plain])
        publish.producer = ProducerSequence(producer: "p", sequence: 4)
        world.apply(.publish(publish))
        world.publish("s", 3)
        world.settle("s", world.receive("s", 2), .reject(reason: "no"))
        world.answer(.redrive(Redrive(queue: "s", rate: 1)))
        return world
    }

    @Test("a damaged snapshot is refused or is another lawful state, and never a trap")
    func damagedSnapshots() {
        let world = Self.richWorld()
        world.checkSnapshot()
        let bytes = world.encoded()
        for end in 0..<bytes.count {
            var reader = ByteReader(bytes, from: 0, to: end)
            #expect(throws: DecodingError.self) { try QueueState(decoding: &reader) }
        }
        var random = SeededRandom(seed: 5)
        for place in 0..<bytes.count {
            var damaged = bytes
            damaged[place] ^= UInt8(1 + random.below(255))
            var reader = ByteReader(damaged)
            guard var state = try? QueueState(decoding: &reader) else { continue }
            state.checkInvariants()
            // Lawful means that it goes on.
            var effects = QueueEffects()
            let context = QueueContext(
                index: LogIndex(1 << 40),
                term: Term(9),
                stamp: 200_000,
                request: QueueWorld.request(9_999_999)
            )
            state.apply(.tick(term: Term(9)), context, into: &effects)
            state.checkInvariants()
        }
    }
}
