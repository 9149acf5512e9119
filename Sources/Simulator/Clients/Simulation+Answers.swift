// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import Replica

/// What clients make of answers.
extension Simulation {
    func digest(_ answer: ClientAnswer, _ position: Int) {
        let operation = operations[position]
        if let errand = operation.errand { return digest(answer, position, errand) }
        switch answer {
        case .connectionLost:
            probes.hit(.answerUnknown)
            retry(position)
        case .response(.unavailable(let outcome, _)):
            probes.hit(outcome == .unknown ? .answerUnknown : .answerNotDone)
            if random.chance(1, in: 3) { moveAway(operation.client) }
            retry(position)
        case .response(.busy):
            probes.hit(.answerBusy)
            retry(position)
        case .response(.lock(let response)):
            if let session = operation.session {
                digest(response, position, session)
            } else if operation.kind == .read {
                probes.hit(.readAnswered)
            }
        case .response(.queue), .response(.cache): break
        }
    }

    private func digest(_ response: LockResponse, _ position: Int, _ session: Int) {
        let operation = operations[position]
        let client = operation.client
        switch response {
        case .sessionOpened(_, let ttl), .renewed(let ttl):
            if operation.kind == .renew { clients[client].sessions[session].isRenewing = false }
            prolong(client, session, ttl, sent: operation.sentLocal)
        case .sessionClosed:
            probes.hit(.sessionClosed)
            endSession(client, session)
        case .granted(let tokens, _): hold(tokens, position, session)
        case .converted(let token):
            guard case .command(.convert(let convert)) = operation.request else { return }
            let held = Holding(kind: .lock, name: convert.name, mode: convert.mode, token: token)
            setHolding(held, client, session, asked: position)
        case .released(let left):
            guard case .command(.release(let release)) = operation.request, left == 0 else { return }
            clients[client].sessions[session].holdings.removeAll {
                $0.name == release.name && $0.kind == release.kind
            }
        case .refused(let refusal): refused(refusal, operation, session)
        default: break
        }
    }

    private func prolong(_ client: Int, _ session: Int, _ ttl: UInt64, sent: Instant) {
        guard clients[client].sessions[session].phase == .opening || clients[client].sessions[session].phase == .live
        else { return }
        clients[client].sessions[session].phase = .live
        let until = sent + ClientSession.safe(ttl)
        clients[client].sessions[session].believedUntil = max(clients[client].sessions[session].believedUntil, until)
        clients[client].sessions[session].nextRenewal = clients[client].clock.local(now) + .milliseconds(ttl / 4)
    }

    private func hold(_ tokens: [UInt64], _ position: Int, _ session: Int) {
        guard case .command(.acquire(let acquire)) = operations[position].request else { return }
        for (item, token) in zip(acquire.items, tokens) {
            let held = Holding(kind: acquire.kind, name: item.name, mode: item.mode, token: token)
            setHolding(held, operations[position].client, session, asked: position)
        }
    }

    private func setHolding(_ new: Holding, _ client: Int, _ session: Int, asked: Int) {
        let state = clients[client].sessions[session]
        guard state.phase == .live else { return }
        // Requests that are under way at the same time may be carried out in any order, so what was being given up
        // while this was asked for (the first time: a retry brings the first result) may be gone, or go yet.
        let first = operations[asked].firstTry ?? asked
        let isGivenUp = state.surrenders.contains { name, operation in
            guard name == new.name, operation != asked, operation != first else { return false }
            guard let answered = operations[operation].answeredAt else { return true }
            return operation > first || answered > operations[first].sentAt
        }
        let key = LockModel.ObjectKey(namespace: names.namespaces[state.namespace], name: new.name)
        let isBroken = (checkers.breaks[key] ?? .zero).rawValue >= new.token
        var holding = new
        holding.isRelied = !isGivenUp && !isBroken && !state.doubts.contains(new.name)
        if let place = state.holdings.firstIndex(where: { $0.name == new.name && $0.kind == new.kind }) {
            clients[client].sessions[session].holdings[place] = holding
        } else {
            clients[client].sessions[session].holdings.append(holding)
        }
    }

    private func refused(_ refusal: Refusal, _ operation: Operation, _ session: Int) {
        let client = operation.client
        switch refusal {
        case .noSession, .sessionEnded, .sessionExists, .limit:
            let state = clients[client].sessions[session]
            if case .limit = refusal, operation.kind != .open { return }
            guard state.phase == .live else {
                if state.phase != .opening || operation.kind == .open { endSession(client, session) }
                return
            }
            let local = clients[client].clock.local(now)
            violations.expect(
                local >= state.believedUntil,
                .sessionRules,
                "client \(client) was told that session \(state.id) is gone, "
                    + "\(state.believedUntil.since(local)) before it may be"
            )
            endSession(client, session)
        case .notHeld(let name):
            clients[client].sessions[session].holdings.removeAll { $0.name == name }
        default: break
        }
        if operation.kind == .renew { clients[client].sessions[session].isRenewing = false }
    }

    func endSession(_ client: Int, _ session: Int) {
        clients[client].sessions[session].phase = .ended
        clients[client].sessions[session].holdings.removeAll()
        clients[client].active.removeAll { $0 == session }
    }

    /// After an answer that says nothing, or that nothing was done: the same request with the same sequence number.
    private func retry(_ position: Int) {
        let operation = operations[position]
        guard let session = operation.session else { return }
        if let name = operation.givenUp { clients[operation.client].sessions[session].doubts.append(name) }
        if operation.kind == .renew {
            clients[operation.client].sessions[session].isRenewing = false
            clients[operation.client].sessions[session].nextRenewal = clients[operation.client].clock.local(now)
            return
        }
        let phase = clients[operation.client].sessions[session].phase
        let isWorthIt = phase == .opening || phase == .closing || (phase == .live && isWorthRepeating(operation))
        guard isWorthIt, operation.target == nil else { return }
        // Some clients give up; a close is always seen through.
        if operation.kind != .close && operation.kind != .open && random.chance(1, in: 4) { return }
        probes.hit(.requestRetried)
        send(
            operation.request,
            operation.kind,
            client: operation.client,
            session: session,
            shard: operation.shard,
            attempt: operation.attempt + 1,
            firstTry: operation.firstTry ?? position
        )
    }

    /// Once everything is to come to rest, clients begin no new waits.
    private func isWorthRepeating(_ operation: Operation) -> Bool {
        if phase == .chaos { return true }
        return operation.kind == .close || operation.kind == .release
    }
}

extension Operation {
    /// The name that this takes away or weakens.
    var givenUp: Name? {
        switch request {
        case .command(.release(let release)): release.name
        case .command(.convert(let convert)): convert.name
        default: nil
        }
    }
}
