// SPDX-License-Identifier: Apache-2.0

extension CommandTable {
    private static func row(
        _ id: CommandID,
        _ name: String,
        _ syntax: String,
        _ arity: Int,
        _ flags: String,
        _ keys: CommandKeys,
        _ summary: String
    ) -> CommandDescription {
        let flags = flags.split(separator: " ").map(String.init)
        return CommandDescription(id, name, syntax, arity: arity, flags, .cache, summary, keys: keys)
    }

    /// Arity, flags and keys as in Redis 7.
    static let cache: [CommandDescription] = wholeValues + partsAndNode

    private static let wholeValues: [CommandDescription] = [
        row(
            .get,
            "GET",
            "key",
            2,
            "readonly fast",
            .one,
            "The value of a key; null when there is none."
        ),
        row(
            .set,
            "SET",
            "key value [NX|XX|IFEQ value|IFNE value|IFVERSION version] [GET] "
                + "[EX seconds|PX ms|EXAT unix-seconds|PXAT unix-ms|KEEPTTL] "
                + "[DURABILITY REPLICATED|THROUGH|LOCAL|VOLATILE] [LOCK name TOKEN t] [NAMESPACE ns]",
            -3,
            "write denyoom",
            .one,
            "Sets a value, if its condition holds; answers OK or null, with GET what stood there."
        ),
        row(
            .setnx,
            "SETNX",
            "key value",
            3,
            "write denyoom fast",
            .one,
            "Sets a value where there is none; 1 when it did."
        ),
        row(
            .setex,
            "SETEX",
            "key seconds value",
            4,
            "write denyoom",
            .one,
            "Sets a value that lives so many seconds."
        ),
        row(
            .psetex,
            "PSETEX",
            "key ms value",
            4,
            "write denyoom",
            .one,
            "Sets a value that lives so many milliseconds."
        ),
        row(
            .getset,
            "GETSET",
            "key value",
            3,
            "write denyoom fast",
            .one,
            "Sets a value and answers what stood there."
        ),
        row(
            .getdel,
            "GETDEL",
            "key",
            2,
            "write fast",
            .one,
            "Removes a key and answers what stood there."
        ),
        row(
            .getex,
            "GETEX",
            "key [EX seconds|PX ms|EXAT unix-seconds|PXAT unix-ms|PERSIST]",
            -2,
            "write fast",
            .one,
            "The value of a key, whose expiry it sets or takes away."
        ),
        row(
            .mget,
            "MGET",
            "key [key …]",
            -2,
            "readonly fast",
            .all,
            "The values of several keys, each read on its own."
        ),
        row(
            .mset,
            "MSET",
            "key value [key value …]",
            -3,
            "write denyoom",
            .pairs,
            "Sets several keys, each on its own: not one atomic step."
        ),
        row(
            .msetnx,
            "MSETNX",
            "key value",
            -3,
            "write denyoom",
            .pairs,
            "Sets a value where there is none; of one key only."
        ),
        row(
            .del,
            "DEL",
            "key [key …]",
            -2,
            "write",
            .all,
            "Removes keys; answers how many there were."
        ),
        row(
            .unlink,
            "UNLINK",
            "key [key …]",
            -2,
            "write fast",
            .all,
            "Removes keys; answers how many there were."
        ),
        row(
            .exists,
            "EXISTS",
            "key [key …]",
            -2,
            "readonly fast",
            .all,
            "How many of the keys there are."
        ),
        row(
            .touch,
            "TOUCH",
            "key [key …]",
            -2,
            "readonly fast",
            .all,
            "Counts the keys there are as used; answers their number."
        ),
        row(
            .expire,
            "EXPIRE",
            "key seconds [NX|XX|GT|LT]",
            -3,
            "write fast",
            .one,
            "Lets a key expire in so many seconds; 1 when it will."
        ),
        row(
            .pexpire,
            "PEXPIRE",
            "key ms [NX|XX|GT|LT]",
            -3,
            "write fast",
            .one,
            "Lets a key expire in so many milliseconds; 1 when it will."
        ),
        row(
            .expireAt,
            "EXPIREAT",
            "key unix-seconds [NX|XX|GT|LT]",
            -3,
            "write fast",
            .one,
            "Lets a key expire at a moment; 1 when it will."
        ),
        row(
            .pexpireAt,
            "PEXPIREAT",
            "key unix-ms [NX|XX|GT|LT]",
            -3,
            "write fast",
            .one,
            "Lets a key expire at a moment; 1 when it will."
        ),
        row(
            .expireTime,
            "EXPIRETIME",
            "key",
            2,
            "readonly fast",
            .one,
            "When a key expires, in Unix seconds; -1 never, -2 there is none."
        ),
        row(
            .pexpireTime,
            "PEXPIRETIME",
            "key",
            2,
            "readonly fast",
            .one,
            "When a key expires, in Unix milliseconds; -1 never, -2 there is none."
        ),
        row(
            .persist,
            "PERSIST",
            "key",
            2,
            "write fast",
            .one,
            "Takes a key's expiry away; 1 when it had one."
        ),
        row(
            .ttl,
            "TTL",
            "key",
            2,
            "readonly fast",
            .one,
            "Seconds that a key has left; -1 for ever, -2 there is none."
        ),
        row(
            .pttl,
            "PTTL",
            "key",
            2,
            "readonly fast",
            .one,
            "Milliseconds that a key has left; -1 for ever, -2 there is none."
        ),
    ]

    private static let partsAndNode: [CommandDescription] = [
        row(
            .incr,
            "INCR",
            "key",
            2,
            "write denyoom fast",
            .one,
            "Adds one to a number; answers the new one."
        ),
        row(
            .decr,
            "DECR",
            "key",
            2,
            "write denyoom fast",
            .one,
            "Takes one from a number; answers the new one."
        ),
        row(
            .incrBy,
            "INCRBY",
            "key n",
            3,
            "write denyoom fast",
            .one,
            "Adds to a number; answers the new one."
        ),
        row(
            .decrBy,
            "DECRBY",
            "key n",
            3,
            "write denyoom fast",
            .one,
            "Takes from a number; answers the new one."
        ),
        row(
            .incrByFloat,
            "INCRBYFLOAT",
            "key x",
            3,
            "write denyoom fast",
            .one,
            "Adds to a decimal number, exactly; answers the new one."
        ),
        row(
            .append,
            "APPEND",
            "key value",
            3,
            "write denyoom fast",
            .one,
            "Lengthens a value; answers its length."
        ),
        row(
            .strlen,
            "STRLEN",
            "key",
            2,
            "readonly fast",
            .one,
            "The length of a value in bytes; 0 when there is none."
        ),
        row(
            .getRange,
            "GETRANGE",
            "key start end",
            4,
            "readonly",
            .one,
            "A part of a value, both ends included; negative ones count from the end."
        ),
        row(
            .substr,
            "SUBSTR",
            "key start end",
            4,
            "readonly",
            .one,
            "The old name of GETRANGE."
        ),
        row(
            .setRange,
            "SETRANGE",
            "key offset value",
            4,
            "write denyoom",
            .one,
            "Overwrites a part of a value; answers its length."
        ),
        row(
            .type,
            "TYPE",
            "key",
            2,
            "readonly fast",
            .one,
            "string, or none when there is no such key."
        ),
        row(
            .dbsize,
            "DBSIZE",
            "",
            1,
            "readonly fast",
            .none,
            "How many keys the cluster has."
        ),
        row(
            .scan,
            "SCAN",
            "cursor [MATCH pattern] [COUNT n] [TYPE type]",
            -2,
            "readonly",
            .none,
            "The keys, page by page."
        ),
        row(
            .keys,
            "KEYS",
            "pattern",
            2,
            "readonly",
            .none,
            "All keys that match, at most 100,000."
        ),
        row(
            .flushAll,
            "FLUSHALL",
            "[ASYNC|SYNC]",
            -1,
            "write",
            .none,
            "Removes every key of the cluster."
        ),
        row(
            .flushDB,
            "FLUSHDB",
            "[ASYNC|SYNC]",
            -1,
            "write",
            .none,
            "Removes every key of the cluster: there is one database."
        ),
        row(
            .line,
            "LINE",
            "key",
            2,
            "readonly",
            .one,
            "What every node holds of a key: state, version and lease."
        ),
        row(
            .cacheStats,
            "CACHE.STATS",
            "",
            1,
            "readonly fast",
            .none,
            "Figures of this node's cache."
        ),
        row(
            .cacheFlush,
            "CACHE.FLUSH",
            "[ALL]",
            -1,
            "write admin",
            .none,
            "Writes back what only this node's lines, or those of ALL nodes, have until now; answers how many."
        ),
        row(
            .cacheEvict,
            "CACHE.EVICT",
            "key",
            2,
            "write admin",
            .one,
            "Drops a key's line from this node, written back if need be, after writes under way; 1 when it held one."
        ),
    ]
}
