// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import SynclineClient

struct CacheGet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Print a key's value as it is.",
        discussion: "Ends with status 125 when there is no such key."
    )

    @Argument(help: "The key.")
    var key: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            guard let value = try await client.cache.get(key) else {
                Console.error("there is no key '\(key)'")
                throw ExitStatus.noKey
            }
            guard connection.output == .table else {
                return Console.out(JSONText.encode(CacheEntryReport(key: Array(key.utf8), value: value)))
            }
            Console.raw(value)
            // What is piped gets the value alone.
            if Console.outIsTerminal { Console.out("") }
        }
    }
}

struct CacheSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Set a key's value.",
        usage: """
            syncline cache set <key> <value> [options]
            syncline cache set <key> - [options]
            """,
        discussion: """
            `-` reads the value from standard input as it is, whatever bytes it has. Ends with status 125, and sets \
            nothing, when a condition (--if-…) does not hold.
            """
    )

    @Argument(help: "The key.")
    var key: String

    @Argument(help: "The value, or - for standard input.")
    var value: String

    @Option(help: ArgumentHelp("How long it lives: 500ms, 30s, 5m, 2h; for ever when not given.", valueName: "time"))
    var ttl: TimeSpan?

    @Flag(help: "It expires when the value before would have.")
    var keepTtl = false

    @Flag(help: "Only where there is no value.")
    var ifAbsent = false

    @Flag(help: "Only where there is a value.")
    var ifPresent = false

    @Option(help: ArgumentHelp("Only while this value stands there.", valueName: "value"))
    var ifEquals: String?

    @Option(
        help: ArgumentHelp("Only while a value of this version stands there, as `cache line` shows it.", valueName: "v")
    )
    var ifVersion: String?

    @Option(help: "replicated, through, local or volatile; as the cluster's settings say when not given.")
    var durability: Cache.Durability?

    @OptionGroup var fence: FenceOptions

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        let conditions = [ifAbsent, ifPresent, ifEquals != nil, ifVersion != nil].count { $0 }
        if conditions > 1 { throw ValidationError("give one of --if-absent, --if-present, --if-equals, --if-version") }
        if keepTtl, ttl != nil { throw ValidationError("give --ttl or --keep-ttl, not both") }
        if try ttl?.finite("--ttl") == .zero { throw ValidationError("--ttl must be at least 1ms") }
    }

    func run() async throws {
        var options = Cache.SetOptions()
        options.ttl = ttl?.duration
        options.keepsTTL = keepTtl
        options.condition = condition
        options.durability = durability
        options.lock = fence.grant
        let bytes = value == "-" ? StandardInput().all() : Array(value.utf8)
        try await connection.withClient { client in
            let isSet = try await client.cache.set(key, bytes, options)
            if connection.output == .json { Console.out(JSONText.encode(["set": isSet])) }
            guard isSet else {
                if connection.output == .table {
                    Console.error("'\(key)' is not as the condition wants it; nothing was set")
                }
                throw ExitStatus.noKey
            }
            if connection.output == .table { Console.out("set") }
        }
    }

    private var condition: Cache.Condition {
        if ifAbsent { return .absent }
        if ifPresent { return .present }
        if let ifEquals { return .equals(Array(ifEquals.utf8)) }
        return ifVersion.map { .version($0) } ?? .always
    }
}

struct CacheDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "del",
        abstract: "Remove keys, one after the other.",
        discussion: "When some cannot be removed, the others are, and those are named.",
        aliases: ["delete"]
    )

    @Argument(help: "The keys.")
    var keys: [String]

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        var report = CacheRemovalReport()
        var failure: SynclineError?
        try await connection.withClient { client in
            for (index, key) in keys.enumerated() {
                do throws(SynclineError) {
                    if try await client.cache.delete(key) { report.removed += 1 }
                } catch {
                    failure = failure ?? error
                    if error.outcome == .unknown { report.unknown.append(key) } else { report.notDone.append(key) }
                    // Other keys are in other shards, which may serve. Without a node there is nobody to ask.
                    guard error.code == .unreachable else { continue }
                    report.notDone += keys[(index + 1)...]
                    break
                }
            }
            guard let failure else {
                return connection.report("removed \(report.removed) of \(keys.count)", ["removed": report.removed])
            }
            connection.report(report.text(of: keys.count), report)
            throw failure
        }
    }
}

/// What became of keys that were to be removed, when not all were answered.
struct CacheRemovalReport: Encodable {
    var removed = 0
    /// Perhaps removed.
    var unknown: [String] = []
    var notDone: [String] = []

    enum CodingKeys: String, CodingKey {
        case removed, unknown
        case notDone = "not_done"
    }

    func text(of count: Int) -> String {
        var lines = ["removed \(removed) of \(count)"]
        if !unknown.isEmpty { lines.append("perhaps removed: \(unknown.joined(separator: ", "))") }
        if !notDone.isEmpty { lines.append("not done: \(notDone.joined(separator: ", "))") }
        return lines.joined(separator: "\n")
    }
}

struct CacheIncrement: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "incr",
        abstract: "Add to a number and print the new one; an absent key counts as 0."
    )

    @Argument(help: "The key.")
    var key: String

    @Option(parsing: .unconditional, help: ArgumentHelp("How much; may be negative.", valueName: "n"))
    var by: Int64 = 1

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            let value = try await client.cache.increment(key, by: by)
            connection.report("\(value)", ["value": value])
        }
    }
}
