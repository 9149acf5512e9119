// SPDX-License-Identifier: Apache-2.0
import Histogram
import NIOCore
import NIOPosix
import RESP
import SynclineClient

/// One node reads a key and writes it, so that it owns the line in state M; then another reads it, again and again over
/// all pairs of nodes: how long it takes to fetch a value that another node owns. Each value read must be the one just
/// written.
struct CacheBenchMiss {
    let cell: CacheBenchCell
    let endpoints: [Endpoint]

    func run() async throws -> CacheBenchResult {
        guard endpoints.count > 1 else {
            throw SynclineError(code: .invalid, message: "miss needs two nodes at least; give several with --endpoint")
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let result = try await run(on: group.next())
            try await group.shutdownGracefully()
            return result
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private func run(on loop: any EventLoop) async throws -> CacheBenchResult {
        let (cell, endpoints) = (cell, endpoints)
        let game = try await loop.submit {
            NIOLoopBound(CacheBenchRally(cell, nodes: endpoints.count), eventLoop: loop)
        }.get()
        for (number, endpoint) in endpoints.enumerated() {
            try await CacheBenchRun.connect(to: endpoint, on: loop) { CacheBenchLink(game.value, number) }
        }
        var progress = ProgressBar(label: "bench cache miss", total: Double(cell.warmup + cell.seconds))
        try await loop.submit { game.value.begin() }.get()
        try await pass(cell.warmup, game, loop, &progress, offset: 0)
        try await loop.submit { game.value.isRecording = true }.get()
        let start = ContinuousClock.now
        try await pass(cell.seconds, game, loop, &progress, offset: cell.warmup)
        let seconds = start.duration(to: .now).inSeconds
        progress.finish()
        return try await loop.submit {
            game.value.stop()
            return game.value.result(CacheBenchResult(cell, endpoints, seconds: seconds))
        }.get()
    }

    private func pass(
        _ seconds: Int,
        _ game: NIOLoopBound<CacheBenchRally>,
        _ loop: any EventLoop,
        _ progress: inout ProgressBar,
        offset: Int
    ) async throws {
        let start = ContinuousClock.now
        while case let elapsed = start.duration(to: .now).inSeconds, elapsed < Double(seconds) {
            let (count, isBroken, reason) = try await loop.submit {
                (game.value.count, game.value.isBroken, game.value.firstError)
            }.get()
            guard !isBroken else {
                throw SynclineError(code: .unreachable, message: "a connection is gone: \(reason ?? "closed")")
            }
            progress.show(Double(offset) + elapsed, note: "\(count) reads")
            try await Task.sleep(for: .seconds(min(0.25, Double(seconds) - elapsed)))
        }
    }
}

/// Who writes, who reads, and what came of it. Everything happens on one event loop.
final class CacheBenchRally {
    private enum Step {
        /// The writer reads, since a node that never read a key does not own what it writes.
        case own
        case write
        case read
    }

    /// Keys that take turns, so that their homes do too.
    private static let keys = 1_000

    private let cell: CacheBenchCell
    private var links: [CacheBenchLink?]
    private var turn = 0
    private var step = Step.own
    private var began = NIODeadline.uptimeNanoseconds(0)
    private var reads = BenchTally.histogram()
    private var writes = BenchTally.histogram()
    private var isStopped = false
    private(set) var count = 0
    private(set) var isBroken = false
    private(set) var firstError: String?
    private var stale = 0
    private var errors = 0
    var isRecording = false

    init(_ cell: CacheBenchCell, nodes: Int) {
        self.cell = cell
        links = Array(repeating: nil, count: nodes)
    }

    private var writer: Int { turn % links.count }
    private var reader: Int { (turn + 1 + turn / links.count % (links.count - 1)) % links.count }
    private var key: String { "bench:miss:\(turn % Self.keys)" }

    /// The turn's number, as long as the cell's values are.
    private var value: String {
        let number = "\(turn)"
        return number + String(repeating: ".", count: max(0, cell.size - number.utf8.count))
    }

    func joined(_ link: CacheBenchLink, _ number: Int) { links[number] = link }

    func left(_ reason: String?) {
        if !isStopped { isBroken = true }
        firstError = firstError ?? reason
    }

    func begin() {
        guard !isStopped else { return }
        step = .own
        send(writer, ["GET", key])
    }

    func stop() {
        isStopped = true
        for link in links { link?.close() }
    }

    private func send(_ node: Int, _ command: [String]) {
        began = .now()
        links[node]?.send(BenchWorkload.encode([command]))
    }

    func received(_ reply: ByteBuffer) {
        let now = NIODeadline.now()
        if let error = QueueBenchLink.errorText(reply) {
            errors += 1
            firstError = firstError ?? error
            return pause()
        }
        switch step {
        case .own:
            step = .write
            // Volatile, so that only its owner has it.
            let mode = (cell.durability ?? .volatile).rawValue
            send(writer, ["SET", key, value, "DURABILITY", mode])
        case .write:
            if isRecording { writes.record(since: began, now) }
            step = .read
            send(reader, ["GET", key])
        case .read: finish(reply, now)
        }
    }

    private func finish(_ reply: ByteBuffer, _ now: NIODeadline) {
        if String(buffer: reply) != "$\(value.utf8.count)\r\n\(value)\r\n" {
            stale += 1
            firstError = firstError ?? "'\(key)' read at node \(reader) is not what was written at node \(writer)"
        }
        if isRecording {
            count += 1
            reads.record(since: began, now)
        }
        turn += 1
        begin()
    }

    private func pause() {
        guard let loop = links[writer]?.loop else { return }
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: .milliseconds(20)) { bound.value.begin() }
    }

    func result(_ empty: CacheBenchResult) -> CacheBenchResult {
        var result = empty
        (result.operations, result.stale, result.errors) = (count, stale, errors)
        result.firstError = firstError
        result.finish(reads, measure: "read")
        if writes.totalCount > 0 { result.latenciesMicroseconds.append(BenchResult.Latency("write", writes)) }
        return result
    }
}

/// One connection of a rally.
final class CacheBenchLink: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let rally: CacheBenchRally
    private let number: Int
    private var scanner = ReplyScanner()
    private var context: ChannelHandlerContext?

    init(_ rally: CacheBenchRally, _ number: Int) {
        self.rally = rally
        self.number = number
    }

    var loop: (any EventLoop)? { context?.eventLoop }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        rally.joined(self, number)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        rally.left(nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        rally.left("\(error)")
        context.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        scanner.append(unwrapInboundIn(data))
        do throws(RESPError) {
            while let reply = try scanner.next() { rally.received(reply) }
        } catch {
            rally.left("a reply that is no RESP: \(error)")
            context.close(promise: nil)
        }
    }

    func send(_ bytes: ByteBuffer) { context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil) }

    func close() { context?.close(promise: nil) }
}
