// SPDX-License-Identifier: Apache-2.0
import Primitives

/// The part of a shard's log that is in memory: consecutive entries after `baseIndex`.
///
/// The base is the newest dropped entry (or the snapshot's position, or zero); its term is kept because the next
/// append must name it as its previous entry.
struct RaftLog: Sendable {
    private(set) var baseIndex: LogIndex
    private(set) var baseTerm: Term
    private var entries: [Entry]
    /// Sum of the costs of the entries in memory.
    private(set) var bytes: Int

    init(baseIndex: LogIndex, baseTerm: Term, entries: [Entry]) {
        self.baseIndex = baseIndex
        self.baseTerm = baseTerm
        self.entries = entries
        self.bytes = entries.reduce(0) { $0 + $1.cost }
    }

    var firstIndex: LogIndex { baseIndex.next }

    var lastIndex: LogIndex { baseIndex + UInt64(entries.count) }

    var lastTerm: Term { entries.last?.term ?? baseTerm }

    var count: Int { entries.count }

    /// The term of the entry at `index`; nil outside `baseIndex ... lastIndex`.
    func term(at index: LogIndex) -> Term? {
        if index == baseIndex { return baseTerm }
        guard index > baseIndex, index <= lastIndex else { return nil }
        return entries[offset(index)].term
    }

    /// The entries `first ... last`, which must be in memory; empty when `last` is before `first`. The slice shares
    /// the log's storage: it must be gone before the next change, or that change copies the whole log.
    func slice(_ first: LogIndex, through last: LogIndex) -> ArraySlice<Entry> {
        guard first <= last else { return [] }
        invariant(first > baseIndex && last <= lastIndex, "log slice \(first)...\(last) is not in memory")
        return entries[offset(first)...offset(last)]
    }

    /// The last index of a batch that starts at `first` and holds at most `maximumBytes`, or one entry if that alone
    /// is larger.
    func batchEnd(from first: LogIndex, maximumBytes: Int) -> LogIndex {
        var total = 0
        var position = offset(first)
        while position < entries.count {
            total += entries[position].cost
            if total > maximumBytes && position > offset(first) { break }
            position += 1
        }
        return baseIndex + UInt64(position)
    }

    /// The sum of the costs of `first ... last`.
    func cost(_ first: LogIndex, through last: LogIndex) -> Int {
        slice(first, through: last).reduce(0) { $0 + $1.cost }
    }

    /// The last index not above `bound` whose term is not above `term`, or the base. Terms never fall along a log,
    /// so this is a binary search.
    func lastIndex(notAbove bound: LogIndex, term: Term) -> LogIndex {
        guard bound > baseIndex else { return baseIndex }
        var low = 0
        var high = bound < lastIndex ? offset(bound) + 1 : entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].term <= term { low = middle + 1 } else { high = middle }
        }
        return baseIndex + UInt64(low)
    }

    mutating func append(_ entry: Entry) {
        invariant(entry.index == lastIndex.next && entry.term >= lastTerm, "log append out of order")
        bytes += entry.cost
        entries.append(entry)
    }

    mutating func append(contentsOf more: ArraySlice<Entry>) {
        for entry in more { append(entry) }
    }

    /// Drops the entries at and after `index`.
    mutating func truncate(from index: LogIndex) {
        guard index <= lastIndex else { return }
        invariant(index > baseIndex, "log truncation below its base")
        bytes -= cost(index, through: lastIndex)
        entries.removeLast(entries.count - offset(index))
    }

    /// Drops the entries up to and including `index` from memory.
    mutating func compact(through index: LogIndex) {
        guard index > baseIndex, let term = term(at: index) else { return }
        bytes -= cost(firstIndex, through: index)
        entries.removeFirst(Int(clamping: index - baseIndex))
        baseIndex = index
        baseTerm = term
    }

    /// Replaces the whole log by a snapshot's position.
    mutating func reset(to index: LogIndex, term: Term) {
        self = RaftLog(baseIndex: index, baseTerm: term, entries: [])
    }

    func checkInvariants() {
        var previous = (index: baseIndex, term: baseTerm)
        for entry in entries {
            invariant(entry.index == previous.index.next, "log has a gap before \(entry.index)")
            invariant(entry.term >= previous.term, "terms fall in the log at \(entry.index)")
            previous = (entry.index, entry.term)
        }
        invariant(bytes == entries.reduce(0) { $0 + $1.cost }, "log bytes are miscounted")
    }

    private func offset(_ index: LogIndex) -> Int { Int(clamping: index - firstIndex) }
}
