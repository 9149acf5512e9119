// SPDX-License-Identifier: Apache-2.0
import Gateway
import NIOCore
import Primitives
import QueueCore
import Replica
import Testing

@Suite("The queue service looks after a queue's lanes together")
struct QueueAdministrationTests {
    private func view(_ bench: QueueBench, _ queue: Name) -> QueueView? {
        if case .stats(let view) = bench.perform(.stats(queue)) { view } else { nil }
    }

    @Test("a declaration makes every lane and the dead-letter queue, and can be repeated")
    func declare() {
        let bench = QueueBench()
        var settings = QueueSettings()
        settings.lanes = 4
        settings.maxAttempts = 1
        settings.deadLetter = "{orders}.dead"
        guard case .declared(created: true) = bench.perform(.declare("orders", settings)) else {
            return #expect(Bool(false))
        }
        for lane in 0..<4 {
            #expect(bench.port.view(LaneMap(queue: "orders", lanes: 4).line(lane))?.settings == settings)
            #expect(bench.port.view(LaneMap(queue: "{orders}.dead", lanes: 4).line(lane))?.settings.lanes == 4)
        }
        guard case .declared(created: false) = bench.perform(.declare("orders", settings)) else {
            return #expect(Bool(false))
        }
        var others = settings
        others.leaseMilliseconds = 5
        #expect(bench.perform(.declare("orders", others))?.refusal == .exists(settings))
        // One that was cut short is completed.
        _ = bench.perform(.declare("half", with(lanes: 1)))
        bench.port.override = { request, _ in
            if case .queue(.declare("half2#1", _)) = request { .unavailable(.notDone, reason: "x") } else { nil }
        }
        guard case .failed = bench.perform(.declare("half2", with(lanes: 2))) else { return #expect(Bool(false)) }
        bench.port.override = { _, _ in nil }
        guard case .declared(created: false) = bench.perform(.declare("half2", with(lanes: 2))) else {
            return #expect(Bool(false))
        }
        #expect(bench.port.view("half2#1") != nil)
    }

    private func with(lanes: UInt64) -> QueueSettings {
        var settings = QueueSettings()
        settings.lanes = lanes
        return settings
    }

    @Test("more lanes are made, with their dead-letter lanes; fewer are refused; other settings stay")
    func update() {
        let bench = QueueBench()
        bench.declare("orders", lanes: 2, deadLetter: "{orders}.dead")
        var change = QueueSettingsChange()
        change.lanes = 5
        change.maxLength = 9
        guard case .updated(let settings) = bench.perform(.update("orders", change)) else {
            return #expect(Bool(false))
        }
        #expect(settings.lanes == 5 && settings.maxLength == 9 && settings.deadLetter == "{orders}.dead")
        for line in LaneMap(queue: "orders", lanes: 5).lines { #expect(bench.port.view(line)?.settings == settings) }
        #expect(bench.port.view("{orders}.dead#4")?.settings.lanes == 5)
        #expect(bench.port.view("{orders}.dead")?.settings.lanes == 5)
        change.lanes = 4
        #expect(bench.perform(.update("orders", change))?.refusal == .lanesLowered(from: 5))
        change.lanes = 5_000
        #expect(bench.perform(.update("orders", change))?.refusal == .invalid("a queue has 1 to 1024 lanes"))
        #expect(bench.perform(.update("none", change))?.refusal == .noQueue("none"))
    }

    @Test("purge, pause, resume and delete reach every lane and add up")
    func everyLane() {
        let bench = QueueBench()
        bench.declare("q", lanes: 3)
        for number in 0..<9 { bench.publish("q", "m\(number)") }
        guard case .purged(messages: 9) = bench.perform(.purge("q")) else { return #expect(Bool(false)) }
        guard case .pausedOrResumed = bench.perform(.pause("q", .publish)) else { return #expect(Bool(false)) }
        #expect(bench.publish("q", "m")?.refusal == .paused(.publish))
        #expect(view(bench, "q")?.isPublishPaused == true)
        _ = bench.perform(.resume("q", .publish))
        for number in 0..<6 { bench.publish("q", "m\(number)") }
        guard case .deleted(messages: 6) = bench.perform(.delete("q")) else { return #expect(Bool(false)) }
        #expect(view(bench, "q") == nil && bench.port.view("q#2") == nil)
        #expect(bench.perform(.delete("q"))?.refusal == .noQueue("q"))
        // Another service that knew of three lanes finds one.
        #expect(bench.publish("q", "m")?.ids.count == 1)
        #expect(view(bench, "q")?.settings.lanes == 1)
    }

    @Test("a service that knows of lanes that are no more publishes to the queue that took the name")
    func outdated() {
        let bench = QueueBench()
        bench.declare("q", lanes: 4)
        let other = QueueService(port: bench.port)
        for _ in 0..<4 { _ = bench.perform(.publish(Publish(queue: "q", messages: [.init(body: [1])])), by: other) }
        _ = bench.perform(.delete("q"))
        for _ in 0..<4 {
            let result = bench.perform(.publish(Publish(queue: "q", messages: [.init(body: [1])])), by: other)
            #expect(result?.ids.count == 1)
        }
        #expect(view(bench, "q")?.depth.ready == 4)
    }

    @Test("statistics are those of all lanes")
    func stats() throws {
        let bench = QueueBench()
        bench.declare("q", lanes: 4)
        for number in 0..<10 { bench.publish("q", "m\(number)") }
        let receipts = try #require(bench.perform(.receive(Receive(queue: "q", count: 6)))).receipts
        _ = bench.settle("q", Array(receipts.prefix(4)))
        let view = try #require(self.view(bench, "q"))
        #expect(view.name == "q" && view.settings.lanes == 4)
        #expect(view.depth.ready == 4 && view.depth.inFlight == 2)
        #expect(view.totals.published == 10 && view.totals.acked == 4 && view.totals.delivered == 6)
        #expect(view.oldestReadyMilliseconds != nil && view.dwell.reduce(0, +) == 4)
        #expect(view.dwellMilliseconds(0.5) != nil)
        #expect(self.view(bench, "none") == nil)
    }

    @Test("dwell quantiles are upper ends of buckets")
    func dwell() {
        var view = QueueView(name: "q", settings: QueueSettings())
        #expect(view.dwellMilliseconds(0.5) == nil)
        view.dwell = [1, 0, 98, 0, 0, 1]
        #expect(view.dwellMilliseconds(0) == 1)
        #expect(view.dwellMilliseconds(0.5) == 4)
        #expect(view.dwellMilliseconds(0.99) == 4)
        #expect(view.dwellMilliseconds(1) == 32)
    }

    @Test("the list names queues, not lanes, page by page, with sums")
    func list() {
        let bench = QueueBench()
        for number in 0..<30 {
            bench.declare(Name("q\(number < 10 ? "0" : "")\(number)"), lanes: number % 3 == 0 ? 5 : 1)
        }
        bench.publish("q03", "a", "b", "c", keys: ["1", "2", "3"])
        bench.declare("z", lanes: 2)
        var names: [String] = []
        var after = Name("")
        var pages = 0
        repeat {
            guard case .list(let views, let next) = bench.perform(.list(prefix: "q", after: after, limit: 4)) else {
                return #expect(Bool(false))
            }
            #expect(views.count <= 4)
            if let view = views.first(where: { $0.name == "q03" }) { #expect(view.depth.ready == 3) }
            names += views.map(\.name.text)
            after = next
            pages += 1
        } while after.byteCount > 0 && pages < 100
        #expect(names == (0..<30).map { "q\($0 < 10 ? "0" : "")\($0)" })
    }

    @Test("a look into a queue merges its lanes, and one message is found whatever its lane")
    func peek() throws {
        let bench = QueueBench()
        bench.declare("q", lanes: 3)
        var ids: [QueueMessageID] = []
        for number in 0..<9 { ids += bench.publish("q", "m\(number)")?.ids ?? [] }
        // Their lanes have logs of their own, so three have each position; as users see them they differ.
        #expect(Set(ids).count == 9 && Set(ids.map(\.description)).count == 9)
        #expect(ids.allSatisfy { QueueMessageID($0.description) == $0 })
        guard case .messages(let messages) = bench.perform(.peek("q", .ready, limit: 5)) else {
            return #expect(Bool(false))
        }
        #expect(messages.map(\.view.id) == ids.map(\.id).sorted().prefix(5).map { $0 })
        #expect(messages.allSatisfy { ids.contains($0.id) })
        #expect(messages.allSatisfy { $0.content?.body.first == UInt8(ascii: "m") })
        guard case .cancelled(.cancelled) = bench.perform(.cancel("q", ids[4])) else { return #expect(Bool(false)) }
        guard case .cancelled(.notFound) = bench.perform(.cancel("q", ids[4])) else { return #expect(Bool(false)) }
        guard case .message(nil) = bench.perform(.message("q", ids[4])) else { return #expect(Bool(false)) }
        #expect(bench.perform(.peek("none", .ready, limit: 5))?.refusal == .noQueue("none"))
    }

    @Test("a look finds what stands in any one of many lanes, as many as were asked for")
    func peekManyLanes() {
        let bench = QueueBench()
        bench.declare("q", lanes: 40)
        let map = LaneMap(queue: "q", lanes: 40)
        for lane in [0, 17, 39] {
            let key = (0..<10_000).lazy.map { Name("k\($0)") }.first { map.lane(forKey: $0) == lane } ?? ""
            for number in 0..<6 { bench.publish("q", "\(lane)-\(number)", keys: [key]) }
            guard case .messages(let one) = bench.perform(.peek("q", .ready, limit: 1)) else {
                return #expect(Bool(false))
            }
            #expect(one.count == 1)
            guard case .messages(let all) = bench.perform(.peek("q", .ready, limit: 100)) else {
                return #expect(Bool(false))
            }
            #expect(all.count { $0.lane == lane } == 6, "lane \(lane)")
            guard case .purged(6) = bench.perform(.purge("q")) else { return #expect(Bool(false)) }
        }
    }

    @Test("dead letters of every lane go back to where they died, as many as asked for")
    func redrive() {
        let bench = QueueBench()
        bench.declare("orders", lanes: 3, deadLetter: "{orders}.dead")
        for number in 0..<9 { bench.publish("orders", "m\(number)") }
        let receipts = bench.perform(.receive(Receive(queue: "orders", count: 9)))?.receipts ?? []
        #expect(bench.settle("orders", receipts, .reject(reason: "bad")).allSatisfy { $0 == .done })
        #expect(view(bench, "{orders}.dead")?.depth.ready == 9)
        let dead = bench.perform(.receive(Receive(queue: "{orders}.dead")))?.messages.first
        #expect(dead?.delivery.deadLetter?.originQueue == "orders")
        _ = bench.settle("{orders}.dead", [dead?.delivery.receipt].compactMap { $0 }, .giveBack(delayMilliseconds: 0))
        guard case .redrive(let moved, let left) = bench.perform(.redrive(Redrive(queue: "{orders}.dead", count: 4)))
        else { return #expect(Bool(false)) }
        #expect(moved + left == 4)
        bench.port.advance(milliseconds: 10)
        #expect(view(bench, "orders")?.depth.ready == 4)
        _ = bench.perform(.redrive(Redrive(queue: "{orders}.dead")))
        bench.port.advance(milliseconds: 10)
        #expect(view(bench, "orders")?.depth.ready == 9)
        guard case .redrive(moved: 0, left: 0) = bench.perform(.cancelRedrive("orders")) else {
            return #expect(Bool(false))
        }
    }

    @Test("a consumer lives at every shard of the lanes")
    func consumers() throws {
        let bench = QueueBench()
        bench.declare("q", lanes: 6)
        let open = OpenConsumer(id: "c", ttlMilliseconds: 9_000, credit: 50, label: "l")
        guard case .consumerOpened("c", ttlMilliseconds: 9_000) = bench.perform(.openConsumer("q", open)) else {
            return #expect(Bool(false))
        }
        for number in 0..<12 { bench.publish("q", "m\(number)") }
        let received = try #require(bench.perform(.receive(Receive(queue: "q", consumer: "c", count: 12))))
        #expect(received.messages.count == 12)
        guard case .consumer(.some(let view)) = bench.perform(.consumer("q", "c")) else { return #expect(Bool(false)) }
        #expect(view.inFlight == 12 && view.label == "l")
        guard case .consumerRenewed(ttlMilliseconds: 9_000) = bench.perform(.renewConsumer("q", "c")) else {
            return #expect(Bool(false))
        }
        let kept = Array(received.receipts.prefix(5))
        guard case .consumerResumed(let outcomes, returned: 7) = bench.perform(.resumeConsumer("q", "c", kept)) else {
            return #expect(Bool(false))
        }
        #expect(outcomes == Array(repeating: .done, count: 5))
        guard case .consumerClosed(returned: 5) = bench.perform(.closeConsumer("q", "c")) else {
            return #expect(Bool(false))
        }
        #expect(bench.perform(.renewConsumer("q", "c"))?.refusal == .noConsumer("c"))
        #expect(bench.perform(.closeConsumer("q", "c"))?.refusal == .noConsumer("c"))
        #expect(bench.perform(.openConsumer("none", open))?.refusal == .noQueue("none"))
    }

    @Test("a lane's own name is refused, and so is an empty one")
    func names() {
        let bench = QueueBench()
        #expect(bench.publish("q#1", "m")?.refusal == .invalid("a queue's name does not contain #"))
        #expect(bench.perform(.stats(""))?.refusal != nil)
        #expect(bench.port.submitted.isEmpty)
    }
}
