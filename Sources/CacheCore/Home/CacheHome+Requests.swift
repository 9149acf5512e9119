// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// What stands around a step of a home.
package struct HomeContext {
    package let state: CacheState
    package let now: Instant
    /// Cluster time of the shard, in milliseconds.
    package let stamp: UInt64
    /// What the shard's store may hold in bytes.
    package let maxBytes: Int
    /// What may wait to be written back.
    package let maxDirtyBytes: Int

    package init(
        state: CacheState,
        now: Instant,
        stamp: UInt64,
        maxBytes: Int = .max,
        maxDirtyBytes: Int = .max
    ) {
        self.state = state
        self.now = now
        self.stamp = stamp
        self.maxBytes = maxBytes
        self.maxDirtyBytes = maxDirtyBytes
    }

    func refusal(_ write: CacheWrite, _ key: CacheKey) -> CacheRefusal? {
        if let refusal = write.operation.validate(key: key) { return refusal }
        for operation in write.earlier { if let refusal = operation.validate(key: key) { return refusal } }
        let bytes = write.earlier.reduce(write.operation.storedBytes) { max($0, $1.storedBytes) }
        guard bytes > 0 else { return nil }
        if state.store.isWrittenBack { return state.store.dirtyBytes + bytes > maxDirtyBytes ? .tooDirty : nil }
        return state.store.bytes + bytes > maxBytes ? .outOfMemory : nil
    }

    /// What a transaction remembers of the value that it began with: the state may let go of it meanwhile.
    func memo(_ key: CacheKey, _ current: CacheCurrent) -> CacheCurrent? {
        state.store.isWrittenBack || !state.holds(key) ? current : nil
    }

    /// What goes into the log with an operation that needs to know what stands under the key: what the state may have
    /// let go of by the time that it is carried out, since the memory has it.
    func base(_ key: CacheKey, _ current: CacheCurrent) -> CacheCurrent? {
        guard let entry = state.store.entry(key, hash: key.hash) else { return current }
        return state.store.isWrittenBack && !entry.isDirty ? current : nil
    }
}

/// What nodes ask for, line by line.
extension CacheHome {
    /// - Parameter request: of this home's epoch. A write that the request table knows goes to `replay` instead.
    package mutating func receive(
        _ from: CacheMember,
        _ request: HomeRequest,
        _ context: HomeContext,
        into effects: inout HomeEffects
    ) {
        guard phase != .idle, view.contains(from), hasLease(context.now) else {
            statistics.staleMessages += 1
            return
        }
        switch request {
        case .synchronised(let view):
            learn(view, context.now, &effects)
            unsynchronised[from] = nil
            openIfReady(context, &effects)
        case .put(let key, let gid, .restore, let data):
            let isAwaited = phase == .synchronising
            if isAwaited { restoring += 1 }
            let work = HomeWork(from: from, kind: .put(gid: gid, .restore, data), isAwaited: isAwaited)
            accept(work, key, context, &effects)
        case _ where phase == .synchronising: stall(from, request, &effects)
        case .read(let key, let number):
            accept(HomeWork(from: from, kind: .read(number: number)), key, context, &effects)
        case .write(let key, let write):
            guard !repeatVerdict(write, key, from, &effects) else { return }
            accept(HomeWork(from: from, kind: .write(write)), key, context, &effects)
        case .put(let key, let gid, let reason, let data):
            accept(HomeWork(from: from, kind: .put(gid: gid, reason, data)), key, context, &effects)
        case .hints(let hints):
            for (key, gid) in hints { hint(key, gid, from) }
        case .ack(let key, let gid, let data, let isKept):
            acknowledge(key, gid, from, data, isKept, context, &effects)
        }
    }

    private mutating func stall(_ from: CacheMember, _ request: HomeRequest, _ effects: inout HomeEffects) {
        // It may be in the log already, which only the request table knows, and only when it is asked again.
        if case .write = request, hasUnapplied { return }
        if stalled.count < configuration.maxStalled { return stalled.append((from, request)) }
        let reason = HomeRefusal.busy(reason: "too many requests wait for the shard's home")
        switch request {
        case .read(let key, let number):
            effects.send.append((from, .refused(key, number: number, isWrite: false, reason)))
        case .write(let key, let write):
            if case .new = verdicts.lookup(write, from: from) { refuse(write, key, from, reason, &effects) }
        default: break
        }
    }

    // MARK: Verdicts

    /// Says that nothing was done, and sees to it that nothing will be: the write may come again. Without room to
    /// remember that, nothing is said.
    mutating func refuse(
        _ write: CacheWrite,
        _ key: CacheKey,
        _ from: CacheMember,
        _ refusal: HomeRefusal,
        _ effects: inout HomeEffects
    ) {
        guard !verdicts.isFull else { return }
        verdicts.note(write.id, .refused(refusal))
        effects.send.append((from, .refused(key, number: write.id.number, isWrite: true, refusal)))
    }

    /// - Returns: whether the write is a repetition of one that was answered without the log.
    private mutating func repeatVerdict(
        _ write: CacheWrite,
        _ key: CacheKey,
        _ from: CacheMember,
        _ effects: inout HomeEffects
    ) -> Bool {
        switch verdicts.lookup(write, from: from) {
        case .new: return false
        case _ where leavesOut(.forgottenVerdicts): return false
        case .forgotten: statistics.staleMessages += 1
        case .given(.refused(let refusal)):
            effects.send.append((from, .refused(key, number: write.id.number, isWrite: true, refusal)))
        case .given(.unchanged(let answer, let version, let earlier)):
            sendAnswer(answer, version, earlier, write, key, from, &effects)
        }
        return true
    }

    mutating func accept(
        _ work: HomeWork,
        _ key: CacheKey,
        _ context: HomeContext,
        _ effects: inout HomeEffects
    ) {
        var line = directory.removeValue(forKey: key) ?? DirectoryLine()
        defer { directory[key] = line.isIdle ? nil : line }
        guard let transaction = line.transaction else {
            start(work, key, &line, context, &effects)
            return goOn(key, &line, context, &effects)
        }
        if transaction.work.repeats(work) {
            line.transaction?.work.from = work.from
            return
        }
        if let place = line.queue.firstIndex(where: work.repeats) {
            line.queue[place] = work
            return
        }
        if line.queue.count < configuration.maxQueue { return line.queue.append(work) }
        switch work.kind {
        case .read(let number):
            effects.send.append((work.from, .refused(key, number: number, isWrite: false, Self.crowded)))
        case .write(let write): refuse(write, key, work.from, Self.crowded, &effects)
        case .put, .expire: conclude(work)
        }
    }

    /// Its sender has been answered, or is gone, or comes again.
    mutating func conclude(_ work: HomeWork) {
        if work.isAwaited, restoring > 0 { restoring -= 1 }
    }

    private static var crowded: HomeRefusal { .busy(reason: "too many requests wait for the key") }

    /// After a transaction: the next ones, until one has to wait.
    mutating func goOn(
        _ key: CacheKey,
        _ line: inout DirectoryLine,
        _ context: HomeContext,
        _ effects: inout HomeEffects
    ) {
        while line.transaction == nil, !line.queue.isEmpty {
            start(line.queue.removeFirst(), key, &line, context, &effects)
        }
    }

    private mutating func start(
        _ work: HomeWork,
        _ key: CacheKey,
        _ line: inout DirectoryLine,
        _ context: HomeContext,
        _ effects: inout HomeEffects
    ) {
        guard view.contains(work.from) else { return conclude(work) }
        forgetRemoved(&line)
        guard let current = context.state.current(key) else {
            if case .write(let write) = work.kind, !write.needsCurrent, !line.isSilent {
                return perform(work, key, &line, context.state.unknown, context, &effects)
            }
            var transaction = newTransaction(work, context.now)
            transaction.log = .filling
            statistics.fills += 1
            effects.fills.append((key, transaction.gid))
            line.transaction = transaction
            return
        }
        perform(work, key, &line, current, context, &effects)
    }

    mutating func perform(
        _ work: HomeWork,
        _ key: CacheKey,
        _ line: inout DirectoryLine,
        _ current: CacheCurrent,
        _ context: HomeContext,
        _ effects: inout HomeEffects
    ) {
        if current.isExpired(context.stamp), line.isSilent, case .expire = work.kind {
            // Its owner may have written since, and expires it itself. If it has not, it lets go of it unseen.
            return expiries.insert(key, at: context.now + configuration.patience)
        }
        if current.isExpired(context.stamp), !line.isSilent, context.state.holds(key) {
            // Nobody may learn that it is gone while another can still read it.
            if case .expire = work.kind {} else { line.queue.insert(work, at: 0) }
            let expiry = HomeWork(from: work.from, kind: .expire)
            let command = CacheCommand.expire([CacheKeyVersion(key, current.version)])
            return change(command, expiry, key, &line, current, context, &effects)
        }
        switch work.kind {
        case .read: read(work, key, &line, current, context, &effects)
        case .write(let write): self.write(write, work, key, &line, current, context, &effects)
        case .put(let gid, let reason, let data):
            put(gid, reason, data, work, key, &line, current, context, &effects)
        case .expire: break
        }
    }

    // MARK: Reads

    private mutating func read(
        _ work: HomeWork,
        _ key: CacheKey,
        _ line: inout DirectoryLine,
        _ current: CacheCurrent,
        _ context: HomeContext,
        _ effects: inout HomeEffects
    ) {
        if let owner = otherOwner(of: line, than: work.from) {
            return ask(sharing(owner, work, key, current, context), key, &line, &effects)
        }
        guard current.isExpired(context.stamp), line.isSilent, context.state.holds(key) else {
            return grantRead(work, key, &line, current, context, &effects)
        }
        // Before the log removes it, its owner has to let go of it.
        var transaction = newTransaction(work, context.now)
        transaction.targets = line.holders.map(\.member)
        transaction.notice = .recall(key, gid: transaction.gid, toShared: false, current.version)
        ask(transaction, key, &line, &effects)
    }

    func otherOwner(of line: DirectoryLine, than member: CacheMember) -> CacheMember? {
        guard line.isExclusive, let owner = line.holders.first?.member, owner != member else { return nil }
        return owner
    }

    mutating func sharing(
        _ owner: CacheMember,
        _ work: HomeWork,
        _ key: CacheKey,
        _ current: CacheCurrent,
        _ context: HomeContext
    ) -> HomeTransaction {
        var transaction = newTransaction(work, context.now)
        transaction.targets = [owner]
        transaction.notice = .recall(key, gid: transaction.gid, toShared: true, current.version)
        transaction.fill = context.memo(key, current)
        history.noteShared(key.hash)
        statistics.recalls += 1
        return transaction
    }

    mutating func grantRead(
        _ work: HomeWork,
        _ key: CacheKey,
        _ line: inout DirectoryLine,
        _ current: CacheCurrent,
        _ context: HomeContext,
        _ effects: inout HomeEffects
    ) {
        guard case .read(let number) = work.kind, hasLease(context.now) else { return }
        let gid = takeGid()
        var state = LineState.invalid
        if !line.holders.isEmpty || directory.count < configuration.maxLines {
            // An owner that asks has lost its line, or has the answer by now: it stays what it was to this home.
            let isAlone = line.holders.allSatisfy { $0.member == work.from }
            state = isAlone && (line.isExclusive || !history.isShared(key.hash)) ? .exclusive : .shared
            line.hold(work.from, gid)
            line.isExclusive = state == .exclusive
        }
        statistics.reads += 1
        let data = LineData(
            value: current.isExpired(context.stamp) ? nil : current.value,
            version: current.version,
            remaining: current.remaining(context.stamp)
        )
        effects.send.append((work.from, .data(key, number: number, LineGrant(gid: gid, state: state), data)))
    }
}

extension CacheCurrent {
    func isExpired(_ stamp: UInt64) -> Bool { value != nil && expiresAt != 0 && expiresAt <= stamp }

    /// Milliseconds; nil: never, or nothing to expire.
    func remaining(_ stamp: UInt64) -> UInt64? {
        guard value != nil, expiresAt != 0 else { return nil }
        return expiresAt > stamp ? expiresAt - stamp : 0
    }
}

extension LineData {
    init(_ current: CacheCurrent, _ stamp: UInt64) {
        self.init(value: current.value, version: current.version, remaining: current.remaining(stamp))
    }
}
