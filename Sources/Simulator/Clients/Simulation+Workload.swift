// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import RaftCore
import Replica

/// What clients do when they wake up.
extension Simulation {
    func wake(_ client: Int) {
        guard phase != .finished else { return }
        if clients[client].pausedUntil > now {
            queue.schedule(.client(client), at: clients[client].pausedUntil)
            return
        }
        trace.note(11, UInt64(client), now.nanoseconds)
        guard clients[client].agent == nil else { return wakeAgent(client) }
        let local = clients[client].clock.local(now)
        for session in clients[client].active { tend(client, session, local) }
        giveUpOnSilence(client)
        if phase == .healing {
            retire(client)
        } else if now >= clients[client].nextThink {
            act(client)
            clients[client].nextThink =
                now + clients[client].random.interval(from: swarm.thinkMin, to: swarm.thinkMax)
        }
        queue.schedule(.client(client), at: nextWake(client))
    }

    private func nextWake(_ client: Int) -> WorldTime {
        var wake = phase == .healing ? now + .milliseconds(100) : max(clients[client].nextThink, now + .milliseconds(1))
        let local = clients[client].clock.local(now)
        for position in clients[client].active {
            let session = clients[client].sessions[position]
            guard session.phase == .live, !session.isAbandoned else { continue }
            let due = session.nextRenewal.since(local)
            wake = min(wake, now + max(clients[client].clock.worldInterval(due), .milliseconds(5)))
        }
        return wake
    }

    /// Renews in time, and notices that it is too late.
    private func tend(_ client: Int, _ session: Int, _ local: Instant) {
        let state = clients[client].sessions[session]
        guard state.phase == .live else { return }
        if local >= state.believedUntil {
            probes.hit(.sessionLostByClient)
            endSession(client, session)
            return
        }
        guard !state.isAbandoned, !state.isRenewing, local >= state.nextRenewal else { return }
        clients[client].sessions[session].isRenewing = true
        send(.renew(state.id), .renew, client: client, session: session, shard: names.shards[state.namespace])
    }

    /// A node that does not answer a renewal is left.
    func giveUpOnSilence(_ client: Int) {
        let patience = swarm.requestTimeout + .milliseconds(500)
        for position in clients[client].outstanding {
            let operation = operations[position]
            let isWait = operation.request.mayWait
            if !isWait && now.since(operation.sentAt) > patience {
                abandonNode(client)
                return
            }
            // A wait is only as good as the node it hangs on: half a time to live without any answer is too long.
            if operation.kind == .renew && now.since(operation.sentAt) > .milliseconds(swarm.sessionTTL / 2) {
                abandonNode(client)
                return
            }
            if operation.errand?.isRenewal ?? false,
                now.since(operation.sentAt) > .milliseconds(swarm.queues.consumerTTL / 2)
            {
                abandonNode(client)
                return
            }
        }
    }

    // MARK: Choosing

    private func act(_ client: Int) {
        if clients[client].active.count < swarm.sessionsPerClient {
            open(client)
            return
        }
        let live = clients[client].active.filter {
            clients[client].sessions[$0].phase == .live && !clients[client].sessions[$0].isAbandoned
        }
        guard !live.isEmpty else { return }
        let session = live[Int(clients[client].random.below(UInt64(live.count)))]
        switch pick(client) {
        case 0: acquire(client, session, many: false)
        case 1: release(client, session)
        case 2: convert(client, session)
        case 3: acquire(client, session, many: true)
        case 4: acquireSemaphore(client, session)
        case 5: campaign(client, session)
        case 6: read(client, session)
        case 7: cancel(client, session)
        case 8: close(client, session)
        case 9: breakLock(client, session)
        case 10: abandon(client, session)
        default: sendNonsense(client, session)
        }
    }

    private func pick(_ client: Int) -> Int {
        let weights = swarm.workload.weights
        var rest = clients[client].random.below(weights.reduce(0, +))
        for (position, weight) in weights.enumerated() {
            if rest < weight { return position }
            rest -= weight
        }
        return 0
    }

    private func below(_ client: Int, _ bound: Int) -> Int { Int(clients[client].random.below(UInt64(bound))) }

    private func percent(_ client: Int, _ chance: UInt64) -> Bool { clients[client].random.below(100) < chance }

    private func isWaiting(_ client: Int, _ session: Int) -> Bool {
        clients[client].outstanding.contains { operations[$0].session == session && operations[$0].request.mayWait }
    }

    /// One wait at a time for each session: a session is one agent, which is what deadlock detection takes it for.
    private func drawWait(_ client: Int, _ session: Int) -> Wait {
        if isWaiting(client, session) || percent(client, swarm.workload.waitNone) { return .none }
        if percent(client, swarm.workload.waitTimed) {
            return .milliseconds(clients[client].random.below(4_000))
        }
        return .forever
    }

    private func nextSequence(_ client: Int, _ session: Int) -> UInt64? {
        guard percent(client, 90) else { return nil }
        defer { clients[client].sessions[session].sequence += 1 }
        return clients[client].sessions[session].sequence
    }

    private func command(_ command: LockCommand, _ kind: OperationKind, _ client: Int, _ session: Int) {
        let shard = names.shards[clients[client].sessions[session].namespace]
        send(.command(command), kind, client: client, session: session, shard: shard)
    }

    // MARK: Doing

    private func open(_ client: Int) {
        let namespace = below(client, names.namespaces.count)
        let number = clients[client].sessionsOpened
        clients[client].sessionsOpened += 1
        let prefix = namespace == 0 ? "" : names.namespaces[namespace].text + "/"
        let id = SessionID(prefix + "c\(client)-\(number)")
        let position = clients[client].sessions.count
        let ttl = max(1_000, swarm.sessionTTL)
        clients[client].sessions.append(ClientSession(id: id, namespace: namespace, ttl: ttl))
        clients[client].active.append(position)
        sessionOwners[id] = (client, position)
        let owner = percent(client, swarm.workload.owners) ? "owner\(client % 3)" : ""
        let delay = percent(client, swarm.workload.lockDelays) ? 100 + clients[client].random.below(2_000) : 0
        command(
            .openSession(OpenSession(id: id, ttlMilliseconds: ttl, owner: owner, lockDelayMilliseconds: delay)),
            .open,
            client,
            position
        )
    }

    private func acquire(_ client: Int, _ session: Int, many: Bool) {
        let id = clients[client].sessions[session].id
        var items: [AcquireItem] = []
        let first = below(client, names.locks.count)
        let count = many ? min(names.locks.count, 2 + below(client, 2)) : 1
        for offset in 0..<count {
            let mode = LockMode.allCases[[0, 0, 1, 2, 2][below(client, 5)]]
            items.append(AcquireItem(name: names.locks[(first + offset) % names.locks.count], mode: mode))
        }
        let acquire = Acquire(
            session: id,
            items: items,
            wait: drawWait(client, session),
            priority: percent(client, 20) ? Int64(clients[client].random.below(3)) : 0,
            sequence: nextSequence(client, session)
        )
        command(.acquire(acquire), many ? .acquireAll : .acquire, client, session)
    }

    private func acquireSemaphore(_ client: Int, _ session: Int) {
        let position = below(client, names.semaphores.count)
        let limit = names.limit(ofSemaphore: position)
        let acquire = Acquire(
            session: clients[client].sessions[session].id,
            kind: .semaphore,
            items: [AcquireItem(name: names.semaphores[position], mode: .shared)],
            wait: drawWait(client, session),
            permits: 1 + clients[client].random.below(limit),
            limit: limit,
            sequence: nextSequence(client, session)
        )
        command(.acquire(acquire), .acquire, client, session)
    }

    private func campaign(_ client: Int, _ session: Int) {
        let acquire = Acquire(
            session: clients[client].sessions[session].id,
            kind: .election,
            items: [AcquireItem(name: names.elections[below(client, names.elections.count)], mode: .exclusive)],
            wait: drawWait(client, session),
            value: [UInt8(truncatingIfNeeded: client)],
            sequence: nextSequence(client, session)
        )
        command(.acquire(acquire), .acquire, client, session)
    }

    private func release(_ client: Int, _ session: Int) {
        let holdings = clients[client].sessions[session].holdings
        guard !holdings.isEmpty else { return }
        let position = below(client, holdings.count)
        let holding = holdings[position]
        clients[client].sessions[session].holdings[position].isRelied = false
        let release = Release(
            session: clients[client].sessions[session].id,
            kind: holding.kind,
            name: holding.name,
            sequence: nextSequence(client, session)
        )
        command(.release(release), .release, client, session)
    }

    private func convert(_ client: Int, _ session: Int) {
        let held = clients[client].sessions[session].holdings.indices.filter {
            clients[client].sessions[session].holdings[$0].kind == .lock
        }
        guard !held.isEmpty, !isWaiting(client, session) else { return }
        let position = held[below(client, held.count)]
        clients[client].sessions[session].holdings[position].isRelied = false
        let convert = Convert(
            session: clients[client].sessions[session].id,
            name: clients[client].sessions[session].holdings[position].name,
            mode: LockMode.allCases[below(client, 3)],
            wait: drawWait(client, session),
            sequence: nextSequence(client, session)
        )
        command(.convert(convert), .convert, client, session)
    }

    private func read(_ client: Int, _ session: Int) {
        let state = clients[client].sessions[session]
        let namespace = names.namespaces[state.namespace]
        let mode: ReadMode = percent(client, swarm.workload.leaseReads) ? .lease : .readIndex
        let query: LockQuery
        switch below(client, 5) {
        case 0: query = .session(state.id)
        case 1: query = .list(namespace: namespace, prefix: "", cursor: 0, limit: 10)
        case 2:
            query = .electionLeader(namespace: namespace, name: names.elections[below(client, names.elections.count)])
        default: query = .object(namespace: namespace, name: names.locks[below(client, names.locks.count)])
        }
        send(.query(query, mode), .read, client: client, session: nil, shard: names.shards[state.namespace])
    }

    private func cancel(_ client: Int, _ session: Int) {
        let waiting = clients[client].outstanding.first {
            operations[$0].session == session && operations[$0].request.mayWait
                && operations[$0].node == clients[client].node
        }
        guard let waiting else { return }
        send(
            operations[waiting].request,
            .cancel,
            client: client,
            session: session,
            shard: operations[waiting].shard,
            target: waiting
        )
    }

    func close(_ client: Int, _ session: Int) {
        clients[client].sessions[session].phase = .closing
        for position in clients[client].sessions[session].holdings.indices {
            clients[client].sessions[session].holdings[position].isRelied = false
        }
        command(.closeSession(clients[client].sessions[session].id), .close, client, session)
    }

    private func breakLock(_ client: Int, _ session: Int) {
        let state = clients[client].sessions[session]
        let command = LockCommand.breakLock(
            namespace: names.namespaces[state.namespace],
            name: names.locks[below(client, names.locks.count)],
            reason: "test"
        )
        send(.command(command), .breakLock, client: client, session: nil, shard: names.shards[state.namespace])
    }

    private func abandon(_ client: Int, _ session: Int) { clients[client].sessions[session].isAbandoned = true }

    /// What a careless client sends: refused, and nothing happens.
    private func sendNonsense(_ client: Int, _ session: Int) {
        let id = clients[client].sessions[session].id
        let nonsense: LockCommand
        switch below(client, 4) {
        case 0: nonsense = .acquire(Acquire(session: id, items: []))
        case 1: nonsense = .release(Release(session: id, name: names.elections[0]))
        case 2:
            nonsense = .acquire(
                Acquire(session: id, kind: .election, items: [AcquireItem(name: names.locks[0], mode: .exclusive)])
            )
        default: nonsense = .release(Release(session: id, kind: .semaphore, name: names.semaphores[0], permits: .max))
        }
        command(nonsense, .malformed, client, session)
    }

    // MARK: Coming to rest

    /// Closes each session once none of its operations is open any more.
    private func retire(_ client: Int) {
        for session in clients[client].active {
            let state = clients[client].sessions[session]
            if state.phase == .live && state.outstanding == 0 { close(client, session) }
        }
    }
}
