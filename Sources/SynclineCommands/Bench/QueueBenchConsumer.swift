// SPDX-License-Identifier: Apache-2.0
import Histogram
import NIOCore
import RESP

/// Receives a batch, acknowledges all of it in one command, and again.
final class QueueConsumer: QueueBenchWorker {
    /// How long a receive waits for messages; also about how long the end of a run takes.
    static let waitMilliseconds = 500
    private static let retryDelay = TimeAmount.milliseconds(50)
    /// Times that an acknowledgement is sent again, which is harmless: acknowledging twice is the same as once.
    private static let attempts = 100

    private enum Awaited {
        case receive(since: NIODeadline)
        case acknowledgement(Acknowledgement)
    }

    private struct Acknowledgement {
        var messages: ArraySlice<BenchMessage>
        /// As arguments of a command, of the same size each.
        var receipts: ByteBuffer
        /// When the receive was sent.
        var since: NIODeadline
        var attempts = 0
    }

    private let tally: QueueBenchTally
    private let prefetch: Bool
    private let receive: ByteBuffer
    private let acknowledge: ByteBuffer
    private var awaited = CircularBuffer<Awaited>()
    private var paused = 0

    init(_ tally: QueueBenchTally, _ cell: QueueBenchCell) {
        self.tally = tally
        prefetch = cell.prefetch
        receive = BenchWorkload.encode([
            ["QUEUE.RECEIVE", tally.queue, "COUNT", "\(cell.count)", "WAIT", "\(Self.waitMilliseconds)"]
        ])
        var writer = RESPWriter()
        writer.bulk("QUEUE.ACK")
        writer.bulk(tally.queue)
        acknowledge = writer.buffer
    }

    func opened(_ link: QueueBenchLink) { askForMore(link) }

    func received(_ reply: ByteBuffer, _ link: QueueBenchLink) {
        guard let expected = awaited.popFirst() else { return }
        let text = QueueBenchLink.errorText(reply)
        if let text { tally.note(error: text) }
        switch expected {
        case .receive(let since):
            if text != nil { pause(link) } else { delivered(reply, since: since, link) }
        case .acknowledgement(let acknowledgement):
            if let text { refused(acknowledgement, text, link) } else { acknowledged(acknowledgement) }
            if !prefetch, !isAcknowledging { askForMore(link) }
        }
        closeWhenDone(link)
    }

    func closed(_ link: QueueBenchLink) {
        if !awaited.isEmpty { tally.note(error: "a node closed the connection") }
        for case .acknowledgement(let lost) in awaited {
            for message in lost.messages { tally.ledger.leaveUnsettled(message) }
        }
    }

    private var isAcknowledging: Bool {
        paused > 0 || awaited.contains { if case .acknowledgement = $0 { true } else { false } }
    }

    private func askForMore(_ link: QueueBenchLink) {
        guard !tally.isStopping else { return }
        link.out.writeImmutableBuffer(receive)
        awaited.append(.receive(since: .now()))
    }

    private func delivered(_ reply: ByteBuffer, since: NIODeadline, _ link: QueueBenchLink) {
        let batch = DeliveredBatch(reply)
        guard !batch.messages.isEmpty else {
            askForMore(link)
            return
        }
        let now = NIODeadline.now()
        for message in batch.messages {
            tally.ledger.deliver(message)
            if tally.isRecording {
                tally.latencies.handOver.record(since: .uptimeNanoseconds(message.published), now)
            }
        }
        send(Acknowledgement(messages: batch.messages[...], receipts: batch.receipts, since: since), link)
        if prefetch { askForMore(link) }
    }

    private func send(_ acknowledgement: Acknowledgement, _ link: QueueBenchLink) {
        link.out.writeString("*\(2 + acknowledgement.messages.count)\r\n")
        link.out.writeImmutableBuffer(acknowledge)
        link.out.writeImmutableBuffer(acknowledgement.receipts)
        awaited.append(.acknowledgement(acknowledgement))
    }

    private func acknowledged(_ acknowledgement: Acknowledgement) {
        let now = NIODeadline.now()
        for message in acknowledgement.messages { tally.ledger.acknowledge(message) }
        tally.lastConsumed = now
        guard tally.isRecording else { return }
        tally.consumed += acknowledgement.messages.count
        tally.latencies.cycle.record(since: acknowledgement.since, now)
    }

    /// Finds out which of the messages are acknowledged: an error may be about one receipt of many.
    private func refused(_ refused: Acknowledgement, _ text: String, _ link: QueueBenchLink) {
        if text.hasPrefix("STALE") {
            // A single one is another consumer's by now, or will be.
            guard refused.messages.count > 1 else { return }
            var receipts = refused.receipts
            let size = receipts.readableBytes / refused.messages.count
            for message in refused.messages {
                guard let receipt = receipts.readSlice(length: size) else { return }
                send(Acknowledgement(messages: [message], receipts: receipt, since: refused.since), link)
            }
            return
        }
        var again = refused
        again.attempts += 1
        guard again.attempts < Self.attempts else {
            for message in refused.messages { tally.ledger.leaveUnsettled(message) }
            return
        }
        paused += 1
        link.schedule(at: .now() + Self.retryDelay) {
            self.paused -= 1
            self.send(again, link)
        }
    }

    private func pause(_ link: QueueBenchLink) {
        paused += 1
        link.schedule(at: .now() + Self.retryDelay) {
            self.paused -= 1
            self.askForMore(link)
            self.closeWhenDone(link)
        }
    }

    private func closeWhenDone(_ link: QueueBenchLink) {
        if tally.isStopping, awaited.isEmpty, paused == 0 { link.close() }
    }
}

/// What a consumer takes from the answer to a receive.
struct DeliveredBatch {
    private(set) var messages: [BenchMessage] = []
    /// The receipts as arguments of a command, one for each message.
    private(set) var receipts = ByteBuffer()

    /// Leaves out what has no receipt or no body of the benchmark's; such a message stays unacknowledged.
    init(_ reply: ByteBuffer) {
        reply.withUnsafeReadableBytes { bytes in
            var cursor = ReplyCursor(bytes)
            guard let count = cursor.header() else { return }
            for _ in 0..<count {
                guard let fields = cursor.header(), read(&cursor, fields: fields) else { return }
            }
        }
    }

    /// - Returns: false when the reply is not what was expected, and nothing more can be read from it.
    private mutating func read(_ cursor: inout ReplyCursor, fields: Int) -> Bool {
        var receipt: UnsafeRawBufferPointer?
        var message: BenchMessage?
        for _ in 0..<fields / 2 {
            guard let key = cursor.bulk() else { return false }
            if key.elementsEqual("receipt".utf8) {
                receipt = cursor.bulk()
            } else if key.elementsEqual("body".utf8) {
                message = cursor.bulk().flatMap { BenchMessage(body: $0) }
            } else if !cursor.skip() {
                return false
            }
        }
        guard let receipt, let message else { return true }
        messages.append(message)
        receipts.writeString("$\(receipt.count)\r\n")
        receipts.writeBytes(receipt)
        receipts.writeStaticString("\r\n")
        return true
    }
}
