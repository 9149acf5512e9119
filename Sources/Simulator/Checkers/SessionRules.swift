// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import Replica

/// What clients rely on: a session does not end, and what it holds is given to nobody else, while the client, by its
/// own clock and from when it sent its last acknowledged renewal, knows it to be alive.
extension Simulation {
    func checkSessions(_ outcome: Witness.Outcome, _ shard: Int) {
        for event in outcome.effects.events {
            switch event {
            case .sessionEnded(let id, .expired): checkExpiry(id, outcome)
            case .broken(let namespace, let name, _):
                checkers.breaks[LockModel.ObjectKey(namespace: namespace, name: name)] = outcome.index
                forgetReliance(on: name, in: namespace)
            case .granted(let namespace, let name, let session, let mode, _):
                checkReliance(namespace, name, session, mode, outcome, shard)
            default: break
            }
        }
    }

    private func checkExpiry(_ id: SessionID, _ outcome: Witness.Outcome) {
        guard let owner = sessionOwners[id] else { return }
        let session = clients[owner.client].sessions[owner.session]
        guard session.phase == .live || session.phase == .closing else { return }
        let local = clients[owner.client].clock.local(now)
        violations.expect(
            local >= session.believedUntil,
            .sessionRules,
            "session \(id) expired at entry \(outcome.index), \(session.believedUntil.since(local)) "
                + "before its client may lose it"
        )
    }

    private func checkReliance(
        _ namespace: Name,
        _ name: Name,
        _ session: SessionID,
        _ mode: LockMode,
        _ outcome: Witness.Outcome,
        _ shard: Int
    ) {
        for client in clients.indices {
            let local = clients[client].clock.local(now)
            for position in clients[client].active {
                let other = clients[client].sessions[position]
                guard other.id != session, other.phase == .live, local < other.believedUntil,
                    names.namespaces[other.namespace] == namespace
                else { continue }
                for holding in other.holdings where holding.isRelied && holding.name == name {
                    guard holding.kind != .semaphore, LockModel.excludes(holding.mode, mode) else { continue }
                    violations.report(
                        .lockExclusion,
                        "entry \(outcome.index) of shard \(shard) gave \(name) to \(session) while "
                            + "the client of \(other.id) holds it "
                            + "in mode \(holding.mode) with token \(holding.token)"
                    )
                }
            }
        }
    }

    /// A lock that is broken is taken from its holders without their consent.
    private func forgetReliance(on name: Name, in namespace: Name) {
        for client in clients.indices {
            for position in clients[client].active
            where names.namespaces[clients[client].sessions[position].namespace] == namespace {
                for holding in clients[client].sessions[position].holdings.indices
                where clients[client].sessions[position].holdings[holding].name == name {
                    clients[client].sessions[position].holdings[holding].isRelied = false
                }
            }
        }
    }
}
