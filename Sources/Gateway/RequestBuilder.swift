// SPDX-License-Identifier: Apache-2.0
package import LockCore
import Primitives
import RaftCore
package import Replica

/// Turns what a client said into a `Request`, or says what is wrong with it. Shared by the front ends, so that they
/// cannot differ in what they accept.
package enum RequestBuilder {
    package static func openSession(
        id: String?,
        namespace: String?,
        ttl: Int64?,
        label: String?,
        owner: String?,
        lockDelay: Int64?,
        defaultTTL: UInt64 = RequestLimits.defaultTTL
    ) throws(BadRequest) -> Request {
        let session = try newSessionID(id: id, namespace: namespace)
        let ttl = try ttl.map { value throws(BadRequest) in try number(value, .ttl, RequestLimits.ttl) } ?? defaultTTL
        return .command(
            .openSession(
                OpenSession(
                    id: session,
                    ttlMilliseconds: ttl,
                    label: try text(label ?? "", .label, limit: RequestLimits.labelBytes),
                    owner: try text(owner ?? "", .owner, limit: RequestLimits.ownerBytes),
                    lockDelayMilliseconds: try number(lockDelay ?? 0, .lockDelay, RequestLimits.lockDelay)
                )
            )
        )
    }

    package static func renewSession(_ id: String) throws(BadRequest) -> Request {
        .renew(try sessionID(id, .id))
    }

    package static func closeSession(_ id: String) throws(BadRequest) -> Request {
        .command(.closeSession(try sessionID(id, .id)))
    }

    package static func session(_ id: String) throws(BadRequest) -> Request {
        .query(.session(try sessionID(id, .id)), .readIndex)
    }

    package static func sessions(namespace: String?, cursor: Int64?, count: Int64?) throws(BadRequest) -> Request {
        .query(
            .sessions(
                namespace: try self.namespace(namespace),
                cursor: try number(cursor ?? 0, .cursor, RequestLimits.cursor),
                limit: try limit(count)
            ),
            .readIndex
        )
    }

    package static func acquire(
        name: String,
        session: String?,
        mode: LockMode?,
        wait: Wait?,
        priority: Int64?,
        sequence: Int64?
    ) throws(BadRequest) -> Request {
        .command(
            .acquire(
                Acquire(
                    session: try requiredSession(session),
                    items: [AcquireItem(name: try self.name(name), mode: mode ?? .exclusive)],
                    wait: wait ?? .none,
                    priority: try self.priority(priority),
                    sequence: try self.sequence(sequence)
                )
            )
        )
    }

    package static func acquireAll(
        items: [(name: String, mode: LockMode)],
        session: String?,
        wait: Wait?,
        priority: Int64?,
        sequence: Int64?
    ) throws(BadRequest) -> Request {
        guard !items.isEmpty else { throw .missing(.locks) }
        guard items.count <= RequestLimits.locks else { throw .tooMany(.locks, limit: RequestLimits.locks) }
        var checked: [AcquireItem] = []
        for item in items {
            let name = try self.name(item.name)
            if checked.contains(where: { $0.name == name }) {
                throw .notAllowed(.locks, reason: "'\(name)' is named twice")
            }
            checked.append(AcquireItem(name: name, mode: item.mode))
        }
        return .command(
            .acquire(
                Acquire(
                    session: try requiredSession(session),
                    items: checked,
                    wait: wait ?? .none,
                    priority: try self.priority(priority),
                    sequence: try self.sequence(sequence)
                )
            )
        )
    }

    package static func convert(
        name: String,
        session: String?,
        mode: LockMode?,
        wait: Wait?,
        sequence: Int64?
    ) throws(BadRequest) -> Request {
        guard let mode else { throw .missing(.mode) }
        return .command(
            .convert(
                Convert(
                    session: try requiredSession(session),
                    name: try self.name(name),
                    mode: mode,
                    wait: wait ?? .none,
                    sequence: try self.sequence(sequence)
                )
            )
        )
    }

    package static func release(
        _ kind: ObjectKind,
        name: String,
        session: String?,
        permits: Int64? = nil,
        sequence: Int64?
    ) throws(BadRequest) -> Request {
        .command(
            .release(
                Release(
                    session: try requiredSession(session),
                    kind: kind,
                    name: try self.name(name),
                    permits: try number(permits ?? 1, .permits, RequestLimits.permits),
                    sequence: try self.sequence(sequence)
                )
            )
        )
    }

    package static func acquireSemaphore(
        name: String,
        session: String?,
        limit: Int64?,
        permits: Int64?,
        wait: Wait?,
        sequence: Int64?
    ) throws(BadRequest) -> Request {
        guard let limit else { throw .missing(.limit) }
        let size = try number(limit, .limit, RequestLimits.permits)
        let wanted = try number(permits ?? 1, .permits, RequestLimits.permits)
        guard wanted <= size else { throw .outOfRange(.permits, low: 1, high: limit) }
        return .command(
            .acquire(
                Acquire(
                    session: try requiredSession(session),
                    kind: .semaphore,
                    items: [AcquireItem(name: try self.name(name), mode: .exclusive)],
                    wait: wait ?? .none,
                    permits: wanted,
                    limit: size,
                    sequence: try self.sequence(sequence)
                )
            )
        )
    }

    package static func campaign(
        name: String,
        session: String?,
        value: [UInt8]?,
        wait: Wait?,
        sequence: Int64?
    ) throws(BadRequest) -> Request {
        guard let value else { throw .missing(.value) }
        guard value.count <= RequestLimits.valueBytes else { throw .tooLong(.value, limit: RequestLimits.valueBytes) }
        return .command(
            .acquire(
                Acquire(
                    session: try requiredSession(session),
                    kind: .election,
                    items: [AcquireItem(name: try self.name(name), mode: .exclusive)],
                    wait: wait ?? .none,
                    value: value,
                    sequence: try self.sequence(sequence)
                )
            )
        )
    }

    package static func breakLock(name: String, namespace: String?, reason: String?) throws(BadRequest) -> Request {
        guard let reason else { throw .missing(.reason) }
        guard !reason.isEmpty else { throw .empty(.reason) }
        return .command(
            .breakLock(
                namespace: try self.namespace(namespace),
                name: try self.name(name),
                reason: try text(reason, .reason, limit: RequestLimits.reasonBytes)
            )
        )
    }

    package static func object(name: String, namespace: String?) throws(BadRequest) -> Request {
        .query(.object(namespace: try self.namespace(namespace), name: try self.name(name)), .readIndex)
    }

    package static func list(
        namespace: String?,
        prefix: String?,
        cursor: Int64?,
        count: Int64?
    ) throws(BadRequest) -> Request {
        .query(
            .list(
                namespace: try self.namespace(namespace),
                prefix: try text(prefix ?? "", .prefix, limit: RequestLimits.nameBytes),
                cursor: try number(cursor ?? 0, .cursor, RequestLimits.cursor),
                limit: try limit(count)
            ),
            .readIndex
        )
    }

    package static func check(name: String, namespace: String?, token: Int64?) throws(BadRequest) -> Request {
        guard let token else { throw .missing(.token) }
        return .query(
            .check(
                namespace: try self.namespace(namespace),
                name: try self.name(name),
                token: try number(token, .token, RequestLimits.token)
            ),
            .readIndex
        )
    }

    package static func electionLeader(name: String, namespace: String?) throws(BadRequest) -> Request {
        .query(.electionLeader(namespace: try self.namespace(namespace), name: try self.name(name)), .readIndex)
    }
}
