// SPDX-License-Identifier: Apache-2.0
import RESP

extension SynclineClient {
    /// A queue by its name. Nothing is sent: the first publish declares it, with defaults, if ``Queue/declare(_:)`` has
    /// not.
    ///
    /// - Parameter name: 1 to 512 bytes of UTF-8.
    public func queue(_ name: String) -> Queue { Queue(name: name, client: self) }

    /// Queues in the order of their names, all lanes added up; one page at a time.
    ///
    /// - Parameters:
    ///   - prefix: only names that begin with it.
    ///   - after: empty for the first page, then what the page before returned.
    ///   - limit: at most so many, 1–1000.
    /// - Returns: a page, and what to ask on with; empty after the last.
    public func listQueues(
        prefix: String = "",
        after: String = "",
        limit: Int = 100
    ) async throws(SynclineError) -> (queues: [QueueStats], next: String) {
        var command = Command("QUEUE.LIST", "COUNT", "\(limit)")
        if !prefix.isEmpty { command.append("PREFIX", prefix) }
        if !after.isEmpty { command.append("AFTER", after) }
        return try Reply.queuePage(await queues.call(command, deadline: requestDeadline).value)
    }
}

/// A work queue: a message published to it is delivered to one consumer at a time until one has acknowledged it.
///
/// Delivery is *at least once*: a confirmed publish survives the loss of any minority of nodes, and a message comes
/// again when its consumer fails, dies or is too slow. Publishing is exact: a publish that is sent again, because its
/// first answer was lost, is stored once.
///
/// ```swift
/// let orders = client.queue("orders")
/// try await orders.publish("{\"order\": 7}", key: "customer-3")
/// for try await message in orders.messages() {
///     try await handle(message.body)
///     try await message.ack()
/// }
/// ```
public struct Queue: Sendable {
    public let name: String
    let client: SynclineClient

    // MARK: Publishing

    /// Publishes text; see ``publish(_:)-swift.method``.
    @discardableResult
    public func publish(_ text: String, key: String? = nil) async throws(SynclineError) -> String {
        try await publish(OutgoingMessage(text, key: key))
    }

    /// Stores a message, and returns once a majority of its replicas have it on disk.
    ///
    /// When an answer is lost, the publish is sent again under the same number, which has no second effect. At most 32
    /// publishes of a client to one queue are unanswered at a time; others wait for their turn.
    ///
    /// - Returns: the message's id; that of the first when its own ``OutgoingMessage/id`` is a repeated one.
    /// - Throws: ``SynclineError`` with ``SynclineError/Code/full``, ``SynclineError/Code/tooLarge``,
    ///   ``SynclineError/Code/paused``, ``SynclineError/Code/fenced`` and others. When its outcome is `unknown`, the
    ///   message may or may not be in the queue.
    @discardableResult
    public func publish(_ message: OutgoingMessage) async throws(SynclineError) -> String {
        let sequencer = client.identity.sequencer(of: name)
        let number = await sequencer.begin()
        defer { sequencer.finish(number) }
        let command = publishCommand(message, number)
        // The lock may have passed on since a first sending was carried out.
        let doubtful: SynclineError.Code? = message.lock == nil ? nil : .fenced
        let reply = try await client.queues.call(command, deadline: client.requestDeadline, doubtful: doubtful)
        return try Reply.text(reply.value, "QUEUE.PUBLISH")
    }

    /// Publishes many messages over one connection without waiting for each, in the order given.
    ///
    /// Each is stored by itself, so some may be stored and others not. A node that refuses one for a moment, and takes
    /// the next, brings them out of order; where that matters, publish one after the other.
    ///
    /// - Returns: for each message its id, or why it failed.
    public func publish(contentsOf messages: [OutgoingMessage]) async -> [Result<String, SynclineError>] {
        let sequencer = client.identity.sequencer(of: name)
        var results: [Result<String, SynclineError>] = []
        results.reserveCapacity(messages.count)
        while results.count < messages.count {
            var numbers = [await sequencer.begin()]
            while results.count + numbers.count < messages.count, let number = sequencer.take() {
                numbers.append(number)
            }
            defer { for number in numbers { sequencer.finish(number) } }
            let chunk = messages[results.count..<results.count + numbers.count]
            let commands = zip(chunk, numbers).map { publishCommand($0, $1) }
            for answer in await client.queues.callInOrder(commands, deadline: client.requestDeadline) {
                results.append(
                    answer.flatMap { value in
                        do throws(SynclineError) {
                            return .success(try Reply.text(value, "QUEUE.PUBLISH"))
                        } catch {
                            return .failure(error)
                        }
                    }
                )
            }
        }
        return results
    }

    private func publishCommand(_ message: OutgoingMessage, _ number: UInt64) -> Command {
        var command = Command("QUEUE.PUBLISH", name)
        command.append(bytes: message.body)
        if let key = message.key { command.append("KEY", key) }
        switch message.schedule {
        case .immediately: break
        case .after(let delay): command.append("DELAY", "\(delay.wholeMilliseconds)")
        case .at(let milliseconds): command.append("AT", "\(milliseconds)")
        }
        if message.priority != 0 { command.append("PRIORITY", "\(message.priority)") }
        if let ttl = message.ttl { command.append("TTL", "\(ttl.wholeMilliseconds)") }
        if let id = message.id { command.append("ID", id) }
        for header in message.headers {
            command.append("HEADER", header.name)
            command.append(bytes: header.value)
        }
        if let tenant = message.tenant { command.append("TENANT", tenant) }
        if let lock = message.lock {
            command.append("LOCK", lock.name, "TOKEN", "\(lock.token)")
            if let namespace = lock.namespace { command.append("NAMESPACE", namespace) }
        }
        command.append("PRODUCER", client.identity.producer, "SEQUENCE", "\(number)")
        return command
    }

    // MARK: Settings

    /// Creates the queue, or finds that it is there as asked. With a dead-letter queue, that one too.
    ///
    /// - Throws: ``SynclineError`` with ``SynclineError/Code/exists`` when it is there with other settings.
    public func declare(_ options: QueueOptions = QueueOptions()) async throws(SynclineError) {
        _ = try await call(Command("QUEUE.DECLARE", name).with(options))
    }

    /// Changes the settings that are named and leaves the others. Messages keep the lifetime they were published with.
    public func update(_ options: QueueOptions) async throws(SynclineError) {
        _ = try await call(Command("QUEUE.UPDATE", name).with(options))
    }

    /// Depths, totals and settings; nil when there is no such queue.
    public func stats() async throws(SynclineError) -> QueueStats? {
        do throws(SynclineError) {
            let value = try await call(Command("QUEUE.STATS", name))
            return value.isNull ? nil : try Reply.queueStats(value)
        } catch {
            if error.code == .noQueue { return nil }
            throw error
        }
    }

    /// Stops one side: publishes are refused with ``SynclineError/Code/paused``, or receives get nothing and wait.
    public func pause(_ side: QueueSide) async throws(SynclineError) {
        _ = try await call(Command("QUEUE.PAUSE", name, side.rawValue.uppercased()))
    }

    public func resume(_ side: QueueSide) async throws(SynclineError) {
        _ = try await call(Command("QUEUE.RESUME", name, side.rawValue.uppercased()))
    }

    /// Removes every message in every state. Not sent again when its answer is lost.
    ///
    /// - Returns: how many there were.
    @discardableResult
    public func purge() async throws(SynclineError) -> Int {
        try await Reply.count(callOnce(Command("QUEUE.PURGE", name)), "QUEUE.PURGE")
    }

    /// Removes the queue with its messages. Not sent again when its answer is lost.
    ///
    /// - Returns: how many messages there were.
    @discardableResult
    public func delete() async throws(SynclineError) -> Int {
        try await Reply.count(callOnce(Command("QUEUE.DELETE", name)), "QUEUE.DELETE")
    }

    // MARK: Single messages

    /// The first messages in a state, without touching them: ready ones by id, those in flight by age of delivery,
    /// delayed ones by the time they are due, dead ones by age of death.
    ///
    /// - Parameter count: at most so many, 1–100.
    public func peek(_ state: MessageState = .ready, count: Int = 10) async throws(SynclineError) -> [PeekedMessage] {
        let word = state.rawValue.uppercased().filter { $0 != "_" }
        let value = try await call(Command("QUEUE.PEEK", name, "STATE", word, "COUNT", "\(count)"))
        guard let items = value.elements else { throw Reply.unexpected("QUEUE.PEEK") }
        var messages: [PeekedMessage] = []
        for item in items { messages.append(try Reply.peekedMessage(item)) }
        return messages
    }

    /// One message in any state; nil when it is not there (any more).
    public func message(_ id: String) async throws(SynclineError) -> PeekedMessage? {
        let value = try await call(Command("QUEUE.GET", name, id))
        return value.isNull ? nil : try Reply.peekedMessage(value)
    }

    /// Removes a message that no consumer has. Not sent again when its answer is lost.
    public func cancel(_ id: String) async throws(SynclineError) -> CancelOutcome {
        do throws(SynclineError) {
            return try await Reply.count(callOnce(Command("QUEUE.CANCEL", name, id)), "QUEUE.CANCEL") == 0
                ? .notFound : .cancelled
        } catch {
            if error.code.rawValue == "INFLIGHT" { return .inFlight }
            throw error
        }
    }

    /// Puts dead letters back to work: into the queue each came from, or another. Not sent again when its answer is
    /// lost. It goes on after the answer; ``QueueStats/redriveLeft`` tells what it has still to do.
    ///
    /// - Parameters:
    ///   - count: how many at most; nil for all that are there now.
    ///   - rate: messages a second; nil for as fast as the cluster can.
    ///   - target: another queue, which must share the part in braces of this one's name.
    ///   - cause: only dead letters of this cause.
    @discardableResult
    public func redrive(
        count: Int? = nil,
        rate: Int? = nil,
        to target: String? = nil,
        cause: DeadLetterCause? = nil
    ) async throws(SynclineError) -> RedriveProgress {
        var command = Command("QUEUE.REDRIVE", name)
        if let count { command.append("COUNT", "\(count)") }
        if let rate { command.append("RATE", "\(rate)") }
        if let target { command.append("TO", target) }
        if let cause { command.append("CAUSE", cause.rawValue.uppercased()) }
        return try await Reply.redrive(callOnce(command), "QUEUE.REDRIVE")
    }

    /// Ends a redrive under way; what it has moved stays where it is.
    @discardableResult
    public func cancelRedrive() async throws(SynclineError) -> RedriveProgress {
        try await Reply.redrive(callOnce(Command("QUEUE.REDRIVECANCEL", name)), "QUEUE.REDRIVECANCEL")
    }

    // MARK: Help

    func call(_ command: Command) async throws(SynclineError) -> RESPValue {
        try await client.queues.call(command, deadline: client.requestDeadline).value
    }

    private func callOnce(_ command: Command) async throws(SynclineError) -> RESPValue {
        try await client.queues.call(command, repeatable: .no, deadline: client.requestDeadline).value
    }
}

extension Command {
    fileprivate func with(_ options: QueueOptions) -> Command {
        var command = self
        if let lanes = options.lanes { command.append("LANES", "\(lanes)") }
        if let lease = options.lease { command.append("LEASE", "\(lease.wholeMilliseconds)") }
        if let attempts = options.maxAttempts { command.append("MAXATTEMPTS", "\(attempts)") }
        if let deadLetter = options.deadLetter { command.append("DEADLETTER", deadLetter) }
        if let length = options.maxLength { command.append("MAXLEN", "\(length)") }
        if let bytes = options.maxBytes { command.append("MAXBYTES", "\(bytes)") }
        switch options.overflow {
        case .reject: command.append("OVERFLOW", "REJECT")
        case .dropOldest: command.append("OVERFLOW", "DROPOLDEST")
        case nil: break
        }
        if let ttl = options.ttl { command.append("TTL", "\(ttl.wholeMilliseconds)") }
        if let window = options.dedupWindow { command.append("DEDUP", "\(window.wholeMilliseconds)") }
        return command
    }
}

extension LockGrant {
    /// Of the session that holds it, whose id begins with it; nil for the default one.
    var namespace: String? {
        session.firstIndex(of: "/").map { String(session[..<$0]) }
    }
}
