// SPDX-License-Identifier: Apache-2.0
#if PLANTED_BUGS
    import Primitives
    import Testing

    @testable import RaftCore

    /// The random runs are worth something only if they find the mistakes people really make.
    struct PlantedBugTests {
        @Test("Each planted bug is found by some seed", arguments: PlantedRaftBug.allCases)
        func isFound(_ bug: PlantedRaftBug) {
            let found = (1...UInt64(3000)).first { seed in
                let run = RandomRun(size: seed % 2 == 0 ? 3 : 5, seed: seed) { $0.plantedBug = bug }
                run.disturb()
                return !run.cluster.violations.isEmpty
            }
            #expect(found != nil)
        }
    }
#endif
