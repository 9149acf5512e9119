// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Gateway
import LockCore
import NIOCore
import NIOEmbedded
import Primitives
import RESP
import Replica
import Synchronization
import Testing

@Suite("A connection's commands of the cache keep their order")
struct CacheOrderTests {
    private func holding(_ configuration: RESPServerConfiguration = RESPServerConfiguration()) throws -> CacheTalk {
        let talk = try CacheTalk(CacheWorld(configuration))
        talk.cache.holds = true
        return talk
    }

    @Test("writes of any keys are in flight together; answers leave in the order of the commands")
    func writesTogether() throws {
        let talk = try holding()
        #expect(try talk.say("SET a 1|SET b 2|SET a 3|INCR c|DEL a") == "")
        #expect(talk.cache.calls == ["write a", "write b", "write a", "write c", "write a"])
        talk.cache.complete(4)
        talk.cache.complete(3)
        talk.cache.complete(1)
        #expect(try talk.heard() == "")
        talk.cache.complete(0)
        #expect(try talk.heard() == "+OK/+OK/")
        talk.cache.complete(0)
        #expect(try talk.heard() == "+OK/:1/:1/")
    }

    @Test("a read of a key waits for this connection's writes of it, and what follows waits behind it")
    func readAfterWrite() throws {
        let talk = try holding()
        try talk.say("SET a 1|GET b|GET a|SET c 1")
        #expect(talk.cache.calls == ["write a", "read b"])
        talk.cache.complete(1)
        #expect(talk.cache.calls.count == 2)
        talk.cache.complete(0)
        #expect(talk.cache.calls == ["write a", "read b", "read a", "write c"])
        talk.cache.completeAll()
        #expect(try talk.heard() == "+OK/$-1/$1/1/+OK/")
    }

    @Test("a write of a key waits for this connection's reads of it")
    func writeAfterRead() throws {
        let talk = try holding()
        try talk.say("GET a|STRLEN b|SET a 1")
        #expect(talk.cache.calls == ["read a", "read b"])
        talk.cache.complete(0)
        #expect(talk.cache.calls == ["read a", "read b", "write a"])
        talk.cache.completeAll()
        #expect(try talk.heard() == "$-1/:0/+OK/")
    }

    @Test("commands of several keys wait for each of their keys")
    func severalKeys() throws {
        let talk = try holding()
        try talk.say("SET b 1|MGET a b|MSET a 1 c 2|EXISTS c")
        #expect(talk.cache.calls == ["write b"])
        talk.cache.complete()
        #expect(talk.cache.calls.dropFirst() == ["read a", "read b"])
        talk.cache.complete()
        #expect(talk.cache.calls.count == 3)
        talk.cache.complete()
        #expect(talk.cache.calls.dropFirst(3) == ["write a", "write c"])
        talk.cache.complete()
        talk.cache.complete()
        #expect(talk.cache.calls.last == "read c")
        talk.cache.complete()
        #expect(try talk.heard() == "+OK/*2/$-1/$1/1/+OK/:1/")
    }

    @Test("commands about all keys are alone in flight")
    func aboutAll() throws {
        let talk = try holding()
        try talk.say("SET a 1|DBSIZE|SET b 1|FLUSHALL|GET a")
        for expected in ["write a", "count", "write b", "removeAll", "read a"] {
            #expect(talk.cache.held.map(\.text) == [expected])
            talk.cache.complete()
        }
        #expect(try talk.heard() == "+OK/:1/+OK/+OK/$-1/")
    }

    @Test("commands of locks, of the connection and of the cache take turns")
    func families() throws {
        let talk = try holding()
        try talk.say("SET a 1|LOCK.RELEASE l SESSION s|GET b|PING|GET c")
        #expect(talk.cache.calls == ["write a"])
        #expect(talk.world.port.submitted.isEmpty)
        talk.cache.complete()
        #expect(talk.world.port.submitted.count == 1)
        #expect(talk.cache.calls.count == 1)
        talk.world.port.complete(0, .lock(.released(left: 0)))
        #expect(talk.cache.calls.last == "read b")
        #expect(try talk.heard() == "+OK/:0/")
        talk.cache.complete()
        #expect(try talk.heard() == "$-1/+PONG/")
        #expect(talk.cache.calls.last == "read c")
    }

    @Test("a hit is answered at once, unless something is ahead of it")
    func hits() throws {
        let talk = try CacheTalk()
        talk.cache.store(CacheKey("a"), Array("1".utf8))
        talk.cache.hasHits = true
        talk.cache.isOwner = true
        #expect(try talk.say("GET a|SET a 2|get a|GET none|set b 3|Get b") == "$1/1/+OK/$1/2/$-1/+OK/$1/3/")
        #expect(talk.cache.hits == 6)
        #expect(talk.cache.calls.isEmpty)
        talk.cache.holds = true
        #expect(try talk.say("GET a|INCR a|GET a|GET b") == "$1/2/")
        #expect(talk.cache.hits == 7)
        #expect(talk.cache.calls == ["write a"])
        talk.cache.completeAll()
        #expect(talk.cache.calls == ["write a", "read a", "read b"])
        #expect(try talk.heard() == ":3/$1/3/$1/3/")
        #expect(try talk.say("GET a") == "$1/3/")
        #expect(talk.cache.hits == 8)
        let finished = talk.world.observer.counts.withLock { $0.finished }
        #expect(finished.count { $0 == .cache } == 11)
    }

    @Test("a write that is no hit goes to the queue, and the hits behind it wait")
    func partHits() throws {
        let talk = try CacheTalk()
        talk.cache.hasHits = true
        talk.cache.holds = true
        #expect(try talk.say("GET a|SET a 1|GET a|GET b") == "$-1/")
        #expect(talk.cache.calls == ["write a"])
        talk.cache.completeAll()
        #expect(try talk.heard() == "+OK/$1/1/$-1/")
    }

    @Test("a write that names the mode volatile is a hit too; other modes and other options go to the queue")
    func namedMode() throws {
        let talk = try CacheTalk()
        talk.cache.isOwner = true
        #expect(try talk.say("SET a 1 DURABILITY volatile|SET a 2 durability VOLATILE") == "+OK/+OK/")
        #expect(talk.cache.hits == 2)
        #expect(talk.cache.calls.isEmpty)
        #expect(try talk.say("SET a 3 DURABILITY local|SET a 4 PX 1000|SET a 5 KEEPTTL") == "+OK/+OK/+OK/")
        #expect(talk.cache.hits == 2)
        #expect(talk.cache.calls.count == 3)
        #expect(try talk.say("SET a 6 DURABILITY volatil").hasPrefix("-ERR 'volatil' is no DURABILITY"))
        #expect(try talk.say("SET a 6 DURABILITY volatile|GET a") == "+OK/$1/6/")
    }

    @Test("hits in RESP3 say null as RESP3 does")
    func hitsInThree() throws {
        let talk = try CacheTalk(protocol: 3)
        talk.cache.hasHits = true
        #expect(try talk.say("GET a") == "_/")
    }

    @Test("a pipeline cut at every byte gives the same answers, hit or not")
    func fragments() throws {
        var writer = RESPWriter()
        for words in [["SET", "a", "1"], ["GET", "a"], ["SET", "key", "value"], ["INCR", "a"], ["GET", "key"]] {
            writer.command(words)
        }
        let bytes = Array(writer.buffer.readableBytesView)
        for isHit in [true, false] {
            for cut in 1..<bytes.count {
                let talk = try CacheTalk()
                talk.cache.hasHits = isHit
                talk.cache.isOwner = isHit
                try talk.channel.writeInbound(ByteBuffer(bytes: bytes[..<cut]))
                try talk.channel.writeInbound(ByteBuffer(bytes: bytes[cut...]))
                #expect(try talk.heard() == "+OK/$1/1/+OK/:2/$5/value/", "cut at \(cut)")
            }
        }
    }

    @Test("no more keys are in flight than the bound, and the rest follow")
    func bound() throws {
        let talk = try holding(RESPServerConfiguration(pipelineDepth: 4_096))
        let commands = (0..<1_500).map { "SET k\($0) 1" }.joined(separator: "|")
        try talk.say(commands)
        #expect(talk.cache.held.count == 1_024)
        talk.cache.complete()
        #expect(talk.cache.held.count == 1_024)
        talk.cache.completeAll()
        #expect(try talk.heard() == String(repeating: "+OK/", count: 1_500))
    }

    @Test("one command of more keys than the bound is carried out alone")
    func large() throws {
        let talk = try holding()
        try talk.say("SET x 1|MSET " + (0..<2_000).map { "k\($0) 1" }.joined(separator: " ") + "|GET x")
        #expect(talk.cache.held.count == 1)
        talk.cache.complete()
        #expect(talk.cache.held.count == 2_000)
        talk.cache.completeAll()
        #expect(try talk.heard() == "+OK/+OK/$1/1/")
    }

    @Test("large values that nobody takes are not all written at once, and a client that asked for them is kept")
    func largeAnswers() throws {
        let talk = try CacheTalk(CacheWorld(RESPServerConfiguration(outboundBytes: 1 << 20)))
        talk.cache.store(CacheKey("a"), [UInt8](repeating: 0x61, count: 1 << 20))
        talk.cache.holds = true
        try talk.say(Array(repeating: "GET a", count: 64).joined(separator: "|"))
        #expect(talk.cache.held.count == 64)
        talk.channel.isWritable = false
        talk.channel.pipeline.fireChannelWritabilityChanged()
        while talk.cache.held.count > 1 { talk.cache.complete(1) }
        talk.cache.complete()
        #expect(try talk.heard() == "")
        talk.channel.isWritable = true
        talk.channel.pipeline.fireChannelWritabilityChanged()
        #expect(try talk.heard().utf8.count == 64 * ((1 << 20) + "$1048576//".utf8.count))
        #expect(talk.isOpen)
    }

    @Test("MGET of more bytes than the bound is refused")
    func tooMuch() throws {
        let talk = try CacheTalk()
        talk.cache.store(CacheKey("a"), [UInt8](repeating: 0x61, count: CacheLimits.valueBytes))
        let all = "MGET " + Array(repeating: "a", count: 9).joined(separator: " ")
        #expect(
            try talk.say(all) == "-TOOLARGE the values are more than 67108864 bytes together; ask for fewer keys/"
        )
        #expect(try talk.say("EXISTS a") == ":1/")
    }

    @Test("MGET reads a window of its keys at a time")
    func window() throws {
        let talk = try holding()
        try talk.say("MGET " + (0..<200).map { "k\($0)" }.joined(separator: " "))
        #expect(talk.cache.held.count == 64)
        talk.cache.complete(5)
        #expect(talk.cache.held.count == 64)
        talk.cache.completeAll()
        #expect(talk.cache.calls.count == 200)
        #expect(try talk.heard() == "*200/" + String(repeating: "$-1/", count: 200))
    }

    @Test("a client that goes away leaves its writes to end by themselves")
    func disconnect() throws {
        let talk = try holding()
        try talk.say("SET a 1|GET a")
        try talk.close()
        talk.cache.completeAll()
        #expect(talk.cache.calls == ["write a"])
        talk.cache.holds = false
        #expect(try CacheTalk(talk.world).say("GET a") == "$1/1/")
    }
}
