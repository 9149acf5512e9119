// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Simulator
import Testing

@Suite("Linearizability")
struct LinearizabilityTests {
    private typealias H = Histories

    private func verdict(
        _ history: [CacheHistoryOperation],
        slack: UInt64 = 0,
        limit: Int = 1_000_000
    ) -> LinearizabilityVerdict {
        var checker = LinearizabilityChecker()
        checker.expirySlack = slack
        checker.configurationLimit = limit
        return checker.check(history)
    }

    private func violation(_ history: [CacheHistoryOperation], slack: UInt64 = 0) -> LinearizabilityViolation? {
        guard case .violation(let violation) = verdict(history, slack: slack) else { return nil }
        return violation
    }

    private func isLinearizable(_ history: [CacheHistoryOperation], slack: UInt64 = 0) -> Bool {
        guard case .linearizable = verdict(history, slack: slack) else { return false }
        return true
    }

    // MARK: Good

    @Test("nothing, and reads of nothing, are linearizable")
    func empty() {
        #expect(verdict([]) == .linearizable(orders: []))
        #expect(verdict([H.read(0, 1, 2, nil), H.read(1, 1, 5, nil)]) == .linearizable(orders: [[0, 1]]))
    }

    @Test("concurrent reads may see the old value or the new one, in the order of the clock")
    func concurrentReads() {
        let history = [
            H.change(0, 1, 2, H.set("a"), .done), H.change(0, 10, 30, H.set("b"), .done), H.read(1, 11, 13, "a"),
            H.read(2, 12, 14, "b"), H.read(1, 15, 16, "b"),
        ]
        #expect(verdict(history) == .linearizable(orders: [[0, 2, 1, 3, 4]]))
        // Operations that touch are concurrent.
        #expect(isLinearizable([H.change(0, 1, 5, H.set("a"), .done), H.read(1, 5, 6, nil)]))
    }

    @Test("a change of unknown outcome may happen late, or never, and only once")
    func unknown() {
        let lost = H.change(0, 1, nil, .add(1), nil)
        #expect(isLinearizable([lost, H.read(1, 2, 3, nil), H.read(1, 100, 101, "1")]))
        #expect(isLinearizable([lost, H.read(1, 2, 3, nil), H.read(1, 100, 101, nil)]))
        #expect(violation([lost, H.read(1, 2, 3, "1"), H.read(1, 4, 5, nil)])?.culprit == 2)
        #expect(violation([lost, H.read(1, 2, 3, "2")])?.culprit == 1)
        // It had not begun.
        #expect(violation([H.read(1, 2, 3, "1"), H.change(0, 4, nil, .add(1), nil)])?.culprit == 0)
        // Done in its time, but nobody saw the answer.
        let unseen = H.change(0, 5, 6, H.set("a"), nil)
        #expect(isLinearizable([unseen, H.read(1, 7, 8, "a")]))
        #expect(violation([unseen, H.read(1, 7, 8, nil)])?.culprit == 1)
    }

    @Test("what a node refused for its own reasons changed nothing")
    func refused() {
        for refusal in [CacheRefusal.outOfMemory, .fenced, .tooDirty, .memoryDown, .keyTooLong] {
            let history = [H.change(0, 1, 2, H.set("a"), .refused(refusal)), H.read(1, 3, 4, nil)]
            #expect(isLinearizable(history))
        }
        #expect(!isLinearizable([H.change(0, 1, 2, H.set("a"), .refused(.notInteger))]))
        #expect(
            isLinearizable([H.change(0, 1, 2, H.set("a"), .done), H.change(0, 3, 4, .add(1), .refused(.notInteger))])
        )
    }

    // MARK: Bad

    @Test("a stale read is found, and explained by the shortest part of the history that shows it")
    func staleRead() {
        let history = [
            H.change(0, 1, 2, H.set("a"), .done), H.change(1, 3, 4, H.set("b"), .done), H.read(2, 5, 6, "a"),
            H.read(2, 7, 8, "b"), H.change(0, 9, 10, H.set("c"), .done), H.read(3, 5, 20, "b"),
        ]
        let found = violation(history)
        #expect(found?.culprit == 2)
        #expect(found?.prefix == [0, 1, 2, 5])
        #expect(found?.order == [0, 1])
        #expect(found?.involved == [0, 1, 2, 5])
        #expect(found?.text.contains("client 2 [5, 6] read → \"a\"") == true)
    }

    @Test("a value that flickers between two readers is found")
    func flicker() {
        let history = [
            H.change(0, 1, 2, H.set("a"), .done), H.change(0, 10, 90, H.set("b"), .done), H.read(1, 20, 30, "b"),
            H.read(2, 40, 50, "a"),
        ]
        #expect(violation(history)?.culprit == 3)
    }

    @Test("a lost update is found")
    func lostUpdate() {
        let history = [
            H.change(0, 1, 5, .add(1), .count(1)), H.change(1, 2, 6, .add(1), .count(1)), H.read(2, 9, 10, "1"),
        ]
        #expect(violation(history)?.culprit == 1)
        #expect(isLinearizable([history[0], H.change(1, 2, 6, .add(1), .count(2))]))
    }

    @Test("a value that nobody wrote is found")
    func thinAir() {
        #expect(violation([H.change(0, 1, 2, H.set("a"), .done), H.read(1, 1, 3, "b")])?.culprit == 1)
    }

    @Test("two winners of one comparison are found, by value and by version")
    func twoWinners() {
        let first = H.change(0, 1, 2, H.set("a"), .done, 1)
        for condition in [CacheCondition.equals([97]), .version(CacheVersion(index: 1))] {
            let one = H.change(1, 3, 8, H.set("b", condition), .done, 2)
            let two = H.change(2, 4, 9, H.set("c", condition), .done, 3)
            #expect(violation([first, one, two])?.culprit == 2)
            #expect(isLinearizable([first, one, H.change(2, 4, 9, H.set("c", condition), .notDone, 2)]))
            #expect(isLinearizable([first, one, H.change(2, 4, nil, H.set("c", condition), nil)]))
        }
        let locks = [1, 2].map { H.change($0, 3, 8 + UInt64($0), H.set("\($0)", .absent), .done) }
        #expect(violation(locks)?.culprit == 1)
    }

    @Test("the version that a change of unknown outcome made is known from its first reader on")
    func versionOfLost() {
        let lost = [H.change(0, 1, nil, H.set("b"), nil), H.read(1, 2, 3, "b", 7)]
        func compare(_ index: UInt64, _ answer: CacheAnswer) -> CacheHistoryOperation {
            H.change(2, 4, 5, H.set("c", .version(CacheVersion(index: index))), answer, 7)
        }
        #expect(isLinearizable(lost + [compare(7, .done)]))
        #expect(isLinearizable(lost + [compare(6, .notDone)]))
        #expect(violation(lost + [compare(7, .notDone)])?.culprit == 2)
        #expect(violation(lost + [compare(6, .done)])?.culprit == 2)
        // Nobody has seen it yet: it may be this one or not.
        for answer in [CacheAnswer.done, .notDone] { #expect(isLinearizable([lost[0], compare(7, answer)])) }
    }

    @Test("keys are judged alone, and a violation of one outweighs that another could not be searched")
    func keys() {
        let good = [H.change(0, 1, 2, H.set("a"), .done, key: "a"), H.read(1, 3, 4, "a", key: "a")]
        let bad = [H.change(0, 1, 2, H.set("a"), .done, key: "b"), H.read(1, 3, 4, nil, key: "b")]
        #expect(verdict([bad[0], good[0], good[1], bad[1]]) == .violation(violation(bad).map(moved)!))
        #expect(verdict([good[1], H.read(0, 9, 9, nil, key: "x"), good[0]]) == .linearizable(orders: [[2, 0], [1]]))
    }

    private func moved(_ violation: LinearizabilityViolation) -> LinearizabilityViolation {
        var moved = violation
        let places = [0, 3]
        moved.prefix = violation.prefix.map { places[$0] }
        moved.order = violation.order.map { places[$0] }
        moved.involved = violation.involved.map { places[$0] }
        moved.culprit = places[violation.culprit]
        return moved
    }

    @Test("a search that would need too much memory says so instead of guessing")
    func tooLarge() {
        // Any of the lost changes may be the one that was seen, after any of the others.
        var history = (0..<14).map { H.change($0, 1, nil, .append([48 + UInt8($0)]), nil) }
        history.append(H.read(20, 50, 60, "x"))
        #expect(verdict(history, limit: 1_000) == .tooLarge(key: CacheKey("k")))
        let bad = [H.read(0, 1, 2, "thin air", key: "l")]
        guard case .violation(let found) = verdict(history + bad, limit: 1_000) else {
            Issue.record("the violation of the other key was not found")
            return
        }
        #expect(found.culprit == 15)
    }

    // MARK: Expiry

    private static let millisecond: UInt64 = 1_000_000

    @Test("a key that expires may be gone once its time may have come, not before")
    func expiry() {
        let ms = Self.millisecond
        let write = H.change(0, 10 * ms, 12 * ms, H.set("a", expiry: .after(100)), .done)
        // Written between 10 and 12, so it goes between 110 and 112.
        #expect(violation([write, H.read(1, 100 * ms, 109 * ms, nil)])?.culprit == 1)
        #expect(isLinearizable([write, H.read(1, 100 * ms, 110 * ms, nil)]))
        #expect(isLinearizable([write, H.read(1, 112 * ms, 115 * ms, "a")]))
        #expect(violation([write, H.read(1, 113 * ms, 115 * ms, "a")])?.culprit == 1)
        #expect(isLinearizable([write, H.read(1, 113 * ms, 115 * ms, "a")], slack: 2 * ms))
        #expect(isLinearizable([write, H.read(1, 100 * ms, 109 * ms, nil)], slack: 2 * ms))
        // Gone is gone.
        let gone = H.read(1, 105 * ms, 111 * ms, nil)
        #expect(violation([write, gone, H.read(1, 112 * ms, 113 * ms, "a")])?.culprit == 2)
        // Not before 110, so the read that returned earlier came first.
        #expect(isLinearizable([write, gone, H.read(2, 104 * ms, 106 * ms, "a")]))
        #expect(violation([write, gone, H.read(2, 104 * ms, 106 * ms, nil)])?.culprit == 2)
    }

    @Test("an expiry is kept, moved and taken away by what does so")
    func expiryChanges() {
        let ms = Self.millisecond
        let write = H.change(0, 10 * ms, 12 * ms, H.set("1", expiry: .after(100)), .done)
        func later(_ operation: CacheOperation, _ answer: CacheAnswer) -> CacheHistoryOperation {
            H.change(0, 20 * ms, 22 * ms, operation, answer)
        }
        let kept = [
            later(.add(1), .count(2)), later(.append([]), .count(1)), later(H.set("x", expiry: .keep), .done),
            later(.expire(.keep, condition: .always, wantsValue: true), .value([49], wasApplied: false)),
        ]
        for operation in kept {
            #expect(isLinearizable([write, operation, H.read(1, 111 * ms, 111 * ms, nil)]))
            #expect(violation([write, operation, H.read(1, 50 * ms, 51 * ms, nil)])?.culprit == 2)
        }
        let taken = [
            later(H.set("x"), .done), later(.expire(.never, condition: .always, wantsValue: false), .count(1)),
        ]
        for operation in taken {
            #expect(violation([write, operation, H.read(1, 500 * ms, 510 * ms, nil)])?.culprit == 2)
        }
        for condition in [ExpiryCondition.always, .greater, .hasOne] {
            let move = later(.expire(.after(500), condition: condition, wantsValue: false), .count(1))
            #expect(violation([write, move, H.read(1, 300 * ms, 310 * ms, nil)])?.culprit == 2)
            #expect(isLinearizable([write, move, H.read(1, 520 * ms, 530 * ms, nil)]))
        }
        let cut = later(.expire(.after(0), condition: .less, wantsValue: false), .count(1))
        #expect(violation([write, cut, H.read(1, 30 * ms, 31 * ms, "1")])?.culprit == 2)
        #expect(
            violation([write, later(.expire(.after(5), condition: .hasNone, wantsValue: false), .count(1))])?.culprit
                == 1
        )
    }
}
