// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import SynclineClient

struct CacheScan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scan",
        abstract: "List keys, in no order.",
        discussion: "A key that was there throughout is listed; one that comes or goes meanwhile, perhaps."
    )

    @Option(help: ArgumentHelp("Only keys like this: *, ? and [a-z] stand for others.", valueName: "pattern"))
    var match: String?

    @Option(help: ArgumentHelp("At most so many.", valueName: "n"))
    var limit = 1000

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard limit > 0 else { throw ValidationError("--limit must be at least 1") }
    }

    func run() async throws {
        try await connection.withClient { client in
            var found: [[UInt8]] = []
            var seen: Set<[UInt8]> = []
            var cursor: UInt64 = 0
            repeat {
                let page = try await client.cache.keys(matching: match, cursor: cursor, limit: 1_000)
                for key in page.keys where seen.insert(key).inserted { found.append(key) }
                cursor = page.cursor
            } while cursor != 0 && found.count < limit
            let hasMore = cursor != 0 || found.count > limit
            let keys = found.prefix(limit)
            switch connection.output {
            case .json: Console.out(JSONText.encode(keys.map { CacheEntryReport(key: $0) }))
            case .table: for key in keys { Console.out(LockTable.text(key)) }
            }
            if hasMore { Console.note("there are more: raise --limit or narrow with --match") }
        }
    }
}

struct CacheLineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "line",
        abstract: "Show what every node holds of a key.",
        discussion: """
            States: M modified (the only copy, newer than the memory), E exclusive (the only copy), S shared (one of \
            several), I invalid (none).
            """
    )

    @Argument(help: "The key.")
    var key: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            let line = try await client.cache.line(key)
            Console.out(connection.output == .json ? JSONText.encode(line) : CacheTable.show(line, key: key))
        }
    }
}

struct CacheStatistics: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Show the figures of the nodes' caches: one column for each --endpoint."
    )

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await Failure.reporting {
            let endpoints = try connection.endpoints()
            var found: [(endpoint: Endpoint, stats: CacheStats)] = []
            var failures: [(endpoint: Endpoint, error: SynclineError)] = []
            for endpoint in endpoints {
                // Each by itself: a client of several nodes asks the one it happens to be with.
                var single = connection
                single.given = [endpoint]
                let client = try single.client()
                do throws(SynclineError) {
                    found.append((endpoint, try await client.cache.stats()))
                } catch {
                    failures.append((endpoint, error))
                }
                await client.close()
            }
            // The others' figures are worth having all the same.
            if found.isEmpty, let first = failures.first { throw first.error }
            switch connection.output {
            case .json:
                let reports =
                    found.map { CacheStatsReport(endpoint: $0.endpoint.description, stats: $0.stats) }
                    + failures.map { CacheStatsReport(endpoint: $0.endpoint.description, error: $0.error.message) }
                Console.out(JSONText.encode(reports))
            case .table:
                Console.out(CacheTable.show(found))
                for failure in failures {
                    Console.error("\(failure.endpoint) does not answer: \(failure.error.message)")
                }
            }
        }
    }
}

/// One node's figures, or why there are none.
struct CacheStatsReport: Encodable {
    var endpoint: String
    var stats: CacheStats?
    var error: String?
}

struct CacheFlush: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flush",
        abstract: "Write back what only a node's own memory has (modes local and volatile)."
    )

    @Flag(help: "Of every node. Fails, and names them, when some do not answer in time.")
    var all = false

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            let lines = try await client.cache.flush(everywhere: all)
            connection.report("\(lines) lines written back", ["lines": lines])
        }
    }
}

enum CacheTable {
    static func show(_ line: CacheLine, key: String, style: Style = Style()) -> String {
        let rows = line.nodes.map { node in
            [
                node.node, node.isReachable ? node.state.rawValue : "?", node.version ?? "-",
                node.leaseMilliseconds.map { "\($0) ms" } ?? "-", node.node == line.home ? "home" : "",
            ]
        }
        let title = "\(key): shard \(line.shard), home \(line.home ?? "unknown"), term \(line.epoch)\n"
        return title + TextTable.render(["NODE", "STATE", "VERSION", "LEASE", ""], rows, style: style)
    }

    /// One column for each node; rows in the order in which figures are best read, those that are new at the end.
    static func show(_ nodes: [(endpoint: Endpoint, stats: CacheStats)], style: Style = Style()) -> String {
        var rows: [[String]] = [["hit ratio"] + nodes.map { ratio($0.stats.hitRatio) }]
        for state in CacheLine.State.allCases where state != .invalid {
            rows.append(["lines \(state.rawValue)"] + nodes.map { "\($0.stats.lines[state.rawValue] ?? 0)" })
        }
        let names = Set(nodes.flatMap { $0.stats.figures.keys })
        for name in order.filter(names.contains) + names.subtracting(order).sorted() {
            rows.append([label(name)] + nodes.map { $0.stats.figures[name].map { "\($0)" } ?? "-" })
        }
        for move in Set(nodes.flatMap { $0.stats.transitions.keys }).sorted() {
            let label = "\(move.prefix(1)) to \(move.suffix(1))"
            rows.append([label] + nodes.map { "\($0.stats.transitions[move] ?? 0)" })
        }
        return TextTable.render(["CACHE"] + nodes.map(\.endpoint.description), rows, style: style)
    }

    private static let order = [
        "hits_total", "misses_total", "writes_total", "owned_writes_total", "bytes", "limit_bytes", "dirty_lines",
        "dirty_bytes", "dirty_age_ms", "evictions_total", "expirations_total", "fills_total", "write_backs_total",
    ]

    private static func label(_ name: String) -> String {
        var words = name.split(separator: "_").map(String.init)
        if words.last == "total" { words.removeLast() }
        if words.last == "ms" { words[words.count - 1] = "(ms)" }
        return words.joined(separator: " ")
    }

    private static func ratio(_ ratio: Double?) -> String {
        ratio.map { "\((Int(($0 * 1_000).rounded()) / 10)).\(Int(($0 * 1_000).rounded()) % 10) %" } ?? "-"
    }
}
