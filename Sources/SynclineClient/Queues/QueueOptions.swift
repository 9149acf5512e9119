// SPDX-License-Identifier: Apache-2.0

/// Settings of a queue, as they are asked for: what is nil is left to the default when a queue is declared, and as it
/// is when one is updated. Times are counted in whole milliseconds; a limit of zero is none.
public struct QueueOptions: Sendable, Hashable {
    /// What happens to a message that does not fit.
    public enum Overflow: String, Sendable, Hashable, Codable, CaseIterable {
        /// The publish is refused with ``SynclineError/Code/full``.
        case reject
        /// The oldest ready messages make room.
        case dropOldest = "drop_oldest"
    }

    /// 1–1024 (default 1): parts that the queue is spread over, each in a shard of its own, so that many nodes work for
    /// it. Can be raised later, never lowered. Order is kept per key, not over all lanes.
    public var lanes: Int?
    /// How long a delivery is leased when a receive does not say; 1 ms to 12 hours (default 30 s).
    public var lease: Duration?
    /// After so many failed attempts a message is a dead letter (default 10); zero tries for ever.
    public var maxAttempts: Int?
    /// The queue that dead letters move to. It must share the part in braces: `{orders}.dead` for `{orders}` or
    /// `orders`. nil or empty: they stay in this queue, in the state dead.
    public var deadLetter: String?
    /// Messages that are ready, in flight or delayed.
    public var maxLength: Int?
    /// Bytes of those, bodies, headers and keys.
    public var maxBytes: Int?
    public var overflow: Overflow?
    /// Lifetime of messages that bring none of their own; at most 366 days.
    public var ttl: Duration?
    /// How long ids of messages are remembered; at most one day (default 5 minutes).
    public var dedupWindow: Duration?

    public init() {}
}

/// One side of a queue, for pausing.
public enum QueueSide: String, Sendable, Hashable, Codable, CaseIterable {
    case publish
    case consume
}

/// Where a message is in its life.
public enum MessageState: String, Sendable, Hashable, Codable, CaseIterable {
    /// To be delivered, or behind another message of its key.
    case ready
    case inFlight = "in_flight"
    case delayed
    case dead
}

/// Why a message became a dead letter.
public struct DeadLetterCause: RawRepresentable, Sendable, Hashable, Codable {
    public let rawValue: String

    public init(rawValue: String) { self.rawValue = rawValue }

    /// Too many failed attempts.
    public static let attempts = DeadLetterCause(rawValue: "attempts")
    /// A consumer rejected it.
    public static let rejected = DeadLetterCause(rawValue: "rejected")
}

/// What stays known about a dead letter.
public struct DeadLetter: Sendable, Hashable, Codable {
    public let cause: DeadLetterCause
    /// Given with the last nack or reject.
    public let reason: String
    /// The queue it died in.
    public let origin: String
    /// Failed attempts when it died.
    public let attempts: Int
}

/// What became of a message that was to be cancelled.
public enum CancelOutcome: String, Sendable, Hashable, Codable {
    case cancelled
    /// There is no such message (any more).
    case notFound = "not_found"
    /// A consumer has it, so it was left alone.
    case inFlight = "in_flight"
}

/// How far a redrive has come.
public struct RedriveProgress: Sendable, Hashable, Codable {
    /// Messages moved by the time of the answer.
    public let moved: Int
    /// Messages that it has still to move; ``Queue/stats()`` follows them.
    public let left: Int
}
