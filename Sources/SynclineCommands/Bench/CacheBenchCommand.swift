// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import SynclineClient

extension BenchCommand {
    struct Caches: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "cache",
            abstract: "Measure the cache: throughput, latency percentiles, and that no read is stale or empty.",
            discussion: """
                Workloads:
                  suite  get, set, set volatile and set replicated at pipelines 1, 16 and 64, then mix and miss
                  get    reads of random keys
                  set    writes of random keys; without --durability as the nodes' settings (cache-durability) say
                  mix    95 % reads, 5 % writes, keys by Zipf's law (0.99), clients spread over all --endpoint
                  miss   a node owns a key, in state M; then another reads it, one at a time (two nodes at least)

                Every key is set, and read once at each node, before anything is measured. A client sends --pipeline \
                commands together and the next ones when all are answered; latencies are those of the whole batch. \
                With --peer the same is done to a Redis server, and the ratio of the two is shown. Keys begin with \
                bench: and stay.
                """
        )

        @Argument(help: "suite, get, set, mix or miss.")
        var workload: CacheBenchWorkload = .suite

        @Option(help: "Connections; spread over the endpoints.")
        var clients = 50

        @Option(help: "Commands that a client sends together.")
        var pipeline = 1

        @Option(help: "Bytes of a value.")
        var size = 100

        @Option(help: "Keys.")
        var keys = 100_000

        @Option(help: "Of writes: replicated, through, local or volatile. (default: as the nodes' settings say)")
        var durability: Cache.Durability?

        @Option(help: "Seconds to measure.")
        var seconds = 10

        @Option(help: "Seconds before that, not measured.")
        var warmup = 1

        @Option(help: "Threads that generate the load.")
        var threads = 1

        @Option(help: ArgumentHelp("A Redis server to do the same to, for the ratio.", valueName: "host:port"))
        var peer: Endpoint?

        @OptionGroup var connection: ConnectionOptions

        func validate() throws {
            for (name, value, range) in [
                ("--clients", clients, 1...10_000), ("--pipeline", pipeline, 1...1_000),
                ("--size", size, 1...1_048_576), ("--keys", keys, 1...10_000_000), ("--seconds", seconds, 1...86_400),
                ("--warmup", warmup, 0...3_600),
                ("--threads", threads, 1...64),
            ] where !range.contains(value) {
                throw ValidationError("\(name) must be between \(range.lowerBound) and \(range.upperBound)")
            }
            if workload == .suite, pipeline != 1 || durability != nil {
                throw ValidationError("the suite chooses --pipeline and --durability itself; name a workload for them")
            }
            if workload == .miss, peer != nil { throw ValidationError("miss is between nodes: leave out --peer") }
            let nodes = try connection.endpoints().count
            if workload == .miss, nodes < 2 {
                throw ValidationError("miss needs two nodes at least; give several with --endpoint")
            }
            if workload != .miss, clients < nodes {
                throw ValidationError("--clients must be one for each node at least")
            }
        }

        /// The measurement that the options describe.
        var cell: CacheBenchCell {
            var cell = CacheBenchCell(workload: workload)
            (cell.clients, cell.pipeline, cell.size, cell.keys) = (clients, pipeline, size, keys)
            (cell.durability, cell.seconds, cell.warmup, cell.threads) = (durability, seconds, warmup, threads)
            return cell
        }

        func run() async throws {
            let endpoints = try connection.endpoints()
            let cells = workload == .suite ? CacheBenchCell.suite(cell, nodes: endpoints.count) : [cell]
            try await Failure.reporting {
                var results: [CacheBenchResult] = []
                for cell in cells { results.append(try await measure(cell, endpoints)) }
                try report(results)
            }
        }

        private func measure(_ cell: CacheBenchCell, _ endpoints: [Endpoint]) async throws -> CacheBenchResult {
            if cell.workload == .miss { return try await CacheBenchMiss(cell: cell, endpoints: endpoints).run() }
            var result = try await CacheBenchRun(cell: cell, endpoints: endpoints).run()
            if let peer {
                var plain = cell
                plain.durability = nil
                result.compare(
                    with: try await CacheBenchRun(cell: plain, endpoints: [peer], label: "\(peer)").run()
                )
            }
            return result
        }

        private func report(_ results: [CacheBenchResult]) throws {
            switch connection.output {
            case .json: Console.out(results.count == 1 ? JSONText.encode(results[0]) : JSONText.encode(results))
            case .table: Console.out(CacheBenchResult.table(results))
            }
            let errors = results.reduce(0) { $0 + $1.errors }
            if errors > 0 {
                let first = results.lazy.compactMap(\.firstError).first
                Console.error("\(errors) errors; the first: \(first ?? "unknown")")
            }
            for result in results where !result.isSound {
                Console.error(
                    "\(result.name), pipeline \(result.pipeline): \(result.missing) reads found nothing, "
                        + "\(result.stale) another value than the last written"
                )
            }
            if results.contains(where: { !$0.isSound || $0.operations == 0 }) { throw ExitStatus.failure }
        }
    }
}
