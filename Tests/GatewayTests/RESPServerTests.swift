// SPDX-License-Identifier: Apache-2.0
import LockCore
import Logging
import NIOCore
import NIOEmbedded
import NIOPosix
import Primitives
import Replica
import Testing

@testable import Gateway

@Suite("The RESP server on real sockets")
struct RESPServerTests {
    private func withServer(
        _ configuration: RESPServerConfiguration = RESPServerConfiguration(port: 0),
        ports: LoopPorts,
        _ body: (RESPServer, Int) async throws -> Void
    ) async throws {
        let server = RESPServer(
            configuration: configuration,
            identity: ServerIdentity(nodeName: "node-0", version: "0.1.0"),
            group: ports.loop,
            administration: FakeAdministration(),
            observer: SilentObserver(),
            logger: Logger(label: "test"),
            port: ports.provider
        )
        let port = try #require(try await server.start()?.port)
        do {
            try await body(server, port)
        } catch {
            await server.stop(grace: .milliseconds(100))
            throw error
        }
        await server.stop(grace: .milliseconds(100))
        #expect(server.clientCount == 0)
    }

    @Test("INFO tells what tools look for; CLUSTER INFO too")
    func info() async throws {
        try await withServer(ports: LoopPorts()) { _, port in
            let client = try await RawConnection(port: port)
            try await client.send("PING\r\nINFO\r\nPING\r\nCLUSTER INFO\r\nINFO clients\r\n")
            let text = try await client.until { $0.contains("watching_clients:0") && $0.contains("# Clients\r\nconn") }
            for fact in ["redis_version:7.4.0", "redis_mode:standalone", "syncline_version:0.1.0", "cluster_enabled:0"]
            {
                #expect(text.contains(fact + "\r\n"))
            }
        }
    }

    @Test("one client more than the cap is told so and closed")
    func cap() async throws {
        try await withServer(RESPServerConfiguration(port: 0, maximumClients: 2), ports: LoopPorts()) { server, port in
            let first = try await RawConnection(port: port)
            let second = try await RawConnection(port: port)
            try await eventually { server.clientCount == 2 }
            let third = try await RawConnection(port: port)
            #expect(try await third.untilClosed() == "-ERR max number of clients reached\r\n")
            await second.close()
            try await eventually { server.clientCount == 1 }
            try await first.send("PING\r\n")
            try await first.until { $0 == "+PONG\r\n" }
        }
    }

    @Test("a client that asks but does not read is cut off, and the server's memory stays bounded")
    func slowReader() async throws {
        let configuration = RESPServerConfiguration(
            port: 0,
            outboundBytes: 100_000,
            writeTimeout: .milliseconds(200)
        )
        try await withServer(configuration, ports: LoopPorts()) { server, port in
            let client = try await RawConnection(port: port, autoRead: false)
            let command = "ECHO " + String(repeating: "x", count: 30_000) + "\r\n"
            client.channel.write(ByteBuffer(string: String(repeating: command, count: 600)), promise: nil)
            client.channel.flush()
            try await eventually { server.clientCount == 1 }
            try await eventually { server.clientCount == 0 }
        }
    }

    @Test("CLIENT LIST, UNBLOCK and KILL reach other connections")
    func clients() async throws {
        let ports = try await LoopPorts()
        try await withServer(ports: ports) { server, port in
            let waiter = try await RawConnection(port: port)
            try await waiter.send("CLIENT SETNAME waiter\r\nLOCK.ACQUIRE a SESSION s WAIT FOREVER\r\n")
            try await ports.until { $0.submitted.count == 1 }
            let other = try await RawConnection(port: port)
            try await other.send("CLIENT LIST\r\n")
            try await other.until { $0.contains("id=1 ") && $0.contains("name=waiter") && $0.contains("flags=b ") }
            try await other.send("CLIENT UNBLOCK 1\r\n")
            try await waiter.until { $0 == "+OK\r\n$-1\r\n" }
            try await waiter.send("LOCK.ACQUIRE a SESSION s WAIT FOREVER\r\n")
            try await ports.until { $0.submitted.count == 2 }
            try await other.send("CLIENT KILL ID 1\r\n")
            try await waiter.untilClosed()
            try await ports.until { $0.cancelled.count == 2 }
            try await eventually { server.clientCount == 1 }
        }
    }

    @Test("CLIENT UNBLOCK reaches a wait that began after another command was answered, and only that wait")
    func unblockQueued() async throws {
        let ports = try await LoopPorts()
        try await withServer(ports: ports) { _, port in
            let waiter = try await RawConnection(port: port)
            try await waiter.send("LOCK.RELEASE x SESSION n/s\r\nLOCK.ACQUIRE a SESSION s WAIT FOREVER\r\n")
            try await ports.until { $0.submitted.count == 1 }
            let other = try await RawConnection(port: port)
            try await other.send("CLIENT UNBLOCK 1\r\n")
            try await other.until { $0 == ":0\r\n" }
            try await ports.with { $0.complete(0, .lock(.released(left: 0))) }
            try await ports.until { $0.submitted.count == 2 }
            try await other.send("CLIENT UNBLOCK 1\r\n")
            try await other.until { $0 == ":0\r\n:1\r\n" }
            try await waiter.until { $0 == ":0\r\n$-1\r\n" }
            try await other.send("CLIENT UNBLOCK 1\r\n")
            try await other.until { $0 == ":0\r\n:1\r\n:0\r\n" }
        }
    }

    @Test("an UNBLOCK that comes too late does not make a timeout of the next wait's end")
    func lateUnblock() throws {
        let talk = try Conversation()
        talk.channel.pipeline.fireUserInboundEventTriggered(ConnectionEvent.unblock(withError: false))
        try talk.send("LOCK.ACQUIRE a SESSION s WAIT FOREVER\r\n")
        talk.port.complete(0, .lock(.refused(.cancelled)))
        #expect(try talk.received().hasPrefix("-CANCELLED"))
    }

    @Test("stopping answers what is in flight and cancels what waits")
    func stop() async throws {
        let ports = try await LoopPorts()
        try await withServer(ports: ports) { server, port in
            let waiter = try await RawConnection(port: port)
            try await waiter.send("LOCK.ACQUIRE a SESSION s WAIT FOREVER\r\n")
            try await ports.until { $0.submitted.count == 1 }
            await server.stop()
            #expect(try await waiter.untilClosed().hasPrefix("-CANCELLED"))
        }
    }
}
