// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import RaftCore
import Replica

/// A node's cache: the shell's duties around real requestors and a real lease keeper.
extension Simulation {
    /// Answers with this token are the lease's.
    static let leaseCaller = CallerToken(.max - 1)

    func startCache(_ node: SimNode) {
        guard swarm.cache.clients > 0 else { return }
        // Not an origin that the router's requests have.
        let origin = 1 << 63 | UInt64(node.index + 1) << 32 | UInt64(node.life)
        var configuration = RequestorConfiguration(origin: origin, policy: swarm.cache.policy)
        configuration.resendInterval = swarm.cache.resendInterval
        configuration.flushInterval = swarm.cache.flushInterval
        #if PLANTED_BUGS
            configuration.plantedBug = options.plantedCacheBug
        #endif
        node.cache = SimCache(node: node.id, life: node.life, swarm: swarm, configuration: configuration)
    }

    // MARK: Steps

    /// Steps a requestor and carries out what it wants.
    func step(
        _ stripe: SimStripe,
        _ node: SimNode,
        _ local: Instant,
        _ body: (inout CacheRequestor, inout RequestorEffects) -> Void
    ) {
        guard let cache = node.cache else { return }
        var effects = RequestorEffects()
        stripe.requestor.tick = cache.tick
        let synchronisations = stripe.requestor.statistics.synchronisations
        body(&stripe.requestor, &effects)
        cache.tick = max(cache.tick, stripe.requestor.tick)
        if stripe.requestor.statistics.synchronisations > synchronisations { probes.hit(.cacheSynchronised) }
        invariant(effects.journal.isEmpty, "a write of the mode local was made")
        for (token, result) in effects.completed { cacheCompleted(Int(token), result, node, local) }
        checkLines(stripe.shard)
        if let from = stripe.requestor.member, let home = stripe.requestor.home {
            let epoch = stripe.requestor.epoch
            for request in effects.send {
                if home == node.id {
                    step(.cache(.request(from: from, epoch, request)), node, Int(stripe.shard.rawValue), local)
                } else {
                    let message = PeerMessage.cacheRequest(stripe.shard, from: from, epoch, request)
                    note(node.index, "to \(home): \(message)")
                    node.outgoing[SimNode.index(of: home)].append(message)
                }
            }
        }
        cache.planner.update(Int(stripe.shard.rawValue), stripe.requestor.lines.summary)
        shed(node, cache, local)
    }

    /// Evicts until the node is within its bound.
    private func shed(_ node: SimNode, _ cache: SimCache, _ local: Instant) {
        guard !cache.isShedding else { return }
        cache.isShedding = true
        defer { cache.isShedding = false }
        for _ in 0..<64 {
            switch cache.planner.next(tick: cache.nextTick()) {
            case .done: return
            case .blocked:
                for stripe in cache.stripes where stripe.requestor.unloggedCount > 0 {
                    step(stripe, node, local) { $0.flush(now: local, olderThan: .zero, into: &$1) }
                }
                return
            case .take(let order):
                let stripe = cache.stripes[order.table]
                var isEvicted = false
                step(stripe, node, local) { requestor, effects in
                    guard let victim = requestor.lines.victim(order) else { return }
                    isEvicted = true
                    requestor.evict(victim, now: local, into: &effects)
                }
                if isEvicted { probes.hit(.cacheEvicted) }
                cache.planner.completed(order, evicted: isEvicted, stripe.requestor.lines.summary)
            }
        }
    }

    func receive(_ envelope: CacheNoticeEnvelope, _ shard: ShardID, from: NodeID, _ node: SimNode, _ local: Instant) {
        guard let cache = node.cache else { return }
        step(cache.stripes[Int(shard.rawValue)], node, local) { requestor, effects in
            requestor.receive(
                envelope.notice,
                from: from,
                epoch: envelope.epoch,
                to: envelope.to,
                now: local,
                into: &effects
            )
        }
    }

    /// What the home of the shard's lines has to say, in order.
    func carryOutCache(_ effects: ReplicaEffects, _ node: SimNode, _ shard: ShardID, _ local: Instant) {
        for envelope in effects.cacheNotices {
            note(node.index, "shard \(shard) to \(envelope.to) in \(envelope.epoch): \(envelope.notice)")
            if envelope.to.node == node.id {
                receive(envelope, shard, from: node.id, node, local)
            } else {
                node.outgoing[SimNode.index(of: envelope.to.node)].append(.cacheNotice(shard, envelope))
            }
        }
        for member in effects.accusations {
            probes.hit(.cacheAccused)
            ask(.accuse(member), Self.nobody, node, local)
        }
        if let view = effects.cacheView {
            for other in nodes where other !== node { node.outgoing[other.index].append(.cacheView(view)) }
            learn(view, node, local)
        }
    }

    private func ask(_ inquiry: CacheInquiry, _ caller: CallerToken, _ node: SimNode, _ local: Instant) {
        _ = node.router?.submit(
            .cache(inquiry),
            to: .system,
            caller: caller,
            timeout: swarm.cache.renewal,
            now: local,
            into: &node.routerEffects
        )
    }

    // MARK: The lease

    func tickCache(_ node: SimNode, _ local: Instant) {
        guard let cache = node.cache else { return }
        let before = (cache.keeper.own(now: local), cache.keeper.leaseEnd, cache.keeper.losses)
        let request = cache.keeper.tick(now: local)
        if before != (cache.keeper.own(now: local), cache.keeper.leaseEnd, cache.keeper.losses) {
            if cache.keeper.losses > before.2 { lostLease(node, cache) }
            announceLease(node, cache, local)
        }
        if let request {
            cache.asked = request
            ask(.lease(request), Self.leaseCaller, node, local)
        }
        for stripe in cache.stripes where !stripe.requestor.isIdle {
            step(stripe, node, local) { $0.tick(now: local, into: &$1) }
        }
    }

    func leaseAnswered(_ response: Response, _ node: SimNode) {
        guard let cache = node.cache, let asked = cache.asked else { return }
        cache.asked = nil
        let local = node.clock.local(now)
        var (granted, view): (Bool?, CacheView?) = (nil, nil)
        if case .cache(.lease(let isGranted, let known)) = response { (granted, view) = (isGranted, known) }
        let losses = cache.keeper.losses
        cache.keeper.answered(asked, isGranted: granted, view: view, now: local)
        if cache.keeper.losses > losses { lostLease(node, cache) }
        announceLease(node, cache, local)
    }

    func learn(_ view: CacheView, _ node: SimNode, _ local: Instant) {
        guard let cache = node.cache, view.version > cache.keeper.view.version else { return }
        let losses = cache.keeper.losses
        cache.keeper.learn(view, now: local)
        if cache.keeper.losses > losses { lostLease(node, cache) }
        announceLease(node, cache, local)
    }

    private func lostLease(_ node: SimNode, _ cache: SimCache) {
        probes.hit(.cacheLeaseLost)
        note(node.index, "has lost its lease, and is \(cache.keeper.member) now")
        losesLines(cache)
    }

    /// The log says that a member is gone. Its node may be stopped and not know it.
    func cacheMemberRemoved(_ member: CacheMember) {
        guard let cache = nodes[SimNode.index(of: member.node)].cache, cache.keeper.member == member else { return }
        losesLines(cache)
    }

    /// What the node has written without the log, and not written back, is lost.
    func losesLines(_ cache: SimCache) {
        for number in checkers.cache.keys.indices where checkers.cache.keys[number].durability == .volatile {
            let key = checkers.cache.keys[number].key
            let stripe = cache.stripe(key)
            let isOwned = stripe.requestor.lines.find(key).map { stripe.requestor.lines.state($0) != .shared } ?? false
            if isOwned || stripe.requestor.isWriting(key) { checkers.cache.losesOwner(of: number) }
        }
    }

    /// The requestors first: a home that learns of a member synchronises it.
    private func announceLease(_ node: SimNode, _ cache: SimCache, _ local: Instant) {
        let (view, own, end) = (cache.keeper.view, cache.keeper.own(now: local), cache.keeper.leaseEnd)
        for stripe in cache.stripes {
            step(stripe, node, local) { $0.membership(view, own: own, leaseEnd: end, now: local, into: &$1) }
        }
        for host in node.replicas {
            step(.cache(.membership(view, own: own, leaseEnd: end)), node, host.shard, local)
        }
    }

    // MARK: What is checked

    /// Every line that a read could be answered from now, on each node by its own clock.
    func checkLines(_ shard: ShardID) {
        for number in checkers.cache.keys(of: shard) {
            let key = checkers.cache.keys[number].key
            checkers.cache.beginLines()
            for node in nodes where node.isUp {
                guard let cache = node.cache else { continue }
                let stripe = cache.stripes[Int(shard.rawValue)]
                let local = node.clock.local(now)
                let hash = checkers.cache.keys[number].hash
                let found = key.bytes.withUnsafeBytes { stripe.requestor.hit(hash, $0, now: local) }
                guard let slot = found else { continue }
                let line = CacheModel.Line(
                    node: node.index,
                    state: stripe.requestor.lines.state(slot),
                    version: stripe.requestor.lines.version(slot),
                    exists: stripe.requestor.lines.exists(slot),
                    valueHash: StableHash.bytes(stripe.requestor.lines.value(slot))
                )
                checkers.cache.add(line, number, &violations)
            }
        }
    }
}
