// SPDX-License-Identifier: Apache-2.0
import NIOCore
import NIOPosix
import SynclineClient

/// Drives all clients from one event loop, so that the generator takes no more of the machine than it must.
struct BenchRun {
    let plan: BenchPlan

    init(_ plan: BenchPlan) { self.plan = plan }

    func run() async throws -> BenchResult {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let result: BenchResult
        do {
            result = try await run(on: loop)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
        return result
    }

    private func run(on loop: any EventLoop) async throws -> BenchResult {
        let tally = try await loop.submit { NIOLoopBound(BenchTally(), eventLoop: loop) }.get()
        for number in 0..<plan.clients { try await connect(number, tally, loop) }

        var progress = ProgressBar(
            label: "bench locks \(plan.workload.rawValue)",
            total: Double(plan.warmup + plan.seconds)
        )
        let start = ContinuousClock.now
        try await pass(Double(plan.warmup), from: start, offset: 0, &progress, tally, loop)
        let begin = try await loop.submit { () -> NIODeadline in
            tally.value.isRecording = true
            return .now()
        }.get()
        try await pass(Double(plan.seconds), from: .now, offset: Double(plan.warmup), &progress, tally, loop)
        let result = try await loop.submit { [plan] () -> BenchResult in
            tally.value.isRecording = false
            tally.value.isStopping = true
            return BenchResult(plan, tally.value, nanoseconds: (NIODeadline.now() - begin).nanoseconds)
        }.get()
        progress.finish()
        try await drain(tally, loop)
        return result
    }

    private func connect(_ number: Int, _ tally: NIOLoopBound<BenchTally>, _ loop: any EventLoop) async throws {
        let endpoint = plan.endpoints[number % plan.endpoints.count]
        let plan = plan
        do {
            _ = try await ClientBootstrap(group: loop)
                .connectTimeout(.seconds(5))
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let client = BenchClient(tally: tally.value, plan: plan, number: number)
                        try channel.pipeline.syncOperations.addHandler(client)
                    }
                }
                .connect(host: endpoint.host, port: endpoint.port).get()
        } catch {
            throw SynclineError(
                code: .unreachable,
                message: "cannot connect to \(endpoint): \(ConnectionCause.text(error))"
            )
        }
    }

    /// Lets time pass, and shows that it does.
    private func pass(
        _ seconds: Double,
        from start: ContinuousClock.Instant,
        offset: Double,
        _ progress: inout ProgressBar,
        _ tally: NIOLoopBound<BenchTally>,
        _ loop: any EventLoop
    ) async throws {
        var lastCount = 0
        var lastTime = start
        while true {
            let now = ContinuousClock.now
            let elapsed = start.duration(to: now).inSeconds
            guard elapsed < seconds else { return }
            let (count, active) = try await loop.submit { (tally.value.operations, tally.value.active) }.get()
            guard active > 0 else {
                let reason = try await loop.submit { tally.value.firstError }.get()
                throw SynclineError(
                    code: .unreachable,
                    message: "all connections are gone: \(reason ?? "closed by the nodes")"
                )
            }
            let rate = Double(count - lastCount) / max(lastTime.duration(to: now).inSeconds, 0.001)
            progress.show(offset + elapsed, note: count == 0 ? "warming up" : "\(Int(rate))/s")
            lastCount = count
            lastTime = now
            try await Task.sleep(for: .seconds(min(0.25, seconds - elapsed)))
        }
    }

    /// Waits until every client has given back what it had and closed its session.
    private func drain(_ tally: NIOLoopBound<BenchTally>, _ loop: any EventLoop) async throws {
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline {
            if try await loop.submit({ tally.value.active }).get() == 0 { return }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

/// A bar on standard error, on a terminal only.
struct ProgressBar {
    let label: String
    let total: Double
    let isShown: Bool
    let width: Int

    init(label: String, total: Double) {
        self.label = label
        self.total = total
        isShown = Console.errorIsTerminal
        width = Console.width(of: 2)
    }

    mutating func show(_ done: Double, note: String) {
        if isShown { Console.raw("\r\u{1b}[K" + line(done, note: note), to: 2) }
    }

    func line(_ done: Double, note: String) -> String {
        let share = total > 0 ? min(max(done / total, 0), 1) : 1
        let cells = max(10, min(40, width - label.count - note.count - 12))
        let full = Int(share * Double(cells))
        let bar = String(repeating: "█", count: full) + String(repeating: "░", count: cells - full)
        return "\(label) \(bar) \(Int(share * 100)) % \(note)"
    }

    mutating func finish() {
        if isShown { Console.raw("\r\u{1b}[K", to: 2) }
    }
}
