// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Judges what producers and consumers were told. Messages are numbered by their producers; a body names its number.
///
/// A publish whose answer got lost may or may not have been stored; it is repeated under its dedup id until it is
/// confirmed, so in the end every number is confirmed, and stored once.
final class QueueReferee: Sendable {
    private struct Message {
        var isConfirmed = false
        var deliveries = 0
        /// When its ack was confirmed, in ticks of `clock`.
        var acked: Int?
        var lastKeyPlace: Int?
    }

    private struct State {
        var clock = 0
        var messages: [String: Message] = [:]
        /// Of each key, the number of the latest message that was acked.
        var ackedPlaces: [String: Int] = [:]
        var confirmed = 0
        var acked = 0
        var duplicates = 0
        var causes: [String: Int] = [:]
        var violations: [String] = []
    }

    private let state = Mutex(State())

    /// A moment before something is sent, for `delivered`.
    func now() -> Int {
        state.withLock { state in
            state.clock += 1
            return state.clock
        }
    }

    func isSent(_ body: String) { state.withLock { $0.messages[body] = Message() } }

    func confirmed(_ body: String) {
        state.withLock { state in
            state.messages[body, default: Message()].isConfirmed = true
            state.confirmed += 1
        }
    }

    /// - Parameters:
    ///   - sent: `now()` before the receive was sent.
    ///   - place: of its key, as a producer counted it.
    func delivered(_ body: String, cause: String, attempt: Int, sent: Int, key: String, place: Int) {
        state.withLock { state in
            guard var message = state.messages[body] else {
                state.violations.append("a message came out that nobody had sent: \(body)")
                return
            }
            if let acked = message.acked, acked < sent {
                state.violations.append("\(body) was delivered after its ack had been confirmed")
            }
            message.deliveries += 1
            if message.deliveries > 1 {
                state.duplicates += 1
                // An answer that got lost with a node hands over nothing, so a first delivery may carry a cause too.
                if cause == "none" {
                    state.violations.append("delivery \(message.deliveries) of \(body) has no cause")
                }
            }
            state.causes[cause, default: 0] += 1
            state.messages[body] = message
            if !key.isEmpty, place < state.ackedPlaces[key] ?? 0, message.acked == nil {
                state.violations.append("\(body) of key \(key) was delivered after a later one had been acked")
            }
        }
    }

    func acked(_ body: String, key: String, place: Int) {
        state.withLock { state in
            state.clock += 1
            guard state.messages[body]?.acked == nil else { return }
            state.messages[body]?.acked = state.clock
            state.acked += 1
            if !key.isEmpty { state.ackedPlaces[key] = max(place, state.ackedPlaces[key] ?? 0) }
        }
    }

    func report(_ violation: String) { state.withLock { $0.violations.append(violation) } }

    var confirmedCount: Int { state.withLock { $0.confirmed } }
    var ackedCount: Int { state.withLock { $0.acked } }
    var violations: [String] { state.withLock { $0.violations } }

    /// Confirmed messages without a confirmed ack.
    var missing: [String] {
        state.withLock { state in state.messages.filter { $0.value.isConfirmed && $0.value.acked == nil }.map(\.key) }
    }

    var summary: String {
        state.withLock { state in
            let causes = state.causes.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
            return "confirmed \(state.confirmed), acked \(state.acked), delivered again \(state.duplicates), "
                + "deliveries by cause: \(causes.joined(separator: ", "))"
        }
    }
}
