// SPDX-License-Identifier: Apache-2.0
import RESP
import Synchronization

/// One sequence's consumer in the cluster: opened with the first message asked for, renewed, refilled, its leases
/// extended, and closed when it has ended and nothing of it is unsettled.
final class QueueConsumer: Sendable {
    private typealias Waiter = CheckedContinuation<Result<Delivery?, SynclineError>, Never>

    private struct State {
        var window: PrefetchWindow
        var waiters: [Waiter] = []
        var failure: SynclineError?
        var isStarted = false
        var isFinished = false
        /// The cluster knows the consumer.
        var isOpen = false
        /// The receive under way, to be broken off when the sequence ends.
        var fetch: WaitHandle?
        /// Smallest lease seen.
        var lease: Duration?
        var finishWaiters: [CheckedContinuation<Void, Never>] = []
    }

    let id: String
    let queue: Queue
    let options: ConsumeOptions
    private let state: Mutex<State>
    /// Something has changed that the fetching or closing task may wait for.
    private let changes: AsyncStream<Void>
    private let change: AsyncStream<Void>.Continuation
    private let acks: AckBatcher

    /// How long one receive waits at the server before it is sent anew.
    static let patience = Duration.seconds(20)

    init(queue: Queue, options: ConsumeOptions) {
        id = "c-" + String(UInt64.random(in: .min ... .max), radix: 36)
        self.queue = queue
        self.options = options
        state = Mutex(State(window: PrefetchWindow(prefetch: min(options.prefetch, 1000))))
        (changes, change) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        acks = AckBatcher(queue: queue)
    }

    // MARK: For the sequence

    /// Nil when the sequence has ended; cancelling the task ends it.
    func next() async throws(SynclineError) -> QueueMessage? {
        start()
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Result<Delivery?, SynclineError>? = state.withLock { state in
                    if let delivery = state.window.next() { return .success(delivery) }
                    if let failure = state.failure { return .failure(failure) }
                    if state.window.isEnded { return .success(nil) }
                    state.waiters.append(continuation)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            stop()
        }
        change.yield()
        guard let delivery = try result.get() else { return nil }
        return QueueMessage(delivery, queue: queue, ticket: DeliveryTicket(self, delivery.receipt))
    }

    func stop() { end(nil) }

    /// Returns when the consumer is closed and nothing of it is unsettled.
    func ended() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if state.isFinished || !state.isStarted { return true }
                state.finishWaiters.append(continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    // MARK: For its messages

    func ack(_ receipt: String) async throws(SynclineError) {
        do throws(SynclineError) {
            try await acks.ack(receipt)
            settled(receipt)
        } catch {
            if error.code == .stale { lost([receipt]) }
            throw error
        }
    }

    func settled(_ receipt: String) { update { $0.window.settled(receipt) } }

    func lost(_ receipts: [String]) { update { $0.window.lose(receipts) } }

    func dropped(_ receipt: String) { update { $0.window.dropped(receipt) } }

    func isLost(_ receipt: String) -> Bool { state.withLock { $0.window.isLost(receipt) } }

    private func update(_ body: (inout State) -> Void) {
        state.withLock { body(&$0) }
        change.yield()
    }

    // MARK: Life

    private func start() {
        let isFirst = state.withLock { state in
            guard !state.isStarted, !state.window.isEnded else { return false }
            state.isStarted = true
            return true
        }
        guard isFirst else { return }
        change.yield()
        Task { await run() }
    }

    private func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.renew() }
            group.addTask { await self.extend() }
            await fetch()
            group.cancelAll()
        }
        await close()
        let finished = state.withLock { state in
            state.isFinished = true
            defer { state.finishWaiters = [] }
            return state.finishWaiters
        }
        for continuation in finished { continuation.resume() }
    }

    private func end(_ failure: SynclineError?) {
        let (unread, waiters, fetch) = state.withLock { state in
            if state.failure == nil { state.failure = failure }
            defer { state.waiters = [] }
            return (state.window.end(), state.waiters, state.fetch)
        }
        fetch?.stop(.cancelled)
        for waiter in waiters { waiter.resume(returning: failure.map { .failure($0) } ?? .success(nil)) }
        giveBack(unread)
        change.yield()
    }

    private func giveBack(_ receipts: [String]) {
        guard !receipts.isEmpty else { return }
        Task { [queue] in
            // What cannot be given back now returns with the end of the consumer.
            _ = try? await queue.giveBack(receipts)
        }
    }

    /// Receives as long as there is room, until the sequence has ended and all it had is settled.
    private func fetch() async {
        var failures = 0
        for await _ in changes {
            while true {
                let (count, isDone, isOpen) = state.withLock { state in
                    (state.window.wanted, state.window.isEnded && state.window.isEmpty, state.isOpen)
                }
                if isDone { return }
                guard count > 0 else { break }
                do throws(SynclineError) {
                    if !isOpen { try await open() }
                    deliver(try await receive(count))
                    failures = 0
                } catch {
                    guard isToBeTriedAgain(error) else {
                        end(error)
                        break
                    }
                    failures += 1
                    try? await Backoff.pause(round: failures, deadline: .now + .seconds(1))
                }
            }
        }
    }

    private func receive(_ count: Int) async throws(SynclineError) -> [Delivery] {
        let handle = WaitHandle()
        let isRunning = state.withLock { state in
            guard !state.window.isEnded else { return false }
            state.fetch = handle
            return true
        }
        guard isRunning else { return [] }
        defer { state.withLock { $0.fetch = nil } }
        let (name, id, lease) = (queue.name, id, options.lease)
        let value = try await queue.client.wait(
            Self.patience,
            handle,
            recover: { () async throws(SynclineError) in try await self.resume() }
        ) { wait in
            var command = Command("QUEUE.RECEIVE", name, "COUNT", "\(count)")
            command.append(wait: wait)
            if let lease { command.append("LEASE", "\(lease.wholeMilliseconds)") }
            command.append("CONSUMER", id)
            return command
        }
        return try Reply.deliveries(value, "QUEUE.RECEIVE")
    }

    private func deliver(_ deliveries: [Delivery]) {
        let (late, handed) = state.withLock { state in
            let late = state.window.received(deliveries)
            for delivery in deliveries { state.lease = min(state.lease ?? delivery.lease, delivery.lease) }
            var handed: [(Waiter, Delivery)] = []
            while let waiter = state.waiters.first, let delivery = state.window.next() {
                state.waiters.removeFirst()
                handed.append((waiter, delivery))
            }
            return (late, handed)
        }
        for (waiter, delivery) in handed { waiter.resume(returning: .success(delivery)) }
        giveBack(late)
    }

    /// What need not end the sequence. Of a cluster that has never answered, nothing is expected any more once a
    /// request has failed with all its attempts.
    private func isToBeTriedAgain(_ error: SynclineError) -> Bool {
        switch error.code {
        case .noConsumer:
            state.withLock { $0.isOpen = false }
            return true
        case .ended, .noCredit, .limit, .paused, .cancelled: return true
        case .unreachable, .timeout: return state.withLock { $0.isOpen }
        case .busy, .unavailable, .unknownOutcome: return true
        default: return false
        }
    }

    // MARK: The consumer in the cluster

    private func open() async throws(SynclineError) {
        // Twice the prefetch: what was delivered to a connection that broke counts until it is resumed.
        let credit = min(max(options.prefetch * 2, 16), 4096)
        var command = Command("QUEUE.CONSUMER", "OPEN", queue.name, id, "TTL", "\(options.ttl.wholeMilliseconds)")
        command.append("CREDIT", "\(credit)")
        if !options.label.isEmpty { command.append("LABEL", options.label) }
        _ = try await queue.call(command)
        state.withLock { $0.isOpen = true }
        // Not the first time: it had expired, was closed by somebody, or the queue has more lanes by now. Asking for
        // each delivery tells which of them it still has.
        await extend(state.withLock { $0.window.held })
    }

    /// After a receive whose answer got lost: what it had come with returns at once, except what is here.
    private func resume() async throws(SynclineError) {
        var command = Command("QUEUE.CONSUMER", "RESUME", queue.name, id)
        for receipt in state.withLock({ $0.window.held }) { command.append(receipt) }
        _ = try await queue.call(command)
    }

    private func renew() async {
        let interval = options.ttl / 3
        while !Task.isCancelled {
            do {
                try await Task.sleep(for: interval)
                guard state.withLock({ $0.isOpen }) else { continue }
                _ = try await queue.client.renewals.call(
                    Command("QUEUE.CONSUMER", "RENEW", queue.name, id),
                    deadline: .now + options.ttl,
                    attempt: min(max(options.ttl / 6, .milliseconds(100)), .seconds(3))
                )
            } catch let error as SynclineError where error.code == .noConsumer {
                state.withLock { $0.isOpen = false }
                _ = try? await open()
                change.yield()
            } catch {
                // Not answered: the next renewal may be, and if none is, the cluster ends the consumer.
            }
        }
    }

    private func extend() async {
        while !Task.isCancelled {
            let lease = options.lease ?? state.withLock { $0.lease } ?? .milliseconds(900)
            do {
                try await Task.sleep(for: max(lease / 3, .milliseconds(10)))
            } catch {
                return
            }
            await extend(state.withLock { $0.window.extended(includingHandedOut: options.extendsLeases) })
        }
    }

    /// Deliveries that have ended are known afterwards.
    private func extend(_ receipts: [String]) async {
        guard !receipts.isEmpty, let lease = options.lease ?? state.withLock({ $0.lease }) else { return }
        let words = ["LEASE", "\(lease.wholeMilliseconds)"]
        let ended = await queue.settleEach("QUEUE.EXTEND", receipts, words).compactMap { receipt, result in
            if case .failure(let error) = result, error.code == .stale { receipt } else { nil }
        }
        if !ended.isEmpty { lost(ended) }
    }

    private func close() async {
        guard state.withLock({ $0.isOpen }) else { return }
        // Not answered: the cluster ends it after its time to live.
        _ = try? await queue.client.queues.call(
            Command("QUEUE.CONSUMER", "CLOSE", queue.name, id),
            deadline: queue.client.requestDeadline
        )
    }
}
