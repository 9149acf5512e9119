// SPDX-License-Identifier: Apache-2.0

// What each operation does to what stands under its key: the one place where that is said. The replies and effects are
// those of Redis 7 for values that are strings.

extension CacheOperation {
    /// What the operation answers and makes of `current`. It depends on nothing else, so every replica that is given
    /// the same computes the same.
    ///
    /// A value whose time has come counts as absent, and whatever operation meets it removes it, also one that would
    /// otherwise change nothing.
    /// - Parameter now: milliseconds, in the clock of `current.expiresAt`.
    package func evaluate(_ current: CacheCurrent, now: UInt64) -> CacheChange {
        guard current.value != nil, current.expiresAt != 0, current.expiresAt <= now else {
            return change(Standing(value: current.value, version: current.version, expiresAt: current.expiresAt), now)
        }
        // Its version was that of a value which is gone, so no condition on a version holds of it.
        var outcome = change(Standing(value: nil, version: nil, expiresAt: 0), now)
        if case .none = outcome.effect { outcome.effect = .remove }
        return outcome
    }

    private func change(_ standing: Standing, _ now: UInt64) -> CacheChange {
        switch self {
        case .set(let value, let expiry, let condition, let wantsOld):
            standing.set(value, expiry, condition, wantsOld: wantsOld, now: now)
        case .remove(let condition, let wantsOld): standing.remove(condition, wantsOld: wantsOld)
        case .expire(let expiry, let condition, let wantsValue):
            standing.expire(expiry, condition, wantsValue: wantsValue, now: now)
        case .add(let addend): standing.add(addend)
        case .addDecimal(let addend): standing.addDecimal(addend)
        case .append(let suffix): standing.append(suffix)
        case .setRange(let offset, let bytes): standing.setRange(offset, bytes)
        }
    }
}

/// `CacheCurrent` without what has lapsed.
private struct Standing {
    let value: [UInt8]?
    /// Nil: of a value that has lapsed and is not yet removed.
    let version: CacheVersion?
    let expiresAt: UInt64

    func meets(_ condition: CacheCondition) -> Bool {
        switch condition {
        case .always: true
        case .absent: value == nil
        case .present: value != nil
        case .equals(let wanted): value == wanted
        case .differs(let unwanted): value != unwanted
        case .version(let wanted): value != nil && version == wanted
        }
    }

    // MARK: Whole values

    func set(
        _ new: [UInt8],
        _ expiry: ExpiryChange,
        _ condition: CacheCondition,
        wantsOld: Bool,
        now: UInt64
    ) -> CacheChange {
        guard new.count <= CacheLimits.valueBytes else { return CacheChange(.refused(.tooLong)) }
        let isApplied = meets(condition)
        let answer: CacheAnswer =
            if wantsOld { .value(value, wasApplied: isApplied) } else if isApplied { .done } else { .notDone }
        guard isApplied else { return CacheChange(answer) }
        // Removed even where nothing stands: a plain SET is not told what does (`needsCurrent`).
        guard let moment = moment(expiry, now: now) else { return CacheChange(answer, .remove) }
        return CacheChange(answer, .store(new, expiresAt: moment))
    }

    func remove(_ condition: CacheCondition, wantsOld: Bool) -> CacheChange {
        let isApplied = value != nil && meets(condition)
        return CacheChange(
            wantsOld ? .value(value, wasApplied: isApplied) : .count(isApplied ? 1 : 0),
            isApplied ? .remove : .none
        )
    }

    // MARK: Expiry

    func expire(
        _ expiry: ExpiryChange,
        _ condition: ExpiryCondition,
        wantsValue: Bool,
        now: UInt64
    ) -> CacheChange {
        var isApplied = false
        var effect = CacheEffect.none
        if let value {
            switch moment(expiry, now: now) {
            case nil:
                // A moment that has passed is earlier than any that has not.
                isApplied = allows(condition, 0)
                if isApplied { effect = .remove }
            case let moment? where moment == expiresAt && !expiry.setsMoment:
                // Nothing to take away: PERSIST of a key that never expires, GETEX without an option.
                isApplied = false
            case let moment?:
                isApplied = allows(condition, moment == 0 ? .max : moment)
                if isApplied { effect = .store(value, expiresAt: moment) }
            }
        }
        return CacheChange(wantsValue ? .value(value, wasApplied: isApplied) : .count(isApplied ? 1 : 0), effect)
    }

    /// - Parameter moment: when the key is to expire; `max`: never.
    private func allows(_ condition: ExpiryCondition, _ moment: UInt64) -> Bool {
        switch condition {
        case .always: true
        case .hasNone: expiresAt == 0
        case .hasOne: expiresAt != 0
        case .greater, .hasOneAndGreater: expiresAt != 0 && moment > expiresAt
        case .less: expiresAt == 0 || moment < expiresAt
        case .hasOneAndLess: expiresAt != 0 && moment < expiresAt
        }
    }

    /// Zero: never; nil: at once.
    private func moment(_ expiry: ExpiryChange, now: UInt64) -> UInt64? {
        switch expiry {
        case .keep: return expiresAt
        case .never: return 0
        case .after(let milliseconds):
            guard milliseconds > 0 else { return nil }
            let (moment, overflow) = now.addingReportingOverflow(UInt64(milliseconds))
            return overflow ? .max : moment
        }
    }

    // MARK: Numbers

    func add(_ addend: Int64) -> CacheChange {
        guard let number = value.map(StrictInteger.parse) ?? 0 else { return CacheChange(.refused(.notInteger)) }
        let (sum, overflow) = number.addingReportingOverflow(addend)
        guard !overflow else { return CacheChange(.refused(.overflow)) }
        return CacheChange(.count(sum), .store(Array(String(sum).utf8), expiresAt: expiresAt))
    }

    func addDecimal(_ addend: [UInt8]) -> CacheChange {
        guard let left = value.map(DecimalNumber.parse) ?? .finite(.zero), let right = DecimalNumber.parse(addend)
        else { return CacheChange(.refused(.notFloat)) }
        guard case .finite(let first) = left, case .finite(let second) = right else {
            return CacheChange(.refused(.notFinite))
        }
        let sum = first + second
        guard !sum.isTooLarge else { return CacheChange(.refused(.notFinite)) }
        let text = sum.text
        return CacheChange(.number(text), .store(text, expiresAt: expiresAt))
    }

    // MARK: Parts of values

    func append(_ suffix: [UInt8]) -> CacheChange {
        guard let value else { return grown(suffix) }
        guard !suffix.isEmpty else { return CacheChange(.count(Int64(value.count))) }
        return grown(to: value.count + suffix.count) { bytes in
            bytes.append(contentsOf: value)
            bytes.append(contentsOf: suffix)
        }
    }

    func setRange(_ offset: UInt64, _ new: [UInt8]) -> CacheChange {
        let length = value?.count ?? 0
        // Writing nothing creates nothing, wherever it is written.
        guard !new.isEmpty else { return CacheChange(.count(Int64(length))) }
        guard offset <= UInt64(CacheLimits.valueBytes) else { return CacheChange(.refused(.tooLong)) }
        let start = Int(offset)
        let end = start + new.count
        return grown(to: max(length, end)) { bytes in
            if let value { bytes.append(contentsOf: value.prefix(start)) }
            bytes.append(contentsOf: repeatElement(0, count: start - bytes.count))
            bytes.append(contentsOf: new)
            if let value, value.count > end { bytes.append(contentsOf: value[end...]) }
        }
    }

    private func grown(_ bytes: [UInt8]) -> CacheChange {
        guard bytes.count <= CacheLimits.valueBytes else { return CacheChange(.refused(.tooLong)) }
        return CacheChange(.count(Int64(bytes.count)), .store(bytes, expiresAt: expiresAt))
    }

    /// Asks for the bytes only once their number is known to be allowed.
    private func grown(to length: Int, _ build: (inout [UInt8]) -> Void) -> CacheChange {
        guard length <= CacheLimits.valueBytes else { return CacheChange(.refused(.tooLong)) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(length)
        build(&bytes)
        return grown(bytes)
    }
}

extension ExpiryChange {
    fileprivate var setsMoment: Bool {
        switch self {
        case .keep, .never: false
        case .after: true
        }
    }
}
