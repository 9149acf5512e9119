// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import RaftCore
import Replica

/// Consumers, and what an operator does to queues.
extension Simulation {
    // MARK: Consumers

    func openConsumer(_ client: Int) {
        guard agent(client).active.count < 2 else { return }
        let shard = lines.lines[draw(client, lines.lines.count)].shard
        let position = agent(client).consumers.count
        let open = OpenConsumer(
            id: Name("consumer-\(client)-\(position)"),
            ttlMilliseconds: max(1_000, swarm.queues.consumerTTL),
            credit: [1, 2, 5, 100][draw(client, 4)],
            label: "worker"
        )
        clients[client].agent?.consumers.append(QueueAgent.Consumer(open: open, shard: shard))
        clients[client].agent?.active.append(position)
        consumerOwners[open.id] = (client, position)
        send(.queue(.openConsumer(open)), client, shard: shard, .open(consumer: position))
    }

    func closeSome(_ client: Int) {
        if let consumer = someConsumer(client, in: nil) { closeConsumer(client, consumer) }
    }

    func closeConsumer(_ client: Int, _ position: Int) {
        clients[client].agent?.consumers[position].phase = .closing
        forgetReliance(client, position)
        let consumer = agent(client).consumers[position]
        send(.queue(.closeConsumer(consumer.open.id)), client, shard: consumer.shard, .close(consumer: position))
    }

    /// Stops renewing one on purpose.
    func abandonSome(_ client: Int) {
        if let consumer = someConsumer(client, in: nil) {
            clients[client].agent?.consumers[consumer].isAbandoned = true
        }
    }

    func forgetReliance(_ client: Int, _ consumer: Int) {
        for position in agent(client).held.indices where agent(client).held[position].consumer == consumer {
            clients[client].agent?.held[position].isRelied = false
        }
    }

    /// Shows the receipts that it holds, so that what was lost on its way returns.
    func resume(_ client: Int, _ position: Int) {
        guard !agent(client).consumers[position].isResuming else { return }
        clients[client].agent?.consumers[position].mustResume = false
        clients[client].agent?.consumers[position].isResuming = true
        let consumer = agent(client).consumers[position]
        let receipts = agent(client).held.filter { $0.consumer == position }.map(\.receipt)
        send(
            .queue(.resumeConsumer(consumer.open.id, receipts)),
            client,
            shard: consumer.shard,
            .resume(consumer: position)
        )
    }

    // MARK: Operators

    func cancelSomeMessage(_ client: Int) {
        let known = agent(client).known
        guard !known.isEmpty else { return }
        let message = known[draw(client, known.count)]
        ask(client, message.line, .cancelMessage(lines.lines[message.line].name, message.id))
    }

    /// What is paused is likely to be resumed soon.
    func pauseOrResume(_ client: Int) {
        guard let line = someLine(client) else { return }
        let name = lines.lines[line].name
        let side = QueueSide.allCases[draw(client, 2)]
        ask(client, line, chance(client, 30) ? .pause(name, side) : .resume(name, side))
    }

    func redriveSome(_ client: Int) {
        guard let line = someLine(client) else { return }
        let name = lines.lines[line].name
        if chance(client, 10) { return ask(client, line, .cancelRedrive(name)) }
        // To another line of its shard, which a queue's dead-letter line is.
        let neighbours = lines.lines.filter {
            $0.queue == lines.lines[line].queue && $0.lane == lines.lines[line].lane
        }
        let redrive = Redrive(
            queue: name,
            count: chance(client, 50) ? 0 : 1 + clients[client].random.below(5),
            rate: chance(client, 60) ? 0 : 1 + clients[client].random.below(20),
            target: chance(client, 70) ? "" : neighbours[draw(client, neighbours.count)].name,
            cause: chance(client, 70) ? nil : DeadCause.allCases[draw(client, 2)]
        )
        ask(client, line, .redrive(redrive))
    }

    /// Other settings, more lanes, or no queue any more.
    func change(_ client: Int) {
        guard let line = someLine(client) else { return }
        let name = lines.lines[line].name
        var settings = lines.lines[line].settings
        switch draw(client, 5) {
        case 0:
            clients[client].agent?.isDeclared[line] = false
            ask(client, line, .delete(name))
        case 1: ask(client, line, .declare(name, settings))
        default:
            var random = SeededRandom(seed: clients[client].random.next())
            settings = QueueSwarm.drawSettings("queue\(lines.lines[line].queue)", &random)
            settings.lanes = agent(client).lanes[line] + (chance(client, 20) ? 1 : 0)
            ask(client, line, .update(name, settings))
        }
    }

    func read(_ client: Int) {
        guard let line = someLine(client) else { return }
        let name = lines.lines[line].name
        let mode: ReadMode = chance(client, swarm.workload.leaseReads) ? .lease : .readIndex
        let known = agent(client).known.last { $0.line == line }
        let query: QueueQuery
        switch draw(client, 6) {
        case 0: query = .queue(name)
        case 1: query = .queues(prefix: "queue", after: "", limit: 3)
        case 2: query = .message(name, known?.id ?? MessageID(rawValue: 4_096))
        case 3: query = .consumer(Name("consumer-\(client)-0"))
        default: query = .peek(name, MessageState.allCases[draw(client, 4)], limit: 1 + draw(client, 5))
        }
        send(.queueQuery(query, mode), client, shard: lines.lines[line].shard, .other(line: line))
    }

    /// What a careless or malicious client sends: refused, and nothing happens.
    func sendNonsense(_ client: Int) {
        guard let line = someLine(client) else { return }
        let name = lines.lines[line].name
        let forged = Receipt(
            shard: ShardID(UInt16(lines.lines[line].shard)),
            lane: 0,
            line: Receipt.tag(of: name),
            message: MessageID(entry: LogIndex(1 + clients[client].random.below(1 << 20)), ordinal: 0),
            delivery: 1 + UInt32(draw(client, 3))
        )
        switch draw(client, 6) {
        case 0: ask(client, line, .publish(Publish(queue: name, messages: [PublishMessage(body: [])])))
        case 1: ask(client, line, .publish(Publish(queue: name, messages: [])))
        case 2: ask(client, line, .receive(Receive(queue: name, count: 0)))
        case 3: sendSettle([forged], line, .ack, client)
        case 4:
            let other = lines.lines[draw(client, lines.lines.count)].name
            let foreign = agent(client).held.first.map { [$0.receipt, forged] } ?? [forged]
            let settle = Settle(queue: other, receipts: foreign, settlement: .extend(leaseMilliseconds: 1_000))
            guard other != name, agent(client).held.first?.line == line else { return }
            ask(client, line, .settle(settle))
        default:
            let far = PublishMessage(body: [0], schedule: .at(stamp: .max))
            ask(client, line, .publish(Publish(queue: name, messages: [far])))
        }
    }

    // MARK: Coming to rest

    /// First what was begun is finished; then every line is emptied, by whoever it falls to.
    func retireAgent(_ client: Int) {
        guard clients[client].outstanding.isEmpty else { return }
        for consumer in agent(client).active {
            let state = agent(client).consumers[consumer]
            if state.phase == .live && !state.isAbandoned { closeConsumer(client, consumer) }
        }
        guard agent(client).active.isEmpty, clients[client].outstanding.isEmpty else { return }
        let first = swarm.clients
        for line in lines.lines.indices where first + line % swarm.queues.clients == client { drain(client, line) }
    }

    private func drain(_ client: Int, _ line: Int) {
        let shard = lines.lines[line].shard
        let name = lines.lines[line].name
        guard let known = checkers.queues[shard].line(name) else { return }
        let state = checkers.queues[shard].lines[known]
        guard !state.live.isEmpty else { return }
        if state.isConsumePaused { return ask(client, line, .resume(name, .consume)) }
        if state.redrive != nil { ask(client, line, .cancelRedrive(name)) }
        let receive = Receive(queue: name, count: 64, leaseMilliseconds: 5_000)
        send(.queue(.receive(receive)), client, shard: shard, .receive(line: line, consumer: nil))
        for state in [MessageState.dead, .delayed] {
            send(.queueQuery(.peek(name, state, limit: 64), .readIndex), client, shard: shard, .clear(line: line))
        }
    }
}
