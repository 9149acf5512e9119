// SPDX-License-Identifier: Apache-2.0
import Primitives

/// What a node's journal has of an earlier life, and what its journal must keep.
extension CacheRequestor {
    /// What an earlier life of this node had acknowledged and the log may lack (mode `local`). It is in the state of
    /// what a node still has after its lease was lost: a home is told of it before it hears that this node has let go
    /// of everything, takes it if nobody has written since, and lets nobody keep an older value. Until then reads and
    /// writes of this node wait.
    ///
    /// To be called before anything else, once for a key.
    package mutating func putBack(_ key: CacheKey, _ data: LineData) {
        invariant(member == nil && transactions[key] == nil, "a journal is put back before the node serves")
        if leavesOut(.forgottenJournal) { return }
        transactions[key] = newTransaction(.putting(gid: 0, .restore, data), key)
    }

    /// Whether only this node may have the version of the key, or a later one made on it: it will be settled.
    package func owes(_ key: CacheKey, _ version: CacheVersion) -> Bool {
        if let slot = lines.find(key), isUnlogged(slot), lines.version(slot) >= version { return true }
        return switch transactions[key]?.kind {
        case .putting(_, _, let data): data.version >= version
        case .writing(let write): write.data.map { $0.version >= version } ?? false
        case .reading, nil: false
        }
    }
}
