// SPDX-License-Identifier: Apache-2.0
import RESP

/// Commands that wait at the server, each on a connection of its own.
extension SynclineClient {
    /// Sends a command until a node answers it, with what is left of the wait each time. Refusals are thrown, transient
    /// ones when no node does better in time.
    ///
    /// For commands that can be sent again without harm: a receive that got lost gives its messages back, or their
    /// leases run out. Stopping `handle` closes the connection, which takes the command out of the line.
    ///
    /// - Parameter recover: called before a command is sent again that may have been carried out.
    func wait(
        _ wait: Duration,
        _ handle: WaitHandle,
        recover: (@Sendable () async throws(SynclineError) -> Void)? = nil,
        _ make: @Sendable (RemainingWait) -> Command
    ) async throws(SynclineError) -> RESPValue {
        let deadline = ContinuousClock.now + wait
        let limit = deadline + configuration.requestTimeout
        var isUnknown = false
        var round = 0
        while true {
            if handle.end != nil { throw Self.cancelled(after: isUnknown) }
            guard ContinuousClock.now <= limit else {
                throw SynclineError(code: .timeout, message: "no answer within the deadline", outcome: .unknown)
            }
            if isUnknown, let recover { try await recover() }
            let connection: Connection
            do throws(SynclineError) {
                guard let fresh = try await checkOut(round: round, deadline: limit, handle) else { continue }
                connection = fresh
            } catch {
                if handle.end != nil { continue }
                throw error.after(unknownSending: isUnknown)
            }
            guard handle.attach(connection) else {
                waiting.checkIn(connection)
                continue
            }
            let remaining = max(.zero, ContinuousClock.now.duration(to: deadline))
            let answer = await send(make(.milliseconds(remaining.wholeMilliseconds)), on: connection, wait: remaining)
            handle.detach()
            switch answer {
            case .success(.error(let text)):
                waiting.checkIn(connection)
                let error = SynclineError(serverText: text)
                // The server may take a connection that broke for a client that has gone.
                guard error.isTransient || error.code == .cancelled else { throw error }
                if ContinuousClock.now >= limit { throw error.after(unknownSending: isUnknown) }
                if error.outcome == .unknown { isUnknown = true }
            case .success(let value):
                waiting.checkIn(connection)
                return value
            case .failure(let failure):
                waiting.discard(connection)
                if failure.wasSent { isUnknown = true }
                if handle.end == nil { waiting.avoid(connection.endpoint) }
            }
            round += 1
        }
    }

    private static func cancelled(after isUnknown: Bool) -> SynclineError {
        SynclineError(
            code: .cancelled,
            message: "the task was cancelled",
            outcome: isUnknown ? .unknown : .notDone
        )
    }

    /// A connection to wait on, after a pause if this is not the first attempt. Nil as soon as the wait is ended: what
    /// comes of the connecting is kept for others.
    func checkOut(
        round: Int,
        deadline: ContinuousClock.Instant,
        _ handle: WaitHandle
    ) async throws(SynclineError) -> Connection? {
        let waiting = waiting
        let (results, source) = AsyncStream.makeStream(of: Result<Connection, SynclineError>.self)
        let attempt = Task {
            do throws(SynclineError) {
                if round > 0 { try await Backoff.pause(round: round, deadline: .now + .seconds(1)) }
                let connection = try await waiting.checkOut(deadline: deadline)
                if case .terminated = source.yield(.success(connection)) { waiting.checkIn(connection) }
            } catch {
                source.yield(.failure(error))
            }
            source.finish()
        }
        let isBegun = handle.connecting {
            source.finish()
            attempt.cancel()
        }
        if !isBegun {
            source.finish()
            attempt.cancel()
        }
        defer { handle.detach() }
        for await result in results { return try result.get() }
        attempt.cancel()
        return nil
    }

    /// Sends a command that may wait for `wait` (nil: for ever) on a connection that nothing else uses.
    func send(
        _ command: Command,
        on connection: Connection,
        wait: Duration?
    ) async -> Result<RESPValue, ConnectionFailure> {
        // A node that hangs keeps its connections open; a fresh connection to it shows whether it still answers.
        let interval = configuration.probeInterval
        let probe = Task {
            while !Task.isCancelled {
                try await Task.sleep(for: interval)
                if await !LivenessProbe.answers(connection.endpoint, within: .seconds(2)) { return connection.close() }
            }
        }
        defer { probe.cancel() }
        do {
            let timeout = wait.map { $0 + configuration.requestTimeout }
            return .success(try await connection.send(command.encoded(), timeout: timeout))
        } catch {
            return .failure(error as? ConnectionFailure ?? .sent("\(error)"))
        }
    }
}
