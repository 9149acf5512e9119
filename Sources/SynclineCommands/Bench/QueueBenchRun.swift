// SPDX-License-Identifier: Apache-2.0
import NIOCore
import NIOPosix
import SynclineClient

/// Carries out one measurement on a queue of its own, and accounts for every message of it.
struct QueueBenchRun {
    private static let fillConnections = 16

    let endpoints: [Endpoint]
    let cell: QueueBenchCell
    let queue: String
    /// The queue and what is left in it stay.
    let keepsQueue: Bool
    /// No acknowledgement for so long: a drain has got what there is to get.
    var idleSeconds = 5.0

    func run() async throws -> QueueBenchResult {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let result: QueueBenchResult
        do {
            result = try await run(on: group.next())
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
        return result
    }

    private func run(on loop: any EventLoop) async throws -> QueueBenchResult {
        let control = try await QueueBenchControl.connect(to: endpoints[0], on: loop)
        try await control.declare(queue, lanes: cell.lanes)
        var result: QueueBenchResult
        do {
            result = try await measure(on: loop, control)
        } catch {
            if !keepsQueue { try? await control.delete(queue) }
            throw error
        }
        if !keepsQueue { try await control.delete(queue) }
        await control.close()
        result.queue = keepsQueue ? queue : nil
        return result
    }

    private func measure(on loop: any EventLoop, _ control: QueueBenchControl) async throws -> QueueBenchResult {
        var result = QueueBenchResult(cell, endpoints: endpoints)
        var ledger = QueueBenchLedger()
        switch cell.scenario {
        case .drain:
            let (fill, filled) = try await fill(cell.backlog, ledger, loop)
            ledger = filled
            result.note(fill)
            let phase = try await drain(ledger, loop)
            result.add(phase)
            ledger = phase.ledger
        case .backlog:
            let (backlog, phases) = try await besideBacklog(loop)
            result.backlog = backlog
            for phase in phases { result.note(phase) }
            if let last = phases.last {
                result.add(last)
                ledger = last.ledger
            }
        case .publish, .both, .latency, .suite:
            let phase = try await timed(cell, ledger, label: "bench queues \(cell.scenario.rawValue)", loop)
            result.add(phase)
            ledger = phase.ledger
        }
        result.account = ledger.account(left: try await control.depth(of: queue))
        return result
    }

    // MARK: Phases

    /// Publishing on the empty queue, filling it, and publishing beside what is in it then.
    private func besideBacklog(_ loop: any EventLoop) async throws -> (QueueBenchBacklog, [QueueBenchPhase]) {
        let empty = try await timed(cell, QueueBenchLedger(), label: "bench queues empty", loop)
        let before = try await QueueBenchMemory.sample(endpoints, on: loop)
        let missing = max(0, cell.backlog - empty.ledger.confirmed)
        let (fill, ledger) = try await fill(missing, empty.ledger, loop)
        let after = try await QueueBenchMemory.sample(endpoints, on: loop)
        let beside = try await timed(cell, ledger, label: "bench queues beside", loop)
        var backlog = QueueBenchBacklog(messages: ledger.confirmed, filled: fill.published, fillSeconds: fill.seconds)
        backlog.publishedPerSecondEmpty = empty.publishedPerSecond
        backlog.publishedPerSecondBeside = beside.publishedPerSecond
        backlog.memory = zip(before, after).map { before, after in
            QueueBenchBacklog.Growth(before: before, after: after, messages: fill.published)
        }
        return (backlog, [fill, empty, beside])
    }

    private func fill(
        _ messages: Int,
        _ ledger: QueueBenchLedger,
        _ loop: any EventLoop
    ) async throws -> (QueueBenchPhase, QueueBenchLedger) {
        let tally = try await tally(ledger, loop)
        let goal = try await loop.submit { NIOLoopBound(QueueFillGoal(messages), eventLoop: loop) }.get()
        let cell = cell
        for number in 0..<Self.fillConnections {
            try await connect(number, tally, loop) { QueueFiller($0, cell, goal.value) }
        }
        var progress = ProgressBar(label: "bench queues fill", total: Double(messages))
        let start = ContinuousClock.now
        try await begin(tally, loop)
        while try await loop.submit({ tally.value.active }).get() > 0 {
            let done = try await loop.submit { tally.value.published }.get()
            progress.show(Double(done), note: "\(Int(Double(done) / max(0.1, start.duration(to: .now).inSeconds)))/s")
            try await Task.sleep(for: .milliseconds(10))
        }
        progress.finish()
        let phase = try await phase(tally, seconds: start.duration(to: .now).inSeconds, loop)
        let missing = try await loop.submit { goal.value.left }.get()
        guard missing == 0 else {
            throw SynclineError(
                code: .unavailable,
                message: "the queue was not filled, \(missing) messages are missing: "
                    + (phase.firstError ?? "the nodes closed the connections")
            )
        }
        return (phase, phase.ledger)
    }

    /// Workers for as long as the cell says, after its warm-up.
    private func timed(
        _ cell: QueueBenchCell,
        _ ledger: QueueBenchLedger,
        label: String,
        _ loop: any EventLoop
    ) async throws -> QueueBenchPhase {
        let tally = try await tally(ledger, loop)
        // Consumers first, so that they wait when the first message comes.
        for number in 0..<cell.consumers { try await connect(number, tally, loop) { QueueConsumer($0, cell) } }
        for number in 0..<cell.producers {
            try await connect(number, tally, loop) { QueuePublisher($0, cell, position: number) }
        }
        let workers = cell.consumers + cell.producers
        var progress = ProgressBar(label: label, total: Double(cell.warmup + cell.seconds))
        try await begin(tally, loop)
        try await pass(Double(cell.warmup), shown: 0, workers, &progress, tally, loop)
        let started = try await loop.submit { () -> NIODeadline in
            tally.value.isRecording = true
            return .now()
        }.get()
        try await pass(Double(cell.seconds), shown: Double(cell.warmup), workers, &progress, tally, loop)
        let ended = try await stop(tally, loop)
        progress.finish()
        return try await phase(tally, seconds: Double((ended - started).nanoseconds) / 1e9, loop)
    }

    /// Consumers until the queue is empty.
    private func drain(_ ledger: QueueBenchLedger, _ loop: any EventLoop) async throws -> QueueBenchPhase {
        let tally = try await tally(ledger, loop)
        let cell = cell
        for number in 0..<cell.consumers { try await connect(number, tally, loop) { QueueConsumer($0, cell) } }
        var progress = ProgressBar(label: "bench queues drain", total: Double(ledger.confirmed))
        let started = try await loop.submit { () -> NIODeadline in
            tally.value.isRecording = true
            tally.value.lastConsumed = .now()
            return .now()
        }.get()
        try await begin(tally, loop)
        while true {
            let (done, idle, active) = try await loop.submit {
                (tally.value.ledger.acknowledged, NIODeadline.now() - tally.value.lastConsumed, tally.value.active)
            }.get()
            let isIdle = Double(idle.nanoseconds) / 1e9 > idleSeconds
            if done >= ledger.confirmed || isIdle || active == 0 { break }
            progress.show(Double(done), note: "\(done) of \(ledger.confirmed)")
            try await Task.sleep(for: .milliseconds(10))
        }
        let ended = try await loop.submit { tally.value.lastConsumed }.get()
        _ = try await stop(tally, loop)
        progress.finish()
        var phase = try await phase(tally, seconds: Double((ended - started).nanoseconds) / 1e9, loop)
        // From the fill to the drain is no hand-over.
        phase.handOver = BenchTally.histogram()
        return phase
    }

    // MARK: Parts of a phase

    private func tally(
        _ ledger: QueueBenchLedger,
        _ loop: any EventLoop
    ) async throws -> NIOLoopBound<QueueBenchTally> {
        let queue = queue
        return try await loop.submit {
            NIOLoopBound(QueueBenchTally(queue: queue, ledger: ledger), eventLoop: loop)
        }.get()
    }

    private func connect(
        _ number: Int,
        _ tally: NIOLoopBound<QueueBenchTally>,
        _ loop: any EventLoop,
        _ make: @escaping @Sendable (QueueBenchTally) -> any QueueBenchWorker
    ) async throws {
        let endpoint = endpoints[number % endpoints.count]
        try await QueueBenchLink.connect(to: endpoint, tally, on: loop, make)
    }

    private func begin(_ tally: NIOLoopBound<QueueBenchTally>, _ loop: any EventLoop) async throws {
        try await loop.submit { tally.value.begin() }.get()
    }

    /// Lets time pass, and shows that it does.
    private func pass(
        _ seconds: Double,
        shown: Double,
        _ workers: Int,
        _ progress: inout ProgressBar,
        _ tally: NIOLoopBound<QueueBenchTally>,
        _ loop: any EventLoop
    ) async throws {
        let start = ContinuousClock.now
        while true {
            let elapsed = start.duration(to: .now).inSeconds
            guard elapsed < seconds else { return }
            let (confirmed, active) = try await loop.submit {
                (tally.value.ledger.confirmed, tally.value.active)
            }.get()
            guard active > 0 || workers == 0 else { throw gone(try await phase(tally, seconds: elapsed, loop)) }
            progress.show(shown + elapsed, note: "\(confirmed) confirmed")
            try await Task.sleep(for: .seconds(min(0.25, seconds - elapsed)))
        }
    }

    /// Ends the recording, and waits until every worker has its answers.
    private func stop(_ tally: NIOLoopBound<QueueBenchTally>, _ loop: any EventLoop) async throws -> NIODeadline {
        let ended = try await loop.submit { () -> NIODeadline in
            tally.value.isRecording = false
            tally.value.isStopping = true
            return .now()
        }.get()
        let deadline = ContinuousClock.now + .seconds(15)
        while ContinuousClock.now < deadline {
            if try await loop.submit({ tally.value.active }).get() == 0 { return ended }
            try await Task.sleep(for: .milliseconds(10))
        }
        try await loop.submit { tally.value.note(error: "some commands were not answered within 15 s") }.get()
        return ended
    }

    private func phase(
        _ tally: NIOLoopBound<QueueBenchTally>,
        seconds: Double,
        _ loop: any EventLoop
    ) async throws -> QueueBenchPhase {
        try await loop.submit { QueueBenchPhase(tally.value, seconds: seconds) }.get()
    }

    private func gone(_ phase: QueueBenchPhase) -> SynclineError {
        SynclineError(
            code: .unreachable,
            message: "all connections are gone: \(phase.firstError ?? "closed by the nodes")"
        )
    }
}
