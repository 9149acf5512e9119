// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import Testing

@Suite("Queue rules")
struct QueueRuleTests {
    @Test("after a confirmed ack a message is never delivered again, whatever happens to its lease or consumer")
    func ackIsFinal() {
        var world = QueueWorld()
        world.open("c")
        let id = world.publish("q")[0]
        let delivery = world.receive("q") { $0.consumer = "c" }
        #expect(world.settle("q", delivery) == [.done])
        world.term = Term(2)
        world.advance(1_000_000)
        world.answer(.closeConsumer("c"))
        #expect(world.receive("q").isEmpty)
        #expect(!world.state.isLive(id))
        #expect(world.deadBodies == [BodyRange(first: id, count: 1)])
    }

    @Test("attempts survive a restart and a change of leader, and the fence rises with each delivery")
    func attempts() {
        var world = QueueWorld()
        world.publish("q")
        var last: UInt32 = 0
        for round in 1...5 {
            let delivery = world.receive("q")
            #expect(delivery.first?.attempt == UInt64(round))
            #expect((delivery.first?.receipt.delivery ?? 0) > last)
            last = delivery.first?.receipt.delivery ?? 0
            world.nack("q", delivery)
            world.restart()
            world.term = world.term.next
        }
        #expect(world.peek("q", .ready).first?.failures == 5)
    }

    @Test("the body store is told of every body exactly once, and the live ones are the rest")
    func bodies() {
        var world = QueueWorld()
        world.declare("q") { $0.maxLength = 4 }
        world.publish("q", 4)
        world.publish("q", 2)
        world.settle("q", world.receive("q", 2))
        world.publish("q", 1)
        var live: [BodyRange] = []
        world.state.forEachLiveBody {
            live.append($0); return true
        }
        let first = MessageID(entry: LogIndex(2), ordinal: 2)
        #expect(
            live == [
                BodyRange(first: first, count: 2),
                BodyRange(first: MessageID(entry: LogIndex(6), ordinal: 0), count: 1),
            ]
        )
        #expect(world.state.oldestLive == first)
        #expect(world.deadBodies.reduce(0) { $0 + $1.count } == 4)
        var from: [BodyRange] = []
        world.state.forEachLiveBody(from: MessageID(entry: LogIndex(3), ordinal: 0)) {
            from.append($0); return true
        }
        #expect(from.count == 1)
    }

    @Test("a full dead-letter queue loses nothing: the letter stays where it died")
    func fullDeadLetterQueue() {
        var world = QueueWorld()
        world.declare("graves") { $0.maxLength = 1 }
        world.declare("q") {
            $0.deadLetter = "graves"
            $0.maxAttempts = 1
        }
        world.publish("q", 3)
        world.nack("q", world.receive("q", 3))
        #expect(world.view("graves")?.depth.ready == 1)
        #expect(world.view("q")?.depth.dead == 2)
        world.settle("graves", world.receive("graves"))
        #expect(world.answer(.redrive(Redrive(queue: "q"))) == .redrive(moved: 2, left: 0))
        #expect(world.view("q")?.depth.ready == 2)
    }

    @Test("dead letters are bounded, and the oldest goes first")
    func deadBound() {
        var limits = QueueLimits()
        limits.deadPerQueue = 2
        var world = QueueWorld(limits: limits)
        let ids = world.publish("q", 3)
        world.settle("q", world.receive("q", 3), .reject(reason: ""))
        #expect(world.peek("q", .dead).map(\.id) == Array(ids[1...]))
        #expect(world.view("q")?.totals.dropped == 1)
    }

    @Test("a redrive goes at its rate and can be cancelled")
    func redriveRate() {
        var world = QueueWorld()
        world.publish("q", 10)
        world.settle("q", world.receive("q", 10), .reject(reason: ""))
        #expect(world.answer(.redrive(Redrive(queue: "q", rate: 2))) == .redrive(moved: 1, left: 9))
        world.advance(1_000)
        #expect(world.view("q")?.depth.ready == 3)
        #expect(world.view("q")?.redriveLeft == 7)
        #expect(world.answer(.cancelRedrive("q")) == .redrive(moved: 3, left: 7))
        world.advance(10_000)
        #expect(world.view("q")?.depth.dead == 7)
        #expect(world.answer(.cancelRedrive("q")) == .redrive(moved: 0, left: 0))
    }

    @Test("work for many messages goes on in bounded ticks, and other queues get their turn")
    func boundedWork() {
        var limits = QueueLimits()
        limits.workPerCommand = 40
        limits.workPerQueue = 10
        var world = QueueWorld(limits: limits)
        world.checksSnapshots = false
        world.publish("noisy", 500) { $0.schedule = .after(milliseconds: 10) }
        world.publish("quiet", 1) { $0.schedule = .after(milliseconds: 11) }
        world.stamp += 20
        world.apply(.tick(term: world.term))
        #expect(world.view("quiet")?.depth.ready == 1)
        #expect((world.view("noisy")?.depth.ready ?? 0) <= 40)
        world.advance(0)
        #expect(world.view("noisy")?.depth.ready == 500)
        // A purge answers at once with the whole number, and sweeps in ticks.
        #expect(world.answer(.purge("noisy")) == .purged(messages: 500))
        #expect(world.view("noisy")?.depth.total == 0)
        #expect(world.state.messageCount > 400)
        world.publish("noisy", 2)
        #expect(world.receive("noisy", 5).count == 2)
        world.advance(0)
        #expect(world.state.messageCount == 3)
        #expect(world.deadBodies.reduce(0) { $0 + $1.count } == 500)
        #expect(world.state.nextDue != nil, "two leases are running")
    }

    @Test("deliveries to waiting receives that are too many for one command go on in a tick")
    func boundedDeliveries() {
        var limits = QueueLimits()
        limits.deliveriesPerCommand = 3
        var world = QueueWorld(limits: limits)
        world.declare("q") { _ in }
        for _ in 0..<4 { world.apply(.receive(Receive(queue: "q", count: 2, waitMilliseconds: 1_000))) }
        let messages = Array(repeating: QueueWorld.text("m"), count: 9)
        let effects = world.apply(.publish(Publish(queue: "q", messages: messages)))
        #expect(effects.responses.count == 1 + 2)
        #expect(world.state.nextDue == world.stamp)
        let later = world.advance(0)
        #expect(later.responses.count == 2)
        #expect(world.view("q")?.depth.ready == 3)
        #expect(world.view("q")?.waiters == 0)
    }

    @Test("a long backlog of expired messages does not hold up one command")
    func boundedExpiry() {
        var limits = QueueLimits()
        limits.deliveriesPerCommand = 8
        var world = QueueWorld(limits: limits)
        world.checksSnapshots = false
        world.publish("q", 100) { $0.ttlMilliseconds = 5 }
        world.publish("q", 1)
        world.stamp += 10
        #expect(world.receive("q").isEmpty)
        #expect(world.view("q")?.totals.expired == 8)
        world.advance(0)
        #expect(world.receive("q").count == 1)
    }

    @Test("a producer's retry is answered from memory, and a number below it is refused")
    func producers() {
        var world = QueueWorld()
        world.checksSnapshots = false
        func publish(_ sequence: UInt64) -> QueueCommand {
            var publish = Publish(queue: "q", messages: [QueueWorld.text("m")])
            publish.producer = ProducerSequence(producer: "p", sequence: sequence)
            return .publish(publish)
        }
        for sequence in 1...100 { world.apply(publish(UInt64(sequence))) }
        #expect(world.answer(publish(1)) == .refused(.staleSequence))
        let id = MessageID(entry: LogIndex(100), ordinal: 0)
        #expect(world.answer(publish(100)) == .published([Published(id: id, isDuplicate: true)]))
        world.restart()
        #expect(world.answer(publish(100)) == .published([Published(id: id, isDuplicate: true)]))
        #expect(world.view("q")?.depth.ready == 100)
        #expect(world.view("q")?.totals.duplicates == 2)
    }

    @Test("the tables of producers and application ids are bounded and refuse rather than forget")
    func dedupBounds() {
        var limits = QueueLimits()
        limits.dedupPerQueue = 2
        limits.producersPerQueue = 1
        var world = QueueWorld(limits: limits)
        world.declare("q") { $0.dedupMilliseconds = 100 }
        func publish(_ id: String, _ producer: String? = nil) -> QueueResponse? {
            var message = QueueWorld.text("m")
            message.dedup = Name(id)
            var publish = Publish(queue: "q", messages: [message])
            if let producer { publish.producer = ProducerSequence(producer: Name(producer), sequence: 1) }
            return world.answer(.publish(publish))
        }
        _ = publish("a", "p")
        _ = publish("b")
        if case .refused(.limit) = publish("c") {} else { Issue.record("a third id was remembered") }
        if case .refused(.limit) = publish("", "r") {} else { Issue.record("a second producer was remembered") }
        world.stamp += 100
        if case .published = publish("c", "r") {} else { Issue.record("nothing was forgotten in time") }
    }

    @Test("the counters of a queue say how long messages stayed")
    func dwell() {
        var world = QueueWorld()
        world.publish("q", 3)
        let deliveries = world.receive("q", 3)
        world.settle("q", [deliveries[0]])
        world.stamp += 1
        world.settle("q", [deliveries[1]])
        world.stamp += 999
        world.settle("q", [deliveries[2]])
        let dwell = world.view("q")?.dwell ?? []
        #expect(dwell.first == 1 && dwell[1] == 1 && dwell[10] == 1 && dwell.count == 11)
        #expect(world.view("q")?.totals.acked == 3)
    }

    @Test("a tenant with few messages is not starved by one with many, whatever their sizes")
    func fairness() {
        var world = QueueWorld()
        world.checksSnapshots = false
        world.publish("q", 300) { $0.tenant = "big" }
        world.publish("q", 20) {
            $0.tenant = "small"
            $0.body = Array(repeating: 0, count: 40_000)
        }
        var tenants: [String] = []
        for _ in 0..<100 {
            let delivery = world.receive("q")
            let id = delivery.first?.id ?? .zero
            guard case .message(let view?) = world.state.query(.message("q", id), stamp: world.stamp) else { continue }
            tenants.append(view.tenant.text)
        }
        // A big body costs a whole round, so one of them goes with 31 small ones.
        #expect(tenants.filter { $0 == "small" }.count >= 3)
        #expect(tenants.filter { $0 == "big" }.count >= 80)
    }

    @Test("waiting receives and other lists are bounded")
    func bounds() {
        var limits = QueueLimits()
        limits.waitersPerQueue = 1
        limits.queues = 2
        limits.consumers = 1
        limits.tenantsPerQueue = 1
        limits.messages = 3
        limits.inFlightPerQueue = 1
        var world = QueueWorld(limits: limits)
        func isLimit(_ command: QueueCommand) -> Bool {
            if case .refused(.limit) = world.answer(command) { true } else { false }
        }
        world.declare("q") { _ in }
        world.open("c")
        let wait = QueueCommand.receive(Receive(queue: "q", waitMilliseconds: 10))
        #expect(world.answer(wait) == nil)
        #expect(isLimit(wait))
        world.advance(10)
        world.declare("r") { _ in }
        #expect(isLimit(.declare("s", QueueSettings())))
        #expect(isLimit(.openConsumer(OpenConsumer(id: "d", ttlMilliseconds: 5_000))))
        func tenant(_ name: String) -> QueueCommand {
            .publish(Publish(queue: "q", messages: [PublishMessage(body: [1], tenant: Name(name))]))
        }
        #expect(!isLimit(tenant("a")))
        #expect(isLimit(tenant("b")))
        #expect(!isLimit(tenant("")))
        #expect(!isLimit(tenant("a")))
        #expect(isLimit(tenant("")))
        #expect(world.receive("q", 3).count == 1, "one may be in flight")
    }

    @Test("queues are listed in the order of their names, page by page")
    func list() {
        var world = QueueWorld()
        for name in ["b", "a#1", "a#2", "c", "a"] { world.declare(name) { $0.lanes = 2 } }
        func page(_ prefix: String, _ after: Name) -> ([String], Name) {
            guard
                case .queues(let views, let next) = world.state.query(
                    .queues(prefix: prefix, after: after, limit: 2),
                    stamp: world.stamp
                )
            else { return ([], "") }
            return (views.map(\.name.text), next)
        }
        #expect(page("", "") == (["a", "a#1"], "a#1"))
        #expect(page("", "a#1") == (["a#2", "b"], "b"))
        #expect(page("", "b") == (["c"], ""))
        #expect(page("a#", "") == (["a#1", "a#2"], ""))
    }

    @Test("the shard's counts add up over all queues, deleted ones included")
    func totals() {
        var world = QueueWorld()
        world.publish("q", 5)
        world.publish("r", 2)
        world.settle("q", world.receive("q", 2))
        world.answer(.delete("q"))
        #expect(world.state.totals.published == 7)
        #expect(world.state.totals.acked == 2)
        #expect(world.state.totals.purged == 3)
        #expect(world.state.totals.balance == 2)
    }

    @Test("a lifetime ends with its last millisecond, tick or no tick")
    func lifetime() {
        var world = QueueWorld()
        world.publish("q", 2) { $0.ttlMilliseconds = 50 }
        world.stamp += 49
        #expect(world.receive("q").count == 1)
        world.stamp += 1
        #expect(world.receive("q").isEmpty)
        #expect(world.view("q")?.totals.expired == 1)
    }

    @Test("a dead letter makes the line it goes to, and the state it leads to can be read from a snapshot")
    func deadLetterLine() throws {
        var world = QueueWorld()
        let name = Name("{q}" + String(repeating: "d", count: 504))
        world.declare("{q}#1023") {
            $0.lanes = 1_024
            $0.deadLetter = name
            $0.maxAttempts = 1
        }
        world.publish("{q}#1023", 1)
        world.settle("{q}#1023", world.receive("{q}#1023"), .reject(reason: "bad"))
        #expect(world.view("\(name.text)#1023")?.depth.ready == 1)
        var writer = ByteWriter()
        world.state.encode(into: &writer)
        var reader = ByteReader(writer.bytes)
        let restored = try QueueState(decoding: &reader, limits: world.state.limits, applied: LogIndex(1_000))
        #expect(restored.messageCount == 1)
    }

    @Test("a delivery is outstanding until it is settled or another one of its message began")
    func outstanding() throws {
        var world = QueueWorld()
        world.publish("q", 1)
        let first = try #require(world.receive("q").first)
        #expect(world.state.isOutstanding(first.receipt))
        world.settle("q", [first], .nack(delayMilliseconds: 0, reason: ""))
        #expect(!world.state.isOutstanding(first.receipt))
        let second = try #require(world.receive("q").first)
        #expect(!world.state.isOutstanding(first.receipt) && world.state.isOutstanding(second.receipt))
        world.settle("q", [second])
        #expect(!world.state.isOutstanding(second.receipt))
    }

    @Test("a sparse queue keeps its order and gives its memory back")
    func sparse() {
        var world = QueueWorld()
        world.checksSnapshots = false
        world.checksInvariants = false
        let ids = world.publish("q", 4_000) + world.publish("q", 4_000)
        let early = world.receive("q", 10)
        let full = world.state.indexBytes
        for (place, id) in ids.enumerated().dropFirst(10) where place % 50 > 0 {
            world.answer(.cancelMessage("q", id))
        }
        world.state.checkInvariants()
        world.nack("q", early.reversed())
        let rest = world.receive("q", 1_000)
        #expect(rest.map(\.id) == Array(ids[..<10]) + ids.enumerated().filter { $0.0 >= 10 && $0.0 % 50 == 0 }.map(\.1))
        world.state.checkInvariants()
        world.checkSnapshot()
        #expect(world.state.indexBytes * 4 < full)
        #expect(world.settle("q", rest).allSatisfy { $0 == .done })
        #expect(world.state.messageCount == 0)
        #expect(world.state.indexBytes < 100_000)
        world.publish("q", 3)
        #expect(world.receive("q", 9).count == 3)
        world.state.checkInvariants()
    }

    @Test("a plain queued message takes a few bytes")
    func memory() {
        var world = QueueWorld()
        world.checksSnapshots = false
        world.checksInvariants = false
        let batch = Array(repeating: PublishMessage(body: [1]), count: 4_000)
        for _ in 0..<50 { world.apply(.publish(Publish(queue: "q", messages: batch))) }
        let each = Double(world.state.indexBytes) / 200_000
        #expect(each < 10, "\(each) bytes")
        world.state.checkInvariants()
    }
}
