// SPDX-License-Identifier: Apache-2.0
import Foundation
import Simulator
import Testing

/// The simulator has to find classic bugs: otherwise its silence would mean nothing.
@Suite("Planted bugs", .enabled(if: SimulatorBinary.plantedPath() != nil, "needs a build with --traits PlantedBugs"))
struct PlantedBugTests {
    @Test("is found by the checker of its rule", arguments: PlantedBug.all.map(\.name))
    func isFound(_ name: String) throws {
        let bug = try #require(PlantedBug.named(name))
        let path = try #require(SimulatorBinary.plantedPath())
        let outcome = try SimulatorBinary.run(
            path,
            ["--scenario", bug.scenario, "--planted", bug.name, "--seeds", "\(bug.seeds)"]
        )
        #expect(outcome.status == 1, "not found in \(bug.seeds) seeds")
        let violation = outcome.output.split(separator: "\n").first { $0.hasPrefix("violation: ") } ?? ""
        #expect(violation.hasPrefix("violation: \(bug.checker.rawValue) "), "\(violation)")
    }

    @Test("without the bug the same seeds are clean", arguments: PlantedBug.all.map(\.name))
    func isCleanWithout(_ name: String) throws {
        let bug = try #require(PlantedBug.named(name))
        let path = try #require(SimulatorBinary.plantedPath())
        let outcome = try SimulatorBinary.run(path, ["--scenario", bug.scenario, "--seeds", "\(min(bug.seeds, 20))"])
        #expect(outcome.status == 0, "\(outcome.output.suffix(2_000))")
    }
}
