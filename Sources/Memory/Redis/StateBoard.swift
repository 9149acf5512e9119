// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// What the event loop tells the other threads.
final class StateBoard: Sendable {
    private let state: Mutex<MemoryState>

    init() {
        state = Mutex(
            MemoryState(
                isConnected: false,
                breaker: .closed,
                runID: nil,
                lastError: nil,
                servers: [],
                counts: MemoryCounts()
            )
        )
    }

    var current: MemoryState { state.withLock { $0 } }

    func count(_ change: (inout MemoryCounts) -> Void) { state.withLock { change(&$0.counts) } }

    /// All but the counts.
    func publish(_ new: MemoryState) {
        state.withLock { state in
            let counts = state.counts
            state = new
            state.counts = counts
        }
    }
}
