// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import SynclineClient

struct QueueStatistics: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Show a queue's depth, totals, dwell times and settings."
    )

    @Argument(help: "The queue's name.")
    var name: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withQueue(name) { queue in
            guard let stats = try await queue.stats() else {
                throw SynclineError(code: .noQueue, message: "queue '\(name)' does not exist")
            }
            connection.report(connection.output == .table ? QueueTable.show(stats) : "", stats)
        }
    }
}

struct QueueList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List queues with their depths.")

    @Option(help: "Only names that begin with it.")
    var prefix = ""

    @Option(help: "At most so many.")
    var limit = 1000

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard limit > 0 else { throw ValidationError("--limit must be at least 1") }
    }

    func run() async throws {
        try await connection.withClient { client in
            var found: [QueueStats] = []
            var next = ""
            repeat {
                let (page, after) = try await client.listQueues(
                    prefix: prefix,
                    after: next,
                    limit: min(limit - found.count, 1000)
                )
                found += page
                next = after
            } while !next.isEmpty && found.count < limit
            guard connection.output == .table else { return Console.out(JSONText.encode(found)) }
            Console.out(QueueTable.list(found))
            if !next.isEmpty { Console.note("there are more: raise --limit or narrow with --prefix") }
        }
    }
}

/// The settings as flags; those that are not given are left out.
struct QueueSettingArguments: ParsableArguments {
    @Option(help: ArgumentHelp("Parts the queue is spread over, 1–1024; can only be raised.", valueName: "n"))
    var lanes: Int?

    @Option(help: ArgumentHelp("How long a delivery is leased (30s).", valueName: "time"))
    var lease: TimeSpan?

    @Option(help: ArgumentHelp("Failed attempts until a message is a dead letter (10); 0: never.", valueName: "n"))
    var maxAttempts: Int?

    @Option(help: ArgumentHelp("Where dead letters move to, such as {orders}.dead.", valueName: "queue"))
    var deadLetter: String?

    @Option(help: ArgumentHelp("Messages it takes; 0: any number.", valueName: "n"))
    var maxLength: Int?

    @Option(help: ArgumentHelp("Bytes it takes; 0: any number.", valueName: "n"))
    var maxBytes: Int?

    @Option(help: ArgumentHelp("When it is full: reject or drop-oldest.", valueName: "how"))
    var overflow: QueueOptions.Overflow?

    @Option(help: ArgumentHelp("Lifetime of messages that bring none of their own.", valueName: "time"))
    var ttl: TimeSpan?

    @Option(help: ArgumentHelp("How long ids of messages are remembered (5m).", valueName: "time"))
    var dedup: TimeSpan?

    func options() throws -> QueueOptions {
        var options = QueueOptions()
        options.lanes = lanes
        options.lease = try lease?.finite("--lease")
        options.maxAttempts = maxAttempts
        options.deadLetter = deadLetter
        options.maxLength = maxLength
        options.maxBytes = maxBytes
        options.overflow = overflow
        options.ttl = try ttl?.finite("--ttl")
        options.dedupWindow = try dedup?.finite("--dedup")
        return options
    }
}

struct QueueDeclare: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "declare",
        abstract: "Make a queue, or find that it is there as asked."
    )

    @Argument(help: "The queue's name.")
    var name: String

    @OptionGroup var settings: QueueSettingArguments
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let options = try settings.options()
        try await connection.withQueue(name) { queue in
            try await queue.declare(options)
            connection.report("\(name) is there", ["queue": name])
        }
    }
}

struct QueueUpdate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update",
        abstract: "Change settings of a queue; those not named stay as they are."
    )

    @Argument(help: "The queue's name.")
    var name: String

    @OptionGroup var settings: QueueSettingArguments
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let options = try settings.options()
        guard options != QueueOptions() else { throw ValidationError("name at least one setting to change") }
        try await connection.withQueue(name) { queue in
            try await queue.update(options)
            connection.report("\(name) is changed", ["queue": name])
        }
    }
}

struct QueuePurge: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "purge",
        abstract: "Remove every message of a queue, whatever its state."
    )

    @Argument(help: "The queue's name.")
    var name: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withQueue(name) { queue in
            let count = try await queue.purge()
            connection.report("\(count) messages removed", ["messages": count])
        }
    }
}

struct QueueDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Remove a queue with all its messages."
    )

    @Argument(help: "The queue's name.")
    var name: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withQueue(name) { queue in
            let count = try await queue.delete()
            connection.report("\(name) is removed, with \(count) messages", ["messages": count])
        }
    }
}

struct QueueRedrive: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redrive",
        abstract: "Put dead letters back to work, each into the queue it came from."
    )

    enum Cause: String, ExpressibleByArgument, CaseIterable {
        case attempts
        case rejected
    }

    @Argument(help: "The queue that has the dead letters.")
    var name: String

    @Option(help: ArgumentHelp("At most so many.", valueName: "n"))
    var count: Int?

    @Option(help: ArgumentHelp("Messages a second.", valueName: "n"))
    var rate: Int?

    @Option(help: ArgumentHelp("Into this queue instead.", valueName: "queue"))
    var to: String?

    @Option(help: "Only those that died of it: attempts or rejected.")
    var cause: Cause?

    @Flag(help: "End the redrive under way.")
    var stop = false

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withQueue(name) { queue in
            let progress =
                stop
                ? try await queue.cancelRedrive()
                : try await queue.redrive(
                    count: count,
                    rate: rate,
                    to: to,
                    cause: cause.map { DeadLetterCause(rawValue: $0.rawValue) }
                )
            let rest = progress.left > 0 ? ", \(progress.left) \(stop ? "left where they are" : "still to come")" : ""
            connection.report("\(progress.moved) moved\(rest)", progress)
        }
    }
}

struct QueuePause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Refuse publishes to a queue, or deliver nothing from it."
    )

    @Argument(help: "The queue's name.")
    var name: String

    @Argument(help: "publish or consume.")
    var side: QueueSide

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withQueue(name) { queue in
            try await queue.pause(side)
            connection.report("\(side.rawValue) is paused", ["paused": side])
        }
    }
}

struct QueueResume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "resume", abstract: "End a pause.")

    @Argument(help: "The queue's name.")
    var name: String

    @Argument(help: "publish or consume.")
    var side: QueueSide

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withQueue(name) { queue in
            try await queue.resume(side)
            connection.report("\(side.rawValue) goes on", ["resumed": side])
        }
    }
}
