// SPDX-License-Identifier: Apache-2.0
import CacheCore
import LockCore
import Primitives
import RaftCore
import Replica
import Wire

/// One turn of a node: step everything that waits, flush, hand one batch to the log, then send.
extension Simulation {
    func turn(_ node: SimNode, _ life: UInt32) {
        guard node.life == life else { return }
        node.isTurnScheduled = false
        guard node.condition == .running else { return }
        let local = node.clock.local(now)
        let inputs = node.inbox
        let count = min(inputs.count, swarm.turnInputs)
        node.inbox.removeAll(keepingCapacity: true)
        if count < inputs.count { node.inbox.append(contentsOf: inputs[count...]) }
        for input in inputs[..<count] {
            dispatch(input, node, local)
            guard violations.isClean else { return }
        }
        settle(node, local)
        writeBatch(node)
        sendFrames(node)
        if !node.inbox.isEmpty { scheduleTurn(node) }
    }

    private func dispatch(_ input: NodeInput, _ node: SimNode, _ local: Instant) {
        switch input {
        case .tick:
            for shard in node.replicas.indices { step(.tick, node, shard, local) }
            node.router?.tick(now: local, into: &node.routerEffects)
            tickCache(node, local)
        case .frame(let from, let messages):
            for message in messages { receive(message, from: from, node, local) }
        case .peerConnected(let peer):
            for shard in node.replicas.indices { step(.peerConnected(nodes[peer].id), node, shard, local) }
        case .peerDisconnected(let peer):
            for shard in node.replicas.indices { step(.peerDisconnected(nodes[peer].id), node, shard, local) }
            node.router?.peerDisconnected(nodes[peer].id, now: local, into: &node.routerEffects)
        case .batchSynced(let batch): batchSynced(batch, node, local)
        case .snapshotWritten(let shard, let snapshot):
            step(.snapshotTaken(snapshot.metadata), node, shard, local)
        case .snapshotRead(let shard, let read): answerSnapshotRead(read, node, shard, local)
        case .snapshotStored(let shard, let store): storeChunk(store, node, shard, local)
        case .snapshotInstalled(let shard, let from, let snapshot):
            probes.hit(.snapshotInstalled)
            step(.snapshotInstalled(from: from, snapshot.metadata, bytes: snapshot.bytes), node, shard, local)
        case .bodiesRead(let shard, let read): answerRead(read, node, shard, local)
        case .transferLeadership(let shard): step(.transferLeadership(to: nil), node, shard, local)
        case .clientRequest(let operation): submit(operation, node, local)
        case .clientCancel(let operation): cancelAbandoned(operation, node, local)
        case .cacheCall(let call): begin(call, node, local)
        }
    }

    private func receive(_ message: PeerMessage, from sender: Int, _ node: SimNode, _ local: Instant) {
        let from = nodes[sender].id
        switch message {
        case .raft(let shard, let message): step(.message(from: from, message), node, Int(shard.rawValue), local)
        case .digest(let shard, let index, let hash):
            probes.hit(.digestCompared)
            step(.digest(from: from, index: index, hash: hash), node, Int(shard.rawValue), local)
        case .request(let request):
            step(.request(from: from, request), node, Int(request.shard.rawValue), local)
        case .reply(let shard, let id, let reply):
            node.router?.receive(reply, shard: shard, id: id, from: from, now: local, into: &node.routerEffects)
        case .ownerWaits(let shard, let term, let waits):
            step(.ownerWaits(from: from, shard, term, waits), node, 0, local)
        case .waitsConfirmed(let shard, let query, let requests):
            step(.waitsConfirmed(shard, query: query, requests), node, 0, local)
        case .confirmWaits(let shard, let query, let requests):
            step(.confirmWaits(from: from, query: query, requests), node, Int(shard.rawValue), local)
        case .abortWait(let shard, let request, let cycle):
            step(.abortWait(request, cycle: cycle), node, Int(shard.rawValue), local)
        case .cacheRequest(let shard, let member, let epoch, let request):
            // A node speaks for itself alone.
            guard member.node == from else { return }
            step(.cache(.request(from: member, epoch, request)), node, Int(shard.rawValue), local)
        case .cacheNotice(let shard, let envelope): receive(envelope, shard, from: from, node, local)
        case .cacheView(let view): learn(view, node, local)
        case .watch, .events, .inspectLine, .lineInspected, .flushLines, .linesFlushed: break
        }
    }

    func step(_ input: ReplicaInput, _ node: SimNode, _ shard: Int, _ local: Instant) {
        let host = node.replicas[shard]
        host.isTouched = true
        host.replica.step(input, now: local, into: &host.effects)
        observe(node, host)
    }

    private func batchSynced(_ batch: UInt64, _ node: SimNode, _ local: Instant) {
        for held in node.log.finish(batch) {
            node.outgoing[held.to].append(.raft(ShardID(UInt16(held.shard)), held.message))
        }
        for (shard, mark) in node.log.inFlightMarks { step(.persisted(mark: mark), node, shard, local) }
    }

    /// Carries out effects until none are left: answers of this node's own replicas make its router send more.
    private func settle(_ node: SimNode, _ local: Instant) {
        for _ in 0..<64 {
            var isQuiet = true
            for host in node.replicas where host.isTouched {
                host.isTouched = false
                isQuiet = false
                host.replica.flush(now: local, into: &host.effects)
                observe(node, host)
                carryOut(node, host, local)
            }
            drainRouter(node, local)
            if isQuiet || !violations.isClean { return }
        }
    }

    private func carryOut(_ node: SimNode, _ host: SimReplica, _ local: Instant) {
        // What is carried out may step this replica again, whose new effects must not mix with these.
        var effects = ReplicaEffects()
        swap(&effects, &node.spareEffects)
        swap(&effects, &host.effects)
        host.shadow.persistSeen = 0
        host.shadow.repliesSeen = 0
        carryOut(effects, node, host.shard, local)
        carryOutReads(effects, node, host)
        effects.removeAll()
        swap(&effects, &node.spareEffects)
    }

    private func carryOut(_ effects: ReplicaEffects, _ node: SimNode, _ shard: Int, _ local: Instant) {
        let id = ShardID(UInt16(shard))
        if !effects.persist.isEmpty { node.log.append(effects.persist, mark: effects.persistMark, shard: shard) }
        for envelope in effects.sendNow {
            node.outgoing[SimNode.index(of: envelope.to)].append(.raft(id, envelope.message))
        }
        let isDurable = node.log.isDurable(shard)
        for envelope in effects.sendAfterPersist {
            let to = SimNode.index(of: envelope.to)
            if isDurable {
                node.outgoing[to].append(.raft(id, envelope.message))
            } else {
                node.log.hold(envelope.message, to: to, shard: shard)
            }
        }
        for reply in effects.replies {
            if reply.to == node.id {
                node.router?.receive(
                    reply.reply,
                    shard: id,
                    id: reply.id,
                    from: node.id,
                    now: local,
                    into: &node.routerEffects
                )
            } else {
                node.outgoing[SimNode.index(of: reply.to)].append(.reply(id, reply.id, reply.reply))
            }
        }
        for (index, hash) in effects.digests {
            for other in nodes where other !== node {
                node.outgoing[other.index].append(.digest(id, index: index, hash: hash))
            }
        }
        if let change = effects.roleChange {
            node.router?.leaderChanged(id, to: change.leader, now: local, into: &node.routerEffects)
        }
        carryOutCache(effects, node, id, local)
        carryOutDetection(effects, node, shard, local)
        carryOutSnapshots(effects, node, shard)
    }

    private func carryOutDetection(_ effects: ReplicaEffects, _ node: SimNode, _ shard: Int, _ local: Instant) {
        let id = ShardID(UInt16(shard))
        if let report = effects.ownerWaits, let leader = node.router?.leader(of: .system) {
            deliver(.ownerWaits(id, report.term, report.waits), to: leader, from: node, local)
        }
        for (to, query, waits) in effects.waitsConfirmed {
            deliver(.waitsConfirmed(id, query: query, waits), to: to, from: node, local)
        }
        for message in effects.detector {
            switch message {
            case .confirm(let shard, let query, let requests):
                guard let leader = node.router?.leader(of: shard) else { continue }
                deliver(.confirmWaits(shard, query: query, requests), to: leader, from: node, local)
            case .abort(let shard, let request, let cycle):
                guard let leader = node.router?.leader(of: shard) else { continue }
                deliver(.abortWait(shard, request, cycle: cycle), to: leader, from: node, local)
            }
        }
    }

    /// To another node, or straight back in.
    private func deliver(_ message: PeerMessage, to id: NodeID, from node: SimNode, _ local: Instant) {
        if id == node.id {
            receive(message, from: node.index, node, local)
        } else {
            node.outgoing[SimNode.index(of: id)].append(message)
        }
    }

    private func drainRouter(_ node: SimNode, _ local: Instant) {
        while !node.routerEffects.send.isEmpty || !node.routerEffects.completed.isEmpty {
            let effects = node.routerEffects
            node.routerEffects.removeAll()
            for (to, request) in effects.send {
                if to == node.id {
                    step(.request(from: node.id, request), node, Int(request.shard.rawValue), local)
                } else {
                    probes.hit(.requestForwarded)
                    node.outgoing[SimNode.index(of: to)].append(.request(request))
                }
            }
            for (caller, response) in effects.completed { complete(caller, response, node) }
        }
    }

    private func writeBatch(_ node: SimNode) {
        guard let batch = node.log.begin(), let number = node.log.inFlight else { return }
        node.disk.write(batch)
        let delay = random.interval(from: swarm.syncMin, to: swarm.syncMax) + node.syncDelay
        queue.schedule(.diskDone(node: node.index, life: node.life, batch: number), at: now + delay)
    }
}
