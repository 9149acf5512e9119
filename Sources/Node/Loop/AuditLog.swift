// SPDX-License-Identifier: Apache-2.0
import LockCore
import Logging
import Primitives
import QueueCore

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

extension Logger {
    /// What was done to queues as a whole. Dead letters are in the queue for whoever looks: they are only debugged.
    func audit(_ events: [QueueEvent], isLeader: Bool) {
        guard isLeader else { return }
        for event in events {
            switch event {
            case .deleted(let queue, let messages):
                notice("a queue was deleted", metadata: ["queue": "\(queue)", "messages": "\(messages)"])
            case .purged(let queue, let messages):
                notice("a queue was purged", metadata: ["queue": "\(queue)", "messages": "\(messages)"])
            case .paused(let queue, let side):
                notice("a queue was paused", metadata: ["queue": "\(queue)", "side": "\(side)"])
            case .resumed(let queue, let side):
                notice("a queue was resumed", metadata: ["queue": "\(queue)", "side": "\(side)"])
            case .redriveEnded(let queue, let moved):
                notice("a redrive ended", metadata: ["queue": "\(queue)", "moved": "\(moved)"])
            case .consumerEnded(let consumer, .expired, let returned):
                let name = consumer.text.replacing("\0", with: "/")
                notice("a consumer expired", metadata: ["consumer": "\(name)", "returned": "\(returned)"])
            case .deadLetter(let queue, let message, let cause, let reason):
                debug(
                    "a message became a dead letter",
                    metadata: [
                        "queue": "\(queue)", "message": "\(message)", "cause": "\(cause)", "reason": "\(reason)",
                    ]
                )
            case .declared, .consumerOpened, .consumerEnded(_, .closed, _): break
            }
        }
    }
}
