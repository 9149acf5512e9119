// SPDX-License-Identifier: Apache-2.0
package import Primitives

extension Raft {
    /// The term of a position that is still in memory or is the newest snapshot's; nil elsewhere.
    package func term(at index: LogIndex) -> Term? { log.term(at: index) }
}

extension Raft {
    /// The entry at `index`, if it is in memory. Everything after the newest snapshot is.
    package func entry(at index: LogIndex) -> Entry? {
        index > log.baseIndex && index <= log.lastIndex ? log.slice(index, through: index).first : nil
    }

    /// The entries after `first` up to `last`; both within what is in memory.
    package func entries(after first: LogIndex, through last: LogIndex) -> [Entry] {
        Array(log.slice(first.next, through: last))
    }

    /// Bytes of the newest snapshot of the state; zero before the first.
    package var snapshotStateBytes: Int { Int(clamping: snapshot?.stateBytes ?? 0) }
}
