// SPDX-License-Identifier: Apache-2.0
import RESP
import Synchronization

/// Something that happened to a watched lock.
public struct LockEvent: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        /// ``LockEvent/session`` has it now, under ``LockEvent/token``.
        case granted
        case released
        /// ``LockEvent/session`` joined the waiting line.
        case queued
        /// It was taken from its holders by force; ``LockEvent/reason`` says why.
        case broken
        /// A request for it was given up as a deadlock's victim; ``LockEvent/reason`` tells the cycle.
        case deadlock
        /// The connection broke, or its node no longer answered, and watching goes on at another node: events may be
        /// missing before this one.
        case resumed
        /// A kind that this version of the library does not know.
        case other(String)
    }

    public let kind: Kind
    public let namespace: String
    public let name: String
    public let session: String?
    public let mode: LockMode?
    public let token: UInt64?
    public let reason: String?
}

extension SynclineClient {
    /// Follows what happens to some locks, from now on.
    ///
    /// The sequence ends when its task is cancelled, and throws ``SynclineError`` when no node can be reached any more.
    /// It holds at most 1024 events for a reader that falls behind; the oldest are dropped beyond that.
    ///
    /// - Parameter names: 1 to 1024 names.
    public func watch(_ names: String..., namespace: String = "default") -> AsyncThrowingStream<LockEvent, any Error> {
        watch(names, namespace: namespace)
    }

    /// As ``watch(_:namespace:)-swift.method``, with the names in an array.
    public func watch(_ names: [String], namespace: String = "default") -> AsyncThrowingStream<LockEvent, any Error> {
        let (stream, continuation) = AsyncThrowingStream.makeStream(
            of: LockEvent.self,
            bufferingPolicy: .bufferingNewest(1024)
        )
        let task = Task {
            do {
                try await follow(names, namespace, continuation)
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
        continuation.onTermination = { _ in task.cancel() }
        return stream
    }

    private func follow(
        _ names: [String],
        _ namespace: String,
        _ continuation: AsyncThrowingStream<LockEvent, any Error>.Continuation
    ) async throws {
        var command = Command("LOCK.WATCH")
        if namespace != "default" { command.append("NAMESPACE", namespace) }
        for name in names { command.append(name) }
        var isFirst = true
        while !Task.isCancelled {
            let (closed, signal) = AsyncStream.makeStream(of: Void.self)
            let gate = EventGate(continuation)
            let connection = try await selector.connect(deadline: requestDeadline) { parts in
                if parts.isEmpty { return signal.finish() }
                if let event = LockEvent(push: parts) { gate.pass(event) }
            }
            defer { connection.close() }
            do {
                let reply = try await connection.send(command.encoded(), timeout: configuration.attemptTimeout)
                if case .error(let text) = reply { throw SynclineError(serverText: text) }
                gate.open(after: isFirst ? nil : LockEvent(kind: .resumed, namespace: namespace, names: names))
                isFirst = false
                let pings = Task { try await ping(connection) }
                defer { pings.cancel() }
                for await _ in closed {}
            } catch is ConnectionFailure {
                // Another node may do better.
            }
            if !Task.isCancelled { selector.avoid(connection.endpoint) }
        }
    }
}

extension SynclineClient {
    /// Asks now and then, until it is cancelled. A node that is frozen keeps its connections open and tells nothing, as
    /// does one where nothing happens; the connection is given up when the answer is missing.
    private func ping(_ connection: Connection) async throws {
        while true {
            try await Task.sleep(for: configuration.probeInterval)
            _ = try await connection.send(Command("PING").encoded(), timeout: configuration.attemptTimeout)
        }
    }
}

/// Holds events back until the gap before them has been told of.
private final class EventGate: Sendable {
    private let continuation: AsyncThrowingStream<LockEvent, any Error>.Continuation
    /// nil once open.
    private let held = Mutex<[LockEvent]?>([])

    init(_ continuation: AsyncThrowingStream<LockEvent, any Error>.Continuation) { self.continuation = continuation }

    func pass(_ event: LockEvent) {
        held.withLock { held in
            if held == nil { continuation.yield(event) } else { held?.append(event) }
        }
    }

    func open(after first: LockEvent?) {
        held.withLock { held in
            if let first { continuation.yield(first) }
            for event in held ?? [] { continuation.yield(event) }
            held = nil
        }
    }
}

extension LockEvent {
    fileprivate init(kind: Kind, namespace: String, names: [String]) {
        self.init(
            kind: kind,
            namespace: namespace,
            name: names.first ?? "",
            session: nil,
            mode: nil,
            token: nil,
            reason: nil
        )
    }

    /// `lock`, event, namespace, name, session, mode, token, and a reason for some.
    init?(push parts: [RESPValue]) {
        guard parts.count >= 7, parts[0].string == "lock", let event = parts[1].string, let namespace = parts[2].string,
            let name = parts[3].string
        else { return nil }
        let kinds: [String: Kind] = [
            "granted": .granted, "released": .released, "queued": .queued, "broken": .broken, "deadlock": .deadlock,
        ]
        self.init(
            kind: kinds[event] ?? .other(event),
            namespace: namespace,
            name: name,
            session: parts[4].string,
            mode: Reply.mode(parts[5]),
            token: parts[6].int.flatMap { UInt64(exactly: $0) },
            reason: parts.count > 7 ? parts[7].string : nil
        )
    }
}
