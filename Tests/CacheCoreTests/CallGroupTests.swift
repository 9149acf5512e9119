// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import CacheCore

@Suite("Writes that share an entry of the log")
struct CallGroupTests {
    private static func set(_ value: String, _ condition: CacheCondition = .always) -> CacheOperation {
        .set(value: Array(value.utf8), expiry: .never, condition: condition, wantsOld: false)
    }

    private static let read = CacheCall.Kind.read

    private static func write(
        _ operation: CacheOperation,
        _ mode: CacheDurability = .replicated,
        token: UInt64 = 0
    ) -> CacheCall.Kind {
        .write(operation, mode, token: token)
    }

    /// Which of the calls, numbered in the order they came, are in the first one's group, and which are left.
    private func group(_ kinds: [CacheCall.Kind], max: Int = 256) -> (joined: [UInt64], left: [UInt64]) {
        var calls = kinds.enumerated().map { place, kind in
            CacheCall(token: UInt64(place), kind: kind, deadline: .distantFuture)
        }
        let first = calls.removeFirst()
        let group = CallGroup(first, &calls, max: max)
        #expect(group.earlier.count + 1 == group.calls.count)
        return (group.calls.compactMap { $0?.token }, calls.map(\.token))
    }

    @Test("writes of one mode go together, and the reads between them come after")
    func together() {
        let all = group([
            Self.write(Self.set("a")), Self.read, Self.write(.add(1)), Self.read, Self.write(.append([1])),
            Self.write(Self.set("b", .absent)),
        ])
        #expect(all.joined == [0, 2, 4, 5])
        #expect(all.left == [1, 3])
        let copies = Array(repeating: Self.write(.append([1])), count: 100)
        #expect(group(copies).joined.count == CacheWrite.maxGroupBytes >> 12)
    }

    @Test("what cannot join keeps its place before all that came after it")
    func apart() {
        let past = CacheOperation.set(value: [1], expiry: .after(0), condition: .always, wantsOld: false)
        let old = CacheOperation.set(value: [1], expiry: .never, condition: .always, wantsOld: true)
        let empty = CacheOperation.set(value: [], expiry: .never, condition: .always, wantsOld: false)
        let large = Self.set("a", .equals(Array(repeating: 0, count: CacheWrite.maxGroupBytes)))
        let others = [
            Self.write(.remove(condition: .always, wantsOld: false)), Self.write(past), Self.write(old),
            Self.write(Self.set("b"), .through), Self.write(Self.set("b"), token: 1), Self.write(large),
            Self.write(.expire(.never, condition: .always, wantsValue: false)), Self.write(empty),
        ]
        for other in others {
            let behind = group([Self.write(Self.set("a")), Self.write(.add(1)), other, Self.write(.add(2))])
            #expect(behind.joined == [0, 1], "\(other)")
            #expect(behind.left == [2, 3])
            #expect(group([other, Self.write(.add(1))]).joined == [0], "\(other)")
        }
    }

    @Test("a plain SET may lead those that need a value, and does not follow them")
    func needs() {
        let ahead = group([Self.write(Self.set("1")), Self.write(.add(1)), Self.write(Self.set("2"))])
        #expect(ahead.joined == [0, 1, 2])
        let behind = group([Self.write(.add(1)), Self.write(.add(1)), Self.write(Self.set("2")), Self.write(.add(1))])
        #expect(behind.joined == [0, 1])
        #expect(behind.left == [2, 3])
    }

    @Test("a group has a bound in operations and in bytes")
    func bounds() {
        let many = Array(repeating: Self.write(Self.set("a")), count: 10)
        #expect(group(many, max: 4).joined == [0, 1, 2, 3])
        #expect(group(many, max: 4).left == [4, 5, 6, 7, 8, 9])
        let half = String(repeating: "v", count: CacheWrite.maxGroupBytes / 2)
        #expect(group(Array(repeating: Self.write(Self.set(half)), count: 3)).joined == [0, 1])
        let more = Self.set(half + half + "v")
        #expect(group([Self.write(more), Self.write(Self.set("a"))]).joined == [0])
    }

    @Test("what a home keeps of answers is counted by answers, and let go of when their sender has them")
    func verdicts() {
        var verdicts = WriteVerdicts(limit: 4)
        func write(_ number: UInt64, floor: UInt64) -> CacheWrite {
            let id = RequestID(origin: 1, number: number)
            return CacheWrite(id: id, floor: floor, operation: .add(1), durability: .replicated, held: .nothing)
        }
        let two = WriteVerdict.unchanged(.notDone, .zero, earlier: [CacheOutcome(.notDone, .zero)])
        #expect(verdicts.lookup(write(1, floor: 1), from: LinePair.member) == .new)
        verdicts.note(RequestID(origin: 1, number: 1), two)
        verdicts.note(RequestID(origin: 1, number: 2), .refused(.busy(reason: "")))
        #expect(verdicts.count == 3 && !verdicts.isFull)
        verdicts.note(RequestID(origin: 1, number: 2), .refused(.busy(reason: "again")))
        #expect(verdicts.count == 3)
        verdicts.note(RequestID(origin: 1, number: 3), two)
        #expect(verdicts.count == 5 && verdicts.isFull)
        #expect(verdicts.lookup(write(3, floor: 2), from: LinePair.member) == .given(two))
        #expect(verdicts.count == 3)
        #expect(verdicts.lookup(write(1, floor: 2), from: LinePair.member) == .forgotten)
        verdicts.forget { _ in false }
        #expect(verdicts.count == 0)
    }

    @Test("operations in one entry answer and leave what the same ones in entries of their own would")
    func equivalence() {
        var samples = CacheSamples(seed: 7)
        for _ in 0..<20_000 {
            let operations = (0..<5).map { _ in samples.operation() }.filter {
                // Versions are numbered otherwise: what depends on one may end otherwise.
                if case .set(_, _, .version, _) = $0 { false } else { $0.sharedBytes != nil }
            }
            guard let last = operations.last else { continue }
            var apart = CacheState(isWrittenBack: false)
            var together = CacheState(isWrittenBack: false)
            var effects = CacheEffects()
            let key = CacheKey("k")
            let number = CacheCommand.write(key, Self.set("10"), data: nil, token: 0)
            if samples.bool() {
                _ = apart.apply(number, index: LogIndex(1), stamp: 5, into: &effects)
                _ = together.apply(number, index: LogIndex(1), stamp: 5, into: &effects)
            }
            var answers: [CacheAnswer] = []
            var changes: [Bool] = []
            for (place, operation) in operations.enumerated() {
                let index = UInt64(place + 2)
                let command = CacheCommand.write(key, operation, data: nil, token: 0)
                let response = apart.apply(command, index: LogIndex(index), stamp: 9, into: &effects)
                guard case .written(let answer, let version, _) = response else {
                    Issue.record("\(operation) has no answer")
                    return
                }
                answers.append(answer)
                changes.append(version.index == index)
            }
            let earlier = Array(operations.dropLast())
            let command = CacheCommand.write(key, earlier: earlier, last, data: nil, token: 0)
            let response = together.apply(command, index: LogIndex(2), stamp: 9, into: &effects)
            guard case .written(let answer, let version, let before) = response else {
                Issue.record("\(operations) have no answer")
                return
            }
            #expect(before.map(\.answer) + [answer] == answers, "\(operations)")
            #expect(together.current(key)?.value == apart.current(key)?.value)
            #expect(together.current(key)?.expiresAt == apart.current(key)?.expiresAt)
            #expect(together.current(key)?.version == version || together.current(key)?.value == nil)
            // Each change has the next minor of the entry's index, and what changes nothing has what stood there.
            var made: UInt32 = 0
            for (outcome, isChange) in zip(before + [CacheOutcome(answer, version)], changes) {
                if isChange {
                    #expect(outcome.version == CacheVersion(index: 2, minor: made), "\(operations)")
                    made += 1
                } else {
                    #expect(made == 0 ? outcome.version.index < 2 : outcome.version.minor == made - 1)
                }
            }
        }
    }
}
