// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import SynclineClient

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure a cluster.",
        subcommands: [Locks.self, Queues.self, Caches.self]
    )

    struct Locks: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "locks",
            abstract: "Measure the lock service: throughput and latency percentiles.",
            discussion: """
                Workloads:
                  uncontended   each client acquires and releases a lock of its own
                  contended     all clients wait for one lock; measures the hand-over from release to next grant
                  shared-heavy  95 % shared, 5 % exclusive, on 16 locks
                  multi-lock    four of 1000 locks at once, all or nothing
                  renew-heavy   session renewals
                """
        )

        @Argument(help: "uncontended, contended, shared-heavy, multi-lock or renew-heavy.")
        var workload: BenchWorkload = .uncontended

        @Option(help: "Connections, each with a session of its own; spread over the endpoints.")
        var clients = 64

        @Option(help: "Seconds to measure.")
        var seconds = 10

        @Option(help: "Seconds before that, not measured.")
        var warmup = 1

        @Option(help: "Operations under way at the same time on one connection (not for workloads that wait).")
        var pipeline = 1

        @Option(help: "The namespace; one namespace is one shard.")
        var namespace = "default"

        @Option(help: "Spread the clients over so many namespaces, and so over shards.")
        var namespaces = 1

        @OptionGroup var connection: ConnectionOptions

        func validate() throws {
            for (name, value, range) in [
                ("--clients", clients, 1...10_000), ("--seconds", seconds, 1...86_400), ("--warmup", warmup, 0...3_600),
                ("--pipeline", pipeline, 1...1_000), ("--namespaces", namespaces, 1...1_000),
            ] where !range.contains(value) {
                throw ValidationError("\(name) must be between \(range.lowerBound) and \(range.upperBound)")
            }
            if pipeline > 1, workload.waits {
                throw ValidationError("--pipeline is for workloads that do not wait: uncontended and renew-heavy")
            }
        }

        func run() async throws {
            let plan = BenchPlan(
                workload: workload,
                endpoints: try connection.endpoints(),
                clients: clients,
                seconds: seconds,
                warmup: warmup,
                pipeline: pipeline,
                namespace: namespace,
                namespaces: namespaces
            )
            try await Failure.reporting {
                let result = try await BenchRun(plan).run()
                Console.out(connection.output == .json ? JSONText.encode(result) : result.table())
                if result.errors > 0 {
                    Console.error("\(result.errors) errors; the first: \(result.firstError ?? "unknown")")
                    if result.operations == 0 { throw ExitStatus.failure }
                }
            }
        }
    }
}

struct BenchPlan: Sendable {
    var workload: BenchWorkload
    var endpoints: [Endpoint]
    var clients: Int
    var seconds: Int
    var warmup: Int
    var pipeline: Int
    var namespace: String
    var namespaces: Int

    func namespace(ofClient number: Int) -> String {
        namespaces == 1 ? namespace : "\(namespace)-\(number % namespaces)"
    }
}
