// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import QueueCore
import RaftCore
import Replica

/// The observer's own copy of one shard's state machine. It applies each entry when the first replica commits it,
/// and so is never behind any of them: what a replica does later is compared with what happened here. A class, because
/// it is large and handed to every checker.
final class Witness {
    /// What one committed command brought about.
    struct Outcome {
        var index: LogIndex
        var term: Term
        var stamp: UInt64
        var envelope: CommandEnvelope
        var effects: LockEffects
        var queueEffects: QueueEffects
        /// The request had been applied before, and its first result was given again, or it came too late.
        var isDuplicate: Bool

        /// Nil for a command of another service.
        var lock: LockCommand? {
            if case .lock(let command) = envelope.command { command } else { nil }
        }
    }

    let shard: Int
    @exclusivity(unchecked) private(set) var state: ShardState
    @exclusivity(unchecked) private var terms: [Term] = [.zero]
    /// The term in which each entry was committed, which may be later than the entry's own.
    @exclusivity(unchecked) private var commitTerms: [Term] = [.zero]
    @exclusivity(unchecked) private var contents: [UInt64] = [0]
    @exclusivity(unchecked) private var digests: [UInt64]
    @exclusivity(unchecked) private var responses = LookupTable<RequestID, ShardAnswer>()
    /// Where each request was first applied.
    @exclusivity(unchecked) private var positions = LookupTable<RequestID, LogIndex>()
    @exclusivity(unchecked) private var effects = ShardEffects()

    init(shard: Int, limits: ShardLimits) {
        self.shard = shard
        state = ShardState(shard: ShardID(UInt16(shard)), limits: limits)
        digests = [state.digest]
    }

    /// The highest index that any replica has committed.
    var last: LogIndex { LogIndex(UInt64(terms.count - 1)) }

    func term(at index: LogIndex) -> Term? {
        index.rawValue < UInt64(terms.count) ? terms[Int(index.rawValue)] : nil
    }

    func commitTerm(at index: LogIndex) -> Term? {
        index.rawValue < UInt64(commitTerms.count) ? commitTerms[Int(index.rawValue)] : nil
    }

    func digest(at index: LogIndex) -> UInt64? {
        index.rawValue < UInt64(digests.count) ? digests[Int(index.rawValue)] : nil
    }

    func matches(_ entry: Entry) -> Bool {
        guard entry.index <= last else { return false }
        let position = Int(entry.index.rawValue)
        return terms[position] == entry.term && contents[position] == entry.contentHash
    }

    func answer(to request: RequestID) -> ShardAnswer? { responses[request] }

    func response(to request: RequestID) -> LockResponse? {
        if case .lock(let response) = responses[request] { response } else { nil }
    }

    func position(of request: RequestID) -> LogIndex? { positions[request] }

    /// Applies the next entry. Nil for entries without a command.
    func apply(_ entry: Entry, committedIn term: Term, _ violations: inout ViolationLog) -> Outcome? {
        terms.append(entry.term)
        commitTerms.append(term)
        contents.append(entry.contentHash)
        effects.removeAll()
        var envelope: CommandEnvelope?
        do throws(DecodingError) {
            if entry.kind == .command { envelope = try CommandEnvelope(decoding: entry.payload) }
            _ = try state.apply(entry, into: &effects)
        } catch {
            violations.report(.stateMachineSafety, "entry \(entry.index) of shard \(shard) cannot be decoded: \(error)")
            return nil
        }
        digests.append(state.digest)
        guard let envelope else { return nil }
        let id = envelope.request
        // One that comes after its origin has given it up is not carried out, even if it is the first to come.
        let isForgotten =
            state.requests.lookup(id) == .forgotten && !effects.answers.contains { $0.request == id }
        let isDuplicate = id.origin != 0 && (positions[id] != nil || isForgotten)
        if id.origin != 0 && !isDuplicate { positions[id] = entry.index }
        for (request, answer) in effects.answers { note(answer, to: request, &violations) }
        // A retry is answered again without asking the lock table, whose effects then lack the answer.
        var locks = effects.locks
        locks.responses = effects.answers.compactMap { request, answer in
            if case .lock(let response) = answer { (request, response) } else { nil }
        }
        return Outcome(
            index: entry.index,
            term: entry.term,
            stamp: state.stamp,
            envelope: envelope,
            effects: locks,
            queueEffects: effects.queues,
            isDuplicate: isDuplicate
        )
    }

    /// A request has one result, however often it is asked for.
    private func note(_ response: ShardAnswer, to request: RequestID, _ violations: inout ViolationLog) {
        guard request.origin != 0 else { return }
        if let first = responses[request] {
            violations.expect(
                first == response,
                .exactlyOnce,
                "request \(request) of shard \(shard) was answered \(first) and later \(response)"
            )
        } else {
            responses[request] = response
        }
    }
}
