// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives

/// A client of the cache: asks one thing at a time.
struct CacheClient {
    let index: Int
    var node: Int
    var random: SeededRandom
    /// The call without an answer.
    var call: Int?
    var nextAct = WorldTime.zero
    /// Counts the texts that it has written, so that no two are the same.
    var texts = 0
    /// The version that it last saw of each key.
    var seen: [CacheVersion?]
    /// After healing it reads every key once.
    var nextFinalRead = 0

    init(index: Int, node: Int, random: SeededRandom, keys: Int) {
        self.index = index
        self.node = node
        self.random = random
        seen = Array(repeating: nil, count: keys)
    }
}

/// One call as its client sees it.
struct CacheClientCall {
    enum Action {
        case read
        case write(CacheOperation)
        /// The node is told to let go of its line; not part of the history.
        case evict
    }

    let client: Int
    let node: Int
    /// The key's number in `CacheModel`.
    let key: Int
    let action: Action
    let sentAt: WorldTime
    /// Nil while it is under way; afterwards the client hears nothing more of it.
    var answeredAt: WorldTime?
    /// Nil: nobody knows.
    var result: CacheCallResult?

    var operation: CacheOperation? {
        if case .write(let operation) = action { operation } else { nil }
    }

    /// Nil: it is known to have changed nothing, or was not meant to.
    func history(_ key: CacheKey) -> CacheHistoryOperation? {
        let action: CacheHistoryOperation.Action
        switch self.action {
        case .read: action = .read
        case .write(let operation): action = .change(operation)
        case .evict: return nil
        }
        var entry = CacheHistoryOperation(
            client: client,
            key: key,
            action: action,
            invokedAt: sentAt.nanoseconds,
            returnedAt: answeredAt?.nanoseconds,
            outcome: .unseen
        )
        switch result {
        case .read(let data, _): (entry.outcome, entry.version) = (.value(data.value), data.version)
        case .written(let answer, let version): (entry.outcome, entry.version) = (.answer(answer), version)
        case .failed(.unknown), nil:
            if case .read = action { return nil }
            // It may be carried out at any time from now on.
            entry.returnedAt = nil
        case .failed: return nil
        }
        return entry
    }
}
