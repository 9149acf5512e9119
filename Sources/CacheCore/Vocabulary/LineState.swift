// SPDX-License-Identifier: Apache-2.0

/// A line's stable state (Sorin, Hill, Wood, "A Primer on Memory Consistency and Cache Coherence", ch. 6-8).
package enum LineState: UInt8, Sendable, CaseIterable {
    case invalid = 0
    case shared = 1
    case exclusive = 2
    case modified = 3

    /// M, E, S or I.
    package var letter: String {
        switch self {
        case .invalid: "I"
        case .shared: "S"
        case .exclusive: "E"
        case .modified: "M"
        }
    }
}
