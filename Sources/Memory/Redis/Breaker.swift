// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Keeps commands away from a server that does not answer: they fail at once and not after a deadline each.
///
/// closed → open after `threshold` failures in succession; the owner then drops the connection. open → halfOpen when
/// a new connection has passed its handshake. halfOpen lets one command through: its answer closes, its failure opens.
struct Breaker {
    private enum Phase {
        case closed(failures: Int)
        case halfOpen(isProbing: Bool)
        case open
    }

    private let threshold: Int
    private var phase = Phase.closed(failures: 0)

    init(threshold: Int) {
        invariant(threshold > 0, "a breaker that is never closed")
        self.threshold = threshold
    }

    var state: MemoryState.Breaker {
        switch phase {
        case .closed: .closed
        case .halfOpen: .halfOpen
        case .open: .open
        }
    }

    /// Whether a command may go.
    mutating func admits() -> Bool {
        switch phase {
        case .closed: return true
        case .open, .halfOpen(isProbing: true): return false
        case .halfOpen(isProbing: false):
            phase = .halfOpen(isProbing: true)
            return true
        }
    }

    mutating func connected() {
        if case .open = phase { phase = .halfOpen(isProbing: false) }
    }

    /// An answer came, of any kind.
    mutating func answered() {
        switch phase {
        case .closed, .halfOpen: phase = .closed(failures: 0)
        // From before it opened, on a connection that is being dropped.
        case .open: break
        }
    }

    /// No answer in time, a broken connection, or one that could not be made.
    mutating func failed() {
        switch phase {
        case .closed(let failures) where failures + 1 < threshold: phase = .closed(failures: failures + 1)
        case .closed, .halfOpen, .open: phase = .open
        }
    }
}
