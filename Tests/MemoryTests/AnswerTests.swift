// SPDX-License-Identifier: Apache-2.0
import CacheCore
import ClientTestSupport
import Memory
import NIOCore
import Primitives
import Synchronization
import Testing

private let shard = ShardID(3)

/// A server of canned answers says what no Redis would.
@Suite("Answers that make no sense")
struct AnswerTests {
    /// - Parameter answer: of everything but the handshake and the heartbeat.
    private func memory(
        handshake: LoopbackServer.Answer = .bulk("redis_version:7.0.15\r\nrun_id:1234\r\n"),
        _ change: (inout RedisConfiguration) -> Void = { _ in },
        _ answer: @escaping @Sendable ([String], any EventLoop) -> LoopbackServer.Answer
    ) async throws -> (LoopbackServer, TestMemory) {
        let server = try await LoopbackServer.start { words, loop in
            switch words[0] {
            case "INFO": handshake
            case "PING": .bytes("+PONG\r\n")
            default: answer(words, loop)
            }
        }
        return (server, try TestMemory("redis://127.0.0.1:\(server.port)", change))
    }

    @Test("a reply of another type or form is refused and breaks nothing")
    func types() async throws {
        let answers = Mutex("")
        let (server, memory) = try await memory { _, _ in .bytes(answers.withLock { $0 }) }
        #expect(await eventually { memory.state.isConnected })
        #expect(memory.state.runID == "1234" && memory.state.servers.first?.version == "7.0.15")
        let odd = [
            "+OK\r\n", ":7\r\n", "*0\r\n", "*1\r\n_\r\n", "$2\r\nno\r\n", "#t\r\n", ",1.5\r\n", "%1\r\n+a\r\n+b\r\n",
            "*3\r\n+a\r\n:1\r\n:2\r\n", "*3\r\n_\r\n:1\r\n:2\r\n", "*3\r\n_\r\n_\r\n+x\r\n", "*1\r\n+ODD\r\n",
            "*2\r\n+FENCED\r\n$1\r\nx\r\n", "*2\r\n+DONE\r\n+x\r\n", "-ERR something else\r\n", "*2\r\n+x\r\n*0\r\n",
        ]
        func isRefused(_ error: MemoryError?) -> Bool { if case .refused = error { true } else { false } }
        for text in odd {
            answers.withLock { $0 = text }
            #expect(isRefused(await memory.raise(shard, 1).error), "\(text)")
            #expect(isRefused(await memory.fetch(shard, "a").error), "\(text)")
            #expect(isRefused(await memory.store(shard, 1, MemoryWrite("a", 1, "x"))), "\(text)")
            #expect(isRefused(await memory.scan(shard, 0, 1).error), "\(text)")
            #expect(isRefused(await memory.removeAll(shard, 1, .zero).error), "\(text)")
        }
        answers.withLock { $0 = "*2\r\n$20\r\n18446744073709551615\r\n*0\r\n" }
        #expect(isRefused(await memory.scan(shard, 0, 1).error))
        #expect(memory.state.counts.connections == 1 && memory.state.isConnected)
        await server.stop()
    }

    @Test("a violation of the protocol ends the connection, and another one is made")
    func violations() async throws {
        let answers = Mutex("")
        let (server, memory) = try await memory { _, _ in .bytes(answers.withLock { $0 }) }
        let long = "$\(64 << 20)\r\n"
        let unasked = "*3\r\n_\r\n_\r\n:-2\r\n+twice\r\n"
        for (count, text) in ["?\r\n", "$x\r\n", ":1\n", "*-7\r\n", long, unasked].enumerated() {
            #expect(await eventually { memory.state.isConnected && memory.state.counts.connections == count + 1 })
            answers.withLock { $0 = text }
            let result = await memory.fetch(shard, "a")
            if text == unasked {
                #expect(result == .success(nil))
            } else {
                #expect(result.error?.isDown == true, "\(text)")
            }
            #expect(await eventually { server.closedConnections == count + 1 })
        }
        await server.stop()
    }

    @Test("what is pushed is no answer")
    func pushes() async throws {
        let (server, memory) = try await memory { _, _ in
            .bytes(">2\r\n+invalidate\r\n_\r\n*3\r\n_\r\n_\r\n:-2\r\n>1\r\n+x\r\n")
        }
        #expect(await eventually { memory.state.isConnected })
        for _ in 0..<3 { #expect(await memory.fetch(shard, "a") == .success(nil)) }
        #expect(memory.state.counts.connections == 1)
        await server.stop()
    }

    @Test("an answer after the deadline is not taken for that of the next command")
    func late() async throws {
        let promises = Mutex<[EventLoopPromise<String>]>([])
        let (server, memory) = try await memory {
            $0.commandTimeout = .milliseconds(100)
        } _: { words, loop in
            // The key decides.
            guard words.contains(where: { $0.hasSuffix(":k:slow") }) else {
                return .bytes("*3\r\n_\r\n$25\r\n000000000000000200000000b\r\n:-1\r\n")
            }
            let promise = loop.makePromise(of: String.self)
            promises.withLock { $0.append(promise) }
            return .later(promise.futureResult)
        }
        #expect(await eventually { memory.state.isConnected })
        #expect(await memory.fetch(shard, "slow").error?.isDown == true)
        // The server answers in order only when it has the first command before the next one comes.
        #expect(await eventually { !promises.withLock { $0.isEmpty } })
        promises.withLock { $0.first }?.succeed("*3\r\n_\r\n$25\r\n000000000000000100000000a\r\n:-1\r\n")
        #expect(await eventually { await memory.fetch(shard, "fast") == .success(MemoryEntry("b", 2)) })
        #expect(memory.state.counts.connections == 1 && memory.state.counts.timeouts >= 1)
        await server.stop()
    }

    @Test("a server that accepts and says nothing is given up at the deadline of the handshake")
    func silence() async throws {
        let (server, memory) = try await memory(handshake: .silence) {
            $0.handshakeTimeout = .milliseconds(50)
        } _: { _, _ in
            .silence
        }
        #expect(await eventually { server.closedConnections >= 2 })
        #expect(!memory.state.isConnected && memory.state.counts.connections == 0)
        #expect(memory.state.lastError?.contains("handshake") == true)
        await server.stop()
    }

    @Test("a connection that ends takes only what was under way with it")
    func closed() async throws {
        let isClosing = Mutex(true)
        let (server, memory) = try await memory { _, _ in
            isClosing.withLock { $0 } ? .close : .bytes("*3\r\n_\r\n_\r\n:-2\r\n")
        }
        #expect(await eventually { memory.state.isConnected })
        #expect(await memory.fetch(shard, "a").error?.isDown == true)
        isClosing.withLock { $0 = false }
        #expect(await eventually { await memory.fetch(shard, "a") == .success(nil) })
        #expect(memory.state.counts.connections == 2)
        await server.stop()
    }
}
