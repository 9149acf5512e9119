// SPDX-License-Identifier: Apache-2.0
import RESP

extension Session {
    /// Acquires a lock, waiting in line for it if others hold it.
    ///
    /// A session that holds the lock in this mode already gets it again at once; it must then release it as often.
    /// Cancelling the task that waits takes it out of the line, and nothing is held afterwards.
    ///
    /// - Parameters:
    ///   - name: at most 512 bytes of UTF-8.
    ///   - mode: ``LockMode/exclusive`` unless said otherwise.
    ///   - wait: 30 seconds unless said otherwise.
    ///   - priority: when requests block each other in a circle, the lowest priority is the victim, then the youngest.
    /// - Throws: ``SynclineError`` with ``SynclineError/Code/notAcquired`` when it was not to be had in time,
    ///   ``SynclineError/Code/deadlock`` for the victim of a deadlock, and others.
    public func lock(
        _ name: String,
        mode: LockMode = .exclusive,
        wait: LockWait = .upTo(.seconds(30)),
        priority: Int64 = 0
    ) async throws(SynclineError) -> LockGrant {
        let reply = try await self.wait(wait, acquireRequest(name, mode: mode, priority: priority))
        guard !reply.isNull else {
            throw SynclineError(code: .notAcquired, message: "lock \(name) is held by others")
        }
        return LockGrant(name: name, mode: mode, token: try Reply.token(reply, "LOCK.ACQUIRE"), session: id)
    }

    /// Acquires a lock if it is free for this mode now.
    ///
    /// - Returns: nil when others hold it.
    public func tryLock(_ name: String, mode: LockMode = .exclusive) async throws(SynclineError) -> LockGrant? {
        do throws(SynclineError) {
            return try await lock(name, mode: mode, wait: .none)
        } catch {
            if error.code == .notAcquired { return nil }
            throw error
        }
    }

    /// Acquires several locks, all of them or none, with one wait for all.
    ///
    /// - Returns: the grants, in the order given.
    public func lockAll(
        _ locks: [(name: String, mode: LockMode)],
        wait: LockWait = .upTo(.seconds(30))
    ) async throws(SynclineError) -> [LockGrant] {
        guard !locks.isEmpty else { return [] }
        let id = id
        let items = locks
        let request = WaitingRequest(
            make: { wait, sequence in
                var command = Command("LOCK.ACQUIREALL", "SESSION", id)
                command.append(wait: wait)
                command.append("SEQ", "\(sequence)")
                for item in items { command.append(item.name, item.mode.rawValue.uppercased()) }
                return command
            },
            undo: {
                items.map { item in { Self.releaseCommand("LOCK.RELEASE", item.name, session: id, sequence: $0) } }
            }
        )
        let reply = try await self.wait(wait, request)
        guard !reply.isNull else {
            throw SynclineError(
                code: .notAcquired,
                message: "some of \(locks.map(\.name).joined(separator: ", ")) are held by others"
            )
        }
        guard let tokens = reply.elements, tokens.count == locks.count else {
            throw Reply.unexpected("LOCK.ACQUIREALL")
        }
        var grants: [LockGrant] = []
        for (item, token) in zip(locks, tokens) {
            let token = try Reply.token(token, "LOCK.ACQUIREALL")
            grants.append(LockGrant(name: item.name, mode: item.mode, token: token, session: id))
        }
        return grants
    }

    /// Changes the mode of a lock that this session holds, without letting it go in between.
    ///
    /// A weaker mode is had at once. A stronger one waits for the other holders; of two shared holders that both want
    /// to become exclusive the second is refused as a deadlock (use ``LockMode/update`` to avoid that).
    /// A cancelled conversion that was granted all the same is reported with the outcome `done`.
    public func convert(
        _ name: String,
        to mode: LockMode,
        wait: LockWait = .upTo(.seconds(30))
    ) async throws(SynclineError) -> LockGrant {
        let id = id
        let request = WaitingRequest(
            make: { wait, sequence in
                var command = Command("LOCK.CONVERT", name, "SESSION", id, "MODE", mode.rawValue.uppercased())
                command.append(wait: wait)
                command.append("SEQ", "\(sequence)")
                return command
            },
            undo: nil
        )
        let reply = try await self.wait(wait, request)
        guard !reply.isNull else {
            throw SynclineError(
                code: .notAcquired,
                message: "lock \(name) is held by others, so its mode stays as it was"
            )
        }
        return LockGrant(name: name, mode: mode, token: try Reply.token(reply, "LOCK.CONVERT"), session: id)
    }

    /// Gives a lock back.
    ///
    /// - Returns: how often this session still holds it; at 0 it is free for others.
    @discardableResult
    public func release(_ name: String) async throws(SynclineError) -> Int {
        let reply = try await change { Self.releaseCommand("LOCK.RELEASE", name, session: id, sequence: $0) }
        return try Reply.count(reply, "LOCK.RELEASE")
    }

    /// Runs `body` while holding a lock, and releases it afterwards however `body` ends.
    ///
    /// If the session is lost meanwhile, the task of `body` is cancelled and, once `body` has returned, an error with
    /// the code ``SynclineError/Code/sessionLost`` is thrown. Cancellation only asks: let what the lock protects check
    /// the fencing token.
    ///
    /// - Throws: ``SynclineError``, or what `body` throws.
    public func withLock<Value: Sendable>(
        _ name: String,
        mode: LockMode = .exclusive,
        wait: LockWait = .upTo(.seconds(30)),
        priority: Int64 = 0,
        _ body: @escaping @Sendable (LockGrant) async throws -> Value
    ) async throws -> Value {
        let grant = try await lock(name, mode: mode, wait: wait, priority: priority)
        let result = await whileLive { try await body(grant) }
        if state.isLost { throw lostError() }
        // Not under this task's cancellation: the lock is to be given back all the same.
        let released = await Task { () async -> SynclineError? in
            do throws(SynclineError) {
                try await self.release(name)
                return nil
            } catch {
                return error
            }
        }.value
        let value = try result.get()
        if let released { throw released }
        return value
    }

    /// Runs `body`; cancels it when the session is lost.
    private func whileLive<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) async -> Result<Value, any Error> {
        await withTaskGroup(of: Result<Value, any Error>?.self) { group in
            group.addTask {
                do { return .success(try await body()) } catch { return .failure(error) }
            }
            group.addTask { [keeper] in
                for await state in keeper.states() where state.isLost { break }
                return nil
            }
            while let finished = await group.next() {
                group.cancelAll()
                if let finished { return finished }
            }
            return .failure(CancellationError())
        }
    }

    private func acquireRequest(_ name: String, mode: LockMode, priority: Int64) -> WaitingRequest {
        let id = id
        return WaitingRequest(
            make: { wait, sequence in
                var command = Command("LOCK.ACQUIRE", name, "SESSION", id, "MODE", mode.rawValue.uppercased())
                command.append(wait: wait)
                if priority != 0 { command.append("PRIORITY", "\(priority)") }
                command.append("SEQ", "\(sequence)")
                return command
            },
            undo: { [{ Self.releaseCommand("LOCK.RELEASE", name, session: id, sequence: $0) }] }
        )
    }

    static func releaseCommand(_ verb: String, _ name: String, session: String, sequence: UInt64) -> Command {
        Command(verb, name, "SESSION", session, "SEQ", "\(sequence)")
    }
}
