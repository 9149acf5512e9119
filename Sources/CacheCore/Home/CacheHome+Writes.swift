// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Writes: what the log is asked to carry out, and who has to let go of the line meanwhile.
extension CacheHome {
    mutating func write(
        _ write: CacheWrite,
        _ work: HomeWork,
        _ key: CacheKey,
        _ line: inout DirectoryLine,
        _ current: CacheCurrent,
        _ context: HomeContext,
        _ effects: inout HomeEffects
    ) {
        // What an owner has not logged is looked for at the owner, so it stays one as long as it has such data.
        if write.held == .nothing, write.data == nil, line.gid(of: work.from) == write.gid { line.drop(work.from) }
        if let refusal = context.refusal(write, key) {
            let answers = Array(repeating: CacheAnswer.refused(refusal), count: write.earlier.count + 1)
            return answerUnchanged(answers, write, work, key, &line, current, context, &effects)
        }
        let owner = otherOwner(of: line, than: work.from)
        if line.isSilent, let owner {
            // Its data may be newer than the log's, and the operation may need it.
            var transaction = newTransaction(work, context.now)
            transaction.targets = [owner]
            transaction.notice = .recall(key, gid: transaction.gid, toShared: false, current.version)
            transaction.log = .held
            transaction.fill = context.memo(key, current)
            statistics.recalls += 1
            return ask(transaction, key, &line, &effects)
        }
        // What nobody needs to know may be anything: only the log can say what becomes of it.
        let isKnown = write.needsCurrent || context.state.current(key) != nil
        if write.data == nil, write.token == 0, !verdicts.isFull, isKnown,
            let answers = write.answersWithoutChange(current, context.stamp)
        {
            // An answer from here, as to a read.
            if let owner {
                var transaction = sharing(owner, work, key, current, context)
                transaction.isPreparation = true
                return ask(transaction, key, &line, &effects)
            }
            return answerUnchanged(answers, write, work, key, &line, current, context, &effects)
        }
        let base = write.needsCurrent ? context.base(key, current) : nil
        let data = write.data ?? base.map { LineData($0, context.stamp) }
        change(write.command(key, data), work, key, &line, current, context, &effects)
    }

    /// A command for the log, while everybody but its sender is told to let go of the line.
    mutating func change(
        _ command: CacheCommand,
        _ work: HomeWork,
        _ key: CacheKey,
        _ line: inout DirectoryLine,
        _ current: CacheCurrent,
        _ context: HomeContext,
        _ effects: inout HomeEffects
    ) {
        var transaction = newTransaction(work, context.now)
        var others = line.holders.map(\.member)
        // A write that comes late may meet a newer line of its sender, which has to go like all others.
        let keepsOwn =
            switch work.kind {
            case .write(let write): line.gid(of: work.from) == write.gid
            case .put: true
            case .read, .expire: false
            }
        if keepsOwn { others.removeAll { $0 == work.from } }
        transaction.targets = others
        if line.isExclusive {
            transaction.notice = .recall(key, gid: transaction.gid, toShared: false, current.version)
            statistics.recalls += UInt64(others.count)
        } else {
            transaction.notice = .invalidate(key, gid: transaction.gid)
            statistics.invalidations += UInt64(others.count)
        }
        transaction.log = .proposed
        propose(command, work, key, &effects)
        ask(transaction, key, &line, &effects)
        if leavesOut(.noAcknowledgements) { line.transaction?.targets = [] }
    }

    mutating func propose(_ command: CacheCommand, _ work: HomeWork, _ key: CacheKey, _ effects: inout HomeEffects) {
        switch (work.kind, command) {
        case (.write(let write), .write):
            effects.proposals.append(HomeProposal(keys: [key], id: write.id, floor: write.floor, command: command))
        case (_, .persist(let entries)): gathered += entries
        default: effects.proposals.append(HomeProposal(keys: [key], id: nil, floor: 0, command: command))
        }
    }

    /// - Parameter answers: of all the write's operations.
    private mutating func answerUnchanged(
        _ answers: [CacheAnswer],
        _ write: CacheWrite,
        _ work: HomeWork,
        _ key: CacheKey,
        _ line: inout DirectoryLine,
        _ current: CacheCurrent,
        _ context: HomeContext,
        _ effects: inout HomeEffects
    ) {
        guard hasLease(context.now), !verdicts.isFull, let answer = answers.last else { return }
        let earlier = answers.dropLast().map { CacheOutcome($0, current.version) }
        verdicts.note(write.id, .unchanged(answer, current.version, earlier: earlier))
        let gid = takeGid()
        var grant = LineGrant(gid: gid, state: .invalid)
        if line.gid(of: work.from) != nil {
            grant.state = line.isExclusive ? .modified : .shared
            grant.isSilent = line.isSilent
            line.hold(work.from, gid)
        }
        // The version of an absent key rises with every removal in the shard: the sender's may be out of date. With a
        // refusal nothing is told of the value: it may not even be known here.
        var data = grant.state != .invalid && current.value == nil ? LineData(current, context.stamp) : nil
        if case .refused = answer { data = nil }
        let (number, version) = (write.id.number, current.version)
        effects.send.append(
            (work.from, .written(key, number: number, grant, answer, version, earlier: earlier, data: data))
        )
    }

    /// The request table has its answer: the first one was lost on the way. Nothing is granted with it.
    package mutating func replay(
        _ from: CacheMember,
        _ key: CacheKey,
        _ write: CacheWrite,
        _ response: CacheResponse,
        now: Instant,
        into effects: inout HomeEffects
    ) {
        guard phase == .active, view.contains(from), hasLease(now) else { return }
        if case .write(let present)? = directory[key]?.transaction?.work.kind, present.id == write.id,
            !leavesOut(.answerBeforeAcknowledgements)
        {
            // It is in the log, but others have not let go of the line yet: the answer comes when they have.
            directory[key]?.transaction?.work.from = from
            return
        }
        guard case .written(let answer, let version, let earlier) = response else { return }
        sendAnswer(answer, version, earlier, write, key, from, &effects)
    }

    /// Without a line.
    mutating func sendAnswer(
        _ answer: CacheAnswer,
        _ version: CacheVersion,
        _ earlier: [CacheOutcome],
        _ write: CacheWrite,
        _ key: CacheKey,
        _ to: CacheMember,
        _ effects: inout HomeEffects
    ) {
        let (number, grant) = (write.id.number, LineGrant(gid: takeGid(), state: .invalid))
        effects.send.append((to, .written(key, number: number, grant, answer, version, earlier: earlier, data: nil)))
    }
}

extension CacheWrite {
    func command(_ key: CacheKey, _ data: LineData?) -> CacheCommand {
        .write(key, earlier: earlier, operation, data: data, token: token)
    }

    /// Nil when an operation changes something.
    func answersWithoutChange(_ current: CacheCurrent, _ stamp: UInt64) -> [CacheAnswer]? {
        var answers: [CacheAnswer] = []
        for operation in earlier {
            let change = operation.evaluate(current, now: stamp)
            guard case .none = change.effect else { return nil }
            answers.append(change.answer)
        }
        let change = operation.evaluate(current, now: stamp)
        guard case .none = change.effect else { return nil }
        return answers + [change.answer]
    }
}
