// SPDX-License-Identifier: Apache-2.0
import Primitives

/// How a transaction goes on: acknowledgements, the log, the memory, and time.
extension CacheHome {
    mutating func takeGid() -> UInt64 {
        defer { nextGid += 1 }
        return nextGid
    }

    mutating func newTransaction(_ work: HomeWork, _ now: Instant) -> HomeTransaction {
        HomeTransaction(work: work, gid: takeGid(), since: now, resendAt: now + configuration.resendInterval)
    }

    mutating func ask(
        _ transaction: HomeTransaction,
        _ key: CacheKey,
        _ line: inout DirectoryLine,
        _ effects: inout HomeEffects
    ) {
        if let notice = transaction.notice, !transaction.targets.isEmpty {
            for target in transaction.targets { effects.send.append((target, notice)) }
            open[transaction.gid] = key
        }
        line.transaction = transaction
    }

    // MARK: Acknowledgements

    mutating func acknowledge(
        _ key: CacheKey,
        _ gid: UInt64,
        _ from: CacheMember,
        _ data: LineData?,
        _ isKept: Bool,
        _ context: HomeContext,
        _ effects: inout HomeEffects
    ) {
        guard var line = directory.removeValue(forKey: key) else { return }
        defer { directory[key] = line.isIdle ? nil : line }
        guard line.transaction?.gid == gid, let place = line.transaction?.targets.firstIndex(of: from) else {
            statistics.staleMessages += 1
            return
        }
        statistics.acknowledged += 1
        line.transaction?.targets.remove(at: place)
        if let data {
            line.transaction?.data = data
            line.transaction?.giver = from
        }
        if isKept {
            line.hold(from, gid)
            line.isExclusive = false
            line.isSilent = false
        } else {
            line.drop(from)
        }
        advance(key, &line, context, &effects)
    }

    /// Goes on with the line's transaction if nothing more is awaited, and then with the line's queue.
    mutating func advance(
        _ key: CacheKey,
        _ line: inout DirectoryLine,
        _ context: HomeContext,
        _ effects: inout HomeEffects
    ) {
        guard let transaction = line.transaction, transaction.targets.isEmpty else { return }
        open[transaction.gid] = nil
        switch transaction.log {
        case .filling, .proposed: return
        case .held:
            guard case .write(let write) = transaction.work.kind else {
                invariantFailure("only a write waits for an owner's data before it is logged")
            }
            // A lock's token may be refused, and then the owner's data is what stands.
            let needs = write.needsCurrent || write.token != 0
            let base = transaction.data ?? (needs ? transaction.fill.map { LineData($0, context.stamp) } : nil)
            line.transaction?.log = .proposed
            return propose(write.command(key, needs ? base : nil), transaction.work, key, &effects)
        case .notNeeded:
            if let data = transaction.data {
                statistics.writeBacks += 1
                line.transaction?.log = .proposed
                return propose(.persist([CacheKeyData(key, data)]), transaction.work, key, &effects)
            }
            finish(transaction, nil, key, &line, context, &effects)
        case .applied(let response, let isFirst):
            if let data = transaction.data, isUnlogged(data, key, isFirst: isFirst, context) {
                // The write was a repetition, or its sender has given it up: its entry has done nothing.
                line.transaction?.isPreparation = true
                line.transaction?.log = .proposed
                return propose(.persist([CacheKeyData(key, data)]), transaction.work, key, &effects)
            }
            finish(transaction, (response, isFirst), key, &line, context, &effects)
        }
        goOn(key, &line, context, &effects)
    }

    /// Whether what an owner had written came to nothing with the entry that should have carried it.
    private func isUnlogged(_ data: LineData, _ key: CacheKey, isFirst: Bool, _ context: HomeContext) -> Bool {
        guard let current = context.state.current(key) else { return !isFirst }
        return current.version < data.version && current.version.index == data.version.index
    }

    private mutating func finish(
        _ transaction: HomeTransaction,
        _ result: (response: CacheResponse, isFirst: Bool)?,
        _ key: CacheKey,
        _ line: inout DirectoryLine,
        _ context: HomeContext,
        _ effects: inout HomeEffects
    ) {
        line.transaction = nil
        let work = transaction.work
        if let data = transaction.data, let giver = transaction.giver {
            effects.send.append((giver, .putDone(key, gid: transaction.gid, data.version, isStored: true)))
        }
        switch work.kind {
        case .read:
            // What was recalled stands in the log by now; otherwise the memory's value still holds.
            guard let current = context.state.current(key) ?? transaction.fill,
                !current.isExpired(context.stamp) || !context.state.holds(key)
            else { return line.queue.insert(work, at: 0) }
            grantRead(work, key, &line, current, context, &effects)
        case .write where transaction.isPreparation: line.queue.insert(work, at: 0)
        case .write(let write):
            // Otherwise its sender has given it up, and no answer is kept.
            guard let result, case .written(let answer, let version, let earlier) = result.response else { return }
            let outcome = WriteOutcome(answer: answer, version: version, earlier: earlier, isFirst: result.isFirst)
            answerWrite(write, work, outcome, key, &line, context, &effects)
        case .put(let gid, let reason, let data):
            switch reason {
            case .evict: line.drop(work.from)
            case .flush, .restore: break
            }
            conclude(work)
            effects.send.append((work.from, .putDone(key, gid: gid, data.version, isStored: true)))
        case .expire: statistics.expirations += 1
        }
    }

    private struct WriteOutcome {
        var answer: CacheAnswer
        var version: CacheVersion
        var earlier: [CacheOutcome]
        var isFirst: Bool
    }

    private mutating func answerWrite(
        _ write: CacheWrite,
        _ work: HomeWork,
        _ outcome: WriteOutcome,
        _ key: CacheKey,
        _ line: inout DirectoryLine,
        _ context: HomeContext,
        _ effects: inout HomeEffects
    ) {
        guard hasLease(context.now), view.contains(work.from) else { return }
        // The second write in a row by one node makes it the owner; so does a write by who holds the line.
        let held = line.gid(of: work.from) != nil
        let isOwner =
            held || (history.lastWriter(key.hash) == work.from.node && directory.count < configuration.maxLines)
        history.noteWrite(key.hash, by: work.from.node)
        // A repetition may have met its first answer in the log, and others may have written since. Whoever holds a
        // line stays a holder then, until it says otherwise.
        let current = context.state.current(key)
        let isLatest = outcome.isFirst || current?.version == outcome.version
        let isKnown = write.isPlainSet && outcome.answer == .done
        var grant = LineGrant(gid: takeGid(), state: .invalid)
        var data: LineData?
        if isOwner, isLatest, isKnown || current != nil {
            let wasSilent = line.isExclusive && line.isSilent && held
            // What owners write without the log is numbered after the version they begin with, so that one has to be
            // theirs alone. It is if this entry made it: nobody can have written on it before.
            let isTheirs = outcome.isFirst || leavesOut(.silenceOnOldVersion)
            let mayBegin = isTheirs && current?.value != nil && !write.durability.isLogged
            line.isSilent = wasSilent || mayBegin
            line.hold(work.from, grant.gid)
            line.isExclusive = true
            grant.state = .modified
            grant.isSilent = line.isSilent
            if !isKnown { data = current.map { LineData($0, context.stamp) } }
        }
        let number = write.id.number
        let (answer, version, earlier) = (outcome.answer, outcome.version, outcome.earlier)
        effects.send.append(
            (work.from, .written(key, number: number, grant, answer, version, earlier: earlier, data: data))
        )
    }

    // MARK: The log and the memory

    /// - Parameter index: where the oldest proposal without a place stands in the log; nil: it was not taken.
    package mutating func placed(
        _ proposal: HomeProposal,
        at index: UInt64?,
        _ context: HomeContext,
        into effects: inout HomeEffects
    ) {
        if let index {
            lastPlaced = max(lastPlaced, index)
            proposed[index] = proposal.keys
        }
        if proposal.command == .removeAll {
            clearing = index == nil ? .no : .proposed
        } else if index == nil {
            for key in proposal.keys { refused(key, context, &effects) }
        }
    }

    /// At the end of each turn: proposes the owners' data that has come in it.
    package mutating func proposeGathered(into effects: inout HomeEffects) {
        var entries: [CacheKeyData] = []
        var bytes = 0
        let all = gathered
        gathered.removeAll(keepingCapacity: true)
        for (place, entry) in all.enumerated() {
            entries.append(entry)
            bytes += entry.key.bytes.count + (entry.data.value?.count ?? 0)
            let isFull = bytes >= CacheCommand.maxBatchBytes || entries.count == CacheCommand.maxBatch
            guard isFull || place == all.count - 1 else { continue }
            let command = CacheCommand.persist(entries)
            effects.proposals.append(HomeProposal(keys: entries.map(\.key), id: nil, floor: 0, command: command))
            (entries, bytes) = ([], 0)
        }
    }

    package var hasGathered: Bool { !gathered.isEmpty }

    /// The log takes nothing more for the moment. Whoever was told to let go of the line may have done so; nobody is
    /// told of a change.
    private mutating func refused(_ key: CacheKey, _ context: HomeContext, _ effects: inout HomeEffects) {
        guard var line = directory.removeValue(forKey: key) else { return }
        defer { directory[key] = line.isIdle ? nil : line }
        guard var transaction = line.transaction else { return }
        if case .put(_, _, let data) = transaction.work.kind { transaction.data = data }
        if transaction.data != nil {
            // An acknowledged write that the log does not have: nobody may be told of an older value now. The next
            // tick proposes it again.
            var isHeld = false
            if case .write = transaction.work.kind { isHeld = !transaction.isPreparation }
            transaction.log = isHeld ? .held : .notNeeded
            line.transaction = transaction
            open[transaction.gid] = key
            return
        }
        open[transaction.gid] = nil
        line.transaction = nil
        // Targets that have not acknowledged remain holders: the next change asks them again.
        let reason = HomeRefusal.busy(reason: "too many bytes wait to be committed")
        refuse(transaction.work, key, reason, &effects)
        if case .expire = transaction.work.kind {
            expiries.insert(key, at: context.now + configuration.resendInterval)
            // Whoever waits would meet the same expired value and have its removal proposed again at once, without end.
            let waiting = line.queue
            line.queue = waiting.filter(\.isPut)
            for work in waiting where !work.isPut { refuse(work, key, reason, &effects) }
        }
        goOn(key, &line, context, &effects)
    }

    private mutating func refuse(
        _ work: HomeWork,
        _ key: CacheKey,
        _ reason: HomeRefusal,
        _ effects: inout HomeEffects
    ) {
        switch work.kind {
        case .write(let write): refuse(write, key, work.from, reason, &effects)
        case .read(let number): effects.send.append((work.from, .refused(key, number: number, isWrite: false, reason)))
        case .put, .expire: break
        }
    }

    /// An entry proposed by this home has been applied to the state.
    package mutating func applied(
        _ index: UInt64,
        _ response: CacheResponse,
        _ context: HomeContext,
        into effects: inout HomeEffects
    ) {
        lastApplied = max(lastApplied, index)
        guard let keys = proposed.removeValue(forKey: index) else { return openIfReady(context, &effects) }
        guard hasLease(context.now) else { return rest() }
        var isFirst = false
        if case .written(_, let version, _) = response { isFirst = version.index == index }
        for key in keys {
            guard var line = directory.removeValue(forKey: key) else { continue }
            line.transaction?.log = .applied(response, isFirst: isFirst)
            advance(key, &line, context, &effects)
            directory[key] = line.isIdle ? nil : line
        }
        if keys.isEmpty { clearing = .applied }
        openIfReady(context, &effects)
    }

    /// What the memory has under a key. - Parameter current: nil when it cannot be reached.
    package mutating func filled(
        _ key: CacheKey,
        number: UInt64,
        _ current: CacheCurrent?,
        _ context: HomeContext,
        into effects: inout HomeEffects
    ) {
        guard hasLease(context.now) else { return rest() }
        guard var line = directory.removeValue(forKey: key) else { return }
        defer { directory[key] = line.isIdle ? nil : line }
        guard let transaction = line.transaction, transaction.gid == number, case .filling = transaction.log else {
            return
        }
        if current == nil, case .put = transaction.work.kind {
            // The next tick asks the memory again.
            open[transaction.gid] = key
            return
        }
        line.transaction = nil
        if let current {
            perform(transaction.work, key, &line, current, context, &effects)
        } else {
            let reason = HomeRefusal.memoryDown(reason: "the memory does not answer")
            switch transaction.work.kind {
            case .read(let number):
                effects.send.append((transaction.work.from, .refused(key, number: number, isWrite: false, reason)))
            case .write(let write): refuse(write, key, transaction.work.from, reason, &effects)
            case .put, .expire: break
            }
        }
        goOn(key, &line, context, &effects)
    }
}

extension CacheWrite {
    /// The writer knows what stands there afterwards.
    var isPlainSet: Bool {
        if case .set(_, .never, _, wantsOld: false) = operation { true } else { false }
    }
}
