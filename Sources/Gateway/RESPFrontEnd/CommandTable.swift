// SPDX-License-Identifier: Apache-2.0

/// Every command of the RESP front end.
enum CommandID: UInt8, Sendable, CaseIterable {
    case ping, echo, hello, auth, client, command, config, cluster, info, select, reset, quit, time
    case subscribe, unsubscribe
    case sessionOpen, sessionRenew, sessionClose, sessionInfo, sessionList
    case lockAcquire, lockAcquireAll, lockConvert, lockRelease, lockInfo, lockList, lockCheck, lockBreak
    case lockWatch, lockUnwatch
    case semaphoreAcquire, semaphoreRelease
    case electionCampaign, electionLeader, electionResign
    // The families below stand together, so that two comparisons tell them.
    case queueDeclare, queueUpdate, queueDelete, queuePurge, queuePause, queueResume, queueStats, queueList
    case queuePublish, queuePublishMany, queueReceive, queueSubscribe, queueUnsubscribe
    case queueAck, queueNack, queueReturn, queueReject, queueExtend, queuePeek, queueGet, queueCancel
    case queueRedrive, queueRedriveCancel, queueConsumer
    case get, set, setnx, setex, psetex, getset, getdel, getex, mget, mset, msetnx, del, unlink, exists, touch
    case expire, pexpire, expireAt, pexpireAt, expireTime, pexpireTime, persist, ttl, pttl
    case incr, decr, incrBy, decrBy, incrByFloat, append, strlen, getRange, substr, setRange, type
    case dbsize, scan, keys, flushAll, flushDB, line, cacheStats, cacheFlush, cacheEvict

    var isQueue: Bool { rawValue >= CommandID.queueDeclare.rawValue && !isCache }

    var isCache: Bool { rawValue >= CommandID.get.rawValue }
}

/// One row of the command table: what dispatch, `COMMAND` and error texts know about a command.
struct CommandDescription: Sendable {
    let id: CommandID
    /// Upper case.
    let name: String
    /// Arguments after the name, as documentation writes them.
    let syntax: String
    /// By Redis' convention: the exact count with the name, or minus the least count.
    let arity: Int
    let flags: [String]
    let family: CommandFamily
    let summary: String
    let since: String
    let keys: CommandKeys

    init(
        _ id: CommandID,
        _ name: String,
        _ syntax: String,
        arity: Int,
        _ flags: [String],
        _ family: CommandFamily,
        _ summary: String,
        since: String = "0.1.0",
        keys: CommandKeys = .none
    ) {
        self.id = id
        self.name = name
        self.syntax = syntax
        self.arity = arity
        self.flags = flags
        self.family = family
        self.summary = summary
        self.since = since
        self.keys = keys
    }

    var usage: String { syntax.isEmpty ? name : "\(name) \(syntax)" }

    func accepts(count: Int) -> Bool { arity >= 0 ? count == arity : count >= -arity }
}

/// Which arguments of a command are keys, as `COMMAND INFO` tells: the first, the last (-1: the last argument) and the
/// step between them.
struct CommandKeys: Sendable, Equatable {
    let first: Int
    let last: Int
    let step: Int

    static let none = CommandKeys(first: 0, last: 0, step: 0)
    static let one = CommandKeys(first: 1, last: 1, step: 1)
    static let all = CommandKeys(first: 1, last: -1, step: 1)
    static let pairs = CommandKeys(first: 1, last: -1, step: 2)

    /// The positions of the keys among so many arguments, the name included.
    func positions(count: Int) -> [Int] {
        guard first > 0 else { return [] }
        return Array(stride(from: first, through: last < 0 ? count + last : min(last, count - 1), by: step))
    }
}

/// The command table as data.
struct CommandTable: Sendable {
    static let shared = CommandTable()

    /// In the order of `CommandID`, so that the id is the position.
    let commands: [CommandDescription]
    private let index: CommandIndex

    private init() {
        let rows = Self.connection + Self.sessions + Self.locks + Self.others + Self.queues + Self.cache
        commands = rows.sorted { $0.id.rawValue < $1.id.rawValue }
        index = CommandIndex(commands.map(\.name))
    }

    subscript(id: CommandID) -> CommandDescription { commands[Int(id.rawValue)] }

    /// Finds a command by its name's bytes, in any case.
    func find(_ name: UnsafeRawBufferPointer) -> CommandID? {
        index.position(of: name).map { commands[$0].id }
    }

    func find(_ name: String) -> CommandDescription? {
        var name = name
        return name.withUTF8 { find(UnsafeRawBufferPointer($0)) }.map { self[$0] }
    }

    private static let connection: [CommandDescription] = [
        .init(.ping, "PING", "[message]", arity: -1, ["fast"], .connection, "Answers PONG, or the message."),
        .init(.echo, "ECHO", "message", arity: 2, ["fast"], .connection, "Answers the message."),
        .init(
            .hello,
            "HELLO",
            "[protover [AUTH username password] [SETNAME name]]",
            arity: -1,
            ["noscript", "fast"],
            .connection,
            "Chooses the protocol version (2 or 3) and tells about the server."
        ),
        .init(
            .auth,
            "AUTH",
            "[username] password",
            arity: -2,
            ["noscript", "fast"],
            .connection,
            "Authenticates the connection."
        ),
        .init(
            .client,
            "CLIENT",
            "ID|SETNAME name|GETNAME|SETINFO attribute value|INFO|LIST|KILL filter|UNBLOCK id|NO-EVICT on|NO-TOUCH on"
                + "|TRACKING on|CACHING yes|TRACKINGINFO|GETREDIR",
            arity: -2,
            ["noscript"],
            .connection,
            "Commands about client connections."
        ),
        .init(
            .command,
            "COMMAND",
            "[COUNT|DOCS name|INFO name|LIST]",
            arity: -1,
            ["loading"],
            .connection,
            "Describes the commands of this server."
        ),
        .init(
            .config,
            "CONFIG",
            "GET parameter",
            arity: -2,
            ["admin", "noscript"],
            .connection,
            "Reads settings that Redis clients ask for."
        ),
        .init(
            .cluster,
            "CLUSTER",
            "INFO",
            arity: -2,
            ["admin"],
            .cluster,
            "Answers as Redis without cluster mode; any node serves any request."
        ),
        .init(.info, "INFO", "[section …]", arity: -1, ["loading"], .connection, "Facts about this server."),
        .init(.select, "SELECT", "index", arity: 2, ["fast"], .connection, "Selects database 0, the only one."),
        .init(.reset, "RESET", "", arity: 1, ["noscript", "fast"], .connection, "Resets the connection's state."),
        .init(.quit, "QUIT", "", arity: -1, ["noscript", "fast"], .connection, "Closes the connection."),
        .init(
            .subscribe,
            "SUBSCRIBE",
            "channel [channel …]",
            arity: -2,
            ["pubsub", "noscript", "loading", "stale"],
            .connection,
            "Takes the invalidations of connections that redirect theirs here; the one channel is __redis__:invalidate."
        ),
        .init(
            .unsubscribe,
            "UNSUBSCRIBE",
            "[channel …]",
            arity: -1,
            ["pubsub", "noscript", "loading", "stale"],
            .connection,
            "Ends what SUBSCRIBE began."
        ),
        .init(.time, "TIME", "", arity: 1, ["fast"], .connection, "The server's wall clock: seconds, microseconds."),
    ]

    private static let sessions: [CommandDescription] = [
        .init(
            .sessionOpen,
            "SESSION.OPEN",
            "[ID id] [TTL ms] [LABEL text] [OWNER id] [LOCKDELAY ms] [NAMESPACE ns]",
            arity: -1,
            ["write"],
            .session,
            "Opens a session, the owner of locks; answers its id."
        ),
        .init(
            .sessionRenew,
            "SESSION.RENEW",
            "id",
            arity: 2,
            ["fast"],
            .session,
            "Prolongs a session; answers the milliseconds granted."
        ),
        .init(
            .sessionClose,
            "SESSION.CLOSE",
            "id",
            arity: 2,
            ["write"],
            .session,
            "Closes a session; answers how many locks that released."
        ),
        .init(.sessionInfo, "SESSION.INFO", "id", arity: 2, ["readonly"], .session, "What a session is and holds."),
        .init(
            .sessionList,
            "SESSION.LIST",
            "[NAMESPACE ns] [CURSOR c] [COUNT n]",
            arity: -1,
            ["readonly"],
            .session,
            "The sessions of a namespace, page by page."
        ),
    ]

    private static let locks: [CommandDescription] = [
        .init(
            .lockAcquire,
            "LOCK.ACQUIRE",
            "name SESSION id [MODE SHARED|UPDATE|EXCLUSIVE] [WAIT ms|FOREVER] [PRIORITY n] [SEQ n]",
            arity: -4,
            ["write", "blocking"],
            .lock,
            "Acquires a lock; answers its fencing token, or null when not had in time."
        ),
        .init(
            .lockAcquireAll,
            "LOCK.ACQUIREALL",
            "SESSION id [WAIT ms|FOREVER] [PRIORITY n] [SEQ n] name mode [name mode …]",
            arity: -5,
            ["write", "blocking"],
            .lock,
            "Acquires several locks, all or none; answers their tokens, or null."
        ),
        .init(
            .lockConvert,
            "LOCK.CONVERT",
            "name SESSION id MODE SHARED|UPDATE|EXCLUSIVE [WAIT ms|FOREVER] [SEQ n]",
            arity: -6,
            ["write", "blocking"],
            .lock,
            "Changes the mode of a held lock; answers its token."
        ),
        .init(
            .lockRelease,
            "LOCK.RELEASE",
            "name SESSION id [SEQ n]",
            arity: -4,
            ["write"],
            .lock,
            "Releases a lock once; answers the holds left."
        ),
        .init(
            .lockInfo,
            "LOCK.INFO",
            "name [NAMESPACE ns]",
            arity: -2,
            ["readonly"],
            .lock,
            "Who holds a lock and who waits for it; null when nobody does."
        ),
        .init(
            .lockList,
            "LOCK.LIST",
            "[NAMESPACE ns] [PREFIX p] [CURSOR c] [COUNT n]",
            arity: -1,
            ["readonly"],
            .lock,
            "The locks of a namespace, page by page."
        ),
        .init(
            .lockCheck,
            "LOCK.CHECK",
            "name TOKEN t [NAMESPACE ns]",
            arity: -4,
            ["readonly"],
            .lock,
            "1 when the token is a current holder's, else 0."
        ),
        .init(
            .lockBreak,
            "LOCK.BREAK",
            "name REASON text [NAMESPACE ns]",
            arity: -4,
            ["write", "admin"],
            .lock,
            "Takes a lock from its holders; answers how many there were."
        ),
        .init(
            .lockWatch,
            "LOCK.WATCH",
            "[NAMESPACE ns] name [name …]",
            arity: -2,
            ["pubsub"],
            .lock,
            "Pushes what happens to the named locks (RESP3); answers how many names are watched."
        ),
        .init(
            .lockUnwatch,
            "LOCK.UNWATCH",
            "[NAMESPACE ns] [name …]",
            arity: -1,
            ["pubsub"],
            .lock,
            "Ends watching the named locks, or all; answers how many names are still watched."
        ),
    ]

    private static let others: [CommandDescription] = [
        .init(
            .semaphoreAcquire,
            "SEMAPHORE.ACQUIRE",
            "name SESSION id LIMIT n [PERMITS k] [WAIT ms|FOREVER] [SEQ n]",
            arity: -6,
            ["write", "blocking"],
            .semaphore,
            "Takes permits of a semaphore; answers a token, or null when not had in time."
        ),
        .init(
            .semaphoreRelease,
            "SEMAPHORE.RELEASE",
            "name SESSION id [PERMITS k] [SEQ n]",
            arity: -4,
            ["write"],
            .semaphore,
            "Gives permits back; answers the permits left to the session."
        ),
        .init(
            .electionCampaign,
            "ELECTION.CAMPAIGN",
            "name SESSION id VALUE v [WAIT ms|FOREVER] [SEQ n]",
            arity: -6,
            ["write", "blocking"],
            .election,
            "Stands for leader; answers a token once elected, or null."
        ),
        .init(
            .electionLeader,
            "ELECTION.LEADER",
            "name [NAMESPACE ns]",
            arity: -2,
            ["readonly"],
            .election,
            "The leader's session, value and token; null when there is none."
        ),
        .init(
            .electionResign,
            "ELECTION.RESIGN",
            "name SESSION id [SEQ n]",
            arity: -4,
            ["write"],
            .election,
            "Gives up leadership, or a candidacy held."
        ),
    ]
}
