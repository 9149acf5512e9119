// SPDX-License-Identifier: Apache-2.0
import ClientTestSupport
import NIOCore
import Synchronization
import Testing

@testable import SynclineClient

@Suite("The client against canned nodes", .timeLimit(.minutes(1)))
struct ClientTests {
    typealias Answer = LoopbackServer.Answer

    private func client(_ servers: LoopbackServer..., attempt: Duration = .seconds(3)) -> SynclineClient {
        var configuration = SynclineClient.Configuration()
        configuration.attemptTimeout = attempt
        return SynclineClient(
            endpoints: servers.map { Endpoint(host: "127.0.0.1", port: $0.port) },
            configuration: configuration
        )
    }

    /// Sessions open and renew; the rest is up to the test.
    private func server(
        ttl: Int = 10_000,
        _ answer: @escaping @Sendable ([String], any EventLoop) -> Answer = { _, _ in .ok }
    ) async throws -> LoopbackServer {
        try await LoopbackServer.start { words, loop in
            switch words[0] {
            case "SESSION.OPEN": .bulk(words[2])
            case "SESSION.RENEW": .integer(ttl)
            case "SESSION.CLOSE": .integer(1)
            default: answer(words, loop)
            }
        }
    }

    @Test("a session, a lock and its release, as they go over the wire")
    func lock() async throws {
        let server = try await server { words, _ in words[0] == "LOCK.ACQUIRE" ? .integer(42) : .integer(0) }
        let client = client(server)
        let session = try await client.openSession(label: "job", owner: "me", namespace: "pay", lockDelay: .seconds(1))
        #expect(session.id.hasPrefix("pay/"))
        let asked = ContinuousClock.now
        let grant = try await session.lock("a lock", mode: .update, wait: .upTo(.seconds(5)), priority: 3)
        let took = asked.duration(to: .now)
        #expect(grant == LockGrant(name: "a lock", mode: .update, token: 42, session: session.id))
        #expect(try await session.release("a lock") == 0)
        #expect(try await session.close() == 1)
        #expect(session.state == .lost(.closed))

        let words = server.received
        #expect(
            words[0] == [
                "SESSION.OPEN", "ID", session.id, "TTL", "10000", "LABEL", "job", "OWNER", "me", "NAMESPACE", "pay",
                "LOCKDELAY", "1000",
            ]
        )
        let acquire = try #require(server.received("LOCK.ACQUIRE").first)
        #expect(acquire[..<6] == ["LOCK.ACQUIRE", "a lock", "SESSION", session.id, "MODE", "UPDATE"])
        // What is left of the five seconds when it is sent: connecting has taken some, but no more than the whole took.
        let wait = Duration.milliseconds(try #require(Int(acquire[7])))
        #expect(acquire[6] == "WAIT" && wait <= .seconds(5) && wait + took >= .milliseconds(4_999))
        #expect(acquire[8...] == ["PRIORITY", "3", "SEQ", "1"])
        #expect(server.received("LOCK.RELEASE") == [["LOCK.RELEASE", "a lock", "SESSION", session.id, "SEQ", "2"]])
        await client.close()
        await server.stop()
    }

    @Test("not acquired, refused and misunderstood are told apart")
    func refusals() async throws {
        let server = try await server { words, _ in
            switch words[1] {
            case "held": .null
            case "dead": .error("DEADLOCK given up: a waits for x exclusive → a; release")
            case "odd": .bytes("+what\r\n")
            case "broken": .bytes("?nonsense\r\n")
            default: .error("LIMIT too many")
            }
        }
        let client = client(server)
        let session = try await client.openSession()
        #expect(try await session.tryLock("held") == nil)
        func code(_ name: String) async -> SynclineError.Code? {
            do throws(SynclineError) {
                _ = try await session.lock(name, wait: .none)
                return nil
            } catch {
                return error.code
            }
        }
        #expect(await code("held") == .notAcquired)
        #expect(await code("dead") == .deadlock)
        #expect(await code("odd") == .protocolViolation)
        #expect(await code("full") == .limit)
        await client.close()
        await server.stop()
    }

    @Test("a request whose node breaks the connection goes to another under the same number")
    func failover() async throws {
        let first = try await server { _, _ in .close }
        let second = try await server { _, _ in .close }
        let breaks = Mutex(1)
        let holder = Counter()
        let third = try await server { words, _ in
            holder.add()
            return breaks.withLock { left in
                guard left > 0 else { return .integer(7) }
                left -= 1
                return .close
            }
        }
        let client = client(first, second, third)
        let session = try await client.openSession()
        #expect(try await session.lock("a", wait: .none).token == 7)
        let tries = first.received("LOCK.ACQUIRE") + second.received("LOCK.ACQUIRE") + third.received("LOCK.ACQUIRE")
        #expect(tries.count >= 2 && Set(tries).count == 1)
        let waited = try await session.lock("b", wait: .forever)
        #expect(waited.token == 7)
        await client.close()
        for server in [first, second, third] { await server.stop() }
    }

    @Test("a node that hangs is given up for another")
    func hanging() async throws {
        let hung = try await LoopbackServer.start { _, _ in .silence }
        let well = try await server { _, _ in .integer(5) }
        for _ in 0..<4 {
            let client = client(hung, well, attempt: .milliseconds(50))
            let session = try await client.openSession()
            #expect(try await session.lock("a", wait: .none).token == 5)
            await client.close()
        }
        await hung.stop()
        await well.stop()
    }

    @Test("what cannot be repeated is not, and its outcome is unknown; what was not done is tried again")
    func repeats() async throws {
        let count = Counter()
        let server = try await server { words, _ in
            switch words[0] {
            case "LOCK.BREAK": words[1] == "lost" ? .close : .error("UNKNOWN no answer from the leader")
            default: count.add() < 3 ? .error("UNAVAILABLE no leader") : .integer(9)
            }
        }
        let client = client(server)
        let session = try await client.openSession()
        #expect(try await session.lock("a", wait: .none).token == 9)
        for name in ["lost", "vague"] {
            let error = await #expect(throws: SynclineError.self) { try await client.breakLock(name, reason: "r") }
            #expect(error?.outcome == .unknown)
        }
        #expect(server.received("LOCK.BREAK").count == 2)
        await client.close()
        await server.stop()
    }

    @Test("nobody there: unreachable, within the deadline, nothing done")
    func unreachable() async throws {
        let server = try await LoopbackServer.start { _, _ in .ok }
        await server.stop()
        var configuration = SynclineClient.Configuration()
        configuration.requestTimeout = .milliseconds(200)
        let client = SynclineClient(
            endpoints: [Endpoint(host: "127.0.0.1", port: server.port)],
            configuration: configuration
        )
        let error = await #expect(throws: SynclineError.self) { try await client.openSession() }
        #expect(error?.code == .unreachable && error?.outcome == .notDone)
        await client.close()
    }

    @Test("cancelling a task that waits closes its connection, and a grant that came too late is given back")
    func cancellation() async throws {
        let server = try await server { words, loop in
            switch words[0] {
            case "LOCK.ACQUIRE": words.contains("FOREVER") ? .silence : .integer(11)
            default: .integer(0)
            }
        }
        let client = client(server)
        let session = try await client.openSession()
        let waiting = Task { try await session.lock("a", wait: .forever) }
        #expect(await eventually { server.received("LOCK.ACQUIRE").count == 1 })
        waiting.cancel()
        let error = await #expect(throws: SynclineError.self) { try await waiting.value }
        #expect(error?.code == .cancelled && error?.outcome == .notDone)
        #expect(await eventually { server.closedConnections == 1 })
        let acquires = server.received("LOCK.ACQUIRE")
        #expect(acquires.count == 2 && acquires[0].last == acquires[1].last)
        #expect(server.received("LOCK.RELEASE").count == 1)
        await client.close()
        await server.stop()
    }

    @Test("a session that is not renewed goes live, in jeopardy, lost; its waits end with it")
    func loss() async throws {
        let server = try await LoopbackServer.start { words, _ in
            words[0] == "SESSION.OPEN" ? .bulk(words[2]) : .silence
        }
        let client = client(server)
        let session = try await client.openSession(ttl: .seconds(1))
        let waiting = Task { try await session.lock("a", wait: .forever) }
        var seen: [String] = []
        for await state in session.states {
            switch state {
            case .live: seen.append("live")
            case .inJeopardy(let remaining):
                seen.append("jeopardy")
                #expect(remaining > .zero && remaining <= .milliseconds(400))
            case .lost(let cause): seen.append("lost \(cause)")
            }
        }
        #expect(seen == ["live", "jeopardy", "lost expired"])
        let error = await #expect(throws: SynclineError.self) { try await waiting.value }
        #expect(error?.code == .sessionLost)
        await client.close()
        await server.stop()
    }

    @Test("when the cluster says that the session is gone, work under its lock is cancelled")
    func ended() async throws {
        let server = try await LoopbackServer.start { words, _ in
            switch words[0] {
            case "SESSION.OPEN": .bulk(words[2])
            case "SESSION.RENEW": .error("NOSESSION closed by an operator")
            default: .integer(1)
            }
        }
        let client = client(server)
        let session = try await client.openSession(ttl: .seconds(2))
        let cancelled = Counter()
        let error = await #expect(throws: SynclineError.self) {
            try await session.withLock("a") { _ in
                await withTaskCancellationHandler {
                    _ = await eventually { Task.isCancelled }
                } onCancel: {
                    cancelled.add()
                }
            }
        }
        #expect(error?.code == .sessionLost && cancelled.count == 1)
        #expect(session.state == .lost(.ended("closed by an operator")))
        await client.close()
        await server.stop()
    }

    @Test("withLock gives the lock back when its body throws")
    func withLockThrows() async throws {
        let server = try await server { words, _ in .integer(words[0] == "LOCK.ACQUIRE" ? 1 : 0) }
        let client = client(server)
        let session = try await client.openSession()
        struct Own: Error {}
        await #expect(throws: Own.self) { try await session.withLock("a") { _ in throw Own() } }
        #expect(server.received("LOCK.RELEASE").count == 1)
        await client.close()
        await server.stop()
    }

    @Test("several locks, permits, elections and reads")
    func others() async throws {
        let server = try await server { words, _ in
            switch words[0] {
            case "LOCK.ACQUIREALL": .bytes("*2\r\n:4\r\n:4\r\n")
            case "SEMAPHORE.ACQUIRE", "ELECTION.CAMPAIGN": .integer(5)
            case "ELECTION.LEADER": .bytes("%3\r\n+session\r\n+s\r\n+value\r\n$2\r\nhi\r\n+token\r\n:5\r\n")
            case "LOCK.CHECK": .integer(1)
            case "LOCK.INFO":
                .bytes(
                    "%4\r\n+name\r\n+a\r\n+kind\r\n+semaphore\r\n+limit\r\n:3\r\n+holders\r\n*1\r\n%3\r\n+session\r\n+s"
                        + "\r\n+mode\r\n+shared\r\n+token\r\n:9\r\n"
                )
            case "LOCK.LIST": .bytes("%2\r\n+cursor\r\n:7\r\n+locks\r\n*1\r\n%1\r\n+name\r\n+a\r\n")
            default: .integer(0)
            }
        }
        let client = client(server)
        let session = try await client.openSession()
        let grants = try await session.lockAll([("a", .exclusive), ("b", .shared)], wait: .none)
        #expect(grants.map(\.token) == [4, 4] && grants.map(\.mode) == [.exclusive, .shared])
        #expect(server.received("LOCK.ACQUIREALL")[0].suffix(4) == ["a", "EXCLUSIVE", "b", "SHARED"])
        #expect(try await session.acquirePermits("p", limit: 3, permits: 2).token == 5)
        #expect(try await session.campaign("e", value: Array("hi".utf8)).token == 5)
        #expect(try await client.leader(of: "e")?.value == Array("hi".utf8))
        #expect(try await client.checkToken(5, of: "a"))
        let info = try #require(try await client.lockInfo("a"))
        #expect(info.kind == .semaphore && info.limit == 3 && info.holders.first?.token == 9)
        #expect(try await client.listLocks().cursor == 7)
        await client.close()
        await server.stop()
    }

    @Test("watching goes on after a broken connection, and says that it was broken")
    func watching() async throws {
        let push = ">7\r\n+lock\r\n+granted\r\n+default\r\n+a\r\n+s1\r\n+exclusive\r\n:3\r\n"
        let server = try await LoopbackServer.start { _, _ in .bytes(":1\r\n" + push) }
        let client = client(server)
        var kinds: [LockEvent.Kind] = []
        for try await event in client.watch("a") {
            kinds.append(event.kind)
            if event.kind == .granted { #expect(event.token == 3 && event.session == "s1" && event.mode == .exclusive) }
            if kinds.count == 1 { server.closeConnections() }
            if kinds.contains(.resumed), kinds.last == .granted { break }
        }
        #expect(kinds.filter { $0 == .resumed }.count == 1)
        #expect(await eventually { server.openConnections == 0 })
        await client.close()
        await server.stop()
    }
}

private final class Counter: Sendable {
    private let value = Mutex(0)

    var count: Int { value.withLock { $0 } }

    @discardableResult
    func add() -> Int {
        value.withLock { value in
            value += 1
            return value
        }
    }
}
