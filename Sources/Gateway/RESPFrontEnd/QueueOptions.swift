// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import RESP

/// An option of the queue commands.
enum QueueOption: UInt8, CaseIterable {
    case lanes, lease, maxAttempts, deadLetter, maxLength, maxBytes, overflow, ttl, dedup
    case key, delay, at, priority, tenant, id, header, lock, token, namespace, producer, sequence, noDeclare
    case count, wait, consumer, reason, state, prefix, after, rate, to, cause, credit, label

    var word: String {
        switch self {
        case .sequence: "SEQUENCE"
        default: field.option
        }
    }

    var field: Field {
        switch self {
        case .lanes: .lanes
        case .lease: .lease
        case .maxAttempts: .maxAttempts
        case .deadLetter: .deadLetter
        case .maxLength: .maxLength
        case .maxBytes: .maxBytes
        case .overflow: .overflow
        case .ttl: .ttl
        case .dedup: .dedup
        case .key: .key
        case .delay: .delay
        case .at: .at
        case .priority: .priority
        case .tenant: .tenant
        case .id: .id
        case .header: .headers
        case .lock: .lock
        case .token: .token
        case .namespace: .namespace
        case .producer: .producer
        case .sequence: .sequence
        case .noDeclare: .declare
        case .count: .messageCount
        case .wait: .wait
        case .consumer: .consumer
        case .reason: .reason
        case .state: .state
        case .prefix: .prefix
        case .after: .after
        case .rate: .rate
        case .to: .to
        case .cause: .cause
        case .credit: .credit
        case .label: .label
        }
    }

    /// Arguments after the word.
    var valueCount: Int {
        switch self {
        case .noDeclare: 0
        case .header: 2
        default: 1
        }
    }

    var isRepeatable: Bool { self == .header }

    fileprivate var bit: UInt64 { 1 << UInt64(rawValue) }
}

/// Which options a command has.
struct QueueOptionSet {
    private let bits: UInt64

    init(_ options: QueueOption...) { bits = options.reduce(0) { $0 | $1.bit } }

    func contains(_ option: QueueOption) -> Bool { bits & option.bit != 0 }

    static let settings = QueueOptionSet(
        .lanes,
        .lease,
        .maxAttempts,
        .deadLetter,
        .maxLength,
        .maxBytes,
        .overflow,
        .ttl,
        .dedup
    )
    static let publish = QueueOptionSet(
        .key,
        .delay,
        .at,
        .priority,
        .ttl,
        .tenant,
        .id,
        .header,
        .lock,
        .token,
        .namespace,
        .producer,
        .sequence,
        .noDeclare
    )
    static let receive = QueueOptionSet(.count, .wait, .lease, .maxBytes, .consumer)
    static let subscribe = QueueOptionSet(.credit, .lease, .consumer)
    static let nack = QueueOptionSet(.delay, .reason)
    static let giveBack = QueueOptionSet(.delay)
    static let reject = QueueOptionSet(.reason)
    static let extend = QueueOptionSet(.lease)
    static let ack = QueueOptionSet()
    static let peek = QueueOptionSet(.state, .count)
    static let list = QueueOptionSet(.prefix, .after, .count)
    static let redrive = QueueOptionSet(.count, .rate, .to, .cause)
    static let consumer = QueueOptionSet(.ttl, .credit, .label)
}

/// Walks over the options of one command, which may come in any order.
struct QueueOptionReader {
    private static let index = CommandIndex(QueueOption.allCases.map(\.word))

    let arguments: RESPArguments
    let allowed: QueueOptionSet
    private var position: Int
    private var seen: UInt64 = 0

    init(_ arguments: RESPArguments, from start: Int, _ allowed: QueueOptionSet) {
        self.arguments = arguments
        self.allowed = allowed
        position = start
    }

    /// The next option and where its first value stands; nil at the end.
    mutating func next() throws(BadRequest) -> (option: QueueOption, at: Int)? {
        guard position < arguments.count else { return nil }
        guard let option = Self.option(arguments[position], allowed) else { throw unknown }
        guard option.isRepeatable || seen & option.bit == 0 else { throw .repeated(option.field) }
        seen |= option.bit
        let value = position + 1
        guard value + option.valueCount <= arguments.count else { throw .missingValue(option.field) }
        position = value + option.valueCount
        return (option, value)
    }

    func has(_ option: QueueOption) -> Bool { seen & option.bit != 0 }

    static func option(_ word: UnsafeRawBufferPointer, _ allowed: QueueOptionSet) -> QueueOption? {
        guard let position = index.position(of: word) else { return nil }
        let option = QueueOption.allCases[position]
        return allowed.contains(option) ? option : nil
    }

    private var unknown: BadRequest {
        let word = String(decoding: arguments[position].prefix(64), as: UTF8.self)
        let names = QueueOption.allCases.filter(allowed.contains).map(\.word)
        return .unknownOption(word, suggestion: Suggestion.nearest(to: word, among: names))
    }

    // MARK: Values

    func number(_ place: Int, _ option: QueueOption, _ range: ClosedRange<UInt64>) throws(BadRequest) -> UInt64 {
        let bounds = Int64(clamping: range.lowerBound)...Int64(clamping: range.upperBound)
        return try RequestBuilder.number(Argument.number(arguments[place], option.field), option.field, bounds)
    }

    func text(_ place: Int, _ option: QueueOption, limit: Int) throws(BadRequest) -> String {
        try RequestBuilder.text(Argument.text(arguments[place], option.field), option.field, limit: limit)
    }

    /// Not empty: an option that says nothing is a mistake.
    func name(_ place: Int, _ option: QueueOption, limit: Int = QueueLimits.nameBytes) throws(BadRequest) -> Name {
        let text = try text(place, option, limit: limit)
        guard !text.isEmpty else { throw .empty(option.field) }
        return Name(text)
    }

    /// One of these words, in any case.
    func word<Value>(
        _ place: Int,
        _ field: Field,
        _ words: [(word: StaticString, value: Value)]
    ) throws(BadRequest) -> Value {
        for candidate in words where Argument.equals(arguments[place], candidate.word) { return candidate.value }
        let got = String(decoding: arguments[place].prefix(32), as: UTF8.self)
        let names = words.map { "\($0.word)" }
        let allowed = names.dropLast().joined(separator: ", ") + " or " + (names.last ?? "")
        throw .unknownValue(field, got: got, allowed: allowed)
    }
}
