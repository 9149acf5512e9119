// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import Replica

/// What a client gets back.
enum ClientAnswer {
    case response(Response)
    /// The node died, or the client gave up on it: done or not, nobody says.
    case connectionLost
}

enum OperationKind {
    case open, renew, close, acquire, acquireAll, release, convert, read, cancel, breakLock, malformed
    /// See `QueueErrand`.
    case queue
}

/// One request as a client sees it. A retry after an unknown outcome is an operation of its own with the same
/// content.
struct Operation {
    let client: Int
    /// Position among the client's sessions.
    let session: Int?
    let kind: OperationKind
    let request: Request
    let shard: Int
    let node: Int
    /// When it was sent, on the client's own clock and on the world's.
    let sentLocal: Instant
    let sentAt: WorldTime
    /// Every entry up to here was committed somewhere before this was sent.
    let floor: LogIndex
    /// Nil for a request about locks.
    var errand: QueueErrand?
    /// Cancellations: the operation that is to be cancelled.
    var target: Int?
    var attempt = 1
    /// A retry: the first try, whose result it may bring.
    var firstTry: Int?
    var requestID: RequestID?
    /// Nil while it is under way.
    var answeredAt: WorldTime?

    var isAnswered: Bool { answeredAt != nil }
}

/// Something a client holds, as far as it knows.
struct Holding {
    var kind: ObjectKind
    var name: Name
    var mode: LockMode
    var token: UInt64
    /// False once a release or a conversion is on its way: from then on the client counts on nothing.
    var isRelied = true
}

struct ClientSession {
    enum Phase {
        case opening, live, closing, ended
    }

    let id: SessionID
    let namespace: Int
    let ttl: UInt64
    var phase = Phase.opening
    var sequence: UInt64 = 1
    var holdings: [Holding] = []
    /// Releases and conversions that were sent, answered or not.
    var surrenders: [(name: Name, operation: Int)] = []
    /// Names of which a release or a conversion got no answer: it may still happen, so the client counts on them no
    /// more.
    var doubts: [Name] = []
    /// Until then, on the client's clock, the session cannot have expired: counted from when the last acknowledged
    /// renewal was sent, with a margin for two clocks that are off by ten per cent each.
    var believedUntil = Instant.zero
    var nextRenewal = Instant.distantFuture
    var isRenewing = false
    /// The client has stopped renewing it on purpose.
    var isAbandoned = false
    /// Operations without an answer, renewals left out.
    var outstanding = 0

    /// What is left of a time to live once the clocks' drift is taken off: 0.8 / 0.9 < 1 / 1.1.
    static func safe(_ ttl: UInt64) -> Interval { .microseconds(ttl &* 800) }
}

/// A simulated client machine: a clock of its own, a connection to one node, and sessions with locks, or queues.
struct SimClient {
    let index: Int
    var node: Int
    var clock: SimClock
    var random: SeededRandom
    var sessions: [ClientSession] = []
    /// Positions of the sessions that have not ended.
    var active: [Int] = []
    /// Positions of unanswered operations.
    var outstanding: [Int] = []
    var pausedUntil = WorldTime.zero
    var nextThink = WorldTime.zero
    var sessionsOpened = 0
    /// Set in a client of queues, which then uses nothing else.
    var agent: QueueAgent?
}
