// SPDX-License-Identifier: Apache-2.0
import NIOCore

/// Which message a body belongs to: the first bytes of every body that the benchmark publishes.
struct BenchMessage: Equatable, Sendable {
    /// Bytes at the start of a body; no body is shorter.
    static let headerBytes = 16

    /// When its publish was due, in nanoseconds of this machine's uptime.
    var published: UInt64
    var producer: UInt32
    /// Counted from zero by each producer.
    var sequence: UInt32

    init(published: UInt64, producer: UInt32, sequence: UInt32) {
        self.published = published
        self.producer = producer
        self.sequence = sequence
    }

    init?(body: UnsafeRawBufferPointer) {
        guard body.count >= Self.headerBytes else { return nil }
        published = UInt64(bigEndian: body.loadUnaligned(as: UInt64.self))
        producer = UInt32(bigEndian: body.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        sequence = UInt32(bigEndian: body.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
    }

    /// Appends a body of `size` bytes, `filler` behind the header.
    func write(into buffer: inout ByteBuffer, size: Int, filler: ByteBuffer) {
        buffer.writeMultipleIntegers(published, producer, sequence)
        let rest = size - Self.headerBytes
        if let slice = filler.getSlice(at: filler.readerIndex, length: rest) { buffer.writeImmutableBuffer(slice) }
    }
}

/// What became of each message of one queue: the proof that goes with the figures.
struct QueueBenchLedger {
    /// One bit for each message of a producer.
    private struct Bits {
        private var words: [UInt64] = []

        /// Whether the bit was not set before.
        mutating func insert(_ index: Int) -> Bool {
            while words.count <= index >> 6 { words.append(0) }
            let mask = UInt64(1) << UInt64(index & 63)
            defer { words[index >> 6] |= mask }
            return words[index >> 6] & mask == 0
        }

        func contains(_ index: Int) -> Bool {
            index >> 6 < words.count && words[index >> 6] & (UInt64(1) << UInt64(index & 63)) != 0
        }

        /// Whether the bit was set before.
        mutating func remove(_ index: Int) -> Bool {
            guard contains(index) else { return false }
            words[index >> 6] &= ~(UInt64(1) << UInt64(index & 63))
            return true
        }
    }

    private struct Producer {
        var sent: UInt32 = 0
        var delivered = Bits()
        var acknowledged = Bits()
        var unsettled = Bits()
    }

    private var producers: [Producer] = []
    /// Publishes that were answered with an id.
    private(set) var confirmed = 0
    /// Publishes whose outcome is unknown: no answer, or one that says so.
    private(set) var unconfirmed = 0
    /// Different messages delivered at least once.
    private(set) var delivered = 0
    /// Deliveries beyond a message's first.
    private(set) var redelivered = 0
    /// Different messages acknowledged.
    private(set) var acknowledged = 0
    /// Different messages that may or may not be acknowledged: the answer never came.
    private(set) var unsettled = 0
    /// Deliveries of what nobody published.
    private(set) var phantoms = 0

    mutating func addProducer() -> UInt32 {
        producers.append(Producer())
        return UInt32(truncatingIfNeeded: producers.count - 1)
    }

    /// The sequence number of a producer's next message.
    mutating func send(_ producer: UInt32) -> UInt32 {
        defer { producers[Int(producer)].sent += 1 }
        return producers[Int(producer)].sent
    }

    mutating func confirm(_ count: Int) { confirmed += count }

    mutating func lose(_ count: Int) { unconfirmed += count }

    mutating func deliver(_ message: BenchMessage) {
        let producer = Int(message.producer)
        guard producer < producers.count, message.sequence < producers[producer].sent else {
            phantoms += 1
            return
        }
        if producers[producer].delivered.insert(Int(message.sequence)) { delivered += 1 } else { redelivered += 1 }
    }

    mutating func acknowledge(_ message: BenchMessage) {
        let producer = Int(message.producer)
        guard producer < producers.count, message.sequence < producers[producer].sent else { return }
        if producers[producer].acknowledged.insert(Int(message.sequence)) { acknowledged += 1 }
        if producers[producer].unsettled.remove(Int(message.sequence)) { unsettled -= 1 }
    }

    /// The message's acknowledgement has no clear answer.
    mutating func leaveUnsettled(_ message: BenchMessage) {
        let producer = Int(message.producer)
        guard producer < producers.count, message.sequence < producers[producer].sent,
            !producers[producer].acknowledged.contains(Int(message.sequence))
        else { return }
        if producers[producer].unsettled.insert(Int(message.sequence)) { unsettled += 1 }
    }

    /// - Parameter left: what the queue still holds, in all states.
    func account(left: Int) -> QueueBenchAccount {
        QueueBenchAccount(
            confirmed: confirmed,
            unconfirmed: unconfirmed,
            acknowledged: acknowledged,
            unsettled: unsettled,
            left: left,
            redelivered: redelivered,
            phantoms: phantoms,
            lost: max(0, confirmed - acknowledged - unsettled - left),
            unexplained: max(0, acknowledged + left - confirmed - unconfirmed)
        )
    }
}

/// Every message accounted for: confirmed = acknowledged + left, when no outcome is unknown.
struct QueueBenchAccount: Codable, Sendable, Equatable {
    var confirmed: Int
    /// Publishes without a clear answer; each may be in the queue or not.
    var unconfirmed: Int
    var acknowledged: Int
    /// Delivered, and acknowledged without a clear answer; each may be in the queue or not.
    var unsettled: Int
    /// Still in the queue, in all states.
    var left: Int
    var redelivered: Int
    var phantoms: Int
    /// Confirmed, and neither acknowledged nor left.
    var lost: Int
    /// More messages than were published.
    var unexplained: Int

    var isBalanced: Bool { lost == 0 && unexplained == 0 && phantoms == 0 }

    var text: String {
        var text = "\(confirmed) confirmed = \(acknowledged) acknowledged + \(left) left"
        if unconfirmed > 0 { text += ", \(unconfirmed) unconfirmed" }
        if unsettled > 0 { text += ", \(unsettled) unsettled" }
        if redelivered > 0 { text += ", \(redelivered) delivered again" }
        if unexplained + phantoms > 0 { text += ", \(unexplained + phantoms) that nobody published" }
        return text + ", \(lost) lost"
    }
}
