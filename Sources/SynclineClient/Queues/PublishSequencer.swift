// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Numbers the publishes of one client to one queue, and holds back those that would run too far ahead.
///
/// The cluster remembers the results of a producer's last 64 publishes. With at most 32 unanswered at a time, at most
/// 62 others can be stored between a publish and the last retry of it, so its result is still known by then.
final class PublishSequencer: Sendable {
    static let window: UInt64 = 32

    private struct State {
        var next: UInt64 = 1
        /// Unanswered numbers, in rising order; at most `window` of them.
        var open: [UInt64] = []
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    /// The next number, as soon as the window has room for it; to be given back to `finish`. Numbers are given in the
    /// order in which they were asked for.
    func begin() async -> UInt64 {
        while true {
            if let number = take() { return number }
            await withCheckedContinuation { continuation in
                let isFree = state.withLock { state in
                    if Self.hasRoom(state) { return true }
                    state.waiting.append(continuation)
                    return false
                }
                if isFree { continuation.resume() }
            }
        }
    }

    /// The next number if there is room now.
    func take() -> UInt64? {
        state.withLock { state in
            guard Self.hasRoom(state) else { return nil }
            defer { state.next += 1 }
            state.open.append(state.next)
            return state.next
        }
    }

    /// Its outcome is known, or given up.
    func finish(_ number: UInt64) {
        let woken = state.withLock { state in
            state.open.removeAll { $0 == number }
            guard Self.hasRoom(state) else { return [CheckedContinuation<Void, Never>]() }
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in woken { continuation.resume() }
    }

    private static func hasRoom(_ state: State) -> Bool {
        state.open.first.map { state.next - $0 < window } ?? true
    }
}

/// The names under which a client publishes: one producer, and a sequence for each queue.
final class PublishIdentity: Sendable {
    let producer =
        String(UInt64.random(in: .min ... .max), radix: 36) + String(UInt64.random(in: .min ... .max), radix: 36)
    private let sequencers = Mutex<[String: PublishSequencer]>([:])

    /// Kept as long as the client is, since a number must not be used twice.
    func sequencer(of queue: String) -> PublishSequencer {
        sequencers.withLock { sequencers in
            if let known = sequencers[queue] { return known }
            let fresh = PublishSequencer()
            sequencers[queue] = fresh
            return fresh
        }
    }
}
