// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@Suite("Replay")
struct ReplayTests {
    @Test("the same seeds give the same trace hashes in two processes")
    func sameTrace() throws {
        let path = try #require(SimulatorBinary.path(), "syncline-sim is not built")
        let arguments = ["--first", "1", "--seeds", "6", "--trace"]
        let first = try SimulatorBinary.run(path, arguments)
        let second = try SimulatorBinary.run(path, arguments)
        #expect(first.status == 0, "\(first.output)")
        #expect(traces(first).count == 6)
        #expect(traces(first) == traces(second))
    }

    @Test("other seeds give other traces")
    func otherTrace() throws {
        let path = try #require(SimulatorBinary.path(), "syncline-sim is not built")
        let outcome = try SimulatorBinary.run(path, ["--seeds", "3", "--scenario", "calm", "--trace"])
        #expect(Set(traces(outcome).map { $0.suffix(16) }).count == 3)
    }

    @Test("several jobs find what one finds")
    func jobs() throws {
        let path = try #require(SimulatorBinary.path(), "syncline-sim is not built")
        let one = try SimulatorBinary.run(path, ["--seeds", "4", "--scenario", "calm", "--trace"])
        let two = try SimulatorBinary.run(path, ["--seeds", "4", "--scenario", "calm", "--trace", "--jobs", "2"])
        #expect(traces(one).sorted() == traces(two).sorted())
    }

    @Test("an unknown scenario or bug is refused with the way to the list")
    func refusals() throws {
        let path = try #require(SimulatorBinary.path(), "syncline-sim is not built")
        for arguments in [["--scenario", "nonsense"], ["--planted", "nonsense"], ["--jobs", "0"]] {
            #expect(try SimulatorBinary.run(path, arguments).status != 0)
        }
        #expect(try SimulatorBinary.run(path, ["--list"]).output.contains("stale-read"))
    }

    private func traces(_ outcome: SimulatorBinary.Outcome) -> [Substring] {
        outcome.output.split(separator: "\n").filter { $0.contains(" trace ") }
    }
}
