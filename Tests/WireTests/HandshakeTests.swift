// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import Wire

@Suite struct HandshakeTests {
    private func frame(_ encode: (inout ByteWriter) throws(WireError) -> Void) throws -> (FrameHeader, [UInt8]) {
        var writer = ByteWriter()
        try encode(&writer)
        let header = try #require(try PeerFrame.header(writer.bytes, maxFrameBytes: Handshake.maxFrameBytes))
        return (header, Array(writer.bytes[FrameHeader.byteCount...]))
    }

    private let policy: HandshakePolicy = {
        var own = Samples.hello
        own.nodeName = "node-1"
        own.node = NodeID(name: "node-1")
        return HandshakePolicy(own: own, knownNodes: [NodeID(name: "node-0"), NodeID(name: "node-2")])
    }()

    private func helloFrame() throws -> (FrameHeader, [UInt8]) {
        try frame { writer throws(WireError) in try Handshake.encode(Samples.hello, into: &writer) }
    }

    @Test("a hello comes back as it was") func hello() throws {
        let (header, body) = try helloFrame()
        #expect(try Handshake.decodeHello(header, body: body) == Samples.hello)
        #expect(throws: WireError.unexpectedFrame(.hello)) { try PeerFrame.decode(header, body: body) }
        #expect(throws: WireError.unexpectedFrame(.hello)) { try Handshake.decodeReply(header, body: body) }
    }

    @Test(
        "every reply comes back as it was",
        arguments: [
            HelloReply.accepted(version: 1, Samples.hello), .refused(.wrongCluster(own: Array(1...16))),
            .refused(.wrongVersion(min: 2, max: 4)), .refused(.unknownNode(name: "x")), .refused(.sameNode(name: "x")),
            .refused(.shardCountDiffers(32)),
        ]
    )
    func reply(_ reply: HelloReply) throws {
        let (header, body) = try frame { writer throws(WireError) in try Handshake.encode(reply, into: &writer) }
        #expect(try Handshake.decodeReply(header, body: body) == reply)
    }

    @Test("a known node of the same cluster is let in, at the highest common version") func accepted() throws {
        var hello = Samples.hello
        hello.maxVersion = 9
        #expect(try policy.check(hello) == HandshakePolicy.maxVersion)
    }

    @Test("each kind of stranger is refused with its reason") func refused() {
        func expect(_ refusal: HandshakeRefusal, _ change: (inout Hello) -> Void) {
            var hello = Samples.hello
            change(&hello)
            #expect(throws: refusal) { try policy.check(hello) }
        }
        expect(.wrongCluster(own: Array(1...16))) { $0.clusterID[15] ^= 1 }
        expect(.wrongVersion(min: 1, max: 1)) { hello in
            hello.minVersion = 2
            hello.maxVersion = 3
        }
        expect(.sameNode(name: "node-1")) { $0.node = NodeID(name: "node-1") }
        expect(.unknownNode(name: "node-7")) { hello in
            hello.nodeName = "node-7"
            hello.node = NodeID(name: "node-7")
        }
        expect(.shardCountDiffers(16)) { $0.shardCount = 4 }
        expect(.agreementDiffers) { $0.agreement = 6 }
    }

    @Test("a node that was met with newer data is refused, and so is another copy of the same data")
    func stale() throws {
        var policy = policy
        let hello = Samples.hello
        var news = policy.meet(hello)
        #expect(news)
        news = policy.meet(hello)
        #expect(!news)
        #expect(try policy.check(hello) == 1, "the same process again")
        var older = hello
        older.incarnation -= 1
        #expect(throws: HandshakeRefusal.staleData(lastMet: 3)) { try policy.check(older) }
        var copy = hello
        copy.life += 1
        #expect(throws: HandshakeRefusal.staleData(lastMet: 3)) { try policy.check(copy) }
        copy.incarnation += 1
        #expect(try policy.check(copy) == 1)
        news = policy.meet(copy)
        #expect(news)
        #expect(throws: HandshakeRefusal.staleData(lastMet: 4)) { try policy.check(hello) }
    }

    @Test("members in any order are the same; another member, number of copies or quota is not")
    func agreement() {
        let three = Agreement(names: ["a", "b", "c"], copies: 3)
        #expect(Agreement(names: ["c", "a", "b"], copies: 3) == three)
        #expect(Agreement(names: ["a", "b", "c"], copies: 1).hash != three.hash)
        #expect(Agreement(names: ["a", "b", "c"], copies: 3, quotas: [7]).hash != three.hash)
        #expect(Agreement(names: ["a", "bc"], copies: 3).hash != Agreement(names: ["ab", "c"], copies: 3).hash)
    }

    @Test("the dialling side notices that another node answered") func wrongNodeAnswers() throws {
        let reply = HelloReply.accepted(version: 1, Samples.hello)
        #expect(try policy.check(reply, from: NodeID(name: "node-0")).1 == Samples.hello)
        #expect(throws: HandshakeRefusal.unknownNode(name: "node-0")) {
            try policy.check(reply, from: NodeID(name: "node-2"))
        }
        #expect(throws: HandshakeRefusal.wrongCluster(own: [])) {
            try policy.check(.refused(.wrongCluster(own: [])), from: NodeID(name: "node-0"))
        }
    }

    @Test("mutated hellos fail or decode, and never trap; a name that is not the id's is refused") func fuzz() throws {
        var random = SeededRandom(seed: 5)
        let (header, body) = try helloFrame()
        for _ in 0..<5_000 {
            var bytes = body
            let length = random.chance(1, in: 3) ? Int(random.below(UInt64(body.count))) : body.count
            bytes.removeLast(body.count - length)
            for _ in 0...2 where !bytes.isEmpty {
                bytes[Int(random.below(UInt64(bytes.count)))] = UInt8(truncatingIfNeeded: random.next())
            }
            var changed = header
            changed.bodyBytes = bytes.count
            changed.checksum = Checksum.crc32c(bytes, seed: Checksum.crc32c([header.type.rawValue]))
            if let hello = try? Handshake.decodeHello(changed, body: bytes) {
                #expect(hello.node == NodeID(name: hello.nodeName))
            }
        }
    }
}
