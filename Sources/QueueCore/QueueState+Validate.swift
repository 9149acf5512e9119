// SPDX-License-Identifier: Apache-2.0
import Primitives

extension QueueState {
    /// Why a command can never be carried out, whatever the state; nil when it may be. Ask before proposing, so that
    /// nonsense does not reach the log; `apply` asks again, because the log is not to be trusted with that either.
    package func validate(_ command: QueueCommand) -> QueueError? {
        switch command {
        case .declare(let name, let settings), .update(let name, let settings): check(name) ?? check(settings)
        case .delete(let name), .purge(let name), .pause(let name, _), .resume(let name, _), .cancelRedrive(let name),
            .cancelMessage(let name, _):
            check(name)
        case .publish(let publish): check(publish)
        case .receive(let receive): check(receive)
        case .settle(let settle):
            check(settle.queue) ?? check(settle.receipts, isEmptyAllowed: false)
                ?? check(settle.settlement)
        case .openConsumer(let open): check(open)
        case .closeConsumer(let id): check(consumer: id)
        case .resumeConsumer(let id, let receipts): check(consumer: id) ?? check(receipts, isEmptyAllowed: true)
        case .redrive(let redrive): check(redrive)
        case .cancelWait, .tick, .expireConsumer: nil
        }
    }

    func check(_ name: Name) -> QueueError? {
        guard (1...QueueLimits.nameBytes).contains(name.byteCount) else {
            return .invalid("a queue's name has 1 to \(QueueLimits.nameBytes) bytes")
        }
        return LaneMap.parse(name) == nil ? .invalid("what follows # in a queue's name is its lane") : nil
    }

    private func check(_ settings: QueueSettings) -> QueueError? {
        guard (1...UInt64(QueueLimits.lanes)).contains(settings.lanes) else {
            return .invalid("a queue has 1 to \(QueueLimits.lanes) lanes")
        }
        if settings.deadLetter.byteCount > 0 {
            if let refusal = check(settings.deadLetter) { return refusal }
            // Its lanes are lines of their own.
            guard LaneMap.parse(settings.deadLetter)?.lane == 0,
                settings.deadLetter.byteCount <= QueueLimits.nameBytes - LaneMap.suffixBytes
            else {
                return .invalid(
                    "a dead-letter queue is no lane, and its name has at most "
                        + "\(QueueLimits.nameBytes - LaneMap.suffixBytes) bytes"
                )
            }
        }
        guard settings.maxAttempts <= QueueLimits.maxAttempts else {
            return .invalid("attempts are at most \(QueueLimits.maxAttempts)")
        }
        guard settings.maxLength <= QueueLimits.length, settings.maxBytes <= UInt64(Int64.max) else {
            return .invalid("a queue's length is at most \(QueueLimits.length)")
        }
        guard settings.dedupMilliseconds <= QueueLimits.dedupMilliseconds else {
            return .invalid("a dedup window is at most \(QueueLimits.dedupMilliseconds) milliseconds")
        }
        return check(lease: settings.leaseMilliseconds) ?? check(ttl: settings.ttlMilliseconds)
    }

    private func check(lease milliseconds: UInt64) -> QueueError? {
        let range = QueueLimits.leaseMilliseconds
        return range.contains(milliseconds)
            ? nil : .invalid("a lease is \(range.lowerBound) to \(range.upperBound) milliseconds")
    }

    private func check(ttl milliseconds: UInt64) -> QueueError? {
        milliseconds <= QueueLimits.delayMilliseconds
            ? nil : .invalid("a lifetime is at most \(QueueLimits.delayMilliseconds) milliseconds")
    }

    private func check(delay milliseconds: Int64) -> QueueError? {
        guard milliseconds >= 0 else { return .invalid("a delay is not negative") }
        return UInt64(milliseconds) <= QueueLimits.delayMilliseconds
            ? nil : .invalid("a delay is at most \(QueueLimits.delayMilliseconds) milliseconds")
    }

    private func check(_ publish: Publish) -> QueueError? {
        if let refusal = check(publish.queue) { return refusal }
        guard (1...MessageID.perEntry).contains(publish.messages.count) else {
            return .invalid("a publish has 1 to \(MessageID.perEntry) messages")
        }
        var bytes = 0
        for message in publish.messages {
            if let refusal = check(message) { return refusal }
            bytes += message.storedBytes
        }
        guard bytes <= limits.publishBytes else { return .tooLarge(limit: UInt64(limits.publishBytes)) }
        if let key = publish.producer {
            guard (1...QueueLimits.dedupBytes).contains(key.producer.byteCount) else {
                return .invalid("a producer's id has 1 to \(QueueLimits.dedupBytes) bytes")
            }
            guard key.sequence > 0 else { return .invalid("sequence numbers start at 1") }
        }
        if let lock = publish.guardedBy {
            guard (1...QueueLimits.nameBytes).contains(lock.name.byteCount),
                (1...QueueLimits.nameBytes).contains(lock.namespace.byteCount)
            else { return .invalid("a lock's name has 1 to \(QueueLimits.nameBytes) bytes") }
        }
        return nil
    }

    private func check(_ message: PublishMessage) -> QueueError? {
        guard !message.body.isEmpty else { return .emptyBody }
        guard message.body.count <= limits.bodyBytes else { return .tooLarge(limit: UInt64(limits.bodyBytes)) }
        guard message.headers.count <= QueueLimits.headers else {
            return .invalid("a message has at most \(QueueLimits.headers) headers")
        }
        let headers = message.headers.reduce(0) { $0 + $1.name.utf8.count + $1.value.count }
        guard headers <= QueueLimits.headerBytes, message.headers.allSatisfy({ !$0.name.isEmpty }) else {
            return .invalid("headers have names, and at most \(QueueLimits.headerBytes) bytes together")
        }
        guard message.key.byteCount <= QueueLimits.keyBytes else {
            return .invalid("an ordering key has at most \(QueueLimits.keyBytes) bytes")
        }
        guard message.tenant.byteCount <= QueueLimits.tenantBytes else {
            return .invalid("a tenant has at most \(QueueLimits.tenantBytes) bytes")
        }
        guard message.dedup.byteCount <= QueueLimits.dedupBytes else {
            return .invalid("a dedup id has at most \(QueueLimits.dedupBytes) bytes")
        }
        guard Int(message.priority) < QueueLimits.priorities else {
            return .invalid("a priority is 0 to \(QueueLimits.priorities - 1)")
        }
        if case .after(let milliseconds) = message.schedule, let refusal = check(delay: milliseconds) { return refusal }
        return check(ttl: message.ttlMilliseconds)
    }

    private func check(_ receive: Receive) -> QueueError? {
        if let refusal = check(receive.queue) { return refusal }
        if receive.consumer.byteCount > 0, let refusal = check(consumer: receive.consumer) { return refusal }
        guard (1...QueueLimits.receiveCount).contains(receive.count) else {
            return .invalid("a receive asks for 1 to \(QueueLimits.receiveCount) messages")
        }
        guard receive.waitMilliseconds <= QueueLimits.waitMilliseconds else {
            return .invalid("a wait is at most \(QueueLimits.waitMilliseconds) milliseconds")
        }
        return receive.leaseMilliseconds == 0 ? nil : check(lease: receive.leaseMilliseconds)
    }

    private func check(_ receipts: [Receipt], isEmptyAllowed: Bool) -> QueueError? {
        guard receipts.count <= QueueLimits.receipts, isEmptyAllowed || !receipts.isEmpty else {
            return .invalid("one command names 1 to \(QueueLimits.receipts) receipts")
        }
        return nil
    }

    private func check(_ settlement: Settlement) -> QueueError? {
        switch settlement {
        case .ack: return nil
        case .extend(let milliseconds): return check(lease: milliseconds)
        case .giveBack(let delay): return check(delay: delay)
        case .nack(let delay, let reason): return check(delay: delay) ?? check(reason: reason)
        case .reject(let reason): return check(reason: reason)
        }
    }

    private func check(reason: String) -> QueueError? {
        reason.utf8.count <= QueueLimits.reasonBytes
            ? nil : .invalid("a reason has at most \(QueueLimits.reasonBytes) bytes")
    }

    private func check(consumer id: Name) -> QueueError? {
        (1...QueueLimits.consumerBytes).contains(id.byteCount)
            ? nil : .invalid("a consumer's id has 1 to \(QueueLimits.nameBytes) bytes")
    }

    private func check(_ open: OpenConsumer) -> QueueError? {
        if let refusal = check(consumer: open.id) { return refusal }
        let ttl = QueueLimits.ttlMilliseconds
        guard ttl.contains(open.ttlMilliseconds) else {
            return .invalid("TTL must be \(ttl.lowerBound) to \(ttl.upperBound) milliseconds")
        }
        guard (1...QueueLimits.credit).contains(open.credit) else {
            return .invalid("a consumer's credit is 1 to \(QueueLimits.credit) messages")
        }
        return open.label.utf8.count <= QueueLimits.labelBytes
            ? nil : .invalid("a label has at most \(QueueLimits.labelBytes) bytes")
    }

    private func check(_ redrive: Redrive) -> QueueError? {
        if let refusal = check(redrive.queue) { return refusal }
        if redrive.target.byteCount > 0, let refusal = check(redrive.target) { return refusal }
        return redrive.rate <= QueueLimits.redriveRate
            ? nil : .invalid("a redrive moves at most \(QueueLimits.redriveRate) messages per second")
    }
}
