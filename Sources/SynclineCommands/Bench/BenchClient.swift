// SPDX-License-Identifier: Apache-2.0
import Histogram
import NIOCore
import Primitives
import RESP

/// What all clients of a run count, on the one event loop they share.
final class BenchTally {
    /// Latencies in nanoseconds, up to a minute.
    struct Latencies {
        var acquire = BenchTally.histogram()
        var release = BenchTally.histogram()
        var operation = BenchTally.histogram()
        var handOver = BenchTally.histogram()
    }

    var latencies = Latencies()
    var operations = 0
    var missed = 0
    var errors = 0
    var firstError: String?
    var isRecording = false
    var isStopping = false
    /// When the lock of the contended workload was last given back.
    var lastRelease: NIODeadline?
    var active = 0

    static func histogram() -> Histogram<UInt64> {
        Histogram(
            lowestDiscernibleValue: 1_000,
            highestTrackableValue: 60_000_000_000,
            numberOfSignificantValueDigits: .three
        )
    }

    func note(error: String) {
        if isStopping { return }
        errors += 1
        firstError = firstError ?? error
    }
}

/// One connection with one session and some lanes, each of which does one operation after the other.
final class BenchClient: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private struct Lane {
        var operations: [BenchOperation] = []
        var current = 0
        var began = NIODeadline.uptimeNanoseconds(0)
        var released = NIODeadline.uptimeNanoseconds(0)
        var releasesLeft = 0
    }

    private enum Awaited {
        case session
        case acquire(lane: Int)
        case release(lane: Int)
        case close
    }

    private let tally: BenchTally
    private let plan: BenchPlan
    private let number: Int
    private var random: SeededRandom
    private var parser = RESPValueParser()
    private var awaited = CircularBuffer<Awaited>()
    private var lanes: [Lane]
    private var session = ""
    private var idleLanes = 0

    init(tally: BenchTally, plan: BenchPlan, number: Int) {
        self.tally = tally
        self.plan = plan
        self.number = number
        random = SeededRandom(seed: UInt64(number) &+ 1)
        lanes = Array(repeating: Lane(), count: plan.pipeline)
    }

    func channelActive(context: ChannelHandlerContext) {
        tally.active += 1
        // Long enough for the run: renewals would be part of what is measured.
        let ttl = min(3_600, plan.seconds + plan.warmup + 60) * 1_000
        let open = [
            "SESSION.OPEN", "TTL", "\(ttl)", "LABEL", "bench \(number)", "NAMESPACE", plan.namespace(ofClient: number),
        ]
        send(BenchWorkload.encode([open]), [.session], context)
        context.flush()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        parser.append(unwrapInboundIn(data))
        do {
            while let value = try parser.next() { handle(value, context) }
        } catch {
            tally.note(error: "\(error)")
            context.close(promise: nil)
        }
    }

    /// One flush for all that a batch of answers set off.
    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    func channelInactive(context: ChannelHandlerContext) {
        tally.active -= 1
        if !awaited.isEmpty { tally.note(error: "a node closed the connection") }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        tally.note(error: "\(error)")
        context.close(promise: nil)
    }

    private func send(_ bytes: ByteBuffer, _ answers: [Awaited], _ context: ChannelHandlerContext) {
        awaited.append(contentsOf: answers)
        context.write(wrapOutboundOut(bytes), promise: nil)
    }

    private func handle(_ value: RESPValue, _ context: ChannelHandlerContext) {
        guard let expected = awaited.popFirst() else { return }
        if case .error(let text) = value { tally.note(error: text) }
        switch expected {
        case .session:
            guard case .bulk(let id) = value else {
                context.close(promise: nil)
                return
            }
            start(session: String(buffer: id), context)
        case .acquire(let lane): acquired(value, lane, context)
        case .release(let lane): released(lane, context)
        case .close: context.close(promise: nil)
        }
    }

    private func start(session: String, _ context: ChannelHandlerContext) {
        self.session = session
        for lane in lanes.indices {
            lanes[lane].operations = plan.workload.operations(
                session: session,
                client: number,
                lane: lane,
                random: &random
            )
            begin(lane, context)
        }
    }

    private func begin(_ lane: Int, _ context: ChannelHandlerContext) {
        guard !tally.isStopping else {
            idleLanes += 1
            if idleLanes == lanes.count { send(BenchWorkload.encode([["SESSION.CLOSE", session]]), [.close], context) }
            return
        }
        let count = lanes[lane].operations.count
        lanes[lane].current = count == 1 ? 0 : Int(random.below(UInt64(count)))
        lanes[lane].began = .now()
        send(lanes[lane].operations[lanes[lane].current].acquire, [.acquire(lane: lane)], context)
    }

    private func acquired(_ value: RESPValue, _ lane: Int, _ context: ChannelHandlerContext) {
        let now = NIODeadline.now()
        switch value {
        case .error:
            // Not at once again: an error that persists must not become a storm.
            retry(lane, context)
            return
        case .null:
            if tally.isRecording { tally.missed += 1 }
            begin(lane, context)
            return
        default: break
        }
        if tally.isRecording {
            tally.latencies.acquire.record(since: lanes[lane].began, now)
            if plan.workload == .contended, let last = tally.lastRelease {
                tally.latencies.handOver.record(since: last, now)
            }
        }
        let operation = lanes[lane].operations[lanes[lane].current]
        guard operation.releaseCount > 0 else { return finish(lane, now, context) }
        lanes[lane].releasesLeft = operation.releaseCount
        lanes[lane].released = now
        tally.lastRelease = now
        send(operation.release, Array(repeating: .release(lane: lane), count: operation.releaseCount), context)
    }

    private func released(_ lane: Int, _ context: ChannelHandlerContext) {
        lanes[lane].releasesLeft -= 1
        guard lanes[lane].releasesLeft == 0 else { return }
        let now = NIODeadline.now()
        if tally.isRecording { tally.latencies.release.record(since: lanes[lane].released, now) }
        finish(lane, now, context)
    }

    private func finish(_ lane: Int, _ now: NIODeadline, _ context: ChannelHandlerContext) {
        if tally.isRecording {
            tally.operations += 1
            tally.latencies.operation.record(since: lanes[lane].began, now)
        }
        begin(lane, context)
    }

    private func retry(_ lane: Int, _ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: .milliseconds(50)) {
            let (client, context) = bound.value
            guard context.channel.isActive else { return }
            client.begin(lane, context)
            context.flush()
        }
    }
}

extension Histogram {
    mutating func record(since start: NIODeadline, _ end: NIODeadline) {
        _ = record(UInt64(clamping: (end - start).nanoseconds))
    }
}
