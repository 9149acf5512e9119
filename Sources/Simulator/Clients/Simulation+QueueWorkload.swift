// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import QueueCore
import Replica

/// What clients of queues do when they wake up.
extension Simulation {
    func wakeAgent(_ client: Int) {
        for consumer in agent(client).active { tend(client, consumer: consumer) }
        giveUpOnSilence(client)
        if phase == .healing {
            retireAgent(client)
        } else if now >= clients[client].nextThink {
            actOnQueues(client)
            clients[client].nextThink =
                now + clients[client].random.interval(from: swarm.queues.thinkMin, to: swarm.queues.thinkMax)
        }
        queue.schedule(.client(client), at: nextAgentWake(client))
    }

    func agent(_ client: Int) -> QueueAgent {
        guard let agent = clients[client].agent else { invariantFailure("a client of locks is asked about queues") }
        return agent
    }

    private func nextAgentWake(_ client: Int) -> WorldTime {
        var wake = phase == .healing ? now + .milliseconds(100) : max(clients[client].nextThink, now + .milliseconds(1))
        let local = clients[client].clock.local(now)
        for position in agent(client).active {
            let consumer = agent(client).consumers[position]
            guard consumer.phase == .live, !consumer.isAbandoned else { continue }
            let due = consumer.nextRenewal.since(local)
            wake = min(wake, now + max(clients[client].clock.worldInterval(due), .milliseconds(5)))
        }
        return wake
    }

    /// Renews and resumes in time, and notices that it is too late.
    private func tend(_ client: Int, consumer position: Int) {
        let consumer = agent(client).consumers[position]
        guard consumer.phase == .live else { return }
        let local = clients[client].clock.local(now)
        if local >= consumer.believedUntil { return endConsumer(client, position) }
        guard !consumer.isAbandoned else { return }
        if consumer.mustResume && phase == .chaos { return resume(client, position) }
        guard !consumer.isRenewing, local >= consumer.nextRenewal else { return }
        clients[client].agent?.consumers[position].isRenewing = true
        send(.renewConsumer(consumer.open.id), client, shard: consumer.shard, .renew(consumer: position))
    }

    func endConsumer(_ client: Int, _ position: Int) {
        clients[client].agent?.consumers[position].phase = .ended
        clients[client].agent?.active.removeAll { $0 == position }
        for held in agent(client).held where held.consumer == position {
            clients[client].agent?.remember(spent: held.line, held.receipt)
        }
        clients[client].agent?.held.removeAll { $0.consumer == position }
    }

    // MARK: Choosing

    private func actOnQueues(_ client: Int) {
        switch pick(client, swarm.queues.workload.weights) {
        case 0: publish(client)
        case 1: receive(client)
        case 2: settleSome(client)
        case 3: openConsumer(client)
        case 4: closeSome(client)
        case 5: abandonSome(client)
        case 6: if let consumer = someConsumer(client, in: nil) { resume(client, consumer) }
        case 7: cancelSomeWait(client)
        case 8: cancelSomeMessage(client)
        case 9: if let line = someLine(client) { ask(client, line, .purge(lines.lines[line].name)) }
        case 10: pauseOrResume(client)
        case 11: redriveSome(client)
        case 12: change(client)
        case 13: read(client)
        default: sendNonsense(client)
        }
    }

    func pick(_ client: Int, _ weights: [UInt64]) -> Int {
        var rest = clients[client].random.below(weights.reduce(0, +))
        for (position, weight) in weights.enumerated() {
            if rest < weight { return position }
            rest -= weight
        }
        return 0
    }

    func draw(_ client: Int, _ bound: Int) -> Int { Int(clients[client].random.below(UInt64(bound))) }

    func chance(_ client: Int, _ percent: UInt64) -> Bool { clients[client].random.below(100) < percent }

    /// A line that is declared; else declares the one that was drawn. Now and then a publisher trusts in defaults.
    func someLine(_ client: Int) -> Int? { ready(draw(client, lines.lines.count), client) }

    private func ready(_ line: Int, _ client: Int) -> Int? {
        if agent(client).isDeclared[line] { return line }
        let isAsked = clients[client].outstanding.contains { position in
            if case .queue(.declare(let name, _)) = operations[position].request {
                name == lines.lines[line].name
            } else {
                false
            }
        }
        if !isAsked { ask(client, line, .declare(lines.lines[line].name, lines.lines[line].settings)) }
        return nil
    }

    func someConsumer(_ client: Int, in shard: Int?) -> Int? {
        let live = agent(client).active.filter {
            let consumer = agent(client).consumers[$0]
            return consumer.phase == .live && !consumer.isAbandoned && !consumer.mustResume
                && (shard == nil || consumer.shard == shard)
        }
        return live.isEmpty ? nil : live[draw(client, live.count)]
    }

    @discardableResult
    func send(_ request: Request, _ client: Int, shard: Int, _ errand: QueueErrand, attempt: Int = 1) -> Int {
        send(request, .queue, client: client, session: nil, shard: shard, attempt: attempt, errand: errand)
    }

    func ask(_ client: Int, _ line: Int, _ command: QueueCommand) {
        send(.queue(command), client, shard: lines.lines[line].shard, .other(line: line))
    }

    // MARK: Publishing

    private func publish(_ client: Int) {
        let workload = swarm.queues.workload
        let number = draw(client, lines.queueCount)
        let key: Name = chance(client, workload.keyed) ? lines.keys[draw(client, lines.keys.count)] : ""
        let line =
            key.byteCount > 0
            ? lines.line(ofQueue: number, key: key)
            : lines.line(ofQueue: number, turn: clients[client].random.below(64))
        let declares = !agent(client).isDeclared[line] && chance(client, 5)
        guard declares || ready(line, client) != nil else { return }
        let shard = lines.lines[line].shard
        if let known = checkers.queues[shard].line(lines.lines[line].name),
            checkers.queues[shard].lines[known].live.count >= swarm.queues.backlog
        {
            return
        }
        let count = chance(client, 80) ? 1 : 2 + draw(client, 5)
        var publish = Publish(
            queue: lines.lines[line].name,
            messages: (0..<count).map { _ in drawMessage(client, key, shard) },
            declares: declares,
            lanes: declares || chance(client, 20) ? 0 : agent(client).lanes[line]
        )
        if chance(client, workload.sequenced) {
            let sequence = agent(client).sequences[line] + 1
            clients[client].agent?.sequences[line] = sequence
            publish.producer = ProducerSequence(producer: agent(client).producer, sequence: sequence)
        }
        if chance(client, workload.guarded) {
            // Whoever proposes a guarded publish has asked the lock's shard before; half of them were too late.
            let isStale = chance(client, 50)
            publish.guardedBy = LockGuard(namespace: "default", name: "lock0", token: 1, isStale: isStale)
        }
        send(.queue(.publish(publish)), client, shard: shard, .publish(line: line))
    }

    private func drawMessage(_ client: Int, _ key: Name, _ shard: Int) -> PublishMessage {
        let workload = swarm.queues.workload
        var message = PublishMessage(body: drawBody(client), key: key)
        if chance(client, workload.prioritised) { message.priority = [1, 4, 9][draw(client, 3)] }
        if chance(client, workload.tenants) { message.tenant = lines.tenants[draw(client, lines.tenants.count)] }
        if chance(client, workload.named) { message.dedup = lines.dedups[draw(client, lines.dedups.count)] }
        if chance(client, workload.mortal) { message.ttlMilliseconds = 200 + clients[client].random.below(4_000) }
        if chance(client, 10) {
            message.headers = [MessageHeader(name: "n", value: [0, 255, UInt8(truncatingIfNeeded: client)])]
        }
        guard chance(client, workload.delayed) else { return message }
        let milliseconds = clients[client].random.below(3_000)
        switch draw(client, 8) {
        case 0, 1: message.schedule = .at(stamp: checkers.witnesses[shard].state.stamp + milliseconds)
        case 2: message.schedule = .after(milliseconds: Int64(600_000 + milliseconds))
        default: message.schedule = .after(milliseconds: Int64(milliseconds))
        }
        return message
    }

    /// No two are the same, and every third byte is zero.
    private func drawBody(_ client: Int) -> [UInt8] {
        let number = agent(client).bodies + 1
        clients[client].agent?.bodies = number
        var body = withUnsafeBytes(of: (UInt64(client) << 48 | number).littleEndian) { Array($0) }
        var pattern = SeededRandom(seed: UInt64(client) << 48 | number)
        let length = chance(client, 4) ? 600 : draw(client, 40)
        for place in 0..<length { body.append(place % 3 == 0 ? 0 : UInt8(truncatingIfNeeded: pattern.next())) }
        return body
    }

    // MARK: Receiving

    private func receive(_ client: Int) {
        guard let line = someLine(client) else { return }
        let shard = lines.lines[line].shard
        let consumer =
            chance(client, swarm.queues.workload.withConsumer) ? someConsumer(client, in: shard) : nil
        let isWaiting = clients[client].outstanding.contains {
            if case .receive(line, _) = operations[$0].errand { operations[$0].request.mayWait } else { false }
        }
        let waits = !isWaiting && chance(client, swarm.queues.workload.waits)
        let needsLease = lines.lines[line].isDeadLetter || chance(client, 40)
        let receive = Receive(
            queue: lines.lines[line].name,
            consumer: consumer.map { agent(client).consumers[$0].open.id } ?? "",
            count: 1 + clients[client].random.below(8),
            maxBytes: chance(client, 20) ? 50 + clients[client].random.below(400) : 0,
            leaseMilliseconds: needsLease ? 300 + clients[client].random.below(3_000) : 0,
            waitMilliseconds: waits ? 100 + clients[client].random.below(3_000) : 0,
            lanes: chance(client, 50) ? agent(client).lanes[line] : 0
        )
        send(.queue(.receive(receive)), client, shard: shard, .receive(line: line, consumer: consumer))
    }

    private func cancelSomeWait(_ client: Int) {
        let waiting = clients[client].outstanding.first {
            operations[$0].request.mayWait && operations[$0].node == clients[client].node
        }
        guard let waiting, case .receive(let line, _) = operations[waiting].errand else { return }
        send(
            operations[waiting].request,
            .cancel,
            client: client,
            session: nil,
            shard: operations[waiting].shard,
            target: waiting,
            errand: .other(line: line)
        )
    }

    // MARK: Settling

    private func settleSome(_ client: Int) {
        let agent = agent(client)
        if !agent.spent.isEmpty, chance(client, 6) {
            let spent = agent.spent[draw(client, agent.spent.count)]
            return sendSettle([spent.receipt], spent.line, drawSettlement(client), client)
        }
        let free = agent.held.indices.filter { !agent.held[$0].isBusy }
        guard !free.isEmpty else { return }
        let line = agent.held[free[draw(client, free.count)]].line
        let several = chance(client, 70)
        let settlement = drawSettlement(client)
        var receipts: [Receipt] = []
        for position in free where agent.held[position].line == line && (several || receipts.isEmpty) {
            receipts.append(agent.held[position].receipt)
            clients[client].agent?.held[position].isBusy = true
            clients[client].agent?.held[position].isRelied = false
        }
        sendSettle(receipts, line, settlement, client)
    }

    func sendSettle(_ receipts: [Receipt], _ line: Int, _ settlement: Settlement, _ client: Int) {
        let settle = Settle(queue: lines.lines[line].name, receipts: receipts, settlement: settlement)
        send(.queue(.settle(settle)), client, shard: lines.lines[line].shard, .settle(line: line))
    }

    private func drawSettlement(_ client: Int) -> Settlement {
        let workload = swarm.queues.workload
        let value = clients[client].random.below(100)
        let delay = chance(client, 50) ? 0 : Int64(clients[client].random.below(2_000))
        if value < workload.acks { return .ack }
        if value < workload.acks + workload.nacks { return .nack(delayMilliseconds: delay, reason: "failed") }
        switch draw(client, 3) {
        case 0: return .giveBack(delayMilliseconds: delay)
        case 1: return .extend(leaseMilliseconds: 500 + clients[client].random.below(3_000))
        default: return .reject(reason: "unreadable")
        }
    }
}
