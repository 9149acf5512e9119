// SPDX-License-Identifier: Apache-2.0
import ClientTestSupport
import NIOCore
import Synchronization
import Testing

@testable import SynclineClient

/// A queue of numbered messages, each delivered once; a receive that finds none waits for ever.
private final class CannedQueue: Sendable {
    private struct State {
        var next = 1
        var last: Int
        /// Answers that stand before all others, by the first words of the command.
        var special: [(prefix: String, answer: LoopbackServer.Answer)] = []
    }

    private let state: Mutex<State>
    private let leaseMilliseconds: Int

    init(messages: Int, leaseMilliseconds: Int = 30_000) {
        state = Mutex(State(last: messages))
        self.leaseMilliseconds = leaseMilliseconds
    }

    /// The next command that begins so gets this answer.
    func next(_ prefix: String, _ answer: LoopbackServer.Answer) {
        state.withLock { $0.special.append((prefix, answer)) }
    }

    func start() async throws -> (server: LoopbackServer, client: SynclineClient) {
        let server = try await LoopbackServer.start { words, _ in self.answer(words) }
        return (server, SynclineClient(endpoints: [Endpoint(host: "127.0.0.1", port: server.port)]))
    }

    private func answer(_ words: [String]) -> LoopbackServer.Answer {
        let line = words.joined(separator: " ")
        return state.withLock { state in
            if let index = state.special.firstIndex(where: { line.hasPrefix($0.prefix) }) {
                return state.special.remove(at: index).answer
            }
            switch words[0] {
            case "QUEUE.RECEIVE": return deliver(Int(words[3]) ?? 0, &state)
            case "QUEUE.CONSUMER": return words[1] == "OPEN" ? .bulk(words[3]) : .integer(10_000)
            case "QUEUE.PUBLISH": return .bulk("1-0")
            default: return .integer(words.count - 2)
            }
        }
    }

    private func deliver(_ count: Int, _ state: inout State) -> LoopbackServer.Answer {
        let numbers = state.next..<min(state.next + count, state.last + 1)
        guard !numbers.isEmpty else { return .silence }
        state.next = numbers.upperBound
        let messages = numbers.map { number in
            "%5\r\n+id\r\n+\(number)-0\r\n+receipt\r\n+r\(number)\r\n+body\r\n+m\(number)\r\n+lease_ms\r\n"
                + ":\(leaseMilliseconds)\r\n+cause\r\n+none\r\n"
        }
        return .bytes("*\(numbers.count)\r\n" + messages.joined())
    }
}

@Suite("A sequence of messages against a canned node", .timeLimit(.minutes(1)))
struct QueueMessagesTests {
    @Test("never more unsettled than asked for; leaving the loop gives back what was not read, then closes")
    func credit() async throws {
        let (server, client) = try await CannedQueue(messages: 100).start()
        var kept: [QueueMessage] = []
        for try await message in client.queue("orders").messages(prefetch: 4) {
            #expect(message.text == "m\(kept.count + 1)" && message.redeliveryCause == nil && !message.isLost)
            kept.append(message)
            if kept.count == 3 { break }
        }
        #expect(await eventually { server.received("QUEUE.RETURN").count == 1 })
        #expect(server.received("QUEUE.RETURN").first == ["QUEUE.RETURN", "orders", "r4"])
        let receive = try #require(server.received("QUEUE.RECEIVE").first)
        let open = try #require(server.received("QUEUE.CONSUMER").first)
        #expect(server.received("QUEUE.RECEIVE").count == 1)
        #expect(receive[..<4] == ["QUEUE.RECEIVE", "orders", "COUNT", "4"])
        #expect(receive.suffix(2) == ["CONSUMER", open[3]] && receive.contains("WAIT"))
        #expect(open == ["QUEUE.CONSUMER", "OPEN", "orders", open[3], "TTL", "10000", "CREDIT", "16"])
        // What is being worked on can be settled still, and only then the consumer ends.
        try await kept[0].ack()
        try await kept[1].nack(delay: .seconds(1), reason: "no")
        #expect(server.received("QUEUE.CONSUMER").count == 1)
        kept.removeAll()
        #expect(await eventually { server.received("QUEUE.CONSUMER").last?[1] == "CLOSE" })
        await client.close()
        await server.stop()
    }

    @Test("more is asked for when half of it is settled; acknowledgements that come together go together")
    func refill() async throws {
        let (server, client) = try await CannedQueue(messages: 8).start()
        let messages = client.queue("orders").messages(prefetch: 4)
        var iterator = messages.makeAsyncIterator()
        var first: [QueueMessage] = []
        while first.count < 4, let message = try await iterator.next() { first.append(message) }
        await withTaskGroup(of: Void.self) { group in
            for message in first { group.addTask { try? await message.ack() } }
        }
        var second: [String] = []
        while second.count < 4, let message = try await iterator.next() {
            second.append(message.id)
            try await message.ack()
        }
        #expect(second == ["5-0", "6-0", "7-0", "8-0"])
        await messages.close()
        #expect(try await iterator.next() == nil)
        let receipts = server.received("QUEUE.ACK").flatMap { $0.dropFirst(2) }
        #expect(receipts.sorted() == (1...8).map { "r\($0)" })
        #expect(server.received("QUEUE.ACK").count < 8)
        #expect(server.received("QUEUE.CONSUMER").last?[1] == "CLOSE")
        await client.close()
        await server.stop()
    }

    @Test("cut off during a receive: the consumer resumes with what it holds, and goes on")
    func failover() async throws {
        let queue = CannedQueue(messages: 3)
        let (server, client) = try await queue.start()
        let messages = client.queue("orders").messages(prefetch: 2)
        var iterator = messages.makeAsyncIterator()
        let first = try #require(try await iterator.next())
        let second = try #require(try await iterator.next())
        queue.next("QUEUE.RECEIVE", .close)
        try await first.ack()
        let third = try #require(try await iterator.next())
        #expect(third.id == "3-0")
        let resumes = server.received("QUEUE.CONSUMER").filter { $0[1] == "RESUME" }
        #expect(resumes.count == 1 && Set(resumes[0][4...]).isSubset(of: ["r1", "r2"]) && resumes[0].contains("r2"))
        try await second.ack()
        try await third.ack()
        await messages.close()
        await client.close()
        await server.stop()
    }

    @Test("a consumer that the cluster has forgotten is opened again; deliveries that ended are known to be lost")
    func forgotten() async throws {
        let queue = CannedQueue(messages: 2)
        let (server, client) = try await queue.start()
        let messages = client.queue("orders").messages(prefetch: 2)
        var iterator = messages.makeAsyncIterator()
        let first = try #require(try await iterator.next())
        let second = try #require(try await iterator.next())
        queue.next("QUEUE.RECEIVE", .error("NOCONSUMER it has expired"))
        // Of this one alone: an extension of both, by the clock, may come in between.
        queue.next("QUEUE.EXTEND orders \(second.receipt) LEASE", .error("STALE the delivery has ended"))
        try await first.ack()
        #expect(await eventually { second.isLost })
        #expect(!first.isLost)
        #expect(await eventually { server.received("QUEUE.CONSUMER").count { $0[1] == "OPEN" } == 2 })
        queue.next("QUEUE.ACK", .error("STALE the delivery has ended; nothing was done"))
        let error = await #expect(throws: SynclineError.self) { try await second.ack() }
        #expect(error?.code == .stale)
        await messages.close()
        await client.close()
        await server.stop()
    }

    @Test("leases are extended while messages wait and while they are worked on, unless told otherwise")
    func extending() async throws {
        for extends in [true, false] {
            let (server, client) = try await CannedQueue(messages: 2, leaseMilliseconds: 60).start()
            let messages = client.queue("orders").messages(prefetch: 2, extendsLeases: extends)
            var iterator = messages.makeAsyncIterator()
            let first = try #require(try await iterator.next())
            let expected = extends ? ["r1", "r2"] : ["r2"]
            #expect(
                await eventually {
                    server.received("QUEUE.EXTEND").contains { $0[2..<($0.count - 2)].sorted() == expected }
                }
            )
            #expect(server.received("QUEUE.EXTEND").allSatisfy { $0.suffix(2) == ["LEASE", "60"] })
            #expect(extends || !server.received("QUEUE.EXTEND").contains { $0.contains("r1") })
            try await first.ack()
            await messages.close()
            await client.close()
            await server.stop()
        }
    }

    @Test("of several acknowledgements one is stale: each learns its own fate")
    func staleAmongOthers() async throws {
        let queue = CannedQueue(messages: 0)
        let (server, client) = try await queue.start()
        queue.next("QUEUE.ACK orders r1 r2", .error("STALE 1 of 2: the other 1 were carried out"))
        queue.next("QUEUE.ACK orders r2", .error("STALE the delivery has ended; nothing was done"))
        let results = await client.queue("orders").settleEach("QUEUE.ACK", ["r1", "r2"])
        #expect(results.map(\.receipt) == ["r1", "r2"])
        #expect((try? results[0].result.get()) != nil && (try? results[1].result.get()) == nil)
        await client.close()
        await server.stop()
    }

    @Test("the end: cancelled, refused for good, or a cluster that was never reached")
    func ends() async throws {
        let queue = CannedQueue(messages: 0)
        let (server, client) = try await queue.start()
        let waiting = Task {
            for try await _ in client.queue("orders").messages() {}
            return true
        }
        #expect(await eventually { server.received("QUEUE.RECEIVE").count == 1 })
        waiting.cancel()
        #expect(try await waiting.value)
        #expect(await eventually { server.received("QUEUE.CONSUMER").last?[1] == "CLOSE" })

        queue.next("QUEUE.RECEIVE", .error("BUSY too much to do"))
        queue.next("QUEUE.RECEIVE", .error("NOQUEUE queue 'orders' does not exist"))
        let refused = await #expect(throws: SynclineError.self) {
            for try await _ in client.queue("orders").messages() {}
        }
        #expect(refused?.code == .noQueue)
        await client.close()
        await server.stop()

        var configuration = SynclineClient.Configuration()
        configuration.requestTimeout = .milliseconds(200)
        let stranger = SynclineClient(endpoints: client.endpoints, configuration: configuration)
        let unreachable = await #expect(throws: SynclineError.self) {
            for try await _ in stranger.queue("orders").messages() {}
        }
        #expect(unreachable?.code == .unreachable)
        await stranger.close()
    }

    @Test("the window: credit, order, what is lost and what is given back")
    func window() {
        func delivery(_ receipt: String) -> Delivery {
            Delivery(
                id: receipt,
                receipt: receipt,
                body: [],
                headers: [],
                attempt: 1,
                priority: 0,
                publishedMilliseconds: 0,
                lease: .seconds(1)
            )
        }
        var window = PrefetchWindow(prefetch: 4)
        #expect(window.wanted == 4)
        #expect(window.received(["a", "b", "c", "d"].map(delivery)).isEmpty)
        #expect(window.wanted == 0 && window.next()?.receipt == "a" && window.next()?.receipt == "b")
        window.settled("a")
        // Not worth a request while others wait to be read.
        #expect(window.wanted == 0)
        window.settled("b")
        #expect(window.wanted == 2)
        #expect(window.next()?.receipt == "c")
        #expect(window.extended(includingHandedOut: false) == ["d"])
        window.lose(["c", "d"])
        #expect(window.isLost("c") && !window.isLost("d") && window.next() == nil && window.isEmpty)
        window.dropped("c")
        #expect(!window.isLost("c"))
        _ = window.received([delivery("e"), delivery("f")])
        #expect(window.next()?.receipt == "e" && window.end() == ["f"])
        #expect(window.wanted == 0 && !window.isEmpty && window.received([delivery("g")]) == ["g"])
        window.settled("e")
        #expect(window.isEmpty)
    }
}
