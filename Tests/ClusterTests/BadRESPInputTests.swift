// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing
import Wire

extension RealProcesses {
    @Suite("Bad input on the Redis port", .serialized)
    struct BadRESPInput {
        private struct Case {
            let words: [String]
            let code: String

            init(_ code: String, _ words: String...) {
                self.words = words
                self.code = code
            }
        }

        private static func cases(session: String) -> [Case] {
            let long = String(repeating: "n", count: 513)
            return [
                Case("ERR", "NO.SUCH.COMMAND"),
                Case("ERR", "LOCK.ACQUIRE"),
                Case("ERR", "LOCK.ACQUIRE", "a"),
                Case("ERR", "LOCK.ACQUIRE", "a", "SESSION"),
                Case("ERR", "LOCK.ACQUIRE", "a", "SESSION", session, "COLOUR", "red"),
                Case("ERR", "LOCK.ACQUIRE", "a", "SESSION", session, "MODE", "SIDEWAYS"),
                Case("ERR", "LOCK.ACQUIRE", "a", "SESSION", session, "WAIT", "-1"),
                Case("ERR", "LOCK.ACQUIRE", "a", "SESSION", session, "WAIT", "soon"),
                Case("ERR", "LOCK.ACQUIRE", "a", "SESSION", session, "WAIT", "99999999999999999999999"),
                Case("ERR", "LOCK.ACQUIRE", "a", "SESSION", session, "PRIORITY", "9223372036854775808"),
                Case("ERR", "LOCK.ACQUIRE", long, "SESSION", session),
                Case("ERR", "LOCK.ACQUIRE", "", "SESSION", session),
                Case("NOSESSION", "LOCK.ACQUIRE", "a", "SESSION", "never-opened"),
                Case("NOSESSION", "LOCK.RELEASE", "a", "SESSION", "never-opened"),
                Case("NOTHELD", "LOCK.RELEASE", "a", "SESSION", session),
                Case("NOTHELD", "LOCK.CONVERT", "a", "SESSION", session, "MODE", "SHARED"),
                Case("ERR", "LOCK.ACQUIREALL", "SESSION", session, "a"),
                Case("ERR", "LOCK.CHECK", "a", "TOKEN", "minus"),
                Case("ERR", "LOCK.BREAK", "a"),
                Case("ERR", "SESSION.OPEN", "TTL", "0"),
                Case("ERR", "SESSION.OPEN", "TTL", "999"),
                Case("ERR", "SESSION.OPEN", "TTL", "3600001"),
                Case("ERR", "SESSION.OPEN", "TTL", "-5"),
                Case("ERR", "SESSION.OPEN", "TTL"),
                Case("ERR", "SESSION.OPEN", "ID", long),
                Case("NOSESSION", "SESSION.RENEW", "never-opened"),
                Case("NOSESSION", "SESSION.CLOSE", "never-opened"),
                Case("ERR", "SEMAPHORE.ACQUIRE", "s", "SESSION", session),
                Case("ERR", "SEMAPHORE.ACQUIRE", "s", "SESSION", session, "LIMIT", "0"),
                Case("ERR", "SEMAPHORE.ACQUIRE", "s", "SESSION", session, "LIMIT", "2", "PERMITS", "3"),
                Case("ERR", "SEMAPHORE.ACQUIRE", "s", "SESSION", session, "LIMIT", "18446744073709551616"),
                Case("ERR", "ELECTION.CAMPAIGN", "e", "SESSION", session),
                Case("ERR", "HELLO", "9"),
            ]
        }

        @Test("each gets its typed error, changes nothing, and leaves the connection usable")
        func commands() throws {
            try withCluster(nodes: 1) { cluster in
                let client = try LockClient(cluster.nodes[0])
                let session = try client.openSession()
                let before = try cluster.nodes[0].shards().map(\.objects).reduce(0, +)
                var wrong: [String] = []
                for item in Self.cases(session: session) {
                    let reply = try client.connection.command(item.words)
                    let matches = reply.errorCode == item.code || (item.code == "ERR" && reply.errorCode == "NOPROTO")
                    if !matches { wrong.append("\(item.words.map { $0.prefix(24) }): \(reply), expected \(item.code)") }
                    if try client.connection.command("PING") != .simple("PONG") { wrong.append("no PONG after that") }
                }
                #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
                #expect(try cluster.nodes[0].shards().map(\.objects).reduce(0, +) == before)
            }
        }

        @Test("names that are not UTF-8 are refused")
        func invalidUTF8() throws {
            try withCluster(nodes: 1) { cluster in
                let client = try LockClient(cluster.nodes[0])
                let session = try client.openSession()
                var bytes = Array("*4\r\n$12\r\nLOCK.ACQUIRE\r\n$2\r\n".utf8) + [0xff, 0xfe, 13, 10]
                bytes += Array("$7\r\nSESSION\r\n$\(session.utf8.count)\r\n\(session)\r\n".utf8)
                try client.connection.socket.send(bytes)
                #expect(try client.connection.reply().errorCode == "ERR")
                #expect(try client.connection.command("PING") == .simple("PONG"))
            }
        }

        @Test("bytes that are no Redis protocol: an error where it can be said, and the connection is closed")
        func frames() throws {
            let frames: [(String, [UInt8])] = [
                ("a count that is no number", Array("*x\r\n".utf8)),
                ("more arguments than any command has", Array("*2000000000\r\n".utf8)),
                ("an argument larger than the limit", Array("*2\r\n$4\r\nECHO\r\n$2147483647\r\n".utf8)),
                ("a negative length", Array("*1\r\n$-5\r\nPING\r\n".utf8)),
                ("an overflowing length", Array("*1\r\n$99999999999999999999\r\n".utf8)),
                ("a wrong type inside", Array("*1\r\n:5\r\n".utf8)),
                ("a bulk string without its end", Array("*1\r\n$4\r\nPINGXX*1\r\n".utf8)),
                ("a line without end", Array(repeating: UInt8(ascii: "a"), count: 1 << 20)),
                ("HTTP", Array("POST /v1/sessions HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n{}".utf8)),
                ("HTTP GET", Array("GET / HTTP/1.1\r\nHost: here\r\n\r\n".utf8)),
                (
                    "a TLS greeting",
                    [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3] + Array(repeating: 7, count: 300) + [13, 10]
                ),
            ]
            try withCluster(nodes: 1) { cluster in
                let node = cluster.nodes[0]
                var wrong: [String] = []
                for (what, bytes) in frames {
                    let socket = try TCPSocket(host: node.host, port: node.clientPort)
                    // The node may close before it has read all.
                    try? socket.send(bytes, within: .seconds(5))
                    guard let answer = try? socket.receiveToEnd(within: .seconds(5)) else {
                        wrong.append("\(what): left open")
                        continue
                    }
                    let text = String(decoding: answer, as: UTF8.self)
                    if !text.isEmpty, !text.contains("-") { wrong.append("\(what): \(text.prefix(80))") }
                }
                #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
                #expect(try node.connect().command("PING") == .simple("PONG"))
            }
        }

        @Test("garbage on the peer port closes that connection and nothing else")
        func peerGarbage() throws {
            try withCluster { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 3)
                let node = cluster.nodes[1]
                var random = SystemRandomNumberGenerator()
                let frames: [[UInt8]] = [
                    Array("GET / HTTP/1.1\r\nHost: here\r\n\r\n".utf8),
                    RESPConnection.encode(["PING"]),
                    [UInt8](repeating: 0xff, count: 4_096),
                    [UInt8](repeating: 0, count: 4_096),
                    (0..<65_536).map { _ in UInt8.random(in: 0...255, using: &random) },
                ]
                for bytes in frames {
                    let socket = try TCPSocket(host: node.host, port: node.peerPort)
                    try? socket.send(bytes)
                    #expect(socket.isClosedByPeer(within: .seconds(10)), "left open after \(bytes.prefix(8))…")
                }
                #expect(node.isReady)
                try held.verify(on: cluster.nodes)
                try cluster.waitUntilEqual()
            }
        }

        @Test("a peer that speaks no version of ours is told which there are, and kept out")
        func strangeVersion() throws {
            let id = "000000000000000000000000000000aa"
            try withCluster(settings: ["--cluster-id", id]) { cluster in
                let (node, other) = (cluster.nodes[0], cluster.nodes[1])
                let hello = Hello(
                    minVersion: HandshakePolicy.maxVersion + 1,
                    maxVersion: HandshakePolicy.maxVersion + 7,
                    clusterID: [UInt8](repeating: 0, count: 15) + [0xaa],
                    nodeName: other.name,
                    incarnation: 1_000,
                    life: 1,
                    agreement: 1,
                    clientAddress: "127.0.0.1:1",
                    httpAddress: "127.0.0.1:2",
                    shardCount: 16
                )
                var frame = ByteWriter()
                try Handshake.encode(hello, into: &frame)
                let socket = try TCPSocket(host: node.host, port: node.peerPort)
                try socket.send(frame.bytes)
                let answer = try socket.receiveToEnd(within: .seconds(10))
                let header = try #require(try PeerFrame.header(answer))
                let body = answer.dropFirst(FrameHeader.byteCount).prefix(header.bodyBytes)
                let reply = try Handshake.decodeReply(header, body: Array(body))
                let own = (min: HandshakePolicy.minVersion, max: HandshakePolicy.maxVersion)
                #expect(reply == .refused(.wrongVersion(min: own.min, max: own.max)))
                try eventually("the node says so") { node.log.contains("no common protocol version") }
                for member in cluster.nodes { #expect(member.isReady) }
            }
        }

        @Test("a peer of another cluster is kept out, and both sides say so")
        func strangeCluster() throws {
            try withCluster(settings: ["--cluster-id", "000000000000000000000000000000aa"]) { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 3)
                let intruder = cluster.nodes[2]
                try intruder.kill()
                intruder.settings = ["--cluster-id", "000000000000000000000000000000bb"]
                intruder.dataDirectory += "-other"
                try cluster.start(intruder)
                let insiders = cluster.others(than: intruder)
                try eventually("a node speaks of the other cluster") {
                    cluster.nodes.contains { $0.log.contains("bb") && $0.log.lowercased().contains("cluster") }
                }
                try throughout("the intruder is not let in", .seconds(1)) { !intruder.isReady }
                try held.verify(on: insiders)
                for node in insiders { #expect(node.isReady) }
            }
        }
    }
}
