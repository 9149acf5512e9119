// SPDX-License-Identifier: Apache-2.0
import ClientTestSupport
import FoundationEssentials
import Synchronization
import SynclineClient
import Testing

@testable import SynclineCommands

#if canImport(Glibc)
    import Glibc
#endif

@Suite("syncline queue consume, with real children and a canned node", .timeLimit(.minutes(1)))
struct ConsumeTests {
    private let policy = ConsumePolicy(retryDelay: .seconds(1), maxRetryDelay: .seconds(10))

    /// Delivers these bodies, each once and with headers, then lets receives wait.
    private func server(_ bodies: [String], attempt: Int = 1) async throws -> LoopbackServer {
        let next = Mutex(0)
        return try await LoopbackServer.start { words, _ in
            switch words[0] {
            case "QUEUE.RECEIVE":
                let range = next.withLock { next in
                    defer { next = min(next + (Int(words[3]) ?? 0), bodies.count) }
                    return next..<min(next + (Int(words[3]) ?? 0), bodies.count)
                }
                guard !range.isEmpty else { return .silence }
                let messages = range.map { number in
                    "%6\r\n+id\r\n+\(number)-0\r\n+receipt\r\n+r\(number)\r\n+key\r\n+k\r\n+attempts\r\n:\(attempt)\r\n"
                        + "+headers\r\n%1\r\n+content-type\r\n+text\r\n"
                        + "+body\r\n$\(bodies[number].utf8.count)\r\n\(bodies[number])\r\n"
                }
                return .bytes("*\(range.count)\r\n" + messages.joined())
            case "QUEUE.CONSUMER": return words[1] == "OPEN" ? .bulk(words[3]) : .integer(1)
            default: return .integer(words.count - 2)
            }
        }
    }

    private func run(
        _ script: String,
        on server: LoopbackServer,
        parallel: Int = 1,
        limit: Int? = nil,
        idle: Duration? = nil,
        signals: AsyncStream<Int32> = AsyncStream { _ in }
    ) async throws -> ConsumeOutcome {
        let client = SynclineClient(endpoints: [Endpoint(host: "127.0.0.1", port: server.port)])
        let runner = ConsumeRunner(
            messages: client.queue("orders").messages(prefetch: 2),
            command: ["sh", "-c", script],
            environment: ["PATH": "/usr/bin:/bin", "SYNCLINE_HEADER_OLD": "x"],
            policy: policy,
            parallel: parallel,
            limit: limit,
            idle: idle
        )
        do {
            let outcome = try await runner.run(signals: signals)
            await client.close()
            return outcome
        } catch {
            await client.close()
            throw error
        }
    }

    @Test("the command has the body as its input and the rest in its environment; exit 0 acknowledges")
    func environment() async throws {
        let server = try await server(["one\ntwo"])
        let file = Scratch()
        let outcome = try await run(
            "{ cat; echo; env | grep ^SYNCLINE_ | sort; } > \(file.path)",
            on: server,
            limit: 1
        )
        #expect(outcome == ConsumeOutcome(acked: 1))
        #expect(
            file.text
                == "one\ntwo\nSYNCLINE_ATTEMPT=1\nSYNCLINE_HEADER_CONTENT_TYPE=text\nSYNCLINE_KEY=k\n"
                + "SYNCLINE_MESSAGE_ID=0-0\nSYNCLINE_QUEUE=orders\n"
        )
        #expect(server.received("QUEUE.ACK") == [["QUEUE.ACK", "orders", "r0"]])
        #expect(server.received("QUEUE.CONSUMER").last?[1] == "CLOSE")
        await server.stop()
    }

    @Test("exit statuses and signals settle the message; a body larger than a pipe need not be read")
    func settlements() async throws {
        let bodies = ["exit 7", "exit 65", "kill -KILL $$", "exit 0 #" + String(repeating: "x", count: 200_000)]
        let server = try await server(bodies, attempt: 3)
        let script = "head -c 16 | cut -d'#' -f1 | { read -r line; eval \"$line\"; }"
        let outcome = try await run(script, on: server, limit: 4)
        #expect(outcome == ConsumeOutcome(acked: 1, nacked: 2, rejected: 1))
        #expect(
            server.received("QUEUE.NACK").map { $0.joined(separator: " ") }.sorted().first
                == "QUEUE.NACK orders r0 DELAY 4000 REASON exit status 7"
        )
        #expect(server.received("QUEUE.REJECT") == [["QUEUE.REJECT", "orders", "r1", "REASON", "exit status 65"]])
        await server.stop()
    }

    @Test("several commands run at the same time; without more messages it ends after the wait")
    func parallel() async throws {
        let server = try await server(["1", "2"])
        let folder = Scratch()
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: false)
        // Each waits for the other to be there.
        let script = "touch \(folder.path)/$(cat); while [ $(ls \(folder.path) | wc -l) -lt 2 ]; do sleep 0.01; done"
        let outcome = try await run(script, on: server, parallel: 2, idle: .seconds(2))
        #expect(outcome == ConsumeOutcome(acked: 2))
        await server.stop()
    }

    @Test("a signal: no more messages, what runs is waited for, what was not begun goes back")
    func graceful() async throws {
        let server = try await server(["1", "2"])
        let file = Scratch()
        let go = Scratch()
        let (signals, sink) = AsyncStream.makeStream(of: Int32.self)
        async let result = run(
            "echo ready >> \(file.path); while [ ! -e \(go.path) ]; do sleep 0.01; done",
            on: server,
            signals: signals
        )
        #expect(await eventually { file.text == "ready\n" })
        sink.yield(SIGTERM)
        #expect(await eventually { server.received("QUEUE.RETURN") == [["QUEUE.RETURN", "orders", "r1"]] })
        #expect(FileManager.default.createFile(atPath: go.path, contents: nil))
        #expect(try await result == ConsumeOutcome(acked: 1))
        #expect(file.text == "ready\n")
        await server.stop()
    }

    @Test("a second signal ends what runs, and its message goes back without counting")
    func forced() async throws {
        let server = try await server(["1"])
        let file = Scratch()
        let (signals, sink) = AsyncStream.makeStream(of: Int32.self)
        async let result = run("echo ready > \(file.path); sleep 1000", on: server, signals: signals)
        #expect(await eventually { file.text == "ready\n" })
        sink.yield(SIGINT)
        sink.yield(SIGTERM)
        let outcome = try await result
        #expect(outcome == ConsumeOutcome(givenBack: 1, status: 128 + SIGTERM))
        #expect(server.received("QUEUE.RETURN") == [["QUEUE.RETURN", "orders", "r0"]])
        await server.stop()
    }

    @Test("a command that is not there: the message goes back, and it ends")
    func missing() async throws {
        let server = try await server(["1"])
        let client = SynclineClient(endpoints: [Endpoint(host: "127.0.0.1", port: server.port)])
        let runner = ConsumeRunner(
            messages: client.queue("orders").messages(prefetch: 1),
            command: ["no-such-command-anywhere"],
            environment: ["PATH": "/usr/bin:/bin"],
            policy: policy,
            parallel: 1,
            limit: nil,
            idle: nil
        )
        await #expect(throws: SynclineCommands.ExitStatus.commandNotFound) {
            try await runner.run(signals: AsyncStream { _ in })
        }
        #expect(server.received("QUEUE.RETURN") == [["QUEUE.RETURN", "orders", "r0"]])
        await client.close()
        await server.stop()
    }

    @Test("how an end settles a message, and how long it then waits")
    func verdicts() {
        #expect(policy.verdict(.exited(0), attempt: 1, wasTerminated: true) == .ack)
        #expect(policy.verdict(.exited(65), attempt: 1, wasTerminated: false) == .reject(reason: "exit status 65"))
        #expect(
            policy.verdict(.exited(1), attempt: 2, wasTerminated: false)
                == .nack(delay: .seconds(2), reason: "exit status 1")
        )
        #expect(
            policy.verdict(.signalled(9), attempt: 1, wasTerminated: false)
                == .nack(delay: .seconds(1), reason: "SIGKILL")
        )
        #expect(policy.verdict(.signalled(15), attempt: 1, wasTerminated: true) == .giveBack)
        #expect([1, 2, 3, 4, 5, 1_000_000].map { policy.delay($0) } == [1, 2, 4, 8, 10, 10].map { .seconds($0) })
    }

    @Test("header names as variables")
    func variables() {
        #expect(ConsumePolicy.variable("content-type") == "SYNCLINE_HEADER_CONTENT_TYPE")
        #expect(ConsumePolicy.variable("a=b\n2") == "SYNCLINE_HEADER_A_B_2")
    }
}
