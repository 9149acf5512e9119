// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Primitives
import SynclineClient

extension BenchCommand {
    struct Queues: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "queues",
            abstract: "Measure the queue service: throughput, latency percentiles, and that nothing is lost.",
            discussion: """
                Scenarios:
                  suite    all of the following but backlog, one after the other, as a table
                  publish  each producer publishes and waits for the confirmation
                  both     producers and consumers at the same time
                  drain    the queue is filled with --backlog messages first; then consumers empty it
                  latency  few messages (--rate) and consumers that wait for them: publish and hand-over latency
                  backlog  publishing on an empty queue, then beside --backlog messages, and the memory they take

                Each measurement has a queue of its own and accounts for all of its messages at the end:
                confirmed = acknowledged + left in the queue. If that is not so, the exit status is 1.
                """
        )

        @Argument(help: "suite, publish, both, drain, latency or backlog.")
        var scenario: QueueBenchScenario?

        @Option(help: "Connections that publish; spread over the endpoints. (default: 64; latency: 1; drain: 0)")
        var producers: Int?

        @Option(help: "Connections that receive; spread over the endpoints. (default: both and drain 64; latency: 1)")
        var consumers: Int?

        @Option(help: "Publishes under way at the same time on one connection.")
        var pipeline = 1

        @Option(help: "Bytes of a message's body, 16 or more.")
        var size = 100

        @Option(help: "Messages of one receive; they are acknowledged in one command.")
        var count = 32

        @Flag(help: "Consumers ask for the next messages together with the acknowledgement of the last.")
        var prefetch = false

        @Option(help: "Publishes per second of all producers together. (default: what is confirmed; latency: 200)")
        var rate: Int?

        @Option(help: "The queue's lanes.")
        var lanes = 1

        @Option(help: "Messages put into the queue first; alone: scenario backlog. (default: 1000000; drain: 100000)")
        var backlog: Int?

        @Option(help: "Seconds to measure.")
        var seconds = 10

        @Option(help: "Seconds before that, not measured.")
        var warmup = 1

        @Option(help: "The queue's name; it must not exist. (default: a new name)")
        var queue: String?

        @Flag(help: "Leave the queue and what is in it.")
        var keepQueue = false

        @OptionGroup var connection: ConnectionOptions

        func validate() throws {
            let bounds: [(name: String, value: Int?, range: ClosedRange<Int>)] = [
                ("--producers", producers, 1...10_000), ("--consumers", consumers, 1...10_000),
                ("--pipeline", pipeline, 1...1_000), ("--size", size, BenchMessage.headerBytes...1_048_576),
                ("--count", count, 1...1_024), ("--rate", rate, 1...1_000_000), ("--lanes", lanes, 1...1_024),
                ("--backlog", backlog, 1...100_000_000), ("--seconds", seconds, 1...86_400),
                ("--warmup", warmup, 0...3_600),
            ]
            for (name, value, range) in bounds where !(value.map { range.contains($0) } ?? true) {
                throw ValidationError("\(name) must be between \(range.lowerBound) and \(range.upperBound)")
            }
            if chosen == .suite, (producers ?? consumers ?? rate ?? backlog) != nil || pipeline > 1 || size != 100 {
                throw ValidationError(
                    "the suite takes --seconds, --warmup, --lanes, --count and --prefetch; name a scenario for the rest"
                )
            }
            if rate != nil, pipeline > 1 {
                throw ValidationError("--rate publishes when it is time, whatever is under way: leave out --pipeline")
            }
            if keepQueue, chosen == .suite { throw ValidationError("--keep-queue is for a single scenario") }
        }

        var chosen: QueueBenchScenario { scenario ?? (backlog == nil ? .suite : .backlog) }

        /// The measurement that the options describe.
        var cell: QueueBenchCell {
            var cell = QueueBenchCell.standard(chosen)
            if let producers, chosen != .drain { cell.producers = producers }
            if let consumers, chosen != .publish, chosen != .backlog { cell.consumers = consumers }
            if let rate, chosen != .drain { cell.rate = rate }
            if let backlog { cell.backlog = backlog }
            (cell.pipeline, cell.size, cell.count, cell.prefetch) = (pipeline, size, count, prefetch)
            (cell.lanes, cell.seconds, cell.warmup) = (lanes, seconds, warmup)
            return cell
        }

        func run() async throws {
            let endpoints = try connection.endpoints()
            var generator = SystemRandomNumberGenerator()
            let name = queue ?? "bench-" + String(generator.next() >> 16, radix: 16)
            let cells = chosen == .suite ? QueueBenchCell.suite(cell) : [cell]
            try await Failure.reporting {
                var results: [QueueBenchResult] = []
                for (number, cell) in cells.enumerated() {
                    let queue = cells.count == 1 ? name : "\(name)-\(number)"
                    let run = QueueBenchRun(endpoints: endpoints, cell: cell, queue: queue, keepsQueue: keepQueue)
                    results.append(try await run.run())
                }
                try report(results)
            }
        }

        private func report(_ results: [QueueBenchResult]) throws {
            switch connection.output {
            case .json: Console.out(results.count == 1 ? JSONText.encode(results[0]) : JSONText.encode(results))
            case .table:
                Console.out(results.count == 1 ? results[0].table() : QueueBenchResult.overview(results))
            }
            let errors = results.reduce(0) { $0 + $1.errors }
            if errors > 0 {
                let first = results.lazy.compactMap(\.firstError).first
                Console.error("\(errors) errors; the first: \(first ?? "unknown")")
            }
            for result in results where !result.isBalanced {
                Console.error("\(result.name): \(result.account?.text ?? "")")
            }
            let isIdle = results.contains { $0.publishedPerSecond + $0.consumedPerSecond == 0 }
            if isIdle || results.contains(where: { !$0.isBalanced }) { throw ExitStatus.failure }
        }
    }
}
