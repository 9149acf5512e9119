// SPDX-License-Identifier: Apache-2.0

/// Keeps book of what producers were told and what consumers got, so that what was lost, and what came twice and why,
/// can be counted at the end.
struct DemoLedger: Sendable, Equatable {
    private struct Entry: Sendable, Equatable {
        var isConfirmed = false
        /// Its publish ended without it being known whether it was stored.
        var isUncertain = false
        var deliveries = 0
        var isAcked = false
        /// Delivered again without the server saying why, or after its ack was confirmed.
        var unexplained = 0
    }

    private var entries: [String: Entry] = [:]
    /// Deliveries beyond a message's first, by what the server says brought the message back.
    private(set) var causes: [String: Int] = [:]

    mutating func confirmed(_ message: String) { entries[message, default: Entry()].isConfirmed = true }

    mutating func uncertain(_ message: String) { entries[message, default: Entry()].isUncertain = true }

    /// - Parameter cause: as delivered; nil when the server says that nobody had it before.
    mutating func delivered(_ message: String, cause: String?) {
        var entry = entries[message, default: Entry()]
        entry.deliveries += 1
        if entry.deliveries > 1 {
            if let cause, !entry.isAcked {
                causes[cause, default: 0] += 1
            } else {
                entry.unexplained += 1
            }
        }
        entries[message] = entry
    }

    mutating func acked(_ message: String) { entries[message, default: Entry()].isAcked = true }

    var confirmed: Int { count { $0.isConfirmed } }

    var uncertain: Int { count { $0.isUncertain } }

    /// Messages that came at least once.
    var received: Int { count { $0.deliveries > 0 } }

    var deliveries: Int { entries.values.reduce(0) { $0 + $1.deliveries } }

    /// Deliveries beyond each message's first.
    var duplicates: Int { entries.values.reduce(0) { $0 + max(0, $1.deliveries - 1) } }

    /// Of the duplicates.
    var unexplained: Int { entries.values.reduce(0) { $0 + $1.unexplained } }

    /// Confirmed and never delivered.
    var lost: Int { count { $0.isConfirmed && $0.deliveries == 0 } }

    /// Delivered although nobody had published it.
    var phantoms: Int { count { $0.deliveries > 0 && !$0.isConfirmed && !$0.isUncertain } }

    /// Confirmed or possibly stored, and not yet acknowledged by a consumer that was told so.
    var isDrained: Bool { entries.values.allSatisfy { !$0.isConfirmed || $0.isAcked } }

    /// `2 lease_expired, 1 not_resumed`.
    var causeText: String {
        let sorted = causes.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        return sorted.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    }

    private func count(_ condition: (Entry) -> Bool) -> Int { entries.values.count(where: condition) }
}
