// SPDX-License-Identifier: Apache-2.0
import NIOCore
import RESP

/// A message as a node delivers it.
struct Delivery: Sendable, Hashable {
    var id: String
    var receipt: String
    var body: [UInt8]
    var headers: [QueueHeader]
    var key: String?
    var attempt: Int
    var priority: Int
    var publishedMilliseconds: Int64
    var lease: Duration
    var cause: RedeliveryCause?
    var deadLetter: DeadLetter?
}

extension Reply {
    static func deliveries(_ value: RESPValue, _ what: String) throws(SynclineError) -> [Delivery] {
        if value.isNull { return [] }
        guard let items = value.elements else { throw unexpected(what) }
        var found: [Delivery] = []
        found.reserveCapacity(items.count)
        for item in items { found.append(try delivery(item, what)) }
        return found
    }

    private static func delivery(_ value: RESPValue, _ what: String) throws(SynclineError) -> Delivery {
        guard let id = value["id"]?.string, let receipt = value["receipt"]?.string, let body = bytes(value["body"])
        else { throw unexpected(what) }
        return Delivery(
            id: id,
            receipt: receipt,
            body: body,
            headers: headers(value["headers"]),
            key: text(value, "key"),
            attempt: integer(value, "attempts") ?? 1,
            priority: integer(value, "priority") ?? 0,
            publishedMilliseconds: value["published"]?.int ?? 0,
            lease: .milliseconds(value["lease_ms"]?.int ?? 30_000),
            cause: text(value, "cause").flatMap { $0 == "none" ? nil : RedeliveryCause(rawValue: $0) },
            deadLetter: deadLetter(value["dead_letter"])
        )
    }

    static func peekedMessage(_ value: RESPValue) throws(SynclineError) -> PeekedMessage {
        guard let id = value["id"]?.string,
            let state = value["state"]?.string.flatMap({ MessageState(word: $0) })
        else { throw unexpected("QUEUE.PEEK") }
        return PeekedMessage(
            id: id,
            state: state,
            body: bytes(value["body"]),
            headers: headers(value["headers"]),
            key: text(value, "key"),
            tenant: text(value, "tenant"),
            priority: integer(value, "priority") ?? 0,
            bytes: integer(value, "bytes") ?? 0,
            publishedMilliseconds: value["published"]?.int ?? 0,
            failures: integer(value, "failures") ?? 0,
            returns: integer(value, "returns") ?? 0,
            deliveries: integer(value, "deliveries") ?? 0,
            dueMilliseconds: value["due"]?.int,
            expiresMilliseconds: value["expires"]?.int,
            consumer: text(value, "consumer"),
            deadLetter: deadLetter(value["dead_letter"])
        )
    }

    static func queuePage(_ value: RESPValue) throws(SynclineError) -> (queues: [QueueStats], next: String) {
        guard let items = value["queues"]?.elements else { throw unexpected("QUEUE.LIST") }
        var queues: [QueueStats] = []
        for item in items { queues.append(try queueStats(item)) }
        return (queues, value["next"]?.string ?? "")
    }

    static func queueStats(_ value: RESPValue) throws(SynclineError) -> QueueStats {
        guard let name = value["name"]?.string else { throw unexpected("QUEUE.STATS") }
        var stats = QueueStats(name: name)
        let counts: [(String, WritableKeyPath<QueueStats, Int>)] = [
            ("ready", \.ready), ("in_flight", \.inFlight), ("delayed", \.delayed), ("dead", \.dead), ("bytes", \.bytes),
            ("published_total", \.publishedTotal), ("acked_total", \.ackedTotal),
            ("delivered_total", \.deliveredTotal), ("expired_total", \.expiredTotal), ("purged_total", \.purgedTotal),
            ("dropped_total", \.droppedTotal), ("dead_lettered_total", \.deadLetteredTotal),
            ("redriven_total", \.redrivenTotal), ("duplicates_total", \.duplicatesTotal),
            ("rejected_total", \.rejectedTotal), ("nacked_total", \.nackedTotal), ("returned_total", \.returnedTotal),
            ("leases_expired_total", \.leasesExpiredTotal), ("waiters", \.waiters), ("tenants", \.tenants),
            ("redrive_left", \.redriveLeft), ("moved_in_total", \.movedInTotal), ("moved_out_total", \.movedOutTotal),
        ]
        for (key, path) in counts { stats[keyPath: path] = integer(value, key) ?? 0 }
        stats.oldestReadyMilliseconds = integer(value, "oldest_ready_ms")
        stats.oldestInFlightMilliseconds = integer(value, "oldest_in_flight_ms")
        stats.isPublishPaused = isSet(value["publish_paused"])
        stats.isConsumePaused = isSet(value["consume_paused"])
        stats.dwellP50Milliseconds = number(value["dwell"]?["p50_ms"])
        stats.dwellP99Milliseconds = number(value["dwell"]?["p99_ms"])
        // Settings stand in a map of their own or beside the rest.
        let settings = value["settings"] ?? value
        stats.lanes = integer(settings, "lanes") ?? 1
        stats.leaseMilliseconds = integer(settings, "lease_ms")
        stats.maxAttempts = integer(settings, "max_attempts")
        stats.deadLetter = text(settings, "dead_letter")
        stats.maxLength = integer(settings, "max_length")
        stats.maxBytes = integer(settings, "max_bytes")
        stats.overflow = text(settings, "overflow")
        stats.ttlMilliseconds = integer(settings, "ttl_ms")
        stats.dedupMilliseconds = integer(settings, "dedup_ms")
        return stats
    }

    static func redrive(_ value: RESPValue, _ what: String) throws(SynclineError) -> RedriveProgress {
        guard let moved = integer(value, "moved"), let left = integer(value, "left") else { throw unexpected(what) }
        return RedriveProgress(moved: moved, left: left)
    }

    private static func deadLetter(_ value: RESPValue?) -> DeadLetter? {
        guard let value, let cause = value["cause"]?.string else { return nil }
        return DeadLetter(
            cause: DeadLetterCause(rawValue: cause.lowercased()),
            reason: value["reason"]?.string ?? "",
            origin: value["origin"]?.string ?? "",
            attempts: integer(value, "attempts") ?? 0
        )
    }

    private static func headers(_ value: RESPValue?) -> [QueueHeader] {
        (value?.pairs ?? []).compactMap { pair in
            guard let name = pair.key.string, let value = bytes(pair.value) else { return nil }
            return QueueHeader(name: name, value: value)
        }
    }

    static func bytes(_ value: RESPValue?) -> [UInt8]? {
        switch value {
        case .bulk(let buffer): Array(buffer: buffer)
        case .simple(let text), .verbatim(_, let text): Array(text.utf8)
        default: nil
        }
    }

    /// nil for what is missing or empty.
    private static func text(_ value: RESPValue, _ key: String) -> String? {
        value[key]?.string.flatMap { $0.isEmpty ? nil : $0 }
    }

    static func integer(_ value: RESPValue, _ key: String) -> Int? {
        value[key]?.int.flatMap { Int(exactly: $0) }
    }

    private static func number(_ value: RESPValue?) -> Double? {
        if case .double(let number) = value { return number }
        return value?.string.flatMap { Double($0) } ?? value?.int.map { Double($0) }
    }

    static func isSet(_ value: RESPValue?) -> Bool {
        if case .bool(let flag) = value { return flag }
        return (value?.int ?? 0) != 0
    }
}

extension MessageState {
    /// As nodes write it: `in_flight`, `INFLIGHT`, `inflight`.
    fileprivate init?(word: String) {
        let plain = word.lowercased().filter { $0 != "_" && $0 != "-" }
        guard let state = Self.allCases.first(where: { $0.rawValue.filter { $0 != "_" } == plain }) else { return nil }
        self = state
    }
}
