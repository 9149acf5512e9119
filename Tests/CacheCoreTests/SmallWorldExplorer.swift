import Primitives

// SPDX-License-Identifier: Apache-2.0
@testable import CacheCore

/// Goes through all states that a plan allows, each once, depth first: only the path to where it is has to be kept.
struct SmallWorldExplorer {
    struct Found {
        var text: String
        var path: [SmallWorldEvent]
    }

    private(set) var states = 0
    private(set) var steps = 0
    private(set) var settled = 0
    private(set) var deepest = 0
    private(set) var found: Found?
    private(set) var isComplete = true
    private var seen: Set<WorldHash> = []
    private var path: [SmallWorldEvent] = []
    private let maxStates: Int

    init(maxStates: Int) { self.maxStates = maxStates }

    mutating func explore(_ plan: SmallWorldPlan) {
        var world = SmallWorld(plan)
        world.begin()
        if let fault = world.fault { return note(fault, nil) }
        guard seen.insert(world.hash()).inserted else { return }
        visit(world)
    }

    private mutating func visit(_ world: SmallWorld) {
        states += 1
        deepest = max(deepest, path.count)
        if states >= maxStates {
            isComplete = false
            return
        }
        if world.isQuiet {
            var end = world
            settled += 1
            if let fault = end.settle() { return note("at the end: " + fault, nil) }
        }
        for event in world.events() {
            var next = world
            next.step(event)
            steps += 1
            if let fault = next.fault { return note(fault, event) }
            guard seen.insert(next.hash()).inserted else { continue }
            path.append(event)
            visit(next)
            path.removeLast()
            if found != nil || !isComplete { return }
        }
    }

    private mutating func note(_ text: String, _ last: SmallWorldEvent?) {
        if found == nil { found = Found(text: text, path: path + (last.map { [$0] } ?? [])) }
    }
}
