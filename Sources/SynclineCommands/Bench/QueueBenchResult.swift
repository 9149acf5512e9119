// SPDX-License-Identifier: Apache-2.0
import Histogram
import SynclineClient

/// What one phase of a run counted.
struct QueueBenchPhase: Sendable {
    var seconds: Double
    var published: Int
    var consumed: Int
    var errors: Int
    var firstError: String?
    var publish: Histogram<UInt64>
    var handOver: Histogram<UInt64>
    var cycle: Histogram<UInt64>
    var ledger: QueueBenchLedger

    init(_ tally: QueueBenchTally, seconds: Double) {
        self.seconds = seconds
        published = tally.published
        consumed = tally.consumed
        errors = tally.errors
        firstError = tally.firstError
        publish = tally.latencies.publish
        handOver = tally.latencies.handOver
        cycle = tally.latencies.cycle
        ledger = tally.ledger
    }

    var publishedPerSecond: Double { Double(published) / max(seconds, 0.001) }
}

/// What a backlog costs.
struct QueueBenchBacklog: Codable, Sendable {
    struct Growth: Codable, Sendable, Equatable {
        var endpoint: String
        /// Resident bytes.
        var before: Int
        var after: Int
        var residentPerMessage: Double
        /// Without what a file backs; nil for a node on another machine.
        var anonymousPerMessage: Double?

        enum CodingKeys: String, CodingKey {
            case endpoint
            case before = "resident_before"
            case after = "resident_after"
            case residentPerMessage = "resident_per_message"
            case anonymousPerMessage = "anonymous_per_message"
        }

        init(before: QueueBenchMemory, after: QueueBenchMemory, messages: Int) {
            func each(_ first: Int, _ last: Int) -> Double { Double(last - first) / Double(max(1, messages)) }
            endpoint = after.endpoint
            self.before = before.resident
            self.after = after.resident
            residentPerMessage = each(before.resident, after.resident)
            if let first = before.anonymous, let last = after.anonymous { anonymousPerMessage = each(first, last) }
        }
    }

    /// In the queue when it was full.
    var messages: Int
    /// Of those, put in by the fill, whose growth of memory stands below.
    var filled: Int
    var fillSeconds: Double
    var filledPerSecond: Double
    var publishedPerSecondEmpty = 0.0
    var publishedPerSecondBeside = 0.0
    var memory: [Growth] = []

    enum CodingKeys: String, CodingKey {
        case messages, filled, memory
        case fillSeconds = "fill_seconds"
        case filledPerSecond = "filled_per_second"
        case publishedPerSecondEmpty = "published_per_second_empty"
        case publishedPerSecondBeside = "published_per_second_beside"
    }

    init(messages: Int, filled: Int, fillSeconds: Double) {
        self.messages = messages
        self.filled = filled
        self.fillSeconds = fillSeconds
        filledPerSecond = Double(filled) / max(fillSeconds, 0.001)
    }

    var text: String {
        let number = BenchResult.number
        let ratio = publishedPerSecondBeside / max(publishedPerSecondEmpty, 0.001)
        var lines = [
            "filled \(filled) messages in \(number(fillSeconds)) s: \(number(filledPerSecond))/s",
            "publish on the empty queue \(number(publishedPerSecondEmpty))/s, beside \(messages) messages "
                + "\(number(publishedPerSecondBeside))/s: ratio \(number(ratio))",
        ]
        for growth in memory {
            let anonymous = growth.anonymousPerMessage.map { ", \(number($0)) B of it anonymous" } ?? ""
            lines.append(
                "memory at \(growth.endpoint): \(growth.before >> 20) MiB → \(growth.after >> 20) MiB, "
                    + "\(number(growth.residentPerMessage)) B a message\(anonymous)"
            )
        }
        return lines.joined(separator: "\n")
    }
}

/// What a run measured.
struct QueueBenchResult: Codable, Sendable {
    var scenario: String
    var name: String
    /// Nil when it was deleted again.
    var queue: String?
    var endpoints: [String]
    var producers: Int
    var consumers: Int
    var pipeline: Int
    var size: Int
    var count: Int
    var lanes: Int
    var seconds = 0.0
    var publishedPerSecond = 0.0
    var consumedPerSecond = 0.0
    var errors = 0
    var firstError: String?
    var latenciesMicroseconds: [BenchResult.Latency] = []
    var account: QueueBenchAccount?
    var backlog: QueueBenchBacklog?

    enum CodingKeys: String, CodingKey {
        case scenario, name, queue, endpoints, producers, consumers, pipeline, size, count, lanes, seconds, errors
        case account, backlog
        case publishedPerSecond = "published_per_second"
        case consumedPerSecond = "consumed_per_second"
        case firstError = "first_error"
        case latenciesMicroseconds = "latencies_us"
    }

    init(_ cell: QueueBenchCell, endpoints: [Endpoint]) {
        scenario = cell.scenario.rawValue
        name = cell.name
        self.endpoints = endpoints.map(\.description)
        producers = cell.producers
        consumers = cell.consumers
        pipeline = cell.pipeline
        size = cell.size
        count = cell.count
        lanes = cell.lanes
    }

    /// Takes the figures of the phase that is reported.
    mutating func add(_ phase: QueueBenchPhase) {
        if scenario != QueueBenchScenario.backlog.rawValue { note(phase) }
        seconds = phase.seconds
        publishedPerSecond = phase.publishedPerSecond
        consumedPerSecond = Double(phase.consumed) / max(phase.seconds, 0.001)
        latenciesMicroseconds = [
            ("publish", phase.publish), ("hand-over", phase.handOver), ("receive + ack", phase.cycle),
        ].compactMap { name, histogram in
            histogram.totalCount == 0 ? nil : BenchResult.Latency(name, histogram)
        }
    }

    /// Takes only what went wrong in a phase.
    mutating func note(_ phase: QueueBenchPhase) {
        errors += phase.errors
        firstError = firstError ?? phase.firstError
    }

    /// Whether every message is accounted for.
    var isBalanced: Bool { account?.isBalanced ?? true }

    func table(style: Style = Style()) -> String {
        let number = BenchResult.number
        var text = style.bold("\(name); \(number(seconds)) s at \(endpoints.joined(separator: ", "))") + "\n"
        var rates: [String] = []
        if publishedPerSecond > 0 { rates.append("\(number(publishedPerSecond)) confirmed publishes/s") }
        if consumedPerSecond > 0 { rates.append("\(number(consumedPerSecond)) received and acknowledged/s") }
        text += (rates.isEmpty ? "nothing was done" : rates.joined(separator: ", ")) + "\n"
        if let backlog { text += backlog.text + "\n" }
        if let account { text += (account.isBalanced ? account.text : style.red(account.text)) + "\n" }
        if let queue { text += "queue \(queue) was kept\n" }
        let rows = latenciesMicroseconds.map { latency in
            [latency.measure]
                + [latency.mean, latency.p50, latency.p90, latency.p99, latency.p999, latency.max].map(BenchResult.time)
        }
        let headers = ["LATENCY", "MEAN", "P50", "P90", "P99", "P99.9", "MAX"]
        return text + "\n" + TextTable.render(headers, rows, style: style)
    }

    /// One line for each measurement.
    static func overview(_ results: [QueueBenchResult], style: Style = Style()) -> String {
        let rows = results.map { result in
            let latency = result.latenciesMicroseconds.first
            let handOver = result.latenciesMicroseconds.first { $0.measure == "hand-over" }
            func rate(_ value: Double) -> String { value == 0 ? "-" : BenchResult.number(value) }
            func time(_ value: Double?) -> String { value.map(BenchResult.time) ?? "-" }
            return [
                result.name, rate(result.publishedPerSecond), rate(result.consumedPerSecond), time(latency?.p50),
                time(latency?.p99), time(latency?.p999), time(handOver?.p50), time(handOver?.p99), "\(result.errors)",
                result.account.map { "\($0.lost)" } ?? "-",
            ]
        }
        let headers = [
            "MEASUREMENT", "PUBLISHED/S", "CONSUMED/S", "P50", "P99", "P99.9", "HAND-OVER P50", "P99", "ERRORS", "LOST",
        ]
        return TextTable.render(headers, rows, style: style)
    }
}
