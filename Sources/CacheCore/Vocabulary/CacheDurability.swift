// SPDX-License-Identifier: Apache-2.0

/// When a write is acknowledged (docs/CACHE.md).
package enum CacheDurability: UInt8, Sendable, CaseIterable {
    /// Committed in the shard's log.
    case replicated = 0
    /// Committed, and the memory has acknowledged it.
    case through = 1
    /// In the owner's line and in the journal of its node.
    case local = 2
    /// In the owner's line; written back within the flush interval.
    case volatile = 3

    package var isLogged: Bool { self == .replicated || self == .through }

    package var word: String {
        switch self {
        case .replicated: "replicated"
        case .through: "through"
        case .local: "local"
        case .volatile: "volatile"
        }
    }

    /// In any case; nil for another word.
    package init?(word: String) {
        guard let found = Self.allCases.first(where: { $0.word == word.lowercased() }) else { return nil }
        self = found
    }
}
