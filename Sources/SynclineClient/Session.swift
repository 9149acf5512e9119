// SPDX-License-Identifier: Apache-2.0
import RESP

/// A lease in a lock namespace that owns locks, permits and elections, kept alive in the background.
///
/// It lives until ``close()``, until this object is let go, or until the cluster has not heard from it for its time to
/// live; what it held is then free for others. Follow ``states``, or let ``withLock(_:mode:wait:priority:_:)`` do it.
///
/// A session is safe to use from many tasks. Locks belong to the session and not to a task: two tasks that acquire the
/// same lock through one session both have it.
public final class Session: Sendable {
    /// The id, its namespace included.
    public let id: String
    /// What every request of this session names.
    let keeper: SessionKeeper
    let client: SynclineClient
    private let task: Task<Void, Never>

    init(id: String, client: SynclineClient, lease: SessionLease, renewals: CommandChannel) {
        self.id = id
        self.client = client
        let keeper = SessionKeeper(id: id, lease: lease, renewals: renewals)
        self.keeper = keeper
        self.task = Task { await keeper.run() }
    }

    deinit { task.cancel() }

    /// Time to live that the cluster grants with each renewal.
    public var ttl: Duration { keeper.lease.ttl }

    /// What is known now.
    public var state: SessionState { keeper.lease.state }

    /// When the session must be taken for lost unless a renewal is answered before: nine tenths of the time to live
    /// after the sending of the last renewal that was answered.
    public var deadline: ContinuousClock.Instant { keeper.lease.deadline }

    /// The state now, then each change of it; ends after ``SessionState/lost(_:)``.
    public var states: AsyncStream<SessionState> { keeper.states() }

    /// Ends the session and releases everything it holds.
    ///
    /// - Returns: how many locks, permits and elections were released.
    /// - Throws: ``SynclineError``; whatever became of the request, renewals have stopped and the session will expire.
    @discardableResult
    public func close() async throws(SynclineError) -> Int {
        task.cancel()
        keeper.end(.closed)
        do throws(SynclineError) {
            let reply = try await client.commands.call(Command("SESSION.CLOSE", id), deadline: client.requestDeadline)
            return try Reply.count(reply.value, "SESSION.CLOSE")
        } catch {
            // An earlier sending whose answer was lost has closed it, or it had expired: either way it is gone.
            if error.code == .noSession { return 0 }
            throw error
        }
    }

    /// A change that does not wait, sent under one sequence number however often it has to be sent.
    func change(_ make: (UInt64) -> Command) async throws(SynclineError) -> RESPValue {
        if state.isLost { throw lostError() }
        let command = make(keeper.nextSequence())
        return try await client.commands.call(command, deadline: client.requestDeadline).value
    }

    func lostError() -> SynclineError {
        guard case .lost(let cause) = state else {
            return SynclineError(code: .sessionLost, message: "session \(id) is lost")
        }
        switch cause {
        case .expired:
            return SynclineError(
                code: .sessionLost,
                message: "session \(id) is lost: no renewal was answered within \(ttl)",
                outcome: .unknown
            )
        case .ended(let reason):
            return SynclineError(code: .sessionLost, message: "session \(id) is lost: \(reason)", outcome: .unknown)
        case .closed: return SynclineError(code: .closed, message: "session \(id) is closed")
        }
    }
}
