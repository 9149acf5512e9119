// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Finds deadlocks of owners whose sessions wait in different shards: memory of the system shard's leader.
///
/// Each shard's leader reports its waits between owners (`LockState.ownerWaits`) whenever they change. The reports
/// are of different moments, so a cycle found in them may never have existed: an owner may have let go in one shard
/// before it began to wait in another. Hence every cycle is confirmed before anyone is aborted.
///
/// **Why confirmation is exact.** Let T be the moment the query is sent: every edge of the cycle was reported, so
/// each was true at some moment before T. A shard answers after T which of the requests still wait, and reports
/// changed waits before it answers, on the same ordered link; so when the last answer is in and the reports still
/// hold every edge, each edge was also true at some moment after T: the same request, the same holder, through the
/// same requests between. A request waits once and without a break, and nobody comes to stand in its way who did not
/// when it began to wait, except a holder that strengthens its mode, which a waiting owner does not. So each edge was
/// true throughout, all were true together at T, and a cycle that once exists stays until one of its waits is ended
/// from outside. This asks two things of the caller: an answer is given after leadership was confirmed as for a read
/// (a deposed leader's answer is from before T), and `clear` is called for a shard whose link was reset, since a
/// report may have been lost with it.
package struct CrossShardDetector: Sendable {
    /// What is to be sent to the leaders of shards.
    package struct Effects: Sendable {
        package var queries: [(shard: ShardID, query: UInt64, requests: [RequestID])] = []
        package var aborts: [(shard: ShardID, request: RequestID, cycle: [CycleEdge])] = []

        package init() {}

        package mutating func removeAll() {
            queries.removeAll(keepingCapacity: true)
            aborts.removeAll(keepingCapacity: true)
        }
    }

    private struct Report {
        var term: Term
        var waits: [OwnerWait]
    }

    private struct Edge {
        var shard: ShardID
        var wait: OwnerWait
    }

    private struct Query {
        var number: UInt64
        var begun: Instant
        var cycle: [Edge]
        var unanswered: [ShardID]
    }

    private struct Victim {
        var shard: ShardID
        var request: RequestID
        var since: Instant
    }

    private static var pendingLimit: Int { 64 }
    /// A query unanswered for this long is dropped, and its cycle looked for again.
    private static var queryTimeout: Interval { .milliseconds(1_000) }
    /// A victim still reported after this long is taken for not aborted: the order was lost.
    private static var abortTimeout: Interval { .milliseconds(5_000) }

    private var reports = OrderedMap<ShardID, Report>()
    private var pending: [Query] = []
    private var victims: [Victim] = []
    private var nextQuery: UInt64 = 1
    private var needsSearch = false

    package init() {}

    /// Nothing is reported: `step` need not be called.
    package var isIdle: Bool { reports.isEmpty && pending.isEmpty && victims.isEmpty }

    /// Takes a shard's whole report. One of an older term is ignored; a newer term is another leader, of which nothing
    /// that was asked of the old one counts.
    package mutating func replace(shard: ShardID, term: Term, waits: [OwnerWait]) {
        if let known = reports[shard] {
            guard term >= known.term else { return }
            if term > known.term { clear(shard: shard) }
        }
        reports[shard] = Report(term: term, waits: waits)
        pending.removeAll { query in query.cycle.contains { $0.shard == shard && !waits.contains($0.wait) } }
        victims.removeAll { victim in
            victim.shard == shard && !waits.contains { $0.request == victim.request }
        }
        needsSearch = true
    }

    /// Forgets a shard: its leader is unknown, or messages from it may have been lost.
    package mutating func clear(shard: ShardID) {
        reports.removeValue(forKey: shard)
        pending.removeAll { query in query.cycle.contains { $0.shard == shard } }
        victims.removeAll { $0.shard == shard }
        needsSearch = true
    }

    /// Looks for cycles and asks about those found. Call it now and then while not idle (every 20–100 ms): the delay
    /// is what a deadlock across shards lasts longer, and the saving is one search for many reports.
    package mutating func step(now: Instant, into effects: inout Effects) {
        let queries = pending.count
        pending.removeAll { now.since($0.begun) >= Self.queryTimeout }
        let aborted = victims.count
        victims.removeAll { now.since($0.since) >= Self.abortTimeout }
        guard needsSearch || pending.count < queries || victims.count < aborted else { return }
        needsSearch = false
        let edges = allEdges()
        while pending.count < Self.pendingLimit {
            let usable = edges.filter { !isSpokenFor($0) }
            guard let cycle = Self.findCycle(usable) else { return }
            ask(about: cycle, now, into: &effects)
        }
    }

    /// Takes a shard's answer: the requests of the query that still wait.
    package mutating func answered(
        shard: ShardID,
        query number: UInt64,
        standing: [RequestID],
        now: Instant,
        into effects: inout Effects
    ) {
        guard let position = pending.firstIndex(where: { $0.number == number }),
            let asked = pending[position].unanswered.firstIndex(of: shard)
        else { return }
        let asRequired = pending[position].cycle.allSatisfy { edge in
            edge.shard != shard || standing.contains(edge.wait.request)
        }
        guard asRequired else {
            pending.remove(at: position)
            needsSearch = true
            return
        }
        pending[position].unanswered.remove(at: asked)
        guard pending[position].unanswered.isEmpty else { return }
        let cycle = pending.remove(at: position).cycle
        abort(cycle, now, into: &effects)
        needsSearch = true
    }

    // Aborting

    private mutating func abort(_ cycle: [Edge], _ now: Instant, into effects: inout Effects) {
        var victim = cycle[0]
        for edge in cycle.dropFirst() where Self.isBetterVictim(edge.wait, than: victim.wait) { victim = edge }
        victims.append(Victim(shard: victim.shard, request: victim.wait.request, since: now))
        let whole = cycle.flatMap { [$0.wait.edge] + $0.wait.through }
        let report = Array(whole.prefix(LockLimits.reportedCycle))
        effects.aborts.append((victim.shard, victim.wait.request, report))
    }

    /// Lowest priority, then the wait that began last, then the higher request id. Log indexes of different shards say
    /// nothing about age; cluster times are close enough for a fair choice, and nothing depends on them.
    private static func isBetterVictim(_ wait: OwnerWait, than other: OwnerWait) -> Bool {
        if wait.priority != other.priority { return wait.priority < other.priority }
        if wait.since != other.since { return wait.since > other.since }
        return wait.request > other.request
    }

    private mutating func ask(about cycle: [Edge], _ now: Instant, into effects: inout Effects) {
        var shards: [ShardID] = []
        for edge in cycle where !shards.contains(edge.shard) { shards.append(edge.shard) }
        for shard in shards {
            let requests = cycle.filter { $0.shard == shard }.map(\.wait.request)
            effects.queries.append((shard, nextQuery, requests))
        }
        pending.append(Query(number: nextQuery, begun: now, cycle: cycle, unanswered: shards))
        nextQuery += 1
    }

    // Searching

    private func allEdges() -> [Edge] {
        var edges: [Edge] = []
        for (shard, report) in reports {
            for wait in report.waits { edges.append(Edge(shard: shard, wait: wait)) }
        }
        return edges
    }

    /// Its request is about to be aborted, or stands in a cycle that is being confirmed: when that is settled, what is
    /// left is searched again.
    private func isSpokenFor(_ edge: Edge) -> Bool {
        victims.contains { $0.shard == edge.shard && $0.request == edge.wait.request }
            || pending.contains { $0.cycle.contains { $0.shard == edge.shard && $0.wait.request == edge.wait.request } }
    }

    /// Does the agent that `edge` waits for wait itself in `next`? A session is one agent, and with it the sessions of
    /// the same owner in other namespaces.
    private static func joins(_ edge: Edge, _ next: Edge) -> Bool {
        edge.wait.holderSession == next.wait.edge.session
            || (edge.wait.holder == next.wait.waiter
                && edge.wait.holderSession.namespace != next.wait.edge.session.namespace)
    }

    private enum Colour { case white, grey, black }

    /// Depth-first search in three colours with a stack of its own.
    private static func findCycle(_ edges: [Edge]) -> [Edge]? {
        var byWaiter = LookupTable<Name, [Int]>()
        for (number, edge) in edges.enumerated() { byWaiter[edge.wait.waiter, default: []].append(number) }
        var colours = Array(repeating: Colour.white, count: edges.count)
        for start in edges.indices where colours[start] == .white {
            var path: [(edge: Int, next: Int)] = [(start, 0)]
            colours[start] = .grey
            while let top = path.last {
                let successors = byWaiter[edges[top.edge].wait.holder] ?? []
                guard top.next < successors.count else {
                    colours[top.edge] = .black
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                let candidate = successors[top.next]
                guard colours[candidate] != .black, joins(edges[top.edge], edges[candidate]) else { continue }
                if colours[candidate] == .grey, let from = path.firstIndex(where: { $0.edge == candidate }) {
                    return path[from...].map { edges[$0.edge] }
                }
                colours[candidate] = .grey
                path.append((candidate, 0))
            }
        }
        return nil
    }
}
