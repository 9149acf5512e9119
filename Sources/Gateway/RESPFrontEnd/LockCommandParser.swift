// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import RESP
import Replica

/// Builds requests from the arguments of the commands that go to the cluster.
enum LockCommandParser {
    /// Nil for commands that the connection answers itself.
    static func request(_ id: CommandID, _ arguments: RESPArguments, defaultTTL: UInt64) throws(BadRequest) -> Request?
    {
        switch id {
        case .lockAcquire: return try acquire(arguments)
        case .lockRelease: return try release(.lock, arguments, .release)
        case .sessionRenew: return try RequestBuilder.renewSession(Argument.text(arguments[1], .id))
        case .lockAcquireAll: return try acquireAll(arguments)
        case .lockConvert:
            let options = try CommandOptions(arguments, from: 2, .convert)
            return try RequestBuilder.convert(
                name: name(arguments),
                session: options.session,
                mode: options.mode,
                wait: options.wait,
                sequence: options.sequence
            )
        case .sessionOpen:
            let options = try CommandOptions(arguments, from: 1, .open)
            return try RequestBuilder.openSession(
                id: options.id,
                namespace: options.namespace,
                ttl: options.ttl,
                label: options.label,
                owner: options.owner,
                lockDelay: options.lockDelay,
                defaultTTL: defaultTTL
            )
        case .sessionClose: return try RequestBuilder.closeSession(Argument.text(arguments[1], .id))
        case .sessionInfo: return try RequestBuilder.session(Argument.text(arguments[1], .id))
        case .sessionList:
            let options = try CommandOptions(arguments, from: 1, .sessionPage)
            return try RequestBuilder.sessions(
                namespace: options.namespace,
                cursor: options.cursor,
                count: options.count
            )
        case .lockInfo:
            let options = try CommandOptions(arguments, from: 2, .namespace)
            return try RequestBuilder.object(name: name(arguments), namespace: options.namespace)
        case .lockList:
            let options = try CommandOptions(arguments, from: 1, .page)
            return try RequestBuilder.list(
                namespace: options.namespace,
                prefix: options.prefix,
                cursor: options.cursor,
                count: options.count
            )
        case .lockCheck:
            let options = try CommandOptions(arguments, from: 2, .check)
            return try RequestBuilder.check(
                name: name(arguments),
                namespace: options.namespace,
                token: options.token
            )
        case .lockBreak:
            let options = try CommandOptions(arguments, from: 2, .breaking)
            return try RequestBuilder.breakLock(
                name: name(arguments),
                namespace: options.namespace,
                reason: options.reason
            )
        case .semaphoreAcquire, .semaphoreRelease, .electionCampaign, .electionLeader, .electionResign:
            return try other(id, arguments)
        default: return nil
        }
    }

    private static func name(_ arguments: RESPArguments) throws(BadRequest) -> String {
        try Argument.text(arguments[1], .name)
    }

    private static func acquire(_ arguments: RESPArguments) throws(BadRequest) -> Request {
        let options = try CommandOptions(arguments, from: 2, .acquire)
        return try RequestBuilder.acquire(
            name: name(arguments),
            session: options.session,
            mode: options.mode,
            wait: options.wait,
            priority: options.priority,
            sequence: options.sequence
        )
    }

    /// Options come first, then pairs: a lock may well be named like an option.
    private static func acquireAll(_ arguments: RESPArguments) throws(BadRequest) -> Request {
        var options = CommandOptions()
        var index = try options.readPrefix(arguments, from: 1, .acquireAll)
        guard (arguments.count - index).isMultiple(of: 2) else { throw .missingValue(.locks) }
        guard (arguments.count - index) / 2 <= RequestLimits.locks else {
            throw .tooMany(.locks, limit: RequestLimits.locks)
        }
        var items: [(name: String, mode: LockMode)] = []
        while index < arguments.count {
            items.append((try Argument.text(arguments[index], .name), try Argument.mode(arguments[index + 1])))
            index += 2
        }
        return try RequestBuilder.acquireAll(
            items: items,
            session: options.session,
            wait: options.wait,
            priority: options.priority,
            sequence: options.sequence
        )
    }

    private static func release(
        _ kind: ObjectKind,
        _ arguments: RESPArguments,
        _ allowed: CommandOptions.Allowed
    ) throws(BadRequest) -> Request {
        let options = try CommandOptions(arguments, from: 2, allowed)
        return try RequestBuilder.release(
            kind,
            name: name(arguments),
            session: options.session,
            permits: options.permits,
            sequence: options.sequence
        )
    }

    private static func other(_ id: CommandID, _ arguments: RESPArguments) throws(BadRequest) -> Request? {
        switch id {
        case .semaphoreAcquire:
            let options = try CommandOptions(arguments, from: 2, .semaphoreAcquire)
            return try RequestBuilder.acquireSemaphore(
                name: name(arguments),
                session: options.session,
                limit: options.limit,
                permits: options.permits,
                wait: options.wait,
                sequence: options.sequence
            )
        case .semaphoreRelease: return try release(.semaphore, arguments, .semaphoreRelease)
        case .electionCampaign:
            let options = try CommandOptions(arguments, from: 2, .campaign)
            return try RequestBuilder.campaign(
                name: name(arguments),
                session: options.session,
                value: options.value,
                wait: options.wait,
                sequence: options.sequence
            )
        case .electionLeader:
            let options = try CommandOptions(arguments, from: 2, .namespace)
            return try RequestBuilder.electionLeader(name: name(arguments), namespace: options.namespace)
        case .electionResign: return try release(.election, arguments, .release)
        default: return nil
        }
    }
}
