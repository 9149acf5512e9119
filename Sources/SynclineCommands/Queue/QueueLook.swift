// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import SynclineClient

struct QueuePeek: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peek",
        abstract: "Look at messages without taking them."
    )

    @Argument(help: "The queue's name.")
    var name: String

    @Option(help: "ready, in-flight, delayed or dead.")
    var state: MessageState = .ready

    @Option(help: ArgumentHelp("At most so many, 1–100.", valueName: "n"))
    var count = 10

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard (1...100).contains(count) else { throw ValidationError("--count must be between 1 and 100") }
    }

    func run() async throws {
        try await connection.withQueue(name) { queue in
            let messages = try await queue.peek(state, count: count)
            guard connection.output == .table else {
                return Console.out(JSONText.encode(messages.map { MessageReport($0) }))
            }
            let rows = messages.map { message in
                [
                    message.id, message.state.rawValue, "\(message.failures)", message.key ?? "-", "\(message.bytes)",
                    message.deadLetter.map { QueueTable.why($0) } ?? message.consumer ?? "-",
                    message.body.map { QueueTable.body($0) } ?? "(gone)",
                ]
            }
            Console.out(TextTable.render(["ID", "STATE", "FAILED", "KEY", "BYTES", "WHO OR WHY", "BODY"], rows))
        }
    }
}

struct QueueGet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Look at one message by its id, in any state."
    )

    @Argument(help: "The queue's name.")
    var name: String

    @Argument(help: "The message's id.")
    var id: String

    @Flag(help: "Print the body alone, as it is.")
    var body = false

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withQueue(name) { queue in
            guard let message = try await queue.message(id) else {
                Console.error("queue '\(name)' has no message \(id): it was settled, expired or removed")
                throw ExitStatus.failure
            }
            if body {
                Console.raw(message.body ?? [])
            } else {
                connection.report(QueueTable.show(message), MessageReport(message))
            }
        }
    }
}

struct QueueCancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Remove one message that no consumer has, such as one that is scheduled."
    )

    @Argument(help: "The queue's name.")
    var name: String

    @Argument(help: "The message's id.")
    var id: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withQueue(name) { queue in
            let outcome = try await queue.cancel(id)
            if connection.output == .json { Console.out(JSONText.encode(["outcome": outcome])) }
            switch outcome {
            case .cancelled:
                if connection.output == .table { Console.out("cancelled") }
            case .notFound:
                Console.error("queue '\(name)' has no message \(id)")
                throw ExitStatus.failure
            case .inFlight:
                Console.error("a consumer has message \(id), so it was left alone")
                throw ExitStatus.failure
            }
        }
    }
}

enum QueueTable {
    /// Columns of a body that are shown.
    static let width = 60

    /// The beginning of a body on one line.
    static func body(_ body: [UInt8]) -> String {
        let text = LockTable.text(body)
        return text.count > width ? text.prefix(width - 1) + "…" : text
    }

    static func why(_ letter: DeadLetter) -> String {
        "\(letter.cause.rawValue)\(letter.reason.isEmpty ? "" : ": \(letter.reason)")"
    }

    static func list(_ queues: [QueueStats]) -> String {
        let rows = queues.map { queue in
            [
                queue.name, "\(queue.lanes)", "\(queue.ready)", "\(queue.inFlight)", "\(queue.delayed)",
                "\(queue.dead)", "\(queue.waiters)", age(queue.oldestReadyMilliseconds), paused(queue),
            ]
        }
        return TextTable.render(
            ["NAME", "LANES", "READY", "IN FLIGHT", "DELAYED", "DEAD", "WAITERS", "OLDEST", "PAUSED"],
            rows
        )
    }

    static func show(_ stats: QueueStats) -> String {
        func limit(_ value: Int?) -> String { value.map { $0 == 0 ? "none" : "\($0)" } ?? "-" }
        func time(_ milliseconds: Int?) -> String { milliseconds == 0 ? "none" : age(milliseconds) }
        func dwell(_ value: Double?) -> String { value.map { "\(Int($0.rounded(.up))) ms" } ?? "-" }
        let rows: [[String]] = [
            ["ready", "\(stats.ready)"], ["in flight", "\(stats.inFlight)"], ["delayed", "\(stats.delayed)"],
            ["dead", "\(stats.dead)"], ["bytes", "\(stats.bytes)"],
            ["oldest ready", age(stats.oldestReadyMilliseconds)],
            ["oldest in flight", age(stats.oldestInFlightMilliseconds)], ["waiting receives", "\(stats.waiters)"],
            ["tenants", "\(stats.tenants)"], ["paused", paused(stats)], ["redrive left", "\(stats.redriveLeft)"],
            ["dwell p50", dwell(stats.dwellP50Milliseconds)], ["dwell p99", dwell(stats.dwellP99Milliseconds)],
            ["published", "\(stats.publishedTotal)"], ["delivered", "\(stats.deliveredTotal)"],
            ["acked", "\(stats.ackedTotal)"], ["nacked", "\(stats.nackedTotal)"],
            ["returned", "\(stats.returnedTotal)"], ["leases expired", "\(stats.leasesExpiredTotal)"],
            ["dead-lettered", "\(stats.deadLetteredTotal)"], ["redriven", "\(stats.redrivenTotal)"],
            ["duplicates", "\(stats.duplicatesTotal)"], ["rejected", "\(stats.rejectedTotal)"],
            ["expired", "\(stats.expiredTotal)"], ["dropped", "\(stats.droppedTotal)"],
            ["purged", "\(stats.purgedTotal)"], ["lanes", "\(stats.lanes)"], ["lease", time(stats.leaseMilliseconds)],
            ["max attempts", limit(stats.maxAttempts)], ["dead-letter queue", stats.deadLetter ?? "-"],
            ["max length", limit(stats.maxLength)], ["max bytes", limit(stats.maxBytes)],
            ["overflow", stats.overflow ?? "-"], ["message ttl", time(stats.ttlMilliseconds)],
            ["dedup window", time(stats.dedupMilliseconds)],
        ]
        return TextTable.render(["QUEUE", stats.name], rows)
    }

    static func show(_ message: PeekedMessage) -> String {
        var rows: [[String]] = [
            ["state", message.state.rawValue], ["key", message.key ?? "-"], ["tenant", message.tenant ?? "-"],
            ["priority", "\(message.priority)"], ["bytes", "\(message.bytes)"],
            ["failed attempts", "\(message.failures)"], ["returns", "\(message.returns)"],
            ["deliveries", "\(message.deliveries)"], ["consumer", message.consumer ?? "-"],
        ]
        if let letter = message.deadLetter {
            rows.append(["died", "\(why(letter)) (in \(letter.origin), after \(letter.attempts) attempts)"])
        }
        for header in message.headers { rows.append(["header \(header.name)", LockTable.text(header.value)]) }
        rows.append(["body", message.body.map { body($0) } ?? "(gone)"])
        return TextTable.render(["MESSAGE", message.id], rows)
    }

    private static func age(_ milliseconds: Int?) -> String {
        milliseconds.flatMap { UInt64(exactly: $0) }.map { LockTable.age($0) } ?? "-"
    }

    private static func paused(_ queue: QueueStats) -> String {
        switch (queue.isPublishPaused, queue.isConsumePaused) {
        case (true, true): "publish, consume"
        case (true, false): "publish"
        case (false, true): "consume"
        case (false, false): "-"
        }
    }
}
