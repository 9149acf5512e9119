import Primitives

// SPDX-License-Identifier: Apache-2.0
@testable import CacheCore

/// What may happen next.
extension SmallWorld {
    func events() -> [SmallWorldEvent] {
        var events: [SmallWorldEvent] = []
        for (number, client) in clients.enumerated() where !client.isWaiting {
            if client.next < plan.clients[number].operations.count { events.append(.start(client: number)) }
        }
        addMessages(&events)
        for home in homes.indices { addHome(home, &events) }
        for node in nodes.indices { addNode(node, &events) }
        if budget.takeovers > 0 {
            let applied = homes[leader].replica.applied
            for node in nodes.indices where !homes.contains(where: { $0.node == node }) && nodes[node].isGranted {
                for kept in applied..<log.count { events.append(.takeOver(node: node, kept: kept)) }
            }
        }
        if budget.refusals > 0, !refusesNext { events.append(.refuse) }
        if budget.hours > 0 { events.append(.hour) }
        return events
    }

    private func addMessages(_ events: inout [SmallWorldEvent]) {
        for from in nodes.indices {
            for to in nodes.indices where !channels[from][to].isEmpty {
                let connections = channels[from][to].connections
                for (number, connection) in connections.enumerated() where !connection.isEmpty {
                    events.append(.deliver(from: from, to: to, connection: number))
                }
                if connections.count > 1 { events.append(.loseOld(from: from, to: to)) }
                if budget.breaks > 0, from != to, connections.count == 1, !connections[0].isEmpty {
                    events.append(.reconnect(from: from, to: to))
                }
            }
        }
    }

    private func addHome(_ home: Int, _ events: inout [SmallWorldEvent]) {
        let here = homes[home]
        let limit = here.kept ?? log.count - 1
        if here.replica.applied < limit, !here.isStopped { events.append(.apply(home: home)) }
        guard !here.isStopped else { return }
        if here.ticket != nil {
            events.append(.confirm(home: home))
        } else if isLeader(home), here.box.home.wantsConfirmation(now: homeNow) {
            events.append(.ask(home: home))
        }
        if budget.homeTicks > 0, here.box.home.phase != .idle { events.append(.tickHome(home)) }
        if here.kept != nil { events.append(.stop(home: home)) }
        if budget.clearings > 0, here.box.home.phase == .active { events.append(.clear(home: home)) }
    }

    private func addNode(_ node: Int, _ events: inout [SmallWorldEvent]) {
        let here = nodes[node]
        let machine = here.box
        if !machine.requestor.hints.isEmpty { events.append(.hints(node: node)) }
        let slot = machine.requestor.lines.find(Self.key)
        if budget.evictions > 0, let slot, !machine.requestor.lines.flags(slot).contains(.pinned) {
            events.append(.evict(node: node))
        }
        if budget.flushes > 0, machine.requestor.lines.oldestDirty != nil { events.append(.flush(node: node)) }
        if budget.requestorTicks > 0, !machine.requestor.open.isEmpty || !machine.requestor.flushes.isEmpty {
            events.append(.tick(node: node))
        }
        if budget.timeouts > 0, machine.requestor.callCount > 0 { events.append(.timeOut(node: node)) }
        let newest = views[views.count - 1]
        let isMember = newest.contains(member(node))
        if isValid(node) {
            if budget.lapses > 0 { events.append(.lapse(node: node)) }
            if budget.crashes > 0, !homes.contains(where: { $0.node == node }) { events.append(.crash(node: node)) }
            if plan.bug == .removeBeforeExpiry, budget.removals > 0, isMember { events.append(.remove(node: node)) }
        } else {
            if here.isGranted {
                events.append(.notice(node: node))
                if budget.revivals > 0, isMember { events.append(.revive(node: node)) }
            }
            if budget.removals > 0, isMember || newest.contains(previous(node)) { events.append(.remove(node: node)) }
            if !here.isGranted, isMember { events.append(.grant(node: node)) }
            if !here.isGranted, !isMember, budget.joins > 0 { events.append(.join(node: node)) }
        }
        if here.view < views.count - 1, here.isGranted { events.append(.learn(node: node)) }
    }

    /// The life before this one.
    func previous(_ node: Int) -> CacheMember {
        CacheMember(node: Self.id(node), incarnation: nodes[node].incarnation - 1)
    }

    /// Nothing is on its way and nobody has anything to begin: what goes on from here, timers make go on.
    var isQuiet: Bool {
        for row in channels { for channel in row where !channel.isEmpty { return false } }
        for home in homes.indices where !homes[home].isStopped {
            if homes[home].ticket != nil || homes[home].replica.applied < homes[home].kept ?? (log.count - 1) {
                return false
            }
        }
        for (number, client) in clients.enumerated() where !client.isWaiting {
            if client.next < plan.clients[number].operations.count { return false }
        }
        return true
    }

    /// The first home's reign begins, and the prologue happens, everything that comes of each part of it included.
    mutating func begin() {
        let (kept, clients) = (budget, clients)
        budget = SmallWorldBudget()
        self.clients = []
        drain()
        self.clients = clients
        for event in plan.prologue {
            step(event)
            drain()
        }
        budget = kept
        for event in plan.opening { step(event) }
    }

    // MARK: The end

    /// Lets everything come to rest: links are up, timers fire, members that are gone come back.
    /// - Returns: what does not end as it should.
    mutating func settle() -> String? {
        isEnding = true
        budget = SmallWorldBudget()
        budget.joins = 3
        refusesNext = false
        for home in homes.indices where homes[home].kept != nil && !homes[home].isStopped { step(.stop(home: home)) }
        for _ in 0..<40 {
            settleLeases()
            for node in nodes.indices { step(.tick(node: node)) }
            for home in homes.indices where !homes[home].isStopped { step(.tickHome(home)) }
            drain()
            if fault != nil { return fault }
            if isAtRest { break }
        }
        guard isAtRest else { return "no end: \(unfinished)" }
        return readEverywhere()
    }

    private mutating func settleLeases() {
        for node in nodes.indices where !isValid(node) {
            if nodes[node].isGranted { step(.notice(node: node)) }
            if !views[views.count - 1].contains(member(node)) { step(.join(node: node)) }
            step(.grant(node: node))
        }
        for node in nodes.indices where nodes[node].view < views.count - 1 { step(.learn(node: node)) }
    }

    /// Delivers and carries out all there is, oldest connection first.
    private mutating func drain() {
        for _ in 0..<10_000 {
            let next = events().first { event in
                switch event {
                case .deliver, .apply, .ask, .confirm: true
                case .start: isEnding
                default: false
                }
            }
            guard let next, fault == nil else { return }
            step(next)
        }
        fail("messages without end")
    }

    private var isAtRest: Bool {
        isQuiet && clients.allSatisfy { !$0.isWaiting } && homes[leader].box.home.phase == .active
            && homes[leader].box.home.directory[Self.key]?.transaction == nil
            && nodes.allSatisfy {
                $0.box.requestor.open.isEmpty && $0.box.requestor.epoch == homes[leader].box.home.epoch
            }
    }

    private var unfinished: String {
        let waiting = clients.indices.filter { clients[$0].isWaiting }.map { "client \($0)" }
        let open = nodes.indices.filter { !nodes[$0].box.requestor.open.isEmpty }.map { "node \($0)" }
        let home = homes[leader].box.home
        return "\(waiting + open), home \(home.phase), line \(String(describing: home.directory[Self.key]))"
    }

    /// Every node reads the latest value, whatever it held.
    private mutating func readEverywhere() -> String? {
        let latest = history.latest
        for node in nodes.indices {
            plan.clients.append(SmallWorldPlan.Client(node, [.read]))
            clients.append(WorldClient())
            step(.start(client: clients.count - 1))
            drain()
            if fault != nil { return fault }
            guard !clients[clients.count - 1].isWaiting else { return "the last read at node \(node) is not answered" }
        }
        for node in nodes {
            guard let promised = node.journal?.version, promised > loggedVersion else { continue }
            if node.unlogged.map({ $0.version < promised }) ?? true {
                return "\(promised) was journalled, and in the end there is \(loggedVersion)"
            }
        }
        if history.finished < latest { return "the last reads see \(history.finished), and \(latest) was written" }
        return nil
    }
}
