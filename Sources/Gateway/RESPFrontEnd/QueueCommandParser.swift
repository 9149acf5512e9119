// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import QueueCore
import RESP

/// Builds queue operations from the arguments of commands.
enum QueueCommandParser {
    /// What one receive may answer when it does not say, so that pipelined ones cannot fill the node's memory; at
    /// least one message comes in any case.
    static let defaultReceiveBytes: UInt64 = 1 << 20
    static let maxReceiveBytes: UInt64 = 8 << 20
    static let defaultPeek: UInt64 = 10
    static let maxPeek: UInt64 = 100
    static let defaultCredit = 32

    /// Nil for commands that the connection answers itself.
    static func operation(
        _ id: CommandID,
        _ arguments: RESPArguments,
        defaultTTL: UInt64
    ) throws(BadRequest) -> (QueueOperation, QueueShape)? {
        switch id {
        case .queuePublish: return (.publish(try publish(arguments)), .publishOne)
        case .queuePublishMany: return (.publish(try publishMany(arguments)), .plain)
        case .queueReceive:
            let receive = try receive(arguments)
            return (.receive(receive), .receive(receive.queue))
        case .queueAck, .queueNack, .queueReturn, .queueReject, .queueExtend:
            let settle = try settle(id, arguments)
            return (.settle(settle), .settle(settle))
        case .queueSubscribe:
            let terms = try subscribe(arguments)
            return (.stats(terms.queue), .subscribe(terms))
        case .queueConsumer: return (try consumer(arguments, defaultTTL: defaultTTL), .plain)
        default: return try administration(id, arguments).map { ($0, .plain) }
        }
    }

    // MARK: Single arguments

    /// A number sign would reach into one lane of another queue.
    static func queue(
        _ arguments: RESPArguments,
        _ position: Int = 1,
        _ field: Field = .name
    ) throws(BadRequest) -> Name {
        let text = try Argument.text(arguments[position], field)
        guard !text.utf8.contains(UInt8(ascii: "#")) else {
            throw .notAllowed(field, reason: "a queue's name has no '#'")
        }
        return try RequestBuilder.name(text, field)
    }

    private static func messageID(_ arguments: RESPArguments) throws(BadRequest) -> QueueMessageID {
        let text = String(decoding: arguments[2].prefix(64), as: UTF8.self)
        guard let id = QueueMessageID(text) else {
            throw .notAllowed(.message, reason: "'\(text.prefix(48))' is no message id, such as 1205-0")
        }
        return id
    }

    static func receipt(_ bytes: UnsafeRawBufferPointer) throws(BadRequest) -> Receipt {
        guard let receipt = Receipt(bytes) else {
            let text = String(decoding: bytes.prefix(48), as: UTF8.self)
            throw .notAllowed(.receipt, reason: "'\(text)' is no receipt; take it as a receive gave it")
        }
        return receipt
    }

    private static func body(_ bytes: UnsafeRawBufferPointer) throws(BadRequest) -> [UInt8] {
        guard !bytes.isEmpty else { throw .empty(.body) }
        return [UInt8](bytes)
    }

    // MARK: Publishing

    private static func publish(_ arguments: RESPArguments) throws(BadRequest) -> Publish {
        let queue = try queue(arguments)
        var message = PublishMessage(body: try body(arguments[2]))
        guard arguments.count > 3 else { return Publish(queue: queue, messages: [message]) }
        var options = QueueOptionReader(arguments, from: 3, .publish)
        var guarding = Guarding()
        while let (option, place) = try options.next() {
            switch option {
            case .key: message.key = try options.name(place, option, limit: QueueLimits.keyBytes)
            case .tenant: message.tenant = try options.name(place, option, limit: QueueLimits.tenantBytes)
            case .id: message.dedup = try options.name(place, option, limit: QueueLimits.dedupBytes)
            case .priority:
                let highest = UInt64(QueueLimits.priorities - 1)
                message.priority = UInt8(truncatingIfNeeded: try options.number(place, option, 0...highest))
            case .ttl: message.ttlMilliseconds = try options.number(place, option, 0...QueueLimits.delayMilliseconds)
            case .delay:
                guard !options.has(.at) else { throw .notAllowed(.delay, reason: "AT is given too") }
                let delay = try options.number(place, option, 0...QueueLimits.delayMilliseconds)
                if delay > 0 { message.schedule = .after(milliseconds: Int64(delay)) }
            case .at:
                guard !options.has(.delay) else { throw .notAllowed(.at, reason: "DELAY is given too") }
                message.schedule = try schedule(at: options.number(place, option, 0...UInt64(Int64.max)))
            case .header: message.headers.append(try header(arguments, place))
            default: try guarding.read(option, place, options)
            }
        }
        try check(message.headers)
        return Publish(
            queue: queue,
            messages: [message],
            producer: try guarding.sequence,
            guardedBy: try guarding.lockGuard,
            declares: !options.has(.noDeclare)
        )
    }

    /// What a publish hangs on besides its message.
    private struct Guarding {
        private var lock: Name?
        private var token: UInt64?
        private var namespace: Name?
        private var producer: Name?
        private var number: UInt64?

        mutating func read(_ option: QueueOption, _ place: Int, _ options: QueueOptionReader) throws(BadRequest) {
            switch option {
            case .lock: lock = try options.name(place, option)
            case .token: token = try options.number(place, option, 0...UInt64(Int64.max))
            case .namespace:
                namespace = try RequestBuilder.namespace(Argument.text(options.arguments[place], .namespace))
            case .producer: producer = try options.name(place, option, limit: QueueLimits.dedupBytes)
            case .sequence: number = try options.number(place, option, 1...UInt64(Int64.max))
            default: break
            }
        }

        var sequence: ProducerSequence? {
            get throws(BadRequest) {
                guard let producer else {
                    guard number == nil else { throw .missing(.producer) }
                    return nil
                }
                guard let number else { throw .notAllowed(.producer, reason: "SEQUENCE is missing") }
                return ProducerSequence(producer: producer, sequence: number)
            }
        }

        var lockGuard: LockGuard? {
            get throws(BadRequest) {
                guard let lock else {
                    guard token == nil, namespace == nil else { throw .missing(.lock) }
                    return nil
                }
                guard let token else { throw .missing(.token) }
                return LockGuard(namespace: namespace ?? .defaultNamespace, name: lock, token: token)
            }
        }
    }

    /// The log knows cluster time only, so a moment of the calendar becomes a delay by this node's clock.
    private static func schedule(at moment: UInt64) throws(BadRequest) -> Schedule {
        let time = WallClock.now()
        let now = UInt64(max(0, time.seconds)) * 1_000 + UInt64(max(0, time.microseconds)) / 1_000
        guard moment > now else { return .immediately }
        let latest = now + QueueLimits.delayMilliseconds
        guard moment <= latest else { throw .outOfRange(.at, low: 0, high: Int64(clamping: latest)) }
        return .after(milliseconds: Int64(moment - now))
    }

    private static func header(_ arguments: RESPArguments, _ place: Int) throws(BadRequest) -> MessageHeader {
        let name = try Argument.text(arguments[place], .headers)
        guard !name.isEmpty else { throw .notAllowed(.headers, reason: "a header has no name") }
        return MessageHeader(name: name, value: [UInt8](arguments[place + 1]))
    }

    private static func check(_ headers: [MessageHeader]) throws(BadRequest) {
        guard headers.count <= QueueLimits.headers else { throw .tooMany(.headers, limit: QueueLimits.headers) }
        let bytes = headers.reduce(0) { $0 + $1.name.utf8.count + $1.value.count }
        guard bytes <= QueueLimits.headerBytes else { throw .tooLong(.headers, limit: QueueLimits.headerBytes) }
    }

    private static func publishMany(_ arguments: RESPArguments) throws(BadRequest) -> Publish {
        let queue = try queue(arguments)
        guard arguments.count - 2 <= MessageID.perEntry else { throw .tooMany(.body, limit: MessageID.perEntry) }
        var messages: [PublishMessage] = []
        messages.reserveCapacity(arguments.count - 2)
        for position in 2..<arguments.count {
            messages.append(PublishMessage(body: try body(arguments[position])))
        }
        return Publish(queue: queue, messages: messages)
    }

    // MARK: Receiving

    private static func receive(_ arguments: RESPArguments) throws(BadRequest) -> Receive {
        var receive = Receive(queue: try queue(arguments), maxBytes: defaultReceiveBytes)
        var options = QueueOptionReader(arguments, from: 2, .receive)
        while let (option, place) = try options.next() {
            switch option {
            case .count: receive.count = try options.number(place, option, 1...QueueLimits.receiveCount)
            case .wait: receive.waitMilliseconds = try options.number(place, option, 0...QueueLimits.waitMilliseconds)
            case .lease: receive.leaseMilliseconds = try options.number(place, option, QueueLimits.leaseMilliseconds)
            case .maxBytes: receive.maxBytes = try options.number(place, option, 1...maxReceiveBytes)
            case .consumer: receive.consumer = try options.name(place, option)
            default: break
            }
        }
        return receive
    }

    private static func subscribe(_ arguments: RESPArguments) throws(BadRequest) -> SubscriptionTerms {
        var terms = SubscriptionTerms(queue: try queue(arguments), credit: defaultCredit)
        var options = QueueOptionReader(arguments, from: 2, .subscribe)
        while let (option, place) = try options.next() {
            switch option {
            case .credit: terms.credit = Int(try options.number(place, option, 1...QueueLimits.receiveCount))
            case .lease: terms.leaseMilliseconds = try options.number(place, option, QueueLimits.leaseMilliseconds)
            case .consumer: terms.consumer = try options.name(place, option)
            default: break
            }
        }
        return terms
    }

    // MARK: Settling

    /// Receipts come first; what is none must be an option.
    private static func settle(_ id: CommandID, _ arguments: RESPArguments) throws(BadRequest) -> Settle {
        let queue = try queue(arguments)
        let allowed: QueueOptionSet
        switch id {
        case .queueNack: allowed = .nack
        case .queueReturn: allowed = .giveBack
        case .queueReject: allowed = .reject
        case .queueExtend: allowed = .extend
        default: allowed = .ack
        }
        var receipts: [Receipt] = []
        var position = 2
        while position < arguments.count {
            if position > 2, QueueOptionReader.option(arguments[position], allowed) != nil { break }
            receipts.append(try receipt(arguments[position]))
            position += 1
        }
        guard receipts.count <= QueueLimits.receipts else { throw .tooMany(.receipt, limit: QueueLimits.receipts) }
        var options = QueueOptionReader(arguments, from: position, allowed)
        let settlement = try settlement(id, &options)
        return Settle(queue: queue, receipts: receipts, settlement: settlement)
    }

    private static func settlement(
        _ id: CommandID,
        _ options: inout QueueOptionReader
    ) throws(BadRequest) -> Settlement {
        var delay: Int64 = 0
        var reason = ""
        var lease: UInt64?
        while let (option, place) = try options.next() {
            switch option {
            case .delay: delay = Int64(try options.number(place, option, 0...QueueLimits.delayMilliseconds))
            case .reason: reason = try options.text(place, option, limit: QueueLimits.reasonBytes)
            case .lease: lease = try options.number(place, option, QueueLimits.leaseMilliseconds)
            default: break
            }
        }
        switch id {
        case .queueNack: return .nack(delayMilliseconds: delay, reason: reason)
        case .queueReturn: return .giveBack(delayMilliseconds: delay)
        case .queueReject: return .reject(reason: reason)
        case .queueExtend:
            guard let lease else { throw .missing(.lease) }
            return .extend(leaseMilliseconds: lease)
        default: return .ack
        }
    }

    // MARK: The queue as a whole

    private static func administration(
        _ id: CommandID,
        _ arguments: RESPArguments
    ) throws(BadRequest) -> QueueOperation? {
        switch id {
        case .queueDeclare: return .declare(try queue(arguments), try settings(arguments).applied(to: QueueSettings()))
        case .queueUpdate: return .update(try queue(arguments), try settings(arguments))
        case .queueDelete: return .delete(try queue(arguments))
        case .queuePurge: return .purge(try queue(arguments))
        case .queuePause: return .pause(try queue(arguments), try side(arguments))
        case .queueResume: return .resume(try queue(arguments), try side(arguments))
        case .queueStats: return .stats(try queue(arguments))
        case .queueList: return try list(arguments)
        case .queuePeek: return try peek(arguments)
        case .queueGet: return .message(try queue(arguments), try messageID(arguments))
        case .queueCancel: return .cancel(try queue(arguments), try messageID(arguments))
        case .queueRedrive: return .redrive(try redrive(arguments))
        case .queueRedriveCancel: return .cancelRedrive(try queue(arguments))
        default: return nil
        }
    }

    private static func settings(_ arguments: RESPArguments) throws(BadRequest) -> QueueSettingsChange {
        var change = QueueSettingsChange()
        var options = QueueOptionReader(arguments, from: 2, .settings)
        while let (option, place) = try options.next() {
            switch option {
            case .lanes: change.lanes = try options.number(place, option, 1...UInt64(QueueLimits.lanes))
            case .lease: change.leaseMilliseconds = try options.number(place, option, QueueLimits.leaseMilliseconds)
            case .maxAttempts: change.maxAttempts = try options.number(place, option, 0...QueueLimits.maxAttempts)
            // Empty takes the dead-letter queue away.
            case .deadLetter:
                change.deadLetter = arguments[place].isEmpty ? "" : try queue(arguments, place, .deadLetter)
            case .maxLength: change.maxLength = try options.number(place, option, 0...QueueLimits.length)
            case .maxBytes: change.maxBytes = try options.number(place, option, 0...UInt64(Int64.max))
            case .overflow:
                let words: [(StaticString, Overflow)] = [("REJECT", .reject), ("DROPOLDEST", .dropOldest)]
                change.overflow = try options.word(place, .overflow, words)
            case .ttl: change.ttlMilliseconds = try options.number(place, option, 0...QueueLimits.delayMilliseconds)
            case .dedup: change.dedupMilliseconds = try options.number(place, option, 0...QueueLimits.dedupMilliseconds)
            default: break
            }
        }
        return change
    }

    private static func side(_ arguments: RESPArguments) throws(BadRequest) -> QueueSide {
        let words: [(StaticString, QueueSide)] = [("PUBLISH", .publish), ("CONSUME", .consume)]
        return try QueueOptionReader(arguments, from: 3, .ack).word(2, .side, words)
    }

    private static func list(_ arguments: RESPArguments) throws(BadRequest) -> QueueOperation {
        var prefix = ""
        var after = Name("")
        var count: UInt64 = UInt64(RequestLimits.defaultCount)
        var options = QueueOptionReader(arguments, from: 1, .list)
        while let (option, place) = try options.next() {
            switch option {
            case .prefix: prefix = try options.text(place, option, limit: QueueLimits.nameBytes)
            case .after: after = Name(try options.text(place, option, limit: QueueLimits.nameBytes))
            case .count: count = try options.number(place, option, 1...UInt64(QueueLimits.pageEntries))
            default: break
            }
        }
        return .list(prefix: prefix, after: after, limit: Int(count))
    }

    private static func peek(_ arguments: RESPArguments) throws(BadRequest) -> QueueOperation {
        let queue = try queue(arguments)
        var state = MessageState.ready
        var count = defaultPeek
        var options = QueueOptionReader(arguments, from: 2, .peek)
        while let (option, place) = try options.next() {
            switch option {
            case .state:
                let words: [(StaticString, MessageState)] = [
                    ("READY", .ready), ("INFLIGHT", .inFlight), ("DELAYED", .delayed), ("DEAD", .dead),
                ]
                state = try options.word(place, .state, words)
            case .count: count = try options.number(place, option, 1...maxPeek)
            default: break
            }
        }
        return .peek(queue, state, limit: Int(count))
    }

    private static func redrive(_ arguments: RESPArguments) throws(BadRequest) -> Redrive {
        var redrive = Redrive(queue: try queue(arguments))
        var options = QueueOptionReader(arguments, from: 2, .redrive)
        while let (option, place) = try options.next() {
            switch option {
            case .count: redrive.count = try options.number(place, option, 1...QueueLimits.length)
            case .rate: redrive.rate = try options.number(place, option, 1...QueueLimits.redriveRate)
            case .to: redrive.target = try queue(arguments, place, .to)
            case .cause:
                let words: [(StaticString, DeadCause)] = [("ATTEMPTS", .attempts), ("REJECTED", .rejected)]
                redrive.cause = try options.word(place, .cause, words)
            default: break
            }
        }
        return redrive
    }
}
