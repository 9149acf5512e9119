// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Members that come and go, repetitions, and expiry.
extension CacheHome {
    /// Views only grow newer. Who is in none any more has lost its lease, so it need not be waited for; who is new has
    /// nothing, and is told whose lines it may hold.
    mutating func learn(_ newer: CacheView, _ now: Instant, _ effects: inout HomeEffects) {
        guard newer.version > view.version else { return }
        let known = view
        view = newer
        guard phase != .idle else { return }
        if let own, !view.contains(own) { return rest() }
        for member in view.members where !known.contains(member) {
            if leavesOut(.unconfirmedNewcomers) { synchronise(member, now, &effects) } else { newcomers.append(member) }
        }
        newcomers.removeAll { !view.contains($0) }
        verdicts.forget { view.contains($0) }
        for member in unsynchronised.keys where !view.contains(member) { unsynchronised[member] = nil }
    }

    /// What an owner that is gone had written without the log is lost, unless it comes back and nobody has written
    /// since.
    func forgetRemoved(_ line: inout DirectoryLine) {
        guard !line.holders.allSatisfy({ view.contains($0.member) }) else { return }
        line.holders.removeAll { !view.contains($0.member) }
        if line.holders.isEmpty {
            line.isExclusive = false
            line.isSilent = false
        }
    }

    /// Due at least every `HomeConfiguration.resendInterval`.
    package mutating func tick(_ context: HomeContext, into effects: inout HomeEffects) {
        guard phase != .idle else { return }
        guard hasLease(context.now) else { return rest() }
        repeatSynchronisation(context.now, &effects)
        repeatNotices(context, &effects)
        if phase == .active { expireDue(context, &effects) }
        openIfReady(context, &effects)
    }

    private mutating func repeatSynchronisation(_ now: Instant, _ effects: inout HomeEffects) {
        for member in unsynchronised.keys {
            guard var wait = unsynchronised[member], wait.resendAt <= now else { continue }
            wait.resendAt = now + configuration.resendInterval
            effects.send.append((member, .synchronise(view: leavesOut(.hiddenViews) ? CacheView() : view)))
            if now.since(wait.since) >= configuration.patience {
                wait.since = now
                effects.accusations.append(member)
            }
            unsynchronised[member] = wait
        }
    }

    private mutating func repeatNotices(_ context: HomeContext, _ effects: inout HomeEffects) {
        for gid in open.keys {
            guard let key = open[gid], var line = directory.removeValue(forKey: key) else { continue }
            if var transaction = line.transaction, transaction.gid == gid {
                let count = transaction.targets.count
                transaction.targets.removeAll { !view.contains($0) }
                if transaction.targets.count < count {
                    statistics.expired += UInt64(count - transaction.targets.count)
                    forgetRemoved(&line)
                }
                if transaction.resendAt <= context.now, let notice = transaction.notice {
                    transaction.resendAt = context.now + configuration.resendInterval
                    for target in transaction.targets { effects.send.append((target, notice)) }
                    if context.now.since(transaction.since) >= configuration.patience {
                        transaction.since = context.now
                        effects.accusations += transaction.targets
                    }
                }
                line.transaction = transaction
                if case .filling = transaction.log {
                    open[gid] = nil
                    effects.fills.append((key, gid))
                }
                advance(key, &line, context, &effects)
            }
            directory[key] = line.isIdle ? nil : line
        }
    }

    private mutating func expireDue(_ context: HomeContext, _ effects: inout HomeEffects) {
        guard let own else { return }
        var count = 0
        while count < CacheCommand.maxBatch, let key = expiries.popDue(context.now) {
            count += 1
            guard let current = context.state.current(key), current.expiresAt != 0, current.value != nil else {
                continue
            }
            if current.isExpired(context.stamp) {
                accept(HomeWork(from: own, kind: .expire), key, context, &effects)
            } else {
                noteExpiry(key, current.expiresAt, context)
            }
        }
    }

    /// A key has got an expiry.
    package mutating func noteExpiry(_ key: CacheKey, _ expiresAt: UInt64, _ context: HomeContext) {
        guard phase != .idle else { return }
        let left = expiresAt > context.stamp ? expiresAt - context.stamp : 0
        expiries.insert(key, at: context.now + .milliseconds(left))
    }
}
