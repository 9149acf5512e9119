// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore

/// What requests to queues carry, read from JSON. The bounds are those of the queue state machine, so that a refusal
/// names the field before anything is sent.
extension JSONFields {
    func bool(_ field: Field) throws(BadRequest) -> Bool? {
        switch value(field) {
        case nil: return nil
        case .bool(let flag): return flag
        default: throw .wrongType(field.json, expected: "true or false")
        }
    }

    func number(_ field: Field, _ range: ClosedRange<UInt64>) throws(BadRequest) -> UInt64? {
        let bounds = Int64(clamping: range.lowerBound)...Int64(clamping: range.upperBound)
        return try integer(field).map { value throws(BadRequest) in try RequestBuilder.number(value, field, bounds) }
    }

    func has(_ field: Field) -> Bool { value(field) != nil }

    /// A text that may be empty, which is as good as absent.
    func optionalName(_ field: Field, limit: Int) throws(BadRequest) -> Name {
        Name(try RequestBuilder.text(try string(field) ?? "", field, limit: limit))
    }

    func requiredName(_ field: Field) throws(BadRequest) -> Name {
        guard let text = try string(field) else { throw .missing(field) }
        return try RequestBuilder.name(text, field)
    }

    /// A queue that a request names beside its own; absent or empty for none.
    func otherQueue(_ field: Field) throws(BadRequest) -> Name? {
        guard let text = try string(field) else { return nil }
        return text.isEmpty ? "" : try QueueFields.queue(text, field)
    }

    // MARK: Settings

    func settings() throws(BadRequest) -> QueueSettingsChange {
        var change = QueueSettingsChange()
        change.lanes = try number(.lanes, 1...UInt64(QueueLimits.lanes))
        change.leaseMilliseconds = try number(.lease, QueueLimits.leaseMilliseconds)
        change.maxAttempts = try number(.maxAttempts, 0...QueueLimits.maxAttempts)
        change.deadLetter = try otherQueue(.deadLetter)
        change.maxLength = try number(.maxLength, 0...QueueLimits.length)
        change.maxBytes = try number(.maxBytes, 0...UInt64(Int64.max))
        change.overflow = try string(.overflow).map { text throws(BadRequest) in
            guard let overflow = Overflow.allCases.first(where: { $0.word == text.lowercased() }) else {
                throw .unknownValue(.overflow, got: String(text.prefix(32)), allowed: "reject or drop_oldest")
            }
            return overflow
        }
        change.ttlMilliseconds = try number(.ttl, 0...QueueLimits.delayMilliseconds)
        change.dedupMilliseconds = try number(.dedup, 0...QueueLimits.dedupMilliseconds)
        return change
    }

    // MARK: Messages

    /// A message whose body is in the JSON, as text or in base 64.
    func message() throws(BadRequest) -> PublishMessage {
        let text = try string(.body)
        let encoded = try string(.bodyBase64)
        switch (text, encoded) {
        case (nil, nil): throw .missing(.body)
        case (.some, .some): throw .notAllowed(.bodyBase64, reason: "body is given too")
        case (.some(let text), nil): return try message(body: Array(text.utf8))
        case (nil, .some(let encoded)):
            guard let body = Base64.decode(encoded) else {
                throw .notAllowed(.bodyBase64, reason: "it is not base 64 with padding (RFC 4648 section 4)")
            }
            return try message(body: body)
        }
    }

    /// A message with the options that stand here.
    func message(body: [UInt8]) throws(BadRequest) -> PublishMessage {
        guard !body.isEmpty else { throw .empty(has(.bodyBase64) ? .bodyBase64 : .body) }
        return PublishMessage(
            body: body,
            headers: try headers(),
            key: try optionalName(.key, limit: QueueLimits.keyBytes),
            tenant: try optionalName(.tenant, limit: QueueLimits.tenantBytes),
            priority: UInt8(try number(.priority, 0...UInt64(QueueLimits.priorities - 1)) ?? 0),
            schedule: try schedule(),
            ttlMilliseconds: try number(.ttl, 0...QueueLimits.delayMilliseconds) ?? 0,
            dedup: try optionalName(.id, limit: QueueLimits.dedupBytes)
        )
    }

    /// The log knows cluster time only, so a moment of the calendar becomes a delay by this node's clock.
    private func schedule() throws(BadRequest) -> Schedule {
        let delay = try number(.delay, 0...QueueLimits.delayMilliseconds)
        guard let moment = try number(.at, 0...UInt64(Int64.max)) else {
            guard let delay, delay > 0 else { return .immediately }
            return .after(milliseconds: Int64(delay))
        }
        guard delay == nil else { throw .notAllowed(.at, reason: "delay_ms is given too") }
        let time = WallClock.now()
        let now = UInt64(max(0, time.seconds)) * 1_000 + UInt64(max(0, time.microseconds)) / 1_000
        guard moment > now else { return .immediately }
        let latest = now + QueueLimits.delayMilliseconds
        guard moment <= latest else { throw .outOfRange(.at, low: 0, high: Int64(clamping: latest)) }
        return .after(milliseconds: Int64(moment - now))
    }

    /// An object whose values are strings, `{"base64": …}` for bytes that are not text, or arrays of these for a
    /// header that is there more than once.
    private func headers() throws(BadRequest) -> [MessageHeader] {
        guard let value = value(.headers) else { return [] }
        guard let members = value.members else { throw QueueFields.badHeaders }
        var headers: [MessageHeader] = []
        for member in members {
            guard !member.name.isEmpty else { throw .notAllowed(.headers, reason: "a header has no name") }
            let values = member.value.array ?? [member.value]
            for value in values {
                headers.append(MessageHeader(name: member.name, value: try QueueFields.headerValue(value)))
            }
        }
        guard headers.count <= QueueLimits.headers else { throw .tooMany(.headers, limit: QueueLimits.headers) }
        let bytes = headers.reduce(0) { $0 + $1.name.utf8.count + $1.value.count }
        guard bytes <= QueueLimits.headerBytes else { throw .tooLong(.headers, limit: QueueLimits.headerBytes) }
        return headers
    }

    func guardedBy() throws(BadRequest) -> LockGuard? {
        guard let value = value(.lock) else { return nil }
        guard value.members != nil else { throw .wrongType("lock", expected: "an object {name, token, namespace?}") }
        let fields = try JSONFields(value, allowed: QueueFields.lock)
        guard let token = try fields.number(.token, 0...UInt64(Int64.max)) else { throw .missing(.token) }
        return LockGuard(
            namespace: try RequestBuilder.namespace(try fields.string(.namespace)),
            name: try fields.requiredName(.name),
            token: token
        )
    }

    func producer() throws(BadRequest) -> ProducerSequence? {
        guard let value = value(.producer) else { return nil }
        guard value.members != nil else { throw .wrongType("producer", expected: "an object {id, sequence}") }
        let fields = try JSONFields(value, allowed: QueueFields.producer)
        guard let sequence = try fields.number(.sequence, 1...UInt64(Int64.max)) else { throw .missing(.sequence) }
        return ProducerSequence(producer: try fields.requiredName(.id), sequence: sequence)
    }

    // MARK: Receipts

    /// One as `receipt` or several as `receipts`.
    func receipts(isEmptyAllowed: Bool = false) throws(BadRequest) -> [Receipt] {
        if let one = try string(.receipt) {
            guard !has(.receipts) else { throw .notAllowed(.receipts, reason: "receipt is given too") }
            return [try QueueFields.receipt(one, .receipt)]
        }
        guard let value = value(.receipts) else { throw .missing(.receipts) }
        guard let elements = value.array else { throw .wrongType("receipts", expected: "an array of strings") }
        guard isEmptyAllowed || !elements.isEmpty else { throw .empty(.receipts) }
        guard elements.count <= QueueLimits.receipts else { throw .tooMany(.receipts, limit: QueueLimits.receipts) }
        var receipts: [Receipt] = []
        receipts.reserveCapacity(elements.count)
        for element in elements {
            guard let text = element.string else { throw .wrongType("receipts", expected: "an array of strings") }
            receipts.append(try QueueFields.receipt(text, .receipts))
        }
        return receipts
    }

    func delay() throws(BadRequest) -> Int64 { Int64(try number(.delay, 0...QueueLimits.delayMilliseconds) ?? 0) }

    func reason() throws(BadRequest) -> String {
        try RequestBuilder.text(try string(.reason) ?? "", .reason, limit: QueueLimits.reasonBytes)
    }
}

/// The names and parts that requests to queues are made of.
enum QueueFields {
    static let message: [Field] = [
        .body, .bodyBase64, .key, .tenant, .delay, .at, .priority, .ttl, .id, .headers,
    ]
    /// What holds for a whole publish.
    static let publish: [Field] = [.lock, .producer, .declare]
    static let settings: [Field] = [
        .lanes, .lease, .maxAttempts, .deadLetter, .maxLength, .maxBytes, .overflow, .ttl, .dedup,
    ]
    static let lock: [Field] = [.name, .token, .namespace]
    static let producer: [Field] = [.id, .sequence]

    static let badHeaders = BadRequest.wrongType(
        "headers",
        expected: "an object of strings, of {\"base64\": …} for bytes that are not text, or of arrays of these"
    )

    /// A number sign would reach into one lane of another queue.
    static func queue(_ text: String, _ field: Field = .name) throws(BadRequest) -> Name {
        guard !text.utf8.contains(UInt8(ascii: "#")) else {
            throw .notAllowed(field, reason: "a queue's name has no '#'")
        }
        return try RequestBuilder.name(text, field)
    }

    static func receipt(_ text: String, _ field: Field) throws(BadRequest) -> Receipt {
        guard let receipt = Receipt(text) else {
            throw .notAllowed(field, reason: "'\(text.prefix(48))' is no receipt; take it as a receive gave it")
        }
        return receipt
    }

    static func messageID(_ text: String) throws(BadRequest) -> QueueMessageID {
        guard let id = QueueMessageID(text) else {
            throw .notAllowed(.message, reason: "'\(text.prefix(48))' is no message id, such as 1205-0")
        }
        return id
    }

    static func headerValue(_ value: JSONValue) throws(BadRequest) -> [UInt8] {
        if let text = value.string { return Array(text.utf8) }
        guard let members = value.members, members.count == 1, let encoded = value["base64"]?.string else {
            throw badHeaders
        }
        guard let bytes = Base64.decode(encoded) else {
            throw .notAllowed(.headers, reason: "a value is not base 64 with padding (RFC 4648 section 4)")
        }
        return bytes
    }
}
