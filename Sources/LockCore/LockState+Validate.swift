// SPDX-License-Identifier: Apache-2.0
import Primitives

extension LockState {
    /// Why a command can never be carried out, whatever the state; nil when it may be. Ask before proposing, so that
    /// nonsense does not reach the log; `apply` asks again, because the log is not to be trusted with that either.
    package func validate(_ command: LockCommand) -> Refusal? {
        switch command {
        case .openSession(let open): check(open)
        case .closeSession(let session): check(session)
        case .acquire(let acquire): check(acquire)
        case .convert(let convert):
            check(convert.session) ?? check(name: convert.name) ?? check(convert.wait)
                ?? check(sequence: convert.sequence)
        case .release(let release):
            check(release.session) ?? check(name: release.name) ?? check(sequence: release.sequence)
                ?? (release.kind == .semaphore ? check(permits: release.permits) : nil)
        case .breakLock(let namespace, let name, let reason):
            check(namespace: namespace) ?? check(name: name)
                ?? check(text: reason, "reason", limit: LockLimits.reasonBytes)
        case .abortWait(_, let cycle):
            cycle.count <= LockLimits.reportedCycle
                ? nil : .invalid("a cycle has at most \(LockLimits.reportedCycle) edges")
        case .cancel, .expireSession, .timeoutWait, .endLockDelay: nil
        }
    }

    private func check(_ open: OpenSession) -> Refusal? {
        if let refusal = check(open.id) { return refusal }
        let ttl = LockLimits.ttlMilliseconds
        guard ttl.contains(open.ttlMilliseconds) else {
            return .invalid("TTL must be \(ttl.lowerBound) to \(ttl.upperBound) milliseconds")
        }
        guard open.lockDelayMilliseconds <= LockLimits.lockDelayMilliseconds else {
            return .invalid("lock-delay must be at most \(LockLimits.lockDelayMilliseconds) milliseconds")
        }
        return check(text: open.label, "label", limit: LockLimits.labelBytes)
            ?? check(text: open.owner, "owner", limit: LockLimits.ownerBytes)
    }

    private func check(_ acquire: Acquire) -> Refusal? {
        if let refusal = check(acquire.session) ?? check(acquire.wait) ?? check(sequence: acquire.sequence) {
            return refusal
        }
        guard !acquire.items.isEmpty, acquire.items.count <= LockLimits.items else {
            return .invalid("an acquire names 1 to \(LockLimits.items) objects")
        }
        guard acquire.kind == .lock || acquire.items.count == 1 else {
            return .invalid("only locks can be acquired several at once")
        }
        guard acquire.value.count <= LockLimits.valueBytes else {
            return .invalid("value is longer than \(LockLimits.valueBytes) bytes")
        }
        for (position, item) in acquire.items.enumerated() {
            if let refusal = check(name: item.name) { return refusal }
            for other in acquire.items[..<position] where other.name == item.name {
                return .invalid("a name stands twice in one acquire")
            }
        }
        guard acquire.kind == .semaphore else { return nil }
        guard acquire.limit >= 1, acquire.limit <= LockLimits.semaphoreLimit else {
            return .invalid("a semaphore's limit must be 1 to \(LockLimits.semaphoreLimit)")
        }
        guard acquire.permits <= acquire.limit else { return .invalid("more permits wanted than the limit") }
        return check(permits: acquire.permits)
    }

    private func check(permits: UInt64) -> Refusal? {
        permits >= 1 && permits <= LockLimits.semaphoreLimit
            ? nil : .invalid("permits must be 1 to \(LockLimits.semaphoreLimit)")
    }

    private func check(_ wait: Wait) -> Refusal? {
        guard case .milliseconds(let count) = wait, count > LockLimits.waitMilliseconds else { return nil }
        return .invalid("a wait is at most \(LockLimits.waitMilliseconds) milliseconds")
    }

    private func check(sequence: UInt64?) -> Refusal? {
        sequence == 0 ? .invalid("sequence numbers start at 1") : nil
    }

    private func check(name: Name) -> Refusal? {
        (1...LockLimits.nameBytes).contains(name.byteCount)
            ? nil : .invalid("a name has 1 to \(LockLimits.nameBytes) bytes")
    }

    private func check(namespace: Name) -> Refusal? {
        guard (1...LockLimits.namespaceBytes).contains(namespace.byteCount) else {
            return .invalid("a namespace has 1 to \(LockLimits.namespaceBytes) bytes")
        }
        return namespace.text.utf8.contains(UInt8(ascii: "/")) ? .invalid("a namespace contains no slash") : nil
    }

    private func check(_ session: SessionID) -> Refusal? {
        guard (1...LockLimits.nameBytes).contains(session.name.byteCount) else {
            return .invalid("a session id has 1 to \(LockLimits.nameBytes) bytes")
        }
        guard let slash = session.name.text.utf8.firstIndex(of: UInt8(ascii: "/")) else { return nil }
        let prefix = session.name.text.utf8[..<slash].count
        guard (1...LockLimits.namespaceBytes).contains(prefix) else {
            return .invalid("a session id's namespace has 1 to \(LockLimits.namespaceBytes) bytes")
        }
        return prefix + 1 < session.name.byteCount ? nil : .invalid("a session id does not end with its first slash")
    }

    private func check(text: String, _ what: String, limit: Int) -> Refusal? {
        text.utf8.count <= limit ? nil : .invalid("\(what) is longer than \(limit) bytes")
    }
}
