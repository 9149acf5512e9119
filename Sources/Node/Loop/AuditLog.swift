// SPDX-License-Identifier: Apache-2.0
import LockCore
import Logging

extension Logger {
    /// Writes down what an operator may be asked about later, once in the cluster: at the shard's leader. Watches and
    /// `/v1/events` tell the same as it happens.
    func audit(_ events: [LockEvent], isLeader: Bool) {
        guard isLeader else { return }
        for event in events {
            switch event {
            case .broken(let namespace, let name, let reason):
                notice(
                    "a lock was taken from its holders",
                    metadata: ["namespace": "\(namespace)", "lock": "\(name)", "reason": "\(reason)"]
                )
            case .deadlock(let namespace, let cycle, let victim):
                notice(
                    "a deadlock was ended",
                    metadata: [
                        "namespace": "\(namespace)", "victim": "\(victim)",
                        "cycle": .array(cycle.map { "\($0.session) \($0.label) wants \($0.name)" }),
                    ]
                )
            case .sessionEnded(let session, .expired):
                notice("a session expired", metadata: ["session": "\(session)"])
            case .granted, .released, .queued, .sessionOpened, .sessionEnded(_, .closed): break
            }
        }
    }
}
