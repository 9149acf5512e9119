// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Simulator
import Testing

@Suite("Linearizability of random histories")
struct LinearizabilityRandomTests {
    private func checker(slack: UInt64 = 0) -> LinearizabilityChecker {
        var checker = LinearizabilityChecker()
        checker.expirySlack = slack
        return checker
    }

    private func expectPasses(_ history: [CacheHistoryOperation], slack: UInt64 = 0, _ seed: UInt64) {
        let verdict = checker(slack: slack).check(history)
        if case .linearizable = verdict {} else { Issue.record("seed \(seed): \(verdict)") }
        let found = LinearizabilityWitness().check(history)
        #expect(found == nil, "seed \(seed): \(found?.text ?? "")")
    }

    @Test("what a linearizable store answers passes both checks, with lost answers and conditions on versions too")
    func good() {
        for seed in 0..<150 as Range<UInt64> {
            var random = RandomHistory(clients: 2 + Int(seed % 7), keys: 1 + Int(seed % 3), operations: 200)
            random.hasVersionConditions = seed % 2 == 0
            random.lostOneIn = [0, 40, 15][Int(seed % 3)]
            expectPasses(random.make(seed: seed), seed)
        }
    }

    @Test("what a linearizable store with expiry answers passes both checks")
    func goodExpiry() {
        for seed in 0..<100 as Range<UInt64> {
            var random = RandomHistory(clients: 2 + Int(seed % 5), keys: 2, operations: 200)
            random.hasExpiry = true
            random.hasVersionConditions = seed % 2 == 0
            random.lostOneIn = seed % 3 == 0 ? 30 : 0
            random.delay = 40_000_000
            // The store knows only whole milliseconds.
            expectPasses(random.make(seed: seed), slack: 1_000_000, seed)
        }
    }

    @Test("on small histories the search says what trying every order says, and its order is one")
    func bruteForce() {
        var counts = (good: 0, bad: 0)
        for seed in 0..<6_000 as Range<UInt64> {
            var shape = RandomHistory(clients: 2 + Int(seed % 3), operations: 3 + Int(seed % 5))
            shape.lostOneIn = seed % 2 == 0 ? 3 : 0
            var history = shape.make(seed: seed)
            if seed % 4 != 0 {
                var random = SeededRandom(seed: ~seed)
                falsify(&history, &random)
            }
            let reference = BruteForce(history: history)
            switch checker().check(history) {
            case .linearizable(let orders):
                counts.good += 1
                #expect(reference.isLinearizable, "seed \(seed)")
                #expect(reference.accepts(orders.first ?? []), "seed \(seed)")
            case .violation(let violation):
                counts.bad += 1
                #expect(!reference.isLinearizable, "seed \(seed)")
                expectShortest(violation, history, seed)
                // Where all is known, no order of the versions can explain what no order explains.
                if shape.lostOneIn == 0 { #expect(LinearizabilityWitness().check(history) != nil, "seed \(seed)") }
            case .tooLarge: Issue.record("seed \(seed) was too large")
            }
        }
        #expect(counts.good > 1_500)
        #expect(counts.bad > 1_500)
    }

    /// Changes one answer, or moves an operation to another time.
    private func falsify(_ history: inout [CacheHistoryOperation], _ random: inout SeededRandom) {
        guard !history.isEmpty else { return }
        let index = Int(random.below(UInt64(history.count)))
        let other = Array("\(random.below(4))".utf8)
        switch history[index].outcome {
        case .value: history[index].outcome = .value(random.chance(1, in: 4) ? nil : other)
        case .answer(.done): history[index].outcome = .answer(.notDone)
        case .answer(.notDone): history[index].outcome = .answer(.done)
        case .answer(.count(let count)): history[index].outcome = .answer(.count(count + 1 - Int64(random.below(3))))
        case .answer(.value(_, let wasApplied)):
            history[index].outcome = .answer(.value(other, wasApplied: wasApplied))
        default:
            history[index].invokedAt += 150
            history[index].returnedAt = history[index].returnedAt.map { $0 + 150 }
        }
    }

    /// The named part has no order, and what was known just before the culprit returned has one.
    private func expectShortest(
        _ violation: LinearizabilityViolation,
        _ history: [CacheHistoryOperation],
        _ seed: UInt64
    ) {
        let moment = history[violation.culprit].returnedAt ?? 0
        func part(_ isIncluded: (UInt64) -> Bool) -> [CacheHistoryOperation] {
            history.filter { $0.invokedAt <= moment }.map { operation in
                var operation = operation
                if let returnedAt = operation.returnedAt, !isIncluded(returnedAt) {
                    operation.returnedAt = nil
                    operation.outcome = .unseen
                }
                return operation
            }
            .filter { $0.returnedAt != nil || $0.action != .read }
        }
        #expect(!BruteForce(history: part { $0 <= moment }).isLinearizable, "seed \(seed)")
        #expect(BruteForce(history: part { $0 < moment }).isLinearizable, "seed \(seed)")
        #expect(violation.prefix == history.indices.filter { history[$0].invokedAt <= moment }, "seed \(seed)")
    }

    @Test("a stale answer put into a long history is found by both checks")
    func stale() {
        var planted = 0
        for seed in 0..<60 as Range<UInt64> {
            var shape = RandomHistory(clients: 5, keys: 2, operations: 300)
            shape.hasUniqueValues = true
            shape.lostOneIn = seed % 2 == 0 ? 40 : 0
            var history = shape.make(seed: seed)
            var random = SeededRandom(seed: seed)
            // A read that began when a second SET had returned, which had begun when a first one had.
            let index = Int(random.below(200)) + 90
            guard index < history.count, history[index].action == .read else { continue }
            let before = history.filter {
                $0.key == history[index].key && $0.action != .read && $0.returnedAt ?? .max < history[index].invokedAt
            }
            guard let second = before.last,
                let first = before.last(where: { $0.returnedAt ?? .max < second.invokedAt }),
                case .change(.set(let value, _, _, _)) = first.action
            else { continue }
            history[index].outcome = .value(value)
            history[index].version = first.version
            planted += 1
            if case .violation = checker().check(history) {} else { Issue.record("seed \(seed): the search missed it") }
            #expect(LinearizabilityWitness().check(history) != nil, "seed \(seed): the witness missed it")
        }
        #expect(planted > 10)
    }

    @Test("a long history of many clients is searched in one go", .timeLimit(.minutes(1)))
    func long() {
        var shape = RandomHistory(clients: 10, keys: 20, operations: 10_000)
        expectPasses(shape.make(seed: 1), 1)
        shape.lostOneIn = 500
        shape.hasVersionConditions = true
        expectPasses(shape.make(seed: 2), 2)
        // All on one key.
        shape.keys = 1
        shape.lostOneIn = 0
        expectPasses(shape.make(seed: 3), 3)
    }
}
