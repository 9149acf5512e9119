// SPDX-License-Identifier: Apache-2.0
public import ArgumentParser
import FoundationEssentials
public import SynclineClient

/// A length of time on the command line: `500ms`, `30s`, `5m`, `2h`, a bare number of seconds, or `forever`.
struct TimeSpan: ExpressibleByArgument, Equatable, Sendable {
    /// nil: forever.
    let duration: Duration?

    init(_ duration: Duration?) { self.duration = duration }

    init?(argument: String) {
        if argument == "forever" {
            self.init(nil)
            return
        }
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        let units: [Substring: Int64] = ["ms": 1, "": 1_000, "s": 1_000, "m": 60_000, "h": 3_600_000]
        guard let number = Int64(digits), let unit = units[argument.dropFirst(digits.count)] else { return nil }
        let (milliseconds, overflow) = number.multipliedReportingOverflow(by: unit)
        // Far beyond any sensible wait, and safe to add to any clock.
        guard !overflow, milliseconds <= 1_000 * 86_400_000 else { return nil }
        self.init(.milliseconds(milliseconds))
    }

    var defaultValueDescription: String { text }

    var text: String {
        guard let duration else { return "forever" }
        let milliseconds = duration.components.seconds * 1000 + duration.components.attoseconds / 1_000_000_000_000_000
        return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms"
    }

    var wait: LockWait {
        switch duration {
        case nil: .forever
        case .some(.zero): .none
        case .some(let duration): .upTo(duration)
        }
    }
}

extension LockMode: ExpressibleByArgument {}

extension Endpoint: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case table
    case json
}

/// What every command that talks to a cluster takes.
struct ConnectionOptions: ParsableArguments {
    @Option(
        name: .customLong("endpoint"),
        help: ArgumentHelp(
            "A node's client address; give several to survive the loss of one. (SYNCLINE_ENDPOINTS, comma-separated; "
                + "default: 127.0.0.1:7700)",
            valueName: "host:port"
        )
    )
    var given: [Endpoint] = []

    @Option(help: "How results are printed: table or json.")
    var output: OutputFormat = .table

    /// Flags, else the environment, else this machine.
    func endpoints(environment: [String: String] = ProcessInfo.processInfo.environment) throws -> [Endpoint] {
        if !given.isEmpty { return given }
        guard let text = environment["SYNCLINE_ENDPOINTS"], !text.isEmpty else {
            return [Endpoint(host: "127.0.0.1", port: Endpoint.defaultPort)]
        }
        return try text.split(separator: ",").map { part in
            let part = part.filter { !$0.isWhitespace }
            guard let endpoint = Endpoint(part) else {
                throw ValidationError("SYNCLINE_ENDPOINTS: '\(part)' is not an address; write host:port,host:port")
            }
            return endpoint
        }
    }

    func client(requestTimeout: Duration = .seconds(10)) throws -> SynclineClient {
        var configuration = SynclineClient.Configuration()
        configuration.requestTimeout = requestTimeout
        // Somebody sits and waits for the answer.
        configuration.refusalTimeout = .seconds(1)
        return SynclineClient(endpoints: try endpoints(), configuration: configuration)
    }
}

/// For commands that ask a node over HTTP.
struct HTTPOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A node's HTTP address. (SYNCLINE_HTTP; default: each endpoint's host with its port + 1)",
            valueName: "host:port"
        )
    )
    var http: [Endpoint] = []

    func addresses(
        _ connection: ConnectionOptions,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws -> [Endpoint] {
        if !http.isEmpty { return http }
        if let text = environment["SYNCLINE_HTTP"], !text.isEmpty {
            guard let endpoint = Endpoint(text) else {
                throw ValidationError("SYNCLINE_HTTP: '\(text)' is not an address; write host:port")
            }
            return [endpoint]
        }
        return try connection.endpoints(environment: environment).map {
            Endpoint(host: $0.host, port: min($0.port + 1, 65535))
        }
    }
}
