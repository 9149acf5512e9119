// SPDX-License-Identifier: Apache-2.0
import NIOCore
import RESP
import Synchronization

/// Connections for commands that wait at the server, one command each: closing the connection ends the wait there.
final class WaitingConnections: Sendable {
    private struct State {
        var idle: [Connection] = []
        var isClosed = false
        var inUse = 0
    }

    private let selector: EndpointSelector
    private let state = Mutex(State())
    private let limit: Int

    static let idleLimit = 8

    init(selector: EndpointSelector, limit: Int) {
        self.selector = selector
        self.limit = limit
    }

    func checkOut(deadline: ContinuousClock.Instant) async throws(SynclineError) -> Connection {
        let idle = try state.withLock { state throws(SynclineError) -> Connection? in
            guard !state.isClosed else { throw SynclineError(code: .closed, message: "the client is closed") }
            guard state.inUse < limit else {
                throw SynclineError(code: .busy, message: "\(limit) requests of this client wait already")
            }
            state.inUse += 1
            while let connection = state.idle.popLast() {
                if connection.isOpen { return connection }
            }
            return nil
        }
        if let idle { return idle }
        do throws(SynclineError) {
            return try await selector.connect(deadline: deadline)
        } catch {
            state.withLock { $0.inUse -= 1 }
            throw error
        }
    }

    /// Takes back a connection whose command has been answered.
    func checkIn(_ connection: Connection) {
        let surplus = state.withLock { state in
            state.inUse -= 1
            guard connection.isOpen, !state.isClosed, state.idle.count < Self.idleLimit else { return true }
            state.idle.append(connection)
            return false
        }
        if surplus { connection.close() }
    }

    /// Ends a connection that broke or is no longer wanted.
    func discard(_ connection: Connection) {
        connection.close()
        state.withLock { $0.inUse -= 1 }
    }

    func avoid(_ endpoint: Endpoint) { selector.avoid(endpoint) }

    func close() {
        let idle = state.withLock { state in
            state.isClosed = true
            defer { state.idle = [] }
            return state.idle
        }
        for connection in idle { connection.close() }
    }
}

/// Stands for one wait, so that it can be ended from elsewhere: by cancellation, or because the session is lost.
final class WaitHandle: Sendable {
    enum End: Sendable {
        case cancelled
        case sessionLost
    }

    private struct State {
        /// Breaks off what the wait does now: connecting, or waiting on a connection.
        var interrupt: (@Sendable () -> Void)?
        var end: End?
    }

    private let state = Mutex(State())

    /// Why the wait was ended, if it was.
    var end: End? { state.withLock { $0.end } }

    func stop(_ end: End) {
        let interrupt = state.withLock { state in
            if state.end == nil { state.end = end }
            return state.interrupt
        }
        interrupt?()
    }

    /// The wait is on this connection now, which is closed when it is ended. False when it has been ended already.
    func attach(_ connection: Connection) -> Bool { interrupt { connection.close() } }

    /// The wait has no connection yet; `stop` is called when it is ended. False when it has been ended already.
    func connecting(_ stop: @escaping @Sendable () -> Void) -> Bool { interrupt(stop) }

    private func interrupt(_ interrupt: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { state in
            guard state.end == nil else { return false }
            state.interrupt = interrupt
            return true
        }
    }

    func detach() { state.withLock { $0.interrupt = nil } }
}
