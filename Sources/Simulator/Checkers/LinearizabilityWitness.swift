// SPDX-License-Identifier: Apache-2.0
package import CacheCore
import Primitives

/// The second opinion: every answer names the version that it saw or made, so the order need not be searched for, only
/// checked. It takes one pass, whatever the history's length, and also sees what values alone do not show.
///
/// A key that is absent has the version of the latest removal of any key, as far as the node had heard of it. So two
/// reads of nothing may show versions in either order, while a value is always above the nothing before it.
package struct LinearizabilityWitness: Sendable {
    package struct Violation: Sendable, Equatable {
        package var key: CacheKey
        /// Positions in the history.
        package var involved: [Int]
        package var text: String
    }

    package init() {}

    /// The first violation that is found; nil: there is none.
    package func check(_ history: [CacheHistoryOperation]) -> Violation? {
        for (key, positions) in CacheHistory.byKey(history) {
            let pass = Pass(key: key, history: history, positions: positions)
            if let found = pass.versionsOfChanges() ?? pass.realTime() ?? pass.values() ?? pass.replay() {
                return found
            }
        }
        return nil
    }
}

/// What an answered operation shows of its version.
private enum Sight: Equatable {
    /// It made this version: with this value (nil: absent), or with a value that the answer does not tell.
    case made([UInt8]?)
    case madeSomething
    /// It saw this value.
    case saw([UInt8])
    /// It saw nothing there, or something of which the answer tells little; or it may have changed something.
    case met
}

private struct Pass {
    let key: CacheKey
    let history: [CacheHistoryOperation]
    /// Of those with an answer and a version.
    let seen: [(position: Int, version: CacheVersion, sight: Sight)]
    /// Changes of which nobody knows what they did.
    let lost: [Int]

    init(key: CacheKey, history: [CacheHistoryOperation], positions: [Int]) {
        self.key = key
        self.history = history
        seen = positions.compactMap { position in
            let operation = history[position]
            guard operation.returnedAt != nil, let version = operation.version, operation.outcome != .unseen else {
                return nil
            }
            if case .answer(.refused(let refusal)) = operation.outcome, refusal.isOfPlace { return nil }
            return (position, version, operation.sight)
        }
        lost = positions.filter { position in
            let operation = history[position]
            if case .answer(.refused(let refusal)) = operation.outcome, refusal.isOfPlace { return false }
            let isUnseen = operation.outcome == .unseen || operation.returnedAt == nil || operation.version == nil
            return operation.action != .read && isUnseen
        }
    }

    private func violation(_ text: String, _ involved: Int...) -> LinearizabilityWitness.Violation {
        let lines = involved.map { "\n  " + history[$0].line }.joined()
        return LinearizabilityWitness.Violation(key: key, involved: involved, text: "key \(key): \(text)\(lines)")
    }

    /// No two changes make the same version.
    func versionsOfChanges() -> LinearizabilityWitness.Violation? {
        let changes = seen.filter { $0.sight.isChange }.sorted { $0.version < $1.version }
        for (left, right) in zip(changes, changes.dropFirst()) where left.version == right.version {
            return violation("two changes made version \(left.version)", left.position, right.position)
        }
        return nil
    }

    /// What begins after something has returned sees or makes no older version.
    func realTime() -> LinearizabilityWitness.Violation? {
        let calls = seen.indices.sorted {
            history[seen[$0].position].invokedAt < history[seen[$1].position].invokedAt
        }
        let returns = seen.indices.sorted {
            (history[seen[$0].position].returnedAt ?? .max) < (history[seen[$1].position].returnedAt ?? .max)
        }
        // The newest of what has returned so far: of all, and of changes and values alone.
        var newest: Int?
        var newestFirm: Int?
        var done = 0
        for call in calls {
            let current = seen[call]
            while done < returns.count,
                history[seen[returns[done]].position].returnedAt ?? .max < history[current.position].invokedAt
            {
                let index = returns[done]
                if newest.map({ seen[$0].version < seen[index].version }) ?? true { newest = index }
                if seen[index].sight.isFirm, newestFirm.map({ seen[$0].version < seen[index].version }) ?? true {
                    newestFirm = index
                }
                done += 1
            }
            guard let before = current.sight.isFirm ? newest : newestFirm else { continue }
            let isOlder = current.version < seen[before].version
            if isOlder || (current.sight.isChange && current.version == seen[before].version) {
                let verb = current.sight.isChange ? "made" : "saw"
                return violation(
                    "version \(seen[before].version) was there before an operation began that \(verb) "
                        + "\(current.version)",
                    seen[before].position,
                    current.position
                )
            }
        }
        return nil
    }

    /// One version has one value: the one that its change made.
    func values() -> LinearizabilityWitness.Violation? {
        let firm = seen.filter { $0.sight.isFirm }.sorted { left, right in
            left.version == right.version
                ? left.sight.isChange && !right.sight.isChange : left.version < right.version
        }
        var start = 0
        while start < firm.count {
            let end = firm[start...].firstIndex { $0.version != firm[start].version } ?? firm.count
            if let found = values(of: Array(firm[start..<end])) { return found }
            start = end
        }
        return nil
    }

    private func values(
        of group: [(position: Int, version: CacheVersion, sight: Sight)]
    ) -> LinearizabilityWitness.Violation? {
        // The change comes first, if there is one.
        var known: (position: Int, value: [UInt8]?)?
        for member in group {
            switch member.sight {
            case .made(let value): known = (member.position, value)
            case .madeSomething, .met: break
            case .saw(let value):
                if let known, known.value != value {
                    return violation("version \(member.version) has two values", known.position, member.position)
                }
                if known == nil { known = (member.position, value) }
                guard !group[0].sight.isChange else { continue }
                // Only a change whose answer was lost can have made what nobody says to have made.
                let end = history[member.position].returnedAt ?? .max
                if !lost.contains(where: { history[$0].invokedAt <= end && history[$0].canMake(value) }) {
                    return violation("nobody made the value of version \(member.version)", member.position)
                }
            }
        }
        return nil
    }

    /// Where every change is known and nothing expires, the versions are an order: carried out in it, every operation
    /// must answer as it did. With `realTime` this proves the key linearizable.
    func replay() -> LinearizabilityWitness.Violation? {
        guard lost.isEmpty, seen.allSatisfy({ history[$0.position].isReplayable }) else { return nil }
        let order = seen.sorted { left, right in
            left.version == right.version
                ? left.sight.isChange && !right.sight.isChange : left.version < right.version
        }
        var current = CacheCurrent(value: nil, version: .zero)
        var last: Int?
        for member in order {
            let operation = history[member.position]
            var answer = CacheHistoryOperation.Outcome.value(current.value)
            var effect = CacheEffect.none
            if case .change(let change) = operation.action {
                // The version of nothing is not in the history of one key; a condition on it is not judged.
                if current.value == nil, let wanted = operation.action.wantedVersion {
                    let isHeld = member.sight.isChange
                    current.version = isHeld ? wanted : CacheVersion(index: wanted.index &+ 1)
                }
                let result = change.evaluate(current, now: 0)
                answer = .answer(result.answer)
                effect = result.effect
            }
            if answer != operation.outcome {
                let text = "in the order of the versions, another answer follows: \(answer)"
                return last.map { violation(text, $0, member.position) } ?? violation(text, member.position)
            }
            switch effect {
            case .none: continue
            case .store(let value, _): current = CacheCurrent(value: value, version: member.version)
            case .remove: current = CacheCurrent(value: nil, version: member.version)
            }
            last = member.position
        }
        return nil
    }
}

extension Sight {
    var isChange: Bool {
        switch self {
        case .made, .madeSomething: true
        case .saw, .met: false
        }
    }

    /// Whether the version is certainly that of a change of this key.
    var isFirm: Bool { self != .met }
}

extension CacheHistoryOperation {
    fileprivate var sight: Sight {
        switch (action, outcome) {
        case (.read, .value(let value?)): return .saw(value)
        case (.change(let change), .answer(let answer)): return Self.sight(of: change, answer)
        default: return .met
        }
    }

    private static func sight(of change: CacheOperation, _ answer: CacheAnswer) -> Sight {
        switch (change, answer) {
        case (.set(let value, let expiry, _, _), .done), (.set(let value, let expiry, _, _), .value(_, true)):
            // With an expiry that has passed it removes, and what was absent stays so.
            if case .after(let milliseconds) = expiry, milliseconds <= 0 { return .met }
            return .made(value)
        case (.set(_, _, _, true), .value(let value?, false)): return .saw(value)
        case (.remove, .count(1)), (.remove, .value(_, true)): return .made(nil)
        case (.remove, .value(let value?, false)): return .saw(value)
        case (.expire(let expiry, _, _), .count(1)), (.expire(let expiry, _, _), .value(_, true)):
            if case .after(let milliseconds) = expiry, milliseconds <= 0 { return .made(nil) }
            if case .value(let value, _) = answer { return .made(value) }
            return .madeSomething
        case (.expire, .value(let value?, false)): return .saw(value)
        case (.add, .count(let number)): return .made(Array(String(number).utf8))
        case (.addDecimal, .number(let text)): return .made(text)
        case (.append(let suffix), .count): return suffix.isEmpty ? .met : .madeSomething
        case (.setRange(_, let bytes), .count): return bytes.isEmpty ? .met : .madeSomething
        default: return .met
        }
    }

    /// Whether its answer tells if it changed something, and its effect does not depend on the time.
    fileprivate var isReplayable: Bool {
        switch action {
        case .change(.append(let suffix)): !suffix.isEmpty
        default: action.milliseconds == nil
        }
    }

    /// Whether the change, if it was carried out, may have left this value.
    fileprivate func canMake(_ value: [UInt8]) -> Bool {
        switch action {
        case .read, .change(.remove): false
        case .change(.set(let new, _, _, _)): new == value
        case .change(.append(let suffix)): value.suffix(suffix.count) == suffix[...]
        case .change(.add): StrictInteger.parse(value) != nil
        case .change(.expire), .change(.addDecimal), .change(.setRange): true
        }
    }
}
