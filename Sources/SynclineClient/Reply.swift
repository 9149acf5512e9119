// SPDX-License-Identifier: Apache-2.0
import NIOCore
import RESP

/// Reads answers. A shape that was not expected is a protocol violation, never a trap.
enum Reply {
    static func unexpected(_ what: String) -> SynclineError {
        SynclineError(
            code: .protocolViolation,
            message: "the node's answer is not what \(what) answers with",
            outcome: .unknown
        )
    }

    static func token(_ value: RESPValue, _ what: String) throws(SynclineError) -> UInt64 {
        guard let number = value.int, number >= 0 else { throw unexpected(what) }
        return UInt64(number)
    }

    static func count(_ value: RESPValue, _ what: String) throws(SynclineError) -> Int {
        guard let number = value.int, let count = Int(exactly: number), count >= 0 else { throw unexpected(what) }
        return count
    }

    static func text(_ value: RESPValue, _ what: String) throws(SynclineError) -> String {
        guard let text = value.string else { throw unexpected(what) }
        return text
    }

    static func lockInfo(_ value: RESPValue) throws(SynclineError) -> LockInfo {
        guard let name = value["name"]?.string else { throw unexpected("LOCK.INFO") }
        var holders: [LockHolder] = []
        for holder in value["holders"]?.elements ?? [] { holders.append(try lockHolder(holder)) }
        var waiters: [LockWaiter] = []
        for waiter in value["waiters"]?.elements ?? [] { waiters.append(try lockWaiter(waiter)) }
        let kind = value["kind"]?.string.flatMap { LockInfo.Kind(rawValue: $0.lowercased()) } ?? .lock
        var announced: [UInt8]?
        if kind == .election, case .bulk(let bytes) = value["value"] { announced = Array(buffer: bytes) }
        return LockInfo(
            name: name,
            namespace: value["namespace"]?.string ?? "default",
            kind: kind,
            limit: number(value, "limit") ?? 1,
            holders: holders,
            holderCount: number(value, "holder-count") ?? UInt64(holders.count),
            waiters: waiters,
            waiterCount: number(value, "waiter-count") ?? UInt64(waiters.count),
            isDelayed: flag(value, "delayed"),
            value: announced
        )
    }

    private static func lockHolder(_ value: RESPValue) throws(SynclineError) -> LockHolder {
        guard let session = value["session"]?.string else { throw unexpected("LOCK.INFO") }
        return LockHolder(
            session: session,
            label: value["label"]?.string ?? "",
            mode: mode(value["mode"]) ?? .exclusive,
            token: number(value, "token") ?? 0,
            count: number(value, "count") ?? 1,
            ageMilliseconds: number(value, "age") ?? 0
        )
    }

    private static func lockWaiter(_ value: RESPValue) throws(SynclineError) -> LockWaiter {
        guard let session = value["session"]?.string else { throw unexpected("LOCK.INFO") }
        return LockWaiter(
            session: session,
            label: value["label"]?.string ?? "",
            mode: mode(value["mode"]) ?? .exclusive,
            isConversion: flag(value, "conversion"),
            ageMilliseconds: number(value, "age") ?? 0
        )
    }

    static func sessionInfo(_ value: RESPValue) throws(SynclineError) -> SessionInfo {
        guard let id = value["id"]?.string else { throw unexpected("SESSION.INFO") }
        let held = value["held"]?.elements?.compactMap(\.string) ?? []
        return SessionInfo(
            id: id,
            label: value["label"]?.string ?? "",
            owner: value["owner"]?.string ?? "",
            ttlMilliseconds: number(value, "ttl") ?? 0,
            remainingMilliseconds: number(value, "remaining"),
            ageMilliseconds: number(value, "age") ?? 0,
            held: held,
            heldCount: number(value, "held-count") ?? UInt64(held.count),
            waiting: value["waiting"]?.elements?.compactMap(\.string) ?? []
        )
    }

    static func mode(_ value: RESPValue?) -> LockMode? { value?.string.flatMap { LockMode(rawValue: $0.lowercased()) } }

    private static func number(_ value: RESPValue, _ key: String) -> UInt64? {
        value[key]?.int.flatMap { UInt64(exactly: $0) }
    }

    private static func flag(_ value: RESPValue, _ key: String) -> Bool {
        value[key]?.int.map { $0 != 0 } ?? false
    }
}
