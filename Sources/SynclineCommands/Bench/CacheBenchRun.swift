// SPDX-License-Identifier: Apache-2.0
import Histogram
import NIOCore
import NIOPosix
import SynclineClient

/// Runs one measurement of many clients: fills the keys, lets every node read them, measures.
struct CacheBenchRun {
    let cell: CacheBenchCell
    let endpoints: [Endpoint]
    /// For the progress bar.
    var label = "bench cache"

    private typealias Tally = NIOLoopBound<CacheBenchTally>

    func run() async throws -> CacheBenchResult {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: min(cell.threads, cell.clients))
        do {
            let result = try await run(on: Array(group.makeIterator()))
            try await group.shutdownGracefully()
            return result
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private func run(on loops: [any EventLoop]) async throws -> CacheBenchResult {
        var tallies: [Tally] = []
        for loop in loops {
            tallies.append(try await loop.submit { NIOLoopBound(CacheBenchTally(), eventLoop: loop) }.get())
        }
        try await connect(loops, tallies)
        var progress = ProgressBar(
            label: "\(label) \(cell.name), pipeline \(cell.pipeline)",
            total: Double(cell.warmup + cell.seconds)
        )
        try await prepare(.fill, loops, tallies, &progress)
        try await prepare(.warm, loops, tallies, &progress)
        // A node owns what it has read before it writes: from here on a write may stay in its own line.
        if cell.workload == .set { try await prepare(.fill, loops, tallies, &progress) }
        try await each(loops, tallies) { tally in for client in tally.clients { client.begin(.measure) } }
        try await pass(cell.warmup, offset: 0, loops, tallies, &progress)
        let start = ContinuousClock.now
        try await each(loops, tallies) { $0.isRecording = true }
        try await pass(cell.seconds, offset: cell.warmup, loops, tallies, &progress)
        try await each(loops, tallies) { $0.isRecording = false }
        let seconds = start.duration(to: .now).inSeconds
        progress.finish()
        var result = CacheBenchResult(cell, endpoints, seconds: seconds)
        var latencies = BenchTally.histogram()
        for (loop, tally) in zip(loops, tallies) {
            let part = try await loop.submit {
                tally.value.isStopping = true
                for client in tally.value.clients { client.close() }
                let tally = tally.value
                return (tally.operations, tally.nulls, tally.errors, tally.firstError, tally.latencies)
            }.get()
            result.operations += part.0
            result.missing += part.1
            result.errors += part.2
            result.firstError = result.firstError ?? part.3
            latencies.add(part.4)
        }
        result.finish(latencies)
        return result
    }

    private func connect(_ loops: [any EventLoop], _ tallies: [Tally]) async throws {
        let commands = CacheBenchCommands(size: cell.size, durability: cell.durability)
        let zipf =
            cell.workload == .mix ? ZipfSampler(count: cell.keys, exponent: CacheBenchCell.exponent) : nil
        for number in 0..<cell.clients {
            let node = number % endpoints.count
            let atNode = (cell.clients - node + endpoints.count - 1) / endpoints.count
            let place = (number: number, ofNode: number / endpoints.count, atNode: atNode)
            let (loop, tally) = (loops[number % loops.count], tallies[number % loops.count])
            let cell = cell
            try await Self.connect(to: endpoints[node], on: loop) { () -> any ChannelHandler in
                CacheBenchClient(tally.value, cell, commands, zipf, place: place)
            }
        }
    }

    static func connect(
        to endpoint: Endpoint,
        on loop: any EventLoop,
        _ make: @escaping @Sendable () -> any ChannelHandler
    ) async throws {
        do {
            _ = try await ClientBootstrap(group: loop)
                .connectTimeout(.seconds(5))
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(make())
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

    private func each(
        _ loops: [any EventLoop],
        _ tallies: [Tally],
        _ body: @escaping @Sendable (CacheBenchTally) -> Void
    ) async throws {
        for (loop, tally) in zip(loops, tallies) { try await loop.submit { body(tally.value) }.get() }
    }

    /// What is not measured must be without errors, or what is measured means nothing.
    private func prepare(
        _ phase: CacheBenchClient.Phase,
        _ loops: [any EventLoop],
        _ tallies: [Tally],
        _ progress: inout ProgressBar
    ) async throws {
        try await each(loops, tallies) { tally in for client in tally.clients { client.begin(phase) } }
        while true {
            let (busy, _) = try await look(loops, tallies)
            if busy == 0 { return }
            progress.show(0, note: phase == .fill ? "filling" : "reading once")
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Throws when the connections are gone, and before measuring at the first error.
    private func look(_ loops: [any EventLoop], _ tallies: [Tally]) async throws -> (busy: Int, operations: Int) {
        var (busy, operations, active) = (0, 0, 0)
        var failure: String?
        var isMeasuring = false
        for (loop, tally) in zip(loops, tallies) {
            let part = try await loop.submit {
                let tally = tally.value
                return (tally.busy, tally.operations, tally.active, tally.firstError, tally.isRecording)
            }.get()
            busy += part.0
            operations += part.1
            active += part.2
            failure = failure ?? part.3
            isMeasuring = isMeasuring || part.4
        }
        guard active > 0 else {
            let reason = failure ?? "closed by the nodes"
            throw SynclineError(code: .unreachable, message: "all connections are gone: \(reason)")
        }
        if let failure, !isMeasuring {
            throw SynclineError(code: .invalid, message: "the keys cannot be prepared: \(failure)")
        }
        return (busy, operations)
    }

    /// Lets time pass, and shows that it does.
    private func pass(
        _ seconds: Int,
        offset: Int,
        _ loops: [any EventLoop],
        _ tallies: [Tally],
        _ progress: inout ProgressBar
    ) async throws {
        let start = ContinuousClock.now
        var last = (count: 0, time: start)
        while true {
            let now = ContinuousClock.now
            let elapsed = start.duration(to: now).inSeconds
            guard elapsed < Double(seconds) else { return }
            let (_, count) = try await look(loops, tallies)
            let rate = Double(count - last.count) / max(last.time.duration(to: now).inSeconds, 0.001)
            progress.show(Double(offset) + elapsed, note: count == 0 ? "warming up" : "\(Int(rate))/s")
            last = (count, now)
            try await Task.sleep(for: .seconds(min(0.25, Double(seconds) - elapsed)))
        }
    }
}
