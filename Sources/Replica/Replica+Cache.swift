// SPDX-License-Identifier: Apache-2.0
package import CacheCore
package import Primitives
import RaftCore

/// The home of the shard's lines while this replica leads, and in the system shard the leases of all caches.
extension Replica {
    func homeContext(_ now: Instant) -> HomeContext {
        HomeContext(
            state: state.cache,
            now: now,
            stamp: stampBase.stamp(at: now),
            maxBytes: configuration.maxCacheBytes,
            maxDirtyBytes: configuration.maxDirtyCacheBytes
        )
    }

    mutating func cache(_ input: CacheInput, _ now: Instant, _ effects: inout ReplicaEffects) {
        switch input {
        case .membership(let view, let own, let leaseEnd):
            home.membership(view, own: own, leaseEnd: leaseEnd, now: now, into: &homeEffects)
        case .request(let from, let epoch, let request):
            guard epoch == home.epoch else { return }
            if case .write(let key, let write) = request {
                switch state.requests.lookup(write.id) {
                case .new: break
                case .waiting, .forgotten: return
                case .done(.cache(let response)):
                    home.replay(from, key, write, response, now: now, into: &homeEffects)
                    return emitHome(now, &effects)
                case .done: return
                }
            }
            home.receive(from, request, homeContext(now), into: &homeEffects)
        case .filled(let key, let number, let current):
            home.filled(key, number: number, current, homeContext(now), into: &homeEffects)
        case .memory(let input):
            guard isLeading else { return }
            memory(input, now, &effects)
        }
        emitHome(now, &effects)
    }

    /// On each tick of a leader.
    mutating func keepCacheTime(_ now: Instant, _ effects: inout ReplicaEffects) {
        if home.wantsConfirmation(now: now), !isConfirmingHome {
            isConfirmingHome = true
            read(.confirmHome(home.ticket), .readIndex, now, &effects)
        }
        home.tick(homeContext(now), into: &homeEffects)
        if !clearCallers.isEmpty, !home.isClearing { clear(now) }
        answerStoreWaiters(now, &effects)
        emitHome(now, &effects)
        for member in cacheTimekeeper.due(now) {
            if !proposeInternal(.cache(.remove(member)), now, &effects) { cacheTimekeeper.retry(member) }
        }
    }

    private mutating func clear(_ now: Instant) {
        _ = home.removeAll(homeContext(now), into: &homeEffects)
    }

    mutating func homeIsConfirmed(_ ticket: HomeTicket, _ now: Instant, _ effects: inout ReplicaEffects) {
        isConfirmingHome = false
        home.confirmed(ticket, homeContext(now), into: &homeEffects)
        emitHome(now, &effects)
    }

    /// What applying one command brought about, for a leader.
    mutating func observeCache(_ now: Instant, _ effects: inout ReplicaEffects) {
        if let view = shardEffects.cache.view {
            cacheTimekeeper.observe(view, now: now)
            effects.cacheView = view
        }
        guard !shardEffects.cache.isEmpty else { return }
        for (key, expiresAt) in shardEffects.cache.expiries { home.noteExpiry(key, expiresAt, homeContext(now)) }
        for (index, response) in shardEffects.cache.responses {
            home.applied(index, response, homeContext(now), into: &homeEffects)
        }
        effects.dirtyKeys += shardEffects.cache.dirty
        emitHome(now, &effects)
    }

    /// Carries out what the home wants; a proposal that is not taken may make it want more.
    mutating func emitHome(_ now: Instant, _ effects: inout ReplicaEffects) {
        while !homeEffects.isEmpty {
            let wanted = homeEffects
            homeEffects.removeAll()
            for (member, notice) in wanted.send {
                effects.cacheNotices.append(CacheNoticeEnvelope(to: member, epoch: home.epoch, notice: notice))
            }
            effects.accusations += wanted.accusations
            effects.cacheFills += wanted.fills.map { CacheFill(key: $0.key, number: $0.number, epoch: home.epoch) }
            for proposal in wanted.proposals { place(proposal, now, &effects) }
            if wanted.isCleared {
                for (id, node) in clearCallers { reply(.answer(.cache(.done)), id, to: node, &effects) }
                clearCallers.removeAll()
            }
        }
    }

    /// At the end of a turn.
    mutating func proposeGathered(_ now: Instant, _ effects: inout ReplicaEffects) {
        guard home.hasGathered else { return }
        home.proposeGathered(into: &homeEffects)
        emitHome(now, &effects)
    }

    private mutating func place(_ proposal: HomeProposal, _ now: Instant, _ effects: inout ReplicaEffects) {
        var index: LogIndex?
        if !(storageIsFull && proposal.command.needsRoom) {
            let envelope = CommandEnvelope(
                stamp: stampBase.stamp(at: now),
                request: proposal.id ?? .internal,
                acknowledgedBelow: proposal.floor,
                command: .cache(proposal.command)
            )
            if case .appended(let place, _) = append(envelope.encoded(), now, &effects) { index = place }
        }
        home.placed(proposal, at: index?.rawValue, homeContext(now), into: &homeEffects)
    }

    // MARK: Inquiries

    /// Those that need no confirmed leadership.
    mutating func inquire(
        _ inquiry: CacheInquiry,
        _ id: RequestID,
        from: NodeID,
        _ now: Instant,
        _ effects: inout ReplicaEffects
    ) {
        switch inquiry {
        case .accuse(let member):
            cacheTimekeeper.accuse(member)
            reply(.answer(.cache(.done)), id, to: from, &effects)
        case .removeAll:
            clearCallers.removeAll { $0.id == id }
            clearCallers.append((id, from))
            if !home.isClearing {
                clear(now)
                emitHome(now, &effects)
            }
        case .lease, .count, .scan, .stored: read(.inquiry(inquiry, id, from: from), .readIndex, now, &effects)
        }
    }

    /// Leadership was confirmed after the inquiry came.
    mutating func answer(
        _ inquiry: CacheInquiry,
        _ id: RequestID,
        from: NodeID,
        _ now: Instant,
        _ effects: inout ReplicaEffects
    ) {
        switch inquiry {
        case .lease(let member):
            let isGranted = cacheTimekeeper.renew(member, now: now)
            if !isGranted, shard == .system,
                (state.cache.view.member(member.node)?.incarnation ?? 0) < member.incarnation
            {
                proposeInternal(.cache(.join(member)), now, &effects)
            }
            reply(.answer(.cache(.lease(isGranted: isGranted, state.cache.view))), id, to: from, &effects)
        case .count where state.cache.store.isWrittenBack:
            effects.memoryWalks.append(MemoryWalk(id: id, node: from, kind: .count))
        case .count: reply(.answer(.cache(.count(UInt64(state.cache.store.count)))), id, to: from, &effects)
        case .scan(let cursor, let count)
        where cursor >= CacheInquiry.memoryCursor && state.cache.store.isWrittenBack:
            let kind = MemoryWalk.Kind.scan(cursor: cursor - CacheInquiry.memoryCursor, count: Int(count))
            effects.memoryWalks.append(MemoryWalk(id: id, node: from, kind: kind))
        case .stored(let key, let version): awaitStore(StoreWaiter(id, from, key, version, since: now), &effects)
        case .scan(let cursor, let count):
            let page = state.cache.store.scan(cursor: cursor, count: Int(count), now: stampBase.stamp(at: now))
            // After the keys that are held come those that only the memory has.
            let isLast = page.next == 0 && state.cache.store.isWrittenBack
            let next = isLast ? CacheInquiry.memoryCursor : page.next
            reply(.answer(.cache(.page(page.keys, next: next))), id, to: from, &effects)
        case .accuse, .removeAll: break
        }
    }
}

/// What a replica is told of the cache.
package enum CacheInput: Sendable {
    /// What the node knows of who holds lines, and of its own lease.
    case membership(CacheView, own: CacheMember?, leaseEnd: Instant)
    case request(from: CacheMember, CacheEpoch, HomeRequest)
    /// From the memory; nil: it cannot be reached.
    case filled(CacheKey, number: UInt64, CacheCurrent?)
    case memory(MemoryInput)
}

package struct CacheNoticeEnvelope: Sendable, Equatable {
    package var to: CacheMember
    package var epoch: CacheEpoch
    package var notice: CacheNotice

    package init(to: CacheMember, epoch: CacheEpoch, notice: CacheNotice) {
        self.to = to
        self.epoch = epoch
        self.notice = notice
    }
}

package struct CacheFill: Sendable, Equatable {
    package var key: CacheKey
    package var number: UInt64
    /// Of the home that asked: numbers begin anew with each.
    package var epoch: CacheEpoch
}
