// SPDX-License-Identifier: Apache-2.0

/// What a client can say about a request, by the name each front end gives it.
package enum Field: Sendable, Equatable, CaseIterable {
    case name, session, id, namespace, label, owner, ttl, lockDelay
    case mode, wait, priority, sequence, locks
    case limit, permits, value, token, reason
    case prefix, cursor, count
    case shard, target
    // Queues.
    case lanes, lease, maxAttempts, deadLetter, maxLength, maxBytes, overflow, dedup
    case body, bodyBase64, messages, message, key, tenant, delay, at, headers, lock, producer, declare
    case messageCount, consumer, receipt, receipts, state, side, rate, to, cause, credit, after
    // The cache.
    case durability, keepTTL, by, match, all

    /// The RESP option's name, or the placeholder of a positional argument.
    package var option: String {
        switch self {
        case .name: "name"
        case .locks: "name mode"
        case .session: "SESSION"
        case .id: "ID"
        case .namespace: "NAMESPACE"
        case .label: "LABEL"
        case .owner: "OWNER"
        case .ttl: "TTL"
        case .lockDelay: "LOCKDELAY"
        case .mode: "MODE"
        case .wait: "WAIT"
        case .priority: "PRIORITY"
        case .sequence: "SEQ"
        case .limit: "LIMIT"
        case .permits: "PERMITS"
        case .value: "VALUE"
        case .token: "TOKEN"
        case .reason: "REASON"
        case .prefix: "PREFIX"
        case .cursor: "CURSOR"
        case .count: "COUNT"
        case .shard: "SHARD"
        case .target: "TARGET"
        case .lanes: "LANES"
        case .lease: "LEASE"
        case .maxAttempts: "MAXATTEMPTS"
        case .deadLetter: "DEADLETTER"
        case .maxLength: "MAXLEN"
        case .maxBytes: "MAXBYTES"
        case .overflow: "OVERFLOW"
        case .dedup: "DEDUP"
        case .body, .bodyBase64, .messages: "body"
        case .message: "id"
        case .key: "KEY"
        case .tenant: "TENANT"
        case .delay: "DELAY"
        case .at: "AT"
        case .headers: "HEADER"
        case .lock: "LOCK"
        case .producer: "PRODUCER"
        case .declare: "NODECLARE"
        case .messageCount: "COUNT"
        case .consumer: "CONSUMER"
        case .receipt, .receipts: "receipt"
        case .state: "STATE"
        case .side: "side"
        case .rate: "RATE"
        case .to: "TO"
        case .cause: "CAUSE"
        case .credit: "CREDIT"
        case .after: "AFTER"
        case .durability: "DURABILITY"
        case .keepTTL: "KEEPTTL"
        case .by: "n"
        case .match: "MATCH"
        case .all: "ALL"
        }
    }

    /// The JSON member's or query parameter's name.
    package var json: String {
        switch self {
        case .ttl: "ttl_ms"
        case .lockDelay: "lock_delay_ms"
        case .wait: "wait_ms"
        case .sequence: "sequence"
        case .locks: "locks"
        case .count: "limit"
        case .lease: "lease_ms"
        case .maxAttempts: "max_attempts"
        case .deadLetter: "dead_letter"
        case .maxLength: "max_length"
        case .maxBytes: "max_bytes"
        case .dedup: "dedup_ms"
        case .bodyBase64: "body_base64"
        case .messages: "messages"
        case .delay: "delay_ms"
        case .at: "at_unix_ms"
        case .headers: "headers"
        case .keepTTL: "keep_ttl"
        case .by: "by"
        case .declare: "declare"
        case .receipts: "receipts"
        default: option.lowercased()
        }
    }

    package func text(_ frontEnd: FrontEnd) -> String { frontEnd == .resp ? option : json }
}

/// A request that was refused before it reached the cluster: nothing was done.
package enum BadRequest: Error, Equatable, Sendable {
    /// Wrong number of arguments (RESP); the command as it should be written.
    case wrongArity(command: String, usage: String)
    case unknownOption(String, suggestion: String?)
    case missingValue(Field)
    case repeated(Field)
    case missing(Field)
    case empty(Field)
    case notUTF8(Field)
    case tooLong(Field, limit: Int)
    case tooMany(Field, limit: Int)
    case notANumber(Field)
    case outOfRange(Field, low: Int64, high: Int64)
    case unknownValue(Field, got: String, allowed: String)
    case notAllowed(Field, reason: String)
    /// A JSON member or query parameter that the operation does not have.
    case unknownField(String, suggestion: String?)
    case wrongType(String, expected: String)
    case malformedJSON(String)

    /// One sentence that says what is wrong and what would be right.
    package func message(_ frontEnd: FrontEnd) -> String {
        switch self {
        case .wrongArity(let command, let usage):
            return "wrong number of arguments for '\(command)' command; usage: \(usage)"
        case .unknownOption(let option, let suggestion):
            return "syntax error: unknown option '\(option)'" + Self.hint(suggestion)
        case .missingValue(let field): return "syntax error: \(field.text(frontEnd)) needs a value"
        case .repeated(let field): return "syntax error: \(field.text(frontEnd)) is given twice"
        case .missing(let field): return "\(field.text(frontEnd)) is required"
        case .empty(let field): return "\(field.text(frontEnd)) must not be empty"
        case .notUTF8(let field): return "\(field.text(frontEnd)) is not valid UTF-8"
        case .tooLong(let field, let limit): return "\(field.text(frontEnd)) is too long (limit \(limit) bytes)"
        case .tooMany(let field, let limit): return "too many of '\(field.text(frontEnd))' (limit \(limit))"
        case .notANumber(let field): return "value of \(field.text(frontEnd)) is not an integer or out of range"
        case .outOfRange(let field, let low, let high):
            return "value of \(field.text(frontEnd)) is out of range; it must be between \(low) and \(high)"
        case .unknownValue(let field, let got, let allowed):
            return "'\(got)' is no \(field.text(frontEnd)); it must be \(allowed)"
        case .notAllowed(let field, let reason): return "\(field.text(frontEnd)) is not acceptable: \(reason)"
        case .unknownField(let name, let suggestion): return "unknown field '\(name)'" + Self.hint(suggestion)
        case .wrongType(let name, let expected): return "field '\(name)' must be \(expected)"
        case .malformedJSON(let reason): return "the body is not valid JSON: \(reason)"
        }
    }

    private static func hint(_ suggestion: String?) -> String { suggestion.map { "; did you mean '\($0)'?" } ?? "" }
}
