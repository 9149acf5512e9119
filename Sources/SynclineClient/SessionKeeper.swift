// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Keeps one session alive, watches its deadline and tells everyone who listens.
final class SessionKeeper: Sendable {
    private struct State {
        var lease: SessionLease
        var listeners: [UInt64: AsyncStream<SessionState>.Continuation] = [:]
        var waits: [ObjectIdentifier: WaitHandle] = [:]
        var nextListener: UInt64 = 0
        var sequence: UInt64 = 0
    }

    let id: String
    private let renewals: CommandChannel
    private let state: Mutex<State>

    init(id: String, lease: SessionLease, renewals: CommandChannel) {
        self.id = id
        self.renewals = renewals
        self.state = Mutex(State(lease: lease))
    }

    var lease: SessionLease { state.withLock { $0.lease } }

    /// A number for the next change: a second sending under the same number has no second effect.
    func nextSequence() -> UInt64 {
        state.withLock { state in
            state.sequence += 1
            return state.sequence
        }
    }

    /// The state now and every later one; ends after the session is lost.
    func states() -> AsyncStream<SessionState> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: SessionState.self,
            bufferingPolicy: .bufferingNewest(16)
        )
        state.withLock { state in
            continuation.yield(state.lease.state)
            guard !state.lease.state.isLost else { return continuation.finish() }
            let number = state.nextListener
            state.nextListener += 1
            state.listeners[number] = continuation
            continuation.onTermination = { [weak self] _ in
                self?.state.withLock { _ = $0.listeners.removeValue(forKey: number) }
            }
        }
        return stream
    }

    /// Registers a wait to be stopped when the session is lost; nil when it is lost already.
    func beginWait() -> WaitHandle? {
        state.withLock { state in
            guard !state.lease.state.isLost else { return nil }
            let handle = WaitHandle()
            state.waits[ObjectIdentifier(handle)] = handle
            return handle
        }
    }

    func endWait(_ handle: WaitHandle) {
        state.withLock { _ = $0.waits.removeValue(forKey: ObjectIdentifier(handle)) }
    }

    /// Renews and watches until the session is lost or the task is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.watch() }
            group.addTask { await self.renew() }
            await group.next()
            group.cancelAll()
        }
    }

    func end(_ cause: SessionState.Cause) { change { $0.end(cause) } }

    private func renew() async {
        while !Task.isCancelled {
            let lease = lease
            guard !lease.state.isLost else { return }
            do {
                try await Task.sleep(until: lease.renewal, clock: .continuous)
                let reply = try await renewals.call(
                    Command("SESSION.RENEW", id),
                    deadline: lease.deadline,
                    attempt: lease.attemptTimeout
                )
                let granted = Duration.milliseconds(try Reply.count(reply.value, "SESSION.RENEW"))
                change { $0.renewed(sent: reply.lastSent, ttl: granted) }
            } catch let error as SynclineError where error.code == .noSession {
                end(.ended(error.message))
            } catch {
                // Not answered: until the deadline there is time to try again, after it the watch ends the session.
                try? await Task.sleep(for: min(lease.attemptTimeout, .milliseconds(100)))
            }
        }
    }

    private func watch() async {
        while let next = lease.nextChange {
            do {
                try await Task.sleep(until: next, clock: .continuous)
            } catch {
                return
            }
            change { $0.advance(to: .now) }
        }
    }

    private func change(_ body: (inout SessionLease) -> Bool) {
        let (waits, finished) = state.withLock { state -> ([WaitHandle], [AsyncStream<SessionState>.Continuation]) in
            guard body(&state.lease) else { return ([], []) }
            for listener in state.listeners.values { listener.yield(state.lease.state) }
            guard state.lease.state.isLost else { return ([], []) }
            defer {
                state.listeners = [:]
                state.waits = [:]
            }
            return (Array(state.waits.values), Array(state.listeners.values))
        }
        for listener in finished { listener.finish() }
        for wait in waits { wait.stop(.sessionLost) }
    }
}
