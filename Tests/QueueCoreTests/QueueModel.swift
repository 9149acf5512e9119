// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore

/// The queue rules written down as plainly as possible: arrays that are searched from end to end, nothing kept that
/// can be derived, and no code in common with the state machine.
struct QueueModel {
    struct Message {
        var id: MessageID
        var queue: String
        var key: String
        var tenant: String
        var priority: Int
        var bytes: UInt64
        var published: UInt64
        var expires: UInt64?
        var state = MessageState.ready
        var due: UInt64 = 0
        var deliveries: UInt32 = 0
        var failures: UInt64 = 0
        var cause = ReturnCause.none
        var consumer: String?
        var isHeld = false
        var origin: String?
        var deadCause = DeadCause.attempts
        /// Order within its key, and of its latest delivery.
        var turn: Int64 = 0
        var flight = 0
    }

    struct Waiting {
        var request: UInt64
        var queue: String
        var consumer: String?
        var count: UInt64
        var maxBytes: UInt64
        var deadline: UInt64
    }

    struct Queue {
        var name: String
        var settings: QueueSettings
        var isPaused = false
        var ring: [(tenant: String, deficit: Int64)] = []
        /// Dead letters that a redrive would take, in order.
        var listed: [MessageID] = []
        var dedup: [(name: String, id: MessageID, expires: UInt64)] = []
        var acked: UInt64 = 0
        var expired: UInt64 = 0
        var purged: UInt64 = 0
        var dropped: UInt64 = 0
    }

    struct Got: Equatable {
        var id: MessageID
        var delivery: UInt32
        var attempt: UInt64
        var cause: ReturnCause
        var origin: String?
    }

    var stamp: UInt64
    var messages: [Message] = []
    var queues: [Queue] = []
    var consumers: [(id: String, credit: Int)] = []
    var waiting: [Waiting] = []
    /// Answers to receives that had waited; nil for a refusal.
    var answers: [(request: UInt64, got: [Got]?)] = []
    private var counter: Int64 = 0

    init(stamp: UInt64) { self.stamp = stamp }

    func queue(_ name: String) -> Int { queues.firstIndex { $0.name == name } ?? 0 }

    func index(_ id: MessageID) -> Int? { messages.firstIndex { $0.id == id } }

    // MARK: Who can be delivered

    private func isBlocked(_ queue: String, _ key: String) -> Bool {
        messages.contains { $0.queue == queue && $0.key == key && ($0.state == .inFlight || $0.isHeld) }
    }

    func offered(_ queue: String, without key: String? = nil) -> [Message] {
        messages.filter { message in
            guard message.queue == queue, message.state == .ready else { return false }
            if message.key.isEmpty { return true }
            if message.key == key || isBlocked(queue, message.key) { return false }
            return !messages.contains {
                $0.queue == queue && $0.key == message.key && $0.state == .ready && $0.turn < message.turn
            }
        }
    }

    /// Tenants join the ring at its end and leave it when they have nothing.
    private mutating func turnRing(_ name: String, without key: String? = nil) {
        let place = queue(name)
        let tenants = offered(name, without: key).sorted { $0.id < $1.id }.map(\.tenant)
        queues[place].ring.removeAll { !tenants.contains($0.tenant) }
        for tenant in tenants where !queues[place].ring.contains(where: { $0.tenant == tenant }) {
            queues[place].ring.append((tenant, 0))
        }
    }

    private func cost(_ message: Message) -> Int64 { min(16_384, 512 + Int64(message.bytes)) }

    private mutating func next(_ name: String) -> Message? {
        let place = queue(name)
        while let front = queues[place].ring.first {
            let own = offered(name).filter { $0.tenant == front.tenant }
            guard let best = own.min(by: { ($1.priority, $0.id) < ($0.priority, $1.id) }) else { return nil }
            if queues[place].ring.count == 1 || front.deficit >= cost(best) { return best }
            queues[place].ring.removeFirst()
            queues[place].ring.append((front.tenant, front.deficit + 16_384))
        }
        return nil
    }

    // MARK: Changes

    private mutating func drop(_ id: MessageID) {
        guard let index = index(id) else { return }
        let wasOffered = offered(messages[index].queue).contains { $0.id == id }
        let message = messages.remove(at: index)
        queues[queue(message.queue)].listed.removeAll { $0 == id }
        // For a moment its key has nothing to offer; the tenant may lose its turn.
        if wasOffered { turnRing(message.queue, without: message.key) }
        turnRing(message.queue)
    }

    private mutating func makeReady(_ index: Int, atFront: Bool) {
        counter += 1
        messages[index].state = .ready
        messages[index].isHeld = false
        messages[index].consumer = nil
        messages[index].turn = atFront ? -counter : counter
        let message = messages[index]
        if message.origin != nil { queues[queue(message.queue)].listed.append(message.id) }
        turnRing(message.queue)
    }

    private func hasRoom(_ name: String, _ count: UInt64, _ bytes: UInt64, keeping: (Message) -> Bool = { _ in true })
        -> Bool
    {
        let settings = queues[queue(name)].settings
        let there = messages.filter { $0.queue == name && $0.state != .dead && keeping($0) }
        return (settings.maxLength == 0 || UInt64(there.count) + count <= settings.maxLength)
            && (settings.maxBytes == 0 || there.reduce(0) { $0 + $1.bytes } + bytes <= settings.maxBytes)
    }

    private mutating func makeRoom(_ name: String, _ count: UInt64, _ bytes: UInt64) -> Bool {
        if hasRoom(name, count, bytes) { return true }
        let place = queue(name)
        guard queues[place].settings.overflow == .dropOldest else { return false }
        let couldFit = hasRoom(name, count, bytes) { message in
            message.state != .ready || (!message.key.isEmpty && isBlocked(name, message.key))
        }
        guard couldFit else { return false }
        while !hasRoom(name, count, bytes), let oldest = offered(name).min(by: { $0.id < $1.id }) {
            drop(oldest.id)
            queues[place].dropped += 1
        }
        return true
    }

    mutating func publish(_ publish: Publish, entry: UInt64) -> [Published]? {
        let place = queue(publish.queue.text)
        let settings = queues[place].settings
        var result: [Published] = []
        var own: [(name: String, id: MessageID)] = []
        for (ordinal, message) in publish.messages.enumerated() {
            let id = MessageID(entry: LogIndex(entry), ordinal: ordinal)
            let name = message.dedup.text
            let known =
                own.first { $0.name == name }?.id
                ?? queues[place].dedup.last { $0.name == name && $0.expires > stamp }?.id
            if !name.isEmpty, let known {
                result.append(Published(id: known, isDuplicate: true))
            } else {
                own.append((name, id))
                result.append(Published(id: id))
            }
        }
        let fresh = zip(publish.messages, result).filter { !$0.1.isDuplicate }
        let bytes = fresh.reduce(UInt64(0)) { $0 + UInt64($1.0.storedBytes) }
        guard fresh.isEmpty || makeRoom(publish.queue.text, UInt64(fresh.count), bytes) else { return nil }
        for (message, published) in fresh {
            if !message.dedup.text.isEmpty {
                queues[place].dedup.append((message.dedup.text, published.id, stamp + settings.dedupMilliseconds))
            }
            var entry = Message(
                id: published.id,
                queue: publish.queue.text,
                key: message.key.text,
                tenant: message.tenant.text,
                priority: Int(message.priority),
                bytes: UInt64(message.storedBytes),
                published: stamp
            )
            let ttl = message.ttlMilliseconds > 0 ? message.ttlMilliseconds : settings.ttlMilliseconds
            if ttl > 0 { entry.expires = stamp + ttl }
            if case .after(let delay) = message.schedule, delay > 0 {
                entry.state = .delayed
                entry.due = stamp + UInt64(delay)
                messages.append(entry)
            } else {
                messages.append(entry)
                makeReady(messages.count - 1, atFront: false)
            }
        }
        return result
    }

    private func credit(_ consumer: String?) -> Int {
        guard let consumer else { return .max }
        let flying = messages.filter { $0.consumer == consumer }.count
        return (consumers.first { $0.id == consumer }?.credit ?? 0) - flying
    }

    private mutating func take(_ wait: Waiting) -> [Got] {
        var got: [Got] = []
        var bytes: UInt64 = 0
        let place = queue(wait.queue)
        let lease = queues[place].settings.leaseMilliseconds
        while UInt64(got.count) < wait.count, !queues[place].isPaused, credit(wait.consumer) > 0,
            let message = next(wait.queue), let index = index(message.id)
        {
            if let expires = message.expires, expires <= stamp {
                drop(message.id)
                queues[place].expired += 1
                continue
            }
            if wait.maxBytes > 0, !got.isEmpty, bytes + message.bytes > wait.maxBytes { break }
            bytes += message.bytes
            if queues[place].ring.count > 1 { queues[place].ring[0].deficit -= cost(message) }
            counter += 1
            messages[index].state = .inFlight
            messages[index].deliveries += 1
            messages[index].due = stamp + lease
            messages[index].consumer = wait.consumer
            messages[index].flight = Int(counter)
            queues[place].listed.removeAll { $0 == message.id }
            turnRing(wait.queue)
            got.append(
                Got(
                    id: message.id,
                    delivery: message.deliveries + 1,
                    attempt: message.failures + 1,
                    cause: message.cause,
                    origin: message.origin
                )
            )
        }
        return got
    }

    /// Nil when it waits.
    mutating func receive(_ wait: Waiting, waits: Bool) -> [Got]? {
        if !waiting.contains(where: { $0.queue == wait.queue }) {
            let got = take(wait)
            if !got.isEmpty { return got }
        }
        guard waits else { return [] }
        waiting.append(wait)
        return nil
    }

    /// Receives that wait get what there is, in their order.
    mutating func serve() {
        for name in queues.map(\.name) {
            while let place = waiting.firstIndex(where: { $0.queue == name }) {
                let got = take(waiting[place])
                guard !got.isEmpty else { break }
                answers.append((waiting.remove(at: place).request, got))
            }
        }
    }

    func judge(_ receipt: Receipt, on queue: String) -> SettleOutcome {
        guard receipt.line == Receipt.tag(of: Name(queue)) else { return .foreign }
        guard let index = index(receipt.message) else { return .gone }
        let message = messages[index]
        return message.queue == queue && message.state == .inFlight && message.deliveries == receipt.delivery
            ? .done : .stale
    }

    mutating func settle(_ settle: Settle) -> [SettleOutcome] {
        settle.receipts.map { receipt in
            let outcome = judge(receipt, on: settle.queue.text)
            guard outcome == .done, let index = index(receipt.message) else { return outcome }
            switch settle.settlement {
            case .ack:
                drop(receipt.message)
                queues[queue(settle.queue.text)].acked += 1
            case .nack(let delay, _): comeBack(receipt.message, .nacked, delay: UInt64(delay))
            case .giveBack(let delay): comeBack(receipt.message, .givenBack, delay: UInt64(delay))
            case .extend(let lease): messages[index].due = stamp + lease
            case .reject:
                messages[index].failures += 1
                die(receipt.message, .rejected)
            }
            return outcome
        }
    }

    private mutating func comeBack(_ id: MessageID, _ cause: ReturnCause, delay: UInt64 = 0) {
        guard let index = index(id) else { return }
        let isFailure = cause == .nacked || cause == .leaseExpired || cause == .consumerExpired
        let place = queue(messages[index].queue)
        messages[index].cause = cause
        if isFailure { messages[index].failures += 1 }
        let most = queues[place].settings.maxAttempts
        if isFailure, most > 0, messages[index].failures >= most { return die(id, .attempts) }
        if let expires = messages[index].expires, expires <= stamp {
            drop(id)
            queues[place].expired += 1
        } else if delay > 0 {
            messages[index].state = .delayed
            messages[index].consumer = nil
            messages[index].due = stamp + delay
            messages[index].isHeld = !messages[index].key.isEmpty
        } else {
            makeReady(index, atFront: true)
        }
    }

    private mutating func die(_ id: MessageID, _ cause: DeadCause) {
        guard let index = index(id) else { return }
        let source = messages[index].queue
        let target = queues[queue(source)].settings.deadLetter.text
        messages[index].consumer = nil
        messages[index].deadCause = cause
        if messages[index].origin == nil { messages[index].origin = source }
        if !target.isEmpty, makeRoom(target, 1, messages[index].bytes), let index = self.index(id) {
            move(index, to: target)
            messages[index].failures = 0
            makeReady(index, atFront: false)
        } else {
            messages[index].state = .dead
            queues[queue(source)].listed.append(id)
            turnRing(source)
        }
    }

    private mutating func move(_ index: Int, to target: String) {
        let source = messages[index].queue
        messages[index].state = .dead
        messages[index].queue = target
        let ttl = queues[queue(target)].settings.ttlMilliseconds
        messages[index].expires = ttl > 0 ? stamp + ttl : nil
        turnRing(source)
    }

    mutating func redrive(_ redrive: Redrive) -> UInt64 {
        let name = redrive.queue.text
        let place = queue(name)
        var moved: UInt64 = 0
        let total = UInt64(queues[place].listed.count)
        let most = redrive.count == 0 ? total : min(total, redrive.count)
        for _ in 0..<total where moved < most {
            guard let id = queues[place].listed.first, let index = index(id) else { return moved }
            let message = messages[index]
            let target = redrive.target.text.isEmpty ? message.origin ?? "" : redrive.target.text
            let isMeant = redrive.cause == nil || redrive.cause == message.deadCause
            let canMove = message.state == .dead || target != name
            if isMeant, canMove, makeRoom(target, 1, message.bytes), queues[place].listed.first == id,
                let index = self.index(id)
            {
                queues[place].listed.removeFirst()
                if message.state == .ready {
                    let wasOffered = offered(name).contains { $0.id == id }
                    messages[index].state = .dead
                    if wasOffered { turnRing(name, without: message.key) }
                    turnRing(name)
                }
                if target == name {
                    let ttl = queues[place].settings.ttlMilliseconds
                    messages[index].expires = ttl > 0 ? stamp + ttl : nil
                } else {
                    move(index, to: target)
                }
                messages[index].origin = nil
                messages[index].failures = 0
                messages[index].cause = .redriven
                makeReady(index, atFront: false)
                moved += 1
            } else if queues[place].listed.first == id {
                queues[place].listed.append(queues[place].listed.removeFirst())
            }
        }
        return moved
    }

    mutating func cancel(_ id: MessageID, on name: String) -> CancelOutcome {
        guard let index = index(id), messages[index].queue == name else { return .notFound }
        guard messages[index].state != .inFlight else { return .inFlight }
        drop(id)
        queues[queue(name)].purged += 1
        return .cancelled
    }

    mutating func purge(_ name: String) -> UInt64 {
        let count = messages.filter { $0.queue == name }.count
        messages.removeAll { $0.queue == name }
        let place = queue(name)
        queues[place].ring = []
        queues[place].listed = []
        queues[place].purged += UInt64(count)
        return UInt64(count)
    }

    mutating func end(_ consumer: String, _ cause: ReturnCause) -> UInt64 {
        answers += waiting.filter { $0.consumer == consumer }.map { ($0.request, nil) }
        waiting.removeAll { $0.consumer == consumer }
        let flying = messages.filter { $0.consumer == consumer }.sorted { $0.flight < $1.flight }.map(\.id)
        for id in flying { comeBack(id, cause) }
        consumers.removeAll { $0.id == consumer }
        return UInt64(flying.count)
    }

    mutating func resume(_ consumer: String, _ receipts: [Receipt]) -> ([SettleOutcome], UInt64) {
        var kept: [MessageID] = []
        let outcomes = receipts.map { receipt -> SettleOutcome in
            guard let index = index(receipt.message) else { return .gone }
            let message = messages[index]
            guard message.state == .inFlight, message.deliveries == receipt.delivery, message.consumer == consumer,
                Receipt.tag(of: Name(message.queue)) == receipt.line
            else { return .stale }
            kept.append(message.id)
            return .done
        }
        let flying = messages.filter { $0.consumer == consumer }.sorted { $0.flight < $1.flight }
        for message in flying {
            if kept.contains(message.id), let index = index(message.id) {
                let lease = stamp + queues[queue(message.queue)].settings.leaseMilliseconds
                messages[index].due = max(message.due, lease)
            } else {
                comeBack(message.id, .notResumed)
            }
        }
        return (outcomes, UInt64(flying.count - kept.count))
    }

    /// Everything that is due happens: leases, then delays, then lifetimes, each by (time, id).
    mutating func tick() {
        for name in queues.map(\.name) {
            func due(_ state: MessageState, _ time: (Message) -> UInt64?) -> [MessageID] {
                let found = messages.filter { $0.queue == name && $0.state == state }
                    .compactMap { message in time(message).map { (time: $0, id: message.id) } }
                return found.filter { $0.time <= stamp }.sorted { ($0.time, $0.id) < ($1.time, $1.id) }.map(\.id)
            }
            for id in due(.inFlight, { $0.due }) { comeBack(id, .leaseExpired) }
            for id in due(.delayed, { min($0.due, $0.expires ?? .max) }) {
                guard let index = index(id) else { continue }
                if let expires = messages[index].expires, expires <= stamp {
                    drop(id)
                    queues[queue(name)].expired += 1
                } else {
                    makeReady(index, atFront: messages[index].isHeld)
                }
            }
            for id in due(.ready, { $0.expires }) {
                drop(id)
                queues[queue(name)].expired += 1
            }
        }
        for wait in waiting.filter({ $0.deadline <= stamp }) { answers.append((wait.request, [])) }
        waiting.removeAll { $0.deadline <= stamp }
    }
}
