// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import SynclineClient

struct HealthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health",
        abstract: "Ask a node whether it is alive, or ready to serve.",
        discussion: """
            Exits with 0 when it is, 1 when it answers that it is not, 123 when it does not answer. For the health \
            checks of containers: liveness never asks for a quorum, readiness does.
            """
    )

    @Flag(help: "Ask whether it is ready: caught up, and with a leader for its shards.")
    var ready = false

    @Flag(help: "Print nothing.")
    var quiet = false

    @OptionGroup var http: HTTPOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await Failure.reporting {
            let path = ready ? "/readyz" : "/livez"
            let answer = try await HTTPRequest.send(path, to: try http.addresses(connection), timeout: .seconds(3))
            let isWell = answer.status == 200
            if connection.output == .json {
                if !quiet { Console.out(JSONText.encode(HealthReport(isReady: ready, answer))) }
            } else if !quiet {
                Console.out(
                    isWell ? (ready ? "ready" : "alive") : "not \(ready ? "ready" : "alive") (HTTP \(answer.status))"
                )
                if !isWell, !answer.body.isEmpty { Console.out(answer.body) }
            }
            if !isWell { throw ExitStatus.failure }
        }
    }
}

/// What `--output json` prints.
struct HealthReport: Codable, Equatable {
    /// What was asked: `live` or `ready`.
    let check: String
    let ok: Bool
    /// Of the HTTP answer.
    let status: Int
    /// What the node says is wrong; absent when nothing is.
    let detail: String?

    init(isReady: Bool, _ answer: HTTPResponse) {
        check = isReady ? "ready" : "live"
        status = answer.status
        ok = answer.status == 200
        let problem = try? answer.decoded(Problem.self)
        detail = ok ? nil : problem?.detail ?? answer.body
    }

    private struct Problem: Decodable {
        let detail: String
    }
}
