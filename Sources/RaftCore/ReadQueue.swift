// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Reads that wait for proof of leadership (ReadIndex, dissertation §6.4), and the rounds that prove it.
///
/// Each heartbeat round has a number of its own, never used again in this process. A read is confirmed only by a
/// quorum of replies to a round that began after it arrived.
struct ReadQueue: Sendable {
    private struct Batch: Sendable {
        var round: UInt64
        var index: LogIndex
        var ids: [UInt64]
    }

    private struct SentRound: Sendable {
        var round: UInt64
        var sentAt: Instant
    }

    /// Reads that wait at once; more are turned away.
    static let limit = 1 << 16
    /// Rounds whose sending time is remembered for the lease; older ones merely do not prolong it.
    static let rememberedRounds = 1024

    /// The newest round begun.
    private(set) var round: UInt64 = 0
    private(set) var count = 0
    /// Reads that arrived since the last round began.
    private var fresh: [UInt64] = []
    private var batches: [Batch] = []
    private var sentRounds: [SentRound] = []
    /// When the newest round that a quorum has answered was sent: the lease counts from here.
    private(set) var confirmedSince: Instant?

    var hasFresh: Bool { !fresh.isEmpty }

    mutating func add(_ id: UInt64) -> Bool {
        guard count < Self.limit else { return false }
        count += 1
        fresh.append(id)
        return true
    }

    /// Begins a round; the fresh reads may be answered from a state that has applied `index` once it is confirmed.
    mutating func beginRound(index: LogIndex, now: Instant, takeFresh: Bool, remember: Bool) -> UInt64 {
        round += 1
        if takeFresh { attachFresh(index: index) }
        if remember {
            if sentRounds.count == Self.rememberedRounds { sentRounds.removeFirst(Self.rememberedRounds / 2) }
            sentRounds.append(SentRound(round: round, sentAt: now))
        }
        return round
    }

    mutating func attachFresh(index: LogIndex) {
        guard !fresh.isEmpty else { return }
        batches.append(Batch(round: round, index: index, ids: fresh))
        fresh = []
    }

    /// A quorum has answered `confirmed` or a later round.
    mutating func confirm(_ confirmed: UInt64, into results: inout [ReadResult]) {
        if let newest = sentRounds.lastIndex(where: { $0.round <= confirmed }) {
            confirmedSince = sentRounds[newest].sentAt
            sentRounds.removeFirst(newest + 1)
        }
        var served = 0
        for batch in batches {
            guard batch.round <= confirmed else { break }
            served += 1
            count -= batch.ids.count
            for id in batch.ids { results.append(.ready(id: id, index: batch.index)) }
        }
        if served > 0 { batches.removeFirst(served) }
    }

    /// Leadership is gone: no read that waits can be confirmed any more. Round numbers go on rising.
    mutating func loseAll(into results: inout [ReadResult]) {
        for batch in batches { for id in batch.ids { results.append(.lost(id: id)) } }
        for id in fresh { results.append(.lost(id: id)) }
        batches.removeAll()
        fresh.removeAll()
        sentRounds.removeAll()
        confirmedSince = nil
        count = 0
    }
}
