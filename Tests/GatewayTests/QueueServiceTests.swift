// SPDX-License-Identifier: Apache-2.0
import Gateway
import LockCore
import NIOCore
import NIOEmbedded
import Primitives
import QueueCore
import Replica
import Testing

/// A queue service over state machines of its own.
struct QueueBench {
    let loop = EmbeddedEventLoop()
    let port: QueuePort
    let service: QueueService

    init() {
        port = QueuePort(eventLoop: loop)
        service = QueueService(port: port)
    }

    /// The answer to an operation that is answered at once.
    func perform(_ operation: QueueOperation, by other: QueueService? = nil) -> QueueResult? {
        var result: QueueResult?
        (other ?? service).perform(operation, timeout: nil) { result = $0 }
        return result
    }

    func declare(_ name: Name, lanes: UInt64, deadLetter: Name = "") {
        var settings = QueueSettings()
        settings.lanes = lanes
        settings.deadLetter = deadLetter
        _ = perform(.declare(name, settings))
    }

    @discardableResult
    func publish(_ queue: Name, _ bodies: String..., keys: [Name] = []) -> QueueResult? {
        let messages = bodies.enumerated().map { position, body in
            PublishMessage(body: Array(body.utf8), key: position < keys.count ? keys[position] : "")
        }
        return perform(.publish(Publish(queue: queue, messages: messages)))
    }

    func settle(_ queue: Name, _ receipts: [Receipt], _ settlement: Settlement = .ack) -> [SettleOutcome] {
        let result = perform(.settle(Settle(queue: queue, receipts: receipts, settlement: settlement)))
        return if case .settled(let outcomes) = result { outcomes } else { [] }
    }
}

@Suite("The queue service makes one queue of its lanes")
struct QueueServiceTests {
    @Test("a publish to a queue of one lane is one request, also the first")
    func fastPath() {
        let bench = QueueBench()
        #expect(bench.publish("q", "a")?.ids.count == 1)
        #expect(bench.publish("q", "b")?.ids.count == 1)
        let publishes = bench.port.commands { if case .publish = $0 { true } else { false } }
        #expect(bench.port.submitted.count == 2 && publishes.count == 2)
        for case .publish(let publish) in publishes { #expect(publish.lanes == 1 && publish.declares) }
        #expect(bench.perform(.receive(Receive(queue: "q", count: 9)))?.bodies == ["a", "b"])
        #expect(bench.port.submitted.count == 3)
    }

    @Test("the number of lanes is learned from a refusal, and each message goes to its key's lane")
    func rerouting() throws {
        let bench = QueueBench()
        bench.declare("q", lanes: 8)
        let fresh = QueueService(port: bench.port)
        bench.port.forgetSubmitted()
        let message = PublishMessage(body: [1], key: "k")
        let call = fresh.perform(.publish(Publish(queue: "q", messages: [message])), timeout: nil) { result in
            #expect(result.ids.count == 1)
        }
        #expect(!call.isCancellable && call.isTentative)
        #expect(bench.port.submitted.count == 2)
        let map = LaneMap(queue: "q", lanes: 8)
        let line = map.line(map.lane(forKey: "k"))
        #expect(bench.port.view(line)?.depth.ready == 1)
        for _ in 0..<20 { _ = bench.perform(.publish(Publish(queue: "q", messages: [message])), by: fresh) }
        #expect(bench.port.submitted.count == 22)
        #expect(bench.port.view(line)?.depth.ready == 21)
    }

    @Test("after three re-routings the request is refused as busy, and nothing was done")
    func endless() {
        let bench = QueueBench()
        var lanes: UInt64 = 2
        bench.port.override = { _, _ in
            lanes += 1
            return .queue(QueueAnswer(.refused(.lanes(lanes))))
        }
        guard case .failed(let response) = bench.publish("q", "a") else { return #expect(Bool(false)) }
        #expect(RefusalText(response)?.code == "busy")
        #expect(bench.port.submitted.count == 4)
        guard case .failed(let other) = bench.perform(.receive(Receive(queue: "r"))) else {
            return #expect(Bool(false))
        }
        #expect(RefusalText(other)?.code == "busy")
    }

    @Test("a batch over several lanes is put together in its order, and a key keeps its lane")
    func batch() throws {
        let bench = QueueBench()
        bench.declare("q", lanes: 4)
        let keys = (0..<40).map { Name("k\($0 % 10)") }
        let messages = keys.enumerated().map { PublishMessage(body: Array("m\($0)".utf8), key: $1) }
        let ids = try #require(bench.perform(.publish(Publish(queue: "q", messages: messages)))).ids
        #expect(ids.count == 40)
        let map = LaneMap(queue: "q", lanes: 4)
        for (key, id) in zip(keys, ids) {
            guard case .message(.some) = bench.perform(.message("q", id)) else {
                Issue.record("\(id) is not there")
                continue
            }
            #expect(bench.port.view(map.line(map.lane(forKey: key)))?.depth.ready ?? 0 > 0)
        }
        // One of each key, the first published.
        let bodies = bench.perform(.receive(Receive(queue: "q", count: 100)))?.bodies ?? []
        #expect(bodies.sorted() == (0..<10).map { "m\($0)" })
    }

    @Test("a part that was stored makes the outcome of a failure unknown; none leaves the failure as it is")
    func partialFailure() {
        let bench = QueueBench()
        bench.declare("q", lanes: 4)
        let messages = (0..<40).map { PublishMessage(body: [1], key: Name("k\($0)")) }
        let operation = QueueOperation.publish(Publish(queue: "q", messages: messages))
        bench.port.override = { request, _ in
            guard case .queue(.publish(let publish)) = request, publish.queue == "q#2" else { return nil }
            return .unavailable(.notDone, reason: "no leader")
        }
        guard case .failed(.unavailable(.unknown, let reason)) = bench.perform(operation) else {
            return #expect(Bool(false))
        }
        #expect(reason.contains("of 40 messages were stored"))
        bench.port.override = { _, _ in .unavailable(.notDone, reason: "no leader") }
        guard case .failed(.unavailable(.notDone, _)) = bench.perform(operation) else { return #expect(Bool(false)) }
    }

    @Test("what is published again goes the same way, so it is known again")
    func retries() throws {
        let bench = QueueBench()
        bench.declare("q", lanes: 8)
        var publish = Publish(queue: "q", messages: [PublishMessage(body: [1])])
        publish.producer = ProducerSequence(producer: "p", sequence: 7)
        let first = try #require(bench.perform(.publish(publish)))
        bench.publish("q", "other")
        #expect(bench.perform(.publish(publish))?.ids == first.ids)
        let named = Publish(queue: "q", messages: [PublishMessage(body: [1], dedup: "order-1")])
        let one = try #require(bench.perform(.publish(named)))
        guard case .published(let again) = bench.perform(.publish(named)) else { return #expect(Bool(false)) }
        #expect(again.map(\.id) == [one.ids[0]] && again.allSatisfy(\.isDuplicate))
    }

    @Test("a publish guarded by a lock is stored only when the token is its holder's")
    func guarded() {
        let bench = QueueBench()
        var publish = Publish(queue: "q", messages: [PublishMessage(body: [1])])
        publish.guardedBy = LockGuard(namespace: "default", name: "l", token: 3)
        bench.port.holdsLock = false
        #expect(bench.perform(.publish(publish))?.refusal == .fenced)
        #expect(bench.port.submitted.count == 1)
        bench.port.holdsLock = true
        #expect(bench.perform(.publish(publish))?.ids.count == 1)
        #expect(bench.port.submitted.last?.request == .queue(.publish(with(publish) { $0.lanes = 1 })))
    }

    private func with(_ publish: Publish, _ change: (inout Publish) -> Void) -> Publish {
        var publish = publish
        change(&publish)
        return publish
    }

    // MARK: Receiving

    @Test("several lanes are tried until the count is full, then waited on together; the first wins")
    func receive() {
        let bench = QueueBench()
        bench.declare("q", lanes: 4)
        for number in 0..<12 { bench.publish("q", "m\(number)") }
        #expect(bench.perform(.receive(Receive(queue: "q", count: 5)))?.messages.count == 5)
        #expect(bench.perform(.receive(Receive(queue: "q", count: 100)))?.messages.count == 7)
        #expect(bench.perform(.receive(Receive(queue: "q")))?.messages.isEmpty == true)

        var results: [QueueResult] = []
        let waiting = Receive(queue: "q", count: 2, waitMilliseconds: 5_000)
        bench.service.perform(.receive(waiting), timeout: nil) { results.append($0) }
        #expect(results.isEmpty && bench.port.waiterCount == 4)
        bench.publish("q", "late")
        #expect(results.first?.bodies == ["late"])
        #expect(bench.port.waiterCount == 0 && bench.port.cancelled == 3)
    }

    @Test("what another lane delivers too late goes back at once and costs no attempt")
    func late() throws {
        let bench = QueueBench()
        bench.declare("q", lanes: 2)
        var results: [QueueResult] = []
        let waiting = Receive(queue: "q", waitMilliseconds: 5_000)
        bench.service.perform(.receive(waiting), timeout: nil) { results.append($0) }
        bench.port.isHolding = true
        let keys: [Name] = ["a", "b", "c", "d", "e", "f"]
        bench.publish("q", "1", "2", "3", "4", "5", "6", keys: keys)
        bench.port.release()
        #expect(results.count == 1 && results[0].messages.count == 1)
        guard case .stats(.some(let view)) = bench.perform(.stats("q")) else { return #expect(Bool(false)) }
        #expect(view.depth.ready == 5 && view.depth.inFlight == 1 && view.totals.returned == 1)
    }

    @Test("a wait that ends without a message is empty, after its time only")
    func timeout() {
        let bench = QueueBench()
        bench.declare("q", lanes: 3)
        var results: [QueueResult] = []
        bench.service.perform(.receive(Receive(queue: "q", waitMilliseconds: 5_000)), timeout: nil) {
            results.append($0)
        }
        bench.port.advance(milliseconds: 4_000)
        #expect(results.isEmpty)
        bench.port.advance(milliseconds: 2_000)
        #expect(results.first?.messages.isEmpty == true)
    }

    @Test("a cancelled receive leaves its lines, and what arrives all the same is given back", arguments: [1, 4])
    func cancel(lanes: UInt64) {
        let bench = QueueBench()
        bench.declare("q", lanes: lanes)
        var results: [QueueResult] = []
        let receive = Receive(queue: "q", waitMilliseconds: 5_000)
        var call = bench.service.perform(.receive(receive), timeout: nil) { results.append($0) }
        #expect(call.isCancellable)
        bench.service.cancel(call)
        #expect(results.first?.refusal == .cancelled)
        #expect(bench.port.waiterCount == 0)

        call = bench.service.perform(.receive(receive), timeout: nil) { results.append($0) }
        bench.port.isHolding = true
        bench.publish("q", "m")
        bench.service.cancel(call)
        bench.port.release()
        #expect(results.count == 2 && results[1].refusal == .cancelled)
        guard case .stats(.some(let view)) = bench.perform(.stats("q")) else { return #expect(Bool(false)) }
        #expect(view.depth.ready == 1 && view.totals.returned == 1)
    }

    @Test("lanes that were raised during a wait are learned by the next receive")
    func raised() {
        let bench = QueueBench()
        bench.declare("q", lanes: 1)
        let other = QueueService(port: bench.port)
        _ = bench.perform(.receive(Receive(queue: "q")), by: other)
        var change = QueueSettingsChange()
        change.lanes = 4
        guard case .updated(let settings) = bench.perform(.update("q", change)) else { return #expect(Bool(false)) }
        #expect(settings.lanes == 4)
        for number in 0..<8 { bench.publish("q", "\(number)") }
        #expect(bench.perform(.receive(Receive(queue: "q", count: 50)), by: other)?.messages.count == 8)
    }

    // MARK: Settling

    @Test("receipts go to their lanes and the outcomes come back in their order")
    func settle() throws {
        let bench = QueueBench()
        bench.declare("q", lanes: 4)
        bench.declare("other", lanes: 4)
        for number in 0..<8 { bench.publish("q", "m\(number)") }
        bench.publish("other", "x", keys: ["k"])
        let receipts = try #require(bench.perform(.receive(Receive(queue: "q", count: 8)))).receipts
        let foreign = try #require(bench.perform(.receive(Receive(queue: "other", count: 1)))).receipts[0]
        #expect(Set(receipts.map(\.lane)).count == 4)
        #expect(bench.settle("q", [receipts[3]]) == [.done])
        var forged = receipts[0]
        forged.delivery = 9
        var beyond = receipts[0]
        beyond.lane = 60_000
        let mixed = [receipts[0], foreign, receipts[3], forged, beyond, receipts[7], receipts[1]]
        #expect(bench.settle("q", mixed) == [.done, .foreign, .gone, .gone, .foreign, .done, .done])
        #expect(bench.settle("q", [receipts[2]], .giveBack(delayMilliseconds: 0)) == [.done])
        #expect(bench.settle("q", [receipts[2]]) == [.stale])
        #expect(bench.perform(.settle(Settle(queue: "none", receipts: receipts, settlement: .ack)))?.refusal != nil)
    }
}
