// SPDX-License-Identifier: Apache-2.0
import Foundation
import Primitives
import QueueCore
import Testing

/// The queue state and the model side by side: every command goes to both, and they must agree on the answer, on
/// every message's state, on every order, and on what the queues count.
struct QueueDuel {
    static let names = ["plain", "small", "dropping", "graves"]

    var world: QueueWorld
    var model: QueueModel
    var receipts: [(queue: String, receipt: Receipt)] = []

    init(index: IndexLayout = IndexLayout()) {
        var limits = QueueLimits()
        limits.workPerCommand = 1_000_000
        limits.workPerQueue = 1_000_000
        limits.deliveriesPerCommand = 1_000_000
        world = QueueWorld(limits: limits, index: index)
        model = QueueModel(stamp: world.stamp)
        for name in Self.names {
            var settings = QueueSettings()
            settings.dedupMilliseconds = 500
            settings.leaseMilliseconds = 300
            settings.maxAttempts = 3
            switch name {
            case "plain": settings.deadLetter = "graves"
            case "small":
                settings.maxLength = 8
                settings.maxBytes = 60_000
                settings.ttlMilliseconds = 2_000
            case "dropping":
                settings.maxLength = 6
                settings.overflow = .dropOldest
            default:
                // What time brings here must not depend on which queue a tick turns to first.
                settings.leaseMilliseconds = 40_000_000
            }
            world.apply(.declare(Name(name), settings))
            model.queues.append(QueueModel.Queue(name: name, settings: settings))
        }
    }

    enum Move {
        case publish(Publish)
        case receive(String, String?, UInt64, UInt64, wait: UInt64)
        case settle(Settle)
        case open(String, UInt64)
        case close(String)
        case expire(String)
        case resume(String, [Receipt])
        case cancel(String, MessageID)
        case purge(String)
        case pause(String, Bool)
        case redrive(Redrive)
        case advance(UInt64)
        case idle(UInt64)
        case restart
    }

    /// Nil when both agree.
    mutating func play(_ move: Move) -> String? {
        model.answers = []
        let effects: QueueEffects
        switch move {
        case .restart:
            world.restart()
            return nil
        case .idle(let milliseconds):
            world.stamp += milliseconds
            model.stamp = world.stamp
            return nil
        case .advance(let milliseconds):
            effects = world.advance(milliseconds)
            model.stamp = world.stamp
            model.tick()
        default: effects = world.apply(command(move))
        }
        let number = world.index
        let answer = effects.responses.first { $0.request == QueueWorld.request(number) }?.response
        if let fault = compare(move, answer) { return "\(move): \(fault)" }
        model.serve()
        for response in effects.responses {
            if case .received(let deliveries) = response.response {
                receipts += deliveries.map { (Self.name(of: $0.receipt), $0.receipt) }
            }
        }
        return (compareAnswers(effects, own: number) ?? compareState()).map { "\(move): \($0)" }
    }

    private func command(_ move: Move) -> QueueCommand {
        switch move {
        case .publish(let publish): .publish(publish)
        case .receive(let queue, let consumer, let count, let bytes, let wait):
            .receive(
                Receive(
                    queue: Name(queue),
                    consumer: Name(consumer ?? ""),
                    count: count,
                    maxBytes: bytes,
                    waitMilliseconds: wait
                )
            )
        case .settle(let settle): .settle(settle)
        case .open(let id, let credit):
            .openConsumer(OpenConsumer(id: Name(id), ttlMilliseconds: 10_000, credit: credit))
        case .close(let id): .closeConsumer(Name(id))
        case .expire(let id): .expireConsumer(Name(id), term: world.term)
        case .resume(let id, let receipts): .resumeConsumer(Name(id), receipts)
        case .cancel(let queue, let id): .cancelMessage(Name(queue), id)
        case .purge(let queue): .purge(Name(queue))
        case .pause(let queue, let isPaused): isPaused ? .pause(Name(queue), .consume) : .resume(Name(queue), .consume)
        case .redrive(let redrive): .redrive(redrive)
        case .advance, .idle, .restart: .cancelWait(.internal)
        }
    }

    /// Plays the move in the model and compares its own answer.
    private mutating func compare(_ move: Move, _ answer: QueueResponse?) -> String? {
        var expected: QueueResponse?
        switch move {
        case .publish(let publish):
            expected =
                model.publish(publish, entry: world.index).map { .published($0) } ?? .refused(.full(publish.queue))
        case .receive(let queue, let consumer, let count, let bytes, let wait):
            if let consumer, !model.consumers.contains(where: { $0.id == consumer }) {
                expected = .refused(.noConsumer(Name(consumer)))
                break
            }
            if let consumer, creditLeft(consumer) <= 0 {
                expected = .refused(.noCredit(Name(consumer)))
                break
            }
            let waiting = QueueModel.Waiting(
                request: world.index,
                queue: queue,
                consumer: consumer,
                count: count,
                maxBytes: bytes,
                deadline: world.stamp + wait
            )
            let got = model.receive(waiting, waits: wait > 0)
            if case .received(let deliveries)? = answer {
                return got == deliveries.map(Self.got) ? nil : differ(got, answer)
            }
            return got == nil && answer == nil ? nil : differ(got, answer)
        case .settle(let settle): expected = .settled(model.settle(settle))
        case .open(let id, let credit):
            if !model.consumers.contains(where: { $0.id == id }) { model.consumers.append((id, Int(credit))) }
            expected = .consumerOpened(Name(id), ttlMilliseconds: 10_000)
        case .close(let id):
            guard model.consumers.contains(where: { $0.id == id }) else {
                expected = .refused(.noConsumer(Name(id)))
                break
            }
            expected = .consumerClosed(returned: model.end(id, .consumerClosed))
        case .expire(let id):
            if model.consumers.contains(where: { $0.id == id }) { _ = model.end(id, .consumerExpired) }
            expected = .noted
        case .resume(let id, let receipts):
            guard model.consumers.contains(where: { $0.id == id }) else {
                expected = .refused(.noConsumer(Name(id)))
                break
            }
            let (outcomes, returned) = model.resume(id, receipts)
            expected = .consumerResumed(outcomes, returned: returned)
        case .cancel(let queue, let id): expected = .messageCancelled(model.cancel(id, on: queue))
        case .purge(let queue): expected = .purged(messages: model.purge(queue))
        case .pause(let queue, let isPaused):
            model.queues[model.queue(queue)].isPaused = isPaused
            expected = .pausedOrResumed
        case .redrive(let redrive): expected = .redrive(moved: model.redrive(redrive), left: 0)
        case .advance, .idle, .restart: return nil
        }
        return expected == answer ? nil : differ(expected, answer)
    }

    private func creditLeft(_ consumer: String) -> Int {
        (model.consumers.first { $0.id == consumer }?.credit ?? 0)
            - model.messages.filter { $0.consumer == consumer }.count
    }

    private func differ(_ expected: Any?, _ real: Any?) -> String {
        "expected \(expected.map { "\($0)" } ?? "nothing"), got \(real.map { "\($0)" } ?? "nothing")"
    }

    private static func name(of receipt: Receipt) -> String {
        names.first { Receipt.tag(of: Name($0)) == receipt.line } ?? ""
    }

    static func got(_ delivery: Delivery) -> QueueModel.Got {
        QueueModel.Got(
            id: delivery.id,
            delivery: delivery.receipt.delivery,
            attempt: delivery.attempt,
            cause: delivery.cause,
            origin: delivery.deadLetter?.origin.text
        )
    }

    private func compareAnswers(_ effects: QueueEffects, own: UInt64) -> String? {
        let real = effects.responses.filter { $0.request != QueueWorld.request(own) || $0.response == .received([]) }
            .filter { response in
                model.answers.contains { $0.request == response.request.number } || response.request.number != own
            }
            .map { ($0.request.number, $0.response) }.sorted { $0.0 < $1.0 }
        let expected = model.answers.sorted { $0.request < $1.request }
        guard real.map({ $0.0 }) == expected.map({ $0.request }) else {
            return "answers to \(real.map { $0.0 }), expected \(expected.map { $0.request })"
        }
        for (answer, wanted) in zip(real, expected) {
            if case .received(let deliveries) = answer.1 {
                if deliveries.map(Self.got) != wanted.got { return "r\(answer.0): \(differ(wanted.got, answer.1))" }
            } else if wanted.got != nil {
                return "r\(answer.0): \(differ(wanted.got, answer.1))"
            }
        }
        return nil
    }

    private func compareState() -> String? {
        for queue in model.queues {
            let own = model.messages.filter { $0.queue == queue.name }
            func expected(_ state: MessageState, _ precedes: (QueueModel.Message, QueueModel.Message) -> Bool)
                -> [MessageID]
            {
                own.filter { $0.state == state }.sorted(by: precedes).map(\.id)
            }
            let ready = expected(.ready) { $0.id < $1.id }
            let flying = expected(.inFlight) { $0.flight < $1.flight }
            let delayed = expected(.delayed) {
                (min($0.due, $0.expires ?? .max), $0.id) < (min($1.due, $1.expires ?? .max), $1.id)
            }
            let dead = queue.listed.filter { id in own.contains { $0.id == id && $0.state == .dead } }
            for (state, wanted) in [
                (MessageState.ready, ready), (.inFlight, flying), (.delayed, delayed), (.dead, dead),
            ] {
                let real = world.peek(queue.name, state, 1_000).map(\.id)
                if real != wanted { return "\(queue.name) \(state): \(real), expected \(wanted)" }
            }
            guard let view = world.view(queue.name) else { return "\(queue.name) is not there" }
            let totals = [view.totals.acked, view.totals.expired, view.totals.purged, view.totals.dropped]
            if totals != [queue.acked, queue.expired, queue.purged, queue.dropped] {
                return "\(queue.name) counts \(totals)"
            }
            let waiting = model.waiting.filter { $0.queue == queue.name }.count
            if view.waiters != UInt64(waiting) {
                return "\(queue.name) has \(view.waiters) waiters, expected \(waiting)"
            }
        }
        return nil
    }
}

@Suite("Queue state against a model")
struct QueueDifferentialTests {
    /// `SYNCLINE_SEEDS` in the environment runs more.
    static let seeds = Int(ProcessInfo.processInfo.environment["SYNCLINE_SEEDS"] ?? "") ?? 12

    @Test("random histories agree with the model", arguments: 0..<seeds)
    func random(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed) &* 7_919 &+ 1)
        // Two in three pack their index at every turn.
        var duel = QueueDuel(index: seed % 3 == 0 ? IndexLayout() : .tiny)
        duel.world.checksSnapshots = seed % 4 == 0
        for (consumer, credit) in [("c1", 100), ("c2", 3)] {
            #expect(duel.play(.open(consumer, UInt64(credit))) == nil)
        }
        for step in 0..<300 {
            let move = Self.move(&random, duel)
            if let fault = duel.play(move) {
                Issue.record("seed \(seed), step \(step): \(fault)")
                return
            }
        }
        #expect(duel.receipts.count > 10)
    }

    @Test("a restored snapshot goes on as the state it was taken of", arguments: 0..<4)
    func snapshots(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed) &* 104_729 &+ 3)
        var duel = QueueDuel(index: seed % 2 == 0 ? IndexLayout() : .tiny)
        duel.world.checksSnapshots = false
        #expect(duel.play(.open("c1", 100)) == nil)
        for _ in 0..<150 { _ = duel.play(Self.move(&random, duel)) }
        var twin = duel
        twin.world.restart()
        for step in 0..<100 {
            let move = Self.move(&random, duel)
            #expect(duel.play(move) == nil)
            #expect(twin.play(move) == nil)
            let isSame = step % 20 > 0 || twin.world.encoded() == duel.world.encoded()
            guard isSame, twin.world.state.digest == duel.world.state.digest else {
                Issue.record("seed \(seed), step \(step): the restored state went another way at \(move)")
                return
            }
        }
    }

    static func move(_ random: inout SeededRandom, _ duel: QueueDuel) -> QueueDuel.Move {
        func pick<T>(_ from: [T], _ random: inout SeededRandom) -> T { from[Int(random.below(UInt64(from.count)))] }
        let queue = pick(QueueDuel.names, &random)
        switch random.below(100) {
        case 0..<26: return .publish(publish(&random, queue))
        case 26..<44:
            let consumer = pick([nil, "c1", "c1", "c2"], &random)
            // One of low credit does not wait: which of its lines is served first is not the model's business.
            let wait: UInt64 = consumer != "c2" && random.chance(1, in: 3) ? 1 + random.below(800) : 0
            let bytes: UInt64 = random.chance(1, in: 4) ? 10_000 : 0
            return .receive(queue, consumer, 1 + random.below(4), bytes, wait: wait)
        case 44..<72:
            guard !duel.receipts.isEmpty else { return .advance(10) }
            // Mostly recent ones, some long settled.
            let recent = duel.receipts.suffix(random.chance(1, in: 5) ? 60 : 8)
            let first = pick(Array(recent), &random)
            let more = recent.filter { $0.queue == first.queue }.prefix(2).map(\.receipt)
            let on = random.chance(1, in: 20) ? queue : first.queue
            return .settle(
                Settle(
                    queue: Name(on),
                    receipts: [first.receipt] + (random.chance(1, in: 3) ? more : []),
                    settlement: settlement(&random, on)
                )
            )
        case 72..<75: return random.chance(1, in: 2) ? .open("c1", 100) : .open("c2", 3)
        case 75..<76: return .close("c2")
        case 76..<77: return .expire(pick(["c1", "c2"], &random))
        case 77..<79:
            let shown = duel.receipts.suffix(6).filter { _ in random.chance(1, in: 2) }.map(\.receipt)
            return .resume(pick(["c1", "c2"], &random), shown)
        case 79..<82:
            guard let message = duel.model.messages.isEmpty ? nil : pick(duel.model.messages, &random) else {
                return .advance(1)
            }
            return .cancel(random.chance(1, in: 8) ? queue : message.queue, message.id)
        case 82..<83: return random.chance(1, in: 3) ? .purge(queue) : .restart
        case 83..<86: return .pause(queue, random.chance(1, in: 4))
        case 86..<90:
            let target = random.chance(1, in: 4) ? pick(QueueDuel.names, &random) : ""
            let cause: DeadCause? = random.chance(1, in: 3) ? .rejected : nil
            return .redrive(Redrive(queue: Name(queue), count: random.below(4), target: Name(target), cause: cause))
        case 90..<93: return .idle(random.below(200))
        default: return .advance(random.below(400))
        }
    }

    private static func settlement(_ random: inout SeededRandom, _ queue: String) -> Settlement {
        switch queue == "graves" ? random.below(7) : random.below(12) {
        case 0..<5: .ack
        case 5..<7: .nack(delayMilliseconds: 0, reason: "no")
        case 7..<8: .nack(delayMilliseconds: Int64(1 + random.below(300)), reason: "later")
        case 8..<9: .giveBack(delayMilliseconds: random.chance(1, in: 2) ? 0 : 50)
        case 9..<10: .extend(leaseMilliseconds: 1 + random.below(900))
        default: .reject(reason: "bad")
        }
    }

    private static func publish(_ random: inout SeededRandom, _ queue: String) -> Publish {
        var messages: [PublishMessage] = []
        for _ in 0..<(1 + random.below(4)) {
            let size = random.chance(1, in: 6) ? 9_000 : 1 + Int(random.below(20))
            var message = PublishMessage(body: Array(repeating: 7, count: size))
            if random.chance(1, in: 2) { message.key = Name("k\(random.below(3))") }
            if random.chance(1, in: 2) { message.tenant = Name("t\(random.below(3))") }
            if random.chance(1, in: 3) { message.priority = UInt8(random.below(10)) }
            if random.chance(1, in: 6) { message.dedup = Name("d\(random.below(6))") }
            messages.append(message)
            if queue == "graves" { continue }
            if random.chance(1, in: 5) { message.schedule = .after(milliseconds: Int64(random.below(300))) }
            if random.chance(1, in: 5) { message.ttlMilliseconds = 1 + random.below(600) }
            messages[messages.count - 1] = message
        }
        return Publish(queue: Name(queue), messages: messages)
    }
}
