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
                var found: [SessionInfo] = []
                var cursor: UInt64 = 0
                repeat {
                    let page = try await client.listSessions(
                        namespace: namespace,
                        cursor: cursor,
                        limit: min(limit - found.count, 1000)
                    )
                    found += page.sessions
                    cursor = page.cursor
                } while cursor != 0 && found.count < limit
                guard connection.output == .table else { return Console.out(JSONText.encode(found)) }
                let rows = found.map { session in
                    [
                        session.id, session.label.isEmpty ? "-" : session.label, LockTable.age(session.ageMilliseconds),
                        LockTable.age(session.ttlMilliseconds),
                        session.remainingMilliseconds.map { LockTable.age($0) } ?? "-", names(session.held),
                        names(session.waiting),
                    ]
                }
                Console.out(TextTable.render(["SESSION", "LABEL", "OPEN", "TTL", "LEFT", "HOLDS", "WAITS FOR"], rows))
                if cursor != 0 { Console.note("there are more: raise --limit") }
            }
        }

        private func names(_ names: [String]) -> String {
            if names.isEmpty { return "-" }
            return names.count <= 3 ? names.joined(separator: " ") : "\(names[0]) +\(names.count - 1)"
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
                let count = try await client.closeSession(id)
                Console.out(
                    connection.output == .json ? JSONText.encode(["released": count]) : "closed; \(count) released"
                )
            }
        }
    }
}
