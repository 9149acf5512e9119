// SPDX-License-Identifier: Apache-2.0
import NIOCore
import RESP

extension SynclineClient {
    /// Who holds a lock, semaphore or election and who waits for it; nil when nobody does either.
    public func lockInfo(_ name: String, namespace: String = "default") async throws(SynclineError) -> LockInfo? {
        let value = try await read(inNamespace(namespace, Command("LOCK.INFO", name)))
        return value.isNull ? nil : try Reply.lockInfo(value)
    }

    /// Everything that is held or waited for, by name, one page at a time.
    ///
    /// - Parameters:
    ///   - prefix: only names that begin with it.
    ///   - cursor: 0 for the first page, then what the page before returned.
    ///   - limit: at most so many, 1–1000.
    /// - Returns: a page, and the cursor of the next one; 0 after the last.
    public func listLocks(
        prefix: String = "",
        namespace: String = "default",
        cursor: UInt64 = 0,
        limit: Int = 100
    ) async throws(SynclineError) -> (locks: [LockInfo], cursor: UInt64) {
        var command = inNamespace(namespace, Command("LOCK.LIST", "CURSOR", "\(cursor)", "COUNT", "\(limit)"))
        if !prefix.isEmpty { command.append("PREFIX", prefix) }
        let value = try await read(command)
        guard let items = value["locks"]?.elements, let next = value["cursor"] else {
            throw Reply.unexpected("LOCK.LIST")
        }
        var locks: [LockInfo] = []
        for item in items { locks.append(try Reply.lockInfo(item)) }
        return (locks, try Reply.token(next, "LOCK.LIST"))
    }

    /// True when `token` belongs to a current holder: for services that guard something with a lock and cannot remember
    /// the highest token themselves.
    public func checkToken(
        _ token: UInt64,
        of name: String,
        namespace: String = "default"
    ) async throws(SynclineError) -> Bool {
        try await Reply.count(
            read(inNamespace(namespace, Command("LOCK.CHECK", name, "TOKEN", "\(token)"))),
            "LOCK.CHECK"
        ) == 1
    }

    /// Takes a lock away from all who hold it. Their sessions live on; the next grant has a higher token.
    ///
    /// Not sent again when its answer is lost, as a second one could hit the next holder.
    ///
    /// - Parameter reason: for the events and logs.
    /// - Returns: how many holders there were.
    @discardableResult
    public func breakLock(
        _ name: String,
        reason: String,
        namespace: String = "default"
    ) async throws(SynclineError) -> Int {
        let command = inNamespace(namespace, Command("LOCK.BREAK", name, "REASON", reason))
        let reply = try await commands.call(command, repeatable: .no, deadline: requestDeadline)
        return try Reply.count(reply.value, "LOCK.BREAK")
    }

    /// Who leads an election; nil when nobody does.
    public func leader(of name: String, namespace: String = "default") async throws(SynclineError) -> ElectionLeader? {
        let value = try await read(inNamespace(namespace, Command("ELECTION.LEADER", name)))
        if value.isNull { return nil }
        guard let session = value["session"]?.string, let token = value["token"] else {
            throw Reply.unexpected("ELECTION.LEADER")
        }
        var announced: [UInt8] = []
        if case .bulk(let bytes) = value["value"] { announced = Array(buffer: bytes) }
        return ElectionLeader(
            name: name,
            session: session,
            value: announced,
            token: try Reply.token(token, "ELECTION.LEADER")
        )
    }

    /// The open sessions of a namespace, one page at a time; see ``listLocks(prefix:namespace:cursor:limit:)``.
    public func listSessions(
        namespace: String = "default",
        cursor: UInt64 = 0,
        limit: Int = 100
    ) async throws(SynclineError) -> (sessions: [SessionInfo], cursor: UInt64) {
        let value = try await read(
            inNamespace(namespace, Command("SESSION.LIST", "CURSOR", "\(cursor)", "COUNT", "\(limit)"))
        )
        guard let items = value["sessions"]?.elements, let next = value["cursor"] else {
            throw Reply.unexpected("SESSION.LIST")
        }
        var sessions: [SessionInfo] = []
        for item in items { sessions.append(try Reply.sessionInfo(item)) }
        return (sessions, try Reply.token(next, "SESSION.LIST"))
    }

    private func inNamespace(_ namespace: String, _ command: Command) -> Command {
        var command = command
        if namespace != "default" { command.append("NAMESPACE", namespace) }
        return command
    }
}
