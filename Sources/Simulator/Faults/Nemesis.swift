// SPDX-License-Identifier: Apache-2.0
import Primitives

/// A fault that has begun and has to be undone.
struct ActiveFault {
    var kind: FaultKind
    var cuts: [(from: Int, to: Int)] = []
    var node: Int?
    /// Flapping: the links are cut now.
    var isCut = false
    var flapsLeft = 0
}

/// Chooses what goes wrong next, from its own stream of the seed.
struct Nemesis {
    var random: SeededRandom
    var tally = Tally.faults
    private(set) var active: [ActiveFault?] = []
    private(set) var activeCount = 0
    /// Nodes that will not come back.
    var lost = 0
    /// A disk as it was, to be put back later.
    var diskImage: (node: Int, disk: SimDisk, taken: WorldTime)?
    /// Until then nothing else goes wrong.
    var quietUntil = WorldTime.zero

    init(random: SeededRandom, swarm: Swarm) { self.random = random }

    mutating func begin(_ fault: ActiveFault) -> Int {
        activeCount += 1
        active.append(fault)
        return active.count - 1
    }

    func fault(_ position: Int) -> ActiveFault? { active[position] }

    mutating func update(_ position: Int, _ fault: ActiveFault) { active[position] = fault }

    mutating func end(_ position: Int) {
        guard active[position] != nil else { return }
        active[position] = nil
        activeCount -= 1
    }

    var activePositions: [Int] { active.indices.filter { active[$0] != nil } }
}
