// SPDX-License-Identifier: Apache-2.0
import Primitives

@testable import RaftCore

/// The state machine of the tests: a rolling hash of everything applied, so that equal index means equal history.
struct TestMachine: Equatable {
    var index = LogIndex.zero
    var hash: UInt64 = 0

    mutating func apply(_ entry: Entry) {
        index = entry.index
        hash = StableHash.combine(hash, entry.term.rawValue)
        hash = StableHash.combine(hash, StableHash.fnv1a(entry.payload))
    }

    /// Long enough for several chunks.
    func encoded() -> [UInt8] {
        let words = [index.rawValue, hash] + (0..<12).map { StableHash.mix(hash &+ $0) }
        return words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
    }

    init() {}

    init(decoding bytes: [UInt8]) {
        func word(_ position: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 | UInt64(bytes[position * 8 + $1]) << UInt64($1 * 8) }
        }
        index = LogIndex(word(0))
        hash = word(1)
    }
}

/// A disk that knows what is durable. Writes wait in a queue until they are completed or lost in a crash.
struct TestDisk {
    struct Write {
        var mark: UInt64
        var operations: [PersistOperation]
        var readyAt: Instant
    }

    var durable = RecoveredLog()
    var waiting: [Write] = []
    /// Snapshot files by their index.
    var files: [LogIndex: [UInt8]] = [:]
    /// A snapshot on its way in; survives a crash as a file does.
    var receiving: (snapshot: SnapshotMetadata, bytes: [UInt8])?

    static func apply(_ operation: PersistOperation, to durable: inout RecoveredLog) {
        switch operation {
        case .hardState(let state): durable.hardState = state
        case .entries(let entries):
            guard let first = entries.first else { return }
            durable.entries.removeAll { $0.index >= first.index }
            durable.entries.append(contentsOf: entries)
        case .snapshot(let snapshot):
            durable.snapshot = snapshot
            durable.entries.removeAll { $0.index <= snapshot.index }
        case .reset(let snapshot):
            durable.snapshot = snapshot
            durable.entries.removeAll()
        }
    }

    mutating func complete(_ write: Write) {
        for operation in write.operations { Self.apply(operation, to: &durable) }
    }

    /// Loses the writes in flight but for a prefix of operations.
    mutating func crash(keeping count: Int) {
        for operation in waiting.flatMap(\.operations).prefix(count) { Self.apply(operation, to: &durable) }
        waiting.removeAll()
    }
}

/// One simulated process with its disk.
final class TestNode {
    let id: NodeID
    var configuration: RaftConfiguration
    var raft: Raft?
    var disk = TestDisk()
    var machine = TestMachine()
    /// Envelopes that wait until the mark is durable.
    var held: [(barrier: UInt64, envelope: Envelope)] = []
    var lastMark: UInt64 = 0
    /// Nothing happens to it before then (a stopped process).
    var pausedUntil = Instant.zero
    var lifetimes: UInt64 = 0
    var reads: [UInt64: ReadResult] = [:]

    init(configuration: RaftConfiguration) {
        self.id = configuration.id
        self.configuration = configuration
    }

    var isUp: Bool { raft != nil }

    func start(seed: UInt64, now: Instant) {
        lifetimes += 1
        raft = Raft(configuration: configuration, recovered: disk.durable, seed: seed &+ lifetimes &* 977, now: now)
        machine =
            disk.durable.snapshot.flatMap { disk.files[$0.index] }.map(TestMachine.init(decoding:)) ?? TestMachine()
        lastMark = 0
    }

    func stop(keeping writes: Int) {
        raft = nil
        held.removeAll()
        disk.crash(keeping: writes)
    }
}

/// A single replica driven by hand: each call returns the effects of one step and the flush after it.
struct Solo {
    var raft: Raft
    var now = Instant.zero
    var lastMark: UInt64 = 0

    init(
        _ id: UInt64 = 1,
        voters: [UInt64] = [1, 2, 3],
        recovered: RecoveredLog = RecoveredLog(),
        seed: UInt64 = 7,
        configure: (inout RaftConfiguration) -> Void = { _ in }
    ) {
        var configuration = RaftConfiguration(id: NodeID(id), voters: voters.map { NodeID($0) })
        configure(&configuration)
        raft = Raft(configuration: configuration, recovered: recovered, seed: seed, now: .zero)
    }

    mutating func step(_ input: RaftInput, flush: Bool = true) -> RaftEffects {
        var effects = RaftEffects()
        raft.step(input, now: now, into: &effects)
        if flush { raft.flush(now: now, into: &effects) }
        raft.checkInvariants()
        lastMark = effects.persistMark ?? lastMark
        return effects
    }

    mutating func receive(_ from: UInt64, _ message: RaftMessage, flush: Bool = true) -> RaftEffects {
        step(.message(from: NodeID(from), message), flush: flush)
    }

    mutating func flush() -> RaftEffects {
        var effects = RaftEffects()
        raft.flush(now: now, into: &effects)
        lastMark = effects.persistMark ?? lastMark
        return effects
    }

    /// Everything handed to the disk so far is durable.
    mutating func persist() -> RaftEffects { step(.persisted(mark: lastMark)) }

    mutating func advance(_ milliseconds: UInt64) { now = now + .milliseconds(milliseconds) }

    /// Lets the election timeout pass.
    mutating func timeout() -> RaftEffects {
        now = max(now, raft.electionDeadline)
        return step(.tick)
    }

    /// Wins an election with the help of `voter`, and returns the effects of the winning step.
    mutating func elect(by voter: UInt64 = 2) -> RaftEffects {
        _ = timeout()
        _ = receive(voter, .preVoteReply(VoteReply(term: raft.term.next, granted: true)))
        _ = persist()
        return receive(voter, .voteReply(VoteReply(term: raft.term, granted: true)))
    }

    /// Becomes the leader and commits its no-op.
    mutating func lead() {
        _ = elect()
        _ = persist()
        _ = acknowledge(2, raft.lastIndex.rawValue)
        _ = acknowledge(3, raft.lastIndex.rawValue)
    }

    mutating func acknowledge(_ from: UInt64, _ index: UInt64) -> RaftEffects {
        receive(from, .appendReply(AppendReply(term: raft.term, accepted: true, index: LogIndex(index))))
    }

    mutating func propose(_ payload: [UInt8] = [1], flush: Bool = true) -> RaftEffects {
        step(.propose(payload: payload), flush: flush)
    }
}

extension Entry {
    init(_ term: UInt64, _ index: UInt64, _ payload: [UInt8] = []) {
        self.init(term: Term(term), index: LogIndex(index), kind: .command, payload: payload)
    }
}

extension RecoveredLog {
    /// A log of entries with these terms, from index 1.
    init(term: UInt64, vote: UInt64? = nil, terms: [UInt64] = []) {
        self.init(
            hardState: HardState(term: Term(term), vote: vote.map { NodeID($0) }),
            entries: terms.enumerated().map { Entry($1, UInt64($0 + 1)) }
        )
    }
}

extension AppendRequest {
    init(_ term: UInt64, previous: (index: UInt64, term: UInt64), _ entries: [Entry] = [], commit: UInt64 = 0) {
        self.init(
            term: Term(term),
            previousIndex: LogIndex(previous.index),
            previousTerm: Term(previous.term),
            entries: entries,
            commit: LogIndex(commit)
        )
    }
}

extension RaftEffects {
    var appends: [AppendRequest] {
        sendNow.compactMap { if case .append(let request) = $0.message { request } else { nil } }
    }

    var beats: [Heartbeat] {
        sendNow.compactMap { if case .heartbeat(let beat) = $0.message { beat } else { nil } }
    }

    func messages(to id: UInt64) -> [RaftMessage] {
        (sendNow + sendAfterPersist).filter { $0.to == NodeID(id) }.map(\.message)
    }
}
