// SPDX-License-Identifier: Apache-2.0
import RESP

extension Queue {
    /// Takes messages, each on a lease: until it is settled, or the lease has run out, nobody else gets it.
    ///
    /// For a steady stream use ``messages(_:)``, which keeps leases alive. A receive whose answer is lost is sent
    /// again; what the lost answer had come with is delivered again when its lease has run out.
    ///
    /// - Parameters:
    ///   - count: at most so many, 1–1024.
    ///   - wait: for the first of them, at most one hour; zero answers at once. Cancelling the task ends the wait.
    ///   - lease: 1 ms to 12 hours; nil takes the queue's.
    ///   - maxBytes: at most 8 MiB (nil: 1 MiB); stops before the message that would exceed it, but delivers at least
    ///     one.
    /// - Returns: empty when there was none in time.
    public func receive(
        count: Int = 1,
        wait: Duration = .zero,
        lease: Duration? = nil,
        maxBytes: Int? = nil
    ) async throws(SynclineError) -> [QueueMessage] {
        let name = name
        let make: @Sendable (RemainingWait) -> Command = { wait in
            var command = Command("QUEUE.RECEIVE", name, "COUNT", "\(count)")
            command.append(wait: wait)
            if let lease { command.append("LEASE", "\(lease.wholeMilliseconds)") }
            if let maxBytes { command.append("MAXBYTES", "\(maxBytes)") }
            return command
        }
        let value: RESPValue
        if wait <= .zero {
            value = try await call(make(.none))
        } else {
            let client = client
            let handle = WaitHandle()
            let result: Result<RESPValue, SynclineError> = await withTaskCancellationHandler {
                do throws(SynclineError) {
                    return .success(try await client.wait(wait, handle, make))
                } catch {
                    return .failure(error)
                }
            } onCancel: {
                handle.stop(.cancelled)
            }
            value = try result.get()
        }
        return try Reply.deliveries(value, "QUEUE.RECEIVE").map { QueueMessage($0, queue: self, ticket: nil) }
    }

    // MARK: Settling by receipt

    /// The message is done with, and no more once this returns.
    ///
    /// - Returns: how many of these messages were still there; acknowledging twice is no error.
    /// - Throws: ``SynclineError`` with ``SynclineError/Code/stale`` when a delivery has ended otherwise: its message
    ///   comes, or has come, again. The others of the receipts are acknowledged all the same.
    @discardableResult
    public func ack(_ receipts: String...) async throws(SynclineError) -> Int { try await ack(receipts) }

    /// As ``ack(_:)-(String...)``, with the receipts in an array: 1 to 4096.
    @discardableResult
    public func ack(_ receipts: [String]) async throws(SynclineError) -> Int {
        try await settle("QUEUE.ACK", receipts)
    }

    /// The message could not be dealt with: that counts as an attempt. It comes again after the delay, or becomes a
    /// dead letter when its attempts are used up. Other messages of its key wait for it.
    ///
    /// - Parameters:
    ///   - delay: at most 366 days.
    ///   - reason: at most 1024 bytes; kept with a dead letter.
    @discardableResult
    public func nack(
        _ receipts: [String],
        delay: Duration = .zero,
        reason: String = ""
    ) async throws(SynclineError) -> Int {
        var options: [String] = []
        if delay > .zero { options += ["DELAY", "\(delay.wholeMilliseconds)"] }
        if !reason.isEmpty { options += ["REASON", reason] }
        return try await settle("QUEUE.NACK", receipts, options, doubtful: .stale)
    }

    /// Gives messages back unread: that does not count as an attempt.
    @discardableResult
    public func giveBack(_ receipts: [String], delay: Duration = .zero) async throws(SynclineError) -> Int {
        let options = delay > .zero ? ["DELAY", "\(delay.wholeMilliseconds)"] : []
        return try await settle("QUEUE.RETURN", receipts, options, doubtful: .stale)
    }

    /// Makes dead letters of messages at once: nobody could deal with them.
    @discardableResult
    public func reject(_ receipts: [String], reason: String = "") async throws(SynclineError) -> Int {
        try await settle("QUEUE.REJECT", receipts, reason.isEmpty ? [] : ["REASON", reason], doubtful: .stale)
    }

    /// Lets a lease run anew from now.
    ///
    /// - Parameter lease: 1 ms to 12 hours.
    /// - Returns: false when the message is there no more.
    @discardableResult
    public func extend(_ receipt: String, lease: Duration) async throws(SynclineError) -> Bool {
        try await settle("QUEUE.EXTEND", [receipt], ["LEASE", "\(lease.wholeMilliseconds)"]) > 0
    }

    /// - Parameter doubtful: a refusal that a first sending may have brought about itself, so that it does not tell
    ///   what became of the request.
    func settle(
        _ verb: String,
        _ receipts: [String],
        _ options: [String] = [],
        doubtful: SynclineError.Code? = nil
    ) async throws(SynclineError) -> Int {
        guard !receipts.isEmpty else { return 0 }
        var command = Command(verb, name)
        for word in receipts + options { command.append(word) }
        let reply = try await client.queues.call(command, deadline: client.requestDeadline, doubtful: doubtful)
        return try Reply.count(reply.value, verb)
    }
}
