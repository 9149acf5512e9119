// SPDX-License-Identifier: Apache-2.0
import Primitives
import Simulator

/// What several seeds add up to.
struct Summary {
    private let clock = ContinuousClock()
    private let began: ContinuousClock.Instant
    private(set) var seeds = 0
    private(set) var simulated: UInt64 = 0
    private(set) var events: UInt64 = 0
    private(set) var operations: UInt64 = 0
    private(set) var committed: UInt64 = 0
    private(set) var faults: Tally?
    private(set) var probes: Tally?

    init() { began = clock.now }

    mutating func add(_ result: SimulationResult) {
        seeds += 1
        simulated += result.simulated.nanoseconds
        events += result.events
        operations += result.operations
        committed += result.committed
        if faults == nil { faults = result.faults } else { faults?.add(result.faults) }
        if probes == nil { probes = result.probes } else { probes?.add(result.probes) }
    }

    var wallSeconds: Double {
        let elapsed = clock.now - began
        return Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
    }

    var clusterSeconds: Double { Double(simulated) / 1e9 }
}

/// The command's output.
enum Report {
    static func hex(_ value: UInt64) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }

    private static func line(_ text: String) { Swift.print(text) }

    private static func rounded(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    static func print(_ summary: Summary, scenario: Scenario) {
        let rate = summary.clusterSeconds / max(summary.wallSeconds, 1e-9)
        line(
            "\(scenario.name): \(summary.seeds) seeds, \(rounded(summary.clusterSeconds)) cluster-seconds in "
                + "\(rounded(summary.wallSeconds)) s (\(rounded(rate)) per second)"
        )
        line("events \(summary.events), operations \(summary.operations), entries committed \(summary.committed)")
        if let faults = summary.faults {
            line("faults: " + join(FaultKind.allCases.map { ($0.name, faults[$0]) }))
        }
        if let probes = summary.probes {
            line("probes: " + join(Probe.allCases.map { ("\($0)", probes[$0]) }))
            let missed = Probe.allCases.filter { probes[$0] == 0 }
            if !missed.isEmpty { line("never: " + missed.map { "\($0)" }.joined(separator: " ")) }
        }
    }

    private static func join(_ counts: [(String, UInt64)]) -> String {
        let seen = counts.filter { $0.1 > 0 }
        return seen.isEmpty ? "none" : seen.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    }

    static func printFailure(_ result: SimulationResult, scenario: Scenario, planted: String?) {
        guard let violation = result.violation else { return }
        printEvents(result)
        printConfiguration(result)
        line("violation: \(violation.checker.rawValue) at \(violation.time): \(violation.text)")
        let plant = planted.map { " --planted \($0)" } ?? ""
        line("replay: syncline-sim --scenario \(scenario.name)\(plant) --seed \(result.seed) --verbose")
    }

    static func printEvents(_ result: SimulationResult) {
        guard let log = result.log else { return }
        for ring in 0..<log.ringCount {
            line(ring == log.ringCount - 1 ? "world, last events:" : "node \(ring), last events:")
            for event in log.lines(of: ring) { line("  \(event)") }
        }
    }

    static func printConfiguration(_ result: SimulationResult) {
        let swarm = result.swarm
        line(
            "seed \(result.seed): \(swarm.nodes) nodes, \(swarm.shards) shards, \(swarm.clients) "
                + "clients, heartbeat \(swarm.heartbeat), "
                + "election \(swarm.electionMin)–\(swarm.electionMax), TTL \(swarm.sessionTTL)ms, "
                + "faults \(swarm.faults.map(\.name).joined(separator: " ")), "
                + "\(rounded(Double(result.simulated.nanoseconds) / 1e9)) s, \(result.events) events, "
                + "\(result.operations) operations"
        )
    }

    static func printList() {
        line("scenarios:")
        for scenario in Scenario.all { line("  \(scenario.name): \(scenario.summary)") }
        line("planted bugs\(PlantedBug.isAvailable ? "" : " (not in this build)"):")
        for bug in PlantedBug.all {
            line("  \(bug.name): found by \(bug.checker.rawValue) in scenario \(bug.scenario)")
        }
        line("probes: " + Probe.allCases.map { "\($0)" }.joined(separator: " "))
    }
}
