// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives

/// What may stand under one key in the course of a history, each state under a number; zero: absent.
struct LinearizabilityStates {
    private struct State: Hashable {
        /// In `values`; nil: absent.
        var value: Int?
        /// Where conditions ask for it and it is known.
        var version: CacheVersion?
        /// Nanoseconds between which the value goes; nil: it stays.
        var earliest: UInt64?
        var latest: UInt64?

        static let absent = State(value: nil, version: nil, earliest: nil, latest: nil)
    }

    /// Whether anything in the history expires; if not, time need not be looked at.
    let hasExpiry: Bool
    private let operations: [CacheHistoryOperation]
    private let slack: UInt64
    private let tracksVersions: Bool
    private var states: [State] = [.absent]
    private var stateNumbers = LookupTable<State, Int>()
    private var values: [[UInt8]] = []
    private var valueNumbers = LookupTable<[UInt8], Int>()

    init(_ operations: [CacheHistoryOperation], slack: UInt64) {
        self.operations = operations
        self.slack = slack
        hasExpiry = operations.contains { $0.action.milliseconds ?? 0 > 0 }
        tracksVersions = operations.contains { $0.action.wantedVersion != nil }
        stateNumbers[.absent] = 0
    }

    /// The states that the operation can lead to from a state, given what it answered; none if it cannot have answered
    /// that there.
    mutating func successors(of number: Int, by index: Int, notBefore: UInt64, notAfter: UInt64) -> [Int] {
        let operation = operations[index]
        let before = states[number]
        var found: [Int] = []
        for view in views(of: before, notBefore: notBefore, notAfter: notAfter) {
            for state in outcomes(of: operation, on: view, notBefore: notBefore, notAfter: notAfter) {
                // What may have happened or not, and would make no difference, has not.
                if operation.returnedAt == nil, state == before { continue }
                let reached = self.number(state)
                if !found.contains(reached) { found.append(reached) }
            }
        }
        return found
    }

    /// As it is, as it is once the value has lapsed, or either.
    private func views(of state: State, notBefore: UInt64, notAfter: UInt64) -> [State] {
        guard let earliest = state.earliest, let latest = state.latest else { return [state] }
        return (notBefore <= latest ? [state] : []) + (earliest <= notAfter ? [.absent] : [])
    }

    private mutating func outcomes(
        of operation: CacheHistoryOperation,
        on view: State,
        notBefore: UInt64,
        notAfter: UInt64
    ) -> [State] {
        switch operation.action {
        case .read:
            if case .value(let value) = operation.outcome, value != view.value.map({ values[$0] }) { return [] }
            var state = view
            // After a change of unknown outcome, the first who sees the value tells its version.
            if tracksVersions, state.value != nil, state.version == nil { state.version = operation.version }
            return [state]
        case .change(let change):
            if case .answer(.refused(let refusal)) = operation.outcome, refusal.isOfPlace { return [view] }
            var states: [State] = []
            for result in results(of: change, on: view) {
                if case .answer(let answer) = operation.outcome, answer != result.answer { continue }
                var state = after(result.effect, of: change, on: view, notBefore: notBefore, notAfter: notAfter)
                if tracksVersions, case .store = result.effect { state.version = operation.version }
                states.append(state)
            }
            return states
        }
    }

    /// What the operation may come to: more than one thing where it depends on what the history does not tell.
    private func results(of change: CacheOperation, on view: State) -> [CacheChange] {
        let value = view.value.map { values[$0] }
        // Far away: whether the value has lapsed is decided by then.
        let expiresAt: UInt64 = view.earliest == nil ? 0 : .max
        if case .expire(let expiry, let condition, let wantsValue) = change, condition.compares, expiresAt != 0 {
            let always = CacheOperation.expire(expiry, condition: .always, wantsValue: wantsValue)
            let held = always.evaluate(CacheCurrent(value: value, version: .zero, expiresAt: expiresAt), now: 0)
            return [held, CacheChange(wantsValue ? .value(value, wasApplied: false) : .count(0))]
        }
        func evaluate(_ version: CacheVersion) -> CacheChange {
            change.evaluate(CacheCurrent(value: value, version: version, expiresAt: expiresAt), now: 0)
        }
        guard let wanted = CacheHistoryOperation.Action.change(change).wantedVersion else { return [evaluate(.zero)] }
        // That of an absent key rises with the removals of others, which are not in this history.
        if value != nil, let version = view.version { return [evaluate(version)] }
        let other = CacheVersion(index: wanted.index &+ 1)
        return [evaluate(wanted), evaluate(other)]
    }

    private mutating func after(
        _ effect: CacheEffect,
        of change: CacheOperation,
        on view: State,
        notBefore: UInt64,
        notAfter: UInt64
    ) -> State {
        switch effect {
        case .none: return view
        case .remove: return .absent
        case .store(let value, let expiresAt):
            var state = State.absent
            state.value = number(value)
            if expiresAt == 0 { return state }
            if let milliseconds = CacheHistoryOperation.Action.change(change).milliseconds {
                let (length, overflow) = UInt64(max(0, milliseconds)).multipliedReportingOverflow(by: 1_000_000)
                let duration = overflow ? UInt64.max : length
                state.earliest = saturating(notBefore, duration) - min(saturating(notBefore, duration), slack)
                state.latest = saturating(saturating(notAfter, duration), slack)
            } else {
                state.earliest = view.earliest
                state.latest = view.latest
            }
            return state
        }
    }

    private func saturating(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }

    private mutating func number(_ value: [UInt8]) -> Int {
        if let number = valueNumbers[value] { return number }
        valueNumbers[value] = values.count
        values.append(value)
        return values.count - 1
    }

    private mutating func number(_ state: State) -> Int {
        if let number = stateNumbers[state] { return number }
        stateNumbers[state] = states.count
        states.append(state)
        return states.count - 1
    }
}

extension CacheHistoryOperation.Action {
    /// Until the key expires, if the operation says when it does.
    var milliseconds: Int64? {
        switch self {
        case .change(.set(_, .after(let milliseconds), _, _)), .change(.expire(.after(let milliseconds), _, _)):
            milliseconds
        default: nil
        }
    }

    /// The version that the key must have.
    var wantedVersion: CacheVersion? {
        switch self {
        case .change(.set(_, _, .version(let version), _)), .change(.remove(.version(let version), _)): version
        default: nil
        }
    }
}

extension ExpiryCondition {
    /// Whether it compares two moments of which a history knows only about when they are.
    fileprivate var compares: Bool {
        switch self {
        case .greater, .less, .hasOneAndGreater, .hasOneAndLess: true
        case .always, .hasNone, .hasOne: false
        }
    }
}

extension CacheRefusal {
    /// Whether it came from where the operation was to be done and not from what stood under the key.
    var isOfPlace: Bool {
        switch self {
        case .keyTooLong, .outOfMemory, .fenced, .tooDirty, .memoryDown: true
        case .notInteger, .overflow, .notFloat, .notFinite, .tooLong: false
        }
    }
}
