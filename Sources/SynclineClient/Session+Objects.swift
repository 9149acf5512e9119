// SPDX-License-Identifier: Apache-2.0
import RESP

extension Session {
    // MARK: Semaphores

    /// Takes permits of a semaphore, waiting in line for them if there are too few.
    ///
    /// - Parameters:
    ///   - limit: the semaphore's size, the same from everyone who uses it while it is in use.
    ///   - permits: how many to take, 1 to `limit`.
    /// - Throws: ``SynclineError`` with ``SynclineError/Code/notAcquired`` when they were not to be had in time.
    public func acquirePermits(
        _ name: String,
        limit: Int,
        permits: Int = 1,
        wait: LockWait = .upTo(.seconds(30))
    ) async throws(SynclineError) -> SemaphoreGrant {
        let id = id
        let request = WaitingRequest(
            make: { wait, sequence in
                var command = Command(
                    "SEMAPHORE.ACQUIRE",
                    name,
                    "SESSION",
                    id,
                    "LIMIT",
                    "\(limit)",
                    "PERMITS",
                    "\(permits)"
                )
                command.append(wait: wait)
                command.append("SEQ", "\(sequence)")
                return command
            },
            undo: { [{ Self.releasePermitsCommand(name, permits, session: id, sequence: $0) }] }
        )
        let reply = try await self.wait(wait, request)
        guard !reply.isNull else {
            throw SynclineError(code: .notAcquired, message: "semaphore \(name) has fewer than \(permits) permits free")
        }
        return SemaphoreGrant(
            name: name,
            permits: permits,
            token: try Reply.token(reply, "SEMAPHORE.ACQUIRE"),
            session: id
        )
    }

    /// Gives permits back.
    ///
    /// - Returns: how many this session still holds.
    @discardableResult
    public func releasePermits(_ name: String, permits: Int = 1) async throws(SynclineError) -> Int {
        let reply = try await change { Self.releasePermitsCommand(name, permits, session: id, sequence: $0) }
        return try Reply.count(reply, "SEMAPHORE.RELEASE")
    }

    private static func releasePermitsCommand(_ name: String, _ permits: Int, session: String, sequence: UInt64)
        -> Command
    {
        Command("SEMAPHORE.RELEASE", name, "SESSION", session, "PERMITS", "\(permits)", "SEQ", "\(sequence)")
    }

    // MARK: Elections

    /// Stands for election and returns once this session leads.
    ///
    /// Candidates win in the order in which they came. The leader leads until it resigns or its session ends.
    ///
    /// - Parameter value: what ``SynclineClient/leader(of:namespace:)`` tells others, such as an address.
    /// - Throws: ``SynclineError`` with ``SynclineError/Code/notAcquired`` when another leads and the wait is over.
    public func campaign(
        _ name: String,
        value: [UInt8],
        wait: LockWait = .forever
    ) async throws(SynclineError) -> ElectionLeader {
        let id = id
        let request = WaitingRequest(
            make: { wait, sequence in
                var command = Command("ELECTION.CAMPAIGN", name, "SESSION", id, "VALUE")
                command.append(bytes: value)
                command.append(wait: wait)
                command.append("SEQ", "\(sequence)")
                return command
            },
            undo: { [{ Self.releaseCommand("ELECTION.RESIGN", name, session: id, sequence: $0) }] }
        )
        let reply = try await self.wait(wait, request)
        guard !reply.isNull else { throw SynclineError(code: .notAcquired, message: "another session leads \(name)") }
        return ElectionLeader(
            name: name,
            session: id,
            value: value,
            token: try Reply.token(reply, "ELECTION.CAMPAIGN")
        )
    }

    /// Gives the leadership up; the next candidate wins.
    public func resign(_ name: String) async throws(SynclineError) {
        _ = try await change { Self.releaseCommand("ELECTION.RESIGN", name, session: id, sequence: $0) }
    }
}
