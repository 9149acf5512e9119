// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import SynclineClient

struct SessionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sessions",
        abstract: "See open sessions; close one.",
        subcommands: [List.self, Close.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List the sessions of a namespace."
        )

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
                    try await client.listSessions(namespace: namespace, cursor: cursor, limit: count)
                }
                guard connection.output == .table else { return Console.out(JSONText.encode(found)) }
                let rows = found.map { session in
                    [
                        session.id, session.label.isEmpty ? "-" : session.label, LockTable.age(session.ageMilliseconds),
                        LockTable.age(session.ttlMilliseconds),
                        session.remainingMilliseconds.map { LockTable.age($0) } ?? "-",
                        SessionTable.names(session.held, count: session.heldCount),
                        SessionTable.names(session.waiting, count: UInt64(session.waiting.count)),
                    ]
                }
                Console.out(TextTable.render(["SESSION", "LABEL", "OPEN", "TTL", "LEFT", "HOLDS", "WAITS FOR"], rows))
                if hasMore { Console.note("there are more: raise --limit") }
            }
        }
    }

    struct Close: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "close",
            abstract: "End a session: what it holds goes to those who wait."
        )

        @Argument(help: "The session's id.")
        var id: String

        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            let client = try connection.client()
            try await Failure.reporting {
                let count: Int
                do throws(SynclineError) {
                    count = try await client.closeSession(id)
                } catch {
                    guard error.code == .noSession else { throw error }
                    Console.error("\(error.message)\n  → see which are open with: syncline sessions list")
                    throw ExitStatus.failure
                }
                Console.out(
                    connection.output == .json ? JSONText.encode(["released": count]) : "closed; \(count) released"
                )
            }
        }
    }
}

enum SessionTable {
    /// Three names, or one and how many more there are; `names` may be the first of them only.
    static func names(_ names: [String], count: UInt64) -> String {
        guard let first = names.first else { return count == 0 ? "-" : "\(count)" }
        return count <= 3 && UInt64(names.count) == count
            ? names.joined(separator: " ") : "\(first) +\(max(count, 1) - 1)"
    }
}
