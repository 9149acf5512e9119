// SPDX-License-Identifier: Apache-2.0
import LockCore
package import Primitives
import RaftCore
import Replica

package struct SimulationOptions: Sendable {
    package var seed: UInt64
    package var scenario: Scenario
    /// A bug to plant; builds with `PLANTED_BUGS` only.
    package var planted: String?
    /// Keep each node's last events as text.
    package var verbose = false

    package init(seed: UInt64, scenario: Scenario) {
        self.seed = seed
        self.scenario = scenario
    }
}

package struct SimulationResult: Sendable {
    package var seed: UInt64
    package var violation: Violation?
    /// The same in every process that runs this seed.
    package var traceHash: UInt64
    package var simulated: Interval
    package var events: UInt64
    package var operations: UInt64
    package var committed: UInt64
    package var faults: Tally
    package var probes: Tally
    package var log: EventLog?
    package var swarm: Swarm
}

enum Phase {
    case chaos
    /// Faults are over; clients finish what they began and everything has to come to rest.
    case healing
    case finished
}

/// A whole cluster, its clients, its network, its disks and its bad luck, from one seed.
///
/// Everything happens in the order of `queue`; nothing reads a real clock or an unseeded generator, and nothing
/// walks a hash table, so a seed always gives the same run.
package final class Simulation {
    let options: SimulationOptions
    let swarm: Swarm
    let names: NameTable
    let lines: LineTable
    @exclusivity(unchecked) var now = WorldTime.zero
    @exclusivity(unchecked) var queue = EventQueue()
    @exclusivity(unchecked) var network: SimNetwork
    @exclusivity(unchecked) var nodes: [SimNode] = []
    @exclusivity(unchecked) var clients: [SimClient] = []
    @exclusivity(unchecked) var operations: [Operation] = []
    @exclusivity(unchecked) var cacheClients: [CacheClient] = []
    @exclusivity(unchecked) var cacheCalls: [CacheClientCall] = []
    @exclusivity(unchecked) var cacheRandom: SeededRandom
    var sessionOwners = LookupTable<SessionID, (client: Int, session: Int)>()
    var consumerOwners = LookupTable<Name, (client: Int, consumer: Int)>()
    var snapshotBodies = LookupTable<SnapshotKey, SnapshotBodies>()
    @exclusivity(unchecked) var checkers: Checkers
    @exclusivity(unchecked) var violations = ViolationLog()
    var nemesis: Nemesis
    @exclusivity(unchecked) var phase = Phase.chaos
    @exclusivity(unchecked) var trace = TraceHash()
    @exclusivity(unchecked) var probes = Tally.probes
    @exclusivity(unchecked) var eventLog: EventLog?
    @exclusivity(unchecked) var random: SeededRandom
    var diskRandom: SeededRandom
    @exclusivity(unchecked) var eventCount: UInt64 = 0
    var healedAt = WorldTime.zero

    package init(_ options: SimulationOptions) {
        self.options = options
        var seeds = SeededRandom(seed: StableHash.combine(options.seed, StableHash.fnv1a(options.scenario.name.utf8)))
        var swarmRandom = SeededRandom(seed: seeds.next())
        swarm = options.scenario.configure(&swarmRandom)
        names = NameTable(swarm: swarm)
        lines = LineTable(swarm: swarm)
        network = SimNetwork(
            nodeCount: swarm.nodes,
            random: SeededRandom(seed: seeds.next()),
            latencyMin: swarm.latencyMin,
            latencyMax: swarm.latencyMax
        )
        random = SeededRandom(seed: seeds.next())
        diskRandom = SeededRandom(seed: seeds.next())
        nemesis = Nemesis(random: SeededRandom(seed: seeds.next()), swarm: swarm)
        checkers = Checkers(swarm: swarm, limits: Self.limits(swarm, options))
        cacheRandom = SeededRandom(seed: StableHash.combine(options.seed, 7))
        if options.verbose { eventLog = EventLog(nodes: swarm.nodes + 1) }
        for index in 0..<swarm.nodes {
            nodes.append(SimNode(index: index, swarm: swarm, clock: makeClock()))
        }
        for index in 0..<swarm.clients {
            clients.append(
                SimClient(
                    index: index,
                    node: Int(random.below(UInt64(swarm.nodes))),
                    clock: makeClock(),
                    random: SeededRandom(seed: seeds.next())
                )
            )
        }
        addCacheClients()
        guard lines.queueCount > 0 else { return }
        for index in swarm.clients..<(swarm.clients + swarm.queues.clients) {
            var client = SimClient(
                index: index,
                node: Int(random.below(UInt64(swarm.nodes))),
                clock: makeClock(),
                random: SeededRandom(seed: seeds.next())
            )
            client.agent = QueueAgent(client: index, lines: lines)
            clients.append(client)
        }
    }

    private func makeClock() -> SimClock {
        let permille = 1000 - swarm.clockSpread + random.below(2 * swarm.clockSpread + 1)
        let origin = Instant(nanoseconds: 1_000_000_000 + random.below(1_000_000_000_000))
        return SimClock(permille: permille, origin: origin, at: .zero)
    }

    /// Runs to the end, or to the first violation.
    package func run() -> SimulationResult {
        for node in nodes { start(node) }
        for client in clients.indices {
            queue.schedule(.client(client), at: now + random.interval(from: .zero, to: .milliseconds(500)))
        }
        wakeCacheClients()
        beginChaos()
        while violations.isClean, phase != .finished, let (time, event) = queue.next() {
            now = time
            violations.now = time
            eventCount += 1
            handle(event)
        }
        if violations.isClean && phase != .finished { violations.report(.liveness, "nothing is left to happen") }
        return SimulationResult(
            seed: options.seed,
            violation: violations.first,
            traceHash: trace.value,
            simulated: now.since(.zero),
            events: eventCount,
            operations: UInt64(operations.count),
            committed: checkers.committedCount,
            faults: nemesis.tally,
            probes: probes,
            log: eventLog,
            swarm: swarm
        )
    }

    private func handle(_ event: Event) {
        switch event {
        case .turn(let node, let life): turn(nodes[node], life)
        case .tick(let node, let life): tick(nodes[node], life)
        case .deliver(let from, let to, let generation, let frame): deliver(frame, from: from, to: to, generation)
        case .connectionIdle(let pair, let generation): checkIdle(pair, generation)
        case .connect(let pair): connect(pair)
        case .diskDone(let node, let life, let batch): diskDone(nodes[node], life, batch)
        case .snapshotWritten(let node, let life, let shard): snapshotWritten(nodes[node], life, shard)
        case .snapshotInPlace(let node, let life, let shard): snapshotInPlace(nodes[node], life, shard)
        case .bodiesRead(let node, let life, let shard, let read): bodiesRead(nodes[node], life, shard, read)
        case .restart(let node): restart(nodes[node])
        case .resume(let node): resume(nodes[node])
        case .client(let client): wake(client)
        case .clientRequest(let node, let life, let operation): arrive(operation, at: nodes[node], life)
        case .clientCancel(let node, let life, let operation): arriveCancel(operation, at: nodes[node], life)
        case .clientAnswer(let operation, let answer): answered(operation, answer)
        case .cacheClient(let client): wakeCacheClient(client)
        case .cacheCall(let node, let life, let call): arriveCacheCall(call, at: nodes[node], life)
        case .cacheAnswer(let call, let result): cacheAnswered(call, result)
        case .nemesis: nemesisActs()
        case .faultEnds(let fault): endFault(fault)
        case .phaseCheck: checkPhase()
        }
    }

    func note(_ node: Int, _ line: @autoclosure () -> String) {
        guard eventLog != nil else { return }
        eventLog?.note(node, "\(now) " + line())
    }

    /// For what concerns no single node.
    func noteWorld(_ line: @autoclosure () -> String) { note(nodes.count, line()) }
}
