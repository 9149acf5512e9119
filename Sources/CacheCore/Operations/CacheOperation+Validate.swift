// SPDX-License-Identifier: Apache-2.0

extension CacheOperation {
    /// False when neither the answer nor the effect depends on what stands under the key, so that nobody need fetch
    /// it: a plain SET.
    package var needsCurrent: Bool {
        switch self {
        case .set(_, .never, .always, wantsOld: false), .set(_, .after, .always, wantsOld: false): false
        default: true
        }
    }

    /// Why the operation cannot be done whatever stands under the key; nil if it may be.
    package func validate(key: CacheKey) -> CacheRefusal? {
        guard key.bytes.count <= CacheLimits.keyBytes else { return .keyTooLong }
        switch self {
        case .set(let value, _, let condition, _):
            return Self.isTooLong(value) || condition.isTooLong ? .tooLong : nil
        case .remove(let condition, _): return condition.isTooLong ? .tooLong : nil
        case .expire, .add: return nil
        case .addDecimal(let addend): return DecimalNumber.parse(addend) == nil ? .notFloat : nil
        case .append(let suffix): return Self.isTooLong(suffix) ? .tooLong : nil
        case .setRange(let offset, let bytes):
            guard !bytes.isEmpty else { return nil }
            let (end, overflow) = offset.addingReportingOverflow(UInt64(bytes.count))
            return overflow || end > UInt64(CacheLimits.valueBytes) ? .tooLong : nil
        }
    }

    /// The most bytes by which the operation can make a value longer than nothing; what a store that is nearly full
    /// asks before it takes one.
    package var storedBytes: Int {
        switch self {
        case .set(let value, _, _, _): value.count
        case .remove, .expire: 0
        case .add: StrictInteger.textLimit
        case .addDecimal: DecimalNumber.textLimit
        case .append(let suffix): suffix.count
        case .setRange(let offset, let bytes):
            bytes.isEmpty ? 0 : Int(min(offset, UInt64(CacheLimits.valueBytes))) + bytes.count
        }
    }

    /// Bytes that it adds to an entry of the log that it shares with others like it; nil if it may not. What can only
    /// remove never waits for room in the store, what others come after must not remove (an absent key has one version,
    /// whoever removed it), and old values for many callers would make a long answer.
    var sharedBytes: Int? {
        let bytes = storedBytes
        guard bytes > 0 else { return nil }
        switch self {
        case .set(_, .after(...0), _, _), .set(_, _, _, wantsOld: true): return nil
        case .set(_, _, let condition, _): return bytes + condition.comparedBytes
        // Each copies the whole value, however little it adds.
        case .append, .setRange: return max(bytes, 4 << 10)
        case .remove, .expire, .add, .addDecimal: return bytes
        }
    }

    private static func isTooLong(_ value: [UInt8]) -> Bool { value.count > CacheLimits.valueBytes }
}

extension CacheCondition {
    /// Whether it compares with a value that is longer than any.
    fileprivate var isTooLong: Bool { comparedBytes > CacheLimits.valueBytes }

    fileprivate var comparedBytes: Int {
        switch self {
        case .equals(let value), .differs(let value): value.count
        case .always, .absent, .present, .version: 0
        }
    }
}
