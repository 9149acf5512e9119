// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import QueueCore
import Replica

/// How clients' requests travel, and what becomes of their answers.
extension Simulation {
    // MARK: There

    /// Sends a request to the client's node.
    @discardableResult
    func send(
        _ request: Request,
        _ kind: OperationKind,
        client: Int,
        session: Int?,
        shard: Int,
        target: Int? = nil,
        attempt: Int = 1,
        firstTry: Int? = nil,
        errand: QueueErrand? = nil
    ) -> Int {
        let node = nodes[clients[client].node]
        let position = operations.count
        operations.append(
            Operation(
                client: client,
                session: session,
                kind: kind,
                request: request,
                shard: shard,
                node: node.index,
                sentLocal: clients[client].clock.local(now),
                sentAt: now,
                floor: checkers.witnesses[shard].last,
                errand: errand,
                target: target,
                attempt: attempt,
                firstTry: firstTry
            )
        )
        clients[client].outstanding.append(position)
        if let session, kind != .renew { clients[client].sessions[session].outstanding += 1 }
        if let session, let name = operations[position].givenUp {
            clients[client].sessions[session].surrenders.append((name, position))
        }
        // Whoever tries again waits a little longer each time.
        let pause = Interval.milliseconds(attempt > 1 ? min(UInt64(attempt) * 10, 250) : 0)
        let arrival = now + clientLatency() + pause
        queue.schedule(.clientRequest(node: node.index, life: node.life, operation: position), at: arrival)
        return position
    }

    private func clientLatency() -> Interval { random.interval(from: .microseconds(30), to: .microseconds(600)) }

    func arrive(_ operation: Int, at node: SimNode, _ life: UInt32) {
        guard node.isUp, node.life == life else {
            answer(operation, .connectionLost)
            return
        }
        post(.clientRequest(operation), to: node)
    }

    func arriveCancel(_ operation: Int, at node: SimNode, _ life: UInt32) {
        guard node.isUp, node.life == life else { return }
        post(.clientCancel(operation), to: node)
    }

    /// The node takes the request in.
    func submit(_ position: Int, _ node: SimNode, _ local: Instant) {
        let operation = operations[position]
        var request = operation.request
        if let target = operation.target {
            guard let id = operations[target].requestID else {
                complete(
                    position,
                    operation.errand == nil
                        ? .lock(.cancelled(found: false)) : .queue(QueueAnswer(.waitCancelled(found: false))),
                    node
                )
                return
            }
            request = operation.cancellation(of: id)
        }
        let id = node.router?.submit(
            request,
            to: ShardID(UInt16(operation.shard)),
            caller: CallerToken(UInt64(position)),
            timeout: nil,
            now: local,
            into: &node.routerEffects
        )
        operations[position].requestID = id?.1
        if let id, !request.isMutation {
            checkers.reads.begins(id.1, shard: operation.shard, floor: operation.floor)
        }
    }

    /// The caller has gone: its wait leaves the line.
    func cancelAbandoned(_ position: Int, _ node: SimNode, _ local: Instant) {
        guard let id = operations[position].requestID, !operations[position].isAnswered else { return }
        _ = node.router?.submit(
            operations[position].cancellation(of: id),
            to: ShardID(UInt16(operations[position].shard)),
            caller: Self.nobody,
            timeout: nil,
            now: local,
            into: &node.routerEffects
        )
    }

    /// Nobody waits for answers with this token.
    static let nobody = CallerToken(.max)

    // MARK: And back

    func complete(_ caller: CallerToken, _ response: Response, _ node: SimNode) {
        guard caller != Self.nobody else { return }
        guard caller != Self.leaseCaller else { return leaseAnswered(response, node) }
        complete(Int(caller.rawValue), response, node)
    }

    private func complete(_ position: Int, _ response: Response, _ node: SimNode) {
        trace.note(10, UInt64(position), UInt64(node.index))
        checkReply(response, to: operations[position])
        answer(position, .response(response))
    }

    private func answer(_ position: Int, _ answer: ClientAnswer) {
        queue.schedule(.clientAnswer(operation: position, answer), at: now + clientLatency())
    }

    /// The node died: its connections are reset.
    func loseOperations(on node: SimNode) {
        for client in clients.indices {
            for position in clients[client].outstanding where operations[position].node == node.index {
                answer(position, .connectionLost)
            }
        }
    }

    /// An answer says what the log says.
    private func checkReply(_ response: Response, to operation: Operation) {
        if case .queue(let answer) = response { return checkReply(answer, to: operation) }
        guard let id = operation.requestID, case .lock(let reply) = response,
            case .command = operation.request
        else { return }
        if let witnessed = checkers.witnesses[operation.shard].response(to: id) {
            violations.expect(
                witnessed == reply,
                .replies,
                "request \(id) of shard \(operation.shard) was answered \(reply), the log says \(witnessed)"
            )
        } else if case .refused(.invalid) = reply {
            // Refused before it reached the log.
        } else {
            violations.report(
                .replies,
                "request \(id) of shard \(operation.shard) was answered \(reply) before anybody committed it"
            )
        }
    }

    private func checkReply(_ answer: QueueAnswer, to operation: Operation) {
        checkBodies(answer, operation)
        guard let id = operation.requestID, operation.request.isMutation else { return }
        if let witnessed = checkers.witnesses[operation.shard].answer(to: id) {
            violations.expect(
                witnessed == .queue(answer.response),
                .replies,
                "request \(id) of shard \(operation.shard) was answered \(answer.response), the log says \(witnessed)"
            )
            return
        }
        switch answer.response {
        case .refused(.invalid), .refused(.emptyBody), .refused(.tooLarge):
            // Refused before it reached the log.
            break
        default:
            violations.report(
                .replies,
                "request \(id) of shard \(operation.shard) was answered \(answer.response) before anybody "
                    + "committed it"
            )
        }
    }

    func answered(_ position: Int, _ answer: ClientAnswer) {
        let client = operations[position].client
        if clients[client].pausedUntil > now {
            queue.schedule(.clientAnswer(operation: position, answer), at: clients[client].pausedUntil)
            return
        }
        guard !operations[position].isAnswered else { return }
        close(position)
        if case .connectionLost = answer { moveAway(client) }
        digest(answer, position)
    }

    /// The operation is over for its client.
    private func close(_ position: Int) {
        let operation = operations[position]
        operations[position].answeredAt = now
        let client = operation.client
        if let place = clients[client].outstanding.firstIndex(of: position) {
            clients[client].outstanding.remove(at: place)
        }
        if let session = operation.session, operation.kind != .renew {
            clients[client].sessions[session].outstanding -= 1
        }
    }

    /// Connects to another node.
    func moveAway(_ client: Int) {
        guard nodes.count > 1 else { return }
        let step = 1 + Int(clients[client].random.below(UInt64(nodes.count - 1)))
        clients[client].node = (clients[client].node + step) % nodes.count
    }

    /// The client has waited long enough for this node: whatever it asked there may or may not be done.
    func abandonNode(_ client: Int) {
        let old = clients[client].node
        moveAway(client)
        for position in clients[client].outstanding where operations[position].node == old {
            let node = nodes[old]
            queue.schedule(
                .clientCancel(node: old, life: node.life, operation: position),
                at: now + clientLatency()
            )
            close(position)
            digest(.connectionLost, position)
        }
    }
}

extension Operation {
    /// Takes the wait of this request out of its line.
    func cancellation(of id: RequestID) -> Request {
        if case .queue = request { .queue(.cancelWait(id)) } else { .command(.cancel(id)) }
    }
}
