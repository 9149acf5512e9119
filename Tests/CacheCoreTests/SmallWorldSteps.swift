import Primitives

// SPDX-License-Identifier: Apache-2.0
@testable import CacheCore

/// What each event does, with the real machines.
extension SmallWorld {
    mutating func step(_ event: SmallWorldEvent) {
        if diary != nil { note(event) }
        switch event {
        case .start(let client): start(client)
        case .deliver(let from, let to, let connection): deliver(from, to, connection)
        case .loseOld(let from, let to):
            channels[from][to].connections.removeFirst()
        case .reconnect(let from, let to):
            budget.breaks -= 1
            channels[from][to].connections.append([])
        case .apply(let home): apply(home)
        case .ask(let home): homes[home].ticket = homes[home].box.home.ticket
        case .confirm(let home):
            guard let ticket = homes[home].ticket else { break }
            homes[home].ticket = nil
            onHome(home) { machine, context, effects in machine.confirmed(ticket, context, into: &effects) }
        case .tickHome(let home):
            budget.homeTicks = max(0, budget.homeTicks - 1)
            onHome(home) { machine, context, effects in machine.tick(context, into: &effects) }
        case .takeOver(let node, let kept): takeOver(node, kept)
        case .stop(let home):
            homes[home].isStopped = true
            homes[home].ticket = nil
            onHome(home) { machine, _, _ in machine.stopLeading() }
        case .refuse:
            budget.refusals -= 1
            refusesNext = true
        case .clear(let home):
            budget.clearings -= 1
            onHome(home) { machine, context, effects in _ = machine.removeAll(context, into: &effects) }
        case .hour:
            budget.hours -= 1
            hours += 1
        default: stepNode(event)
        }
        checkInvariants()
    }

    private mutating func stepNode(_ event: SmallWorldEvent) {
        switch event {
        case .tick(let node):
            budget.requestorTicks = max(0, budget.requestorTicks - 1)
            onNode(node) { machine, now, effects in machine.tick(now: now, into: &effects) }
        case .hints(let node): onNode(node) { machine, _, effects in machine.sendHints(into: &effects) }
        case .evict(let node):
            budget.evictions -= 1
            onNode(node) { machine, now, effects in
                if let slot = machine.lines.find(Self.key) { machine.evict(slot, now: now, into: &effects) }
            }
        case .flush(let node):
            budget.flushes -= 1
            onNode(node) { machine, now, effects in machine.flush(now: now, olderThan: .zero, into: &effects) }
        case .timeOut(let node):
            budget.timeouts -= 1
            nodes[node].isLate = true
            onNode(node) { machine, now, effects in machine.tick(now: now, into: &effects) }
        case .lapse(let node):
            budget.lapses -= 1
            nodes[node].isLeased = false
            push(node)
        case .revive(let node):
            budget.revivals -= 1
            nodes[node].isLeased = true
            push(node)
        case .crash(let node): crash(node)
        case .remove(let node):
            budget.removals -= 1
            loseOwner(node)
            var view = views[views.count - 1]
            _ = view.remove(member(node))
            views.append(view)
        case .notice(let node): notice(node)
        case .join(let node):
            budget.joins -= 1
            loseOwner(node)
            var view = views[views.count - 1]
            _ = view.join(member(node))
            views.append(view)
        case .grant(let node):
            nodes[node].isGranted = true
            nodes[node].isLeased = true
            nodes[node].view = views.count - 1
            push(node)
        case .learn(let node):
            nodes[node].view = views.count - 1
            if nodes[node].isGranted, !views[nodes[node].view].contains(member(node)) { return notice(node) }
            push(node)
        default: fail("\(event) is nobody's")
        }
    }

    private mutating func notice(_ node: Int) {
        nodes[node].isGranted = false
        nodes[node].isLeased = false
        nodes[node].incarnation += 1
        push(node)
    }

    /// The node's disk takes it at once.
    private mutating func write(_ entry: JournalledWrite, _ node: Int) {
        nodes[node].journal = entry.data
        finished(entry.token, entry.result, node: node)
    }

    var loggedVersion: CacheVersion { homes[leader].replica.state.current(Self.key)?.version ?? .zero }

    /// A journal may forget what is in the log, or what somebody has changed since, and nothing else.
    private mutating func settled(_ version: CacheVersion, _ isStored: Bool, _ node: Int) {
        guard let kept = nodes[node].journal?.version, kept <= version else { return }
        nodes[node].journal = nil
        if isStored ? kept > loggedVersion : kept.index >= loggedVersion.index {
            fail("\(kept) is to be forgotten (\(isStored)), and the log has \(loggedVersion)")
        }
    }

    /// The process ends, and another one begins with what is on the disk. Its callers never hear what became of their
    /// calls.
    private mutating func crash(_ node: Int) {
        budget.crashes -= 1
        loseOwner(node)
        // What the node gave to a new home before, the old one knows nothing of. It goes on with what it has until the
        // new reign begins.
        let oldest = homes.filter { !$0.isStopped }.compactMap { $0.replica.state.current(Self.key)?.version }.min()
        if let oldest {
            history.finished = min(history.finished, oldest)
            for client in clients.indices { clients[client].floor = clients[client].floor.map { min($0, oldest) } }
        }
        nodes[node].crashes += 1
        nodes[node].incarnation += 1
        (nodes[node].isGranted, nodes[node].isLeased) = (false, false)
        for client in clients.indices where plan.clients[client].node == node && clients[client].isWaiting {
            finished(UInt64(client), .failed(.unknown(reason: "the node is gone")), node: node)
        }
        var configuration = nodes[node].box.requestor.configuration
        configuration.origin += 16
        nodes[node].box = RequestorBox(CacheRequestor(configuration: configuration))
        if let data = nodes[node].journal { nodes[node].box.requestor.putBack(Self.key, data) }
        push(node)
    }

    /// From now on others may go on without what the node has not logged.
    private mutating func loseOwner(_ node: Int) {
        guard let data = nodes[node].unlogged else { return }
        let logged = loggedVersion
        guard data.version > logged else { return }
        history.lose(logged: logged)
        for number in clients.indices { clients[number].floor = clients[number].floor.map { min($0, logged) } }
    }

    private mutating func note(_ event: SmallWorldEvent) {
        if case .deliver(let from, let to, let connection) = event {
            diary?.append("\(event): \(channels[from][to].connections[connection][0].body)")
        } else {
            diary?.append("\(event)")
        }
    }

    // MARK: Nodes

    /// Tells a node's machines what the node knows of its lease and of the members; the requestor first.
    mutating func push(_ node: Int) {
        let view = views[nodes[node].view]
        let own = nodes[node].isGranted ? member(node) : nil
        let end = nodes[node].isLeased ? Instant.distantFuture : .zero
        onNode(node) { machine, now, effects in
            machine.membership(view, own: own, leaseEnd: end, now: now, into: &effects)
        }
        for home in homes.indices where homes[home].node == node {
            onHome(home) { machine, context, effects in
                machine.membership(view, own: own, leaseEnd: end, now: context.now, into: &effects)
            }
        }
    }

    mutating func onNode(
        _ node: Int,
        _ body: (inout CacheRequestor, Instant, inout RequestorEffects) -> Void
    ) {
        let box = nodes[node].box.clone()
        nodes[node].box = box
        var effects = RequestorEffects()
        body(&box.requestor, now(node), &effects)
        noteRequests(node)
        for request in effects.send {
            guard let home = box.requestor.home, let member = box.requestor.member else {
                fail("node \(node) asks a home that it does not know")
                break
            }
            let target = Int(home.rawValue) - 1
            send(.request(request), member, box.requestor.epoch, node, target)
        }
        var journalled = effects.journal[...]
        for (token, result) in effects.completed {
            // A read that came behind a write of the same step has seen it.
            while let next = journalled.first, next.data.version <= result.version {
                write(journalled.removeFirst(), node)
            }
            finished(token, result, node: node)
        }
        for entry in journalled { write(entry, node) }
        for (_, version, isStored) in effects.settled { settled(version, isStored, node) }
        noteLapse(node)
        box.hash = box.requestor.worldHash()
    }

    /// Which request carries which client's write.
    private mutating func noteRequests(_ node: Int) {
        guard case .writing(let write)? = nodes[node].box.requestor.transactions[Self.key]?.kind,
            let writers = nodes[node].box.requestor.transactions[Self.key]?.writers
        else { return }
        for case let writer? in writers {
            clients[Int(writer.token)].request = write.id
            clients[Int(writer.token)].isAlone = writers.count == 1
        }
    }

    /// An owner whose value's time has come makes a version without anybody's asking.
    private mutating func noteLapse(_ node: Int) {
        guard let data = nodes[node].unlogged, data.value == nil, history.value(data.version) == nil else { return }
        let base = CacheVersion(index: data.version.index, minor: data.version.minor - 1)
        if let wrong = history.create(data.version, nil, after: base) { fail("node \(node): " + wrong) }
    }

    private mutating func start(_ client: Int) {
        let node = plan.clients[client].node
        let operation = plan.clients[client].operations[clients[client].next]
        clients[client].floor = history.finished
        let token = UInt64(client)
        let waits = nodes[node].isLate || plan.patient.contains(client)
        let deadline = waits ? Instant.distantFuture : deadline
        onNode(node) { machine, now, effects in
            switch operation {
            case .read:
                machine.read(
                    Self.key,
                    CacheCall(token: token, kind: .read, deadline: deadline),
                    now: now,
                    into: &effects
                )
            case .write(let change, let mode, let fence):
                let call = CacheCall(token: token, kind: .write(change, mode, token: fence), deadline: deadline)
                machine.write(Self.key, call, now: now, into: &effects)
            }
        }
    }

    // MARK: Messages

    private mutating func send(
        _ body: Envelope.Body,
        _ member: CacheMember,
        _ epoch: CacheEpoch,
        _ from: Int,
        _ to: Int
    ) {
        var writer = ByteWriter()
        member.encode(into: &writer)
        epoch.encode(into: &writer)
        switch body {
        case .request(let request): request.encode(into: &writer)
        case .notice(let notice): notice.encode(into: &writer)
        }
        let hash = writer.bytes.withUnsafeBytes { StableHash.bytes($0) }
        let last = channels[from][to].connections.count - 1
        channels[from][to].connections[last].append(
            Envelope(member: member, epoch: epoch, body: body, hash: hash)
        )
    }

    private mutating func deliver(_ from: Int, _ to: Int, _ connection: Int) {
        let envelope = channels[from][to].connections[connection].removeFirst()
        let count = channels[from][to].connections.count
        if connection < count - 1, channels[from][to].connections[connection].isEmpty {
            channels[from][to].connections.remove(at: connection)
        }
        switch envelope.body {
        case .notice(let notice):
            onNode(to) { machine, now, effects in
                machine.receive(
                    notice,
                    from: Self.id(from),
                    epoch: envelope.epoch,
                    to: envelope.member,
                    now: now,
                    into: &effects
                )
            }
        case .request(let request):
            guard let home = homes.lastIndex(where: { $0.node == to }), !homes[home].isStopped else { return }
            receive(home, envelope, request)
        }
    }

    /// As the replica does: what the request table knows does not reach the home as a request.
    private mutating func receive(_ home: Int, _ envelope: Envelope, _ request: HomeRequest) {
        guard envelope.epoch == homes[home].box.home.epoch else { return }
        if case .write(let key, let write) = request {
            let replica = homes[home].replica
            if let response = replica.answers[write.id] {
                return onHome(home) { machine, context, effects in
                    machine.replay(envelope.member, key, write, response, now: context.now, into: &effects)
                }
            }
            if write.id.number < replica.floors[write.id.origin] ?? 0 { return }
        }
        onHome(home) { machine, context, effects in
            machine.receive(envelope.member, request, context, into: &effects)
        }
    }

    // MARK: Homes

    func context(_ home: Int) -> HomeContext {
        HomeContext(state: homes[home].replica.state, now: homeNow, stamp: stamp)
    }

    mutating func onHome(_ home: Int, _ body: (inout CacheHome, HomeContext, inout HomeEffects) -> Void) {
        var machine = homes[home].box.home
        let box = HomeBox(machine)
        homes[home].box = box
        var effects = HomeEffects()
        body(&machine, context(home), &effects)
        machine.proposeGathered(into: &effects)
        while !effects.isEmpty {
            let wanted = effects
            effects.removeAll()
            for (member, notice) in wanted.send {
                send(.notice(notice), member, machine.epoch, homes[home].node, Int(member.node.rawValue) - 1)
            }
            for proposal in wanted.proposals {
                machine.placed(proposal, at: place(proposal, home), context(home), into: &effects)
            }
            machine.proposeGathered(into: &effects)
        }
        box.home = machine
        box.hash = machine.worldHash()
    }

    private mutating func place(_ proposal: HomeProposal, _ home: Int) -> UInt64? {
        if refusesNext {
            refusesNext = false
            return nil
        }
        defer { homes[home].end += 1 }
        if isLeader(home) {
            var writer = ByteWriter()
            proposal.command.encode(into: &writer)
            writer.u64(proposal.id?.origin ?? 0)
            writer.u64(proposal.id?.number ?? 0)
            writer.u64(proposal.floor)
            let hash = writer.bytes.withUnsafeBytes { StableHash.bytes($0) }
            log.append(LogEntry(proposal: proposal, stamp: stamp, hash: hash))
        }
        return UInt64(homes[home].end)
    }

    private mutating func apply(_ home: Int) {
        let index = homes[home].replica.applied + 1
        let isNew = isLeader(home)
        guard let entry = log[index] else {
            homes[home].replica.applied = index
            return
        }
        var replica = homes[home].replica
        let response = carryOut(entry, index, &replica, isNew: isNew)
        homes[home].replica = replica
        onHome(home) { machine, context, effects in
            if let current = replica.state.current(Self.key), current.expiresAt != 0 {
                machine.noteExpiry(Self.key, current.expiresAt, context)
            }
            machine.applied(UInt64(index), response, context, into: &effects)
        }
    }

    /// As the shard's state does: a request is carried out once.
    private mutating func carryOut(
        _ entry: LogEntry,
        _ index: Int,
        _ replica: inout WorldReplica,
        isNew: Bool
    ) -> CacheResponse {
        replica.applied = index
        if let id = entry.proposal.id {
            let floor = max(replica.floors[id.origin] ?? 0, entry.proposal.floor)
            replica.floors[id.origin] = floor
            for known in replica.answers.keys where known.origin == id.origin && known.number < floor {
                replica.answers[known] = nil
            }
            if let answer = replica.answers[id] { return answer }
            if id.number < floor { return .done }
        }
        let old = replica.state.current(Self.key)
        var effects = CacheEffects()
        let response = replica.state.apply(
            entry.proposal.command,
            index: LogIndex(UInt64(index)),
            stamp: entry.stamp,
            into: &effects
        )
        if let id = entry.proposal.id { replica.answers[id] = response }
        if isNew, let old, let new = replica.state.current(Self.key) { changed(entry, index, from: old, to: new) }
        return response
    }

    /// - Parameter kept: entries that the next leader has; the rest of the log is forgotten.
    private mutating func takeOver(_ node: Int, _ kept: Int) {
        budget.takeovers -= 1
        let old = leader
        homes[old].kept = kept
        homes[old].end = log.count
        log.removeLast(log.count - 1 - kept)
        var replica = homes[old].replica
        while replica.applied < kept {
            let index = replica.applied + 1
            if let entry = log[index] {
                _ = carryOut(entry, index, &replica, isNew: true)
            } else {
                replica.applied = index
            }
        }
        log.append(nil)
        replica.applied = kept + 1
        addHome(node, replica)
        push(node)
    }
}

extension CacheCallResult {
    fileprivate var version: CacheVersion {
        switch self {
        case .read(let data, _): data.version
        case .written(_, let version): version
        case .failed: .zero
        }
    }
}
