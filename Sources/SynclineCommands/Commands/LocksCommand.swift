// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import SynclineClient

struct LocksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "locks",
        abstract: "See who holds and who waits; take a lock away.",
        subcommands: [List.self, Show.self, Break.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List locks, semaphores and elections with holders and waiters."
        )

        @Option(help: "Only names that begin with it.")
        var prefix = ""

        @Option(help: "The namespace.")
        var namespace = "default"

        @Option(help: "At most so many.")
        var limit = 1000

        @OptionGroup var connection: ConnectionOptions

        func validate() throws {
            guard limit > 0 else { throw ValidationError("--limit must be at least 1") }
        }

        func run() async throws {
            let client = try connection.client()
            try await Failure.reporting {
                var found: [LockInfo] = []
                var cursor: UInt64 = 0
                repeat {
                    let page = try await client.listLocks(
                        prefix: prefix,
                        namespace: namespace,
                        cursor: cursor,
                        limit: min(limit - found.count, 1000)
                    )
                    found += page.locks
                    cursor = page.cursor
                } while cursor != 0 && found.count < limit
                guard connection.output == .table else { return Console.out(JSONText.encode(found)) }
                let rows = found.map { lock in
                    [
                        lock.name, lock.kind.rawValue, lock.holders.first?.mode.rawValue ?? "-",
                        LockTable.holders(lock), "\(lock.waiters.count)",
                        lock.holders.first.map { "\($0.token)" } ?? "-",
                    ]
                }
                Console.out(TextTable.render(["NAME", "KIND", "MODE", "HOLDERS", "WAITERS", "TOKEN"], rows))
                if cursor != 0 { Console.note("there are more: raise --limit or narrow with --prefix") }
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show",
            abstract: "Show one lock's holders and its waiting line, in the order of service."
        )

        @Argument(help: "The lock's name.")
        var name: String

        @Option(help: "The namespace.")
        var namespace = "default"

        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            let client = try connection.client()
            try await Failure.reporting {
                let lock = try await client.lockInfo(name, namespace: namespace)
                guard connection.output == .table else { return Console.out(JSONText.encode(lock)) }
                guard let lock else { return Console.out("\(name) is free: nobody holds it or waits for it") }
                Console.out(LockTable.show(lock))
            }
        }
    }

    struct Break: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "break",
            abstract: "Take a lock from its holders. Only a fencing token stops one that goes on writing."
        )

        @Argument(help: "The lock's name.")
        var name: String

        @Option(help: "Why; told to watchers and logs.")
        var reason: String

        @Option(help: "The namespace.")
        var namespace = "default"

        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            let client = try connection.client()
            try await Failure.reporting {
                let count = try await client.breakLock(name, reason: reason, namespace: namespace)
                if connection.output == .json {
                    Console.out(JSONText.encode(["holders": count]))
                } else {
                    Console.out(count == 0 ? "\(name) had no holder" : "\(name) was taken from \(count) holder(s)")
                }
            }
        }
    }
}

enum LockTable {
    static func holders(_ lock: LockInfo) -> String {
        if lock.holders.isEmpty { return lock.isDelayed ? "(delayed)" : "-" }
        let first = who(lock.holders[0].session, lock.holders[0].label)
        return lock.holders.count == 1 ? first : "\(first) +\(lock.holders.count - 1)"
    }

    static func who(_ session: String, _ label: String) -> String { label.isEmpty ? session : "\(label) [\(session)]" }

    static func show(_ lock: LockInfo) -> String {
        var rows: [[String]] = lock.holders.map { holder in
            [
                "holds", holder.mode.rawValue, "\(holder.token)", age(holder.ageMilliseconds),
                who(holder.session, holder.label),
            ]
        }
        for (place, waiter) in lock.waiters.enumerated() {
            rows.append([
                "waits, \(place + 1)\(waiter.isConversion ? " (converts)" : "")", waiter.mode.rawValue, "-",
                age(waiter.ageMilliseconds), who(waiter.session, waiter.label),
            ])
        }
        let delay = lock.isDelayed ? "\nheld back by the lock-delay of a session that expired" : ""
        return "\(lock.kind.rawValue) \(lock.name) in namespace \(lock.namespace)\(delay)\n"
            + TextTable.render(["STATE", "MODE", "TOKEN", "FOR", "SESSION"], rows)
    }

    /// 1500 as `1.5s`, 90000 as `1m30s`.
    static func age(_ milliseconds: UInt64) -> String {
        let seconds = milliseconds / 1000
        if seconds < 60 { return "\(seconds).\(milliseconds % 1000 / 100)s" }
        if seconds < 3600 { return "\(seconds / 60)m\(seconds % 60)s" }
        return "\(seconds / 3600)h\(seconds % 3600 / 60)m"
    }
}
