// SPDX-License-Identifier: Apache-2.0
import Primitives

/// What a home has said of a write that the log knows nothing of.
enum WriteVerdict: Sendable, Equatable {
    /// Nothing had to be changed.
    case unchanged(CacheAnswer, CacheVersion, earlier: [CacheOutcome])
    /// Nothing was done.
    case refused(HomeRefusal)

    /// Answers that it stands for.
    var count: Int {
        switch self {
        case .unchanged(_, _, let earlier): 1 + earlier.count
        case .refused: 1
        }
    }
}

/// The verdicts of one reign, which its senders may not have got yet: a repetition that was under way when the first
/// answer was given must not be carried out after all. Writes that were logged are in the shard's request table.
struct WriteVerdicts: Sendable {
    enum Lookup: Equatable {
        case new
        case given(WriteVerdict)
        /// Its sender has had the answer: only a repetition that travelled slowly can still ask.
        case forgotten
    }

    struct Origin: Sendable {
        var member: CacheMember
        var floor: UInt64 = 0
        var verdicts = OrderedMap<UInt64, WriteVerdict>()
    }

    private(set) var origins = OrderedMap<UInt64, Origin>()
    /// Answers.
    private(set) var count = 0
    let limit: Int

    init(limit: Int) { self.limit = limit }

    var isFull: Bool { count >= limit }

    /// Also notes how far the sender has got its answers.
    mutating func lookup(_ write: CacheWrite, from member: CacheMember) -> Lookup {
        let id = write.id
        if origins[id.origin] == nil { origins[id.origin] = Origin(member: member) }
        var found = Lookup.new
        var dropped = 0
        origins.modify(id.origin) { origin in
            origin.member = member
            if write.floor > origin.floor {
                origin.floor = write.floor
                for (number, verdict) in origin.verdicts {
                    guard number < write.floor else { break }
                    dropped += verdict.count
                }
                origin.verdicts.removePrefix(below: write.floor)
            }
            if let verdict = origin.verdicts[id.number] {
                found = .given(verdict)
            } else if id.number < origin.floor {
                found = .forgotten
            }
        }
        count -= dropped
        return found
    }

    /// - Precondition: there is room.
    mutating func note(_ id: RequestID, _ verdict: WriteVerdict) {
        invariant(!isFull, "a verdict was given without room to remember it")
        let added = origins.modify(id.origin) { origin in
            defer { origin.verdicts[id.number] = verdict }
            return verdict.count - (origin.verdicts[id.number]?.count ?? 0)
        }
        count += added ?? 0
    }

    /// Who is no member can ask for nothing any more in this reign.
    mutating func forget(allBut isKept: (CacheMember) -> Bool) {
        for id in origins.keys {
            guard let origin = origins[id], !isKept(origin.member) else { continue }
            for (_, verdict) in origin.verdicts { count -= verdict.count }
            origins[id] = nil
        }
    }
}
