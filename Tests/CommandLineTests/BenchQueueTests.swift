// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import NIOCore
import RESP
import SynclineClient
import Testing

@testable import SynclineCommands

@Suite("bench queues", .timeLimit(.minutes(1)))
struct BenchQueueTests {
    private static let replies = [
        "+OK\r\n", "-BUSY later\r\n", ":17\r\n", "$3\r\nabc\r\n", "$0\r\n\r\n", "$-1\r\n", "*0\r\n", "*-1\r\n",
        "*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "%1\r\n+k\r\n*2\r\n_\r\n#t\r\n", "~1\r\n,1.5\r\n", "=7\r\ntxt:abc\r\n",
        "|1\r\n+k\r\n+v\r\n:5\r\n", ">2\r\n+a\r\n+b\r\n", "$4\r\n\r\n\r\n\r\n",
    ]

    @Test("replies are cut where they end, however they arrive", arguments: [1, 2, 3, 7, 1_000])
    func scanner(piece: Int) throws {
        var scanner = ReplyScanner()
        var cut: [String] = []
        let stream = Array(Self.replies.joined().utf8)
        for start in stride(from: 0, to: stream.count, by: piece) {
            scanner.append(ByteBuffer(bytes: stream[start..<min(start + piece, stream.count)]))
            while let reply = try scanner.next() { cut.append(String(buffer: reply)) }
        }
        #expect(cut == Self.replies)
    }

    @Test(
        "what is no RESP is an error, not a trap",
        arguments: ["?1\r\n", "$x\r\n", "$-2\r\n", ":1\n", "*9223372036854775807\r\n", "\n", "$999999999999\r\n"]
    )
    func notRESP(_ text: String) {
        var scanner = ReplyScanner()
        scanner.append(ByteBuffer(string: text))
        #expect(throws: RESPError.self) { try scanner.next() }
    }

    @Test("receipts and bodies are found among other fields", arguments: [RESPVersion.two, .three])
    func batch(_ version: RESPVersion) {
        let sent = (0..<3).map { BenchMessage(published: 5, producer: 2, sequence: $0) }
        var writer = RESPWriter(version: version)
        writer.array(3)
        for message in sent {
            var body = ByteBuffer()
            message.write(into: &body, size: 20, filler: ByteBuffer(string: "xxxxxxxx"))
            #expect(body.readableBytes == 20)
            writer.map(4)
            writer.bulk("attempts")
            writer.integer(1)
            writer.bulk("headers")
            writer.map(1)
            writer.bulk("body")
            writer.bulk("receipt")
            writer.bulk("body")
            writer.bulk(body)
            writer.bulk("receipt")
            writer.bulk("r\(message.sequence)")
        }
        let batch = DeliveredBatch(writer.buffer)
        #expect(batch.messages == sent)
        #expect(String(buffer: batch.receipts) == "$2\r\nr0\r\n$2\r\nr1\r\n$2\r\nr2\r\n")
        for text in ["*0\r\n", "_\r\n", "$-1\r\n", "*1\r\n:1\r\n", "*1\r\n*2\r\n$4\r\nbody\r\n:1\r\n"] {
            #expect(DeliveredBatch(ByteBuffer(string: text)).messages.isEmpty)
        }
    }

    @Test("the ledger tells lost, repeated, uncertain and invented messages apart")
    func ledger() {
        var ledger = QueueBenchLedger()
        let producer = ledger.addProducer()
        let messages = (0..<100).map { _ in
            BenchMessage(published: 0, producer: producer, sequence: ledger.send(producer))
        }
        ledger.confirm(98)
        ledger.lose(2)
        for message in messages.prefix(50) + messages.prefix(3) { ledger.deliver(message) }
        for message in messages.prefix(50) + messages.prefix(3) { ledger.acknowledge(message) }
        ledger.deliver(BenchMessage(published: 0, producer: 0, sequence: 100))
        ledger.deliver(BenchMessage(published: 0, producer: 7, sequence: 0))
        #expect(ledger.delivered == 50 && ledger.redelivered == 3 && ledger.acknowledged == 50 && ledger.phantoms == 2)
        #expect(ledger.account(left: 48).lost == 0)
        #expect(ledger.account(left: 47).lost == 1)
        // Each of the two without an answer may be there or not.
        #expect(ledger.account(left: 50).unexplained == 0)
        #expect(ledger.account(left: 51).unexplained == 1)
        #expect(!ledger.account(left: 48).isBalanced)
        for message in messages[49..<52] { ledger.leaveUnsettled(message) }
        #expect(ledger.unsettled == 2 && ledger.account(left: 46).lost == 0 && ledger.account(left: 45).lost == 1)
        ledger.acknowledge(messages[50])
        #expect(ledger.unsettled == 1 && ledger.acknowledged == 51)
    }

    private func run(
        _ server: BenchQueueServer,
        _ scenario: QueueBenchScenario,
        keepsQueue: Bool = false,
        _ change: (inout QueueBenchCell) -> Void = { _ in }
    ) async throws -> QueueBenchResult {
        var cell = QueueBenchCell.standard(scenario)
        (cell.producers, cell.consumers) = (min(cell.producers, 4), min(cell.consumers, 4))
        (cell.seconds, cell.warmup) = (1, 0)
        cell.backlog = min(cell.backlog, 3_000)
        change(&cell)
        let endpoints = [Endpoint(host: "127.0.0.1", port: server.port)]
        var run = QueueBenchRun(endpoints: endpoints, cell: cell, queue: "q", keepsQueue: keepsQueue)
        run.idleSeconds = 0.5
        return try await run.run()
    }

    @Test("each scenario measures what it names and accounts for every message")
    func scenarios() async throws {
        let server = try await BenchQueueServer.start()
        let publish = try await run(server, .publish) {
            $0.pipeline = 8
            $0.lanes = 3
        }
        #expect(publish.publishedPerSecond > 0 && publish.consumedPerSecond == 0 && publish.errors == 0)
        let published = try #require(publish.account)
        #expect(published.isBalanced && published.confirmed == published.left && published.confirmed > 0)
        #expect(publish.latenciesMicroseconds.map(\.measure) == ["publish"])

        let both = try await run(server, .both) { $0.prefetch = true }
        #expect(both.publishedPerSecond > 0 && both.consumedPerSecond > 0 && both.account?.isBalanced == true)
        #expect(both.latenciesMicroseconds.map(\.measure) == ["publish", "hand-over", "receive + ack"])

        let drain = try await run(server, .drain)
        #expect(drain.account?.acknowledged == 3_000 && drain.account?.left == 0 && drain.consumedPerSecond > 0)
        #expect(drain.latenciesMicroseconds.map(\.measure) == ["receive + ack"])

        let latency = try await run(server, .latency)
        #expect((150...250).contains(latency.publishedPerSecond) && latency.account?.isBalanced == true)
        #expect(!server.exists && server.received("QUEUE.DECLARE q LANES 3"))
        await server.stop()
    }

    @Test("a backlog is filled, weighed and published beside; the queue may stay")
    func backlog() async throws {
        let server = try await BenchQueueServer.start()
        // At a rate, or a quick machine publishes as many while the queue is still called empty, and nothing is filled.
        let result = try await run(server, .backlog, keepsQueue: true) { cell in
            cell.backlog = 50_000
            cell.rate = 2_000
        }
        let backlog = try #require(result.backlog)
        #expect(backlog.messages >= 50_000 && backlog.filled > 0 && backlog.filledPerSecond > 0)
        #expect(backlog.memory.count == 1)
        #expect(backlog.publishedPerSecondEmpty > 0 && backlog.publishedPerSecondBeside > 0)
        #expect(result.account?.isBalanced == true && result.queue == "q" && server.exists)
        #expect(result.table(style: Style(isOn: false)).contains("beside \(backlog.messages) messages"))
        await #expect(throws: SynclineError.self) { try await run(server, .publish) }
        await server.stop()
    }

    @Test("loss is found out, repeated deliveries are counted, refusals are not loss")
    func faults() async throws {
        var server = try await BenchQueueServer.start(.init(losesEvery: 100))
        let losing = try #require(try await run(server, .drain).account)
        #expect(losing.lost == 30 && !losing.isBalanced)
        await server.stop()

        server = try await BenchQueueServer.start(.init(repeatsEvery: 100))
        let repeating = try #require(try await run(server, .drain).account)
        #expect(repeating.redelivered == 30 && repeating.isBalanced)
        await server.stop()

        server = try await BenchQueueServer.start(.init(refusesEvery: 10))
        let refusing = try await run(server, .publish)
        #expect(refusing.errors > 0 && refusing.firstError?.hasPrefix("BUSY") == true)
        #expect(refusing.account?.isBalanced == true && refusing.account?.unconfirmed == 0)
        await server.stop()

        server = try await BenchQueueServer.start(.init(refusesEvery: 1, refusal: "FULL queue 'q' is full"))
        await #expect(throws: SynclineError.self) { try await run(server, .drain) }
        await server.stop()

        server = try await BenchQueueServer.start(.init(refusesEvery: 10, refusal: "UNKNOWN the leader changed"))
        let unsure = try #require(try await run(server, .both).account)
        #expect(unsure.unconfirmed > 0 && unsure.isBalanced)
        await server.stop()
    }

    @Test("an acknowledgement without a clear answer is sent again", arguments: ["UNKNOWN who knows", "STALE 1 of 32"])
    func muddledAcknowledgements(_ refusal: String) async throws {
        let server = try await BenchQueueServer.start(.init(muddlesEvery: 20, refusal: refusal))
        let result = try await run(server, .drain)
        let account = try #require(result.account)
        #expect(result.errors > 0 && account.acknowledged == 3_000 && account.left == 0 && account.isBalanced)
        await server.stop()
    }

    @Test("options are checked, and the suite holds the measurements that are compared")
    func options() throws {
        for wrong in [
            ["publish", "--size", "15"], ["drain", "--count", "0"], ["suite", "--producers", "3"],
            ["publish", "--rate", "5", "--pipeline", "2"], ["publish", "--lanes", "1025"], ["--keep-queue"],
        ] {
            #expect(throws: (any Error).self) { try BenchCommand.Queues.parse(wrong) }
        }
        let backlog = try BenchCommand.Queues.parse(["--backlog", "5000000", "--producers", "8"]).cell
        #expect(backlog.scenario == .backlog && backlog.backlog == 5_000_000 && backlog.producers == 8)
        #expect(try BenchCommand.Queues.parse([]).chosen == .suite)
        let suite = QueueBenchCell.suite(try BenchCommand.Queues.parse(["--lanes", "2", "--seconds", "3"]).cell)
        #expect(suite.filter { $0.scenario == .publish }.count == 9 && suite.contains { $0.pipeline == 32 })
        #expect(suite.allSatisfy { $0.lanes == 2 && $0.seconds == 3 })
        #expect(Set(suite.map(\.name)).count == suite.count)
        #expect(QueueBenchCell(scenario: .drain, size: 1_048_576).fillCount == 1)
    }

    @Test("the memory of a process is read as the kernel writes it")
    func memory() {
        let status = "Name:\tsyncline\nVmRSS:\t   20480 kB\nRssAnon:\t   10240 kB\nRssFile:\t 10240 kB\n"
        let memory = QueueBenchMemory.parse(status: status)
        #expect(memory?.resident == 20 << 20 && memory?.anonymous == 10 << 20)
        #expect(QueueBenchMemory.parse(status: "Name:\tx\n") == nil)
    }
}
