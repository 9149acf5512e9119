// SPDX-License-Identifier: Apache-2.0
import Foundation
import Primitives
import Testing

@testable import CacheCore

/// Longer lives than can be explored to the end, at random: everything may go wrong in each, and all at once.
@Suite("Random walks through small worlds")
struct SmallWorldWalkTests {
    @Test("no walk ends badly") func walks() {
        let env = ProcessInfo.processInfo.environment
        let count = UInt64(env["SYNCLINE_WALKS"] ?? "") ?? 2_000
        let first = UInt64(env["SYNCLINE_FIRST_WALK"] ?? "") ?? 1
        for seed in first..<(first + count) {
            var walk = SmallWorldWalk(seed: seed)
            if let fault = walk.run() {
                let diary = (walk.world.diary ?? []).joined(separator: "\n")
                Issue.record("seed \(seed): \(fault)\n\(walk.world.plan.clients)\n\(diary)")
                return
            }
        }
    }
}

struct SmallWorldWalk {
    private var random: SeededRandom
    private(set) var world: SmallWorld

    init(seed: UInt64, bug: PlantedCacheBug? = nil) {
        var random = SeededRandom(seed: seed)
        var plan = SmallWorldPlan("walk \(seed)", [])
        plan.bug = bug
        let isSilent = random.below(2) == 0
        let unlogged = seed % 4 == 3 ? CacheDurability.local : .volatile
        for _ in 0..<(2 + random.below(4)) {
            var operations: [ClientOperation] = []
            for _ in 0..<(1 + random.below(5)) {
                let mode = isSilent && random.below(4) > 0 ? unlogged : .replicated
                operations.append(Self.operation(mode, &random))
            }
            plan.clients.append(SmallWorldPlan.Client(Int(random.below(3)), operations))
        }
        if random.below(4) == 0 { plan.members = [0, 1] }
        plan.maxVerdicts = random.below(4) == 0 ? 1 : 64
        func some(_ most: UInt64) -> Int { random.below(2) == 0 ? 0 : Int(random.below(most + 1)) }
        plan.budget.evictions = some(4)
        plan.budget.flushes = some(4)
        plan.budget.breaks = some(4)
        plan.budget.lapses = some(3)
        plan.budget.revivals = some(2)
        plan.budget.removals = some(3)
        plan.budget.joins = plan.members.count < 3 ? 3 : some(3)
        plan.budget.takeovers = some(2)
        plan.budget.requestorTicks = some(8)
        plan.budget.homeTicks = some(8)
        plan.budget.timeouts = some(1)
        plan.budget.refusals = some(2)
        plan.budget.clearings = some(1)
        plan.budget.hours = some(2)
        if unlogged == .local {
            plan.budget.hours = 0
            plan.budget.crashes = some(3)
        }
        self.random = random
        world = SmallWorld(plan)
        world.diary = []
        world.begin()
    }

    private static func operation(_ mode: CacheDurability, _ random: inout SeededRandom) -> ClientOperation {
        let text = "\(random.below(1_000))"
        switch random.below(12) {
        case 0..<4: return .read
        case 4..<7: return .set(text, mode)
        case 7: return .increment(mode)
        case 8: return .delete(mode)
        case 9: return .set(text, mode, random.below(2) == 0 ? .absent : .present)
        case 10: return .expiring(text, mode)
        default: return .guarded(text, 1 + random.below(3), mode, random.below(2) == 0 ? .absent : .always)
        }
    }

    mutating func run() -> String? {
        for _ in 0..<400 {
            let events = world.events()
            guard !events.isEmpty else { break }
            let event = events[Int(random.below(UInt64(events.count)))]
            world.step(event)
            if let fault = world.fault { return fault }
        }
        return world.settle().map { "at the end: " + $0 }
    }
}
