// SPDX-License-Identifier: Apache-2.0
import Primitives

@testable import RaftCore

/// A whole Raft group on a simulated clock, network and disk; everything random comes from one seed. It checks the
/// paper's safety properties after every turn and notes what it finds in `violations`.
final class TestCluster {
    struct Faults {
        /// Chances in a thousand for each message.
        var drop: UInt64 = 0
        var duplicate: UInt64 = 0
        /// Messages take between these times, so with a wide span they overtake each other.
        var fastest = Interval.microseconds(200)
        var slowest = Interval.microseconds(200)
        var slowestDisk = Interval.microseconds(500)
    }

    private struct Packet {
        var from: NodeID
        var envelope: Envelope
    }

    private(set) var nodes: [TestNode] = []
    private(set) var now = Instant.zero
    var random: SeededRandom
    var faults = Faults()
    /// Directed links that lose everything.
    var cut: [(from: NodeID, to: NodeID)] = []
    private(set) var violations: [String] = []
    /// The newest entry known to be committed anywhere.
    private(set) var committed = LogIndex.zero
    private var network = TimerHeap<Packet>()
    private var leaders: [Term: NodeID] = [:]
    private var chosen: [LogIndex: Entry] = [:]
    private var readFloor: [UInt64: LogIndex] = [:]
    private var nextRead: UInt64 = 0
    private var nextPayload: UInt64 = 0

    init(
        size: UInt64 = 3,
        seed: UInt64 = 1,
        start: Bool = true,
        configure: (inout RaftConfiguration) -> Void = { _ in }
    ) {
        random = SeededRandom(seed: seed)
        let voters = (1...size).map { NodeID($0) }
        for voter in voters {
            var configuration = RaftConfiguration(id: voter, voters: voters)
            configuration.snapshotChunkBytes = 16
            configure(&configuration)
            nodes.append(TestNode(configuration: configuration))
        }
        if start { for node in nodes { node.start(seed: random.next(), now: now) } }
    }

    // MARK: Looking

    func node(_ id: UInt64) -> TestNode { nodes[Int(id) - 1] }

    func raft(_ id: UInt64) -> Raft { node(id).raft! }

    /// The leader of the highest term, if a majority could still follow it.
    var leader: TestNode? {
        nodes.filter { $0.raft?.role == .leader }.max { $0.raft!.term < $1.raft!.term }
    }

    var readyLeader: TestNode? { nodes.first { $0.raft?.isReadyLeader == true } }

    var converged: Bool {
        guard let leader, leader.raft!.isReadyLeader else { return false }
        return nodes.allSatisfy {
            $0.isUp && $0.machine == leader.machine && $0.machine.index == leader.raft!.lastIndex
        }
    }

    // MARK: Doing

    @discardableResult
    func run(milliseconds: UInt64) -> Bool { run(limit: milliseconds) { false } }

    /// Runs until the condition holds; false when it does not within `limit` milliseconds of simulated time.
    @discardableResult
    func run(limit: UInt64 = 5000, until condition: () -> Bool) -> Bool {
        let end = now + .milliseconds(limit)
        while !condition() {
            guard let next = nextEvent(), next <= end else {
                now = end
                return condition()
            }
            now = max(now, next)
            deliverDue()
        }
        return true
    }

    func step(_ node: TestNode, _ inputs: RaftInput...) {
        guard node.raft != nil else { return }
        var effects = RaftEffects()
        for input in inputs { node.raft!.step(input, now: now, into: &effects) }
        node.raft!.flush(now: now, into: &effects)
        node.raft!.checkInvariants()
        perform(effects, of: node)
    }

    func propose(_ node: TestNode) {
        nextPayload += 1
        let number = nextPayload
        step(node, .propose(payload: (0..<8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }))
    }

    /// Asks `node` for a read; its answer must not be older than what was committed when it was asked.
    @discardableResult
    func read(_ node: TestNode, _ mode: ReadMode = .readIndex) -> UInt64 {
        nextRead += 1
        readFloor[nextRead] = committed
        step(node, .read(id: nextRead, mode))
        return nextRead
    }

    func crash(_ node: TestNode) {
        let operations = node.disk.waiting.reduce(0) { $0 + $1.operations.count }
        node.stop(keeping: Int(random.below(UInt64(operations + 1))))
    }

    func restart(_ node: TestNode) { node.start(seed: random.next(), now: now) }

    /// What the peers of a process see when it is killed.
    func resetConnections(of node: TestNode) {
        for other in nodes where other !== node { step(other, .peerDisconnected(node.id)) }
    }

    func snapshot(_ node: TestNode) {
        guard let raft = node.raft, node.machine.index > raft.snapshotIndex,
            let term = chosen[node.machine.index]?.term
        else { return }
        let bytes = node.machine.encoded()
        let taken = SnapshotMetadata(
            index: node.machine.index,
            term: term,
            voters: raft.configuration.voters,
            size: UInt64(bytes.count),
            checksum: checksum(bytes)
        )
        node.disk.files[taken.index] = bytes
        step(node, .snapshotTaken(taken))
    }

    func cutLink(_ left: UInt64, _ right: UInt64) {
        cut.append((NodeID(left), NodeID(right)))
        cut.append((NodeID(right), NodeID(left)))
    }

    func isolate(_ id: UInt64) { for other in nodes where other.id != NodeID(id) { cutLink(id, other.id.rawValue) } }

    func heal() { cut.removeAll() }

    // MARK: Events

    private func nextEvent() -> Instant? {
        var next = network.earliest
        for node in nodes {
            guard let raft = node.raft else { continue }
            let deadlines = [raft.nextDeadline] + (node.disk.waiting.first.map { [$0.readyAt] } ?? [])
            for deadline in deadlines {
                let due = max(deadline, node.pausedUntil)
                next = min(next ?? due, due)
            }
        }
        return next
    }

    private func deliverDue() {
        while let packet = network.popDue(now) {
            let receiver = nodes[Int(packet.envelope.to.rawValue) - 1]
            if receiver.pausedUntil > now {
                network.insert(packet, at: receiver.pausedUntil)
            } else {
                step(receiver, .message(from: packet.from, packet.envelope.message))
            }
        }
        for node in nodes where node.pausedUntil <= now {
            while let write = node.disk.waiting.first, write.readyAt <= now {
                node.disk.waiting.removeFirst()
                node.disk.complete(write)
                release(node, through: write.mark)
                step(node, .persisted(mark: write.mark))
            }
            if let raft = node.raft, raft.nextDeadline <= now { step(node, .tick) }
        }
    }

    private func perform(_ effects: RaftEffects, of node: TestNode) {
        if let mark = effects.persistMark {
            node.lastMark = mark
            let delay = random.interval(from: .microseconds(100), to: faults.slowestDisk)
            let ready = max(now + delay, node.disk.waiting.last?.readyAt ?? .zero)
            node.disk.waiting.append(TestDisk.Write(mark: mark, operations: effects.persist, readyAt: ready))
        } else if !effects.persist.isEmpty {
            violations.append("persist operations without a mark")
        }
        for envelope in effects.sendNow { send(envelope, from: node.id) }
        for envelope in effects.sendAfterPersist {
            if node.disk.waiting.isEmpty {
                send(envelope, from: node.id)
            } else {
                node.held.append((node.lastMark, envelope))
            }
        }
        check(effects, of: node)
        for request in effects.snapshotReads { answer(request, of: node) }
        for store in effects.snapshotChunks { receive(store, at: node) }
    }

    private func release(_ node: TestNode, through mark: UInt64) {
        for (_, envelope) in node.held.prefix(while: { $0.barrier <= mark }) { send(envelope, from: node.id) }
        node.held.removeAll { $0.barrier <= mark }
    }

    private func send(_ envelope: Envelope, from: NodeID) {
        guard !cut.contains(where: { $0.from == from && $0.to == envelope.to }) else { return }
        guard !random.chance(faults.drop, in: 1000) else { return }
        let copies = random.chance(faults.duplicate, in: 1000) ? 2 : 1
        for _ in 0..<copies {
            let delay = random.interval(from: faults.fastest, to: faults.slowest)
            network.insert(Packet(from: from, envelope: envelope), at: now + delay)
        }
    }

    // MARK: Snapshots

    private func checksum(_ bytes: [UInt8]) -> UInt32 { UInt32(truncatingIfNeeded: StableHash.fnv1a(bytes)) }

    private func answer(_ request: SnapshotRead, of node: TestNode) {
        let file = node.disk.files[request.snapshot.index] ?? []
        let bytes = Array(file.dropFirst(Int(request.offset)).prefix(request.limit))
        step(
            node,
            .snapshotChunkRead(
                to: request.to,
                request.snapshot,
                offset: request.offset,
                bytes: bytes,
                checksum: checksum(bytes)
            )
        )
    }

    private func receive(_ store: SnapshotStore, at node: TestNode) {
        let chunk = store.chunk
        if node.disk.receiving?.snapshot != chunk.snapshot { node.disk.receiving = (chunk.snapshot, []) }
        var bytes = node.disk.receiving?.bytes ?? []
        if chunk.offset == UInt64(bytes.count) { bytes += chunk.bytes }
        node.disk.receiving?.bytes = bytes
        if UInt64(bytes.count) == chunk.snapshot.size {
            node.disk.files[chunk.snapshot.index] = bytes
            step(node, .snapshotInstalled(from: store.from, chunk.snapshot))
        } else {
            step(node, .snapshotChunkStored(from: store.from, chunk.snapshot, nextOffset: UInt64(bytes.count)))
        }
    }

    // MARK: The paper's safety properties (figure 3)

    private func check(_ effects: RaftEffects, of node: TestNode) {
        guard let raft = node.raft else { return }
        if raft.role == .leader {
            let known = leaders[raft.term] ?? node.id
            leaders[raft.term] = node.id
            if known != node.id { violations.append("election safety: two leaders of term \(raft.term)") }
        }
        if let restored = effects.restored {
            node.machine = TestMachine(decoding: node.disk.files[restored.index] ?? TestMachine().encoded())
            if node.machine.index != restored.index { violations.append("restored a snapshot that is not there") }
        }
        for entry in effects.committed {
            if entry.index != node.machine.index.next { violations.append("entry \(entry.index) applied out of order") }
            if let other = chosen[entry.index], other != entry {
                violations.append("state machine safety: two entries at \(entry.index)")
            }
            chosen[entry.index] = entry
            node.machine.apply(entry)
            committed = max(committed, entry.index)
        }
        for result in effects.reads {
            switch result {
            case .ready(let id, let index):
                node.reads[id] = result
                if let floor = readFloor[id], index < floor {
                    violations.append("stale read: answered at \(index), but \(floor) was committed before it")
                }
            case .lost(let id): node.reads[id] = result
            }
        }
    }

    /// Log matching: where two logs have an entry of the same index and term, they are equal up to there.
    func checkLogMatching() {
        for left in nodes {
            for right in nodes where left.id < right.id {
                guard let first = left.raft?.log, let second = right.raft?.log else { continue }
                var index = min(first.lastIndex, second.lastIndex)
                var agreed = false
                while index > max(first.baseIndex, second.baseIndex) {
                    let same = first.slice(index, through: index).first == second.slice(index, through: index).first
                    if agreed && !same { violations.append("log matching: \(index) differs below an equal entry") }
                    if first.term(at: index) == second.term(at: index) { agreed = true }
                    if agreed && !same { violations.append("log matching: \(index) differs") }
                    index = index.previous
                }
            }
        }
    }
}
