// SPDX-License-Identifier: Apache-2.0
import LockCore
import NIOCore
import Primitives
import Replica
import Synchronization
import Testing

@testable import Gateway

/// Clients that do not read, and clients that stay.
extension HTTPTests {
    @Test("a client that does not read its answer is cut off")
    func unreadAnswer() async throws {
        let observer = CountingObserver()
        let configuration = HTTPConfiguration(port: 0, writeTimeout: .milliseconds(100))
        let large = String(repeating: "x", count: 16 << 20)
        try await withServer(configuration, ports: LoopPorts(), observer: observer, metrics: { large }) { port in
            let connection = try await RawConnection(port: port, autoRead: false)
            try await connection.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            try await eventually { observer.counts.withLock { $0.closed == 1 } }
            await connection.close()
        }
    }

    @Test("an event stream that is not read is disconnected when too much waits for it")
    func unreadEvents() async throws {
        let ports = try await LoopPorts()
        let closed = ports.loop.makePromise(of: Void.self)
        let long = LongRequests(limit: 1)
        let stream = EventStream(
            services: HTTPServices(
                configuration: HTTPConfiguration(),
                identity: ServerIdentity(nodeName: "node-0", version: "0.1.0"),
                requests: AsyncRequests(loops: [ports.loop], port: ports.provider),
                administration: FakeAdministration(),
                observer: SilentObserver(),
                metrics: { "" },
                longRequests: long,
                largeBodies: LargeBodies(limit: 0)
            ),
            namespace: "default",
            names: [],
            place: try long.take(),
            signal: nil,
            disconnect: { closed.fail(ChannelError.ioOnClosedChannel) },
            bound: 8
        )
        // A client that takes the first bytes and then nothing until its connection is closed.
        let writing = Task {
            var isFirst = true
            try await stream.run { _ in
                if !isFirst { try await closed.futureResult.get() }
                isFirst = false
            }
        }
        try await ports.until { $0.watching.count == 1 }
        // Far fewer than may wait for the stream itself: it is what waits for the client that overflows.
        try await ports.with { port in
            for _ in 0..<100 { port.tell(.released(namespace: "default", name: "a", session: SessionID("s"))) }
        }
        let limit = ports.loop.scheduleTask(in: .seconds(20)) { closed.fail(ChannelError.eof) }
        await #expect(throws: ChannelError.ioOnClosedChannel) { try await writing.value }
        limit.cancel()
        try await ports.until { $0.watching.isEmpty }
    }

    @Test("waits and event streams leave half of the connections to others")
    func longRequests() async throws {
        let ports = try await LoopPorts()
        try await withServer(HTTPConfiguration(port: 0, maximumConnections: 4), ports: ports) { port in
            let body = #"{"session": "s", "wait_ms": "forever"}"#
            let waiting = try await RawConnection(port: port)
            try await waiting.send(
                "POST /v1/locks/a/acquire HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            )
            let stream = try await RawConnection(port: port)
            try await stream.send("GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
            try await ports.until { $0.submitted.count == 1 && $0.watching.count == 1 }

            let busy = [
                try await exchange(port, "POST", "/v1/locks/a/acquire", body),
                try await exchange(port, "GET", "/v1/events"),
            ]
            for reply in busy {
                #expect(reply.status == 503 && reply.json?["code"]?.string == "busy", "\(reply)")
                #expect(reply.json?["outcome"]?.string == "not_done")
                #expect(reply.head.lowercased().contains("\r\nretry-after: 1"))
            }
            #expect(try await exchange(port, "GET", "/livez").status == 200)
            await stream.close()
            await waiting.close()
        }
    }

    @Test("a place is free again when its request is over")
    func places() throws {
        let requests = LongRequests(limit: 2)
        var held = [try requests.take(), try requests.take()]
        #expect(throws: Problem.self) { try requests.take() }
        held.removeLast()
        held.append(try requests.take())
        #expect(throws: Problem.self) { try requests.take() }
    }
}
