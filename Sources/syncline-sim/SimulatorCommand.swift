// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Simulator

@main
struct SimulatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "syncline-sim",
        abstract: "Runs whole Syncline clusters on a simulated clock, network and disk, and looks for broken rules.",
        discussion: """
            A seed decides everything: the size of the cluster, its settings, its load and its faults. The same seed
            gives the same run, and the same trace hash, in every process.
            """
    )

    @Option(help: "Run this one seed.")
    var seed: UInt64?

    @Option(help: "How many seeds to run.")
    var seeds: UInt64 = 100

    @Option(help: "The first of them.")
    var first: UInt64 = 1

    @Option(help: "Kind of run; --list names them.")
    var scenario = Scenario.mix.name

    @Flag(help: "Print the trace hash of every seed.")
    var trace = false

    @Option(help: "Plant a bug (test builds only); --list names them.")
    var planted: String?

    @Option(help: "Seeds that run at the same time.")
    var jobs = 1

    @Flag(help: "Print each seed's configuration and, for one seed, the last events of every node.")
    var verbose = false

    @Flag(help: "List scenarios, planted bugs and probes.")
    var list = false

    func validate() throws {
        guard jobs >= 1, seeds >= 1 else { throw ValidationError("--jobs and --seeds must be at least 1") }
        guard Scenario.named(scenario) != nil else {
            throw ValidationError("there is no scenario '\(scenario)'; --list names them")
        }
        guard let planted else { return }
        guard PlantedBug.named(planted) != nil else {
            throw ValidationError("there is no bug '\(planted)' to plant; --list names them")
        }
        guard PlantedBug.isAvailable else {
            throw ValidationError("this build cannot plant bugs: build it with --traits PlantedBugs")
        }
    }

    func run() async throws {
        if list { return Report.printList() }
        guard let scenario = Scenario.named(scenario) else { return }
        let range = seed.map { $0..<($0 + 1) } ?? first..<(first + seeds)
        let runner = SeedRunner(scenario: scenario, planted: planted, jobs: jobs, verbose: verbose)
        var summary = Summary()
        let isClean = await runner.run(range) { result in
            summary.add(result)
            if trace { print("seed \(result.seed) trace \(Report.hex(result.traceHash))") }
            if verbose { Report.printConfiguration(result) }
            if verbose && seed != nil && result.violation == nil { Report.printEvents(result) }
        }
        Report.print(summary, scenario: scenario)
        if !isClean { throw ExitCode(1) }
    }
}
