// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import Replica

/// Rebuilds the wait-for graph from the accounts of all shards, without the core's help: within a shard no cycle may
/// outlive the entry that closed it; a cycle across shards must be real when somebody is made its victim, and must
/// not stand for long.
struct DeadlockCheck {
    /// A waiting request.
    private struct Node {
        var shard: Int
        var request: RequestID
        var session: SessionID
        var owner: Name
    }

    private struct Key: Hashable {
        var shard: Int
        var request: RequestID
    }

    /// More waiting requests than bits are not looked at.
    private static let limit = 64

    private let shards: Int
    private var nodes: [Node] = []
    /// Bit n of element m: request m waits for request n.
    private var edges: [UInt64] = []
    /// Requests that were in a cycle across shards at some time.
    private var everInCycle = LookupTable<Key, Bool>()
    /// Those that are now, and since when.
    private var standing: [(key: Key, since: WorldTime)] = []

    init(shards: Int) { self.shards = shards }

    /// Since when the oldest cycle across shards stands.
    var oldestStanding: WorldTime? { standing.map(\.since).min() }

    mutating func check(
        _ shard: Int,
        _ outcome: Witness.Outcome,
        _ models: [LockModel],
        now: WorldTime,
        joins: Bool,
        _ violations: inout ViolationLog
    ) {
        var isVictimOfAll = false
        for event in outcome.effects.events {
            if case .deadlock(_, _, let victim) = event, case .lock(.abortWait) = outcome.envelope.command {
                isVictimOfAll = true
                violations.expect(
                    everInCycle[Key(shard: shard, request: victim)] != nil,
                    .deadlock,
                    "request \(victim) of shard \(shard) was aborted for a cycle across shards that never was"
                )
            }
        }
        guard isVictimOfAll || outcome.addsOrMovesWaits else { return }
        if models[shard].waiterCount > 1 {
            gather(models, only: shard)
            let stuck = cyclic()
            violations.expect(
                stuck == 0,
                .deadlock,
                "entry \(outcome.index) of shard \(shard) leaves a deadlock that nobody broke: \(describe(stuck))"
            )
        }
        if joins { checkAcross(models, now) }
    }

    private mutating func checkAcross(_ models: [LockModel], _ now: WorldTime) {
        gather(models, only: nil)
        let stuck = cyclic()
        var still: [(key: Key, since: WorldTime)] = []
        for (position, node) in nodes.enumerated() where stuck & (1 << UInt64(position)) != 0 {
            let key = Key(shard: node.shard, request: node.request)
            everInCycle[key] = true
            still.append((key, standing.first { $0.key == key }?.since ?? now))
        }
        standing = still
    }

    private func describe(_ stuck: UInt64) -> String {
        nodes.indices.filter { stuck & (1 << UInt64($0)) != 0 }
            .map { "\(nodes[$0].session) (request \(nodes[$0].request))" }.joined(separator: ", ")
    }

    // MARK: The graph

    private mutating func gather(_ models: [LockModel], only: Int?) {
        nodes.removeAll(keepingCapacity: true)
        for model in models where only == nil || model.shard == only {
            for object in model.objects {
                for waiter in object.waiters {
                    guard nodes.count < Self.limit else { break }
                    if nodes.contains(where: { $0.shard == model.shard && $0.request == waiter.request }) { continue }
                    let session = model.sessions[waiter.session]
                    nodes.append(
                        Node(shard: model.shard, request: waiter.request, session: session.id, owner: session.owner)
                    )
                }
            }
        }
        edges = Array(repeating: 0, count: nodes.count)
        for model in models where only == nil || model.shard == only {
            for object in model.objects where !object.waiters.isEmpty { addEdges(of: object, model) }
        }
    }

    private mutating func addEdges(of object: LockModel.Object, _ model: LockModel) {
        for waiter in object.waiters {
            guard let from = position(model.shard, waiter.request) else { continue }
            for other in object.waiters where stands(other, inFrontOf: waiter) {
                if let to = position(model.shard, other.request) { edges[from] |= 1 << UInt64(to) }
                // Whoever is granted before and conflicts has to let go again, which it does when it waits for
                // nothing.
                if object.kind != .semaphore && LockModel.excludes(other.mode, waiter.mode) {
                    edges[from] |= waits(of: model.sessions[other.session])
                }
            }
            for holder in object.holders where mustGo(holder, before: waiter, of: object) {
                edges[from] |= waits(of: model.sessions[holder.session])
            }
        }
    }

    /// Of a semaphore's holders only one that leaves too few permits for anybody's help to suffice.
    private func mustGo(_ holder: LockModel.Holder, before waiter: LockModel.Waiter, of object: LockModel.Object)
        -> Bool
    {
        if object.kind == .semaphore { return holder.permits + waiter.permits > object.limit }
        return holder.session != waiter.session && LockModel.excludes(holder.mode, waiter.mode)
    }

    private func stands(_ other: LockModel.Waiter, inFrontOf waiter: LockModel.Waiter) -> Bool {
        guard other.request != waiter.request else { return false }
        if other.isConversion != waiter.isConversion { return other.isConversion }
        return other.position < waiter.position
    }

    private func position(_ shard: Int, _ request: RequestID) -> Int? {
        nodes.firstIndex { $0.shard == shard && $0.request == request }
    }

    /// The waiting requests of a session, and of the sessions of its owner in other namespaces: while they wait, it
    /// lets go of nothing.
    private func waits(of session: LockModel.Session) -> UInt64 {
        var mask: UInt64 = 0
        for (position, node) in nodes.enumerated() {
            let isSame = node.session == session.id
            let isJoined =
                !session.owner.text.isEmpty && node.owner == session.owner
                && node.session.namespace != session.id.namespace
            if isSame || isJoined { mask |= 1 << UInt64(position) }
        }
        return mask
    }

    /// The requests that wait, over others, for themselves.
    private func cyclic() -> UInt64 {
        var reach = edges
        var changed = true
        while changed {
            changed = false
            for from in reach.indices {
                var all = reach[from]
                for to in reach.indices where reach[from] & (1 << UInt64(to)) != 0 { all |= reach[to] }
                if all != reach[from] {
                    reach[from] = all
                    changed = true
                }
            }
        }
        var mask: UInt64 = 0
        for position in reach.indices where reach[position] & (1 << UInt64(position)) != 0 {
            mask |= 1 << UInt64(position)
        }
        return mask
    }
}

extension Witness.Outcome {
    /// Only these can close a cycle, or give a waiting request another id (a retry takes over the wait of the first
    /// try).
    var addsOrMovesWaits: Bool {
        if effects.responses.contains(where: { $0.request != envelope.request }) { return true }
        return effects.events.contains {
            switch $0 {
            case .queued, .granted, .released: true
            default: false
            }
        }
    }
}
