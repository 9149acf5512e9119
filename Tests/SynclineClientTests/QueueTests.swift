// SPDX-License-Identifier: Apache-2.0
import ClientTestSupport
import NIOCore
import Synchronization
import Testing

@testable import SynclineClient

@Suite("Queues against canned nodes", .timeLimit(.minutes(1)))
struct QueueTests {
    typealias Answer = LoopbackServer.Answer

    private func client(_ server: LoopbackServer, timeout: Duration = .seconds(20)) -> SynclineClient {
        var configuration = SynclineClient.Configuration()
        configuration.requestTimeout = timeout
        return SynclineClient(
            endpoints: [Endpoint(host: "127.0.0.1", port: server.port)],
            configuration: configuration
        )
    }

    /// Runs `body` against one canned node and returns what it was sent.
    @discardableResult
    private func sent(
        timeout: Duration = .seconds(20),
        _ answer: @escaping @Sendable ([String]) -> Answer,
        _ body: (Queue) async throws -> Void
    ) async throws -> [[String]] {
        let server = try await LoopbackServer.start { words, _ in answer(words) }
        let client = client(server, timeout: timeout)
        try await body(client.queue("orders"))
        await client.close()
        await server.stop()
        return server.received
    }

    @Test("a publish with everything, as it goes over the wire")
    func publish() async throws {
        let words = try await sent { _ in
            .bulk("7-0")
        } _: { queue in
            var message = OutgoingMessage("hello", key: "k")
            message.schedule = .after(.milliseconds(1500))
            message.priority = 9
            message.ttl = .seconds(60)
            message.id = "mine"
            message.headers = [QueueHeader(name: "a", value: "1"), QueueHeader(name: "b", value: "2")]
            message.tenant = "t"
            message.lock = LockGrant(name: "l", mode: .exclusive, token: 5, session: "pay/s")
            #expect(try await queue.publish(message) == "7-0")
            var later = OutgoingMessage("x")
            later.schedule = .at(unixMilliseconds: 99)
            try await queue.publish(later)
        }
        #expect(
            words[0].dropLast(3) == [
                "QUEUE.PUBLISH", "orders", "hello", "KEY", "k", "DELAY", "1500", "PRIORITY", "9", "TTL", "60000", "ID",
                "mine", "HEADER", "a", "1", "HEADER", "b", "2", "TENANT", "t", "LOCK", "l", "TOKEN", "5", "NAMESPACE",
                "pay", "PRODUCER",
            ]
        )
        #expect(words[0].suffix(2) == ["SEQUENCE", "1"])
        #expect(words[1][3...4] == ["AT", "99"] && words[1].suffix(2) == ["SEQUENCE", "2"])
        #expect(words[0][words[0].count - 3] == words[1][words[1].count - 3])
    }

    @Test("a publish whose answer is lost is sent again under the same number; numbers are a queue's own")
    func publishAgain() async throws {
        let breaks = Mutex(2)
        let words = try await sent { _ in
            breaks.withLock { left in
                left -= 1
                return left >= 0 ? .close : .bulk("7-0")
            }
        } _: { queue in
            try await queue.publish("a")
            try await queue.publish("b")
            try await queue.client.queue("other").publish("c")
        }
        #expect(words.count == 5)
        #expect(words[0] == words[1] && words[1] == words[2])
        #expect(words.map(\.last) == ["1", "1", "1", "2", "1"])
    }

    @Test(
        "what became of a publish: refused, unknown, and forgotten",
        arguments: [
            ("FULL queue 'orders' is full; nothing was stored", SynclineError.Code.full, SynclineError.Outcome.notDone),
            ("STALESEQ forgotten", .staleSequence, .unknown), ("PAUSED no", .paused, .notDone),
            ("UNKNOWN no answer from the leader", .unknownOutcome, .unknown),
        ]
    )
    func outcomes(text: String, code: SynclineError.Code, outcome: SynclineError.Outcome) async throws {
        let isFirst = Mutex(true)
        try await sent(timeout: text.hasPrefix("UNKNOWN") ? .seconds(5) : .seconds(20)) { _ in
            isFirst.withLock { first in
                defer { first = false }
                return first ? .close : .error(text)
            }
        } _: { queue in
            let error = await #expect(throws: SynclineError.self) { try await queue.publish("a") }
            #expect(error?.code == code && error?.outcome == outcome)
        }
    }

    @Test("a batch goes out in order before it is answered; after a break the rest goes again in order")
    func batch() async throws {
        let count = Mutex(0)
        let words = try await sent { words in
            let number = count.withLock { count in
                count += 1
                return count
            }
            if number == 20 { return .close }
            return words[2] == "m7" ? .error("TOOLARGE a message may have 1 bytes") : .bulk("\(words[2])-id")
        } _: { queue in
            let results = await queue.publish(contentsOf: (0..<40).map { OutgoingMessage("m\($0)") })
            #expect(results.count == 40)
            for (index, result) in results.enumerated() {
                switch result {
                case .success(let id): #expect(id == "m\(index)-id")
                case .failure(let error): #expect(index == 7 && error.code == .tooLarge && error.outcome == .notDone)
                }
            }
        }
        // Numbers fit the messages at each sending, and they fall back but once: to what the break left unanswered.
        let numbers = words.compactMap { Int($0.last ?? "") }
        for (word, number) in zip(words, numbers) { #expect("m\(number - 1)" == word[2]) }
        #expect(zip(numbers, numbers.dropFirst()).count { $0 >= $1 } == 1)
        #expect(numbers.last == 40 && Set(numbers) == Set(1...40))
    }

    @Test("no more than 32 publishes of a queue are unanswered at a time")
    func window() async throws {
        let sequencer = PublishSequencer()
        for expected in 1...32 as ClosedRange<UInt64> { #expect(sequencer.take() == expected) }
        #expect(sequencer.take() == nil)
        let next = Task { await sequencer.begin() }
        sequencer.finish(2)
        #expect(sequencer.take() == nil)
        sequencer.finish(1)
        #expect(await next.value == 33)
        #expect(sequencer.take() == 34)
        #expect(sequencer.take() == nil)
    }

    @Test("settings, and commands for the queue as a whole")
    func administration() async throws {
        let stats =
            "%8\r\n+name\r\n+orders\r\n+ready\r\n:3\r\n+in_flight\r\n:2\r\n+publish_paused\r\n:1\r\n"
            + "+oldest_ready_ms\r\n_\r\n+acked_total\r\n:9\r\n+dwell\r\n%2\r\n+p50_ms\r\n:4\r\n+p99_ms\r\n_\r\n"
            + "+settings\r\n%2\r\n+lanes\r\n:4\r\n+lease_ms\r\n:30000\r\n"
        let words = try await sent { words in
            switch words[0] {
            case "QUEUE.STATS": .bytes(stats)
            case "QUEUE.LIST": .bytes("%2\r\n+next\r\n+p\r\n+queues\r\n*1\r\n" + stats)
            case "QUEUE.REDRIVE", "QUEUE.REDRIVECANCEL": .bytes("%2\r\n+moved\r\n:3\r\n+left\r\n:4\r\n")
            case "QUEUE.PURGE", "QUEUE.DELETE": .integer(5)
            case "QUEUE.CANCEL":
                words[2] == "1-0" ? .integer(1) : words[2] == "2-0" ? .integer(0) : .error("INFLIGHT a consumer has it")
            default: .ok
            }
        } _: { queue in
            var options = QueueOptions()
            options.lanes = 4
            options.lease = .seconds(5)
            options.maxAttempts = 3
            options.deadLetter = "{orders}.dead"
            options.maxLength = 10
            options.maxBytes = 20
            options.overflow = .dropOldest
            options.ttl = .seconds(60)
            options.dedupWindow = .zero
            try await queue.declare(options)
            options = QueueOptions()
            options.overflow = .reject
            try await queue.update(options)
            try await queue.pause(.publish)
            try await queue.resume(.consume)
            #expect(try await queue.purge() == 5)
            #expect(try await queue.delete() == 5)
            #expect(try await queue.cancel("1-0") == .cancelled)
            #expect(try await queue.cancel("2-0") == .notFound)
            #expect(try await queue.cancel("3-0") == .inFlight)
            let progress = try await queue.redrive(count: 2, rate: 10, to: "x", cause: .rejected)
            #expect(progress == RedriveProgress(moved: 3, left: 4))
            #expect(try await queue.cancelRedrive().left == 4)
            let seen = try #require(try await queue.stats())
            #expect(seen.ready == 3 && seen.inFlight == 2 && seen.isPublishPaused && !seen.isConsumePaused)
            #expect(seen.oldestReadyMilliseconds == nil && seen.ackedTotal == 9)
            #expect(seen.dwellP50Milliseconds == 4 && seen.dwellP99Milliseconds == nil)
            #expect(seen.lanes == 4 && seen.leaseMilliseconds == 30_000)
            let page = try await queue.client.listQueues(prefix: "o", after: "n", limit: 7)
            #expect(page.queues.map(\.name) == ["orders"] && page.next == "p")
        }
        let lines = words.map { $0.joined(separator: " ") }
        #expect(
            lines[..<4] == [
                "QUEUE.DECLARE orders LANES 4 LEASE 5000 MAXATTEMPTS 3 DEADLETTER {orders}.dead MAXLEN 10 MAXBYTES 20 "
                    + "OVERFLOW DROPOLDEST TTL 60000 DEDUP 0",
                "QUEUE.UPDATE orders OVERFLOW REJECT", "QUEUE.PAUSE orders PUBLISH", "QUEUE.RESUME orders CONSUME",
            ]
        )
        #expect(lines.contains("QUEUE.REDRIVE orders COUNT 2 RATE 10 TO x CAUSE REJECTED"))
        #expect(lines.last == "QUEUE.LIST COUNT 7 PREFIX o AFTER n")
    }

    @Test("what cannot be repeated is not: the count of a second purge would be wrong")
    func once() async throws {
        let words = try await sent { _ in
            .close
        } _: { queue in
            let error = await #expect(throws: SynclineError.self) { try await queue.purge() }
            #expect(error?.outcome == .unknown)
        }
        #expect(words.count == 1)
    }

    @Test("messages come back as published, whatever bytes they have")
    func receive() async throws {
        let body = "$4\r\na\u{0}\r\n\r\n"
        let message =
            "%11\r\n+id\r\n+7-0\r\n+receipt\r\n+r1\r\n+body\r\n\(body)+attempts\r\n:2\r\n+key\r\n+k\r\n+published\r\n"
            + ":123\r\n+headers\r\n%1\r\n$1\r\nh\r\n$2\r\n\u{1}\u{2}\r\n+priority\r\n:3\r\n+lease_ms\r\n:5000\r\n"
            + "+cause\r\n+lease_expired\r\n+dead_letter\r\n%4\r\n+cause\r\n+attempts\r\n+reason\r\n+bad\r\n"
            + "+origin\r\n+orders\r\n+attempts\r\n:10\r\n"
        let words = try await sent { words in
            words.contains("3") ? .bytes("*0\r\n") : .bytes("*1\r\n" + message)
        } _: { queue in
            let got = try #require(try await queue.receive(count: 2, lease: .seconds(5), maxBytes: 9).first)
            #expect(got.id == "7-0" && got.receipt == "r1" && got.body == [0x61, 0, 0x0d, 0x0a])
            #expect(got.attempt == 2 && got.key == "k" && got.publishedMilliseconds == 123 && got.priority == 3)
            #expect(got.headers == [QueueHeader(name: "h", value: [1, 2])] && got.header("h") == "\u{1}\u{2}")
            #expect(got.lease == .seconds(5) && got.redeliveryCause == .leaseExpired)
            #expect(got.deadLetter?.cause == .attempts && got.deadLetter?.reason == "bad")
            #expect(try await queue.receive(count: 3, wait: .seconds(1)).isEmpty)
        }
        #expect(words[0].joined(separator: " ") == "QUEUE.RECEIVE orders COUNT 2 LEASE 5000 MAXBYTES 9")
        #expect(words[1][..<5].joined(separator: " ") == "QUEUE.RECEIVE orders COUNT 3 WAIT")
    }

    @Test("a waiting receive goes to another node when its own breaks, and ends with its task")
    func waitingReceive() async throws {
        let isFirst = Mutex(true)
        let server = try await LoopbackServer.start { _, _ in
            isFirst.withLock { first in
                defer { first = false }
                return first ? .close : .silence
            }
        }
        let client = client(server)
        let task = Task { try await client.queue("orders").receive(wait: .seconds(600)) }
        #expect(await eventually { server.received.count == 2 })
        task.cancel()
        let error = await #expect(throws: SynclineError.self) { try await task.value }
        #expect(error?.code == .cancelled)
        #expect(await eventually { server.openConnections == 0 })
        await client.close()
        await server.stop()
    }

    @Test("settling by receipt; after a lost answer, STALE does not tell what became of a nack, but of an ack it does")
    func settle() async throws {
        let words = try await sent { words in
            .integer(words.contains("gone") ? 0 : 1)
        } _: { queue in
            #expect(try await queue.ack("r1", "r2") == 1)
            #expect(try await queue.ack("gone") == 0)
            try await queue.nack(["r1"], delay: .seconds(1), reason: "no")
            try await queue.giveBack(["r1"], delay: .seconds(2))
            try await queue.reject(["r1"], reason: "bad")
            #expect(try await queue.extend("r1", lease: .seconds(3)))
        }
        #expect(
            words.map { $0.joined(separator: " ") } == [
                "QUEUE.ACK orders r1 r2", "QUEUE.ACK orders gone", "QUEUE.NACK orders r1 DELAY 1000 REASON no",
                "QUEUE.RETURN orders r1 DELAY 2000", "QUEUE.REJECT orders r1 REASON bad",
                "QUEUE.EXTEND orders r1 LEASE 3000",
            ]
        )
        let broken = Mutex<Set<String>>([])
        try await sent { words in
            broken.withLock { $0.insert(words[0]).inserted } ? .close : .error("STALE the delivery has ended")
        } _: { queue in
            let nacked = await #expect(throws: SynclineError.self) { try await queue.nack(["r"]) }
            #expect(nacked?.code == .stale && nacked?.outcome == .unknown)
            let acked = await #expect(throws: SynclineError.self) { try await queue.ack("r") }
            #expect(acked?.code == .stale && acked?.outcome == .notDone)
        }
    }

    @Test("looking at messages")
    func peek() async throws {
        let message =
            "%7\r\n+id\r\n+7-0\r\n+state\r\n+in_flight\r\n+body\r\n_\r\n+due\r\n:9\r\n+expires\r\n_\r\n"
            + "+consumer\r\n+c\r\n+failures\r\n:2\r\n"
        let words = try await sent { words in
            words[0] == "QUEUE.GET" ? .null : .bytes("*1\r\n" + message)
        } _: { queue in
            let seen = try #require(try await queue.peek(.inFlight, count: 3).first)
            #expect(seen.state == .inFlight && seen.body == nil && seen.dueMilliseconds == 9)
            #expect(seen.consumer == "c" && seen.failures == 2 && seen.expiresMilliseconds == nil)
            #expect(try await queue.message("7-0") == nil)
        }
        #expect(words[0] == ["QUEUE.PEEK", "orders", "STATE", "INFLIGHT", "COUNT", "3"])
        #expect(words[1] == ["QUEUE.GET", "orders", "7-0"])
    }
}
