// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import CacheCore

/// A home whose memory is another server: a log that lags behind, write-backs and releases at any time, and fills and
/// acknowledgements that take their time. One node asks, and is compared with a plain table.
private struct MemoryWorld {
    static let member = CacheMember(node: NodeID(1), incarnation: 1)
    static let keys = ["a", "b", "c"].map { CacheKey($0) }

    var random: SeededRandom
    var home = CacheHome()
    var state = CacheState(isWrittenBack: true)
    var memory: [CacheKey: LineData] = [:]
    var log: [(id: RequestID?, command: CacheCommand)] = []
    var applied: UInt64 = 0
    var pendingFills: [(key: CacheKey, number: UInt64)] = []
    var pendingAcks: [(key: CacheKey, gid: UInt64)] = []
    /// What each request should be told, by its number.
    var expectedAnswers: [UInt64: [CacheAnswer]] = [:]
    var expectedValues: [UInt64: [UInt8]?] = [:]
    var model: [CacheKey: CacheCurrent] = [:]
    var number: UInt64 = 0
    var fills = 0
    var wrong: [String] = []

    var context: HomeContext { HomeContext(state: state, now: .zero, stamp: 1_000) }

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        var effects = HomeEffects()
        let view = CacheView(version: 1, members: [Self.member])
        home.lead(term: 1)
        home.membership(view, own: Self.member, leaseEnd: .distantFuture, now: .zero, into: &effects)
        home.confirmed(home.ticket, context, into: &effects)
        home.receive(Self.member, .synchronised(view: view), context, into: &effects)
    }

    mutating func carry(_ effects: HomeEffects) {
        var left = effects
        while true {
            home.proposeGathered(into: &left)
            if left.isEmpty { break }
            let now = left
            left = HomeEffects()
            for (_, notice) in now.send { hear(notice) }
            pendingFills += now.fills
            fills += now.fills.count
            for proposal in now.proposals {
                log.append((proposal.id, proposal.command))
                home.placed(proposal, at: UInt64(log.count), context, into: &left)
            }
        }
    }

    private mutating func hear(_ notice: CacheNotice) {
        switch notice {
        case .data(let key, let number, _, let data):
            if let expected = expectedValues.removeValue(forKey: number), expected != data.value {
                wrong.append(
                    "read \(number) of \(key): \(String(describing: data.value)), not \(String(describing: expected))"
                )
            }
        case .written(let key, let number, _, let answer, _, let earlier, _):
            let answers = earlier.map(\.answer) + [answer]
            if let expected = expectedAnswers.removeValue(forKey: number), expected != answers {
                wrong.append("write \(number) of \(key): \(answers), not \(expected)")
            }
        case .invalidate(let key, let gid), .recall(let key, let gid, _, _): pendingAcks.append((key, gid))
        case .refused(_, let number, _, let reason): wrong.append("\(number) was refused: \(reason)")
        case .putDone, .synchronise: break
        }
    }

    mutating func ask() {
        number += 1
        let key = Self.keys[Int(random.below(UInt64(Self.keys.count)))]
        let current = model[key] ?? CacheCurrent(value: nil, version: .zero)
        var effects = HomeEffects()
        if random.chance(1, in: 4) {
            expectedValues[number] = .some(current.value)
            home.receive(Self.member, .read(key, number: number), context, into: &effects)
            return carry(effects)
        }
        let group = drawGroup()
        var answers: [CacheAnswer] = []
        var standing = current
        for operation in group.earlier + [group.operation] {
            let change = operation.evaluate(standing, now: 1_000)
            answers.append(change.answer)
            switch change.effect {
            case .none: continue
            case .remove: model[key] = nil
            case .store(let value, _): model[key] = CacheCurrent(value: value, version: .zero)
            }
            standing = model[key] ?? CacheCurrent(value: nil, version: .zero)
        }
        expectedAnswers[number] = answers
        let write = CacheWrite(
            id: RequestID(origin: 5, number: number),
            floor: 0,
            earlier: group.earlier,
            operation: group.operation,
            durability: .replicated,
            held: .nothing
        )
        home.receive(Self.member, .write(key, write), context, into: &effects)
        carry(effects)
    }

    /// What a node would send together of a few writes.
    private mutating func drawGroup() -> CallGroup {
        var calls: [CacheCall] = []
        for _ in 0...random.below(3) {
            let kind = CacheCall.Kind.write(drawOperation(), .replicated, token: 0)
            calls.append(CacheCall(token: 0, kind: kind, deadline: .distantFuture))
        }
        let first = calls.removeFirst()
        return CallGroup(first, &calls, max: 8)
    }

    private mutating func drawOperation() -> CacheOperation {
        switch random.below(6) {
        case 0: .set(value: Array("\(number)".utf8), expiry: .never, condition: .always, wantsOld: false)
        case 1: .set(value: Array("\(number)".utf8), expiry: .never, condition: .absent, wantsOld: false)
        case 2: .remove(condition: .always, wantsOld: true)
        case 3: .set(value: Array("7".utf8), expiry: .never, condition: .present, wantsOld: true)
        default: .add(1)
        }
    }

    mutating func applyNext() {
        guard applied < UInt64(log.count) else { return }
        let command = log[Int(applied)].command
        applied += 1
        var changes = CacheEffects()
        let response = state.apply(command, index: LogIndex(applied), stamp: 1_000, into: &changes)
        var effects = HomeEffects()
        home.applied(applied, response, context, into: &effects)
        carry(effects)
    }

    /// An entry of the state, at random.
    private mutating func entry(_ isWanted: (CacheEntry) -> Bool) -> CacheEntry? {
        var found: [CacheEntry] = []
        state.store.forEach { if isWanted($0) { found.append($0) } }
        return found.isEmpty ? nil : found[Int(random.below(UInt64(found.count)))]
    }

    mutating func writeBack() {
        guard let entry = entry(\.isDirty) else { return }
        memory[entry.key] = entry.value.map { LineData(value: $0, version: entry.version) }
        log.append((nil, .flushed([CacheKeyVersion(entry.key, entry.version)])))
    }

    mutating func release() {
        guard let entry = entry({ !$0.isDirty }) else { return }
        log.append((nil, .released([CacheKeyVersion(entry.key, entry.version)])))
    }

    mutating func fill() {
        guard !pendingFills.isEmpty else { return }
        let (key, number) = pendingFills.remove(at: Int(random.below(UInt64(pendingFills.count))))
        var effects = HomeEffects()
        let current = state.current(found: memory[key], stamp: 1_000)
        home.filled(key, number: number, current, context, into: &effects)
        carry(effects)
    }

    mutating func acknowledge() {
        guard !pendingAcks.isEmpty else { return }
        let (key, gid) = pendingAcks.removeFirst()
        var effects = HomeEffects()
        home.receive(Self.member, .ack(key, gid: gid, data: nil, isKept: false), context, into: &effects)
        carry(effects)
    }

    mutating func step(_ asks: Bool) {
        switch random.below(12) {
        case 0..<3: if asks { ask() }
        case 3..<6: applyNext()
        case 6, 7: writeBack()
        case 8: release()
        case 9, 10: fill()
        default: acknowledge()
        }
    }
}

@Suite("A home with Redis as memory")
struct MemoryHomeTests {
    private static let key = CacheKey("k")

    @Test("whatever is written back, released and filled while requests are under way, answers are those of one table")
    func random() {
        var fills = 0
        for seed in 0..<200 as Range<UInt64> {
            var world = MemoryWorld(seed: seed)
            for _ in 0..<300 { world.step(true) }
            for _ in 0..<3_000 where !(world.expectedAnswers.isEmpty && world.expectedValues.isEmpty) {
                world.step(false)
            }
            #expect(world.wrong.isEmpty, "seed \(seed): \(world.wrong.prefix(3))")
            #expect(world.expectedAnswers.isEmpty && world.expectedValues.isEmpty, "seed \(seed) is stuck")
            fills += world.fills
        }
        #expect(fills > 500)
    }

    private func apply(_ state: inout CacheState, _ command: CacheCommand, _ index: UInt64) -> CacheResponse {
        var effects = CacheEffects()
        return state.apply(command, index: LogIndex(index), stamp: 1_000, into: &effects)
    }

    private func set(_ text: String, expiry: ExpiryChange = .never) -> CacheOperation {
        .set(value: Array(text.utf8), expiry: expiry, condition: .always, wantsOld: false)
    }

    @Test("operations behind a plain SET meet its value, and nobody asks the memory for what it replaces")
    func led() {
        var world = MemoryWorld(seed: 1)
        var effects = HomeEffects()
        func write(_ earlier: CacheOperation, _ operation: CacheOperation, _ number: UInt64) -> HomeRequest {
            let write = CacheWrite(
                id: RequestID(origin: 5, number: number),
                floor: 0,
                earlier: [earlier],
                operation: operation,
                durability: .replicated,
                held: .nothing
            )
            return .write(CacheKey("\(number)"), write)
        }
        world.home.receive(MemoryWorld.member, write(set("41"), .add(1), 1), world.context, into: &effects)
        #expect(effects.fills.isEmpty && effects.proposals.count == 1)
        world.expectedAnswers[1] = [.done, .count(42)]
        world.carry(effects)
        world.applyNext()
        #expect(world.expectedAnswers.isEmpty && world.wrong.isEmpty)
        effects = HomeEffects()
        world.home.receive(MemoryWorld.member, write(.add(1), .append([0x30]), 2), world.context, into: &effects)
        #expect(effects.fills.count == 1 && effects.proposals.isEmpty)
    }

    @Test("what is flushed is held until it is released, and written again when Redis has lost it")
    func flushed() {
        var state = CacheState(isWrittenBack: true)
        _ = apply(&state, .write(Self.key, set("1"), data: nil, token: 0), 1)
        let version = CacheKeyVersion(Self.key, CacheVersion(index: 1))
        _ = apply(&state, .released([version]), 2)
        #expect(state.holds(Self.key) && state.store.dirtyCount == 1)
        _ = apply(&state, .flushed([version]), 3)
        #expect(state.holds(Self.key) && state.store.dirtyCount == 0)
        let mark = MemoryMark(epoch: 4, runID: [1, 2])
        _ = apply(&state, .memoryChanged(mark), 4)
        #expect(state.store.dirtyCount == 1 && state.memory == mark && state.memoryChanges == 1)
        _ = apply(&state, .flushed([version]), 5)
        _ = apply(&state, .released([version]), 6)
        #expect(!state.holds(Self.key) && state.current(Self.key) == nil)
    }

    @Test("a value from Redis counts although other keys' removals have newer versions")
    func belowFloor() {
        var state = CacheState(isWrittenBack: true)
        _ = apply(
            &state,
            .write(CacheKey("other"), .remove(condition: .always, wantsOld: false), data: nil, token: 0),
            8
        )
        _ = apply(&state, .write(CacheKey("other"), set("x"), data: nil, token: 0), 9)
        _ = apply(
            &state,
            .write(CacheKey("other"), .remove(condition: .always, wantsOld: false), data: nil, token: 0),
            10
        )
        #expect(state.unknown.version == CacheVersion(index: 10))
        let found = LineData(value: Array("41".utf8), version: CacheVersion(index: 3))
        #expect(
            apply(&state, .write(Self.key, .add(1), data: found, token: 0), 11)
                == .written(.count(42), CacheVersion(index: 11))
        )
    }

    @Test("a key that Redis expires after it was released is absent with a version that is not an older one")
    func expiredInRedis() {
        var state = CacheState(isWrittenBack: true)
        _ = apply(&state, .write(Self.key, set("1", expiry: .after(50)), data: nil, token: 0), 7)
        let version = CacheKeyVersion(Self.key, CacheVersion(index: 7))
        _ = apply(&state, .flushed([version]), 8)
        _ = apply(&state, .released([version]), 9)
        #expect(state.current(found: nil, stamp: 2_000).version == version.version)
        #expect(
            state.current(found: LineData(value: [1], version: version.version, remaining: 0), stamp: 1).value == nil
        )
    }

    @Test("after FLUSHALL what Redis has of before is absent, for good; what was written since is not")
    func cleared() throws {
        var state = CacheState(isWrittenBack: true)
        let old = LineData(value: [1], version: CacheVersion(index: 3))
        #expect(state.current(found: old, stamp: 1).value == [1])
        _ = apply(&state, .removeAll, 5)
        #expect(state.isMemoryToClear && state.current(found: old, stamp: 1).value == nil)
        let new = LineData(value: [2], version: CacheVersion(index: 6), remaining: 70)
        #expect(state.current(found: new, stamp: 1) == CacheCurrent(value: [2], version: new.version, expiresAt: 71))
        _ = apply(&state, .memoryCleared(CacheVersion(index: 4)), 7)
        #expect(state.isMemoryToClear)
        _ = apply(&state, .memoryCleared(CacheVersion(index: 5)), 8)
        #expect(!state.isMemoryToClear && state.current(found: old, stamp: 1).value == nil)

        _ = apply(&state, .memoryChanged(MemoryMark(epoch: 9, runID: [7])), 9)
        var writer = ByteWriter(capacity: 64)
        state.encode(into: &writer)
        var reader = ByteReader(writer.bytes)
        let copy = try CacheState(decoding: &reader)
        try reader.expectEnd()
        #expect(copy.digest == state.digest && copy.memory == state.memory && copy.clearedThrough == 5)
        #expect(copy.memoryChanges == 1)
    }

    @Test("commands about the memory are read as they were written")
    func codec() throws {
        let entries = [CacheKeyVersion(Self.key, CacheVersion(index: 3, minor: 2))]
        let commands: [CacheCommand] = [
            .flushed(entries), .released(entries), .memoryChanged(MemoryMark(epoch: 7, runID: [1, 2, 3])),
            .memoryCleared(CacheVersion(index: 9)),
        ]
        for command in commands {
            var writer = ByteWriter(capacity: 64)
            command.encode(into: &writer)
            var reader = ByteReader(writer.bytes)
            #expect(try CacheCommand(decoding: &reader) == command)
            try reader.expectEnd()
        }
    }
}
