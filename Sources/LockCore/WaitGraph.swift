// SPDX-License-Identifier: Apache-2.0
import Primitives

/// The part of the wait-for graph that can be reached from one session, built for one search and thrown away.
/// See LockState+Deadlock.swift for what its edges mean.
struct WaitGraph {
    private struct Edge {
        /// Position in `nodes`.
        var target: Int32
        /// The place of the waiting request at which it waits for the target.
        var place: Slot
    }

    /// Waiting requests in the order they were reached.
    private var nodes: [Slot] = []
    private var position = LookupTable<Slot, Int32>()
    private var edges: [Edge] = []
    /// Edges of node n are `edges[edgeStart[n] ..< edgeStart[n + 1]]`.
    private var edgeStart: [Int32] = []
    /// Nodes that are certain to be granted once others let go: the complement of the deadlocked set.
    private var isFree: [Bool] = []
    private var rootCount = 0

    init(_ state: LockState, around session: Slot) {
        state.forEachWaitOfAgent(session) { _ = add($0) }
        rootCount = nodes.count
        var next = 0
        while next < nodes.count {
            edgeStart.append(Int32(edges.count))
            addEdges(state, of: nodes[next])
            next += 1
        }
        edgeStart.append(Int32(edges.count))
        isFree = Array(repeating: false, count: nodes.count)
    }

    private mutating func add(_ wait: Slot) -> Int32 {
        if let found = position[wait] { return found }
        let number = Int32(nodes.count)
        nodes.append(wait)
        position[wait] = number
        return number
    }

    private mutating func addEdges(_ state: LockState, of wait: Slot) {
        var place = state.waits[wait].firstPlace
        while place != noSlot {
            state.forEachBlocker(of: place) { blocker in
                switch blocker {
                case .request(let other): edges.append(Edge(target: add(other), place: place))
                case .session(let other):
                    state.forEachWaitOfAgent(other) { edges.append(Edge(target: add($0), place: place)) }
                }
            }
            place = state.places[place].nextInWait
        }
    }

    /// The places of the shortest cycle of deadlocked requests through the session, each waiting for the next one's
    /// session; nil when nothing is deadlocked.
    mutating func cycle(_ state: LockState) -> [Slot]? {
        var changed = true
        var deadlocked = 0
        while changed {
            changed = false
            deadlocked = 0
            // Far requests first: without a deadlock they free the near ones within one round.
            for node in nodes.indices.reversed() where !isFree[node] {
                if canBeGranted(node, state) {
                    isFree[node] = true
                    changed = true
                } else {
                    deadlocked += 1
                }
            }
        }
        guard deadlocked > 0 else { return nil }
        for root in 0..<rootCount where !isFree[root] {
            if let cycle = shortestCycle(through: Int32(root)) { return cycle }
        }
        return nil
    }

    private func canBeGranted(_ node: Int, _ state: LockState) -> Bool {
        let wait = nodes[node]
        if state.waits[wait].kind == .semaphore { return canHavePermits(wait, state) }
        for edge in edges[Int(edgeStart[node])..<Int(edgeStart[node + 1])] where !isFree[Int(edge.target)] {
            return false
        }
        return true
    }

    /// Do the permits suffice that remain when the deadlocked sessions keep what they have, and get what they stand in
    /// front for?
    private func canHavePermits(_ wait: Slot, _ state: LockState) -> Bool {
        let place = state.waits[wait].firstPlace
        let object = state.places[place].object
        var lost = UInt64(state.waits[wait].permits)
        let limit = state.details[state.objects[object].detail].limit
        var front = state.places[place].previous
        if front != noSlot, !isFree(state.places[front].wait) { return false }
        while front != noSlot {
            let other = state.places[front].wait
            if isStuck(state.waits[other].session, state) { lost += UInt64(state.waits[other].permits) }
            front = state.places[front].previous
        }
        var hold = state.objects[object].firstHold
        while hold != noSlot, lost <= limit {
            if isStuck(state.holds[hold].session, state) { lost += UInt64(state.holds[hold].count) }
            hold = state.holds[hold].nextInObject
        }
        return lost <= limit
    }

    private func isFree(_ wait: Slot) -> Bool {
        guard let node = position[wait] else { return true }
        return isFree[Int(node)]
    }

    private func isStuck(_ session: Slot, _ state: LockState) -> Bool {
        var stuck = false
        state.forEachWaitOfAgent(session) { stuck = stuck || !isFree($0) }
        return stuck
    }

    private func shortestCycle(through root: Int32) -> [Slot]? {
        var cameFrom: [Int32] = Array(repeating: -1, count: nodes.count)
        var cameBy: [Slot] = Array(repeating: noSlot, count: nodes.count)
        var queue: [Int32] = [root]
        var next = 0
        while next < queue.count {
            let node = queue[next]
            next += 1
            for edge in edges[Int(edgeStart[Int(node)])..<Int(edgeStart[Int(node) + 1])] {
                let target = Int(edge.target)
                if edge.target == root {
                    var cycle = [edge.place]
                    var back = node
                    while back != root {
                        cycle.append(cameBy[Int(back)])
                        back = cameFrom[Int(back)]
                    }
                    return cycle.reversed()
                }
                guard !isFree[target], cameFrom[target] < 0 else { continue }
                cameFrom[target] = node
                cameBy[target] = edge.place
                queue.append(edge.target)
            }
        }
        return nil
    }
}
