// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore

/// A queue state with its log position: commands go in one after the other, as from a log. After each one the
/// invariants are checked, and the snapshot is read back and compared.
struct QueueWorld {
    var state: QueueState
    /// Index of the last command; also the number of its request and the entry of its messages.
    var index: UInt64 = 0
    var term = Term(1)
    var stamp: UInt64 = 100_000
    let layout: IndexLayout
    var checksSnapshots = true
    var checksInvariants = true
    /// Bodies reported dead so far, each once.
    var deadBodies: [BodyRange] = []

    init(limits: QueueLimits = QueueLimits(), index: IndexLayout = IndexLayout()) {
        layout = index
        state = QueueState(shard: ShardID(7), limits: limits, index: index)
    }

    static func request(_ number: UInt64) -> RequestID { RequestID(origin: 1, number: number) }

    /// Applies a command as the next entry; its request has the entry's number.
    @discardableResult
    mutating func apply(_ command: QueueCommand, isInternal: Bool = false) -> QueueEffects {
        index += 1
        let request = isInternal ? RequestID.internal : Self.request(index)
        var effects = QueueEffects()
        let context = QueueContext(index: LogIndex(index), term: term, stamp: stamp, request: request)
        state.apply(command, context, into: &effects)
        if checksInvariants { state.checkInvariants() }
        if checksSnapshots { checkSnapshot() }
        deadBodies += effects.deadBodies
        return effects
    }

    /// Applies a command and returns its own answer, nil when it waits.
    @discardableResult
    mutating func answer(_ command: QueueCommand) -> QueueResponse? {
        let effects = apply(command)
        return effects.responses.first { $0.request == Self.request(index) }?.response
    }

    /// Lets time pass, and the leader tick until nothing is due.
    @discardableResult
    mutating func advance(_ milliseconds: UInt64) -> QueueEffects {
        stamp += milliseconds
        var all = QueueEffects()
        while let due = state.nextDue, due <= stamp {
            let effects = apply(.tick(term: term), isInternal: true)
            all.responses += effects.responses
            all.events += effects.events
            all.deadBodies += effects.deadBodies
        }
        return all
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        state.encode(into: &writer)
        return writer.bytes
    }

    func checkSnapshot() {
        let bytes = encoded()
        var fromCopy = ByteWriter()
        state.encodable.encode(into: &fromCopy)
        invariant(fromCopy.bytes == bytes, "a copy made for encoding lacks something")
        var reader = ByteReader(bytes)
        do {
            let copy = try QueueState(decoding: &reader, limits: state.limits, index: layout)
            var writer = ByteWriter()
            copy.encode(into: &writer)
            invariant(reader.isAtEnd && writer.bytes == bytes, "a snapshot changes on its way")
            invariant(copy.digest == state.digest && copy.nextDue == state.nextDue, "a snapshot forgets")
        } catch {
            invariantFailure("a snapshot does not decode: \(error)")
        }
    }

    mutating func restart() {
        let bytes = encoded()
        var reader = ByteReader(bytes)
        if let copy = try? QueueState(decoding: &reader, limits: state.limits, index: layout) { state = copy }
    }
}

extension QueueWorld {
    static func text(_ text: String) -> PublishMessage { PublishMessage(body: Array(text.utf8)) }

    /// Publishes bodies of one byte each, and returns their ids.
    @discardableResult
    mutating func publish(
        _ queue: String,
        _ count: Int = 1,
        _ change: (inout PublishMessage) -> Void = { _ in }
    ) -> [MessageID] {
        var message = PublishMessage(body: [1])
        change(&message)
        let messages = Array(repeating: message, count: count)
        guard case .published(let published) = answer(.publish(Publish(queue: Name(queue), messages: messages))) else {
            return []
        }
        return published.map(\.id)
    }

    mutating func receive(_ queue: String, _ count: UInt64 = 1, _ change: (inout Receive) -> Void = { _ in })
        -> [Delivery]
    {
        var receive = Receive(queue: Name(queue), count: count)
        change(&receive)
        guard case .received(let deliveries) = answer(.receive(receive)) else { return [] }
        return deliveries
    }

    @discardableResult
    mutating func settle(_ queue: String, _ deliveries: [Delivery], _ settlement: Settlement = .ack) -> [SettleOutcome]
    {
        let settle = Settle(queue: Name(queue), receipts: deliveries.map(\.receipt), settlement: settlement)
        guard case .settled(let outcomes) = answer(.settle(settle)) else { return [] }
        return outcomes
    }

    @discardableResult
    mutating func nack(_ queue: String, _ deliveries: [Delivery], delay: Int64 = 0) -> [SettleOutcome] {
        settle(queue, deliveries, .nack(delayMilliseconds: delay, reason: "no"))
    }

    @discardableResult
    mutating func open(_ consumer: String, credit: UInt64 = 100) -> QueueResponse? {
        answer(.openConsumer(OpenConsumer(id: Name(consumer), ttlMilliseconds: 10_000, credit: credit)))
    }

    @discardableResult
    mutating func declare(_ queue: String, _ change: (inout QueueSettings) -> Void) -> QueueResponse? {
        var settings = QueueSettings()
        change(&settings)
        return answer(.declare(Name(queue), settings))
    }

    func view(_ queue: String) -> QueueView? {
        guard case .queue(let view) = state.query(.queue(Name(queue)), stamp: stamp) else { return nil }
        return view
    }

    func peek(_ queue: String, _ state: MessageState, _ limit: Int = 100) -> [MessageView] {
        guard case .messages(let views) = self.state.query(.peek(Name(queue), state, limit: limit), stamp: stamp) else {
            return []
        }
        return views
    }
}
