// SPDX-License-Identifier: Apache-2.0
import CacheCore
import NIOCore
import NIOEmbedded
import Primitives
import Testing

@testable import Gateway

@Suite("Clients that keep copies of keys")
struct CacheTrackingTests {
    private static func told(_ key: String) -> String { ">2/$10/invalidate/*1/$\(key.utf8.count)/\(key)/" }
    private static let toldAll = ">2/$10/invalidate/_/"

    @Test("what was read is told once when it changes, and again after the next read")
    func once() throws {
        let world = CacheWorld()
        let talk = try CacheTalk(world, protocol: 3)
        let other = try CacheTalk(world)
        #expect(try talk.say("CLIENT TRACKING ON|GET a|MGET b c|EXISTS d|TTL e") == "+OK/_/*2/_/_/:0/:-2/")
        try other.say("SET a 1|SET a 2|SET x 1|SET c 1")
        #expect(try talk.heard() == Self.told("a") + Self.told("c"))
        try other.say("SET a 3|DEL c|SET e 1")
        #expect(try talk.heard() == Self.told("e"))
        #expect(try talk.say("GET a") == "$1/3/")
        try other.say("SET a 4")
        #expect(try talk.heard() == Self.told("a"))
    }

    @Test("everything goes at FLUSHALL and when the node can vouch for nothing")
    func all() throws {
        let world = CacheWorld()
        let talk = try CacheTalk(world, protocol: 3)
        try talk.say("CLIENT TRACKING ON|GET a|GET b")
        try CacheTalk(world).say("FLUSHALL")
        #expect(try talk.heard() == Self.toldAll)
        try talk.say("GET a")
        world.cache.tellAll()
        #expect(try talk.heard() == Self.toldAll)
        try CacheTalk(world).say("SET a 1")
        #expect(try talk.heard() == "")
    }

    @Test("tracking ends with OFF, with RESET and with the connection, and takes its entries along")
    func ends() throws {
        let world = CacheWorld()
        let talk = try CacheTalk(world, protocol: 3)
        for end in ["CLIENT TRACKING OFF", "RESET|HELLO 3"] {
            try talk.say("CLIENT TRACKING ON|GET a|GET b")
            #expect(world.cache.trackings.count == 2)
            try talk.say(end)
            #expect(world.cache.trackings.isEmpty)
        }
        try talk.say("CLIENT TRACKING ON|GET a")
        #expect(world.services.tracking.count == 1)
        try talk.close()
        #expect(world.cache.trackings.isEmpty)
        #expect(world.services.tracking.count == 0)
    }

    @Test("OPTIN tracks only the command after CLIENT CACHING YES, OPTOUT all but the one after NO")
    func caching() throws {
        let world = CacheWorld()
        let talk = try CacheTalk(world, protocol: 3)
        world.cache.hasHits = true
        try talk.say(
            "CLIENT TRACKING ON OPTIN|GET a|CLIENT CACHING YES|CLIENT ID|GET b|GET c|CLIENT CACHING YES|PING|GET d"
        )
        #expect(world.cache.trackings.map(\.key) == [CacheKey("b")])
        try talk.say("CLIENT TRACKING OFF|CLIENT TRACKING ON OPTOUT|GET a|CLIENT CACHING NO|GET b|GET c")
        #expect(world.cache.trackings.map(\.key) == [CacheKey("a"), CacheKey("c")])
    }

    @Test("BCAST tells of every change of keys with the prefixes, also of those never read")
    func broadcast() throws {
        let world = CacheWorld()
        let talk = try CacheTalk(world, protocol: 3)
        let other = try CacheTalk(world)
        try talk.say("CLIENT TRACKING ON BCAST PREFIX a: PREFIX b:|GET x")
        try other.say("SET a:1 1|SET x 1|SET b: 1|SET a:1 2")
        #expect(try talk.heard() == Self.told("a:1") + Self.told("b:") + Self.told("a:1"))
        try talk.say("CLIENT TRACKING ON BCAST PREFIX x")
        try other.say("SET x 2")
        #expect(try talk.heard() == Self.told("x"))
        let everything = try CacheTalk(world, protocol: 3)
        try everything.say("CLIENT TRACKING ON BCAST")
        try other.say("SET anything 2")
        #expect(try everything.heard() == Self.told("anything"))
    }

    @Test("NOLOOP leaves out the changes of the connection itself, and only those")
    func noLoop() throws {
        let world = CacheWorld()
        let talk = try CacheTalk(world, protocol: 3)
        let other = try CacheTalk(world)
        #expect(try talk.say("CLIENT TRACKING ON NOLOOP|GET a|SET a 1|GET b|MSET b 1 c 1") == "+OK/_/+OK/_/+OK/")
        #expect(try talk.heard() == "")
        try other.say("SET a 2")
        #expect(try talk.heard() == Self.told("a"))
        try other.say("SET b 2|SET c 2")
        #expect(try talk.heard() == Self.told("b"))
        // A condition that did not hold changed nothing.
        try talk.say("GET a")
        #expect(try talk.say("SETNX a 5") == ":0/")
        try other.say("SET a 6")
        #expect(try talk.heard() == Self.told("a"))
    }

    @Test("NOLOOP tells of another's change that came while this connection's own was under way")
    func noLoopRace() throws {
        let world = CacheWorld()
        let talk = try CacheTalk(world, protocol: 3)
        try talk.say("CLIENT TRACKING ON NOLOOP|GET a")
        world.cache.holds = true
        try talk.say("SET a 1")
        world.cache.store(CacheKey("a"), Array("2".utf8))
        world.cache.holds = false
        world.cache.complete()
        #expect(try talk.heard() == Self.told("a") + "+OK/")
    }

    @Test("NOLOOP with BCAST tells own changes from those of others too")
    func noLoopBroadcast() throws {
        let world = CacheWorld()
        let talk = try CacheTalk(world, protocol: 3)
        world.cache.isOwner = true
        #expect(try talk.say("CLIENT TRACKING ON BCAST NOLOOP|SET a 1|SET b 1") == "+OK/+OK/+OK/")
        try CacheTalk(world).say("SET a 2")
        #expect(try talk.heard() == Self.told("a"))
    }

    @Test("without NOLOOP a connection is told of its own changes, also of hits")
    func loop() throws {
        let world = CacheWorld()
        let talk = try CacheTalk(world, protocol: 3)
        world.cache.isOwner = true
        world.cache.hasHits = true
        try talk.say("CLIENT TRACKING ON|GET a")
        let heard = try talk.say("SET a 1")
        #expect(heard == Self.told("a") + "+OK/")
    }

    @Test("an invalidation that overtakes the reply with the old value comes once more behind it")
    func overtaken() throws {
        let world = CacheWorld()
        let talk = try CacheTalk(world, protocol: 3)
        world.cache.store(CacheKey("a"), Array("old".utf8))
        try talk.say("CLIENT TRACKING ON")
        world.cache.holds = true
        try talk.say("GET b|GET a")
        world.cache.store(CacheKey("a"), Array("new".utf8))
        #expect(try talk.heard() == Self.told("a"))
        world.cache.complete(1)
        #expect(try talk.heard() == "")
        world.cache.complete()
        #expect(try talk.heard() == "_/$3/old/" + Self.told("a"))
        world.cache.holds = false
        try talk.say("GET a")
        world.cache.holds = true
        try talk.say("GET c")
        world.cache.tellAll()
        #expect(try talk.heard() == Self.toldAll)
        world.cache.complete()
        #expect(try talk.heard() == "_/" + Self.toldAll)
    }

    @Test("an invalidation by prefix that overtakes a reply comes once more too")
    func overtakenBroadcast() throws {
        let world = CacheWorld()
        let talk = try CacheTalk(world, protocol: 3)
        try talk.say("CLIENT TRACKING ON BCAST PREFIX a")
        world.cache.holds = true
        try talk.say("GET a")
        world.cache.store(CacheKey("a"), Array("new".utf8))
        #expect(try talk.heard() == Self.told("a"))
        world.cache.complete()
        #expect(try talk.heard() == "_/" + Self.told("a"))
    }

    @Test("a key that is invalidated over and over while its reply is on its way is told once behind it")
    func delayedOnce() throws {
        var tracking = ClientTracking(TrackingTerms(isBroadcast: true))
        let (a, b) = (CacheKey("a"), CacheKey("b"))
        for key in [a, b] { tracking.noteRead(key, slot: 3, written: 0) }
        for _ in 0..<10_000 { for key in [b, a] { tracking.delay(key, written: 0) } }
        #expect(tracking.delayed.count == 2)
        #expect(tracking.takeDelayed(written: 3).isEmpty)
        #expect(tracking.takeDelayed(written: 4) == [a, b] && tracking.delayed.isEmpty)
        // A second reply on its way needs it too; both written, it is told once.
        tracking.noteRead(a, slot: 5, written: 4)
        tracking.delay(a, written: 4)
        tracking.noteRead(a, slot: 6, written: 4)
        tracking.delay(a, written: 4)
        #expect(tracking.delayed.count == 2)
        #expect(tracking.takeDelayed(written: 6) == [a] && tracking.takeDelayed(written: 7) == [a])
    }

    @Test("of more keys than may wait for their replies, everything is invalidated behind each of those")
    func delayedBound() throws {
        var tracking = ClientTracking(TrackingTerms(isBroadcast: true))
        let bound = ClientTracking.maxDelayed
        for number in 0...(bound + 100) {
            tracking.noteRead(CacheKey("k\(number)"), slot: number < bound ? 1 : 2, written: 0)
        }
        for number in 0...(bound + 100) { tracking.delay(CacheKey("k\(number)"), written: 0) }
        #expect(tracking.delayed.count == 2)
        #expect(tracking.takeDelayed(written: 2) == [nil] && tracking.takeDelayed(written: 3) == [nil])
        #expect(tracking.takeDelayed(written: 9).isEmpty)
    }

    @Test("REDIRECT sends to a RESP2 connection that listens to the channel, or to a RESP3 one")
    func redirect() throws {
        let world = CacheWorld()
        let listener = try CacheTalk(world)
        let talk = try CacheTalk(world)
        let message = "*3/$7/message/$20/__redis__:invalidate/"
        #expect(try listener.say("CLIENT ID") == ":1/")
        #expect(
            try listener.say("SUBSCRIBE __redis__:invalidate") == "*3/$9/subscribe/$20/__redis__:invalidate/:1/"
        )
        #expect(try talk.say("CLIENT TRACKING ON REDIRECT 1|GET a|CLIENT GETREDIR") == "+OK/$-1/:1/")
        try talk.say("SET a 1")
        #expect(try listener.heard() == message + "*1/$1/a/")
        try talk.say("GET a|FLUSHALL")
        #expect(try listener.heard() == message + "$-1/")
        #expect(try listener.say("GET a").hasPrefix("-ERR Can't execute 'get': only (P|S)SUBSCRIBE"))
        #expect(try listener.say("PING|PING hi") == "*2/$4/pong/$0//*2/$4/pong/$2/hi/")
        #expect(
            try listener.say("UNSUBSCRIBE|UNSUBSCRIBE|GET a")
                == "*3/$11/unsubscribe/$20/__redis__:invalidate/:0/*3/$11/unsubscribe/$-1/:0/$-1/"
        )
        try talk.say("GET a|SET a 1")
        #expect(try listener.heard() == "")
        try listener.say("HELLO 3")
        try talk.say("GET a|SET a 2")
        #expect(try listener.heard() == Self.told("a"))
        #expect(
            try listener.say("SUBSCRIBE news")
                == "-ERR the one channel that can be subscribed to is __redis__:invalidate/"
        )
    }

    @Test("a connection whose listener has gone is told so")
    func brokenRedirect() throws {
        let world = CacheWorld()
        let listener = try CacheTalk(world)
        let talk = try CacheTalk(world, protocol: 3)
        try listener.say("PING")
        try talk.say("CLIENT TRACKING ON REDIRECT 1|GET a")
        try listener.close()
        #expect(try talk.say("SET a 1") == ">2/$21/tracking-redir-broken/:1/+OK/")
        #expect(
            try talk.say("CLIENT TRACKINGINFO")
                == "%3/$5/flags/~2/$2/on/$15/broken_redirect/$8/redirect/:1/$8/prefixes/*0/"
        )
    }

    @Test("invalidations that nobody reads end the connection at the bound")
    func slowReader() throws {
        let world = CacheWorld(RESPServerConfiguration(outboundBytes: 10_000))
        let talk = try CacheTalk(world, protocol: 3)
        try talk.say("CLIENT TRACKING ON BCAST")
        talk.channel.isWritable = false
        var changes = 0
        while talk.isOpen, changes < 2_000 {
            world.cache.store(CacheKey("a"), [])
            changes += 1
        }
        #expect(!talk.isOpen)
        #expect(changes > 100 && changes < 500)
        #expect(world.cache.trackings.isEmpty)
    }

    @Test("a node with a cache calls itself what client libraries ask for before they keep copies")
    func name() throws {
        #expect(try CacheTalk().say("HELLO 3").hasPrefix("%7/$6/server/$5/redis/$7/version/$5/7.4.0/"))
    }

    @Test("a full table is emptied, and its client told to drop everything")
    func fullTable() throws {
        let world = CacheWorld(RESPServerConfiguration(trackedKeys: 8))
        let talk = try CacheTalk(world, protocol: 3)
        try talk.say("CLIENT TRACKING ON")
        #expect(try talk.say("GET a|GET b|GET a") == "_/_/_/")
        #expect(try talk.say("GET c") == Self.toldAll + "_/" + Self.toldAll)
        #expect(world.cache.trackings.map(\.key) == [CacheKey("c")])
        #expect(world.services.tracking.count == 1)
    }

    @Test("a client whose keys cannot be tracked, because others have taken all room, is told to keep none")
    func noRoom() throws {
        let world = CacheWorld(RESPServerConfiguration(trackedKeys: 4))
        for name in ["a", "b", "c", "d"] {
            let other = try CacheTalk(world, protocol: 3)
            try other.say("CLIENT TRACKING ON|GET \(name)")
        }
        #expect(world.services.tracking.count == 4)
        let talk = try CacheTalk(world, protocol: 3)
        let heard = try talk.say("CLIENT TRACKING ON|GET e")
        #expect(heard == "+OK/_/" + Self.told("e"))
    }

    @Test("an idle connection that tracks is kept")
    func idle() throws {
        let world = CacheWorld()
        let talk = try CacheTalk(world, protocol: 3)
        let idle = try CacheTalk(world)
        try talk.say("CLIENT TRACKING ON")
        world.loop.advanceTime(by: .seconds(320))
        #expect(talk.isOpen)
        #expect(!idle.isOpen)
        #expect(try talk.say("CLIENT INFO").contains(" flags=t "))
    }
}
