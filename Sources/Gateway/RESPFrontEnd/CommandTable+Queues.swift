// SPDX-License-Identifier: Apache-2.0

extension CommandTable {
    private static let settings =
        "[LANES n] [LEASE ms] [MAXATTEMPTS n] [DEADLETTER queue] [MAXLEN n] [MAXBYTES n] "
        + "[OVERFLOW REJECT|DROPOLDEST] [TTL ms] [DEDUP ms]"

    private static func row(
        _ id: CommandID,
        _ name: String,
        _ syntax: String,
        _ arity: Int,
        _ flags: [String],
        _ summary: String
    ) -> CommandDescription {
        CommandDescription(id, name, syntax, arity: arity, flags, .queue, summary)
    }

    static let queues: [CommandDescription] =
        [
            row(
                .queueDeclare,
                "QUEUE.DECLARE",
                "name \(settings)",
                -2,
                ["write"],
                "Creates a queue; OK also when it exists with these settings."
            ),
            row(
                .queueUpdate,
                "QUEUE.UPDATE",
                "name \(settings)",
                -4,
                ["write"],
                "Changes the settings named and leaves the others; lanes can only be raised."
            ),
            row(
                .queueDelete,
                "QUEUE.DELETE",
                "name",
                2,
                ["write"],
                "Deletes a queue; answers how many messages were in it."
            ),
            row(
                .queuePurge,
                "QUEUE.PURGE",
                "name",
                2,
                ["write"],
                "Removes every message; answers how many there were."
            ),
            row(
                .queuePause,
                "QUEUE.PAUSE",
                "name PUBLISH|CONSUME",
                3,
                ["write", "admin"],
                "Refuses publishes, or delivers nothing, until resumed."
            ),
            row(
                .queueResume,
                "QUEUE.RESUME",
                "name PUBLISH|CONSUME",
                3,
                ["write", "admin"],
                "Ends a pause."
            ),
            row(
                .queueStats,
                "QUEUE.STATS",
                "name",
                2,
                ["readonly"],
                "Depth by state, ages, totals, dwell times and settings of a queue; null when there is none."
            ),
            row(
                .queueList,
                "QUEUE.LIST",
                "[PREFIX p] [AFTER name] [COUNT n]",
                -1,
                ["readonly"],
                "The queues in the order of their names, page by page."
            ),
        ] + messages + settling + others

    private static let messages: [CommandDescription] = [
        row(
            .queuePublish,
            "QUEUE.PUBLISH",
            "name body [KEY k] [DELAY ms|AT unix-ms] [PRIORITY n] [TTL ms] [TENANT t] [ID dedup-id] [HEADER k v] "
                + "[LOCK name TOKEN t] [NAMESPACE ns] [PRODUCER id SEQUENCE n] [NODECLARE]",
            -3,
            ["write"],
            "Stores a message on a majority of disks; answers its id, or the first one's when it was known."
        ),
        row(
            .queuePublishMany,
            "QUEUE.PUBLISHMANY",
            "name body [body …]",
            -3,
            ["write"],
            "Stores several messages, in one lane all or none; answers their ids."
        ),
        row(
            .queueReceive,
            "QUEUE.RECEIVE",
            "name [COUNT n] [WAIT ms] [LEASE ms] [MAXBYTES n] [CONSUMER id]",
            -2,
            ["write", "blocking"],
            "Leases messages to the caller; answers an array of maps, empty when none came in time."
        ),
        row(
            .queueSubscribe,
            "QUEUE.SUBSCRIBE",
            "name [CREDIT n] [LEASE ms] [CONSUMER id]",
            -2,
            ["pubsub"],
            "Pushes messages as they come (RESP3), at most CREDIT unsettled; answers the subscriptions."
        ),
        row(
            .queueUnsubscribe,
            "QUEUE.UNSUBSCRIBE",
            "name",
            2,
            ["pubsub"],
            "Ends the pushing; what was pushed can still be settled. Answers the subscriptions left."
        ),
        row(
            .queuePeek,
            "QUEUE.PEEK",
            "name [STATE READY|INFLIGHT|DELAYED|DEAD] [COUNT n]",
            -2,
            ["readonly"],
            "The first messages in a state, without taking them."
        ),
        row(.queueGet, "QUEUE.GET", "name id", 3, ["readonly"], "One message in any state; null when it is gone."),
        row(
            .queueCancel,
            "QUEUE.CANCEL",
            "name id",
            3,
            ["write"],
            "Removes a message that is not in flight; 1, or 0 when it is gone."
        ),
    ]

    private static let settling: [CommandDescription] = [
        row(
            .queueAck,
            "QUEUE.ACK",
            "name receipt [receipt …]",
            -3,
            ["write"],
            "Done: removes the messages. Answers how many were acknowledged now."
        ),
        row(
            .queueNack,
            "QUEUE.NACK",
            "name receipt [receipt …] [DELAY ms] [REASON text]",
            -3,
            ["write"],
            "Failed: counts as an attempt and comes again, or becomes a dead letter."
        ),
        row(
            .queueReturn,
            "QUEUE.RETURN",
            "name receipt [receipt …] [DELAY ms]",
            -3,
            ["write"],
            "Gives messages back unread; does not count as an attempt."
        ),
        row(
            .queueReject,
            "QUEUE.REJECT",
            "name receipt [receipt …] [REASON text]",
            -3,
            ["write"],
            "Failed for good: makes dead letters at once."
        ),
        row(
            .queueExtend,
            "QUEUE.EXTEND",
            "name receipt [receipt …] LEASE ms",
            -5,
            ["write"],
            "Lets the lease run anew from now."
        ),
    ]

    private static let others: [CommandDescription] = [
        row(
            .queueRedrive,
            "QUEUE.REDRIVE",
            "name [COUNT n] [RATE n] [TO queue] [CAUSE ATTEMPTS|REJECTED]",
            -2,
            ["write"],
            "Moves dead letters back to where they died, or elsewhere; answers how many moved and are left."
        ),
        row(
            .queueRedriveCancel,
            "QUEUE.REDRIVECANCEL",
            "name",
            2,
            ["write"],
            "Stops a redrive; answers how many moved and were left."
        ),
        row(
            .queueConsumer,
            "QUEUE.CONSUMER",
            "OPEN name id [TTL ms] [CREDIT n] [LABEL text]|RENEW name id|CLOSE name id|RESUME name id [receipt …]"
                + "|INFO name id",
            -4,
            ["write"],
            "Sessions of consumers: what one has in flight returns when it ends."
        ),
    ]
}
