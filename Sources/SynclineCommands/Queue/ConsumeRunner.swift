// SPDX-License-Identifier: Apache-2.0
import Synchronization
import SynclineClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What became of the messages that a consumer took.
struct ConsumeOutcome: Sendable, Equatable {
    var acked = 0
    var nacked = 0
    var rejected = 0
    var givenBack = 0
    /// Could not be settled: their deliveries had ended, or no node could be reached. They come again.
    var unsettled = 0
    /// To exit with.
    var status: Int32 = 0

    var summary: String {
        let parts = [
            (acked, "acknowledged"), (nacked, "failed"), (rejected, "rejected"), (givenBack, "given back"),
            (unsettled, "not settled"),
        ]
        let told = parts.filter { $0.0 > 0 || $0.1 == "acknowledged" }
        return told.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    }
}

/// Runs a command for each message, several at a time, until told to stop.
struct ConsumeRunner: Sendable {
    let messages: QueueMessages
    let command: [String]
    let environment: [String: String]
    let policy: ConsumePolicy
    let parallel: Int
    /// Messages to take; nil for no end.
    let limit: Int?
    /// Ends when no message has come for so long; nil for no end.
    let idle: Duration?

    func run(signals: AsyncStream<Int32>) async throws -> ConsumeOutcome {
        let control = ConsumeControl(limit: limit)
        let listener = Task {
            for await number in signals {
                if let text = control.signalled(number) { Console.note(text) }
                messages.stop()
            }
        }
        let watch = Task { if let idle { try await stopWhenIdle(control, idle) } }
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<parallel { group.addTask { await work(control) } }
        }
        listener.cancel()
        watch.cancel()
        await messages.close()
        return try control.result()
    }

    private func work(_ control: ConsumeControl) async {
        var iterator = messages.makeAsyncIterator()
        while control.reserve() {
            do {
                guard let message = try await iterator.next() else { return }
                await handle(message, control)
            } catch {
                control.fail(error)
                messages.stop()
                return
            }
        }
    }

    private func handle(_ message: QueueMessage, _ control: ConsumeControl) async {
        let child: ChildProcess
        do {
            child = try ChildProcess(
                ChildProcess.Launch(
                    arguments: command,
                    environment: ConsumePolicy.environment(environment, message),
                    logPath: nil,
                    input: message.body
                )
            )
        } catch {
            // No other message would fare better.
            Console.error(error.message)
            control.fail(error.status)
            messages.stop()
            await settle(message, .giveBack, control)
            return
        }
        control.began(child)
        var end = ChildEvent.exited(0)
        for await event in child.events where event != .stopped { end = event }
        let wasTerminated = control.ended(child)
        await settle(message, policy.verdict(end, attempt: message.attempt, wasTerminated: wasTerminated), control)
    }

    private func settle(_ message: QueueMessage, _ verdict: ConsumePolicy.Verdict, _ control: ConsumeControl) async {
        do throws(SynclineError) {
            switch verdict {
            case .ack:
                try await message.ack()
                control.count { $0.acked += 1 }
            case .nack(let delay, let reason):
                try await message.nack(delay: delay, reason: reason)
                control.count { $0.nacked += 1 }
            case .reject(let reason):
                try await message.reject(reason: reason)
                control.count { $0.rejected += 1 }
            case .giveBack:
                try await message.giveBack()
                control.count { $0.givenBack += 1 }
            }
        } catch {
            control.count { $0.unsettled += 1 }
            Console.error("message \(message.id) comes again: \(Failure.text(error))")
        }
    }

    private func stopWhenIdle(_ control: ConsumeControl, _ idle: Duration) async throws {
        while true {
            let due = control.lastActivity + idle
            if ContinuousClock.now >= due, !control.isRunning { return messages.stop() }
            try await Task.sleep(until: max(due, .now + .milliseconds(10)), clock: .continuous)
        }
    }
}

/// What the workers of one consumer share.
final class ConsumeControl: Sendable {
    private struct State {
        var reserved = 0
        var signals: [Int32] = []
        var running: [ObjectIdentifier: ChildProcess] = [:]
        var lastActivity = ContinuousClock.now
        var outcome = ConsumeOutcome()
        var failure: (any Error)?
    }

    private let limit: Int?
    private let state = Mutex(State())

    init(limit: Int?) { self.limit = limit }

    /// Leave to take one more message.
    func reserve() -> Bool {
        state.withLock { state in
            guard limit.map({ state.reserved < $0 }) ?? true, state.signals.isEmpty, state.failure == nil else {
                return false
            }
            state.reserved += 1
            return true
        }
    }

    /// The first signal ends the taking, the second is for the commands, and so is the third. Returns what to tell.
    func signalled(_ number: Int32) -> String? {
        let (count, running) = state.withLock { state in
            state.signals.append(number)
            return (state.signals.count, Array(state.running.values))
        }
        switch count {
        case 1:
            return running.isEmpty
                ? nil : "\(Signals.name(number)): waiting for \(running.count) running; once more sends them SIGTERM"
        case 2: for child in running { child.signalGroup(SIGTERM) }
        default: for child in running { child.signalGroup(SIGKILL) }
        }
        return nil
    }

    func began(_ child: ChildProcess) {
        let isTerminated = state.withLock { state in
            state.running[ObjectIdentifier(child)] = child
            state.lastActivity = .now
            return state.signals.count > 1
        }
        if isTerminated { child.signalGroup(SIGTERM) }
    }

    /// True when it has been sent a signal to end it.
    func ended(_ child: ChildProcess) -> Bool {
        state.withLock { state in
            state.running[ObjectIdentifier(child)] = nil
            state.lastActivity = .now
            return state.signals.count > 1
        }
    }

    var isRunning: Bool { state.withLock { !$0.running.isEmpty } }

    var lastActivity: ContinuousClock.Instant { state.withLock { $0.lastActivity } }

    func count(_ body: (inout ConsumeOutcome) -> Void) { state.withLock { body(&$0.outcome) } }

    func fail(_ error: any Error) {
        state.withLock { state in
            if state.failure == nil { state.failure = error }
        }
    }

    func result() throws -> ConsumeOutcome {
        try state.withLock { state in
            if let failure = state.failure { throw failure }
            if state.signals.count > 1 { state.outcome.status = 128 + state.signals[1] }
            return state.outcome
        }
    }
}
