// SPDX-License-Identifier: Apache-2.0
import Histogram
import NIOCore
import RESP

/// Publishes one message after the other, or several at a time, or at a fixed rate.
final class QueuePublisher: QueueBenchWorker {
    /// With a rate, publishes that may wait for their answers on one connection.
    private static let pacedDepth = 4_096
    /// Not at once again: an error that persists must not become a storm.
    private static let retryDelay = TimeAmount.milliseconds(50)

    private let tally: QueueBenchTally
    private let cell: QueueBenchCell
    /// Position among the producers, which spreads the paced ones over their interval.
    private let position: Int
    private let prefix: ByteBuffer
    private let filler: ByteBuffer
    private var producer: UInt32 = 0
    /// When each unanswered publish was due.
    private var unanswered = CircularBuffer<NIODeadline>()
    private var paused = 0
    private var nextDue = NIODeadline.uptimeNanoseconds(0)
    private var isClosing = false

    init(_ tally: QueueBenchTally, _ cell: QueueBenchCell, position: Int) {
        self.tally = tally
        self.cell = cell
        self.position = position
        var writer = RESPWriter()
        writer.array(3)
        writer.bulk("QUEUE.PUBLISH")
        writer.bulk(tally.queue)
        writer.buffer.writeString("$\(cell.size)\r\n")
        prefix = writer.buffer
        filler = ByteBuffer(repeating: UInt8(ascii: "x"), count: cell.size)
    }

    func opened(_ link: QueueBenchLink) {
        producer = tally.ledger.addProducer()
        if let interval {
            nextDue = .now() + .nanoseconds(interval.nanoseconds * Int64(position) / Int64(max(1, cell.producers)))
            pace(link)
        } else {
            for _ in 0..<cell.pipeline { publish(due: .now(), link) }
        }
    }

    func received(_ reply: ByteBuffer, _ link: QueueBenchLink) {
        guard let due = unanswered.popFirst() else { return }
        if let text = QueueBenchLink.errorText(reply) {
            refused(text, link)
            return
        }
        let now = NIODeadline.now()
        tally.ledger.confirm(1)
        if tally.isRecording {
            tally.published += 1
            tally.latencies.publish.record(since: due, now)
        }
        if tally.isStopping {
            closeWhenDone(link)
        } else if interval == nil {
            publish(due: now, link)
        }
    }

    func closed(_ link: QueueBenchLink) {
        guard !unanswered.isEmpty else { return }
        tally.note(error: "a node closed the connection")
        tally.ledger.lose(unanswered.count)
    }

    private var interval: TimeAmount? {
        cell.rate.map { .nanoseconds(Int64(cell.producers) * 1_000_000_000 / Int64(max(1, $0))) }
    }

    private func publish(due: NIODeadline, _ link: QueueBenchLink) {
        let message = BenchMessage(
            published: due.uptimeNanoseconds,
            producer: producer,
            sequence: tally.ledger.send(producer)
        )
        link.out.writeImmutableBuffer(prefix)
        message.write(into: &link.out, size: cell.size, filler: filler)
        link.out.writeStaticString("\r\n")
        unanswered.append(due)
    }

    /// A publish is due at its time, whether or not earlier ones are answered; its latency counts from then.
    private func pace(_ link: QueueBenchLink) {
        guard let interval else { return }
        if tally.isStopping {
            closeWhenDone(link)
            return
        }
        let now = NIODeadline.now()
        while nextDue <= now, unanswered.count < Self.pacedDepth {
            publish(due: nextDue, link)
            nextDue = nextDue + interval
        }
        link.schedule(at: max(nextDue, now + .microseconds(100))) { self.pace(link) }
    }

    private func refused(_ text: String, _ link: QueueBenchLink) {
        tally.note(error: text)
        if text.hasPrefix("UNKNOWN") { tally.ledger.lose(1) }
        guard interval == nil else { return }
        if tally.isStopping {
            closeWhenDone(link)
            return
        }
        paused += 1
        link.schedule(at: .now() + Self.retryDelay) {
            self.paused -= 1
            if self.tally.isStopping { self.closeWhenDone(link) } else { self.publish(due: .now(), link) }
        }
    }

    private func closeWhenDone(_ link: QueueBenchLink) {
        guard unanswered.isEmpty, paused == 0, !isClosing else { return }
        isClosing = true
        link.close()
    }
}

/// Puts messages into the queue as fast as it takes them, many in each publish, until there are enough.
final class QueueFiller: QueueBenchWorker {
    private static let depth = 4
    private static let retryDelay = TimeAmount.milliseconds(50)

    private let tally: QueueBenchTally
    private let cell: QueueBenchCell
    private let goal: QueueFillGoal
    private let filler: ByteBuffer
    private var producer: UInt32 = 0
    private var unanswered = CircularBuffer<Int>()
    private var paused = 0

    init(_ tally: QueueBenchTally, _ cell: QueueBenchCell, _ goal: QueueFillGoal) {
        self.tally = tally
        self.cell = cell
        self.goal = goal
        filler = ByteBuffer(repeating: UInt8(ascii: "x"), count: cell.size)
    }

    func opened(_ link: QueueBenchLink) {
        producer = tally.ledger.addProducer()
        for _ in 0..<Self.depth { fill(link) }
        closeWhenDone(link)
    }

    func received(_ reply: ByteBuffer, _ link: QueueBenchLink) {
        guard let count = unanswered.popFirst() else { return }
        if let text = QueueBenchLink.errorText(reply) {
            tally.note(error: text)
            if text.hasPrefix("UNKNOWN") { tally.ledger.lose(count) } else { goal.left += count }
            // What does not pass by itself ends the fill.
            if !["UNKNOWN", "BUSY", "UNAVAILABLE"].contains(where: text.hasPrefix) { tally.isStopping = true }
            paused += 1
            link.schedule(at: .now() + Self.retryDelay) {
                self.paused -= 1
                self.fill(link)
                self.closeWhenDone(link)
            }
            return
        }
        tally.ledger.confirm(count)
        tally.published += count
        fill(link)
        closeWhenDone(link)
    }

    func closed(_ link: QueueBenchLink) {
        guard !unanswered.isEmpty else { return }
        tally.note(error: "a node closed the connection")
        tally.ledger.lose(unanswered.reduce(0, +))
    }

    private func fill(_ link: QueueBenchLink) {
        let count = tally.isStopping ? 0 : min(cell.fillCount, goal.left)
        guard count > 0 else { return }
        goal.left -= count
        var writer = RESPWriter(buffer: link.out)
        writer.array(2 + count)
        writer.bulk("QUEUE.PUBLISHMANY")
        writer.bulk(tally.queue)
        let now = NIODeadline.now().uptimeNanoseconds
        for _ in 0..<count {
            let message = BenchMessage(published: now, producer: producer, sequence: tally.ledger.send(producer))
            writer.buffer.writeString("$\(cell.size)\r\n")
            message.write(into: &writer.buffer, size: cell.size, filler: filler)
            writer.buffer.writeStaticString("\r\n")
        }
        link.out = writer.buffer
        unanswered.append(count)
    }

    private func closeWhenDone(_ link: QueueBenchLink) {
        guard unanswered.isEmpty, paused == 0 else { return }
        link.close()
    }
}

/// How many messages the fillers still have to publish, together.
final class QueueFillGoal {
    var left: Int

    init(_ left: Int) { self.left = left }
}
