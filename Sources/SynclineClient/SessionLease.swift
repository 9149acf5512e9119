// SPDX-License-Identifier: Apache-2.0

/// The client's side of a session's lease: a value without clock or I/O.
///
/// The cluster counts the time to live from when it answers a renewal, the client from before it sent it; and because
/// the two clocks may run at different rates, the client takes a tenth off. So the client's deadline comes first.
struct SessionLease: Sendable, Equatable {
    typealias Instant = ContinuousClock.Instant

    private(set) var ttl: Duration
    /// Before the sending of the last renewal that was answered.
    private(set) var confirmed: Instant
    private(set) var state = SessionState.live

    init(ttl: Duration, sent: Instant) {
        self.ttl = ttl
        self.confirmed = sent
    }

    /// When the session must be taken for lost unless it is renewed.
    var deadline: Instant { confirmed + ttl * 9 / 10 }

    /// When a session that has not been renewed counts as in jeopardy.
    var jeopardy: Instant { confirmed + ttl / 2 }

    /// When the next renewal is to be sent.
    var renewal: Instant { confirmed + ttl / 3 }

    /// How long one renewal may take before another node is tried.
    var attemptTimeout: Duration { min(max(ttl / 6, .milliseconds(100)), .seconds(3)) }

    /// A renewal sent at `sent` was granted for `ttl`. True when the state changed.
    mutating func renewed(sent: Instant, ttl: Duration) -> Bool {
        guard !state.isLost else { return false }
        if sent > confirmed {
            confirmed = sent
            self.ttl = ttl
        }
        guard state != .live else { return false }
        state = .live
        return true
    }

    /// Time has passed. True when the state changed.
    mutating func advance(to now: Instant) -> Bool {
        switch state {
        case .lost: return false
        case .live, .inJeopardy:
            if now >= deadline {
                state = .lost(.expired)
                return true
            }
            guard state == .live, now >= jeopardy else { return false }
            state = .inJeopardy(remaining: now.duration(to: deadline))
            return true
        }
    }

    /// The session is over. True when the state changed.
    mutating func end(_ cause: SessionState.Cause) -> Bool {
        guard !state.isLost else { return false }
        state = .lost(cause)
        return true
    }

    /// When `advance` has to be called again; nil when nothing can change any more.
    var nextChange: Instant? {
        switch state {
        case .live: jeopardy
        case .inJeopardy: deadline
        case .lost: nil
        }
    }
}

/// What a session's client knows about it.
public enum SessionState: Sendable, Hashable {
    /// Renewed in good time.
    case live
    /// The cluster has not answered a renewal for half the time to live. Unless it does within `remaining`, the session
    /// is lost: finish or stop what its locks protect. Followed by ``live`` or ``lost(_:)``.
    case inJeopardy(remaining: Duration)
    /// Its locks may belong to others. The last state.
    case lost(Cause)

    public enum Cause: Sendable, Hashable {
        /// No renewal was answered in time.
        case expired
        /// The cluster says that the session does not exist (any more): it expired there, or somebody closed it.
        case ended(String)
        /// This program closed it.
        case closed
    }

    public var isLost: Bool {
        if case .lost = self { return true }
        return false
    }
}
