// SPDX-License-Identifier: Apache-2.0
import Simulator

/// Runs seeds, several at a time, and stops at the first that fails.
struct SeedRunner {
    let scenario: Scenario
    let planted: String?
    let jobs: Int
    let verbose: Bool

    private struct Finished: Sendable {
        var job: Int
        var result: SimulationResult
    }

    /// Calls `each` with every result, in the order of the seeds when there is one job. False when a seed failed.
    func run(_ seeds: Range<UInt64>, each: (SimulationResult) -> Void) async -> Bool {
        CrashNote.install(scenario: scenario.name, planted: planted, jobs: jobs)
        return await withTaskGroup(of: Finished.self) { group in
            var rest = seeds.makeIterator()
            var isClean = true
            for job in 0..<jobs {
                if let seed = rest.next() { start(seed, job, in: &group) }
            }
            while let finished = await group.next() {
                each(finished.result)
                if finished.result.violation != nil {
                    if isClean { Report.printFailure(finished.result, scenario: scenario, planted: planted) }
                    isClean = false
                }
                if isClean, let seed = rest.next() { start(seed, finished.job, in: &group) }
            }
            return isClean
        }
    }

    private func start(_ seed: UInt64, _ job: Int, in group: inout TaskGroup<Finished>) {
        let (scenario, planted, verbose) = (scenario, planted, verbose)
        group.addTask {
            CrashNote.begins(seed, job: job)
            var options = SimulationOptions(seed: seed, scenario: scenario)
            options.planted = planted
            options.verbose = verbose
            var result = Simulation(options).run()
            if result.violation != nil && !verbose {
                // Once more for the words: a run that keeps none is several times faster.
                options.verbose = true
                result = Simulation(options).run()
            }
            CrashNote.ends(job: job)
            return Finished(job: job, result: result)
        }
    }
}
