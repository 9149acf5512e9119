// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// What the home says.
extension CacheRequestor {
    /// - Parameters:
    ///   - from: the node that says it.
    ///   - member: whom it is meant for; an earlier incarnation's messages are of no interest.
    package mutating func receive(
        _ notice: CacheNotice,
        from: NodeID,
        epoch: CacheEpoch,
        to member: CacheMember,
        now: Instant,
        into effects: inout RequestorEffects
    ) {
        guard member == self.member else {
            statistics.staleMessages += 1
            return
        }
        if case .synchronise(let view) = notice { return synchronise(from, epoch, view, now, &effects) }
        guard epoch == self.epoch || leavesOut(.anyEpoch) else {
            statistics.staleMessages += 1
            return
        }
        switch notice {
        case .data(let key, let number, let grant, let data):
            finishRead(key, number, grant, data, now, &effects)
        case .written(let key, let number, let grant, let answer, let version, let earlier, let data):
            let outcomes = earlier + [CacheOutcome(answer, version)]
            finishWrite(key, number, grant, outcomes, data, now, &effects)
        case .invalidate(let key, let gid):
            statistics.invalidations += 1
            letGo(key, gid, toShared: nil, now, &effects)
        case .recall(let key, let gid, let toShared, let version):
            statistics.recalls += 1
            letGo(key, gid, toShared: toShared ? version : nil, now, &effects)
        case .putDone(let key, let gid, let version, let isStored):
            effects.settled.append((key, version, isStored))
            finishPut(key, gid, version, now, &effects)
        case .synchronise: break
        case .refused(let key, let number, let isWrite, let refusal):
            refused(key, number, isWrite, refusal, now, &effects)
        }
    }

    // MARK: Answers

    private mutating func finishRead(
        _ key: CacheKey,
        _ number: UInt64,
        _ grant: LineGrant,
        _ data: LineData,
        _ now: Instant,
        _ effects: inout RequestorEffects
    ) {
        guard var transaction = transactions[key], case .reading(number) = transaction.kind else {
            statistics.staleMessages += 1
            return
        }
        statistics.fills += 1
        var state = LineState.invalid
        if grant.gid > transaction.floor || leavesOut(.installBelowFloor) {
            state = install(key, grant, data, flags: [], sentAt: transaction.sentAt ?? now, now)
        }
        for call in transaction.readers { complete(call, .read(data, state), &effects) }
        transaction.readers = []
        close(transaction, key, now, &effects)
    }

    private mutating func finishWrite(
        _ key: CacheKey,
        _ number: UInt64,
        _ grant: LineGrant,
        _ outcomes: [CacheOutcome],
        _ data: LineData?,
        _ now: Instant,
        _ effects: inout RequestorEffects
    ) {
        guard var transaction = transactions[key], case .writing(let write) = transaction.kind,
            write.id.number == number, outcomes.count == transaction.writers.count, let last = outcomes.last
        else {
            statistics.staleMessages += 1
            return
        }
        let (answer, version) = (last.answer, last.version)
        statistics.writes += UInt64(outcomes.count)
        writesOpen[number] = nil
        // What the log may lack if the home did not take it with the write.
        let unlogged = write.data ?? lines.find(key).flatMap { isUnlogged($0) ? self.data($0, now) : nil }
        let isHeld = settle(key, grant, write, answer, version, data, transaction, now, &effects)
        for (writer, own) in zip(transaction.writers, outcomes) {
            let outcome = leavesOut(.oneAnswerForAll) ? last : own
            if let writer { complete(writer, .written(outcome.answer, outcome.version), &effects) }
        }
        transaction.writers = []
        effects.departed.append(key)
        // An older version than the owner's own says nothing of it.
        if let unlogged, unlogged.version <= version { effects.settled.append((key, version, true)) }
        if !isHeld, let unlogged, unlogged.version > version {
            // The home has not carried out the write on it.
            restore(unlogged, &transaction, key, now, &effects)
        } else {
            close(transaction, key, now, &effects)
        }
    }

    /// The line after a write. - Returns: whether there is one.
    private mutating func settle(
        _ key: CacheKey,
        _ grant: LineGrant,
        _ write: CacheWrite,
        _ answer: CacheAnswer,
        _ version: CacheVersion,
        _ data: LineData?,
        _ transaction: LineTransaction,
        _ now: Instant,
        _ effects: inout RequestorEffects
    ) -> Bool {
        let slot = lines.find(key)
        guard grant.state != .invalid, grant.gid > transaction.floor || leavesOut(.installBelowFloor) else {
            if let slot { remove(slot, key, &effects) }
            return false
        }
        if let data {
            install(key, grant, data, flags: [.wroteLast], sentAt: now, now)
        } else if answer == .done, case .set(let value, let expiry, _, _) = write.operation {
            var remaining: UInt64?
            if case .after(let milliseconds) = expiry { remaining = UInt64(max(0, milliseconds)) }
            let written = LineData(value: value, version: version, remaining: remaining)
            install(key, grant, written, flags: [.wroteLast], sentAt: transaction.sentAt ?? now, now)
        } else if var slot {
            // Nothing changed: the line stays what it was.
            var fields = lines.fields(slot)
            fields.flags.remove(.pinned)
            fields.gid = grant.gid
            lines.setFields(&slot, fields)
        }
        return lines.find(key) != nil
    }

    private mutating func refused(
        _ key: CacheKey,
        _ number: UInt64,
        _ isWrite: Bool,
        _ refusal: HomeRefusal,
        _ now: Instant,
        _ effects: inout RequestorEffects
    ) {
        guard var transaction = transactions[key] else { return }
        let failure: CacheCallFailure =
            switch refusal {
            case .busy(let reason): .busy(reason: reason)
            case .memoryDown(let reason): .memoryDown(reason: reason)
            }
        switch transaction.kind {
        case .reading(number) where !isWrite:
            for call in transaction.readers { complete(call, .failed(failure), &effects) }
            transaction.readers = []
        case .writing(let write) where isWrite && write.id.number == number:
            writesOpen[number] = nil
            for case let writer? in transaction.writers { complete(writer, .failed(failure), &effects) }
            transaction.writers = []
            if let data = write.data, lines.find(key).map({ !isUnlogged($0) }) ?? true {
                return restore(data, &transaction, key, now, &effects)
            }
            unpin(key)
        default: return
        }
        close(transaction, key, now, &effects)
    }

    private mutating func unpin(_ key: CacheKey) {
        guard var slot = lines.find(key) else { return }
        var fields = lines.fields(slot)
        fields.flags.remove(.pinned)
        lines.setFields(&slot, fields)
    }

    /// - Returns: the state that the node holds the line in.
    @discardableResult
    private mutating func install(
        _ key: CacheKey,
        _ grant: LineGrant,
        _ data: LineData,
        flags: LineFlags,
        sentAt: Instant,
        _ now: Instant
    ) -> LineState {
        let old = lines.find(key)
        statistics.count(from: old.map { lines.state($0) } ?? .invalid, to: grant.state)
        guard grant.state != .invalid else {
            if let old { lines.remove(old) }
            return .invalid
        }
        // Counted from the sending of the request: never longer than the home counts.
        let end = data.remaining.map { sentAt + .milliseconds($0) }
        var fields = LineFields(
            state: grant.state,
            version: data.version,
            gid: grant.gid,
            expiresAt: end.map { max(1, $0.nanoseconds) } ?? 0,
            exists: data.value != nil,
            flags: grant.isSilent ? flags.union(.silent) : flags
        )
        if let old { fields.durability = lines.durability(old) }
        tick += 1
        let bytes = data.value ?? []
        bytes.withUnsafeBytes { value in
            if var slot = old {
                lines.store(&slot, value: value, fields)
            } else {
                key.bytes.withUnsafeBytes { key in
                    _ = lines.insert(CacheKey.hash(of: key), key: key, value: value, fields, tick: tick)
                }
            }
        }
        return grant.state
    }

    // MARK: Letting go

    /// Inv, Fwd-GetM (`toShared` nil) and Fwd-GetS, with the home's version. Always acknowledged, and in the same way
    /// if it comes again: the first acknowledgement may have been lost. Data goes along and is kept until the home says
    /// that the log has it.
    private mutating func letGo(
        _ key: CacheKey,
        _ gid: UInt64,
        toShared: CacheVersion?,
        _ now: Instant,
        _ effects: inout RequestorEffects
    ) {
        var data: LineData?
        if var transaction = transactions[key] {
            transaction.floor = max(transaction.floor, gid)
            switch transaction.kind {
            case .reading: transaction.isInvalidated = true
            case .writing(let write): data = write.data
            case .putting(_, _, let leaving): data = leaving
            }
            transactions[key] = transaction
        }
        var isKept = false
        // A notice that is older than the line was overtaken by the line's grant.
        if var slot = lines.find(key), lines.gid(slot) <= gid {
            var fields = lines.fields(slot)
            if isUnlogged(slot) { data = self.data(slot, now) }
            // The log gives a key that its owner has removed another version, that of all absent keys.
            let isNamed = fields.exists || data == nil
            if let version = toShared, isNamed, fields.version >= version || leavesOut(.keepOlderLine) {
                statistics.count(from: fields.state, to: .shared)
                fields.state = .shared
                fields.gid = gid
                fields.dirtySince = nil
                fields.flags.subtract([.silent, .flushing])
                if transactions[key] == nil { fields.flags.remove(.pinned) }
                lines.setFields(&slot, fields)
                isKept = true
            } else {
                remove(slot, key, &effects)
            }
        }
        if let data, !leavesOut(.dropSentData) { keep(data, key, gid, now) }
        effects.send.append(.ack(key, gid: gid, data: data, isKept: isKept))
    }

    /// Data that went along with an acknowledgement.
    private mutating func keep(_ data: LineData, _ key: CacheKey, _ gid: UInt64, _ now: Instant) {
        var transaction = transactions[key] ?? newTransaction(.putting(gid: gid, .restore, data), key)
        switch transaction.kind {
        case .reading:
            // A read that waits for the node's lease to come back.
            transaction.kind = .putting(gid: gid, .restore, data)
            transaction.queue.insert(contentsOf: transaction.readers, at: 0)
            transaction.readers = []
        case .putting(_, .restore, _) where transaction.sentAt == nil: break
        case .writing, .putting: return
        }
        transaction.sentAt = now
        transaction.resendAt = now + configuration.resendInterval
        transactions[key] = transaction
    }

    // MARK: Data on its way out

    private mutating func finishPut(
        _ key: CacheKey,
        _ gid: UInt64,
        _ version: CacheVersion,
        _ now: Instant,
        _ effects: inout RequestorEffects
    ) {
        statistics.writeBacks += 1
        if let transaction = transactions[key], case .putting(_, _, let data) = transaction.kind,
            data.version == version
        {
            return close(transaction, key, now, &effects)
        }
        guard finishFlush(key, version, &effects) else {
            statistics.staleMessages += 1
            return
        }
        flush(now: now, olderThan: configuration.flushInterval, into: &effects)
    }

    /// False: no flush of this version is on its way.
    private mutating func finishFlush(
        _ key: CacheKey,
        _ version: CacheVersion,
        _ effects: inout RequestorEffects
    ) -> Bool {
        for id in flushes.keys {
            guard let flush = flushes[id], flush.key == key else { continue }
            // A later one has taken its place.
            guard flush.version <= version else { return true }
            guard flush.version == version else { continue }
            flushes[id] = nil
            guard var slot = lines.find(key) else { return true }
            var fields = lines.fields(slot)
            // Written again since: another flush will say so, or is on its way.
            guard fields.version == version, fields.flags.contains(.flushing) else { return true }
            // As in `letGo`.
            guard fields.exists else {
                remove(slot, key, &effects)
                return true
            }
            fields.flags.subtract(.flushing)
            if transactions[key] == nil { fields.flags.remove(.pinned) }
            if fields.state == .modified {
                statistics.count(from: .modified, to: .exclusive)
                fields.state = .exclusive
            }
            lines.setFields(&slot, fields)
            return true
        }
        return false
    }

    /// What was a write goes on as the return of unlogged data that the write has not brought into the log.
    mutating func restore(
        _ data: LineData,
        _ transaction: inout LineTransaction,
        _ key: CacheKey,
        _ now: Instant,
        _ effects: inout RequestorEffects
    ) {
        transaction.kind = .putting(gid: 0, .restore, data)
        transaction.sentAt = nil
        send(transaction, key, now, &effects)
    }

    // MARK: What comes next for a line

    /// The transaction has ended; its queue goes on.
    mutating func close(
        _ transaction: LineTransaction,
        _ key: CacheKey,
        _ now: Instant,
        _ effects: inout RequestorEffects
    ) {
        open[transaction.id] = nil
        transactions.removeValue(forKey: key)
        var queue = transaction.queue
        while !queue.isEmpty {
            let call = queue.removeFirst()
            switch call.kind {
            case .read: read(key, call, now, &effects)
            case .write:
                if transactions[key] != nil {
                    // A read of this queue went to the home: the rest waits behind it.
                    transactions[key]?.queue.append(contentsOf: [call] + queue)
                    return
                }
                if !writeInLine(key, call, now, &effects) {
                    return startWrite(key, call, queue: queue, now, &effects)
                }
            }
        }
    }
}
