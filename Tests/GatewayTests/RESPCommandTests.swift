// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import RESP
import RaftCore
import Replica
import Synchronization
import Testing

// SPDX-License-Identifier: Apache-2.0
@testable import Gateway

@Suite("RESP commands")
struct RESPCommandTests {
    private let session = SessionID("s")

    private static let requestCases: [(String, Request)] = [
        (
            "lock.acquire a WAIT FOREVER MODE shared SESSION s PRIORITY -3 SEQ 9",
            .command(
                .acquire(
                    Acquire(
                        session: SessionID("s"),
                        items: [.init(name: "a", mode: .shared)],
                        wait: .forever,
                        priority: -3,
                        sequence: 9
                    )
                )
            )
        ),
        ("LOCK.ACQUIREALL SESSION s WAIT 5 wait exclusive b SHARED", .command(.cancel(.internal))),
        (
            "LOCK.ACQUIREALL SESSION s WAIT 5 a exclusive b SHARED",
            .command(
                .acquire(
                    Acquire(
                        session: SessionID("s"),
                        items: [.init(name: "a", mode: .exclusive), .init(name: "b", mode: .shared)],
                        wait: .milliseconds(5)
                    )
                )
            )
        ),
        (
            "LOCK.CONVERT a SESSION s MODE UPDATE",
            .command(.convert(Convert(session: SessionID("s"), name: "a", mode: .update)))
        ),
        (
            "LOCK.RELEASE a SESSION s SEQ 2",
            .command(.release(Release(session: SessionID("s"), name: "a", sequence: 2)))
        ),
        ("LOCK.INFO a", .query(.object(namespace: "default", name: "a"), .readIndex)),
        (
            "LOCK.LIST PREFIX p CURSOR 5 COUNT 7 NAMESPACE n",
            .query(.list(namespace: "n", prefix: "p", cursor: 5, limit: 7), .readIndex)
        ),
        ("LOCK.CHECK a TOKEN 12", .query(.check(namespace: "default", name: "a", token: 12), .readIndex)),
        ("LOCK.BREAK a REASON stuck NAMESPACE n", .command(.breakLock(namespace: "n", name: "a", reason: "stuck"))),
        (
            "SEMAPHORE.ACQUIRE a SESSION s LIMIT 5 PERMITS 2",
            .command(
                .acquire(
                    Acquire(
                        session: SessionID("s"),
                        kind: .semaphore,
                        items: [.init(name: "a", mode: .exclusive)],
                        permits: 2,
                        limit: 5
                    )
                )
            )
        ),
        (
            "SEMAPHORE.RELEASE a SESSION s PERMITS 2",
            .command(.release(Release(session: SessionID("s"), kind: .semaphore, name: "a", permits: 2)))
        ),
        (
            "ELECTION.CAMPAIGN a SESSION s VALUE me WAIT 1",
            .command(
                .acquire(
                    Acquire(
                        session: SessionID("s"),
                        kind: .election,
                        items: [.init(name: "a", mode: .exclusive)],
                        wait: .milliseconds(1),
                        value: Array("me".utf8)
                    )
                )
            )
        ),
        ("ELECTION.LEADER a", .query(.electionLeader(namespace: "default", name: "a"), .readIndex)),
        (
            "ELECTION.RESIGN a SESSION s",
            .command(.release(Release(session: SessionID("s"), kind: .election, name: "a")))
        ),
        (
            "SESSION.OPEN ID x TTL 2000 LABEL l OWNER o LOCKDELAY 3 NAMESPACE n",
            .command(
                .openSession(
                    OpenSession(
                        id: SessionID("n/x"),
                        ttlMilliseconds: 2_000,
                        label: "l",
                        owner: "o",
                        lockDelayMilliseconds: 3
                    )
                )
            )
        ),
        (
            "SESSION.OPEN ID n/x NAMESPACE n",
            .command(.openSession(OpenSession(id: SessionID("n/x"), ttlMilliseconds: 10_000)))
        ),
        ("SESSION.RENEW s", .renew(SessionID("s"))), ("SESSION.CLOSE s", .command(.closeSession(SessionID("s")))),
        ("SESSION.INFO s", .query(.session(SessionID("s")), .readIndex)),
        ("SESSION.LIST COUNT 3", .query(.sessions(namespace: "default", cursor: 0, limit: 3), .readIndex)),
    ]

    @Test("commands become the requests they stand for")
    func requests() throws {
        for (line, expected) in Self.requestCases {
            let talk = try Conversation()
            let answer = try talk.send(line + "\r\n")
            if case .command(.cancel) = expected {
                #expect(answer.hasPrefix("-ERR syntax error: WAIT is given twice"), "\(line)")
            } else {
                #expect(talk.port.requests == [expected], "\(line): \(answer)")
            }
        }
    }

    @Test("a session without an id gets a random one in its namespace")
    func randomIDs() throws {
        let talk = try Conversation()
        try talk.send("SESSION.OPEN\r\nSESSION.OPEN\r\n")
        try talk.send("SESSION.OPEN NAMESPACE n\r\n")
        talk.port.complete(0, .lock(.noted))
        talk.port.complete(1, .lock(.noted))
        let ids = talk.port.requests.compactMap { request in
            if case .command(.openSession(let open)) = request { open.id.name.text } else { nil }
        }
        #expect(ids.count == 3)
        #expect(ids[0].count == 26 && ids[0] != ids[1])
        #expect(ids[2].hasPrefix("n/") && ids[2].count == 28)
    }

    @Test("bad input is refused with what would be right, and never reaches the cluster")
    func badInput() throws {
        let long = String(repeating: "x", count: 513)
        let cases: [(String, String)] = [
            (
                "LOCK.ACQUIER a SESSION s",
                "ERR unknown command 'LOCK.ACQUIER', with args beginning with: 'a' 'SESSION' 's' ; "
                    + "did you mean 'LOCK.ACQUIRE'?"
            ),
            ("LOCK.ACQUIRE a", "ERR wrong number of arguments for 'lock.acquire' command; usage: LOCK.ACQUIRE name"),
            ("LOCK.ACQUIRE a MODE X", "ERR SESSION is required"),
            ("LOCK.ACQUIRE a SESSION", "ERR wrong number"),
            ("LOCK.ACQUIRE a SESSION s WAIT", "ERR syntax error: WAIT needs a value"),
            ("LOCK.ACQUIRE a SESSION s WAITT 5", "ERR syntax error: unknown option 'WAITT'; did you mean 'WAIT'?"),
            (
                "LOCK.ACQUIRE a SESSION s WAIT -1",
                "ERR value of WAIT is out of range; it must be between 0 and 604800000"
            ),
            (
                "LOCK.ACQUIRE a SESSION s WAIT 99999999999999999999",
                "ERR value of WAIT is not an integer or out of range"
            ),
            ("LOCK.ACQUIRE a SESSION s WAIT soon", "ERR value of WAIT is not an integer or out of range"),
            ("LOCK.ACQUIRE a SESSION s MODE big", "ERR 'big' is no MODE; it must be SHARED, UPDATE or EXCLUSIVE"),
            ("LOCK.ACQUIRE a SESSION s SESSION t", "ERR syntax error: SESSION is given twice"),
            ("LOCK.ACQUIRE a SESSION s SEQ 0", "ERR value of SEQ is out of range"),
            ("LOCK.ACQUIRE a SESSION s PRIORITY 9223372036854775808", "ERR value of PRIORITY is not an integer"),
            ("LOCK.ACQUIRE \(long) SESSION s", "ERR name is too long (limit 512 bytes)"),
            ("LOCK.ACQUIRE \"\" SESSION s", "ERR name must not be empty"),
            ("LOCK.ACQUIRE \"\\xff\" SESSION s", "ERR name is not valid UTF-8"),
            ("LOCK.ACQUIRE a SESSION /s", "ERR SESSION is not acceptable: it begins with a slash"),
            ("LOCK.ACQUIREALL SESSION s a X b", "ERR syntax error: name mode needs a value"),
            ("LOCK.ACQUIREALL SESSION s a", "ERR wrong number"),
            ("LOCK.ACQUIREALL SESSION s a X a S", "ERR name mode is not acceptable: 'a' is named twice"),
            ("SESSION.OPEN TTL 999", "ERR value of TTL is out of range; it must be between 1000 and 3600000"),
            ("SESSION.OPEN NAMESPACE a/b", "ERR NAMESPACE is not acceptable: it contains a slash"),
            (
                "SEMAPHORE.ACQUIRE a SESSION s LIMIT 2 PERMITS 3",
                "ERR value of PERMITS is out of range; it must be between 1 and 2"
            ),
            ("SEMAPHORE.ACQUIRE a SESSION s PERMITS 3", "ERR LIMIT is required"),
            ("LOCK.CHECK a TOKEN -1", "ERR value of TOKEN is out of range"),
            ("LOCK.LIST COUNT 1001", "ERR value of COUNT is out of range"),
            ("LOCK.WATCH a", "ERR LOCK.WATCH pushes messages, which needs RESP3; say HELLO 3 first"),
            ("SELECT 1", "ERR DB index is out of range"), ("HELLO 4", "NOPROTO unsupported protocol version"),
            ("HELLO 3 AUTH u p", "ERR AUTH <password> called without any password"), ("AUTH p", "ERR AUTH <password>"),
            ("CLIENT MAINT_NOTIFICATIONS ON", "ERR unknown subcommand 'MAINT_NOTIFICATIONS' of CLIENT"),
            ("CLIENT SETNAME \"a b\"", "ERR Client names cannot contain spaces"), ("PING a b", "ERR wrong number"),
        ]
        for (line, expected) in cases {
            let talk = try Conversation()
            let answer = try talk.send(line + "\r\n")
            #expect(answer.hasPrefix("-" + expected), "\(line): \(answer)")
            #expect(talk.port.submitted.isEmpty, "\(line)")
            #expect(talk.isOpen, "\(line)")
        }
    }

    @Test("refusals are errors known by their first word")
    func refusals() throws {
        let cycle = [
            CycleEdge(session: SessionID("s1"), label: "web", name: "b", mode: .exclusive, request: .internal),
            CycleEdge(session: SessionID("s2"), label: "", name: "a", mode: .shared, request: .internal),
        ]
        let cases: [(Response, String)] = [
            (
                .lock(.refused(.deadlock(cycle))),
                "DEADLOCK waiting would never end, so this request was given up: "
                    + "s1 (web) waits for b exclusive → s2 waits for a shared → s1"
            ),
            (.lock(.refused(.noSession(session))), "NOSESSION session 's' does not exist"),
            (.lock(.refused(.notHeld("a"))), "NOTHELD "),
            (.lock(.refused(.reentry("again"))), "REENTRY again"), (.lock(.refused(.limit("locks"))), "LIMIT locks"),
            (.lock(.refused(.wrongKind("a", .semaphore))), "WRONGKIND 'a' is in use as a semaphore"),
            (.lock(.refused(.sessionExists(session))), "SESSIONEXISTS "),
            (.lock(.refused(.staleSequence)), "STALESEQ "),
            (.lock(.refused(.cancelled)), "CANCELLED "),
            (.lock(.refused(.sessionEnded(.expired))), "SESSIONENDED the session was expired"),
            (.lock(.refused(.invalid("no"))), "ERR no"), (.busy(reason: "full"), "BUSY full"),
            (.unavailable(.notDone, reason: "no leader"), "UNAVAILABLE no leader; nothing was done"),
            (.unavailable(.unknown, reason: "lost"), "UNKNOWN lost; the outcome is unknown"),
        ]
        for (response, expected) in cases {
            let talk = try Conversation { _ in response }
            let answer = try talk.send("LOCK.ACQUIRE a SESSION s\r\n")
            #expect(answer.hasPrefix("-" + expected), "\(answer)")
            #expect(talk.observer.counts.withLock { $0.errors } == [String(expected.prefix { $0 != " " })])
        }
    }

    @Test("answers have the shapes of both protocol versions")
    func shapes() throws {
        let view = ObjectView(
            namespace: "default",
            name: "a",
            kind: .lock,
            holders: [HolderView(session: session, label: "l", mode: .shared, token: 4, count: 1, ageMilliseconds: 10)]
        )
        let two = try Conversation { _ in .lock(.object(view)) }
        #expect(try two.send("LOCK.INFO a\r\n").hasPrefix("*20\r\n$9\r\nnamespace\r\n$7\r\ndefault\r\n"))
        let three = try Conversation { _ in .lock(.object(view)) }
        #expect(try three.command("HELLO", "3", "SETNAME", "me").hasPrefix("%7\r\n$6\r\nserver\r\n$8\r\nsyncline\r\n"))
        let info = try three.send("LOCK.INFO a\r\n")
        #expect(info.hasPrefix("%10\r\n"))
        #expect(info.contains("$7\r\nholders\r\n*1\r\n%6\r\n$7\r\nsession\r\n$1\r\ns\r\n"))
        #expect(try three.command("CLIENT", "GETNAME") == "$2\r\nme\r\n")

        let none = try Conversation { _ in .lock(.notAcquired(holders: [])) }
        #expect(try none.send("LOCK.ACQUIRE a SESSION s\r\n") == "$-1\r\n")
        try none.command("HELLO", "3")
        #expect(try none.send("LOCK.ACQUIRE a SESSION s\r\n") == "_\r\n")
        let all = try Conversation { _ in .lock(.granted(tokens: [3], holds: 1)) }
        #expect(try all.send("LOCK.ACQUIREALL SESSION s a X\r\nLOCK.ACQUIRE a SESSION s\r\n") == "*1\r\n:3\r\n:3\r\n")
    }

    @Test("a watched lock's events are pushed, until it is unwatched")
    func watch() throws {
        let talk = try Conversation()
        try talk.command("HELLO", "3")
        #expect(try talk.command("LOCK.WATCH", "a", "b", "a") == ":2\r\n")
        #expect(talk.port.watching.map(\.names) == [["a"], ["b"]])
        talk.port.watching[0].sink(
            .granted(namespace: "default", name: "a", session: session, mode: .exclusive, token: 5)
        )
        talk.port.watching[0].sink(.broken(namespace: "default", name: "a", reason: "stuck"))
        #expect(
            try talk.received()
                == ">7\r\n$4\r\nlock\r\n$7\r\ngranted\r\n"
                + "$7\r\ndefault\r\n$1\r\na\r\n$1\r\ns\r\n$9\r\nexclusive\r\n:5\r\n"
                + ">8\r\n$4\r\nlock\r\n$6\r\nbroken\r\n$7\r\ndefault\r\n$1\r\na\r\n_\r\n_\r\n_\r\n$5\r\nstuck\r\n"
        )
        #expect(try talk.command("LOCK.WATCH", "NAMESPACE", "n", "a") == ":3\r\n")
        #expect(talk.port.watching.last?.namespace == "n")
        #expect(try talk.command("LOCK.UNWATCH", "a") == ":2\r\n")
        #expect(try talk.command("LOCK.UNWATCH") == ":0\r\n")
        #expect(talk.port.watching.isEmpty)
    }

    @Test("the command table answers COMMAND, and every row is found by its name")
    func table() throws {
        let talk = try Conversation()
        let count = CommandID.allCases.count
        #expect(try talk.command("COMMAND", "COUNT") == ":\(count)\r\n")
        #expect(try talk.command("COMMAND").hasPrefix("*\(count)\r\n*10\r\n$4\r\nping\r\n:-1\r\n"))
        #expect(try talk.command("COMMAND", "INFO", "lock.release", "nope").hasSuffix("*-1\r\n") == false)
        for id in CommandID.allCases {
            #expect(CommandTable.shared[id].id == id)
            #expect(CommandTable.shared.find(CommandTable.shared[id].name.lowercased())?.id == id)
        }
        let docs = try talk.command("COMMAND", "DOCS", "lock.acquire")
        #expect(docs.contains("$7\r\nsummary\r\n") && docs.contains("$5\r\ntoken\r\n$4\r\nWAIT\r\n"))
        let arguments = CommandSyntax.arguments(of: "[NAMESPACE ns] name [name …]")
        #expect(arguments.map(\.name) == ["ns", "name"])
        #expect(arguments[0].token == "NAMESPACE" && arguments[0].isOptional && arguments[1].isMultiple)
    }

    @Test("what clients ask before they begin")
    func greetings() throws {
        let talk = try Conversation()
        #expect(try talk.command("PING") == "+PONG\r\n")
        #expect(try talk.command("PING", "x") == "$1\r\nx\r\n")
        #expect(try talk.command("ECHO", "x") == "$1\r\nx\r\n")
        #expect(try talk.command("SELECT", "0") == "+OK\r\n")
        #expect(try talk.command("CLIENT", "SETINFO", "LIB-NAME", "redis-py") == "+OK\r\n")
        #expect(try talk.command("CLIENT", "ID") == ":1\r\n")
        #expect(try talk.command("CLIENT", "INFO").contains("lib-name=redis-py"))
        #expect(try talk.command("CONFIG", "GET", "save") == "*2\r\n$4\r\nsave\r\n$0\r\n\r\n")
        #expect(try talk.command("CONFIG", "GET", "appendonly") == "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n")
        #expect(try talk.command("RESET") == "+RESET\r\n")
        #expect(try talk.command("TIME").hasPrefix("*2\r\n$10\r\n"))
        #expect(try talk.send("QUIT\r\nPING\r\n") == "+OK\r\n")
        #expect(!talk.isOpen)
    }
}
