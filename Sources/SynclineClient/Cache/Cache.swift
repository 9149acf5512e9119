// SPDX-License-Identifier: Apache-2.0
import RESP

extension SynclineClient {
    /// The cluster's coherent cache.
    public var cache: Cache { Cache(client: self) }
}

/// Text or bytes: what keys and values of the cache may be given as.
public protocol CacheBytes: Sendable {
    var cacheBytes: [UInt8] { get }
}

extension String: CacheBytes {
    public var cacheBytes: [UInt8] { Array(utf8) }
}

extension [UInt8]: CacheBytes {
    public var cacheBytes: [UInt8] { self }
}

/// The cluster's coherent cache: every node answers reads from its own memory, and no client anywhere reads a value
/// older than the last one written.
///
/// Keys have at most 4,096 bytes, values at most 8 MiB. What changes a key is not sent again when its answer is lost,
/// since another client's change may lie between two sendings: it fails, and its outcome is
/// ``SynclineError/Outcome/unknown``.
///
/// ```swift
/// try await client.cache.set("greeting", "hello", ttl: .seconds(60))
/// let text = try await client.cache.text("greeting")
/// ```
public struct Cache: Sendable {
    let client: SynclineClient

    // MARK: Reading

    /// The latest value; nil when there is no such key.
    public func get(_ key: some CacheBytes) async throws(SynclineError) -> [UInt8]? {
        let value = try await read(Command("GET", key))
        if value.isNull { return nil }
        guard let bytes = Reply.bytes(value) else { throw Reply.unexpected("GET") }
        return bytes
    }

    /// The latest value as text, with a replacement character for what is none; nil when there is no such key.
    public func text(_ key: some CacheBytes) async throws(SynclineError) -> String? {
        try await get(key).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The latest values of several keys, each read on its own: no picture of all at one moment.
    public func get(_ keys: [some CacheBytes]) async throws(SynclineError) -> [[UInt8]?] {
        if keys.isEmpty { return [] }
        var command = Command("MGET")
        for key in keys { command.append(bytes: key.cacheBytes) }
        guard let items = try await read(command).elements, items.count == keys.count else {
            throw Reply.unexpected("MGET")
        }
        return items.map { $0.isNull ? nil : Reply.bytes($0) }
    }

    public func exists(_ key: some CacheBytes) async throws(SynclineError) -> Bool {
        try await Reply.count(read(Command("EXISTS", key)), "EXISTS") == 1
    }

    /// How long a key has left.
    public func timeToLive(_ key: some CacheBytes) async throws(SynclineError) -> TimeToLive {
        switch try await read(Command("PTTL", key)).int {
        case .some(-2): return .absent
        case .some(-1): return .forever
        case .some(let left) where left >= 0: return .left(.milliseconds(left))
        default: throw Reply.unexpected("PTTL")
        }
    }

    // MARK: Writing

    /// Sets a value that lives so long; for ever when not given.
    public func set(
        _ key: some CacheBytes,
        _ value: some CacheBytes,
        ttl: Duration? = nil
    ) async throws(SynclineError) {
        var options = SetOptions()
        options.ttl = ttl
        _ = try await set(key, value, options)
    }

    /// Sets a value if the options' condition holds.
    ///
    /// - Returns: whether it was set.
    /// - Throws: ``SynclineError`` with ``SynclineError/Code/fenced`` when the lock's token is out of date, and others.
    public func set(
        _ key: some CacheBytes,
        _ value: some CacheBytes,
        _ options: SetOptions
    ) async throws(SynclineError) -> Bool {
        var command = Command("SET", key)
        command.append(bytes: value.cacheBytes)
        switch options.condition {
        case .always: break
        case .absent: command.append("NX")
        case .present: command.append("XX")
        case .equals(let bytes):
            command.append("IFEQ")
            command.append(bytes: bytes)
        case .version(let version): command.append("IFVERSION", version)
        }
        if let ttl = options.ttl {
            command.append("PX", "\(ttl.wholeMilliseconds)")
        } else if options.keepsTTL {
            command.append("KEEPTTL")
        }
        if let durability = options.durability { command.append("DURABILITY", durability.rawValue) }
        if let lock = options.lock {
            command.append("LOCK", lock.name, "TOKEN", "\(lock.token)")
            if let namespace = lock.namespace { command.append("NAMESPACE", namespace) }
        }
        return try await !change(command).isNull
    }

    /// Sets a value only while another stands there; with nil, only where there is none.
    ///
    /// - Returns: whether it was set.
    public func compareAndSet(
        _ key: some CacheBytes,
        from old: (some CacheBytes)?,
        to new: some CacheBytes
    ) async throws(SynclineError) -> Bool {
        var options = SetOptions()
        options.condition = old.map { .equals($0.cacheBytes) } ?? .absent
        return try await set(key, new, options)
    }

    /// Removes a key.
    ///
    /// - Returns: whether it was there.
    @discardableResult
    public func delete(_ key: some CacheBytes) async throws(SynclineError) -> Bool {
        try await Reply.count(change(Command("DEL", key)), "DEL") == 1
    }

    /// Adds to a number in decimal notation; an absent key counts as 0.
    ///
    /// - Returns: the new number.
    @discardableResult
    public func increment(_ key: some CacheBytes, by addend: Int64 = 1) async throws(SynclineError) -> Int64 {
        var command = Command("INCRBY", key)
        command.append("\(addend)")
        guard let number = try await change(command).int else { throw Reply.unexpected("INCRBY") }
        return number
    }

    /// Lets a key expire.
    ///
    /// - Returns: false when there is no such key.
    @discardableResult
    public func expire(_ key: some CacheBytes, after time: Duration) async throws(SynclineError) -> Bool {
        var command = Command("PEXPIRE", key)
        command.append("\(time.wholeMilliseconds)")
        return try await Reply.count(change(command), "PEXPIRE") == 1
    }

    /// Takes a key's expiry away.
    ///
    /// - Returns: whether it had one.
    @discardableResult
    public func persist(_ key: some CacheBytes) async throws(SynclineError) -> Bool {
        try await Reply.count(change(Command("PERSIST", key)), "PERSIST") == 1
    }

    // MARK: Many keys

    /// The keys, page by page in no order: a walk to its end names every key that was there throughout, perhaps twice.
    ///
    /// - Parameters:
    ///   - pattern: with `*`, `?` and `[a-z]`; pages may then be empty before the last.
    ///   - cursor: 0 for the first page, then what the page before returned.
    ///   - limit: about so many.
    /// - Returns: a page, and the cursor of the next one; 0 after the last.
    public func keys(
        matching pattern: String? = nil,
        cursor: UInt64 = 0,
        limit: Int = 100
    ) async throws(SynclineError) -> (keys: [[UInt8]], cursor: UInt64) {
        var command = Command("SCAN", "\(cursor)", "COUNT", "\(limit)")
        if let pattern { command.append("MATCH", pattern) }
        let value = try await read(command)
        guard let parts = value.elements, parts.count == 2, let next = parts[0].string.flatMap({ UInt64($0) }),
            let items = parts[1].elements
        else { throw Reply.unexpected("SCAN") }
        return (items.compactMap { Reply.bytes($0) }, next)
    }

    /// How many keys the cluster has.
    public func count() async throws(SynclineError) -> Int {
        try await Reply.count(read(Command("DBSIZE")), "DBSIZE")
    }

    /// Removes every key of the cluster.
    public func removeAll() async throws(SynclineError) { _ = try await change(Command("FLUSHALL")) }

    // MARK: The node

    /// What every node holds of a key.
    public func line(_ key: some CacheBytes) async throws(SynclineError) -> CacheLine {
        try await Reply.cacheLine(read(Command("LINE", key)))
    }

    /// Figures of the node that answers: the first endpoint as a rule.
    public func stats() async throws(SynclineError) -> CacheStats {
        try await Reply.cacheStats(read(Command("CACHE.STATS")))
    }

    /// Writes back what only the memory of the node that answers, or `everywhere` of every node, has until now.
    ///
    /// - Returns: how many lines.
    /// - Throws: ``SynclineError`` with ``SynclineError/Code/partlyDone`` when time did not suffice, or when some nodes
    ///   did not answer; the message names them.
    @discardableResult
    public func flush(everywhere: Bool = false) async throws(SynclineError) -> Int {
        // What was written back is not written again, so a second sending is harmless.
        let command = everywhere ? Command("CACHE.FLUSH", "ALL") : Command("CACHE.FLUSH")
        return try await Reply.count(patient(command), "CACHE.FLUSH")
    }

    /// Drops the copy of a key of the node that answers, written back if need be. The key stays.
    ///
    /// - Returns: whether it had one.
    @discardableResult
    public func evict(_ key: some CacheBytes) async throws(SynclineError) -> Bool {
        try await Reply.count(patient(Command("CACHE.EVICT", key)), "CACHE.EVICT") == 1
    }

    // MARK: Help

    private func read(_ command: Command) async throws(SynclineError) -> RESPValue {
        try await client.values.call(command, deadline: client.requestDeadline).value
    }

    /// Of what a node takes its own time for, and says itself when that was not enough.
    private func patient(_ command: Command) async throws(SynclineError) -> RESPValue {
        let limit = client.configuration.requestTimeout
        return try await client.values.call(command, deadline: client.requestDeadline, attempt: limit).value
    }

    private func change(_ command: Command) async throws(SynclineError) -> RESPValue {
        try await client.values.call(command, repeatable: .no, deadline: client.requestDeadline).value
    }
}

extension Command {
    fileprivate init(_ name: String, _ key: some CacheBytes) {
        self.init(name)
        append(bytes: key.cacheBytes)
    }
}
