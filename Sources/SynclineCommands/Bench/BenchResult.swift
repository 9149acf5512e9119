// SPDX-License-Identifier: Apache-2.0
import Histogram
import SynclineClient

/// What a run measured.
struct BenchResult: Codable, Sendable {
    struct Latency: Codable, Sendable {
        var measure: String
        var count: UInt64
        /// All in microseconds.
        var mean: Double
        var p50: Double
        var p90: Double
        var p99: Double
        var p999: Double
        var max: Double
    }

    var workload: String
    var clients: Int
    var pipeline: Int
    var endpoints: [String]
    var seconds: Double
    var operations: Int
    var operationsPerSecond: Double
    /// Not acquired within the workload's wait.
    var missed: Int
    var errors: Int
    var firstError: String?
    var latenciesMicroseconds: [Latency]

    enum CodingKeys: String, CodingKey {
        case workload, clients, pipeline, endpoints, seconds, operations, missed, errors
        case operationsPerSecond = "operations_per_second"
        case firstError = "first_error"
        case latenciesMicroseconds = "latencies_us"
    }

    init(_ plan: BenchPlan, _ tally: BenchTally, nanoseconds: Int64) {
        workload = plan.workload.rawValue
        clients = plan.clients
        pipeline = plan.pipeline
        endpoints = plan.endpoints.map(\.description)
        seconds = Double(nanoseconds) / 1e9
        operations = tally.operations
        operationsPerSecond = Double(tally.operations) / max(seconds, 0.001)
        missed = tally.missed
        errors = tally.errors
        firstError = tally.firstError
        let measures = [
            (plan.workload == .renewHeavy ? "renew" : "acquire", tally.latencies.acquire),
            ("release", tally.latencies.release),
            ("pair", tally.latencies.operation), ("hand-over", tally.latencies.handOver),
        ]
        latenciesMicroseconds = measures.compactMap { name, histogram in
            let isRepeated = plan.workload == .renewHeavy && name == "pair"
            return histogram.totalCount == 0 || isRepeated ? nil : Latency(name, histogram)
        }
    }

    func table(style: Style = Style()) -> String {
        let unit = BenchWorkload(rawValue: workload)?.unit ?? "operations"
        var text =
            style.bold(
                "\(workload), \(clients) clients, \(Self.number(seconds)) s at \(endpoints.joined(separator: ", "))"
            ) + "\n"
        text += "\(Self.number(operationsPerSecond)) \(unit)/s (\(operations) in all"
        text += missed > 0 ? ", \(missed) not acquired in time" : ""
        text += errors > 0 ? ", \(errors) errors)\n\n" : ")\n\n"
        let rows = latenciesMicroseconds.map { latency in
            [latency.measure]
                + [latency.mean, latency.p50, latency.p90, latency.p99, latency.p999, latency.max].map(Self.time)
        }
        return text + TextTable.render(["LATENCY", "MEAN", "P50", "P90", "P99", "P99.9", "MAX"], rows, style: style)
    }

    static func time(_ microseconds: Double) -> String {
        microseconds < 1_000 ? "\(number(microseconds)) µs" : "\(number(microseconds / 1_000)) ms"
    }

    /// Three digits or so.
    static func number(_ value: Double) -> String {
        if value >= 100 { return "\(Int(value.rounded()))" }
        let scale = value >= 10 ? 10.0 : 100.0
        return "\((value * scale).rounded() / scale)"
    }
}

extension BenchResult.Latency {
    init(_ measure: String, _ histogram: Histogram<UInt64>) {
        func micro(_ percentile: Double) -> Double { Double(histogram.valueAtPercentile(percentile)) / 1_000 }
        self.init(
            measure: measure,
            count: histogram.totalCount,
            mean: (histogram.mean / 100).rounded() / 10,
            p50: micro(50),
            p90: micro(90),
            p99: micro(99),
            p999: micro(99.9),
            max: Double(histogram.max) / 1_000
        )
    }
}
