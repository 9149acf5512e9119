// SPDX-License-Identifier: Apache-2.0
import ClientTestSupport
import NIOCore
import NIOPosix
import RESP
import Synchronization
import Testing

@testable import SynclineClient

@Suite("What the client says became of a request, and how it finds out that a node is gone", .timeLimit(.minutes(1)))
struct OutcomeTests {
    private func configuration(_ change: (inout SynclineClient.Configuration) -> Void) -> SynclineClient.Configuration {
        var configuration = SynclineClient.Configuration()
        change(&configuration)
        return configuration
    }

    private func client(_ port: Int, _ configuration: SynclineClient.Configuration) -> SynclineClient {
        SynclineClient(endpoints: [Endpoint(host: "127.0.0.1", port: port)], configuration: configuration)
    }

    private func session(_ client: SynclineClient, ttl: Duration = .seconds(60)) -> Session {
        Session(id: "s", client: client, lease: SessionLease(ttl: ttl, sent: .now), renewals: client.renewals)
    }

    /// A listener that does with each connection what the test says, and no more.
    private func listener(
        _ accepted: @escaping @Sendable (any Channel) -> Void = { _ in }
    ) async throws -> (channel: any Channel, port: Int) {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.execute { accepted(channel) }
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return (channel, channel.localAddress?.port ?? 0)
    }

    @Test(
        "a sending that broke leaves the outcome unknown, whatever refusals follow; an answer settles it",
        arguments: [
            ("UNAVAILABLE no leader", SynclineError.Code.unavailable, SynclineError.Outcome.unknown),
            ("BUSY too much to do", .busy, .unknown), ("STALESEQ forgotten", .staleSequence, .unknown),
            ("NOTHELD the session does not hold it", .notHeld, .notDone),
        ]
    )
    func broken(answer: String, code: SynclineError.Code, outcome: SynclineError.Outcome) async throws {
        let broken = Mutex<Set<String>>([])
        let server = try await LoopbackServer.start { words, _ in
            broken.withLock { $0.insert(words[0]).inserted } ? .close : .error(answer)
        }
        let client = client(server.port, configuration { $0.requestTimeout = .seconds(5) })
        let session = session(client)
        let released = await #expect(throws: SynclineError.self) { try await session.release("a") }
        #expect(released?.code == code && released?.outcome == outcome)
        #expect(server.received("LOCK.RELEASE").count >= 2)
        let waited = await #expect(throws: SynclineError.self) {
            try await session.lock("a", wait: .upTo(.milliseconds(1)))
        }
        #expect(waited?.outcome == outcome)
        await client.close()
        await server.stop()
    }

    @Test("a wait whose node went away while it waited: that nobody can be reached does not say that nothing was done")
    func unreachableAfterSending() async throws {
        let started = Mutex<LoopbackServer?>(nil)
        let server = try await LoopbackServer.start { words, _ in
            let server = started.withLock { $0 }
            Task { await server?.stop() }
            return .close
        }
        started.withLock { $0 = server }
        let client = client(server.port, configuration { $0.requestTimeout = .seconds(2) })
        let error = await #expect(throws: SynclineError.self) {
            try await session(client).lock("a", wait: .upTo(.milliseconds(100)))
        }
        #expect(error?.outcome == .unknown)
        await client.close()
    }

    @Test("losing the session ends a wait that is still connecting")
    func lossWhileConnecting() async throws {
        let mute = try await listener()
        let limits = configuration {
            $0.connectTimeout = .seconds(600)
            $0.requestTimeout = .seconds(600)
        }
        let client = client(mute.port, limits)
        let error = await #expect(throws: SynclineError.self) {
            try await session(client, ttl: .milliseconds(200)).lock("a", wait: .forever)
        }
        #expect(error?.code == .sessionLost)
        await client.close()
        try await mute.channel.close()
    }

    @Test("any answer shows that a node lives; silence and a closed port show that it does not")
    func probe() async throws {
        let full = try await listener { channel in
            channel.writeAndFlush(ByteBuffer(string: "-ERR max number of clients reached\r\n"), promise: nil)
        }
        let mute = try await listener()
        func answers(_ port: Int, _ limit: Duration) async -> Bool {
            await LivenessProbe.answers(Endpoint(host: "127.0.0.1", port: port), within: limit)
        }
        #expect(await answers(full.port, .seconds(30)))
        #expect(await !answers(mute.port, .milliseconds(50)))
        try await full.channel.close()
        #expect(await !answers(full.port, .seconds(30)))
        try await mute.channel.close()
    }

    @Test("a watch on a node that has frozen goes on elsewhere, and says so")
    func frozenWatch() async throws {
        let server = try await LoopbackServer.start { words, _ in words[0] == "PING" ? .silence : .integer(1) }
        let limits = configuration {
            $0.attemptTimeout = .milliseconds(100)
            $0.probeInterval = .milliseconds(10)
        }
        let client = client(server.port, limits)
        for try await event in client.watch("a") {
            #expect(event.kind == .resumed)
            break
        }
        #expect(server.received("LOCK.WATCH").count >= 2)
        await client.close()
        await server.stop()
    }

    @Test("nobody listens anywhere: soon given up, unless the client has been connected before")
    func refused() async throws {
        let server = try await LoopbackServer.start { _, _ in .integer(1) }
        let limits = configuration {
            $0.requestTimeout = .seconds(2)
            $0.refusalTimeout = .zero
        }
        let known = client(server.port, limits)
        #expect(try await known.checkToken(1, of: "a"))
        await server.stop()
        // Nobody else may listen there meanwhile.
        let port = try HeldPort(server.port)
        defer { port.release() }
        var began = ContinuousClock.now
        await #expect(throws: SynclineError.self) { try await known.checkToken(1, of: "a") }
        #expect(ContinuousClock.now - began >= .seconds(2))
        await known.close()

        let stranger = client(
            server.port,
            configuration {
                $0.requestTimeout = .seconds(60)
                $0.refusalTimeout = .zero
            }
        )
        began = .now
        let error = await #expect(throws: SynclineError.self) { try await stranger.checkToken(1, of: "a") }
        #expect(error?.code == .unreachable && error?.outcome == .notDone)
        #expect(ContinuousClock.now - began < .seconds(30))
        await stranger.close()
    }

    @Test("lists tell how many there are, not only how many they show; an election tells its value")
    func counts() throws {
        func value(_ text: String) throws -> RESPValue {
            var parser = RESPValueParser()
            parser.append(ByteBuffer(string: text))
            return try #require(try parser.next())
        }
        let lock = try Reply.lockInfo(
            value(
                "%7\r\n+name\r\n+e\r\n+kind\r\n+election\r\n+value\r\n$2\r\nhi\r\n+holder-count\r\n:1\r\n"
                    + "+waiter-count\r\n:40\r\n+holders\r\n*0\r\n+waiters\r\n*0\r\n"
            )
        )
        #expect(lock.holderCount == 1 && lock.waiterCount == 40 && lock.value == Array("hi".utf8))
        let session = try Reply.sessionInfo(value("%3\r\n+id\r\n+s\r\n+held-count\r\n:20\r\n+held\r\n*1\r\n+a\r\n"))
        #expect(session.heldCount == 20 && session.held == ["a"])
    }
}
