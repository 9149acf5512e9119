// SPDX-License-Identifier: Apache-2.0
import NIOCore
import RESP

/// A command that may wait at the server: how to write it, and what takes its effect back.
struct WaitingRequest: Sendable {
    let make: @Sendable (RemainingWait, UInt64) -> Command
    /// Sent, each under a number of its own, when the request turns out to be granted after its caller has gone.
    /// Nil when a grant cannot be taken back.
    let undo: (@Sendable () -> [@Sendable (UInt64) -> Command])?
}

extension Session {
    /// Sends a request that may wait, on a connection of its own, and waits for the answer.
    ///
    /// When the connection breaks it is sent again elsewhere under the same number, which keeps its place in the line.
    /// Cancelling the task, or losing the session, closes the connection, which takes the request out of the line.
    func wait(_ wait: LockWait, _ request: WaitingRequest) async throws(SynclineError) -> RESPValue {
        guard wait != .none else { return try await change { request.make(.none, $0) } }
        guard let handle = keeper.beginWait() else { throw lostError() }
        defer { keeper.endWait(handle) }
        let result: Result<RESPValue, SynclineError> = await withTaskCancellationHandler {
            do throws(SynclineError) {
                return .success(try await attempts(wait, request, handle))
            } catch {
                return .failure(error)
            }
        } onCancel: {
            handle.stop(.cancelled)
        }
        return try result.get()
    }

    private func attempts(
        _ wait: LockWait,
        _ request: WaitingRequest,
        _ handle: WaitHandle
    ) async throws(SynclineError) -> RESPValue {
        var deadline: ContinuousClock.Instant?
        if case .upTo(let duration) = wait { deadline = .now + duration }
        var sequence = keeper.nextSequence()
        // A sending under this number may have been carried out.
        var isUnknown = false
        var round = 0
        while true {
            if let end = handle.end { throw await ended(end, request, isUnknown ? sequence : nil) }
            let limit = (deadline ?? .now) + client.configuration.requestTimeout
            let connection: Connection
            do throws(SynclineError) {
                guard ContinuousClock.now <= limit else {
                    throw SynclineError(code: .timeout, message: "no answer within the deadline")
                }
                guard let fresh = try await client.checkOut(round: round, deadline: limit, handle) else { continue }
                connection = fresh
            } catch {
                if handle.end != nil { continue }
                throw error.after(unknownSending: isUnknown)
            }
            guard handle.attach(connection) else {
                client.waiting.checkIn(connection)
                continue
            }
            let remaining = deadline.map { max(.zero, ContinuousClock.now.duration(to: $0)) }
            let rest: RemainingWait = remaining.map { .milliseconds($0.wholeMilliseconds) } ?? .forever
            let answer = await client.send(request.make(rest, sequence), on: connection, wait: remaining)
            handle.detach()
            switch answer {
            case .success(.error(let text)):
                client.waiting.checkIn(connection)
                let error = SynclineError(serverText: text)
                if error.code == .cancelled, handle.end == nil {
                    // The server took the broken connection of an earlier sending for a client that had gone: that
                    // request is over, so this is a new one.
                    sequence = keeper.nextSequence()
                    isUnknown = false
                } else if !error.isTransient {
                    throw error.code == .cancelled ? error : error.after(unknownSending: isUnknown)
                } else if error.outcome == .unknown {
                    isUnknown = true
                }
            case .success(let value):
                client.waiting.checkIn(connection)
                return value
            case .failure(let failure):
                client.waiting.discard(connection)
                if failure.wasSent { isUnknown = true }
                if handle.end == nil { client.waiting.avoid(connection.endpoint) }
            }
            round += 1
        }
    }

    /// What to report for a wait that was ended from outside, after making sure that nothing was granted behind it.
    /// - Parameter sequence: of a sending that may have been carried out, if there is one.
    private func ended(_ end: WaitHandle.End, _ request: WaitingRequest, _ sequence: UInt64?) async -> SynclineError {
        guard end == .cancelled else { return lostError().after(unknownSending: sequence != nil) }
        guard let sequence else { return SynclineError(code: .cancelled, message: "the task was cancelled") }
        // A task of its own, because this one is cancelled.
        let outcome = await Task { await settle(request, sequence) }.value
        return SynclineError(code: .cancelled, message: "the task was cancelled while it waited", outcome: outcome)
    }

    /// Asks under the same number what became of the request, and takes back a grant that came too late.
    private func settle(_ request: WaitingRequest, _ sequence: UInt64) async -> SynclineError.Outcome {
        let deadline = ContinuousClock.now + client.configuration.requestTimeout
        guard let reply = await question(request, sequence, deadline) else { return .unknown }
        if case .error(let text) = reply {
            let error = SynclineError(serverText: text)
            // The wait was cancelled at the server too: nothing came of it.
            return error.code == .cancelled ? .notDone : error.after(unknownSending: true).outcome
        }
        guard !reply.isNull else { return .notDone }
        guard let undo = request.undo else { return .done }
        for make in undo() {
            do throws(SynclineError) {
                _ = try await client.commands.call(make(keeper.nextSequence()), deadline: deadline)
            } catch {
                // Nothing is held either when there is no such session, or no such hold, any more.
                guard [.noSession, .sessionEnded, .notHeld].contains(error.code) else { return .unknown }
            }
        }
        return .notDone
    }

    /// Sends a request once more with next to no patience: it takes the place of the one still in line, if there is
    /// one, and so ends it. Nil when no node would tell.
    private func question(
        _ request: WaitingRequest,
        _ sequence: UInt64,
        _ deadline: ContinuousClock.Instant
    ) async -> RESPValue? {
        let command = request.make(.milliseconds(1), sequence)
        for _ in 0..<3 {
            guard let connection = try? await client.waiting.checkOut(deadline: deadline) else { return nil }
            switch await client.send(command, on: connection, wait: .milliseconds(1)) {
            case .success(let value):
                client.waiting.checkIn(connection)
                return value
            case .failure:
                client.waiting.discard(connection)
                client.waiting.avoid(connection.endpoint)
            }
        }
        return nil
    }
}
