// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Simulator

/// Histories for the checkers: written by hand, and made by a store that clients reach after random delays.
enum Histories {
    static func read(
        _ client: Int,
        _ from: UInt64,
        _ to: UInt64?,
        _ value: String?,
        _ version: UInt64? = nil,
        key: String = "k"
    ) -> CacheHistoryOperation {
        CacheHistoryOperation(
            client: client,
            key: CacheKey(key),
            action: .read,
            invokedAt: from,
            returnedAt: to,
            outcome: to == nil ? .unseen : .value(value.map { Array($0.utf8) }),
            version: version.map { CacheVersion(index: $0) }
        )
    }

    static func change(
        _ client: Int,
        _ from: UInt64,
        _ to: UInt64?,
        _ operation: CacheOperation,
        _ answer: CacheAnswer?,
        _ version: UInt64? = nil,
        key: String = "k"
    ) -> CacheHistoryOperation {
        CacheHistoryOperation(
            client: client,
            key: CacheKey(key),
            action: .change(operation),
            invokedAt: from,
            returnedAt: to,
            outcome: answer.map { .answer($0) } ?? .unseen,
            version: version.map { CacheVersion(index: $0) }
        )
    }

    static func set(
        _ value: String,
        _ condition: CacheCondition = .always,
        expiry: ExpiryChange = .never
    ) -> CacheOperation {
        .set(value: Array(value.utf8), expiry: expiry, condition: condition, wantsOld: false)
    }
}

/// What a linearizable store would have answered clients whose requests and replies take random times.
struct RandomHistory {
    var clients = 4
    var keys = 1
    /// Of all clients together.
    var operations = 6
    /// One in so many changes has no known outcome; zero: none.
    var lostOneIn: UInt64 = 0
    var hasExpiry = false
    var hasVersionConditions = false
    /// Only reads and SETs, of values that are never written twice.
    var hasUniqueValues = false
    /// Of one leg of the way, in nanoseconds.
    var delay: UInt64 = 100

    private struct Request {
        var operation: CacheHistoryOperation
        /// Nil: it is lost on its way.
        var appliedAt: UInt64?
    }

    func make(seed: UInt64) -> [CacheHistoryOperation] {
        var random = SeededRandom(seed: seed)
        var requests: [Request] = []
        var ready = Array(repeating: UInt64(0), count: clients)
        for number in 0..<operations {
            let client = number % clients
            requests.append(request(client, from: ready[client] + random.below(delay), &random))
            let operation = requests[number].operation
            ready[client] = (operation.returnedAt ?? operation.invokedAt) + 1
        }
        var store = CacheStore()
        var index: UInt64 = 0
        let order = requests.indices.filter { requests[$0].appliedAt != nil }
            .sorted { (requests[$0].appliedAt ?? 0, $0) < (requests[$1].appliedAt ?? 0, $1) }
        for position in order {
            let now = (requests[position].appliedAt ?? 0) / 1_000_000
            carryOut(&requests[position].operation, now: now, number: position, &store, &index, &random)
        }
        return requests.filter { $0.appliedAt != nil || $0.operation.action != .read }.map(\.operation)
    }

    private func request(_ client: Int, from invokedAt: UInt64, _ random: inout SeededRandom) -> Request {
        let key = CacheKey("key\(random.below(UInt64(keys)))")
        let appliedAt = invokedAt + random.below(delay)
        var operation = CacheHistoryOperation(
            client: client,
            key: key,
            action: .read,
            invokedAt: invokedAt,
            returnedAt: appliedAt + random.below(delay),
            outcome: .unseen
        )
        if random.chance(3, in: 5) {
            // What it is is decided where it is carried out; a lost one that never is stays this.
            operation.action = .change(Histories.set("never"))
            if lostOneIn > 0, random.chance(1, in: lostOneIn) {
                operation.returnedAt = nil
                // It may linger for long, or be lost on its way there.
                let lingers = invokedAt + random.below(delay * 20)
                return Request(operation: operation, appliedAt: random.chance(1, in: 3) ? nil : lingers)
            }
        }
        return Request(operation: operation, appliedAt: appliedAt)
    }

    private func carryOut(
        _ operation: inout CacheHistoryOperation,
        now: UInt64,
        number: Int,
        _ store: inout CacheStore,
        _ index: inout UInt64,
        _ random: inout SeededRandom
    ) {
        let key = operation.key
        let hash = key.hash
        if let held = store.get(key, hash: hash), held.expiresAt != 0, held.expiresAt <= now {
            index += 1
            store.apply(.remove, to: key, hash: hash, at: CacheVersion(index: index))
        }
        let current = store.get(key, hash: hash) ?? store.absent
        if operation.action == .read {
            operation.outcome = .value(current.value)
            operation.version = current.version
            return
        }
        let change = choose(current, number: number, &random)
        operation.action = .change(change)
        let result = change.evaluate(current, now: now)
        index += 1
        store.apply(result.effect, to: key, hash: hash, at: CacheVersion(index: index))
        guard operation.returnedAt != nil else { return }
        operation.outcome = .answer(result.answer)
        operation.version = (store.get(key, hash: hash) ?? store.absent).version
    }

    private func choose(_ current: CacheCurrent, number: Int, _ random: inout SeededRandom) -> CacheOperation {
        if hasUniqueValues { return Histories.set("v\(number)") }
        let value = Array("\(random.below(4))".utf8)
        let expiry: ExpiryChange =
            hasExpiry && random.chance(1, in: 2) ? .after(Int64(random.below(400)) + 1) : .never
        switch random.below(hasVersionConditions ? 12 : 10) {
        case 0, 1: return .set(value: value, expiry: expiry, condition: .always, wantsOld: false)
        case 2: return .set(value: value, expiry: expiry, condition: .absent, wantsOld: false)
        case 3: return .set(value: value, expiry: .keep, condition: .present, wantsOld: true)
        case 4:
            let wanted = Array("\(random.below(4))".utf8)
            return .set(value: value, expiry: expiry, condition: .equals(wanted), wantsOld: false)
        case 5: return .remove(condition: .always, wantsOld: random.chance(1, in: 2))
        case 6, 7: return .add(Int64(random.below(3)) + 1)
        case 8: return .append(Array("\(random.below(2))".utf8))
        case 9:
            let moment: ExpiryChange = random.chance(1, in: 2) ? expiry : .never
            let condition = ExpiryCondition(rawValue: UInt8(random.below(hasExpiry ? 7 : 3))) ?? .always
            return .expire(moment, condition: condition, wantsValue: random.chance(1, in: 2))
        default:
            let isCurrent = random.chance(2, in: 3)
            let version = isCurrent ? current.version : CacheVersion(index: random.below(current.version.index + 1))
            return .set(value: value, expiry: expiry, condition: .version(version), wantsOld: false)
        }
    }
}

/// Tries every order: for histories of one key, of few operations, without expiry and conditions on versions.
struct BruteForce {
    let history: [CacheHistoryOperation]

    var isLinearizable: Bool { extend(nil, Array(history.indices)) }

    private func extend(_ value: [UInt8]?, _ left: [Int]) -> Bool {
        if left.allSatisfy({ history[$0].returnedAt == nil }) { return true }
        for index in left {
            let operation = history[index]
            // Another returned before this one began: that must come first.
            if left.contains(where: { (history[$0].returnedAt ?? .max) < operation.invokedAt }) { continue }
            let rest = left.filter { $0 != index }
            switch operation.action {
            case .read:
                if operation.outcome == .value(value), extend(value, rest) { return true }
            case .change(let change):
                let result = change.evaluate(CacheCurrent(value: value, version: .zero), now: 0)
                if case .answer(let answer) = operation.outcome, answer != result.answer { continue }
                var after = value
                if case .store(let stored, _) = result.effect { after = stored }
                if case .remove = result.effect { after = nil }
                if extend(after, rest) { return true }
            }
        }
        return false
    }

    /// Whether an order that a checker named is one.
    func accepts(_ order: [Int]) -> Bool {
        guard Set(order).count == order.count else { return false }
        let owed = history.indices.filter { history[$0].returnedAt != nil }
        guard Set(order).isSuperset(of: owed) else { return false }
        var value: [UInt8]?
        var latest: UInt64 = 0
        for index in order {
            let operation = history[index]
            latest = max(latest, operation.invokedAt)
            if latest > operation.returnedAt ?? .max { return false }
            switch operation.action {
            case .read: if operation.outcome != .value(value) { return false }
            case .change(let change):
                let result = change.evaluate(CacheCurrent(value: value, version: .zero), now: 0)
                if case .answer(let answer) = operation.outcome, answer != result.answer { return false }
                if case .store(let stored, _) = result.effect { value = stored }
                if case .remove = result.effect { value = nil }
            }
        }
        return true
    }
}
