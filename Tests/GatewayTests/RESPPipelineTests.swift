// SPDX-License-Identifier: Apache-2.0
import Gateway
import LockCore
import NIOCore
import NIOEmbedded
import Primitives
import RESP
import Replica
import Synchronization
import Testing

@Suite("A RESP connection keeps order and bounds")
struct RESPPipelineTests {
    private func released(_ left: UInt64) -> Response { .lock(.released(left: left)) }
    private func granted(_ token: UInt64) -> Response { .lock(.granted(tokens: [token], holds: 1)) }

    @Test("commands of one namespace are in flight together; answers leave in the order of the commands")
    func pipeline() throws {
        let talk = try Conversation()
        #expect(
            try talk.send("LOCK.RELEASE a SESSION s\r\nLOCK.RELEASE b SESSION s\r\nLOCK.RELEASE c SESSION s\r\n") == ""
        )
        #expect(talk.port.submitted.count == 3)
        talk.port.complete(2, released(2))
        talk.port.complete(1, released(1))
        #expect(try talk.received() == "")
        talk.port.complete(0, released(0))
        #expect(try talk.received() == ":0\r\n:1\r\n:2\r\n")
    }

    @Test("after a command that may wait, nothing starts before it is answered")
    func blocked() throws {
        let talk = try Conversation()
        try talk.send(
            "LOCK.RELEASE x SESSION s\r\nLOCK.ACQUIRE a SESSION s WAIT FOREVER\r\nPING\r\nLOCK.RELEASE a SESSION s\r\n"
        )
        #expect(talk.port.submitted.count == 2)
        talk.port.complete(0, released(0))
        #expect(try talk.received() == ":0\r\n")
        #expect(talk.port.submitted.count == 2)
        talk.port.complete(1, granted(7))
        #expect(try talk.received() == ":7\r\n+PONG\r\n")
        #expect(talk.port.submitted.count == 3)
        talk.port.complete(2, released(0))
        #expect(try talk.received() == ":0\r\n")
    }

    @Test("another namespace, or a read after a change, waits its turn")
    func lanes() throws {
        let talk = try Conversation()
        try talk.send("LOCK.RELEASE a SESSION s\r\nLOCK.RELEASE a SESSION n/s\r\nLOCK.INFO a NAMESPACE n\r\n")
        #expect(talk.port.submitted.count == 1)
        talk.port.complete(0, released(0))
        #expect(talk.port.submitted.count == 2)
        talk.port.complete(1, released(0))
        #expect(talk.port.submitted.count == 3)
        talk.port.complete(2, .lock(.object(nil)))
        #expect(try talk.received() == ":0\r\n:0\r\n$-1\r\n")
    }

    @Test("answers given at once, in the middle of a read, keep their order and leave in one write")
    func immediate() throws {
        let talk = try Conversation { _ in .lock(.released(left: 0)) }
        try talk.channel.writeInbound(
            ByteBuffer(string: String(repeating: "PING\r\nLOCK.RELEASE a SESSION s\r\n", count: 3_000))
        )
        var writes = 0
        var text = ""
        while let part = try talk.channel.readOutbound(as: ByteBuffer.self) {
            writes += 1
            text += String(buffer: part)
        }
        #expect(text == String(repeating: "+PONG\r\n:0\r\n", count: 3_000))
        #expect(writes == 1)
    }

    @Test("a command cut at every byte is the same command")
    func fragments() throws {
        let bytes = Array(
            "*6\r\n$12\r\nlock.acquire\r\n$3\r\na b\r\n$7\r\nsession\r\n$1\r\ns\r\n$4\r\nwait\r\n$2\r\n50\r\n".utf8
        )
        let expected = Request.command(
            .acquire(
                Acquire(
                    session: SessionID("s"),
                    items: [AcquireItem(name: "a b", mode: .exclusive)],
                    wait: .milliseconds(50)
                )
            )
        )
        for cut in 1..<bytes.count {
            let talk = try Conversation()
            try talk.channel.writeInbound(ByteBuffer(bytes: bytes[..<cut]))
            #expect(talk.port.submitted.isEmpty)
            try talk.channel.writeInbound(ByteBuffer(bytes: bytes[cut...]))
            #expect(talk.port.requests == [expected])
        }
    }

    @Test("reading stops at the pipelining depth and goes on when answers make room")
    func depth() throws {
        let talk = try Conversation(RESPServerConfiguration(pipelineDepth: 4))
        try talk.send(String(repeating: "LOCK.RELEASE a SESSION s\r\n", count: 10))
        #expect(talk.port.submitted.count == 4)
        talk.port.complete(0, released(0))
        #expect(talk.port.submitted.count == 5)
        for index in 1..<10 { talk.port.complete(index, released(0)) }
        #expect(try talk.received() == String(repeating: ":0\r\n", count: 10))
    }

    @Test("when the client goes away its waits are cancelled and its watches end")
    func disconnect() throws {
        let talk = try Conversation()
        try talk.command("HELLO", "3")
        try talk.command("LOCK.WATCH", "a")
        try talk.send("LOCK.ACQUIRE a SESSION s WAIT FOREVER\r\n")
        #expect(talk.port.watching.count == 1)
        try talk.channel.close().wait()
        talk.channel.embeddedEventLoop.run()
        #expect(talk.port.cancelled == [RequestHandle(0)])
        #expect(talk.port.watching.isEmpty)
        #expect(talk.observer.counts.withLock { $0.closed } == 1)
    }

    @Test(
        "a protocol violation cancels what waits, is answered after it, and ends the connection"
    )
    func violation() throws {
        let talk = try Conversation()
        let answer = try talk.send("LOCK.ACQUIRE a SESSION s WAIT FOREVER\r\n*1\r\n$99999999\r\n")
        #expect(talk.port.cancelled == [RequestHandle(0)])
        #expect(answer.hasPrefix("-CANCELLED the wait was cancelled"))
        #expect(answer.contains("-ERR Protocol error: invalid bulk length (limit 9437184 bytes)\r\n"))
        #expect(!talk.isOpen)
    }

    @Test("HTTP on the RESP port gets one clear line")
    func http() throws {
        for request in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST /v1/locks HTTP/1.1\r\n\r\n{}"] {
            let talk = try Conversation()
            #expect(try talk.send(request).hasPrefix("-ERR this is the RESP port and it does not speak HTTP"))
            #expect(!talk.isOpen)
        }
    }

    @Test("idle connections and half-sent commands are ended; waiting ones are not")
    func timeouts() throws {
        let idle = try Conversation()
        idle.advance(seconds: 290)
        #expect(idle.isOpen)
        idle.advance(seconds: 20)
        #expect(!idle.isOpen)

        let waiting = try Conversation()
        try waiting.send("LOCK.ACQUIRE a SESSION s WAIT FOREVER\r\n")
        waiting.advance(seconds: 3_600)
        #expect(waiting.isOpen)

        let half = try Conversation()
        try half.send("*1\r\n$4\r\nPI")
        half.advance(seconds: 20)
        try half.send("N")
        half.advance(seconds: 20)
        #expect(try half.received() == "-ERR Protocol error: the command did not arrive whole in time\r\n")
        #expect(!half.isOpen)
    }

    @Test("a connection that is never without half a command is not ended while whole ones keep coming")
    func steadyPipeline() throws {
        let talk = try Conversation()
        try talk.send("PI")
        for _ in 0..<10 {
            talk.advance(seconds: 20)
            #expect(try talk.send("NG\r\nPI") == "+PONG\r\n")
        }
        talk.advance(seconds: 40)
        #expect(!talk.isOpen)
    }

    @Test("a client that takes no output is cut off")
    func writeTimeout() throws {
        let talk = try Conversation()
        talk.channel.isWritable = false
        talk.channel.pipeline.fireChannelWritabilityChanged()
        talk.advance(seconds: 29)
        #expect(talk.isOpen)
        talk.advance(seconds: 10)
        #expect(!talk.isOpen)
    }

    @Test("pushed events that nobody reads end the connection at the bound")
    func slowReader() throws {
        let talk = try Conversation(RESPServerConfiguration(outboundBytes: 10_000))
        try talk.command("HELLO", "3")
        try talk.command("LOCK.WATCH", "a")
        talk.channel.isWritable = false
        var told = 0
        while talk.isOpen, told < 1_000 {
            talk.port.tell(.released(namespace: "default", name: "a", session: SessionID("s")))
            told += 1
        }
        #expect(!talk.isOpen)
        #expect(told > 50 && told < 300)
    }
}
