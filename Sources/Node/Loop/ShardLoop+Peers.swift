// SPDX-License-Identifier: Apache-2.0
import CacheCore
import LockCore
import NIOCore
package import Primitives
import RaftCore
package import Replica
import Telemetry

/// What arrives from other nodes, on the loop that owns the links.
extension ShardLoop {
    package func peerMessages(_ messages: [PeerMessage], from node: NodeID) {
        var elsewhere: [ObjectIdentifier: (ShardLoop, [PeerMessage])] = [:]
        for message in messages {
            guard let owner = context.loop(for: message) else { continue }
            if owner === self {
                receive(message, from: node)
            } else {
                elsewhere[ObjectIdentifier(owner), default: (owner, [])].1.append(message)
            }
        }
        for (owner, messages) in elsewhere.values { owner.post(.peer(messages, from: node)) }
    }

    private func receive(_ message: PeerMessage, from node: NodeID) {
        switch message {
        case .raft(let shard, let message): step(shard, .message(from: node, message))
        case .digest(let shard, let index, let hash): step(shard, .digest(from: node, index: index, hash: hash))
        case .request(let request): accept(request, from: node)
        case .reply(let shard, let id, let reply):
            router.receive(reply, shard: shard, id: id, from: node, now: NodeClock.now(), into: &routerEffects)
            scheduleTurn()
        case .ownerWaits(let shard, let term, let waits):
            guard Int(shard.rawValue) < hosted.count else { return }
            step(.system, .ownerWaits(from: node, shard, term, waits))
        case .confirmWaits(let shard, let query, let requests):
            step(shard, .confirmWaits(from: node, query: query, requests))
        case .waitsConfirmed(let shard, let query, let requests):
            step(.system, .waitsConfirmed(shard, query: query, requests))
        case .abortWait(let shard, let request, let cycle): step(shard, .abortWait(request, cycle: cycle))
        case .cacheRequest(let shard, let member, let epoch, let request):
            // A node speaks for itself alone.
            if member.node == node { step(shard, .cache(.request(from: member, epoch, request))) }
        case .cacheNotice(let shard, let envelope): cache?.receive(envelope, shard, from: node)
        case .cacheView(let view): cache?.learn(view)
        case .inspectLine(let ticket, let key):
            guard let cache else { return }
            enqueue(.lineInspected(ticket: ticket, cache.look(key)), to: node)
            scheduleTurn()
        case .lineInspected(let ticket, let inspection): cache?.inspected(ticket, inspection, from: node)
        case .flushLines(let ticket, let milliseconds): flushLines(ticket, milliseconds, for: node)
        case .linesFlushed(let ticket, let report): cache?.flushed(ticket, report, from: node)
        case .watch(let shard, let isOn): subscribe(node, to: shard, isOn)
        case .events(let shard, let events):
            for loop in context.loops {
                if loop === self { tellWatchers(events, of: shard) } else { loop.post(.events(shard, events)) }
            }
        }
    }

    private func flushLines(_ ticket: UInt64, _ milliseconds: UInt64, for node: NodeID) {
        let answer = { (report: CacheFlushReport) in
            self.enqueue(.linesFlushed(ticket: ticket, report), to: node)
            self.scheduleTurn()
        }
        // A node that does not serve the cache has nothing to write back.
        guard let cache else { return answer(CacheFlushReport(lines: 0, left: 0)) }
        let limit = min(.milliseconds(milliseconds), router.configuration.requestTimeout)
        cache.flushOwn(within: limit, answer)
    }

    private func accept(_ request: RoutedRequest, from node: NodeID) {
        guard Int(request.shard.rawValue) < hosted.count, hosted[Int(request.shard.rawValue)] != nil else {
            // A peer with another idea of the placement: it must not wait for an answer that never comes.
            enqueue(.reply(request.shard, request.id, .notLeader(hint: nil)), to: node)
            scheduleTurn()
            return
        }
        step(request.shard, .request(from: node, request))
    }

    // MARK: Deadlock detection across shards

    func carryDetection(_ effects: ReplicaEffects, _ shard: ShardID) {
        if let (term, waits) = effects.ownerWaits {
            sendToLeader(of: .system, .ownerWaits(shard, term, waits)) {
                .ownerWaits(from: self.context.node, shard, term, waits)
            }
        }
        for message in effects.detector {
            switch message {
            case .confirm(let target, let query, let requests):
                sendToLeader(of: target, .confirmWaits(target, query: query, requests)) {
                    .confirmWaits(from: self.context.node, query: query, requests)
                }
            case .abort(let target, let request, let cycle):
                sendToLeader(of: target, .abortWait(target, request, cycle: cycle)) {
                    .abortWait(request, cycle: cycle)
                }
            }
        }
        for (node, query, waits) in effects.waitsConfirmed {
            if let (term, report) = effects.ownerWaits, node != router.leader(of: .system) {
                if node == context.node {
                    stepAnywhere(.system, .ownerWaits(from: node, shard, term, report))
                } else {
                    enqueue(.ownerWaits(shard, term, report), to: node)
                }
            }
            if node == context.node {
                stepAnywhere(.system, .waitsConfirmed(shard, query: query, waits))
            } else {
                enqueue(.waitsConfirmed(shard, query: query, waits), to: node)
            }
        }
    }

    /// Lost when the leader is unknown or moves: the detector's inputs are repeated while waits stand.
    private func sendToLeader(of shard: ShardID, _ message: PeerMessage, here: () -> ReplicaInput) {
        guard let leader = router.leader(of: shard) else { return }
        if leader == context.node { stepAnywhere(shard, here()) } else { enqueue(message, to: leader) }
    }

    private func stepAnywhere(_ shard: ShardID, _ input: ReplicaInput) {
        guard let owner = context.loop(ofShard: shard) else { return }
        // Through the mailbox even when it is this loop: the step that asked for it is still being carried out.
        owner.post(.step(shard, input))
    }

    // MARK: Watching from nodes without a replica

    static let subscriptionLifetime = Interval.milliseconds(15_000)

    private func subscribe(_ node: NodeID, to shard: ShardID, _ isOn: Bool) {
        guard Int(shard.rawValue) < hosted.count, let replica = hosted[Int(shard.rawValue)] else { return }
        replica.subscribers[node] = isOn ? NodeClock.now() + Self.subscriptionLifetime : nil
    }

    func publish(_ events: [LockEvent], of hosted: HostedReplica, _ now: Instant) {
        let shard = hosted.shard
        context.metrics.count(events, isLeader: hosted.effects.isLeading)
        log.audit(events, isLeader: hosted.effects.isLeading)
        for loop in context.loops {
            if loop === self {
                tellWatchers(events, of: shard)
            } else if context.hasWatchers {
                loop.post(.events(shard, events))
            }
        }
        for (node, end) in hosted.subscribers {
            if end > now { enqueue(.events(shard, events), to: node) } else { hosted.subscribers[node] = nil }
        }
    }
}
