// SPDX-License-Identifier: Apache-2.0
import Testing

extension RealProcesses {
    @Suite("Slow and greedy clients are bounded", .serialized)
    struct Limits {
        @Test("the connection cap: one more is refused with a reason, and a place that is left can be taken")
        func connectionCap() throws {
            try withCluster(nodes: 1, settings: ["--max-clients", "8"]) { cluster in
                let node = cluster.nodes[0]
                var open = try (0..<8).map { _ in try node.connect() }
                for connection in open { #expect(try connection.command("PING") == .simple("PONG")) }
                let extra = try node.connect()
                let refusal = try? extra.command("PING", within: .seconds(5))
                #expect(refusal == nil || refusal?.errorText?.contains("max") == true, "\(String(describing: refusal))")
                #expect(extra.socket.isClosedByPeer(within: .seconds(5)))
                for connection in open { #expect(try connection.command("PING") == .simple("PONG")) }
                open.removeLast().socket.close()
                let next = try eventually("the place is free again") {
                    let connection = try node.connect()
                    return try connection.command("PING", within: .seconds(2)) == .simple("PONG") ? connection : nil
                }
                #expect(try next.command("ECHO", "hello") == .bulk("hello"))
            }
        }

        @Test("a client that sends and never reads is stopped; others do not notice, and memory stays bounded")
        func neverReads() throws {
            try withCluster(nodes: 1) { cluster in
                let node = cluster.nodes[0]
                let greedy = try TCPSocket(host: node.host, port: node.clientPort)
                let echo = RESPConnection.encode(["ECHO", String(repeating: "e", count: 60_000)])
                var sent = 0
                // Ends when the node takes no more, or closes.
                while sent < 400 << 20, (try? greedy.send(echo, within: .seconds(1))) != nil { sent += echo.count }
                #expect(
                    sent < 200 << 20,
                    "the node took \(sent >> 20) MiB of requests that nobody reads the answers of"
                )
                #expect(try node.residentMebibytes() < 256)
                let clock = ContinuousClock()
                let polite = try node.connect()
                let taken = try clock.measure { _ = try polite.command("PING") }
                #expect(taken < .seconds(1))
            }
        }

        @Test("a connection that says nothing for the idle time is closed; one that waits for a lock is not")
        func idle() throws {
            try withCluster(nodes: 1, settings: ["--idle-timeout-ms", "700"]) { cluster in
                let node = cluster.nodes[0]
                let held = try HeldLocks(node, count: 1)
                let name = try #require(held.tokens.first?.name)
                let waiter = try LockClient(node)
                let session = try waiter.openSession()
                try waiter.connection.send(["LOCK.ACQUIRE", name, "SESSION", session, "WAIT", "FOREVER"])
                let silent = try TCPSocket(host: node.host, port: node.clientPort)
                let half = try TCPSocket(host: node.host, port: node.clientPort)
                try half.send(Array("*2\r\n$4\r\nEC".utf8))
                #expect(silent.isClosedByPeer(within: .seconds(5)))
                #expect(half.isClosedByPeer(within: .seconds(5)))
                try LockClient(node).release(name, session: held.session)
                #expect(try waiter.connection.reply().integer != nil)
            }
        }

        @Test("a client that sends its command byte by byte is served")
        func byteByByte() throws {
            try withCluster(nodes: 1) { cluster in
                let connection = try cluster.nodes[0].connect()
                for byte in RESPConnection.encode(["ECHO", "drop by drop"]) { try connection.socket.send([byte]) }
                #expect(try connection.reply() == .bulk("drop by drop"))
            }
        }

        @Test("ten thousand commands in one pipeline are all answered, in order")
        func deepPipeline() throws {
            try withCluster(nodes: 1) { cluster in
                let connection = try cluster.nodes[0].connect()
                let count = 10_000
                for start in stride(from: 0, to: count, by: 500) {
                    let bytes = (start..<start + 500).flatMap { RESPConnection.encode(["ECHO", "\($0)"]) }
                    try connection.socket.send(bytes)
                }
                for number in 0..<count { #expect(try connection.reply() == .bulk("\(number)")) }
            }
        }
    }
}
