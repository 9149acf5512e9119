// SPDX-License-Identifier: Apache-2.0
import Primitives

/// What has been handed to the disk and what is known to be on it.
///
/// Each step that persists something gets one mark. A mark stands for the log up to some index; when the log is
/// truncated, the marks in flight are clipped with it, so that a completion never vouches for an overwritten suffix.
struct PersistenceQueue: Sendable {
    private struct InFlight: Sendable {
        var mark: UInt64
        var index: LogIndex
        var term: Term
    }

    /// The last entry of the present log that is known to be on disk, together with all before it.
    private(set) var durableIndex: LogIndex
    /// The first entry not yet handed to the disk.
    private(set) var nextToPersist: LogIndex
    /// The newest mark given out.
    private(set) var mark: UInt64 = 0
    private(set) var completedMark: UInt64 = 0
    /// The hard state changed and has not been handed to the disk.
    private(set) var hardStateDirty = false
    private var hardStateMark: UInt64 = 0
    private var openStep = false
    private var inFlight: [InFlight] = []

    init(lastIndex: LogIndex) {
        durableIndex = lastIndex
        nextToPersist = lastIndex.next
    }

    /// True when the current term and vote are on disk, so that a message may speak for them at once.
    var hardStateDurable: Bool { !hardStateDirty && hardStateMark <= completedMark }

    mutating func markHardStateDirty() { hardStateDirty = true }

    /// The hard state is part of this step's persist operations.
    mutating func handedHardState() {
        hardStateDirty = false
        hardStateMark = mark + 1
        openStep = true
    }

    #if PLANTED_BUGS
        mutating func dropHardState() { hardStateDirty = false }
    #endif

    mutating func handedEntries(through index: LogIndex) {
        nextToPersist = index.next
        openStep = true
    }

    mutating func handedSnapshot() { openStep = true }

    /// Ends a step; returns its mark if it handed anything to the disk.
    mutating func seal(_ log: RaftLog) -> UInt64? {
        guard openStep else { return nil }
        openStep = false
        mark += 1
        let index = nextToPersist.previous
        inFlight.append(InFlight(mark: mark, index: index, term: log.term(at: index) ?? .zero))
        return mark
    }

    /// The log is about to lose the entries at and after `index`; `term` is that of the entry before it.
    mutating func truncate(from index: LogIndex, precedingTerm term: Term) {
        let last = index.previous
        durableIndex = min(durableIndex, last)
        nextToPersist = min(nextToPersist, index)
        for position in inFlight.indices where inFlight[position].index > last {
            inFlight[position].index = last
            inFlight[position].term = term
        }
    }

    /// An installed snapshot vouches for everything up to its index; the log after it is empty.
    mutating func reset(to index: LogIndex, term: Term) {
        truncate(from: index.next, precedingTerm: term)
        durableIndex = index
        nextToPersist = index.next
    }

    /// A snapshot on disk vouches for everything up to `index`.
    mutating func snapshotDurable(through index: LogIndex) { durableIndex = max(durableIndex, index) }

    /// Everything up to `done` is durable. True when `durableIndex` rose.
    mutating func complete(_ done: UInt64, _ log: RaftLog) -> Bool {
        invariant(done <= mark, "mark \(done) was never given out")
        let before = durableIndex
        completedMark = max(completedMark, done)
        var finished = 0
        for claim in inFlight {
            guard claim.mark <= done else { break }
            finished += 1
            if claim.index > durableIndex, log.term(at: claim.index) == claim.term { durableIndex = claim.index }
        }
        inFlight.removeFirst(finished)
        return durableIndex > before
    }

    func checkInvariants(lastIndex: LogIndex) {
        invariant(durableIndex < nextToPersist, "entries are durable that were never handed to the disk")
        invariant(nextToPersist.previous <= lastIndex, "entries were handed to the disk that are not in the log")
        invariant(!openStep && !hardStateDirty, "a step ended without its mark")
        for claim in inFlight { invariant(claim.index <= lastIndex, "a claim of durability outlived its entries") }
    }
}
