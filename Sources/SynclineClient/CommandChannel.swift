// SPDX-License-Identifier: Apache-2.0
import NIOCore
import RESP

/// Whether a command may be sent again when it is not known if the first sending was carried out.
enum Repeatable: Sendable {
    /// A read, or a change that carries an identity which makes a second sending harmless.
    case yes
    case no
}

/// An answer with the moments that leases are counted from.
struct TimedReply: Sendable {
    let value: RESPValue
    /// Before the first sending of the command.
    let firstSent: ContinuousClock.Instant
    /// Before the sending that was answered.
    let lastSent: ContinuousClock.Instant
}

/// One pipelined connection for commands that are answered at once, moved to another node when it breaks.
///
/// Not for commands that wait: answers come in order, and one wait would hold up everything behind it.
actor CommandChannel {
    private let selector: EndpointSelector
    private let attemptTimeout: Duration
    private var connection: Connection?
    private var connecting: (task: Task<Connection, any Error>, deadline: ContinuousClock.Instant)?
    private var isClosed = false

    init(selector: EndpointSelector, attemptTimeout: Duration) {
        self.selector = selector
        self.attemptTimeout = attemptTimeout
    }

    /// Sends until it is answered or the deadline has passed. Refusals are thrown; so are failures, with their outcome:
    /// once a sending may have been carried out, only an answer can say that the command was not.
    ///
    /// - Parameter doubtful: a refusal that the command's own first sending may have brought about.
    func call(
        _ command: Command,
        repeatable: Repeatable = .yes,
        deadline: ContinuousClock.Instant,
        attempt: Duration? = nil,
        doubtful: SynclineError.Code? = nil
    ) async throws(SynclineError) -> TimedReply {
        let bytes = command.encoded()
        // Set with the first sending that may have been carried out.
        var firstSent: ContinuousClock.Instant?
        var lastError: SynclineError?
        var round = 0
        while true {
            let connection: Connection
            do throws(SynclineError) {
                connection = try await readyConnection(round: round, deadline: deadline, after: lastError)
            } catch {
                throw error.after(unknownSending: firstSent != nil)
            }
            let sent = ContinuousClock.now
            do {
                let timeout = min(attempt ?? attemptTimeout, max(sent.duration(to: deadline), .milliseconds(1)))
                let value = try await connection.send(bytes, timeout: timeout)
                guard case .error(let text) = value else {
                    return TimedReply(value: value, firstSent: firstSent ?? sent, lastSent: sent)
                }
                let error = SynclineError(serverText: text)
                let mayRepeat = error.outcome == .notDone || repeatable == .yes
                guard error.isTransient, mayRepeat else {
                    throw error.after(unknownSending: firstSent != nil, doubtful: doubtful)
                }
                if error.outcome == .unknown { firstSent = firstSent ?? sent }
                lastError = error
            } catch let error as SynclineError {
                throw error
            } catch {
                let failure = error as? ConnectionFailure ?? .sent("\(error)")
                drop(connection)
                let report = SynclineError(
                    code: .timeout,
                    message: "\(connection.endpoint): \(failure.message)",
                    outcome: failure.wasSent ? .unknown : .notDone
                )
                if failure.wasSent {
                    firstSent = firstSent ?? sent
                    guard repeatable == .yes else { throw report }
                }
                lastError = report
            }
            round += 1
        }
    }

    /// Sends commands in their order, all of them before the first is answered, until each is answered or the deadline
    /// has passed. When the connection breaks, those without an answer go to the next one, again in their order; so
    /// every command must be one that can be sent again without a second effect.
    func callInOrder(
        _ commands: [Command],
        deadline: ContinuousClock.Instant
    ) async -> [Result<RESPValue, SynclineError>] {
        let encoded = commands.map { $0.encoded() }
        var results = [Result<RESPValue, SynclineError>?](repeating: nil, count: encoded.count)
        var wasSent = [Bool](repeating: false, count: encoded.count)
        var lastError: SynclineError?
        var round = 0
        while true {
            let open = encoded.indices.filter { results[$0] == nil }
            guard !open.isEmpty else { break }
            let connection: Connection
            do throws(SynclineError) {
                connection = try await readyConnection(round: round, deadline: deadline, after: lastError)
            } catch {
                for index in open { results[index] = .failure(error.after(unknownSending: wasSent[index])) }
                break
            }
            let timeout = min(attemptTimeout, max(ContinuousClock.now.duration(to: deadline), .milliseconds(1)))
            let answers = open.map { connection.enqueue(encoded[$0], timeout: timeout) }
            for (index, answer) in zip(open, answers) {
                do {
                    let value = try await answer.get()
                    guard case .error(let text) = value else {
                        results[index] = .success(value)
                        continue
                    }
                    let error = SynclineError(serverText: text)
                    if error.isTransient {
                        if error.outcome == .unknown { wasSent[index] = true }
                        lastError = error
                    } else {
                        results[index] = .failure(error.after(unknownSending: wasSent[index]))
                    }
                } catch {
                    let failure = error as? ConnectionFailure ?? .sent("\(error)")
                    if failure.wasSent { wasSent[index] = true }
                    lastError = SynclineError(code: .timeout, message: "\(connection.endpoint): \(failure.message)")
                    drop(connection)
                }
            }
            round += 1
        }
        return results.compactMap { $0 }
    }

    func close() {
        isClosed = true
        connecting?.task.cancel()
        connection?.close()
        connection = nil
    }

    /// A connection for the next attempt, after a pause when one has failed before.
    private func readyConnection(
        round: Int,
        deadline: ContinuousClock.Instant,
        after lastError: SynclineError?
    ) async throws(SynclineError) -> Connection {
        if round > 1 || (round == 1 && connection?.isOpen == true) {
            try await Backoff.pause(round: round, deadline: deadline)
        }
        guard ContinuousClock.now < deadline else {
            throw lastError ?? SynclineError(code: .timeout, message: "no answer within the deadline")
        }
        return try await connect(deadline: deadline)
    }

    /// The connection in use; callers that find none share one attempt to make one.
    private func connect(deadline: ContinuousClock.Instant) async throws(SynclineError) -> Connection {
        while true {
            guard !isClosed else { throw SynclineError(code: .closed, message: "the client is closed") }
            if let connection, connection.isOpen { return connection }
            let attempt: (task: Task<Connection, any Error>, deadline: ContinuousClock.Instant)
            if let connecting {
                attempt = connecting
            } else {
                let selector = selector
                attempt = (Task { try await selector.connect(deadline: deadline) }, deadline)
                connecting = attempt
            }
            let result = await attempt.task.result
            if connecting?.task == attempt.task {
                connecting = nil
                if case .success(let fresh) = result {
                    if isClosed { fresh.close() } else { connection = fresh }
                }
            }
            let now = ContinuousClock.now
            if case .failure(let error) = result, now >= deadline || now < attempt.deadline || isClosed {
                throw error as? SynclineError ?? SynclineError(code: .unreachable, message: "\(error)")
            }
            // An attempt of a caller with a nearer deadline has failed for that reason alone: go round again.
        }
    }

    private func drop(_ broken: Connection) {
        broken.close()
        selector.avoid(broken.endpoint)
        if connection === broken { connection = nil }
    }
}

extension SynclineError {
    /// A node's error line: its first word is the code.
    init(serverText: String) {
        let parts = serverText.split(separator: " ", maxSplits: 1)
        let code = Code(rawValue: parts.first.map(String.init) ?? "ERR")
        let message = parts.count > 1 ? String(parts[1]) : serverText
        self.init(
            code: code,
            message: message,
            outcome: code == .unknownOutcome || code == .partlyDone ? .unknown : .notDone,
            cycle: code == .deadlock ? DeadlockEdge.cycle(inServerText: message) : []
        )
    }

    /// Worth another try, perhaps at another node.
    var isTransient: Bool { [.unavailable, .unknownOutcome, .busy].contains(code) }

    /// Says what became of a request that has failed like this, when an earlier sending of it may have been carried
    /// out: that is unknown, unless this is an answer to the request itself. That its number is forgotten is none, nor
    /// is what the sending before may have brought about itself.
    func after(unknownSending isUnknown: Bool, doubtful: Code? = nil) -> SynclineError {
        guard isUnknown, outcome == .notDone, !isVerdict || code == doubtful else { return self }
        return SynclineError(code: code, message: message, outcome: .unknown, cycle: cycle)
    }

    /// A node has decided on the request.
    private var isVerdict: Bool {
        !isTransient && ![.timeout, .unreachable, .cancelled, .closed, .staleSequence].contains(code)
    }
}

extension SynclineError.Code {
    /// The node lost sight of the request.
    static let unknownOutcome = SynclineError.Code(rawValue: "UNKNOWN")
}
