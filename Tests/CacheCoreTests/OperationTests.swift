// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Testing

/// Expected results were compared with redis-server 7.0.15: 1.1 million random operations, with the state after each.
@Suite("Operations")
struct OperationTests {
    static let now: UInt64 = 1_000_000
    static let version = CacheVersion(index: 7)

    static func current(_ value: String?, expiresAt: UInt64 = 0) -> CacheCurrent {
        CacheCurrent(value: value.map { Array($0.utf8) }, version: version, expiresAt: expiresAt)
    }

    static func evaluate(_ operation: CacheOperation, on value: String?, expiresAt: UInt64 = 0) -> CacheChange {
        operation.evaluate(current(value, expiresAt: expiresAt), now: now)
    }

    static func stored(_ text: String, expiresAt: UInt64 = 0) -> CacheEffect {
        .store(Array(text.utf8), expiresAt: expiresAt)
    }

    static func set(
        _ value: String,
        _ expiry: ExpiryChange = .never,
        _ condition: CacheCondition = .always,
        wantsOld: Bool = false
    ) -> CacheOperation {
        .set(value: Array(value.utf8), expiry: expiry, condition: condition, wantsOld: wantsOld)
    }

    // MARK: SET

    @Test("SET replaces the value and forgets the expiry, unless it is told to keep it or given another")
    func set() {
        #expect(Self.evaluate(Self.set("b"), on: "a", expiresAt: 2_000_000) == CacheChange(.done, Self.stored("b")))
        #expect(
            Self.evaluate(Self.set("b", .keep), on: "a", expiresAt: 2_000_000)
                == CacheChange(.done, Self.stored("b", expiresAt: 2_000_000))
        )
        #expect(Self.evaluate(Self.set("b", .keep), on: nil) == CacheChange(.done, Self.stored("b")))
        #expect(
            Self.evaluate(Self.set("b", .after(5)), on: nil)
                == CacheChange(.done, Self.stored("b", expiresAt: Self.now + 5))
        )
        let forever = CacheOperation.set(value: [1], expiry: .after(.max), condition: .always, wantsOld: false)
        #expect(
            forever.evaluate(Self.current(nil), now: .max - 1) == CacheChange(.done, .store([1], expiresAt: .max))
        )
    }

    @Test("SET with an expiry that has passed removes the key, also when nobody knows whether it is there")
    func setPast() {
        for milliseconds: Int64 in [0, -1, .min] {
            for value in ["a", nil] {
                #expect(
                    Self.evaluate(Self.set("b", .after(milliseconds)), on: value) == CacheChange(.done, .remove)
                )
            }
        }
    }

    static let conditions: [(condition: CacheCondition, onA: Bool, onNothing: Bool)] = [
        (.always, true, true), (.absent, false, true), (.present, true, false),
        (.equals(Array("a".utf8)), true, false), (.equals(Array("b".utf8)), false, false),
        (.differs(Array("a".utf8)), false, true), (.differs(Array("b".utf8)), true, true),
        (.version(version), true, false), (.version(CacheVersion(index: 7, minor: 1)), false, false),
    ]

    @Test("each condition holds where it should, of SET and of a removal", arguments: conditions)
    func condition(_ row: (condition: CacheCondition, onA: Bool, onNothing: Bool)) {
        for (value, holds) in [("a", row.onA), (nil, row.onNothing)] {
            let old = value.map { Array($0.utf8) }
            let effect = holds ? Self.stored("n") : .none
            #expect(
                Self.evaluate(Self.set("n", .never, row.condition), on: value)
                    == CacheChange(holds ? .done : .notDone, effect)
            )
            // SET … GET answers what stood there whether or not the condition held; the flag tells.
            #expect(
                Self.evaluate(Self.set("n", .never, row.condition, wantsOld: true), on: value)
                    == CacheChange(.value(old, wasApplied: holds), effect)
            )
            let isRemoved = holds && value != nil
            #expect(
                Self.evaluate(.remove(condition: row.condition, wantsOld: false), on: value)
                    == CacheChange(.count(isRemoved ? 1 : 0), isRemoved ? .remove : .none)
            )
            #expect(
                Self.evaluate(.remove(condition: row.condition, wantsOld: true), on: value)
                    == CacheChange(.value(old, wasApplied: isRemoved), isRemoved ? .remove : .none)
            )
        }
    }

    // MARK: Expiry

    @Test("EXPIRE with NX, XX, GT and LT, of keys with and without an expiry")
    func expireConditions() {
        let old = Self.now + 100
        // For each condition: allowed on a key that never expires; on one that expires, with an earlier moment, the
        // same and a later one.
        let rows: [(ExpiryCondition, Bool, Bool, Bool, Bool)] = [
            (.always, true, true, true, true), (.hasNone, true, false, false, false),
            (.hasOne, false, true, true, true), (.greater, false, false, false, true),
            (.less, true, true, false, false), (.hasOneAndGreater, false, false, false, true),
            (.hasOneAndLess, false, true, false, false),
        ]
        for (condition, onNever, earlier, same, later) in rows {
            let cases: [(UInt64, Int64, Bool)] = [
                (0, 100, onNever), (old, 99, earlier), (old, 100, same), (old, 101, later),
            ]
            for (expiresAt, milliseconds, isAllowed) in cases {
                let operation = CacheOperation.expire(.after(milliseconds), condition: condition, wantsValue: false)
                let moment = Self.now + UInt64(milliseconds)
                #expect(
                    Self.evaluate(operation, on: "a", expiresAt: expiresAt)
                        == CacheChange(
                            .count(isAllowed ? 1 : 0),
                            isAllowed ? Self.stored("a", expiresAt: moment) : .none
                        ),
                    "\(condition) \(expiresAt) \(milliseconds)"
                )
                #expect(Self.evaluate(operation, on: nil) == CacheChange(.count(0)))
            }
        }
    }

    @Test("an EXPIRE into the past removes the key and counts as done, if its condition allows")
    func expirePast() {
        let rows: [(ExpiryCondition, onNever: Bool, onExpiring: Bool)] = [
            (.always, true, true), (.hasNone, true, false), (.hasOne, false, true), (.greater, false, false),
            (.less, true, true), (.hasOneAndGreater, false, false), (.hasOneAndLess, false, true),
        ]
        for (condition, onNever, onExpiring) in rows {
            for milliseconds: Int64 in [0, -5, .min] {
                let operation = CacheOperation.expire(.after(milliseconds), condition: condition, wantsValue: false)
                for (expiresAt, isAllowed) in [(0, onNever), (Self.now + 9, onExpiring)] {
                    #expect(
                        Self.evaluate(operation, on: "a", expiresAt: expiresAt)
                            == CacheChange(.count(isAllowed ? 1 : 0), isAllowed ? .remove : .none),
                        "\(condition) \(expiresAt)"
                    )
                }
            }
        }
    }

    @Test("PERSIST counts only when there was an expiry to take away")
    func persist() {
        let operation = CacheOperation.expire(.never, condition: .always, wantsValue: false)
        #expect(Self.evaluate(operation, on: "a") == CacheChange(.count(0)))
        #expect(Self.evaluate(operation, on: nil) == CacheChange(.count(0)))
        #expect(
            Self.evaluate(operation, on: "a", expiresAt: Self.now + 1) == CacheChange(.count(1), Self.stored("a"))
        )
    }

    @Test("GETEX answers the value, whatever it does to the expiry")
    func getAndExpire() {
        func getex(_ change: ExpiryChange) -> CacheOperation { .expire(change, condition: .always, wantsValue: true) }
        let soon = Self.now + 1
        let value = Array("a".utf8)
        #expect(Self.evaluate(getex(.keep), on: nil) == CacheChange(.value(nil, wasApplied: false)))
        #expect(
            Self.evaluate(getex(.keep), on: "a", expiresAt: soon) == CacheChange(.value(value, wasApplied: false))
        )
        #expect(
            Self.evaluate(getex(.never), on: "a", expiresAt: soon)
                == CacheChange(.value(value, wasApplied: true), Self.stored("a"))
        )
        #expect(
            Self.evaluate(getex(.after(60)), on: "a")
                == CacheChange(.value(value, wasApplied: true), Self.stored("a", expiresAt: Self.now + 60))
        )
        #expect(
            Self.evaluate(getex(.after(-60)), on: "a") == CacheChange(.value(value, wasApplied: true), .remove)
        )
    }

    @Test("what has lapsed counts as absent, and whatever meets it removes it")
    func lapsed() {
        for expiresAt in [1, Self.now - 1, Self.now] {
            func change(_ operation: CacheOperation) -> CacheChange {
                Self.evaluate(operation, on: "5", expiresAt: expiresAt)
            }
            #expect(change(.remove(condition: .always, wantsOld: true)).answer == .value(nil, wasApplied: false))
            #expect(change(.remove(condition: .always, wantsOld: false)) == CacheChange(.count(0), .remove))
            #expect(change(.add(1)) == CacheChange(.count(1), Self.stored("1")))
            #expect(change(.append([54])) == CacheChange(.count(1), Self.stored("6")))
            #expect(change(Self.set("n", .keep, .absent)) == CacheChange(.done, Self.stored("n")))
            #expect(change(Self.set("n", .never, .present)) == CacheChange(.notDone, .remove))
            #expect(
                change(.expire(.after(9), condition: .always, wantsValue: false)) == CacheChange(.count(0), .remove)
            )
            // The version is that of the value that is gone.
            #expect(change(Self.set("n", .never, .version(Self.version))) == CacheChange(.notDone, .remove))
        }
        #expect(Self.evaluate(.add(1), on: "5", expiresAt: Self.now + 1).answer == .count(6))
    }

    // MARK: Parts of values

    @Test("APPEND creates, grows, keeps the expiry, and stops at the longest value")
    func append() {
        #expect(Self.evaluate(.append([]), on: nil) == CacheChange(.count(0), .store([], expiresAt: 0)))
        #expect(Self.evaluate(.append([]), on: "ab") == CacheChange(.count(2)))
        #expect(
            Self.evaluate(.append([99]), on: "ab", expiresAt: Self.now + 1)
                == CacheChange(.count(3), Self.stored("abc", expiresAt: Self.now + 1))
        )
        let almost = CacheCurrent(value: Array(repeating: 1, count: CacheLimits.valueBytes - 1), version: .zero)
        #expect(CacheOperation.append([1]).evaluate(almost, now: 0).answer == .count(Int64(CacheLimits.valueBytes)))
        #expect(CacheOperation.append([1, 2]).evaluate(almost, now: 0) == CacheChange(.refused(.tooLong)))
    }

    @Test("SETRANGE overwrites, fills the gap with zeros, and creates nothing out of nothing")
    func setRange() {
        #expect(Self.evaluate(.setRange(offset: 9, []), on: nil) == CacheChange(.count(0)))
        #expect(Self.evaluate(.setRange(offset: .max, []), on: "abc") == CacheChange(.count(3)))
        #expect(Self.evaluate(.setRange(offset: 1, [88]), on: "abc") == CacheChange(.count(3), Self.stored("aXc")))
        #expect(
            Self.evaluate(.setRange(offset: 2, [88, 89]), on: "abc") == CacheChange(.count(4), Self.stored("abXY"))
        )
        #expect(Self.evaluate(.setRange(offset: 0, [88, 89]), on: "a") == CacheChange(.count(2), Self.stored("XY")))
        #expect(
            Self.evaluate(.setRange(offset: 5, [88]), on: "abc", expiresAt: Self.now + 3)
                == CacheChange(.count(6), Self.stored("abc\0\0X", expiresAt: Self.now + 3))
        )
        #expect(Self.evaluate(.setRange(offset: 2, [88]), on: nil) == CacheChange(.count(3), Self.stored("\0\0X")))
        let last = UInt64(CacheLimits.valueBytes) - 1
        #expect(Self.evaluate(.setRange(offset: last, [1]), on: "a").answer == .count(Int64(last) + 1))
        for offset in [last + 1, last + 2, .max] {
            #expect(Self.evaluate(.setRange(offset: offset, [1]), on: "a") == CacheChange(.refused(.tooLong)))
        }
    }

    // MARK: Before it is carried out

    @Test("only a plain SET, with or without an expiry, can do without what stands there")
    func needs() {
        let blind = [Self.set("a"), Self.set("a", .after(5)), Self.set("a", .after(-5))]
        for operation in blind {
            #expect(!operation.needsCurrent)
            let changes = [("5", 0), ("5", 1), (nil, 0), ("x", Self.now + 1)].map {
                Self.evaluate(operation, on: $0.0, expiresAt: $0.1)
            }
            #expect(changes.allSatisfy { $0 == changes[0] })
        }
        let others: [CacheOperation] = [
            Self.set("a", .keep), Self.set("a", .never, .absent), Self.set("a", .never, .always, wantsOld: true),
            .remove(condition: .always, wantsOld: false), .expire(.never, condition: .always, wantsValue: false),
            .add(1), .addDecimal([49]), .append([]), .setRange(offset: 0, []),
        ]
        for operation in others { #expect(operation.needsCurrent) }
    }

    @Test("what no key or value can be is refused before it is sent anywhere")
    func validate() {
        let key = CacheKey("k")
        let long = [UInt8](repeating: 1, count: CacheLimits.valueBytes + 1)
        let longest = Array(long.dropLast())
        let end = UInt64(CacheLimits.valueBytes)
        let refused: [(CacheOperation, CacheRefusal)] = [
            (.set(value: long, expiry: .never, condition: .always, wantsOld: false), .tooLong),
            (Self.set("a", .never, .equals(long)), .tooLong), (Self.set("a", .never, .differs(long)), .tooLong),
            (.remove(condition: .equals(long), wantsOld: false), .tooLong), (.append(long), .tooLong),
            (.setRange(offset: end, [1]), .tooLong), (.setRange(offset: .max, [1]), .tooLong),
            (.addDecimal([]), .notFloat), (.addDecimal(Array("1x".utf8)), .notFloat),
        ]
        for (operation, refusal) in refused { #expect(operation.validate(key: key) == refusal) }
        let accepted: [CacheOperation] = [
            .set(value: longest, expiry: .never, condition: .equals(longest), wantsOld: false), .append(longest),
            .setRange(offset: end - 1, [1]), .setRange(offset: .max, []), .addDecimal(Array("inf".utf8)), .add(.min),
            .remove(condition: .version(.zero), wantsOld: true),
        ]
        for operation in accepted { #expect(operation.validate(key: key) == nil) }
        let longKey = CacheKey(Array(repeating: 1, count: CacheLimits.keyBytes))
        #expect(Self.set("a").validate(key: longKey) == nil)
        #expect(Self.set("a").validate(key: CacheKey(longKey.bytes + [1])) == .keyTooLong)
        #expect(Self.set("a").validate(key: CacheKey("")) == nil)
    }

    @Test("no operation makes a value longer than it announced")
    func storedBytes() {
        let operations: [CacheOperation] = [
            Self.set("abc"), .append([1, 2]), .setRange(offset: 9, [1]), .setRange(offset: 9, []), .add(.min),
            .addDecimal(Array("-1.2345678901234567890e4931".utf8)), .addDecimal(Array("-1e-17".utf8)),
            .expire(.never, condition: .always, wantsValue: false), .remove(condition: .always, wantsOld: false),
        ]
        for operation in operations {
            for value in ["", "0", "-9", nil, "1e4931", "-9.00000000000000001"] {
                let before = value?.utf8.count ?? 0
                guard case .store(let after, _) = Self.evaluate(operation, on: value).effect else { continue }
                #expect(after.count <= before + operation.storedBytes)
            }
        }
    }
}
