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
                let (found, hasMore) = try await Paging.collect(limit: limit) { cursor, count throws(SynclineError) in
                    try await client.listLocks(prefix: prefix, namespace: namespace, cursor: cursor, limit: count)
                }
                guard connection.output == .table else { return Console.out(JSONText.encode(found)) }
                let rows = found.map { lock in
                    [
                        lock.name, lock.kind.rawValue, lock.holders.first?.mode.rawValue ?? "-",
                        LockTable.holders(lock), "\(lock.waiterCount)",
                        lock.holders.first.map { "\($0.token)" } ?? "-",
                    ]
                }
                Console.out(TextTable.render(["NAME", "KIND", "MODE", "HOLDERS", "WAITERS", "TOKEN"], rows))
                if hasMore { Console.note("there are more: raise --limit or narrow with --prefix") }
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
        return lock.holderCount <= 1 ? first : "\(first) +\(lock.holderCount - 1)"
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
        var head = "\(lock.kind.rawValue) \(lock.name) in namespace \(lock.namespace)"
        head += ", \(lock.holderCount) holding, \(lock.waiterCount) waiting"
        if lock.isDelayed { head += "\nheld back by the lock-delay of a session that expired" }
        if let value = lock.value, !lock.holders.isEmpty { head += "\nvalue: \(text(value))" }
        if lock.holderCount > UInt64(lock.holders.count) || lock.waiterCount > UInt64(lock.waiters.count) {
            head += "\nthe first of them are shown"
        }
        return head + "\n" + TextTable.render(["STATE", "MODE", "TOKEN", "FOR", "SESSION"], rows)
    }

    /// As it stands when it is text a terminal can show, else in hexadecimal digits.
    static func text(_ value: [UInt8]) -> String {
        if let text = String(validating: value, as: UTF8.self), !text.unicodeScalars.contains(where: isControl) {
            return text
        }
        return "0x" + value.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.generalCategory == .control }

    /// 1500 as `1.5s`, 90000 as `1m30s`.
    static func age(_ milliseconds: UInt64) -> String {
        let seconds = milliseconds / 1000
        if seconds < 60 { return "\(seconds).\(milliseconds % 1000 / 100)s" }
        if seconds < 3600 { return "\(seconds / 60)m\(seconds % 60)s" }
        return "\(seconds / 3600)h\(seconds % 3600 / 60)m"
    }
}
