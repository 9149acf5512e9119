// SPDX-License-Identifier: Apache-2.0
import Histogram
import NIOCore
import Primitives

/// What the clients of one event loop count.
final class CacheBenchTally {
    var latencies = BenchTally.histogram()
    var operations = 0
    var nulls = 0
    var errors = 0
    var firstError: String?
    var isRecording = false
    var isStopping = false
    var active = 0
    /// Clients that have not finished the present phase.
    var busy = 0
    var clients: [CacheBenchClient] = []

    func note(error: String, count: Int = 1) {
        if isStopping { return }
        errors += count
        firstError = firstError ?? error
    }
}

/// One connection: sends a batch of commands, waits for all of its replies, sends the next, as redis-benchmark does.
final class CacheBenchClient: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase {
        /// Each key is set once, by all clients together.
        case fill
        /// Each key is read once at each node, so that the node has it.
        case warm
        case measure
    }

    /// Commands of one batch before anything is measured.
    private static let filling = 16
    /// How often such a batch is sent again when the node is too busy for some of it.
    private static let patience = 250
    /// An error that persists must not become a storm.
    private static let pause = TimeAmount.milliseconds(20)

    private let tally: CacheBenchTally
    private let cell: CacheBenchCell
    private let commands: CacheBenchCommands
    private let zipf: ZipfSampler?
    /// Which of all clients this is, and which of those of its node.
    private let place: (number: Int, ofNode: Int, atNode: Int)
    private var random: SeededRandom
    private var context: ChannelHandlerContext?
    private var phase = Phase.measure
    private var counter = ReplyCounter()
    /// Replies counted before the present batch, and how many it has.
    private var answered = 0
    private var waiting = 0
    private var errorsBefore = 0
    private var nullsBefore = 0
    private var began = NIODeadline.uptimeNanoseconds(0)
    private var nextKey = 0
    private var batchKey = 0
    private var refusals = 0
    private var isWorking = false

    init(
        _ tally: CacheBenchTally,
        _ cell: CacheBenchCell,
        _ commands: CacheBenchCommands,
        _ zipf: ZipfSampler?,
        place: (number: Int, ofNode: Int, atNode: Int)
    ) {
        self.tally = tally
        self.cell = cell
        self.commands = commands
        self.zipf = zipf
        self.place = place
        random = SeededRandom(seed: UInt64(place.number) &+ 1)
    }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        tally.active += 1
        tally.clients.append(self)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        tally.active -= 1
        if isWorking { tally.note(error: "a node closed the connection") }
        finish()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        tally.note(error: "\(error)")
        context.close(promise: nil)
    }

    func begin(_ phase: Phase) {
        guard context != nil else { return }
        self.phase = phase
        nextKey = phase == .warm ? place.ofNode : place.number
        isWorking = true
        tally.busy += 1
        sendBatch()
    }

    func close() { context?.close(promise: nil) }

    private func finish() {
        guard isWorking else { return }
        isWorking = false
        tally.busy -= 1
    }

    private func sendBatch() {
        guard let context, !tally.isStopping else { return finish() }
        var out = context.channel.allocator.buffer(capacity: 16_384)
        batchKey = nextKey
        let depth = phase == .measure ? cell.pipeline : Self.filling
        var count = 0
        while count < depth, write(into: &out) { count += 1 }
        guard count > 0 else { return finish() }
        (waiting, errorsBefore, nullsBefore) = (count, counter.errors, counter.nulls)
        answered = counter.replies
        began = .now()
        context.writeAndFlush(wrapOutboundOut(out), promise: nil)
    }

    /// False: the phase has no more.
    private func write(into out: inout ByteBuffer) -> Bool {
        if phase != .measure {
            guard nextKey < cell.keys else { return false }
            if phase == .fill { commands.writeSet(nextKey, into: &out) } else { commands.writeGet(nextKey, into: &out) }
            nextKey += phase == .fill ? cell.clients : place.atNode
            return true
        }
        let key = zipf?.sample(&random) ?? Int(random.below(UInt64(cell.keys)))
        let writes =
            switch cell.workload {
            case .set: true
            case .mix: random.chance(CacheBenchCell.writePercent, in: 100)
            case .get, .miss, .suite: false
            }
        if writes { commands.writeSet(key, into: &out) } else { commands.writeGet(key, into: &out) }
        return true
    }

    /// Whether what prepares the measurement has been refused too often, or for a reason that does not pass.
    private var isGivingUp: Bool {
        refusals += 1
        let error = counter.firstError ?? ""
        return refusals > Self.patience || !["BUSY", "UNAVAILABLE", "UNKNOWN"].contains { error.hasPrefix($0) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unwrapInboundIn(data).withUnsafeReadableBytes { counter.read($0) }
        if counter.isLost {
            tally.note(error: counter.firstError ?? "no replies")
            return context.close(promise: nil)
        }
        guard isWorking, counter.replies - answered >= waiting else { return }
        let errors = counter.errors - errorsBefore
        if errors > 0, phase == .measure || isGivingUp {
            tally.note(error: counter.firstError ?? "an error", count: errors)
        }
        if tally.isRecording, phase == .measure {
            tally.operations += waiting - errors
            tally.nulls += counter.nulls - nullsBefore
            _ = tally.latencies.record(
                UInt64(clamping: (NIODeadline.now() - began).nanoseconds),
                count: UInt64(waiting)
            )
        }
        guard errors > 0 else {
            refusals = 0
            return sendBatch()
        }
        if phase != .measure { nextKey = batchKey }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: Self.pause) { bound.value.sendBatch() }
    }
}
