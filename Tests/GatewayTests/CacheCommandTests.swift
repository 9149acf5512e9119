// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Gateway
import Primitives
import RESP
import Synchronization
import Testing

@Suite("Commands of the cache")
struct CacheCommandTests {
    /// Says one command after another on one connection and compares each answer.
    private func expect(_ script: [(String, String)], protocol version: Int = 2, _ world: CacheWorld = CacheWorld())
        throws
    {
        let talk = try CacheTalk(world, protocol: version)
        for (command, answer) in script {
            let heard = try talk.say(command)
            #expect(heard == answer, "\(command)")
        }
    }

    @Test("SET and GET, with every option in any order and any case")
    func set() throws {
        try expect([
            ("GET a", "$-1/"), ("SET a 1", "+OK/"), ("get a", "$1/1/"), ("SET a 2 NX", "$-1/"), ("SET b 2 xx", "$-1/"),
            ("SET a 2 XX", "+OK/"), ("SET a 3 GET", "$1/2/"), ("SET a 4 GET NX", "$1/3/"), ("SET c 1 NX GET", "$-1/"),
            ("GET c", "$1/1/"), ("SET a 5 EX 10 GET XX", "$1/3/"), ("TTL a", ":10/"), ("SET a 6 KEEPTTL", "+OK/"),
            ("PTTL a", ":10000/"), ("SET a 7", "+OK/"), ("TTL a", ":-1/"), ("SET a 8 PX 1500", "+OK/"),
            ("PTTL a", ":1500/"), ("SET a 9 EXAT 1700000020", "+OK/"), ("PTTL a", ":20000/"),
            ("SET a 9 PXAT 1700000000500 XX", "+OK/"), ("PEXPIRETIME a", ":1700000000500/"),
            ("SET a 9 EXAT 1", "+OK/"), ("GET a", "$-1/"), ("SET a \"\"", "+OK/"), ("GET a", "$0//"),
            ("SET a 1 EX 5 EX 6", "+OK/"), ("TTL a", ":6/"),
        ])
    }

    @Test("SET refuses bad options as Redis does, and changes nothing")
    func badSet() throws {
        let syntax = "-ERR syntax error/"
        let expiry = "-ERR invalid expire time in 'set' command/"
        let integer = "-ERR value is not an integer or out of range/"
        try expect([
            ("SET a", "-ERR wrong number of arguments for 'set' command/"), ("SET a 1 NX XX", syntax),
            ("SET a 1 WHAT", syntax), ("SET a 1 EX", syntax), ("SET a 1 EX 1 PX 1", syntax),
            ("SET a 1 KEEPTTL EX 1", syntax), ("SET a 1 PERSIST", syntax), ("SET a 1 EX 0", expiry),
            ("SET a 1 PX -5", expiry), ("SET a 1 EX 9223372036854775807", expiry),
            ("SET a 1 PX 9223372036854775807", expiry), ("SET a 1 EX 1.5", integer), ("SET a 1 EX +5", integer),
            ("SET a 1 EX 007", integer), ("SET a 1 NX IFEQ 5", syntax), ("DBSIZE", ":0/"),
        ])
    }

    @Test("SET compares with a value or a version")
    func compareAndSet() throws {
        try expect([
            ("SET a 1 IFEQ 1", "$-1/"), ("SET a 1 IFNE 1", "+OK/"), ("SET a 2 IFEQ 1", "+OK/"),
            ("SET a 3 IFEQ 1", "$-1/"), ("SET a 3 IFNE 2", "$-1/"), ("SET a 3 IFEQ 1 GET", "$1/2/"),
            ("SET a 3 IFVERSION 2", "+OK/"), ("SET a 4 IFVERSION 2", "$-1/"), ("SET a 4 ifversion 3", "+OK/"),
            ("DEL a", ":1/"), ("SET a 5 IFVERSION 4", "$-1/"), ("SET b 1 IFVERSION 0", "$-1/"), ("DBSIZE", ":0/"),
            ("SET a 4 IFVERSION 3.0", "-ERR '3.0' is no version; LINE and ETags show them as 1205 or 1205.3/"),
        ])
    }

    @Test("SET names its durability and the lock that guards it")
    func writeOptions() throws {
        let world = CacheWorld()
        try expect(
            [
                ("SET a 1 DURABILITY Volatile", "+OK/"), ("SET a 1 LOCK l TOKEN 7", "+OK/"),
                ("SET a 1 TOKEN 8 NAMESPACE n DURABILITY through LOCK l", "+OK/"),
                (
                    "SET a 1 DURABILITY maybe",
                    "-ERR 'maybe' is no DURABILITY; it must be REPLICATED, THROUGH, LOCAL, VOLATILE/"
                ),
                (
                    "SET a 1 LOCK l",
                    "-ERR LOCK and TOKEN come together: SET key value LOCK name TOKEN t [NAMESPACE ns]/"
                ),
                ("SET a 1 LOCK l TOKEN x", "-ERR value is not an integer or out of range/"),
                ("SET a 1 LOCK \"\" TOKEN 1", "-ERR name must not be empty/"),
            ],
            world
        )
        let plain = CacheLockGuard(namespace: "default", name: "l", token: 7)
        let other = CacheLockGuard(namespace: "n", name: "l", token: 8)
        #expect(world.cache.options.map(\.durability) == [.volatile, nil, .through])
        #expect(world.cache.options.map(\.lock) == [nil, plain, other])
    }

    @Test("the older forms of SET and GET")
    func olderForms() throws {
        try expect([
            ("SETNX a 1", ":1/"), ("SETNX a 2", ":0/"), ("SETEX a 10 3", "+OK/"), ("TTL a", ":10/"),
            ("PSETEX a 1200 4", "+OK/"), ("PTTL a", ":1200/"), ("TTL a", ":1/"),
            ("SETEX a 0 1", "-ERR invalid expire time in 'setex' command/"),
            ("PSETEX a -1 1", "-ERR invalid expire time in 'psetex' command/"),
            ("SETEX a x 1", "-ERR value is not an integer or out of range/"), ("GETSET a 5", "$1/4/"),
            ("TTL a", ":-1/"), ("GETSET n 1", "$-1/"), ("GETDEL a", "$1/5/"), ("GETDEL a", "$-1/"),
            ("SET a 1", "+OK/"), ("GETEX a", "$1/1/"), ("GETEX a EX 9", "$1/1/"), ("TTL a", ":9/"),
            ("GETEX a PERSIST", "$1/1/"), ("TTL a", ":-1/"), ("GETEX a PXAT 1700000000001", "$1/1/"),
            ("PTTL a", ":1/"), ("GETEX a EXAT 1", "$1/1/"), ("GET a", "$-1/"), ("GETEX a EX 5", "$-1/"),
            ("GETEX a KEEPTTL", "-ERR syntax error/"), ("GETEX a EX 1 PERSIST", "-ERR syntax error/"),
            ("GETEX a EX -1", "-ERR invalid expire time in 'getex' command/"),
        ])
    }

    @Test("several keys at once")
    func severalKeys() throws {
        try expect([
            ("MSET a 1 b 2 a 3", "+OK/"), ("MGET a b c a", "*4/$1/3/$1/2/$-1/$1/3/"),
            ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command/"), ("EXISTS a b c a", ":3/"),
            ("TOUCH a c", ":1/"), ("DEL a a c", ":1/"), ("DEL a", ":0/"), ("UNLINK b x", ":1/"), ("DBSIZE", ":0/"),
            ("MSETNX a 1", ":1/"), ("MSETNX a 2", ":0/"),
            ("MSETNX a 1 b", "-ERR wrong number of arguments for 'msetnx' command/"),
            (
                "MSETNX a 1 b 2",
                "-ERR MSETNX of several keys is not supported: keys live in different shards, which change one by one; "
                    + "use SET with NX for each/"
            ),
        ])
        try expect(
            [("SET a 1", "+OK/"), ("MGET a b", "*2/$1/1/_/"), ("GET b", "_/"), ("SET a 1 NX", "_/")],
            protocol: 3
        )
    }

    @Test("numbers")
    func numbers() throws {
        let integer = "-ERR value is not an integer or out of range/"
        let overflow = "-ERR increment or decrement would overflow/"
        try expect([
            ("INCR a", ":1/"), ("DECR a", ":0/"), ("INCRBY a 41", ":41/"), ("DECRBY a 42", ":-1/"),
            ("INCRBY a x", integer), ("INCRBY a 1.0", integer), ("SET a 9223372036854775807", "+OK/"),
            ("INCR a", overflow), ("DECRBY a -1", overflow),
            ("DECRBY a -9223372036854775808", "-ERR decrement would overflow/"), ("SET b x", "+OK/"),
            ("INCR b", integer),
            ("INCRBYFLOAT f 10.5", "$4/10.5/"), ("INCRBYFLOAT f 5.0e3", "$6/5010.5/"),
            ("INCRBYFLOAT f -5010.5", "$1/0/"),
            ("INCRBYFLOAT f x", "-ERR value is not a valid float/"),
            ("INCRBYFLOAT b 1", "-ERR value is not a valid float/"),
            ("INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity/"),
        ])
    }

    @Test("parts of values")
    func parts() throws {
        try expect([
            ("APPEND a Hello", ":5/"), ("APPEND a World", ":10/"), ("STRLEN a", ":10/"), ("STRLEN x", ":0/"),
            ("GETRANGE a 0 4", "$5/Hello/"), ("GETRANGE a -5 -1", "$5/World/"), ("GETRANGE a 0 -1", "$10/HelloWorld/"),
            ("SUBSTR a 8 100", "$2/ld/"), ("GETRANGE a 5 3", "$0//"), ("GETRANGE a 100 200", "$0//"),
            ("GETRANGE a -100 1", "$2/He/"), ("GETRANGE a -3 -9", "$0//"), ("GETRANGE a -200 -100", "$1/H/"),
            ("GETRANGE x 0 -1", "$0//"), ("GETRANGE a -9223372036854775808 9223372036854775807", "$10/HelloWorld/"),
            ("GETRANGE a x 1", "-ERR value is not an integer or out of range/"), ("SETRANGE a 5 _____", ":10/"),
            ("GET a", "$10/Hello_____/"), ("SETRANGE b 3 x", ":4/"), ("SETRANGE c 3 \"\"", ":0/"),
            ("EXISTS c", ":0/"), ("SETRANGE a -1 x", "-ERR offset is out of range/"),
            ("SETRANGE a 99999999999 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)/"),
            ("TYPE a", "+string/"), ("TYPE x", "+none/"),
        ])
        #expect(try CacheTalk().say([Array("SETRANGE".utf8), [1, 0], [0x32], [0xff]]) == Array(":3\r\n".utf8))
    }

    @Test("expiry: relative and absolute, with conditions")
    func expiry() throws {
        let integer = "-ERR value is not an integer or out of range/"
        try expect([
            ("EXPIRE a 10", ":0/"), ("TTL a", ":-2/"), ("EXPIRETIME a", ":-2/"), ("SET a 1", "+OK/"),
            ("EXPIRETIME a", ":-1/"), ("PERSIST a", ":0/"), ("EXPIRE a 10", ":1/"), ("TTL a", ":10/"),
            ("EXPIRETIME a", ":1700000010/"), ("PEXPIRETIME a", ":1700000010000/"), ("PERSIST a", ":1/"),
            ("PEXPIRE a 1499", ":1/"), ("TTL a", ":1/"), ("PEXPIRE a 1500", ":1/"), ("TTL a", ":2/"),
            ("EXPIREAT a 1700000100", ":1/"), ("PTTL a", ":100000/"), ("PEXPIREAT a 1700000000100", ":1/"),
            ("PTTL a", ":100/"), ("EXPIRE a 50 NX", ":0/"), ("EXPIRE a 50 XX GT", ":1/"), ("EXPIRE a 40 GT", ":0/"),
            ("EXPIRE a 40 lt", ":1/"), ("EXPIRE a 60 LT", ":0/"), ("PERSIST a", ":1/"), ("EXPIRE a 60 GT", ":0/"),
            ("EXPIRE a 60 XX", ":0/"), ("EXPIRE a 60 NX", ":1/"),
            ("EXPIRE a 1 NX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible/"),
            ("EXPIRE a 1 GT LT", "-ERR GT and LT options at the same time are not compatible/"),
            ("EXPIRE a 1 SOON", "-ERR Unsupported option SOON/"), ("EXPIRE a x", integer),
            ("EXPIRE a 9223372036854775807", "-ERR invalid expire time in 'expire' command/"),
            ("PEXPIRE a 9223372036854775807", "-ERR invalid expire time in 'pexpire' command/"),
            ("EXPIREAT a -9223372036854775808", "-ERR invalid expire time in 'expireat' command/"), ("TTL a", ":60/"),
            ("EXPIRE a -1", ":1/"), ("EXISTS a", ":0/"), ("SET a 1", "+OK/"),
            ("PEXPIREAT a -9223372036854775808", ":1/"), ("EXISTS a", ":0/"),
        ])
    }

    @Test("walking over the keys")
    func walk() throws {
        let world = CacheWorld()
        for name in ["a1", "a2", "b1", "b2", "c[1]"] { world.cache.store(CacheKey(name), [1]) }
        try expect(
            [
                ("SCAN 0 COUNT 2", "*2/$1/2/*2/$2/a1/$2/a2/"), ("SCAN 2 COUNT 2 MATCH b?", "*2/$1/4/*2/$2/b1/$2/b2/"),
                ("SCAN 4", "*2/$1/0/*1/$4/c[1]/"), ("SCAN 0 MATCH *2", "*2/$1/0/*2/$2/a2/$2/b2/"),
                ("SCAN 0 TYPE string COUNT 1", "*2/$1/1/*1/$2/a1/"), ("SCAN 0 TYPE hash", "*2/$1/0/*0/"),
                ("SCAN x", "-ERR invalid cursor/"), ("SCAN 99999999999999999999", "-ERR invalid cursor/"),
                ("SCAN 0 COUNT", "-ERR syntax error/"), ("SCAN 0 COUNT 0", "-ERR syntax error/"),
                ("SCAN 0 COUNT x", "-ERR value is not an integer or out of range/"),
                ("SCAN 0 WHAT 1", "-ERR syntax error/"),
                ("KEYS a*", "*2/$2/a1/$2/a2/"), ("KEYS *\\[1\\]", "*1/$4/c[1]/"), ("KEYS nothing", "*0/"),
                ("DBSIZE", ":5/"), ("FLUSHALL LATER", "-ERR syntax error/"),
                ("FLUSHALL SYNC NOW", "-ERR syntax error/"),
                ("FLUSHDB ASYNC", "+OK/"), ("DBSIZE", ":0/"), ("FLUSHALL", "+OK/"), ("KEYS *", "*0/"),
            ],
            world
        )
    }

    @Test("a walk for KEYS that would answer too much is refused")
    func keysBound() throws {
        let world = CacheWorld()
        for number in 0...CacheService.listedKeys { world.cache.store(CacheKey("\(number)"), []) }
        let talk = try CacheTalk(world)
        #expect(
            try talk.say("KEYS *") == "-TOOLARGE KEYS answers at most 100000 keys of 16777216 bytes; use SCAN/"
        )
        #expect(try talk.say("KEYS 99998") == "*1/$5/99998/")
    }

    @Test("patterns and prefixes have limits: each key is compared with all of them")
    func longPatterns() throws {
        let talk = try CacheTalk(CacheWorld(), protocol: 3)
        let longest = String(repeating: "a", count: 8_192)
        #expect(try talk.say("KEYS \(longest)") == "*0/")
        #expect(try talk.say("KEYS \(longest)a") == "-ERR a pattern has at most 8192 bytes/")
        #expect(try talk.say("SCAN 0 MATCH \(longest)a") == "-ERR a pattern has at most 8192 bytes/")
        let refusal = "-ERR at most 1024 prefixes of at most 4096 bytes/"
        let prefix = String(repeating: "p", count: 4_096)
        #expect(try talk.say("CLIENT TRACKING on BCAST PREFIX \(prefix)p") == refusal)
        let many = (0..<1_025).map { "PREFIX \($0 + 10_000)" }.joined(separator: " ")
        #expect(try talk.say("CLIENT TRACKING on BCAST \(many)") == refusal)
        #expect(try talk.say("CLIENT TRACKING on BCAST PREFIX \(prefix)") == "+OK/")
    }

    @Test("what nodes hold: LINE, CACHE.STATS, CACHE.FLUSH, CACHE.EVICT")
    func node() throws {
        let world = CacheWorld()
        world.cache.report.nodes = [
            NodeLine(
                node: "node-0",
                state: .modified,
                version: CacheVersion(index: 12, minor: 3),
                leaseRemaining: 900,
                isReachable: true
            ),
            NodeLine(node: "node-1", state: .invalid, version: nil, leaseRemaining: nil, isReachable: false),
        ]
        world.cache.figures.hits = 5
        world.cache.figures.lines[3] = 2
        world.cache.figures.transitions[4 * 1 + 3] = 7
        let talk = try CacheTalk(world, protocol: 3)
        #expect(
            try talk.say("LINE a")
                == "%4/$5/shard/:3/$4/home" + "/$6/node-1/$5/epoch/:7/$5/nodes/*2/"
                + "%5/$4/node/$6/node-0/$9/reachable/:1/$5/state/$1/M/$7/version/$4/12.3/$8/lease_ms/:900/"
                + "%5/$4/node/$6/node-1/$9/reachable/:0/$5/state/$1/I/$7/version/_/$8/lease_ms/_/"
        )
        let figures = try talk.say("CACHE.STATS")
        #expect(figures.hasPrefix("%41/$10/hits_total/:5/$12/misses_total/:0/"))
        #expect(figures.hasSuffix("$5/lines/%4/$1/I/:0/$1/S/:0/$1/E/:0/$1/M/:2/$11/transitions/%1/$2/SM/:7/"))
        #expect(try talk.say("CACHE.FLUSH") == ":4/")
        #expect(try talk.say("CACHE.FLUSH all") == ":9/")
        #expect(try talk.say("CACHE.FLUSH some") == "-ERR syntax error/")
        #expect(try talk.say("CACHE.EVICT a|SET a 1|CACHE.EVICT a") == ":0/+OK/:1/")
    }

    @Test("failures and refusals have the codes of the other services, or Redis' own")
    func failures() throws {
        let world = CacheWorld()
        let talk = try CacheTalk(world)
        let cases: [(CacheFailure, String)] = [
            (.busy(reason: "r"), "-BUSY r; nothing was done, try again shortly/"),
            (.unavailable(reason: "r"), "-UNAVAILABLE r; nothing was done, try again/"),
            (.unknown(reason: "r"), "-UNKNOWN r; the outcome is unknown: read the key to see whether it was done/"),
            (.partly(reason: "r"), "-PARTLYDONE r; the rest was done/"),
            (.memoryDown(reason: "r"), "-BACKENDDOWN r; nothing was done, try again/"),
            (.disabled, "-ERR this node does not serve the cache (roles)/"),
        ]
        for (failure, line) in cases {
            world.cache.failure = failure
            for command in ["GET a", "SET a 1", "MGET a", "DBSIZE", "SCAN 0", "KEYS *", "FLUSHALL", "DEL a"] {
                #expect(try talk.say(command) == line, "\(command)")
            }
            for command in ["CACHE.FLUSH", "CACHE.EVICT a"] { #expect(try talk.say(command) == line, "\(command)") }
        }
        world.cache.failure = nil
        for refusal in CacheRefusal.allCases {
            world.cache.refusal = refusal
            #expect(try talk.say("SET a 1") == "-" + RefusalText(refusal).line + "/")
        }
        #expect(RefusalText(.outOfMemory).line == "OOM command not allowed when used memory > 'maxmemory'.")
        #expect(RefusalText(CacheRefusal.fenced).firstWord == "FENCED")
        #expect(RefusalText(.tooDirty).firstWord == "BUSY")
        #expect(RefusalText(.memoryDown).firstWord == "BACKENDDOWN")
        let errors = world.observer.counts.withLock { $0.errors }
        #expect(errors.contains("BACKENDDOWN") && errors.contains("OOM"))
    }

    @Test("a write of several keys that fails in part names the keys that were not done, and those that are not known")
    func partFailures() throws {
        let world = CacheWorld()
        let talk = try CacheTalk(world)
        let (b, c, d) = (CacheKey("b"), CacheKey("c"), CacheKey("d"))
        world.cache.failures = [b: .busy(reason: "r")]
        #expect(
            try talk.say("MSET a 1 b 2 c 3")
                == "-PARTLYDONE 2 of 3 keys were carried out; "
                + "not done: 'b' (BUSY r; nothing was done, try again shortly)/"
        )
        #expect(try talk.say("MGET a b c") == "*3/$1/1/$-1/$1/3/")
        world.cache.failures = [b: .unknown(reason: "no answer"), c: .unknown(reason: "no answer")]
        world.cache.refusals = [d: .outOfMemory]
        #expect(
            try talk.say("DEL a b c d e")
                == "-UNKNOWN 2 of 5 keys were carried out (1 removed); "
                + "unknown, read them to see: 'b', 'c' (no answer); "
                + "not done: 'd' (OOM command not allowed when used memory > 'maxmemory'.)/"
        )
        #expect(try talk.say("EXISTS a b c") == ":1/")
        // Where all failed alike and certainly, it is as with one key.
        world.cache.failures = [b: .busy(reason: "r"), c: .busy(reason: "r")]
        #expect(
            try talk.say("MSET b 1 c 2")
                == "-BUSY r; nothing was done, try again shortly; 0 of 2 keys were carried out/"
        )
        world.cache.failures[c] = .unavailable(reason: "s")
        #expect(
            try talk.say("MSET b 1 c 2")
                == "-BUSY 0 of 2 keys were carried out; not done: 'b' (BUSY r; nothing was done, try again shortly); "
                + "not done: 'c' (UNAVAILABLE s; nothing was done, try again)/"
        )
    }

    @Test("an error names any key on its one line, and not more than can be read")
    func keysInErrors() throws {
        let world = CacheWorld()
        let talk = try CacheTalk(world)
        let odd: [UInt8] = Array("'\\".utf8) + [0x0d, 0x0a, 0xff, 0x00]
        let long = [UInt8](repeating: UInt8(ascii: "k"), count: 100)
        var words: [[UInt8]] = [Array("MSET".utf8)]
        for key in [odd, long] + (0..<20).map({ Array("k\($0)".utf8) }) {
            world.cache.failures[CacheKey(key)] = .unknown(reason: "r")
            words += [key, [1]]
        }
        let heard = String(decoding: try talk.say(words), as: UTF8.self)
        let names = ["'\\'\\\\\\x0d\\x0a\\xff\\x00'", "'" + String(repeating: "k", count: 64) + "…'"]
        let rest = (0..<14).map { "'k\($0)'" }
        let list = (names + rest + ["and 6 more"]).joined(separator: ", ")
        #expect(
            heard == "-UNKNOWN 0 of 22 keys were carried out; unknown, read them to see: \(list) (r)\r\n"
        )
    }

    @Test("a node without the role refuses every command of the cache, and serves the others")
    func noRole() throws {
        let talk = try CacheTalk(hasCache: false)
        for command in ["GET a", "SET a 1", "DBSIZE", "LINE a", "CACHE.STATS", "CLIENT TRACKING ON"] {
            #expect(try talk.say(command) == "-ERR this node does not serve the cache (roles)/", "\(command)")
        }
        #expect(try talk.say("PING") == "+PONG/")
    }

    @Test("keys and values have bounds, checked before anything is asked")
    func bounds() throws {
        let talk = try CacheTalk()
        let long = [UInt8](repeating: 0x61, count: CacheLimits.keyBytes + 1)
        let key = Array(long.dropLast())
        let refused = Array("-ERR a key may have 4096 bytes; nothing was done\r\n".utf8)
        for words in [["GET"], ["DEL"], ["STRLEN"], ["MGET"], ["INCR"]] {
            #expect(try talk.say(words.map { Array($0.utf8) } + [long]) == refused)
        }
        #expect(try talk.say([Array("SET".utf8), long, [1]]) == refused)
        #expect(talk.cache.calls.isEmpty)
        #expect(try talk.say([Array("SET".utf8), key, [1]]) == Array("+OK\r\n".utf8))
        #expect(try talk.say([Array("GET".utf8), key]) == Array("$1\r\n".utf8) + [1] + Array("\r\n".utf8))
        let value = [UInt8](repeating: 7, count: CacheLimits.valueBytes)
        #expect(try talk.say([Array("SET".utf8), [1], value]) == Array("+OK\r\n".utf8))
        let tooLong = Array("-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n".utf8)
        #expect(try talk.say([Array("SET".utf8), [1], value + [7]]) == tooLong)
        #expect(try talk.say([Array("APPEND".utf8), [1], [7]]) == tooLong)
        #expect(try talk.say([Array("STRLEN".utf8), [1]]) == Array(":8388608\r\n".utf8))
    }

    @Test("COMMAND tells arity, flags and where the keys are")
    func metadata() throws {
        try expect([
            (
                "COMMAND INFO get",
                "*1/*10/$3/get/:2/*2/+readonly/+fast/:1/:1/:1/*1/+@cache/*0/*0/*0/"
            ),
            (
                "COMMAND INFO mset",
                "*1/*10/$4/mset/:-3/*2/+write/+denyoom/:1/:-1/:2/*1/+@cache/*0/*0/*0/"
            ),
            ("COMMAND GETKEYS MSET a 1 b 2", "*2/$1/a/$1/b/"), ("COMMAND GETKEYS DEL a b c", "*3/$1/a/$1/b/$1/c/"),
            ("COMMAND GETKEYS SCAN 0", "-ERR The command has no key arguments/"),
            ("COMMAND GETKEYS GET a b", "-ERR Invalid number of arguments specified for command/"),
            ("COMMAND GETKEYS WHAT a", "-ERR Invalid command specified/"),
            ("COMMAND GETKEYS GET", "-ERR wrong number of arguments for 'command|getkeys' command/"),
        ])
    }
}
