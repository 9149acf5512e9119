// SPDX-License-Identifier: Apache-2.0
import Histogram
import SynclineClient

/// What one measurement of the cache found.
struct CacheBenchResult: Codable, Sendable {
    /// The same done to another server.
    struct Peer: Codable, Sendable {
        var endpoint: String
        var operationsPerSecond: Double
        /// Ours to theirs.
        var ratio: Double
        var latenciesMicroseconds: [BenchResult.Latency]

        enum CodingKeys: String, CodingKey {
            case endpoint, ratio
            case operationsPerSecond = "operations_per_second"
            case latenciesMicroseconds = "latencies_us"
        }
    }

    var name: String
    var endpoints: [String]
    var clients: Int
    var pipeline: Int
    var size: Int
    var keys: Int
    var seconds: Double
    var operations = 0
    var operationsPerSecond = 0.0
    /// Reads that found nothing, though every key had been set.
    var missing = 0
    /// Reads that found another value than the last written.
    var stale = 0
    var errors = 0
    var firstError: String?
    /// Of a whole batch where several commands are sent together.
    var latenciesMicroseconds: [BenchResult.Latency] = []
    var peer: Peer?

    enum CodingKeys: String, CodingKey {
        case name, endpoints, clients, pipeline, size, keys, seconds, operations, missing, stale, errors, peer
        case operationsPerSecond = "operations_per_second"
        case firstError = "first_error"
        case latenciesMicroseconds = "latencies_us"
    }

    init(_ cell: CacheBenchCell, _ endpoints: [Endpoint], seconds: Double) {
        name = cell.name
        self.endpoints = endpoints.map(\.description)
        clients = cell.workload == .miss ? endpoints.count : cell.clients
        pipeline = cell.pipeline
        size = cell.size
        keys = cell.keys
        self.seconds = seconds
    }

    mutating func finish(_ latencies: Histogram<UInt64>, measure: String = "batch") {
        operationsPerSecond = Double(operations) / max(seconds, 0.001)
        let name = measure == "batch" && pipeline == 1 ? "operation" : measure
        latenciesMicroseconds = latencies.totalCount == 0 ? [] : [BenchResult.Latency(name, latencies)]
    }

    mutating func compare(with other: CacheBenchResult) {
        peer = Peer(
            endpoint: other.endpoints.joined(separator: ", "),
            operationsPerSecond: other.operationsPerSecond,
            ratio: operationsPerSecond / max(other.operationsPerSecond, 0.001),
            latenciesMicroseconds: other.latenciesMicroseconds
        )
        errors += other.errors
        missing += other.missing
        firstError = firstError ?? other.firstError
    }

    /// Nothing that was read was wrong.
    var isSound: Bool { missing == 0 && stale == 0 }

    static func table(_ results: [CacheBenchResult], style: Style = Style()) -> String {
        guard let first = results.first else { return "" }
        let hasPeer = results.contains { $0.peer != nil }
        let rows = results.map { result in
            let latency = result.latenciesMicroseconds.first
            let times = [latency?.p50, latency?.p99, latency?.max].map { $0.map(BenchResult.time) ?? "-" }
            let peer = result.peer.map { [BenchResult.number($0.operationsPerSecond), ratio($0.ratio)] } ?? ["-", "-"]
            return [result.name, "\(result.pipeline)", BenchResult.number(result.operationsPerSecond)] + times
                + (hasPeer ? peer : [])
        }
        let headers = ["WORKLOAD", "PIPELINE", "PER SECOND", "P50", "P99", "MAX"] + (hasPeer ? ["PEER", "RATIO"] : [])
        let title =
            "cache: \(first.clients) clients, \(first.keys) keys, values of \(first.size) bytes, "
            + "\(BenchResult.number(first.seconds)) s each at \(first.endpoints.joined(separator: ", "))"
        return style.bold(title) + "\n" + TextTable.render(headers, rows, style: style)
    }

    private static func ratio(_ ratio: Double) -> String { BenchResult.number(ratio) + " ×" }
}
