// SPDX-License-Identifier: Apache-2.0
package import Primitives

// What this shard contributes to deadlock detection across shards. Sessions that declare an owner are joined with that
// owner's sessions elsewhere; the system shard's `CrossShardDetector` puts the pieces together.

extension LockState {
    /// The edges between sessions with owners: a wait of one that ends at the other, directly or through waits of
    /// sessions without an owner. At most `LockLimits.ownerWaits`; ask again when `ownerWaitsVersion` has changed.
    ///
    /// A semaphore's holder is named only when no other holders could free enough permits without it. So every reported
    /// edge is one that must go before the request can be granted, and a cycle of them is a deadlock; deadlocks
    /// across shards in which several holders of a semaphore could each have helped are left to the waits' time limits.
    package func ownerWaits() -> [OwnerWait] {
        var result: [OwnerWait] = []
        guard ownedWaits > 0 else { return result }
        for wait in 0..<waits.end where waits.contains(wait) {
            guard sessions[waits[wait].session].owner != noSlot else { continue }
            addOwnerWaits(of: wait, to: &result)
            if result.count >= limits.ownerWaits { return Array(result.prefix(limits.ownerWaits)) }
        }
        return result
    }

    /// Breadth first through the waits of sessions without an owner, so each holder is reported with a shortest way.
    private func addOwnerWaits(of wait: Slot, to result: inout [OwnerWait]) {
        let session = waits[wait].session
        guard let waiter = ownerName(of: session) else { return }
        var seenWaits = LookupTable<Slot, Bool>()
        var seenSessions = LookupTable<Slot, Bool>()
        // Of each wait: which step led to it, and at which place of that step's wait.
        var steps = [(wait: wait, from: -1, place: noSlot)]
        seenWaits[wait] = true
        var next = 0
        while next < steps.count {
            let here = next
            next += 1
            forEachCertainBlocker(of: steps[here].wait) { place, blocker in
                func follow(_ other: Slot) {
                    guard seenWaits[other] == nil else { return }
                    seenWaits[other] = true
                    steps.append((other, here, place))
                }
                switch blocker {
                case .request(let other): follow(other)
                case .session(let other):
                    guard seenSessions[other] == nil, other != session else { return }
                    seenSessions[other] = true
                    guard let holder = ownerName(of: other) else {
                        forEachWaitOfAgent(other) { follow($0) }
                        return
                    }
                    var way = [edge(of: place)]
                    var step = here
                    while steps[step].from >= 0 {
                        way.append(edge(of: steps[step].place))
                        step = steps[step].from
                    }
                    guard let first = way.popLast(), way.count < LockLimits.reportedCycle else { return }
                    let record = waits[wait]
                    result.append(
                        OwnerWait(
                            waiter: waiter,
                            holder: holder,
                            holderSession: sessions[other].id,
                            request: record.request,
                            since: record.since,
                            priority: record.priority,
                            edge: first,
                            through: way.reversed()
                        )
                    )
                }
            }
        }
    }

    private func forEachCertainBlocker(of wait: Slot, _ body: (Slot, Blocker) -> Void) {
        var place = waits[wait].firstPlace
        while place != noSlot {
            let current = place
            let object = places[place].object
            if objects[object].kind == .semaphore {
                if places[place].previous != noSlot { body(current, .request(places[places[place].previous].wait)) }
                let limit = details[objects[object].detail].limit
                var hold = objects[object].firstHold
                while hold != noSlot {
                    if UInt64(holds[hold].count) + UInt64(waits[wait].permits) > limit {
                        body(current, .session(holds[hold].session))
                    }
                    hold = holds[hold].nextInObject
                }
            } else {
                forEachBlocker(of: place) { body(current, $0) }
            }
            place = places[place].nextInWait
        }
    }

    /// Those of the requests that still wait.
    package func standing(_ requests: [RequestID]) -> [RequestID] { requests.filter { findWait($0) != nil } }
}

extension LockState {
    /// Whether any session with an owner waits: while not, there is nothing to report.
    package var hasOwnerWaits: Bool { ownedWaits > 0 }
}
