// SPDX-License-Identifier: Apache-2.0

/// Why a request failed, and what became of it.
public struct SynclineError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of failure. New codes may come with new versions; treat an unknown one by its ``outcome``.
    public struct Code: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
        public let rawValue: String

        public init(rawValue: String) { self.rawValue = rawValue }

        public var description: String { rawValue }

        /// The lock, permits or leadership could not be had in the time given.
        public static let notAcquired = Code(rawValue: "NOTACQUIRED")
        /// The request was chosen as the victim of a deadlock; ``SynclineError/cycle`` tells the whole of it.
        public static let deadlock = Code(rawValue: "DEADLOCK")
        /// The cluster does not know this session: it was closed or has expired.
        public static let noSession = Code(rawValue: "NOSESSION")
        /// The session ended, here or in the cluster, while or before the request ran.
        public static let sessionLost = Code(rawValue: "SESSIONLOST")
        /// The session was closed or expired while its request waited.
        public static let sessionEnded = Code(rawValue: "SESSIONENDED")
        /// A session of this id is open already, with other settings.
        public static let sessionExists = Code(rawValue: "SESSIONEXISTS")
        /// The request's number is so old that its result is no longer remembered.
        public static let staleSequence = Code(rawValue: "STALESEQ")
        /// The session does not hold what it wanted to release or convert.
        public static let notHeld = Code(rawValue: "NOTHELD")
        /// The session waits for it already, or holds it in another mode; use ``Session/convert(_:to:wait:)``.
        public static let reentry = Code(rawValue: "REENTRY")
        /// A quota or size limit is reached; the message names it.
        public static let limit = Code(rawValue: "LIMIT")
        /// The name is in use for another kind of object: a lock, a semaphore or an election.
        public static let wrongKind = Code(rawValue: "WRONGKIND")
        /// The delivery that a receipt stands for has ended: its lease ran out, its consumer ended, or it was settled
        /// before. The message may be with another consumer by now. Or the receipt is of another queue.
        public static let stale = Code(rawValue: "STALE")
        /// The queue is full, so nothing of the publish was stored.
        public static let full = Code(rawValue: "FULL")
        /// A message, or a whole publish, is larger than the cluster accepts.
        public static let tooLarge = Code(rawValue: "TOOLARGE")
        /// Publishing to the queue is paused.
        public static let paused = Code(rawValue: "PAUSED")
        /// The lock's token is out of date.
        public static let fenced = Code(rawValue: "FENCED")
        /// The memory below the cache cannot be reached.
        public static let memoryDown = Code(rawValue: "BACKENDDOWN")
        /// The cache's memory is full.
        public static let outOfMemory = Code(rawValue: "OOM")
        /// There is no queue of this name.
        public static let noQueue = Code(rawValue: "NOQUEUE")
        /// The queue exists with other settings.
        public static let exists = Code(rawValue: "EXISTS")
        /// The cluster does not know this consumer: it was closed or has expired.
        public static let noConsumer = Code(rawValue: "NOCONSUMER")
        /// The consumer has as many messages in flight as its credit allows.
        public static let noCredit = Code(rawValue: "NOCREDIT")
        /// The queue was deleted, or its consumer ended, while a receive waited.
        public static let ended = Code(rawValue: "ENDED")
        /// Of several keys or nodes some were dealt with, and not all; the message names the others.
        public static let partlyDone = Code(rawValue: "PARTLYDONE")
        /// The node has too much to do; the client has already waited and tried again.
        public static let busy = Code(rawValue: "BUSY")
        /// A node answered, but the cluster had no leader with a quorum in time.
        public static let unavailable = Code(rawValue: "UNAVAILABLE")
        /// No endpoint could be reached.
        public static let unreachable = Code(rawValue: "UNREACHABLE")
        /// No answer within the deadline.
        public static let timeout = Code(rawValue: "TIMEOUT")
        /// The Swift task that waited was cancelled, or the wait was ended at the server.
        public static let cancelled = Code(rawValue: "CANCELLED")
        /// An argument is outside what the cluster accepts.
        public static let invalid = Code(rawValue: "ERR")
        /// The other side does not speak the protocol as it should.
        public static let protocolViolation = Code(rawValue: "PROTOCOL")
        /// The client or session has been closed by the program.
        public static let closed = Code(rawValue: "CLOSED")
    }

    /// What became of a request that failed. The third is never reported as either of the others.
    public enum Outcome: String, Sendable {
        /// It took effect; what followed failed.
        case done
        /// Certainly nothing changed.
        case notDone
        /// It may or may not have been carried out.
        case unknown
    }

    public let code: Code
    /// For people: the cause, in a sentence.
    public let message: String
    public let outcome: Outcome
    /// Of a deadlock: each session's request waits for the next one's session, the last for the first. Otherwise empty.
    public let cycle: [DeadlockEdge]

    public init(code: Code, message: String, outcome: Outcome = .notDone, cycle: [DeadlockEdge] = []) {
        self.code = code
        self.message = message
        self.outcome = outcome
        self.cycle = cycle
    }

    public var description: String {
        let fate =
            switch outcome {
            case .done: "it was done"
            case .notDone: "nothing was changed"
            case .unknown: "whether it was done is unknown"
            }
        return "\(code): \(message) (\(fate))"
    }
}

/// One step of a deadlock: this session wants this lock, and somebody later in the cycle has it.
public struct DeadlockEdge: Sendable, Hashable, Codable {
    public let session: String
    public let label: String
    public let lock: String
    /// The mode asked for.
    public let mode: LockMode

    public init(session: String, label: String, lock: String, mode: LockMode) {
        self.session = session
        self.label = label
        self.lock = lock
        self.mode = mode
    }
}

extension DeadlockEdge {
    /// Reads `… given up: s1 (label) waits for a exclusive → s2 waits for b shared → s1; …`. What does not look like an
    /// edge is left out; the message always has the whole text.
    static func cycle(inServerText text: String) -> [DeadlockEdge] {
        var body = Substring(text)
        if let start = body.firstRange(of: "given up: ") { body = body[start.upperBound...] }
        if let end = body.ranges(of: "; release").last { body = body[..<end.lowerBound] }
        return body.split(separator: " → ").compactMap { DeadlockEdge(text: $0) }
    }

    private init?(text: Substring) {
        guard let verb = text.firstRange(of: " waits for "), let space = text.lastIndex(of: " "),
            verb.upperBound <= space, let mode = LockMode(rawValue: String(text[text.index(after: space)...]))
        else { return nil }
        var who = text[..<verb.lowerBound]
        var label = ""
        if who.hasSuffix(")"), let open = who.firstRange(of: " (") {
            label = String(who[open.upperBound...].dropLast())
            who = who[..<open.lowerBound]
        }
        self.init(session: String(who), label: label, lock: String(text[verb.upperBound..<space]), mode: mode)
    }
}
